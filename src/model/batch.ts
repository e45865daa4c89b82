import type { Height, Ingress, Time } from './message.ts';

/**
 * The only input of a round (ARCHITECTURE section 6). Whatever affects state arrives here and is logged.
 * Stream slices, outcall results, shares and validator facts join with the issues that need them.
 */
export interface Batch {
  readonly height: Height;
  readonly protocolVersion: number;
  readonly registryVersion: number;
  /** Greater than the previous batch's. */
  readonly time: Time;
  /** 32 bytes. */
  readonly randomness: Uint8Array;
  /** True when the state after this round is written as a checkpoint. */
  readonly checkpoint: boolean;
  readonly ingress: readonly Ingress[];
  /** Decisions of an operator that affect state, e.g. to skip a message after a host fault. */
  readonly operatorDecisions: readonly OperatorDecision[];
}

export type OperatorDecision =
  | { readonly kind: 'skip_message'; readonly canisterKey: string; readonly reason: string }
  | { readonly kind: 'set_time_offset'; readonly nanos: bigint };

/** The protocol version that this build writes; it replays this one only (the first release). */
export const PROTOCOL_VERSION = 1;

import type { LabelledTree } from '../certification/index.ts';
import type { Height, Ingress, OperatorDecision, Time } from '../model/index.ts';
import type { Replica } from '../replica/index.ts';

/**
 * Who decides the order of inputs and drives the replica round by round. Nothing that an engine hands out reflects a
 * batch that is not durable (ARCHITECTURE section 2, invariant 2).
 */
export interface Consensus {
  readonly replica: Replica;
  /** Hands in an authenticated, inspected message. @returns false when it cannot be taken: pool full, stopping, failed. */
  submit(ingress: Ingress): boolean;
  /** Hands in a decision of the operator; resolves when the round that carries it is durable and certified. */
  decide(decision: OperatorDecision): Promise<CertifiedState>;
  /** Runs a round even though there is nothing to do; resolves when it is durable and certified. */
  tick(): Promise<CertifiedState>;
  /** Looks again at what is due: to be called when the clock was moved by hand. */
  wake(): void;
  /** The newest certified and durable state; undefined until the first one. */
  certified(): CertifiedState | undefined;
  /** A certified state not older than `maxAgeMs` by this node's clock: the present one, or after a tick. */
  refresh(maxAgeMs: number): Promise<CertifiedState>;
  /** Resolves when the request is completed in a certified durable state, or with undefined after `timeoutMs`. */
  completion(requestIdHex: string, timeoutMs: number): Promise<CertifiedState | undefined>;
  /** The newest certified and durable state once it is at `height` or above: at once when it already is. */
  certifiedSince(height: Height): Promise<CertifiedState>;
  /** Resolves when `height` is durable. */
  durable(height: Height): Promise<void>;
  /** This node's clock, nanoseconds. */
  now(): Time;
  /** Ends after the round under way, leaving nothing to replay. Whoever still waits gets a ConsensusError `stopped`. */
  stop(): Promise<void>;
}

/** A state tree with the subnet's signature on its root. */
export interface CertifiedState {
  readonly height: Height;
  readonly time: Time;
  readonly tree: LabelledTree;
  /** BLS signature, 48 bytes. */
  readonly signature: Uint8Array;
  /** CBOR-ready delegation when this subnet is not the root. */
  readonly delegation?: { readonly subnetId: Uint8Array; readonly certificate: Uint8Array };
}

/** Makes the subnet's signatures. */
export interface Signer {
  /** BLS signature, 48 bytes, of the message as it is. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Told what an engine does: for metrics and the node's log. Nothing that it does may throw. */
export interface ConsensusObserver {
  /** A round was executed. Waiting for the disk is not part of it. */
  round?(round: {
    readonly height: Height;
    readonly ingress: number;
    readonly executeMs: number;
    readonly outcome: RoundSummary;
  }): void;
  /** A sync of the input log completed, `durableMs` after the batch of `height` was written. */
  durable?(height: Height, durableMs: number): void;
  /** A certificate was published. Its signature took `signMs`; waiting for the disk is not part of it. */
  certified?(height: Height, signMs: number): void;
  /** A checkpoint was written. */
  checkpoint?(height: Height, writeMs: number): void;
  /** Batches are executed again at opening. */
  replayed?(done: number, total: number): void;
  /** Something that the operator should read. */
  notice?(text: string): void;
}

export type RoundSummary = Pick<
  Awaited<ReturnType<Replica['execute']>>,
  'executedMessages' | 'instructions' | 'logs' | 'completed'
>;

export type ConsensusErrorCode =
  /** The engine was stopped. */
  | 'stopped'
  /** The replica could not execute a batch: ARCHITECTURE section 2, invariant 7. */
  | 'host_fault'
  /** Signing failed. */
  | 'signing_failed';

/** The engine does not go on. What the disk did is a StateError of `state`. */
export class ConsensusError extends Error {
  override readonly name = 'ConsensusError';
  readonly code: ConsensusErrorCode;

  constructor(code: ConsensusErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

import type { Consensus } from '../consensus/index.ts';
import type { Gateway } from '../gateway/index.ts';
import type { Limits } from '../model/index.ts';
import { nodePlatform, type Platform } from '../platform/index.ts';
import type { Log } from './log.ts';
import { type SigningPlace, subnetSigner } from './subnet-signer.ts';

export interface NodeOptions {
  /** Absent: nothing is written, and the network is gone when the node stops. */
  readonly stateDir?: string;
  /** Absent: no port is opened; `gateway.handle` answers requests. */
  readonly listen?: { readonly host: string; readonly port: number };
  /** Prices of a new network; an existing one keeps its own. */
  readonly costSchedule?: 'normal' | 'free';
  readonly subnetType?: 'application' | 'system';
  readonly limits?: Limits;
  readonly platform?: Platform;
  /** Default: `thread`. */
  readonly signing?: SigningPlace;
  readonly log: Log;
  /** What `/api/v2/status` reports. */
  readonly implementationVersion: string;
}

/** A running node. */
export interface PerdureNode {
  /** `http://127.0.0.1:8000`; absent without a port. */
  readonly url: string | undefined;
  /** DER, 133 bytes. */
  readonly rootKey: Uint8Array;
  /** True when the network came into being with this start. */
  readonly fresh: boolean;
  readonly gateway: Gateway;
  readonly consensus: Consensus;
  /** Resolves when the node cannot go on. It has to be stopped then, too. */
  readonly failed: Promise<Error>;
  /** Finishes requests, writes what is needed to start again without replay, and lets go of everything. */
  stop(): Promise<void>;
}

/**
 * Starts a node. Nothing is left open when it fails.
 * @throws NodeError
 */
export async function openNode(options: NodeOptions): Promise<PerdureNode> {
  // The signing thread comes up while this one loads everything else.
  const signing = subnetSigner(options.signing ?? 'thread', (options.platform ?? nodePlatform).threads);
  const opening = await import('./open-node.ts');
  return opening.openNode(options, signing);
}

import type { Cycles, Height, IngressStatus, Principal, Time } from '../model/index.ts';
import type { CanisterState } from './canister-state.ts';

/**
 * The replicated state of one subnet: plain data (objects, arrays, Maps, bigints, Uint8Arrays, Principals, PageMaps),
 * so that one generic codec writes and reads all of it. Maps keep a canonical order where order matters: iterate
 * sorted by key, never by insertion.
 */
export interface SubnetState {
  protocolVersion: number;
  registryVersion: number;
  height: Height;
  time: Time;
  /** Chain of round digests (ARCHITECTURE section 2, 3), 32 bytes. */
  stateHash: Uint8Array;
  readonly network: NetworkRecord;
  nextCanisterNumber: bigint;
  /** Number of the next call id, callback id … one counter for all of the subnet. */
  nextId: bigint;
  /** By principal key. */
  readonly canisters: Map<string, CanisterState>;
  /** By request id, lower-case hex. */
  readonly ingressHistory: Map<string, IngressRecord>;
  /** Uploaded module bytes by SHA-256 hex; unreferenced ones are dropped at checkpoints. */
  readonly modules: Map<string, Uint8Array>;
  /** Calls to the management canister that wait or run over several rounds, in order. */
  readonly managementCalls: ManagementCall[];
  /** Seed of the round's random generator, from the batch; `raw_rand` of this round is answered from the next batch's. */
  randomness: Uint8Array;
  lastChargeTime: Time;
  /** Key of the canister whose turn it was when a round's instructions were last used up: there the next one goes on. */
  scheduleCursor?: string;
  /** Totals for the conservation check: minted − burned = Σ balances + in flight. */
  cyclesMinted: Cycles;
  cyclesBurned: Cycles;
  /** Messages executed in rounds since genesis: `update_transactions_total` of the subnet's metrics. */
  executedMessages?: bigint;
}

/** What genesis fixes about the subnet. */
export interface NetworkRecord {
  readonly subnetId: Principal;
  /** DER, 133 bytes. */
  readonly publicKey: Uint8Array;
  readonly rootPublicKey: Uint8Array;
  readonly subnetType: 'application' | 'system';
  readonly costSchedule: 'normal' | 'free';
  /** Nodes with their Ed25519 public keys (DER, 44 bytes), sorted by id. */
  readonly nodes: readonly { readonly nodeId: Principal; readonly publicKey: Uint8Array }[];
  /** Inclusive, sorted, disjoint. */
  readonly canisterRanges: readonly { readonly start: Principal; readonly end: Principal }[];
  /** Nodes for the fee schedule (13 by default: prices of the reference subnet), not for fault tolerance. */
  readonly feeSubnetSize: number;
  /** Whether provisional_* methods are allowed (development networks). */
  readonly provisional: boolean;
}

export interface IngressRecord {
  readonly sender: Principal;
  readonly canisterId: Principal;
  /** Effective canister id: read_state of the status is allowed under this or `canisterId`. */
  readonly effectiveCanisterId: Principal;
  readonly expiry: Time;
  status: IngressStatus;
}

/** Where a response goes. */
export type Origin =
  | { readonly kind: 'ingress'; readonly requestId: string; readonly sender: Principal }
  | { readonly kind: 'canister'; readonly canister: Principal; readonly callbackId: bigint; readonly deadline: Time }
  | { readonly kind: 'system' };

/** A call to the management canister between its induction and its response. */
export interface ManagementCall {
  readonly id: bigint;
  readonly origin: Origin;
  readonly caller: Principal;
  readonly method: string;
  readonly arg: Uint8Array;
  /** Cycles attached and not yet accepted; refunded with the response. */
  cycles: Cycles;
  readonly receivedAt: Time;
  /** Owned by `replica/management`: what it remembers between rounds (plain data). */
  progress: unknown;
  /** When a pending call wants to be asked again though nothing else happens; 0 = in the next round. */
  wakeAt?: Time | undefined;
  /** Key of the canister that runs no message while this call is pending. */
  occupies?: string | undefined;
}

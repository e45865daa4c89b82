import type { LabelledTree } from '../certification/index.ts';
import type { Batch, Height, Ingress, Principal, Response, SenderInfo, Time, UserError } from '../model/index.ts';
import type { SubnetState } from '../state/index.ts';

/** One subnet's deterministic round and its read-only side doors. Same batches, same state, on every machine. */
export interface Replica {
  /** The state after the last executed round; read-only for everybody else. */
  readonly state: SubnetState;
  /** The specification's state tree of the last executed round (immutable; safe to keep). */
  readonly tree: LabelledTree;
  /** Executes a round. Rounds do not overlap. Rejects only with a HostFault. */
  execute(batch: Batch): Promise<RoundOutcome>;
  /** A query or a composite query, on the state as it is; `dataCertificate` as given. */
  query(query: Query): Promise<QueryOutcome>;
  /** Whether an update call may enter: existence, status, cycles, management permissions, `canister_inspect_message`. */
  inspectIngress(ingress: Ingress): Promise<UserError | undefined>;
  /** True while messages wait or are paused: another round should follow at once. */
  readonly busy: boolean;
  /** Settles the stacks of paused messages, after the present round; the replica is not used any more. */
  close(): Promise<void>;
  /** When something is due although no message arrives: timer, heartbeat, expiry, charging that matters. */
  nextDeadline(): Time | undefined;
}

export interface RoundOutcome {
  readonly height: Height;
  readonly time: Time;
  /** Root hash of the state tree: what the subnet signs. */
  readonly certifiedRoot: Uint8Array;
  readonly stateHash: Uint8Array;
  /** Digest of each canister changed in the round, by principal key, sorted: for the outcome record. */
  readonly canisterDigests: readonly (readonly [string, Uint8Array])[];
  /** Request ids (hex) that reached replied or rejected in this round. */
  readonly completed: readonly string[];
  readonly executedMessages: number;
  readonly instructions: bigint;
  /** Lines of `ic0.debug_print` and traps, for the node's log. */
  readonly logs: readonly { readonly canister: Principal; readonly text: string }[];
}

export interface Query {
  readonly sender: Principal;
  readonly canisterId: Principal;
  readonly effectiveCanisterId: Principal;
  readonly method: string;
  readonly arg: Uint8Array;
  /** Read once, when the query begins on a state at rest: a getter can give the certificate of that state. */
  readonly dataCertificate?: Uint8Array;
  /** `sender_info` of canister-signature senders, when present and verified. */
  readonly senderInfo?: SenderInfo;
}

export interface QueryOutcome {
  readonly response: Response;
  /** Height of the state that it saw: the answer may leave once that height is durable. */
  readonly height: Height;
}

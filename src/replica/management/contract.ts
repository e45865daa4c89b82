import type {
  Cycles,
  FeeContext,
  IdleUse,
  Ingress,
  Limits,
  Principal,
  Response,
  Time,
  UserError,
} from '../../model/index.ts';
import type { CanisterImage, ExecutionEnvironment, PreparedModule, Sandbox } from '../../sandbox/index.ts';
import type { CanisterState, ManagementCall, SubnetState } from '../../state/index.ts';

/**
 * The border between the round (`src/replica`) and the management canister (`src/replica/management`). The round owns
 * queues, call contexts, responses and running canister messages; the management canister owns what `aaaaa-aa` does.
 */
export interface Management {
  /**
   * Executes a call, or goes on with one that is pending. Called for every entry of `state.managementCalls`, in order,
   * in its first round and then again at least once in each later round (and again within a round when canister messages
   * ran), until it answers; the round then removes the entry and routes the response with `call.cycles` as the refund.
   * Calls whose target has a paused message are held back by the round. Errors of the caller are responses; only a
   * HostFault is thrown. What must survive a restart is plain data in `call.progress`; a live PausedExecution is only a
   * cache of it.
   */
  execute(call: ManagementCall, host: ManagementHost): Promise<ManagementOutcome>;
  /**
   * Whether an ingress message addressed to `aaaaa-aa` may enter: the method exists and may be called by users, the
   * payload decodes, the sender is allowed (controller …). Also what decides it again at induction.
   */
  inspect(ingress: Ingress, host: ManagementHost): UserError | undefined;
  /** Non-replicated query methods: `fetch_canister_logs`, `list_canisters` … */
  query(query: ManagementQuery, host: ManagementHost): Response;
  /**
   * A canister cannot pay for its memory: takes its code, memories, chunks and allocations away, rejects its open calls
   * and says so in its history.
   */
  outOfCycles(canister: CanisterState, host: ManagementHost): void;
  /**
   * The canister that a call is about (its effective canister id), undefined when there is none or the payload does not
   * decode: who pays for ingress, and who must not be in the middle of a message.
   */
  target(method: string, arg: Uint8Array): Principal | undefined;
  /** Settles the live stacks of pending installations; the calls stay pending in the state. */
  close?(): Promise<void>;
}

export type ManagementOutcome =
  | {
      readonly kind: 'response';
      readonly response: Response;
      /** Instructions of this step, for the round's budget. */
      readonly instructions?: bigint | undefined;
    }
  | {
      readonly kind: 'pending';
      /** When it wants to be asked again although nothing else happens: a deadline, or 0 for the next round at once. */
      readonly wakeAt: Time;
      /** No message of this canister may run until then (an installation over several slices). */
      readonly occupies?: Principal | undefined;
      /** Instructions of this step, for the round's budget. */
      readonly instructions?: bigint | undefined;
    };

export interface ManagementQuery {
  readonly sender: Principal;
  readonly effectiveCanisterId: Principal;
  readonly method: string;
  readonly arg: Uint8Array;
}

/** What the round lends to the management canister. Valid during the call only. */
export interface ManagementHost {
  readonly state: SubnetState;
  readonly sandbox: Sandbox;
  readonly limits: Limits;
  readonly fees: FeeContext;
  /** The prepared module of uploaded bytes with this SHA-256 (hex) in `state.modules`; undefined when there is none. */
  preparedModule(moduleHash: string): PreparedModule | undefined;
  /** The canister as the sandbox takes it; undefined while it is empty. Build your own over forked pages for installs. */
  image(canister: CanisterState): CanisterImage | undefined;
  /** The environment of a system entry point (init, pre_upgrade, start …) of `canister` as it is now. */
  environment(canister: CanisterState, entry: HookEnvironment): ExecutionEnvironment;
  /** Bytes that the canister uses, by part; what `canister_status` reports and what is charged. */
  memoryUse(canister: CanisterState): MemoryUse;
  /** What it burns while idle: input of `idleCyclesPerDay` and `freezingThresholdCycles`. */
  idleUse(canister: CanisterState): IdleUse;
  freezingThreshold(canister: CanisterState): Cycles;
  /** Bytes in use on the whole subnet (allocations included). */
  subnetMemoryUse(): bigint;
  /**
   * Answers every open call of a canister that loses its code or is deleted with a reject (IC0406-like text given by
   * `reason`), refunds what they carried, and marks its call contexts so that late responses run no callback.
   */
  rejectOpenCalls(canister: CanisterState, reason: UserError): void;
  /** Appends to the canister's log (4 KiB kept) and to the round's log lines. */
  log(canister: CanisterState, content: Uint8Array): void;
  /**
   * Tells the round digest, the state tree and the scheduler that this canister (also a new or deleted one) changed.
   * `pages: 'all'` when memories were replaced (install, reinstall, upgrade, uninstall, load_snapshot).
   */
  changed(canisterId: Principal, pages?: 'all'): void;
}

export interface HookEnvironment {
  readonly caller: Principal;
  readonly totalInstructions: bigint;
  /** Balance that the hook sees. */
  readonly balance?: Cycles;
  /** `canister_version` that the hook sees, when it is not the canister's present one. */
  readonly canisterVersion?: bigint;
}

export interface MemoryUse {
  readonly heap: bigint;
  readonly stable: bigint;
  readonly globals: bigint;
  readonly binary: bigint;
  readonly customSections: bigint;
  readonly history: bigint;
  readonly chunkStore: bigint;
  readonly snapshots: bigint;
  readonly logs: bigint;
  readonly total: bigint;
}

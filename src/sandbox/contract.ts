import type { Cycles, PageStore, Principal, Reject, SenderInfo, Time, UserError } from '../model/index.ts';

/**
 * What the replica asks of the sandbox and what it gets back. Everything that a message may see is a value in
 * `ExecutionEnvironment`; everything that it did is a value in `ExecutionResult`. Nothing else passes.
 */

/** A module after validation, rewriting and compilation; made by `Sandbox.prepare`, cached by hash. */
export interface PreparedModule {
  /** SHA-256 of the bytes as uploaded (gzip or not), hex: the cache key and the canister's module hash. */
  readonly hash: string;
  readonly uploadedBytes: number;
  readonly memory64: boolean;
  readonly updateMethods: ReadonlySet<string>;
  readonly queryMethods: ReadonlySet<string>;
  readonly compositeQueryMethods: ReadonlySet<string>;
  /** Names of the system entry points that it exports, e.g. `canister_init`, `canister_heartbeat`. */
  readonly entryPoints: ReadonlySet<string>;
  readonly customSections: readonly CustomSection[];
  /** Instructions that compiling it costs (charged to the install), per the real network's rate. */
  readonly compileInstructions: bigint;
}

/** An `icp:public <name>` or `icp:private <name>` custom section. */
export interface CustomSection {
  readonly name: string;
  readonly visibility: 'public' | 'private';
  readonly content: Uint8Array;
}

/**
 * Everything of a Wasm instance outside its memories: mutable globals, tables, dropped segments. Plain data (bytes,
 * numbers, arrays), opaque to all but `wasm`; the state keeps it, checkpoints store it.
 */
export interface WasmState {
  readonly globals: Uint8Array;
  readonly tables: readonly Uint8Array[];
  readonly droppedSegments: Uint8Array;
}

/** A canister as the sandbox needs it. The replica owns the page stores; the sandbox writes them only on commit. */
export interface CanisterImage {
  readonly id: Principal;
  readonly module: PreparedModule;
  readonly heap: PageStore;
  readonly stable: PageStore;
  /** Absent before the first install step. */
  readonly wasmState: WasmState | undefined;
  /** Raised by the replica whenever module, heap or stable memory were replaced by anything but a commit of the sandbox. */
  readonly generation: number;
}

export type EntryPoint =
  /**
   * First run of a module: instantiate (heap as given in the image: empty, or kept by an upgrade), then `(start)`, then
   * the hook if exported. Active data segments are applied unless `keepHeap`... see `heapKept`.
   */
  | {
      readonly kind: 'install';
      readonly hook: 'canister_init' | 'canister_post_upgrade';
      readonly arg: Uint8Array;
      readonly heapKept: boolean;
    }
  | { readonly kind: 'pre_upgrade' }
  | { readonly kind: 'update'; readonly method: string; readonly arg: Uint8Array }
  | { readonly kind: 'replicated_query'; readonly method: string; readonly arg: Uint8Array }
  | { readonly kind: 'query'; readonly method: string; readonly arg: Uint8Array }
  | { readonly kind: 'composite_query'; readonly method: string; readonly arg: Uint8Array }
  /** A `canister_query` that transforms the response of an HTTP outcall. */
  | { readonly kind: 'transform_query'; readonly method: string; readonly arg: Uint8Array }
  | {
      readonly kind: 'reply_callback';
      readonly callback: FunctionClosure;
      readonly data: Uint8Array;
      readonly composite: boolean;
    }
  | {
      readonly kind: 'reject_callback';
      readonly callback: FunctionClosure;
      readonly reject: Reject;
      readonly composite: boolean;
    }
  | {
      readonly kind: 'cleanup_callback';
      readonly callback: FunctionClosure;
      readonly rejectCode: number;
      readonly composite: boolean;
    }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'global_timer' }
  | { readonly kind: 'on_low_wasm_memory' }
  | { readonly kind: 'inspect_message'; readonly method: string; readonly arg: Uint8Array };

/** A callback: table index and environment, both as unsigned 64-bit (32-bit modules use the low half). */
export interface FunctionClosure {
  readonly fun: bigint;
  readonly env: bigint;
}

/** What a message may observe besides its canister's memories. All of it is recorded with a message that is paused. */
export interface ExecutionEnvironment {
  readonly time: Time;
  readonly caller: Principal;
  readonly senderInfo?: SenderInfo | undefined;
  /** 0 when there is none. */
  readonly deadline: Time;
  readonly canisterStatus: 1 | 2 | 3;
  readonly canisterVersion: bigint;
  readonly controllers: readonly Principal[];
  readonly subnetId: Principal;
  readonly subnetSize: number;
  /** DER, 133 bytes. */
  readonly rootKey: Uint8Array;
  readonly environmentVariables: readonly { readonly name: string; readonly value: string }[];
  /** Present for non-replicated queries when a certificate is at hand. */
  readonly dataCertificate?: Uint8Array | undefined;
  readonly replicated: boolean;
  /** False when `canister_cycle…`/fees are free (`--cost-schedule free`, system subnets). */
  readonly costSchedule: 'normal' | 'free';
  /** Balance that the message sees (prepayment already taken). */
  readonly balance: Cycles;
  /** Below this the liquid balance is zero: what `canister_liquid_cycle_balance128` subtracts. */
  readonly freezingThresholdCycles: Cycles;
  /** Cycles offered by the caller and not yet accepted. */
  readonly cyclesAvailable: Cycles;
  readonly cyclesRefunded: Cycles;
  /** True when the call was already answered (callbacks of a responded call context): replying traps. */
  readonly responded: boolean;
  /** The global timer as it is set now (absent or 0 = off): what `ic0.global_timer_set` returns. */
  readonly globalTimer?: Time;
  readonly wasmMemoryLimitBytes: bigint;
  /** Bytes by which heap + stable memory together may still grow (subnet capacity or the canister's allocation). */
  readonly growableBytes: bigint;
  /** Free slots in the output queue to a callee; call_perform fails with 2 at 0. Counted down by the sandbox in a message. */
  readonly queueCapacity: (callee: Principal) => number;
  readonly totalInstructions: bigint;
  /** Instructions used before in the same call context (`performance_counter(1)`). */
  readonly callContextInstructions: bigint;
  /** Asked once before commit; an error fails the message with it. */
  readonly approve?: (usage: MemoryUsage) => UserError | undefined;
}

export interface MemoryUsage {
  readonly heapWasmPages: number;
  readonly stableWasmPages: number;
  readonly balance: Cycles;
}

export interface OutgoingCall {
  readonly callee: Principal;
  readonly method: string;
  readonly arg: Uint8Array;
  readonly cycles: Cycles;
  /** Prepaid transmission and response fees, withdrawn with the call. */
  readonly prepaidFee: Cycles;
  readonly onReply: FunctionClosure;
  readonly onReject: FunctionClosure;
  readonly onCleanup?: FunctionClosure;
  /** Present for best-effort (bounded-wait) calls. */
  readonly timeoutSeconds?: number;
}

export interface ExecutionResult {
  readonly instructions: bigint;
  /** Absent on success. The message does not name the canister; the replica puts `Error from Canister <id>: ` before it. */
  readonly error?: UserError;
  /**
   * After a trap: the functions that were on the stack, innermost first, as their module names them; absent when it names
   * none. It comes from the host's engine, so it is for the node's log and for answers to queries, never for the state.
   */
  readonly backtrace?: readonly string[];
  // All below are empty when there is an error, but for logs, which survive a trap.
  readonly response?:
    | { readonly kind: 'reply'; readonly data: Uint8Array }
    | { readonly kind: 'reject'; readonly message: string };
  readonly calls: readonly OutgoingCall[];
  readonly cyclesAccepted: Cycles;
  readonly cyclesBurned: Cycles;
  /** New value of the global timer (0 = off) when the message set it. */
  readonly timer?: Time;
  readonly certifiedData?: Uint8Array;
  readonly logs: readonly Uint8Array[];
  /** inspect_message only. */
  readonly messageAccepted: boolean;
  readonly heapWasmPages: number;
  readonly stableWasmPages: number;
  /** Pages committed, ascending; for the round digest and metrics. */
  readonly dirtyHeapPages: readonly number[];
  readonly dirtyStablePages: readonly number[];
  readonly wasmState?: WasmState;
  /** True when remaining Wasm memory fell below the canister's threshold is for the replica to judge; the peak is here. */
  readonly peakHeapBytes: bigint;
}

/** A message after a slice: finished, or to be resumed in a later slice. */
export type Step =
  | { readonly done: true; readonly result: ExecutionResult }
  | { readonly done: false; readonly paused: PausedExecution };

export interface PausedExecution {
  readonly instructions: bigint;
  resume(sliceInstructions: bigint): Promise<Step>;
  /** Forgets it: memory as before the message; always settles the suspended stack. */
  abort(): Promise<void>;
}

export interface Sandbox {
  /**
   * Gunzips when needed, validates against the limits, rewrites and compiles; cached by hash.
   * @throws ModuleRefused with a `UserError` (IC0505 and its kin).
   */
  prepare(uploaded: Uint8Array): PreparedModule;
  /**
   * Runs a replicated message. On success the image's page stores hold the new memories when the step is done and the
   * result says what else to apply; on error everything is as before. One message per canister at a time.
   */
  execute(
    image: CanisterImage,
    entry: EntryPoint,
    environment: ExecutionEnvironment,
    sliceInstructions: bigint,
  ): Promise<Step>;
  /** A view for queries and inspect_message of the image as it is now; later commits do not show. Close it always. */
  openQuery(image: CanisterImage): QuerySession;
  /** Drops what is kept hot for a canister (deleted, uninstalled, generation raised, hibernated). */
  evict(canisterId: Principal): void;
}

/** Runs on memories that are thrown away. Entries of one session see each other's changes (composite callbacks). */
export interface QuerySession {
  execute(entry: EntryPoint, environment: ExecutionEnvironment, sliceInstructions: bigint): Promise<Step>;
  close(): void;
}

/** The module cannot be a canister: which rule it breaks, as the real replica words it. */
export class ModuleRefused extends Error {
  readonly userError: UserError;

  constructor(userError: UserError) {
    super(`${userError.code}: ${userError.message}`);
    this.name = 'ModuleRefused';
    this.userError = userError;
  }
}

/** The host failed where it may not decide (ARCHITECTURE section 2, 7): the node stops with this. */
export class HostFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HostFault';
  }
}

import type { Cycles, Principal, Reject, SenderInfo, Time } from '../model/index.ts';
import type { PageMap } from './page-map.ts';
import type { Origin } from './subnet-state.ts';

/** One canister: settings, code, memories, queues and open calls. Plain data; see SubnetState. */
export interface CanisterState {
  readonly id: Principal;
  /** Specification: incremented by every change of code, settings, status and by every executed message. */
  version: bigint;
  readonly createdAt: Time;
  settings: CanisterSettings;
  status: CanisterStatus;
  balance: Cycles;
  reservedBalance: Cycles;
  /** Absent while empty. */
  code: CanisterCode | undefined;
  heap: PageMap;
  stable: PageMap;
  /** Globals, tables, dropped segments (sandbox WasmState), absent while empty. */
  wasmState:
    | { readonly globals: Uint8Array; readonly tables: readonly Uint8Array[]; readonly droppedSegments: Uint8Array }
    | undefined;
  /** Raised when code or memories are replaced by anything but a message's commit. */
  generation: number;
  certifiedData: Uint8Array;
  /** 0 = off. */
  globalTimer: Time;
  lastHeartbeat: Time;
  /** `canister_on_low_wasm_memory`: idle, due, or executed since remaining memory was last above the threshold. */
  lowMemoryHook: 'condition_not_satisfied' | 'ready' | 'executed';
  /** FIFO of what waits to run, in order of arrival. */
  readonly input: CanisterInput[];
  readonly callContexts: Map<string, CallContext>;
  readonly callbacks: Map<string, Callback>;
  /** Messages in the queue towards each callee (requests sent and not yet answered), by principal key. */
  readonly outstanding: Map<string, number>;
  /** A message that used up its slice: what is needed to run it again to the same instruction. */
  paused: PausedMessage | undefined;
  readonly history: CanisterChange[];
  totalChanges: bigint;
  /** By SHA-256 hex. */
  readonly chunkStore: Map<string, Uint8Array>;
  readonly logs: LogRecord[];
  nextLogIndex: bigint;
  readonly snapshots: Map<string, unknown>;
  queryStats: { calls: bigint; instructions: bigint; requestBytes: bigint; responseBytes: bigint };
  /** Instructions that installs may not use yet (rate limit). */
  installDebit: bigint;
}

export interface CanisterSettings {
  controllers: readonly Principal[];
  computeAllocation: bigint;
  memoryAllocation: bigint;
  freezingThresholdSeconds: bigint;
  reservedCyclesLimit: Cycles;
  minimumIncomingCanisterCallCycles: Cycles;
  logVisibility: Visibility;
  snapshotVisibility: Visibility;
  statusVisibility: Visibility;
  wasmMemoryLimit: bigint;
  wasmMemoryThreshold: bigint;
  logMemoryLimit: bigint;
  environmentVariables: readonly { readonly name: string; readonly value: string }[];
}

export type Visibility =
  | { readonly kind: 'controllers' }
  | { readonly kind: 'public' }
  | { readonly kind: 'allowed_viewers'; readonly viewers: readonly Principal[] };

export type CanisterStatus =
  | { readonly kind: 'running' }
  /** Management calls (their ids) that wait for the stop, with when each gives up. */
  | {
      readonly kind: 'stopping';
      readonly waiting: readonly { readonly managementCallId: bigint; readonly deadline: Time }[];
    }
  | { readonly kind: 'stopped' };

export interface CanisterCode {
  /** SHA-256 of the uploaded bytes, hex; the bytes are in SubnetState.modules. */
  readonly moduleHash: string;
  readonly installedAt: Time;
  readonly customSections: readonly {
    readonly name: string;
    readonly visibility: 'public' | 'private';
    readonly content: Uint8Array;
  }[];
}

/** A message in a canister's input queue. */
export type CanisterInput =
  | {
      readonly kind: 'request';
      readonly origin: Origin;
      readonly caller: Principal;
      readonly method: string;
      readonly arg: Uint8Array;
      readonly cycles: Cycles;
      /** 0 = none. */
      readonly deadline: Time;
      readonly senderInfo?: { readonly info: Uint8Array; readonly signer: Principal } | undefined;
    }
  | { readonly kind: 'response'; readonly callbackId: bigint; readonly response: CallResponse; readonly refund: Cycles }
  | { readonly kind: 'task'; readonly task: 'heartbeat' | 'global_timer' | 'on_low_wasm_memory' };

export type CallResponse =
  | { readonly kind: 'reply'; readonly data: Uint8Array }
  | { readonly kind: 'reject'; readonly reject: Reject };

/** A call that the canister has begun to handle and not finished (interface spec, "Call contexts"). */
export interface CallContext {
  readonly id: bigint;
  readonly origin: Origin;
  readonly method: string;
  readonly deadline: Time;
  responded: boolean;
  /** Set when the canister was uninstalled or the context's callbacks must not run any more. */
  deleted: boolean;
  cyclesAvailable: Cycles;
  /** Callbacks not yet answered. */
  openCallbacks: number;
  instructions: bigint;
  /** What came with the call's sender: callbacks see it too. */
  readonly senderInfo?: SenderInfo | undefined;
}

export interface Callback {
  readonly id: bigint;
  readonly callContextId: bigint;
  readonly callee: Principal;
  readonly cyclesSent: Cycles;
  /** Prepaid for the response's transmission and the callback's execution; what is not used is returned. */
  readonly prepaid: Cycles;
  readonly onReply: { readonly fun: bigint; readonly env: bigint };
  readonly onReject: { readonly fun: bigint; readonly env: bigint };
  readonly onCleanup: { readonly fun: bigint; readonly env: bigint } | undefined;
  /** 0 = guaranteed response. */
  readonly deadline: Time;
}

/** Recorded when a message outlives a slice; the sandbox's live stack is only a cache of it. */
export interface PausedMessage {
  readonly input: CanisterInput;
  readonly startedAt: Time;
  /** Instructions executed so far: re-execution runs to exactly here before it counts as resumed. */
  instructions: bigint;
  /** Owned by the replica's execution: the values of the environment that differ from the present ones (plain data). */
  readonly environment: unknown;
  readonly prepaid: Cycles;
}

export interface CanisterChange {
  readonly time: Time;
  readonly version: bigint;
  readonly origin:
    | { readonly kind: 'from_user'; readonly userId: Principal }
    | { readonly kind: 'from_canister'; readonly canisterId: Principal; readonly canisterVersion: bigint | undefined };
  readonly details:
    | {
        readonly kind: 'creation';
        readonly controllers: readonly Principal[];
        readonly environmentVariablesHash: Uint8Array | undefined;
      }
    | { readonly kind: 'code_uninstall' }
    | {
        readonly kind: 'code_deployment';
        readonly mode: 'install' | 'reinstall' | 'upgrade';
        readonly moduleHash: string;
      }
    | {
        readonly kind: 'load_snapshot';
        /** Present when the snapshot was taken from another canister. */
        readonly fromCanisterId?: Principal | undefined;
        readonly version: bigint;
        readonly snapshotId: Uint8Array;
        readonly takenAt: Time;
      }
    | { readonly kind: 'controllers_change'; readonly controllers: readonly Principal[] }
    | {
        readonly kind: 'settings_change';
        readonly controllers: readonly Principal[] | undefined;
        readonly environmentVariablesHash: Uint8Array | undefined;
      };
}

export interface LogRecord {
  readonly index: bigint;
  readonly time: Time;
  readonly content: Uint8Array;
}

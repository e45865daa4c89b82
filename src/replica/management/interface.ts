import { IDL } from '@icp-sdk/core/candid';
import { Principal as CandidPrincipal } from '@icp-sdk/core/principal';
import { ErrorCode, Principal, type UserError } from '../../model/index.ts';
import { slimCandid } from './candid-message.ts';

/**
 * Candid types of the management canister, from the interface specification's ic.did, each written once. `decode` and
 * `encode` are the only ways in and out; on our side an absent `opt` is `undefined` (see `Opt` and `given`).
 */

const Blob = IDL.Vec(IDL.Nat8);
const CanisterId = IDL.Principal;
const Visibility = IDL.Variant({
  controllers: IDL.Null,
  public: IDL.Null,
  allowed_viewers: IDL.Vec(IDL.Principal),
});
const EnvironmentVariable = IDL.Record({ name: IDL.Text, value: IDL.Text });
const Settings = IDL.Record({
  controllers: IDL.Opt(IDL.Vec(IDL.Principal)),
  compute_allocation: IDL.Opt(IDL.Nat),
  memory_allocation: IDL.Opt(IDL.Nat),
  freezing_threshold: IDL.Opt(IDL.Nat),
  reserved_cycles_limit: IDL.Opt(IDL.Nat),
  minimum_incoming_canister_call_cycles: IDL.Opt(IDL.Nat),
  log_visibility: IDL.Opt(Visibility),
  log_memory_limit: IDL.Opt(IDL.Nat),
  snapshot_visibility: IDL.Opt(Visibility),
  status_visibility: IDL.Opt(Visibility),
  wasm_memory_limit: IDL.Opt(IDL.Nat),
  wasm_memory_threshold: IDL.Opt(IDL.Nat),
  environment_variables: IDL.Opt(IDL.Vec(EnvironmentVariable)),
});
const DefiniteSettings = IDL.Record({
  controllers: IDL.Vec(IDL.Principal),
  compute_allocation: IDL.Nat,
  memory_allocation: IDL.Nat,
  freezing_threshold: IDL.Nat,
  reserved_cycles_limit: IDL.Nat,
  minimum_incoming_canister_call_cycles: IDL.Nat,
  log_visibility: Visibility,
  log_memory_limit: IDL.Nat,
  snapshot_visibility: Visibility,
  status_visibility: Visibility,
  wasm_memory_limit: IDL.Nat,
  wasm_memory_threshold: IDL.Nat,
  environment_variables: IDL.Vec(EnvironmentVariable),
});
const InstallMode = IDL.Variant({
  install: IDL.Null,
  reinstall: IDL.Null,
  upgrade: IDL.Opt(
    IDL.Record({
      skip_pre_upgrade: IDL.Opt(IDL.Bool),
      wasm_memory_persistence: IDL.Opt(IDL.Variant({ keep: IDL.Null, replace: IDL.Null })),
    }),
  ),
});
const SnapshotSource = IDL.Variant({ taken_from_canister: IDL.Reserved, metadata_upload: IDL.Reserved });
const Change = IDL.Record({
  timestamp_nanos: IDL.Nat64,
  canister_version: IDL.Nat64,
  origin: IDL.Variant({
    from_user: IDL.Record({ user_id: IDL.Principal }),
    from_canister: IDL.Record({ canister_id: CanisterId, canister_version: IDL.Opt(IDL.Nat64) }),
  }),
  details: IDL.Variant({
    creation: IDL.Record({
      controllers: IDL.Vec(IDL.Principal),
      environment_variables_hash: IDL.Opt(Blob),
    }),
    code_uninstall: IDL.Null,
    code_deployment: IDL.Record({
      mode: IDL.Variant({ install: IDL.Null, reinstall: IDL.Null, upgrade: IDL.Null }),
      module_hash: Blob,
    }),
    load_snapshot: IDL.Record({
      from_canister_id: IDL.Opt(IDL.Principal),
      snapshot_id: Blob,
      canister_version: IDL.Nat64,
      taken_at_timestamp: IDL.Nat64,
      source: SnapshotSource,
    }),
    controllers_change: IDL.Record({ controllers: IDL.Vec(IDL.Principal) }),
    settings_change: IDL.Record({
      controllers: IDL.Opt(IDL.Vec(IDL.Principal)),
      environment_variables_hash: IDL.Opt(Blob),
    }),
  }),
});
const Snapshot = IDL.Record({ id: Blob, taken_at_timestamp: IDL.Nat64, total_size: IDL.Nat64 });
const Global = IDL.Variant({ i32: IDL.Int32, i64: IDL.Int64, f32: IDL.Float32, f64: IDL.Float64, v128: IDL.Nat });
const GlobalTimer = IDL.Variant({ inactive: IDL.Null, active: IDL.Nat64 });
const HookStatus = IDL.Variant({ condition_not_satisfied: IDL.Null, ready: IDL.Null, executed: IDL.Null });
const ChunkHash = IDL.Record({ hash: Blob });
const CanisterIdRecord = IDL.Record({ canister_id: CanisterId });
const version = { sender_canister_version: IDL.Opt(IDL.Nat64) };
const snapshotId = { canister_id: CanisterId, snapshot_id: Blob };
const range = IDL.Record({ start: IDL.Nat64, end: IDL.Nat64 });
const slice = IDL.Record({ offset: IDL.Nat64, size: IDL.Nat64 });

const ARGUMENTS: Readonly<Record<ArgumentName, IDL.Type>> = {
  create_canister: IDL.Record({ settings: IDL.Opt(Settings), ...version }),
  provisional_create_canister_with_cycles: IDL.Record({
    amount: IDL.Opt(IDL.Nat),
    settings: IDL.Opt(Settings),
    specified_id: IDL.Opt(CanisterId),
    ...version,
  }),
  provisional_top_up_canister: IDL.Record({ canister_id: CanisterId, amount: IDL.Nat }),
  update_settings: IDL.Record({ canister_id: CanisterId, settings: Settings, ...version }),
  upload_chunk: IDL.Record({ canister_id: CanisterId, chunk: Blob }),
  install_code: IDL.Record({
    mode: InstallMode,
    canister_id: CanisterId,
    wasm_module: Blob,
    arg: Blob,
    ...version,
  }),
  install_chunked_code: IDL.Record({
    mode: InstallMode,
    target_canister: CanisterId,
    store_canister: IDL.Opt(CanisterId),
    chunk_hashes_list: IDL.Vec(ChunkHash),
    wasm_module_hash: Blob,
    arg: Blob,
    ...version,
  }),
  uninstall_code: IDL.Record({ canister_id: CanisterId, ...version }),
  canister_id: CanisterIdRecord,
  canister_info: IDL.Record({ canister_id: CanisterId, num_requested_changes: IDL.Opt(IDL.Nat64) }),
  canister_metadata: IDL.Record({ canister_id: CanisterId, name: IDL.Text }),
  take_canister_snapshot: IDL.Record({
    canister_id: CanisterId,
    replace_snapshot: IDL.Opt(Blob),
    uninstall_code: IDL.Opt(IDL.Bool),
    ...version,
  }),
  load_canister_snapshot: IDL.Record({ ...snapshotId, ...version }),
  snapshot: IDL.Record(snapshotId),
  read_canister_snapshot_data: IDL.Record({
    ...snapshotId,
    kind: IDL.Variant({ wasm_module: slice, wasm_memory: slice, stable_memory: slice, wasm_chunk: ChunkHash }),
  }),
  fetch_canister_logs: IDL.Record({
    canister_id: CanisterId,
    filter: IDL.Opt(IDL.Variant({ by_idx: range, by_timestamp_nanos: range })),
  }),
  node_metrics_history: IDL.Record({ subnet_id: IDL.Principal, start_at_timestamp_nanos: IDL.Nat64 }),
  subnet: IDL.Record({ subnet_id: IDL.Principal }),
};

const RESULTS: Readonly<Record<ResultName, IDL.Type>> = {
  canister_id: CanisterIdRecord,
  upload_chunk: ChunkHash,
  stored_chunks: IDL.Vec(ChunkHash),
  raw_rand: Blob,
  canister_status: IDL.Record({
    status: IDL.Variant({ running: IDL.Null, stopping: IDL.Null, stopped: IDL.Null }),
    ready_for_migration: IDL.Bool,
    version: IDL.Nat64,
    settings: DefiniteSettings,
    module_hash: IDL.Opt(Blob),
    memory_size: IDL.Nat,
    memory_metrics: IDL.Record({
      wasm_memory_size: IDL.Nat,
      stable_memory_size: IDL.Nat,
      global_memory_size: IDL.Nat,
      wasm_binary_size: IDL.Nat,
      custom_sections_size: IDL.Nat,
      canister_history_size: IDL.Nat,
      wasm_chunk_store_size: IDL.Nat,
      snapshots_size: IDL.Nat,
      log_memory_store_size: IDL.Nat,
    }),
    cycles: IDL.Nat,
    reserved_cycles: IDL.Nat,
    idle_cycles_burned_per_day: IDL.Nat,
    query_stats: IDL.Record({
      num_calls_total: IDL.Nat,
      num_instructions_total: IDL.Nat,
      request_payload_bytes_total: IDL.Nat,
      response_payload_bytes_total: IDL.Nat,
    }),
  }),
  canister_info: IDL.Record({
    total_num_changes: IDL.Nat64,
    recent_changes: IDL.Vec(Change),
    module_hash: IDL.Opt(Blob),
    controllers: IDL.Vec(IDL.Principal),
  }),
  canister_metadata: IDL.Record({ value: Blob }),
  take_canister_snapshot: Snapshot,
  list_canister_snapshots: IDL.Vec(Snapshot),
  read_canister_snapshot_metadata: IDL.Record({
    source: SnapshotSource,
    taken_at_timestamp: IDL.Nat64,
    wasm_module_size: IDL.Nat64,
    globals: IDL.Vec(Global),
    wasm_memory_size: IDL.Nat64,
    stable_memory_size: IDL.Nat64,
    wasm_chunk_store: IDL.Vec(ChunkHash),
    canister_version: IDL.Nat64,
    certified_data: Blob,
    global_timer: IDL.Opt(GlobalTimer),
    on_low_wasm_memory_hook_status: IDL.Opt(HookStatus),
  }),
  read_canister_snapshot_data: IDL.Record({ chunk: Blob }),
  fetch_canister_logs: IDL.Record({
    canister_log_records: IDL.Vec(IDL.Record({ idx: IDL.Nat64, timestamp_nanos: IDL.Nat64, content: Blob })),
  }),
  list_canisters: IDL.Record({ canisters: IDL.Vec(IDL.Record({ start: CanisterId, end: CanisterId })) }),
  node_metrics_history: IDL.Vec(
    IDL.Record({
      timestamp_nanos: IDL.Nat64,
      node_metrics: IDL.Vec(
        IDL.Record({
          node_id: IDL.Principal,
          num_blocks_proposed_total: IDL.Nat64,
          num_block_failures_total: IDL.Nat64,
        }),
      ),
    }),
  ),
  subnet_metrics: IDL.Record({
    block_height: IDL.Nat,
    num_canisters: IDL.Nat,
    canister_state_bytes: IDL.Nat,
    consumed_cycles_total: IDL.Nat,
    update_transactions_total: IDL.Nat,
  }),
  subnet_info: IDL.Record({ replica_version: IDL.Text, registry_version: IDL.Nat64 }),
};

/** A Candid `opt` as the library shows it. */
export type Opt<T> = readonly [] | readonly [T];

/** Any principal of a decoded argument; `principalOf` makes it ours. */
export interface WirePrincipal {
  toUint8Array(): Uint8Array;
}

export type WireVisibility =
  | { readonly controllers: null }
  | { readonly public: null }
  | { readonly allowed_viewers: readonly WirePrincipal[] };

export interface WireSettings {
  readonly controllers: Opt<readonly WirePrincipal[]>;
  readonly compute_allocation: Opt<bigint>;
  readonly memory_allocation: Opt<bigint>;
  readonly freezing_threshold: Opt<bigint>;
  readonly reserved_cycles_limit: Opt<bigint>;
  readonly minimum_incoming_canister_call_cycles: Opt<bigint>;
  readonly log_visibility: Opt<WireVisibility>;
  readonly log_memory_limit: Opt<bigint>;
  readonly snapshot_visibility: Opt<WireVisibility>;
  readonly status_visibility: Opt<WireVisibility>;
  readonly wasm_memory_limit: Opt<bigint>;
  readonly wasm_memory_threshold: Opt<bigint>;
  readonly environment_variables: Opt<readonly { readonly name: string; readonly value: string }[]>;
}

export type WireInstallMode =
  | { readonly install: null }
  | { readonly reinstall: null }
  | {
      readonly upgrade: Opt<{
        readonly skip_pre_upgrade: Opt<boolean>;
        readonly wasm_memory_persistence: Opt<{ readonly keep: null } | { readonly replace: null }>;
      }>;
    };

interface WithVersion {
  readonly sender_canister_version: Opt<bigint>;
}
interface WithCanister {
  readonly canister_id: WirePrincipal;
}
interface WithSnapshot extends WithCanister {
  readonly snapshot_id: Uint8Array;
}
interface WireSlice {
  readonly offset: bigint;
  readonly size: bigint;
}
export interface WireRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** What `decode` gives for each argument type. */
export interface Arguments {
  readonly create_canister: WithVersion & { readonly settings: Opt<WireSettings> };
  readonly provisional_create_canister_with_cycles: WithVersion & {
    readonly amount: Opt<bigint>;
    readonly settings: Opt<WireSettings>;
    readonly specified_id: Opt<WirePrincipal>;
  };
  readonly provisional_top_up_canister: WithCanister & { readonly amount: bigint };
  readonly update_settings: WithCanister & WithVersion & { readonly settings: WireSettings };
  readonly upload_chunk: WithCanister & { readonly chunk: Uint8Array };
  readonly install_code: WithCanister &
    WithVersion & { readonly mode: WireInstallMode; readonly wasm_module: Uint8Array; readonly arg: Uint8Array };
  readonly install_chunked_code: WithVersion & {
    readonly mode: WireInstallMode;
    readonly target_canister: WirePrincipal;
    readonly store_canister: Opt<WirePrincipal>;
    readonly chunk_hashes_list: readonly { readonly hash: Uint8Array }[];
    readonly wasm_module_hash: Uint8Array;
    readonly arg: Uint8Array;
  };
  readonly uninstall_code: WithCanister & WithVersion;
  readonly canister_id: WithCanister;
  readonly canister_info: WithCanister & { readonly num_requested_changes: Opt<bigint> };
  readonly canister_metadata: WithCanister & { readonly name: string };
  readonly take_canister_snapshot: WithCanister &
    WithVersion & { readonly replace_snapshot: Opt<Uint8Array>; readonly uninstall_code: Opt<boolean> };
  readonly load_canister_snapshot: WithSnapshot & WithVersion;
  readonly snapshot: WithSnapshot;
  readonly read_canister_snapshot_data: WithSnapshot & {
    readonly kind:
      | { readonly wasm_module: WireSlice }
      | { readonly wasm_memory: WireSlice }
      | { readonly stable_memory: WireSlice }
      | { readonly wasm_chunk: { readonly hash: Uint8Array } };
  };
  readonly fetch_canister_logs: WithCanister & {
    readonly filter: Opt<{ readonly by_idx: WireRange } | { readonly by_timestamp_nanos: WireRange }>;
  };
  readonly node_metrics_history: { readonly subnet_id: WirePrincipal; readonly start_at_timestamp_nanos: bigint };
  readonly subnet: { readonly subnet_id: WirePrincipal };
}

export type ArgumentName = keyof Arguments;
export type ResultName =
  | 'canister_id'
  | 'upload_chunk'
  | 'stored_chunks'
  | 'raw_rand'
  | 'canister_status'
  | 'canister_info'
  | 'canister_metadata'
  | 'take_canister_snapshot'
  | 'list_canister_snapshots'
  | 'read_canister_snapshot_metadata'
  | 'read_canister_snapshot_data'
  | 'fetch_canister_logs'
  | 'list_canisters'
  | 'node_metrics_history'
  | 'subnet_info'
  | 'subnet_metrics';

const REASON_CHARACTERS = 500;
const PRINCIPAL_BYTES_MAX = 29;

/** The payload is not of the type it should be. */
export class PayloadRefused extends Error {
  readonly userError: UserError;

  constructor(reason: string) {
    // Types of hostile messages can have long names.
    const message = `Error decoding candid: ${reason.slice(0, REASON_CHARACTERS)}`;
    super(message);
    this.name = 'PayloadRefused';
    this.userError = { code: ErrorCode.InvalidManagementPayload, message };
  }
}

/** @throws PayloadRefused (IC0408) when the bytes are not one Candid value of that type. */
export function decode<Name extends ArgumentName>(name: Name, bytes: Uint8Array): Arguments[Name] {
  try {
    const slim = slimCandid(bytes);
    const values: unknown[] = IDL.decode([ARGUMENTS[name]], slim.bytes);
    return slim.restore(values[0]) as Arguments[Name];
  } catch (error) {
    throw new PayloadRefused(error instanceof Error ? error.message : String(error));
  }
}

export function encode(name: ResultName, value: unknown): Uint8Array {
  return IDL.encode([RESULTS[name]], [value]);
}

/** `()`: the reply of methods without a result. */
export function encodeNothing(): Uint8Array {
  return IDL.encode([], []);
}

/** @throws PayloadRefused (IC0408) when it is longer than principals are */
export function principalOf(wire: WirePrincipal): Principal {
  const bytes = wire.toUint8Array();
  if (bytes.length > PRINCIPAL_BYTES_MAX) throw new PayloadRefused(`a principal of ${bytes.length} bytes`);
  return Principal.fromBytes(bytes);
}

export function wireOf(principal: Principal): CandidPrincipal {
  return CandidPrincipal.fromUint8Array(principal.bytes);
}

/** What an `opt` holds. */
export function given<T>(option: Opt<T>): T | undefined {
  return option[0];
}

export function optional<T>(value: T | undefined): Opt<T> {
  return value === undefined ? [] : [value];
}

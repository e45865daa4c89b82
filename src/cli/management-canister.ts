import { IDL } from '@icp-sdk/core/candid';

/** The methods of the management canister that the command line calls (interface spec, "The IC management canister"). */
const CanisterArgument = IDL.Record({ canister_id: IDL.Principal });

const Settings = IDL.Record({
  controllers: IDL.Opt(IDL.Vec(IDL.Principal)),
  freezing_threshold: IDL.Opt(IDL.Nat),
  memory_allocation: IDL.Opt(IDL.Nat),
  compute_allocation: IDL.Opt(IDL.Nat),
});

const Mode = IDL.Variant({
  install: IDL.Null,
  reinstall: IDL.Null,
  upgrade: IDL.Opt(
    IDL.Record({
      skip_pre_upgrade: IDL.Opt(IDL.Bool),
      wasm_memory_persistence: IDL.Opt(IDL.Variant({ keep: IDL.Null, replace: IDL.Null })),
    }),
  ),
});

const ChunkHash = IDL.Record({ hash: IDL.Vec(IDL.Nat8) });

/** What `canister_status` reports and the command line prints; more is sent and ignored. */
const Status = IDL.Record({
  status: IDL.Variant({ running: IDL.Null, stopping: IDL.Null, stopped: IDL.Null }),
  version: IDL.Nat64,
  settings: IDL.Record({
    controllers: IDL.Vec(IDL.Principal),
    compute_allocation: IDL.Nat,
    memory_allocation: IDL.Nat,
    freezing_threshold: IDL.Nat,
  }),
  module_hash: IDL.Opt(IDL.Vec(IDL.Nat8)),
  memory_size: IDL.Nat,
  cycles: IDL.Nat,
  reserved_cycles: IDL.Nat,
  idle_cycles_burned_per_day: IDL.Nat,
  query_stats: IDL.Record({
    num_calls_total: IDL.Nat,
    num_instructions_total: IDL.Nat,
    request_payload_bytes_total: IDL.Nat,
    response_payload_bytes_total: IDL.Nat,
  }),
});

export const MANAGEMENT: Readonly<Record<string, IDL.FuncClass>> = {
  provisional_create_canister_with_cycles: IDL.Func(
    [
      IDL.Record({
        amount: IDL.Opt(IDL.Nat),
        settings: IDL.Opt(Settings),
        specified_id: IDL.Opt(IDL.Principal),
      }),
    ],
    [CanisterArgument],
    [],
  ),
  install_code: IDL.Func(
    [
      IDL.Record({
        mode: Mode,
        canister_id: IDL.Principal,
        wasm_module: IDL.Vec(IDL.Nat8),
        arg: IDL.Vec(IDL.Nat8),
      }),
    ],
    [],
    [],
  ),
  install_chunked_code: IDL.Func(
    [
      IDL.Record({
        mode: Mode,
        target_canister: IDL.Principal,
        chunk_hashes_list: IDL.Vec(ChunkHash),
        wasm_module_hash: IDL.Vec(IDL.Nat8),
        arg: IDL.Vec(IDL.Nat8),
      }),
    ],
    [],
    [],
  ),
  clear_chunk_store: IDL.Func([CanisterArgument], [], []),
  upload_chunk: IDL.Func([IDL.Record({ canister_id: IDL.Principal, chunk: IDL.Vec(IDL.Nat8) })], [ChunkHash], []),
  canister_status: IDL.Func([CanisterArgument], [Status], []),
  start_canister: IDL.Func([CanisterArgument], [], []),
  stop_canister: IDL.Func([CanisterArgument], [], []),
  delete_canister: IDL.Func([CanisterArgument], [], []),
  fetch_canister_logs: IDL.Func(
    [CanisterArgument],
    [
      IDL.Record({
        canister_log_records: IDL.Vec(
          IDL.Record({ idx: IDL.Nat64, timestamp_nanos: IDL.Nat64, content: IDL.Vec(IDL.Nat8) }),
        ),
      }),
    ],
    ['query'],
  ),
};

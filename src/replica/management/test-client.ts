import { IDL } from '@icp-sdk/core/candid';
import { Principal as CandidPrincipal } from '@icp-sdk/core/principal';
import { utf8 } from '../../codec/index.ts';
import { type Ingress, type Limits, MANAGEMENT_CANISTER, Principal, type Response } from '../../model/index.ts';
import type { PreparedModule, Sandbox } from '../../sandbox/index.ts';
import type { CanisterState } from '../../state/index.ts';
import { type Script, ScriptedSandbox } from '../scripted-sandbox.ts';
import { newState, TestSubnet, USER } from '../test-subnet.ts';
import { createManagement } from './index.ts';

/**
 * For tests: a subnet in memory with the real management canister and scripted modules, called with Candid that is
 * written from the specification independently of `interface.ts`.
 */

const Blob = IDL.Vec(IDL.Nat8);
const Visibility = IDL.Variant({ controllers: IDL.Null, public: IDL.Null, allowed_viewers: IDL.Vec(IDL.Principal) });
const Settings = IDL.Record({
  controllers: IDL.Opt(IDL.Vec(IDL.Principal)),
  compute_allocation: IDL.Opt(IDL.Nat),
  memory_allocation: IDL.Opt(IDL.Nat),
  freezing_threshold: IDL.Opt(IDL.Nat),
  reserved_cycles_limit: IDL.Opt(IDL.Nat),
  minimum_incoming_canister_call_cycles: IDL.Opt(IDL.Nat),
  log_visibility: IDL.Opt(Visibility),
  snapshot_visibility: IDL.Opt(Visibility),
  status_visibility: IDL.Opt(Visibility),
  wasm_memory_limit: IDL.Opt(IDL.Nat),
  wasm_memory_threshold: IDL.Opt(IDL.Nat),
  log_memory_limit: IDL.Opt(IDL.Nat),
  environment_variables: IDL.Opt(IDL.Vec(IDL.Record({ name: IDL.Text, value: IDL.Text }))),
});
const SETTINGS = [
  'controllers',
  'compute_allocation',
  'memory_allocation',
  'freezing_threshold',
  'reserved_cycles_limit',
  'minimum_incoming_canister_call_cycles',
  'log_visibility',
  'snapshot_visibility',
  'status_visibility',
  'wasm_memory_limit',
  'wasm_memory_threshold',
  'log_memory_limit',
  'environment_variables',
];
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
const Id = { canister_id: IDL.Principal };
const Version = { sender_canister_version: IDL.Opt(IDL.Nat64) };

/** Arguments by method; those not listed take only a canister id. */
const ARGUMENTS: Readonly<Record<string, IDL.Type>> = {
  provisional_create_canister_with_cycles: IDL.Record({
    amount: IDL.Opt(IDL.Nat),
    settings: IDL.Opt(Settings),
    specified_id: IDL.Opt(IDL.Principal),
    ...Version,
  }),
  create_canister: IDL.Record({ settings: IDL.Opt(Settings), ...Version }),
  provisional_top_up_canister: IDL.Record({ ...Id, amount: IDL.Nat }),
  update_settings: IDL.Record({ ...Id, settings: Settings, ...Version }),
  install_code: IDL.Record({ ...Id, mode: Mode, wasm_module: Blob, arg: Blob, ...Version }),
  install_chunked_code: IDL.Record({
    mode: Mode,
    target_canister: IDL.Principal,
    store_canister: IDL.Opt(IDL.Principal),
    chunk_hashes_list: IDL.Vec(IDL.Record({ hash: Blob })),
    wasm_module_hash: Blob,
    arg: Blob,
    ...Version,
  }),
  upload_chunk: IDL.Record({ ...Id, chunk: Blob }),
  uninstall_code: IDL.Record({ ...Id, ...Version }),
  canister_info: IDL.Record({ ...Id, num_requested_changes: IDL.Opt(IDL.Nat64) }),
  canister_metadata: IDL.Record({ ...Id, name: IDL.Text }),
  take_canister_snapshot: IDL.Record({
    ...Id,
    replace_snapshot: IDL.Opt(Blob),
    uninstall_code: IDL.Opt(IDL.Bool),
    ...Version,
  }),
  load_canister_snapshot: IDL.Record({ ...Id, snapshot_id: Blob, ...Version }),
  delete_canister_snapshot: IDL.Record({ ...Id, snapshot_id: Blob }),
  read_canister_snapshot_data: IDL.Record({
    ...Id,
    snapshot_id: Blob,
    kind: IDL.Variant({
      wasm_module: IDL.Record({ offset: IDL.Nat64, size: IDL.Nat64 }),
      wasm_memory: IDL.Record({ offset: IDL.Nat64, size: IDL.Nat64 }),
    }),
  }),
  fetch_canister_logs: IDL.Record({
    ...Id,
    filter: IDL.Opt(
      IDL.Variant({
        by_idx: IDL.Record({ start: IDL.Nat64, end: IDL.Nat64 }),
        by_timestamp_nanos: IDL.Record({ start: IDL.Nat64, end: IDL.Nat64 }),
      }),
    ),
  }),
  subnet_info: IDL.Record({ subnet_id: IDL.Principal }),
};

/** Encodes an argument; optional fields may be left out. */
export function argument(method: string, value: Readonly<Record<string, unknown>> = {}): Uint8Array {
  const type = ARGUMENTS[method] ?? IDL.Record(Id);
  const defaults: Record<string, unknown> = {
    amount: [],
    settings: [],
    specified_id: [],
    sender_canister_version: [],
    store_canister: [],
    replace_snapshot: [],
    uninstall_code: [],
    filter: [],
    num_requested_changes: [],
    arg: new Uint8Array(),
  };
  return Uint8Array.from(IDL.encode([type], [{ ...defaults, ...value }]));
}

export function settings(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(SETTINGS.map((name) => [name, name in given ? [given[name]] : []]));
}

export function wire(principal: Principal): CandidPrincipal {
  return CandidPrincipal.fromUint8Array(principal.bytes);
}

/** Decodes a reply without knowing its type: by `type`, given by the test. */
export function decoded<T>(type: IDL.Type, bytes: Uint8Array): T {
  return IDL.decode([type], Uint8Array.from(bytes))[0] as unknown as T;
}

/** Modules whose name starts so declare that their memory may survive upgrades. */
const PERSISTENT = 'persistent';

class SandboxWithSections extends ScriptedSandbox {
  override prepare(uploaded: Uint8Array): PreparedModule {
    const prepared = super.prepare(uploaded);
    const name = new TextDecoder().decode(uploaded);
    return {
      ...prepared,
      compileInstructions: 6_000n,
      customSections: [
        { name: 'open', visibility: 'public', content: utf8('to all') },
        { name: 'closed', visibility: 'private', content: utf8('to some') },
        ...(name.startsWith(PERSISTENT)
          ? [{ name: 'enhanced-orthogonal-persistence', visibility: 'private' as const, content: utf8('64-bit') }]
          : []),
      ],
    };
  }
}

export const STRANGER: Principal = Principal.fromBytes(new Uint8Array(29).fill(3).with(28, 2));

export class ManagementClient {
  readonly subnet: TestSubnet;
  readonly sandbox: ScriptedSandbox;

  constructor(
    scripts: Record<string, Script> = {},
    options: {
      readonly limits?: Partial<Limits>;
      readonly free?: boolean;
      readonly provisional?: boolean;
      /** In place of the scripted one. */
      readonly sandbox?: Sandbox;
    } = {},
  ) {
    const state = newState(options.free === undefined ? {} : { free: options.free });
    this.sandbox = new SandboxWithSections(scripts);
    this.subnet = new TestSubnet(
      { ...state, network: { ...state.network, provisional: options.provisional ?? true } },
      options.sandbox ?? this.sandbox,
      { management: createManagement(), ...(options.limits === undefined ? {} : { limits: options.limits }) },
    );
  }

  message(method: string, arg: Uint8Array, sender: Principal = USER): Ingress {
    return { ...this.subnet.message(MANAGEMENT_CANISTER, method, arg), sender };
  }

  async call(
    method: string,
    value: Readonly<Record<string, unknown>> = {},
    sender: Principal = USER,
  ): Promise<Response> {
    return this.callRaw(method, argument(method, value), sender);
  }

  async callRaw(method: string, arg: Uint8Array, sender: Principal = USER): Promise<Response> {
    const response = await this.subnet.call(this.message(method, arg, sender));
    if (response === undefined) throw new Error(`${method} was not answered`);
    return response;
  }

  /** The reply's bytes. @throws Error when the call was rejected */
  async must(
    method: string,
    value: Readonly<Record<string, unknown>> = {},
    sender: Principal = USER,
  ): Promise<Uint8Array> {
    const response = await this.call(method, value, sender);
    if (response.kind === 'reject')
      throw new Error(`${method}: ${response.reject.errorCode} ${response.reject.message}`);
    return response.data;
  }

  /** Code and text of the reject. @throws Error when the call was answered */
  async refused(
    method: string,
    value: Readonly<Record<string, unknown>> = {},
    sender: Principal = USER,
  ): Promise<string> {
    return refusalOf(await this.call(method, value, sender));
  }

  async create(more: Readonly<Record<string, unknown>> = {}): Promise<CanisterState> {
    const reply = await this.must('provisional_create_canister_with_cycles', more);
    const { canister_id } = decoded<{ canister_id: CandidPrincipal }>(IDL.Record(Id), reply);
    return this.canister(Principal.fromBytes(canister_id.toUint8Array()));
  }

  canister(id: Principal): CanisterState {
    const canister = this.subnet.state.canisters.get(id.key);
    if (canister === undefined) throw new Error('no such canister');
    return canister;
  }

  install(
    canister: CanisterState,
    module: string | Uint8Array,
    mode: Readonly<Record<string, unknown>> = { install: null },
    sender: Principal = USER,
    arg: Uint8Array = utf8('argument'),
  ): Promise<Response> {
    const wasm_module = typeof module === 'string' ? utf8(module) : module;
    const value = { canister_id: wire(canister.id), mode, wasm_module, arg };
    return this.call('install_code', value, sender);
  }
}

export function refusalOf(response: Response): string {
  if (response.kind === 'reply') throw new Error('it was answered');
  return `${response.reject.errorCode}: ${response.reject.message}`;
}

/** The `upgrade` variant of the mode. */
export function upgrade(options?: {
  readonly skip?: boolean;
  readonly persistence?: 'keep' | 'replace';
}): Record<string, unknown> {
  if (options === undefined) return { upgrade: [] };
  return {
    upgrade: [
      {
        skip_pre_upgrade: options.skip === undefined ? [] : [options.skip],
        wasm_memory_persistence: options.persistence === undefined ? [] : [{ [options.persistence]: null }],
      },
    ],
  };
}

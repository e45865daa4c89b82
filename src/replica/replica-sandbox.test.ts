import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDL } from '@icp-sdk/core/candid';
import { Principal as CandidPrincipal } from '@icp-sdk/core/principal';
import wabtFactory from 'wabt';
import { textOf, toHex, utf8 } from '../codec/index.ts';
import {
  DEFAULT_LIMITS,
  type Ingress,
  type Limits,
  MANAGEMENT_CANISTER,
  Principal,
  type Response,
} from '../model/index.ts';
import { createSandbox, type Sandbox } from '../sandbox/index.ts';
import { createManagement } from './management/index.ts';
import { cyclesIn, newState, SECOND, TestSubnet, USER } from './test-subnet.ts';

/** The whole subnet: real sandbox, real management canister, canisters in WAT. */

const wabt = await wabtFactory();

function wasmOf(wat: string): Uint8Array {
  const module = wabt.parseWat('canister.wat', wat, { memory64: true });
  const bytes = new Uint8Array(module.toBinary({}).buffer);
  module.destroy();
  return bytes;
}

const CREATED = IDL.Record({ canister_id: IDL.Principal });
const MODE = IDL.Variant({ install: IDL.Null, reinstall: IDL.Null, upgrade: IDL.Opt(IDL.Record({})) });

class RealSubnet extends TestSubnet {
  static open(options: { readonly limits?: Partial<Limits>; readonly sandbox?: Sandbox } = {}): RealSubnet {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    return new RealSubnet(newState(), options.sandbox ?? createSandbox({ limits }), {
      limits,
      management: createManagement(),
    });
  }

  manage(method: string, types: IDL.Type[], values: unknown[], about: Principal = MANAGEMENT_CANISTER): Ingress {
    const arg = new Uint8Array(IDL.encode(types, values));
    return { ...this.message(MANAGEMENT_CANISTER, method, arg), effectiveCanisterId: about };
  }

  async create(wat?: string, arg: Uint8Array = new Uint8Array(0)): Promise<Principal> {
    const create = this.manage(
      'provisional_create_canister_with_cycles',
      [IDL.Record({ amount: IDL.Opt(IDL.Nat) })],
      [{ amount: [] }],
    );
    const [created] = IDL.decode([CREATED], dataOf(await this.call(create))) as unknown as [
      { canister_id: CandidPrincipal },
    ];
    const id = Principal.fromBytes(created.canister_id.toUint8Array());
    if (wat !== undefined) assert.equal(kindOf(await this.install(id, wat, 'install', arg)), 'reply');
    return id;
  }

  async install(
    id: Principal,
    wat: string,
    mode: 'install' | 'reinstall' | 'upgrade',
    arg: Uint8Array = new Uint8Array(0),
  ): Promise<Response | undefined> {
    return this.call(
      this.manage(
        'install_code',
        [
          IDL.Record({
            canister_id: IDL.Principal,
            mode: MODE,
            wasm_module: IDL.Vec(IDL.Nat8),
            arg: IDL.Vec(IDL.Nat8),
          }),
        ],
        [
          {
            canister_id: CandidPrincipal.fromUint8Array(id.bytes),
            mode: { [mode]: mode === 'upgrade' ? [] : null },
            wasm_module: wasmOf(wat),
            arg,
          },
        ],
        id,
      ),
    );
  }

  async update(id: Principal, method: string, arg: Uint8Array | string = ''): Promise<string> {
    return text(await this.call(this.message(id, method, typeof arg === 'string' ? utf8(arg) : arg)));
  }

  async ask(id: Principal, method: string, arg = ''): Promise<string> {
    const query = { sender: USER, canisterId: id, effectiveCanisterId: id, method, arg: utf8(arg) };
    return text((await this.replica.query(query)).response);
  }
}

function kindOf(response: Response | undefined): string {
  return response?.kind === 'reject' ? response.reject.message : (response?.kind ?? 'no answer');
}

function dataOf(response: Response | undefined): Uint8Array {
  assert.equal(kindOf(response), 'reply');
  return response?.kind === 'reply' ? response.data : new Uint8Array(0);
}

function text(response: Response | undefined): string {
  if (response === undefined) return 'no answer';
  if (response.kind === 'reply') return textOf(response.data) ?? toHex(response.data);
  return `${response.reject.rejectCode} ${response.reject.errorCode}: ${response.reject.message}`;
}

/** A counter in a global and in memory that also works long, calls, and keeps time. */
const WORKER = `(module
  (import "ic0" "msg_reply" (func $msg_reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_arg_data_size" (func $arg_size (result i32)))
  (import "ic0" "msg_arg_data_copy" (func $arg_copy (param i32 i32 i32)))
  (import "ic0" "msg_reject_code" (func $reject_code (result i32)))
  (import "ic0" "msg_reject_msg_size" (func $reject_size (result i32)))
  (import "ic0" "msg_reject_msg_copy" (func $reject_copy (param i32 i32 i32)))
  (import "ic0" "call_new" (func $call_new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_data_append" (func $call_data_append (param i32 i32)))
  (import "ic0" "call_perform" (func $call_perform (result i32)))
  (import "ic0" "call_on_cleanup" (func $call_on_cleanup (param i32 i32)))
  (import "ic0" "call_cycles_add128" (func $call_cycles_add128 (param i64 i64)))
  (import "ic0" "msg_cycles_accept" (func $accept (param i64) (result i64)))
  (import "ic0" "global_timer_set" (func $timer (param i64) (result i64)))
  (import "ic0" "time" (func $time (result i64)))
  (import "ic0" "debug_print" (func $print (param i32 i32)))
  (memory 2)
  (table 4 funcref)
  (elem (i32.const 0) $on_reply $on_reject $on_cleanup $on_trap)
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 512) "wait")
  (data (i32.const 520) "trapping")
  (data (i32.const 540) "line")
  (func $number (param $n i32)
    (i32.store8 (i32.const 1000) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $n) (i32.const 100)) (i32.const 10))))
    (i32.store8 (i32.const 1001) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $n) (i32.const 10)) (i32.const 10))))
    (i32.store8 (i32.const 1002) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
    (call $append (i32.const 1000) (i32.const 3)))
  (func $bump
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))))
  (func (export "canister_update inc") (call $bump) (call $number (i32.load (i32.const 0))) (call $msg_reply))
  (func (export "canister_query get") (call $number (global.get $count)) (call $number (i32.load (i32.const 0))) (call $msg_reply))
  (func (export "canister_update trap") (call $print (i32.const 540) (i32.const 4)) (call $bump) (unreachable))
  (func (export "canister_update spin") (local $i i32)
    (loop $again
      (i32.store (i32.const 2000) (local.get $i))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4000000))))
    (call $bump) (call $number (i32.load (i32.const 0))) (call $msg_reply))
  (func (export "canister_update forever") (loop $again (br $again)))
  (func (export "canister_update echo")
    (call $arg_copy (i32.const 4096) (i32.const 0) (call $arg_size))
    (call $append (i32.const 4096) (call $arg_size)) (call $msg_reply))
  (func (export "canister_update take")
    (drop (call $accept (i64.const 300))) (call $number (i32.const 300)) (call $msg_reply))
  (func (export "canister_update in_a_second")
    (drop (call $timer (i64.add (call $time) (i64.const 1000000000)))) (call $msg_reply))
  (func (export "canister_global_timer") (call $bump))
  ;; argument: 10 bytes of callee, then the method
  (func $start (param $reply i32) (param $reject i32)
    (call $arg_copy (i32.const 4096) (i32.const 0) (call $arg_size))
    (call $call_new (i32.const 4096) (i32.const 10)
      (i32.const 4106) (i32.sub (call $arg_size) (i32.const 10))
      (local.get $reply) (i32.const 7) (local.get $reject) (i32.const 9))
    (call $call_on_cleanup (i32.const 2) (i32.const 5))
    (call $call_data_append (i32.const 512) (i32.const 4))
    (call $call_cycles_add128 (i64.const 0) (i64.const 1000)))
  (func (export "canister_update forward") (call $start (i32.const 0) (i32.const 1)) (drop (call $call_perform)))
  (func (export "canister_update forward_and_trap") (call $start (i32.const 3) (i32.const 3)) (drop (call $call_perform)))
  (func (export "canister_composite_query ask") (call $ask))
  (func $ask
    (call $arg_copy (i32.const 4096) (i32.const 0) (call $arg_size))
    (call $call_new (i32.const 4096) (i32.const 10)
      (i32.const 4106) (i32.sub (call $arg_size) (i32.const 10))
      (i32.const 0) (i32.const 7) (i32.const 1) (i32.const 9))
    (drop (call $call_perform)))
  (func $on_reply (param $env i32)
    (call $arg_copy (i32.const 4096) (i32.const 0) (call $arg_size))
    (call $number (local.get $env)) (call $append (i32.const 4096) (call $arg_size)) (call $msg_reply))
  (func $on_reject (param $env i32)
    (call $reject_copy (i32.const 4096) (i32.const 0) (call $reject_size))
    (call $number (call $reject_code)) (call $append (i32.const 4096) (call $reject_size)) (call $msg_reply))
  (func $on_cleanup (param $env i32) (call $bump))
  (func $on_trap (param $env i32) (call $bump) (call $bump) (unreachable)))`;

function to(callee: Principal, method: string): Uint8Array {
  const name = utf8(method);
  const bytes = new Uint8Array(10 + name.length);
  bytes.set(callee.bytes);
  bytes.set(name, 10);
  return bytes;
}

test('install, update, query, trap, upgrade, with the cycles accounted for', async () => {
  const subnet = RealSubnet.open();
  const id = await subnet.create(WORKER);
  assert.equal(await subnet.update(id, 'inc'), '001');
  assert.equal(await subnet.update(id, 'inc'), '002');
  assert.equal(await subnet.ask(id, 'get'), '002002');
  assert.match(await subnet.update(id, 'trap'), /^5 IC0502: Error from Canister .*: Canister trapped: unreachable/);
  assert.equal(await subnet.ask(id, 'get'), '002002');
  assert.match(await subnet.update(id, 'absent'), /^5 IC0536: /);
  assert.equal(kindOf(await subnet.install(id, WORKER, 'upgrade')), 'reply');
  assert.equal(await subnet.ask(id, 'get'), '000000');
  assert.equal(cyclesIn(subnet.state), subnet.state.cyclesMinted - subnet.state.cyclesBurned);
  const lines = subnet.state.canisters.get(id.key)?.logs.map(({ content }) => textOf(content));
  assert.equal(lines?.[0], 'line');
});

test('calls between canisters, with cleanup, cycles and rejects', async () => {
  const subnet = RealSubnet.open();
  const [a, b] = [await subnet.create(WORKER), await subnet.create(WORKER)];
  const balance = (id: Principal): bigint => subnet.state.canisters.get(id.key)?.balance ?? 0n;
  assert.equal(await subnet.update(a, 'forward', to(b, 'echo')), '007wait');
  const before = balance(b);
  assert.equal(await subnet.update(a, 'forward', to(b, 'take')), '007300');
  const spent = before + 300n - balance(b);
  assert.ok(spent > 5_000_000n && spent < 5_100_000n, `the callee paid ${spent} for its execution`);
  assert.match(await subnet.update(a, 'forward', to(b, 'trap')), /^005IC0502: Error from Canister /);
  assert.equal(await subnet.update(a, 'forward', to(a, 'inc')), '007001');
  assert.match(await subnet.update(a, 'forward_and_trap', to(b, 'echo')), /^5 IC0502: .*unreachable/s);
  assert.equal(await subnet.ask(a, 'get'), '002002', 'only the cleanup was kept');
  assert.match(await subnet.ask(a, 'ask', ''), /^5 IC05/);
  assert.equal(await subnet.update(a, 'echo', 'x'), 'x');
  assert.equal(cyclesIn(subnet.state), subnet.state.cyclesMinted - subnet.state.cyclesBurned);
});

test('a composite query asks another canister', async () => {
  const subnet = RealSubnet.open();
  const [a, b] = [await subnet.create(WORKER), await subnet.create(WORKER)];
  await subnet.update(b, 'inc');
  const query = { sender: USER, canisterId: a, effectiveCanisterId: a, method: 'ask', arg: to(b, 'get') };
  assert.equal(text((await subnet.replica.query(query)).response), '007001001');
});

test('a timer fires', async () => {
  const subnet = RealSubnet.open();
  const id = await subnet.create(WORKER);
  await subnet.update(id, 'in_a_second');
  await subnet.round([], 2n * SECOND);
  assert.equal(await subnet.ask(id, 'get'), '001001');
});

test('an endless loop ends at the limit', async () => {
  const subnet = RealSubnet.open({ limits: { updateInstructions: 50_000_000n } });
  const id = await subnet.create(WORKER);
  assert.match(await subnet.update(id, 'forever'), /^5 IC0522: /);
  assert.equal(await subnet.update(id, 'inc'), '001');
});

test('the same batches give the same state hashes, whether instances and paused messages survive or not', async () => {
  const play = async (disturb: (subnet: RealSubnet, round: number) => Promise<void>): Promise<string[]> => {
    const subnet = RealSubnet.open();
    const [a, b] = [await subnet.create(WORKER), await subnet.create(WORKER)];
    const hashes: string[] = [];
    for (let round = 0; round < 12; round++) {
      await disturb(subnet, round);
      const messages = [
        subnet.message(a, round % 4 === 0 ? 'spin' : 'inc'),
        subnet.message(b, 'forward', to(a, round % 3 === 0 ? 'trap' : 'inc')),
        subnet.message(b, round % 5 === 0 ? 'in_a_second' : 'trap'),
      ];
      hashes.push(toHex((await subnet.round(messages)).stateHash));
    }
    assert.ok(subnet.state.canisters.get(a.key)?.heap.wasmPages === 2);
    return hashes;
  };
  const undisturbed = await play(async () => undefined);
  const evicted = await play(async (subnet, round) => {
    for (const canister of subnet.state.canisters.values())
      if (round % 2 === 1 && canister.paused === undefined) subnet.sandbox.evict(canister.id);
  });
  assert.deepEqual(evicted, undisturbed);
  const restarted = await play(async (subnet, round) => {
    if (round % 3 === 1) await subnet.restart();
  });
  assert.deepEqual(restarted, undisturbed);
});

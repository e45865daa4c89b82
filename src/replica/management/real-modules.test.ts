import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { IDL } from '@icp-sdk/core/candid';
import loadWabt from 'wabt';
import { sha256, toHex, utf8 } from '../../codec/index.ts';
import { DEFAULT_LIMITS } from '../../model/index.ts';
import { createSandbox } from '../../sandbox/index.ts';
import type { CanisterState } from '../../state/index.ts';
import { cyclesIn, USER } from '../test-subnet.ts';
import { decoded, ManagementClient, refusalOf, upgrade, wire } from './test-client.ts';

/** The management canister with real modules in the real sandbox: what only Wasm can show. */

const wabt = await loadWabt();
const limits = { ...DEFAULT_LIMITS, installInstructions: 100_000_000n };

function assemble(wat: string): Uint8Array {
  const module = wabt.parseWat('canister.wat', wat, { memory64: true, bulk_memory: true, reference_types: true });
  try {
    return Uint8Array.from(module.toBinary({}).buffer);
  } finally {
    module.destroy();
  }
}

/** Appends the section by which a module says that its memory may survive an upgrade. */
function persistent(module: Uint8Array): Uint8Array {
  const name = utf8('icp:private enhanced-orthogonal-persistence');
  return Uint8Array.from([...module, 0, name.length + 1, name.length, ...name]);
}

/**
 * Bytes of memory: 0 counts starts, 1 inits, 2 pre_upgrades, 3 post_upgrades, 4 is a data segment (7), 5 is what a
 * mutable global was when it was last looked at. `get` answers them, `inc` adds one to byte 6 and to the global.
 */
function counter(bits: 32 | 64): string {
  const I = bits === 64 ? 'i64' : 'i32';
  const bump = (at: number): string =>
    `(i32.store8 (${I}.const ${at}) (i32.add (i32.const 1) (i32.load8_u (${I}.const ${at}))))`;
  const reply = `(i32.store8 (${I}.const 5) (global.get $g)) (call $append (${I}.const 0) (${I}.const 8)) (call $reply)`;
  return `(module
    (import "ic0" "msg_reply_data_append" (func $append (param ${I} ${I})))
    (import "ic0" "msg_reply" (func $reply))
    (memory ${bits === 64 ? 'i64 ' : ''}1)
    (global $g (mut i32) (i32.const 1))
    (data (${I}.const 4) "\\07")
    (func $start ${bump(0)})
    (start $start)
    (func (export "canister_init") ${bump(1)})
    (func (export "canister_pre_upgrade") ${bump(2)})
    (func (export "canister_post_upgrade") ${bump(3)})
    (func (export "canister_update inc") ${bump(6)} (global.set $g (i32.add (global.get $g) (i32.const 1))) ${reply})
    (func (export "canister_query get") ${reply}))`;
}

function open(): ManagementClient {
  return new ManagementClient({}, { sandbox: createSandbox({ limits }), limits });
}

async function get(client: ManagementClient, canister: CanisterState): Promise<number[]> {
  const { response } = await client.subnet.replica.query({
    sender: USER,
    canisterId: canister.id,
    effectiveCanisterId: canister.id,
    method: 'get',
    arg: new Uint8Array(),
  });
  assert.ok(response.kind === 'reply', response.kind === 'reject' ? response.reject.message : '');
  return [...response.data];
}

for (const bits of [32, 64] as const) {
  test(`${bits}-bit: memory kept over an upgrade, start after it, globals and data anew`, async () => {
    const client = open();
    const canister = await client.create();
    const module = persistent(assemble(counter(bits)));
    const inc = async (): Promise<void> => {
      const response = await client.subnet.call(client.subnet.message(canister.id, 'inc'));
      assert.equal(response?.kind, 'reply');
    };
    assert.equal((await client.install(canister, module)).kind, 'reply');
    await inc();
    await inc();
    assert.deepEqual(await get(client, canister), [1, 1, 0, 0, 7, 3, 2, 0]);

    assert.equal((await client.install(canister, module, upgrade({ persistence: 'keep' }))).kind, 'reply');
    assert.deepEqual(await get(client, canister), [2, 1, 1, 1, 7, 1, 2, 0], 'kept, and only the global is as at first');
    await inc();
    assert.deepEqual(await get(client, canister), [2, 1, 1, 1, 7, 2, 3, 0]);

    await client.subnet.restart();
    const again = client.canister(canister.id);
    assert.deepEqual(await get(client, again), [2, 1, 1, 1, 7, 2, 3, 0]);
    assert.equal((await client.install(again, module, upgrade({ persistence: 'replace' }))).kind, 'reply');
    assert.deepEqual(await get(client, again), [1, 0, 0, 1, 7, 1, 0, 0]);
    const { state } = client.subnet;
    assert.equal(state.cyclesMinted - state.cyclesBurned, cyclesIn(state));
  });
}

test('a snapshot brings back memory and globals, after other code and on another canister', async () => {
  const client = open();
  const canister = await client.create();
  const module = assemble(counter(32));
  await client.install(canister, module);
  await client.subnet.call(client.subnet.message(canister.id, 'inc'));
  const before = await get(client, canister);
  const id = { canister_id: wire(canister.id) };
  const { id: snapshot } = decoded<{ id: Uint8Array }>(
    IDL.Record({ id: IDL.Vec(IDL.Nat8) }),
    await client.must('take_canister_snapshot', id),
  );
  await client.install(canister, assemble('(module)'), { reinstall: null });
  await client.subnet.restart();
  const now = client.canister(canister.id);
  const snapshot_id = Uint8Array.from(snapshot);
  await client.must('load_canister_snapshot', { ...id, snapshot_id });
  assert.deepEqual(await get(client, now), before);
  await client.subnet.call(client.subnet.message(canister.id, 'inc'));
  assert.equal((await get(client, now))[6], 2);
  const other = await client.create();
  await client.must('load_canister_snapshot', { canister_id: wire(other.id), snapshot_id });
  assert.deepEqual(await get(client, other), before);
});

test('gzip: the hash is that of the bytes as uploaded; garbage inside is refused', async () => {
  const client = open();
  const canister = await client.create();
  const packed = Uint8Array.from(gzipSync(assemble(counter(32))));
  assert.equal((await client.install(canister, packed)).kind, 'reply');
  assert.equal(canister.code?.moduleHash, toHex(sha256(packed)));
  for (const bytes of [
    gzipSync(utf8('no module')),
    packed.subarray(0, packed.length - 9),
    Uint8Array.of(0x1f, 0x8b, 8),
  ])
    assert.match(
      refusalOf(await client.install(canister, Uint8Array.from(bytes), { reinstall: null })),
      /^IC0505: Error from Canister .*: Canister's Wasm module is not valid: Failed to decode wasm module/,
    );
  assert.equal((await get(client, canister))[1], 1, 'what was there still runs');
});

const HOSTILE: readonly (readonly [string, string, RegExp])[] = [
  ['data beyond the memory', '(module (memory 1) (data (i32.const 65536) "x"))', /^IC0505: .*data segment/],
  [
    'elements beyond the table',
    '(module (table 1 funcref) (func) (elem (i32.const 1) 0))',
    /^IC0505: .*element section/,
  ],
  [
    'a start that traps',
    '(module (func unreachable) (start 0))',
    /^IC0502: Error from Canister .*: Canister trapped: unreachable/,
  ],
  ['a start that never ends', '(module (func (loop (br 0))) (start 0))', /^IC0522/],
  [
    'a start that asks for the time',
    '(module (import "ic0" "time" (func (result i64))) (func (drop (call 0))) (start 1))',
    /^IC0504: .*cannot be executed in start mode/,
  ],
  [
    'an init that replies',
    '(module (import "ic0" "msg_reply" (func)) (func (export "canister_init") (call 0)))',
    /^IC0504: .*cannot be executed in init mode/,
  ],
  ['an init that never ends', '(module (func (export "canister_init") (loop (br 0))))', /^IC0522/],
];

for (const [what, wat, text] of HOSTILE)
  test(`refused, and the subnet goes on: ${what}`, async () => {
    const client = open();
    const canister = await client.create();
    assert.match(refusalOf(await client.install(canister, assemble(wat))), text);
    assert.equal(canister.code, undefined);
    assert.equal(canister.heap.wasmPages, 0);
    assert.equal((await client.install(canister, assemble(counter(32)))).kind, 'reply');
    assert.equal((await get(client, canister))[1], 1);
  });

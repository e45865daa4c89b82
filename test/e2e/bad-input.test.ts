/** What canisters and their authors do wrong, on the real process: each gets its error, nobody else notices. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import type { Principal } from '@icp-sdk/core/principal';
import {
  assembled,
  createCanister,
  decodedNumber,
  deployed,
  EMPTY_ARGUMENT,
  installCode,
  MANAGEMENT,
  query,
  TALLY,
  update,
} from '../canisters/index.ts';
import { NetworkProcess } from '../network-process/index.ts';

let network: NetworkProcess;
let agent: HttpAgent;
let trouble: Principal;
let tally: Principal;
/** What the tally must say: it is asked after everything that goes wrong. */
let expected = 0n;

before(async () => {
  network = await NetworkProcess.start();
  agent = network.agent();
  trouble = await deployed(agent, await assembled('trouble'));
  tally = await deployed(agent, TALLY);
});
after(async () => network[Symbol.asyncDispose]());

/** Both ways in still answer, and nothing was lost. */
async function othersAreWell(): Promise<void> {
  expected++;
  assert.equal(decodedNumber(await update(agent, tally, 'increment')), expected);
  assert.equal(decodedNumber(await query(agent, tally, 'get')), expected);
  assert.equal(network.child.exitCode, null);
}

/** Rejects with this error code of the replica and these words. */
async function refused(outcome: Promise<unknown>, code: string, words: RegExp): Promise<void> {
  await assert.rejects(outcome, (error: Error) => {
    assert.match(error.message, new RegExp(code));
    assert.match(error.message, words);
    return true;
  });
}

/** What the canister's first heap byte is, and how many pages it has. */
async function memoryOf(canister: Principal): Promise<[number, number]> {
  const bytes = await query(agent, canister, 'whole');
  return [bytes[0] ?? -1, new DataView(bytes.buffer).getUint32(1, true)];
}

test('an endless update ends at the limit; meanwhile others are updated and queried as ever', async () => {
  const before = expected;
  let over = false;
  const looping = refused(
    update(agent, trouble, 'loop'),
    'IC0522',
    /exceeded the limit of 40000000000 instructions/,
  ).finally(() => {
    over = true;
  });
  let meanwhile = 0;
  while (!over) {
    await othersAreWell();
    if (!over) meanwhile++;
  }
  await looping;
  assert.ok(expected - before >= 3n && meanwhile >= 3, `only ${meanwhile} updates and queries during the loop`);
  assert.deepEqual(await memoryOf(trouble), [0, 17]);
});

test('an endless query ends at its limit', async () => {
  await refused(query(agent, trouble, 'loop_query'), 'IC0522', /exceeded the limit of 5000000000 instructions/);
  await othersAreWell();
});

test('a bottomless recursion traps, in updates and queries', async () => {
  await refused(update(agent, trouble, 'recursion'), 'IC0502', /stack overflow/);
  await refused(query(agent, trouble, 'recursion_query'), 'IC0502', /stack overflow/);
  await othersAreWell();
});

test('a heap that was spoiled by a message that traps is what it was before', async () => {
  await refused(update(agent, trouble, 'spoil'), 'IC0502', /unreachable/);
  assert.deepEqual(await memoryOf(trouble), [0, 17]);
  await othersAreWell();
});

test('a heap bomb meets the limit that its owner has set, else that of its width', async () => {
  const settings = IDL.Record({ wasm_memory_limit: IDL.Opt(IDL.Nat) });
  const arg = IDL.encode(
    [IDL.Record({ canister_id: IDL.Principal, settings })],
    [{ canister_id: trouble, settings: { wasm_memory_limit: [100n << 20n] } }],
  );
  await update(agent, MANAGEMENT, 'update_settings', arg, trouble);
  await refused(
    update(agent, trouble, 'heap_bomb'),
    'IC0539',
    /exceeded its current Wasm memory limit of 104857600 bytes/,
  );
  assert.deepEqual(await memoryOf(trouble), [0, 17]);
  const other = await deployed(agent, await assembled('trouble'));
  const pages = new DataView((await update(agent, other, 'heap_bomb')).buffer).getUint32(0, true);
  assert.ok(pages > 65_536 - 1024 && pages <= 65_536, `${pages} pages`);
  await othersAreWell();
});

test('a stable memory bomb ends at 500 GiB, of which it has only what it wrote', async () => {
  const reply = await update(agent, trouble, 'stable_bomb');
  assert.equal(new DataView(reply.buffer).getBigUint64(0, true), (500n << 30n) / 65_536n);
  await othersAreWell();
});

const functions = (count: number): string => '(func)'.repeat(count);
const OVER_LIMITS: readonly (readonly [string, string, RegExp])[] = [
  ['too many globals', `(module ${'(global (mut i32) (i32.const 0))'.repeat(1001)})`, /1001 globals|globals.*1000/],
  ['too many functions', `(module ${functions(50_001)})`, /50001|50000/],
  [
    'too many exported methods',
    `(module ${Array.from({ length: 1001 }, (_, n) => `(func (export "canister_update m${n}"))`).join('')})`,
    /1001|1000/,
  ],
  ['two kinds of one method', '(module (func (export "canister_update a")) (func (export "canister_query a")))', /a/],
  ['an import that is not there', '(module (import "ic0" "made_up" (func)))', /made_up/],
  ['an import of another module', '(module (import "env" "now" (func (result i64))))', /env/],
  ['a wrong signature', '(module (import "ic0" "msg_reply" (func (param i32))))', /msg_reply/],
  ['a hook with parameters', '(module (func (export "canister_init") (param i32)))', /canister_init/],
];

test('modules that break a rule are refused, and leave the canister as it was', async () => {
  const { default: load } = await import('wabt');
  const wabt = await load();
  const canister = await createCanister(agent);
  for (const [name, text, words] of OVER_LIMITS) {
    const module = wabt.parseWat('module.wat', text);
    const wasm = gzipSync(module.toBinary({}).buffer);
    module.destroy();
    await refused(installCode(agent, canister, wasm), 'IC0505', words).catch((error: unknown) => {
      throw new Error(name, { cause: error });
    });
  }
  const malformed = [
    new Uint8Array(0),
    Uint8Array.from([0, 0x61, 0x73, 0x6d]),
    Buffer.from('not a module at all'),
    TALLY.subarray(0, TALLY.length - 7),
    gzipSync(TALLY).subarray(0, 100),
  ];
  for (const wasm of malformed) await refused(installCode(agent, canister, wasm), 'IC0505', /./);
  await refused(query(agent, canister, 'get'), 'IC0537', /no [Ww]asm module/);
  await installCode(agent, canister, TALLY);
  assert.equal(decodedNumber(await update(agent, canister, 'increment')), 1n);
  await othersAreWell();
});

test('wrong Candid, for a canister and for the management canister', async () => {
  const text = IDL.encode([IDL.Text], ['forty-one']);
  await refused(update(agent, tally, 'set', text), 'IC0503', /set takes one nat64/);
  await refused(
    update(agent, MANAGEMENT, 'canister_status', text, tally),
    'IC0408',
    /Failed to decode payload for ic00 method: canister_status/,
  );
  await refused(
    update(agent, MANAGEMENT, 'canister_status', EMPTY_ARGUMENT, tally),
    'IC0408',
    /Failed to decode payload for ic00 method: canister_status/,
  );
  await refused(
    update(agent, MANAGEMENT, 'canister_status', Buffer.from('DIDL\xff\xff'), tally),
    'IC0408',
    /Failed to decode payload for ic00 method: canister_status/,
  );
  await refused(update(agent, tally, 'made_up'), 'IC0536', /no update method 'made_up'/);
  await othersAreWell();
});

test('after all that it stops cleanly', async () => {
  assert.equal(await network.stop(), 0);
});

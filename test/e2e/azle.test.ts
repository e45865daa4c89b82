/** A canister in TypeScript on the real process: 3.5 MB, an interpreter inside, an `init` of many slices. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Actor, type HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import type { Principal } from '@icp-sdk/core/principal';
import { azleProgram } from '../azle/index.ts';
import { createCanister, installCode, MANAGEMENT, update } from '../canisters/index.ts';
import { NetworkProcess } from '../network-process/index.ts';

const CHUNK_BYTES = 1 << 20;
const Chunk = IDL.Record({ hash: IDL.Vec(IDL.Nat8) });

interface Program {
  greet(): Promise<string>;
  counts(): Promise<[bigint, bigint, bigint]>;
  rename(greeting: string): Promise<bigint>;
  put(key: string, value: string): Promise<[] | [string]>;
  get(key: string): Promise<[] | [string]>;
  once(seconds: number): Promise<void>;
  every(seconds: number): Promise<void>;
  cancel(): Promise<void>;
  random(): Promise<Uint8Array>;
  askOther(other: Principal): Promise<string>;
  fail(): Promise<void>;
}

let network: NetworkProcess;
let agent: HttpAgent;
let wasm: Uint8Array<ArrayBuffer>;
let id: Principal;
let program: Program;
before(async () => {
  [network, wasm] = await Promise.all([NetworkProcess.start(), azleProgram()]);
  agent = network.agent();
  id = await createCanister(agent);
  program = actor(id);
});
after(async () => network[Symbol.asyncDispose]());

function actor(canisterId: Principal): Program {
  const methods: IDL.InterfaceFactory = ({ IDL: idl }) =>
    idl.Service({
      greet: idl.Func([], [idl.Text], ['query']),
      counts: idl.Func([], [idl.Vec(idl.Nat)], ['query']),
      rename: idl.Func([idl.Text], [idl.Nat64], []),
      put: idl.Func([idl.Text, idl.Text], [idl.Opt(idl.Text)], []),
      get: idl.Func([idl.Text], [idl.Opt(idl.Text)], ['query']),
      once: idl.Func([idl.Nat32], [], []),
      every: idl.Func([idl.Nat32], [], []),
      cancel: idl.Func([], [], []),
      random: idl.Func([], [idl.Vec(idl.Nat8)], []),
      askOther: idl.Func([idl.Principal], [idl.Text], []),
      fail: idl.Func([], [], []),
    });
  return Actor.createActor<Program>(methods, { agent, canisterId });
}

/** What tools do with a module that is too large for one message. */
async function installInChunks(canister: Principal, arg: Uint8Array): Promise<void> {
  const hashes: { hash: Uint8Array }[] = [];
  for (let start = 0; start < wasm.length; start += CHUNK_BYTES) {
    const chunk = wasm.subarray(start, start + CHUNK_BYTES);
    const upload = IDL.encode(
      [IDL.Record({ canister_id: IDL.Principal, chunk: IDL.Vec(IDL.Nat8) })],
      [{ canister_id: canister, chunk }],
    );
    const reply = await update(agent, MANAGEMENT, 'upload_chunk', upload, canister);
    hashes.push(IDL.decode([Chunk], reply)[0] as unknown as { hash: Uint8Array });
  }
  const install = IDL.encode(
    [
      IDL.Record({
        mode: IDL.Variant({ install: IDL.Null }),
        target_canister: IDL.Principal,
        chunk_hashes_list: IDL.Vec(Chunk),
        wasm_module_hash: IDL.Vec(IDL.Nat8),
        arg: IDL.Vec(IDL.Nat8),
      }),
    ],
    [
      {
        mode: { install: null },
        target_canister: canister,
        chunk_hashes_list: hashes,
        wasm_module_hash: createHash('sha256').update(wasm).digest(),
        arg,
      },
    ],
  );
  await update(agent, MANAGEMENT, 'install_chunked_code', install, canister);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(50);
}

test('the module is too large for one message; it installs in chunks, with an argument', async () => {
  assert.ok(wasm.length > 2 << 20);
  await installInChunks(id, IDL.encode([IDL.Text], ['hello']));
  assert.equal(await program.greet(), 'hello, 2vxsx-fae');
});

test('updates change it, traps change nothing', async () => {
  assert.ok((await program.rename('good day')) > 1_600_000_000_000_000_000n);
  await assert.rejects(program.fail(), /told to fail/);
  assert.equal(await program.greet(), 'good day, 2vxsx-fae');
});

test('a stable map', async () => {
  assert.deepEqual(await program.put('a', 'first'), []);
  assert.deepEqual(await program.put('a', 'second'), ['first']);
  assert.deepEqual(await program.put('b', 'ä'.repeat(1000)), []);
  assert.deepEqual(await program.get('a'), ['second']);
  assert.deepEqual(await program.get('b'), ['ä'.repeat(1000)]);
  assert.deepEqual(await program.get('c'), []);
  assert.deepEqual(await program.counts(), [0n, 0n, 2n]);
});

test('timers fire once, repeatedly, and not when they are cancelled', async () => {
  await program.once(1);
  await program.every(1);
  await until(async () => (await program.counts())[0] >= 201n);
  await program.cancel();
  const [fired] = await program.counts();
  assert.equal(fired % 100n, 1n);
  await sleep(1500);
  assert.equal((await program.counts())[0], fired);
});

test('calls to the management canister and to another one', async () => {
  const [first, second] = [await program.random(), await program.random()];
  assert.equal(first.length, 32);
  assert.notDeepEqual(first, second);
  const other = await createCanister(agent);
  await installCode(agent, other, gzipSync(wasm), { arg: IDL.encode([IDL.Text], ['other']) });
  assert.equal(await program.askOther(other), `other, ${id.toText()}`);
});

test('an upgrade, from a compressed module, keeps the stable map and nothing else', async () => {
  await installCode(agent, id, gzipSync(wasm), { mode: 'upgrade', arg: IDL.encode([IDL.Text], ['again']) });
  assert.equal(await program.greet(), 'again, 2vxsx-fae');
  assert.deepEqual(await program.get('a'), ['second']);
  assert.deepEqual(await program.counts(), [0n, 1n, 2n]);
});

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Actor, Certificate, HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import loadWabt from 'wabt';
import { CallRejected, createNetwork, type InProcessNetwork } from './index.ts';

const TALLY = Uint8Array.from(readFileSync(new URL('../../examples/tally/tally.wasm', import.meta.url)));
const ALICE = 'w7x7r-cok77-xa';
const number = (bytes: Uint8Array): bigint => BigInt(IDL.decode([IDL.Nat64], Uint8Array.from(bytes))[0] as bigint);

interface Tally {
  get(): Promise<bigint>;
  increment(): Promise<bigint>;
  set(value: bigint): Promise<void>;
}
const tallyInterface: IDL.InterfaceFactory = ({ IDL: idl }) =>
  idl.Service({
    get: idl.Func([], [idl.Nat64], ['query']),
    increment: idl.Func([], [idl.Nat64], []),
    set: idl.Func([idl.Nat64], [], []),
  });

test('install, update, query, upgrade, reinstall', async () => {
  await using network = await createNetwork({ certificates: false });
  const canister = await network.install(TALLY);
  assert.equal(number(await network.update(canister, 'increment')), 1n);
  assert.equal(number(await network.update(canister, 'increment')), 2n);
  assert.equal(number(await network.query(canister, 'get')), 2n);
  await network.upgrade(canister, TALLY);
  assert.equal(number(await network.query(canister, 'get')), 2n);
  assert.deepEqual(
    (await network.logs(canister)).map(({ text }) => text),
    ['tally was upgraded'],
  );
  await network.reinstall(canister, TALLY);
  assert.equal(number(await network.query(canister, 'get')), 0n);
});

test('values instead of bytes, senders taken at their word, rejects as errors', async () => {
  await using network = await createNetwork({ certificates: false });
  const canister = await network.install(TALLY, { sender: ALICE, cycles: 5_000_000_000_000n });
  const tally = network.actor<Tally>(canister, tallyInterface);
  await tally.set(41n);
  assert.equal(await tally.increment(), 42n);
  assert.equal(await tally.get(), 42n);
  const rejected = (errorCode: string, text: RegExp) => (error: unknown) =>
    error instanceof CallRejected && error.errorCode === errorCode && text.test(error.message);
  await assert.rejects(network.update(canister, 'set'), rejected('IC0503', /set takes one nat64/));
  await assert.rejects(network.update(canister, 'missing'), rejected('IC0536', /no update method 'missing'/));
  await assert.rejects(network.query(canister, 'missing'), rejected('IC0536', /missing/));
  await assert.rejects(network.upgrade(canister, TALLY), rejected('IC0512', /controller/));
  await network.upgrade(canister, TALLY, { sender: ALICE });
  assert.ok(network.cycles(canister) < 5_000_000_000_000n);
});

test('time stands still until the test moves it', async () => {
  const startTime = new Date('2030-01-01T00:00:00Z');
  await using network = await createNetwork({ startTime, certificates: false });
  const canister = await network.install(TALLY);
  assert.equal(network.time.getTime(), startTime.getTime());
  const before = network.cycles(canister);
  await network.advanceTime({ days: 30, hours: 1 });
  assert.equal(network.time.toISOString(), '2030-01-31T01:00:00.000Z');
  assert.ok(network.cycles(canister) < before, 'a month of memory costs cycles');
  await assert.rejects(network.advanceTime({ seconds: -1 }), RangeError);
});

test('timers fire when the clock has been moved to them', async () => {
  const wasm = await assembled(`(module
      (import "ic0" "time" (func $time (result i64)))
      (import "ic0" "global_timer_set" (func $timer_set (param i64) (result i64)))
      (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
      (import "ic0" "msg_reply" (func $reply))
      (memory 1)
      (func (export "canister_update arm")
        (drop (call $timer_set (i64.add (call $time) (i64.const 60000000000)))) (call $reply))
      (func (export "canister_global_timer") (i64.store (i32.const 0) (call $time)))
      (func (export "canister_query fired") (call $append (i32.const 0) (i32.const 8)) (call $reply)))`);
  const startTime = new Date('2030-01-01T00:00:00Z');
  await using network = await createNetwork({ startTime, certificates: false });
  const canister = await network.install(wasm);
  const fired = async (): Promise<bigint> =>
    new DataView((await network.query(canister, 'fired')).buffer).getBigUint64(0, true);
  await network.update(canister, 'arm');
  await network.advanceTime({ seconds: 59 });
  assert.equal(await fired(), 0n);
  await network.advanceTime({ seconds: 2 });
  assert.equal((await fired()) / 1_000_000n, BigInt(startTime.getTime() + 61_000));
});

test('the same test gives the same history; networks side by side do not meet', async () => {
  const run = async (network: InProcessNetwork): Promise<string> => {
    const canister = await network.install(TALLY);
    for (let n = 0; n < 5; n++) await network.update(canister, 'increment');
    await network.advanceTime({ minutes: 5 });
    return network.stateHash;
  };
  const startTime = new Date('2030-01-01T00:00:00Z');
  const networks = await Promise.all([1, 1, 2].map((seed) => createNetwork({ seed, startTime, certificates: false })));
  try {
    const [first, second, third] = await Promise.all(networks.map(run));
    assert.equal(first, second);
    assert.notEqual(first, third);
  } finally {
    await Promise.all(networks.map((network) => network.close()));
  }
});

test('an official agent works without a socket, and verifies', async () => {
  await using network = await createNetwork();
  const canister = await network.install(TALLY);
  const agent = HttpAgent.createSync({
    host: 'http://network.test',
    fetch: network.fetch,
    rootKey: Uint8Array.from(network.rootKey),
  });
  const tally = Actor.createActor<Tally>(tallyInterface, { agent, canisterId: canister });
  assert.equal(await tally.increment(), 1n);
  assert.equal(await tally.get(), 1n);
});

test('queries see a certificate of the data that their canister has certified', async () => {
  const wasm = await assembled(`(module
      (import "ic0" "certified_data_set" (func $set (param i32 i32)))
      (import "ic0" "data_certificate_size" (func $size (result i32)))
      (import "ic0" "data_certificate_copy" (func $copy (param i32 i32 i32)))
      (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
      (import "ic0" "msg_reply" (func $reply))
      (memory 1) (data (i32.const 0) "certified")
      (func (export "canister_update certify") (call $set (i32.const 0) (i32.const 9)) (call $reply))
      (func (export "canister_query certificate")
        (call $copy (i32.const 100) (i32.const 0) (call $size))
        (call $append (i32.const 100) (call $size)) (call $reply)))`);
  await using network = await createNetwork();
  const canister = await network.install(wasm);
  await network.update(canister, 'certify');
  const certificate = await Certificate.create({
    certificate: await network.query(canister, 'certificate'),
    rootKey: Uint8Array.from(network.rootKey),
    principal: { canisterId: canister },
  });
  const path = [
    new TextEncoder().encode('canister'),
    canister.toUint8Array(),
    new TextEncoder().encode('certified_data'),
  ];
  const found = certificate.lookup_path(path);
  assert.ok('value' in found);
  assert.equal(new TextDecoder().decode(found.value as Uint8Array), 'certified');
});

test('state on disk, when asked for, is there again', async () => {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'perdure-testing-'));
  try {
    const first = await createNetwork({ stateDir, certificates: false });
    const canister = await first.install(TALLY);
    await first.update(canister, 'increment');
    const { stateHash } = first;
    await first.close();
    assert.ok(readdirSync(stateDir).length > 0);
    await using second = await createNetwork({ stateDir, certificates: false });
    assert.equal(second.stateHash, stateHash);
    assert.equal(number(await second.query(canister, 'get')), 1n);
  } finally {
    rmSync(stateDir, { recursive: true });
  }
});

async function assembled(text: string): Promise<Uint8Array<ArrayBuffer>> {
  const module = (await loadWabt()).parseWat('test.wat', text);
  const wasm = Uint8Array.from(module.toBinary({}).buffer);
  module.destroy();
  return wasm;
}

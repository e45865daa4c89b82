/** A TypeScript canister made with Azle (QuickJS inside): long initialisation, sparse stable memory, timers to itself. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Actor, type HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { azleCanister } from '../azle-canister/index.ts';
import { createCanister, installCode } from '../canisters/index.ts';
import { NetworkProcess } from '../network-process/index.ts';

let network: NetworkProcess;
let agent: HttpAgent;
before(async () => {
  network = await NetworkProcess.start();
  agent = network.agent();
});
after(async () => network[Symbol.asyncDispose]());

interface Notes {
  put(key: string, value: string): Promise<[] | [string]>;
  find(key: string): Promise<[] | [string]>;
  calledSinceUpgrade(): Promise<number>;
  random(): Promise<number>;
}

test('a TypeScript canister keeps its data over an upgrade and calls others', async () => {
  const wasm = Uint8Array.from(gzipSync(await azleCanister()));
  const canisterId = await createCanister(agent);
  await installCode(agent, canisterId, wasm);
  const notes = Actor.createActor<Notes>(
    () =>
      IDL.Service({
        put: IDL.Func([IDL.Text, IDL.Text], [IDL.Opt(IDL.Text)], []),
        find: IDL.Func([IDL.Text], [IDL.Opt(IDL.Text)], ['query']),
        calledSinceUpgrade: IDL.Func([], [IDL.Nat32], ['query']),
        random: IDL.Func([], [IDL.Nat32], []),
      }),
    { agent, canisterId },
  );
  assert.deepEqual(await notes.put('ada', '1815'), []);
  assert.deepEqual(await notes.put('ada', '1852'), ['1815']);
  assert.deepEqual(await notes.find('ada'), ['1852']);
  assert.equal(await notes.calledSinceUpgrade(), 2);
  await installCode(agent, canisterId, wasm, { mode: 'upgrade' });
  assert.deepEqual(await notes.find('ada'), ['1852']);
  assert.equal(await notes.calledSinceUpgrade(), 0);
  assert.equal(await notes.random(), 32);
});

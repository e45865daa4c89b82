/** Canisters that misbehave and clients that send nonsense: each gets its error, the process stays, neighbours do not notice. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Principal } from '@icp-sdk/core/principal';
import {
  assembled,
  createCanister,
  decodedNumber,
  deployed,
  EMPTY_ARGUMENT,
  installCode,
  query,
  TALLY,
  update,
} from '../canisters/index.ts';
import { NetworkProcess } from '../network-process/index.ts';

let network: NetworkProcess;
let tally: Principal;
before(async () => {
  network = await NetworkProcess.start();
  tally = await deployed(network.agent(), TALLY);
});
after(async () => network[Symbol.asyncDispose]());

async function neighbourIsWell(): Promise<void> {
  const before = decodedNumber(await query(network.agent(), tally, 'get'));
  assert.equal(decodedNumber(await update(network.agent(), tally, 'increment')), before + 1n);
  assert.equal(network.child.exitCode, null, network.log);
}

test('traps, recursion, loops, memory bombs: each fails alone, with its code', async () => {
  const agent = network.agent();
  const hostile = await deployed(agent, await assembled('hostile'));
  const cases: readonly (readonly ['update' | 'query', string, RegExp])[] = [
    ['update', 'recurse', /stack overflow[\s\S]*IC0502|IC0502[\s\S]*stack overflow/],
    ['query', 'recurse_query', /IC0502[\s\S]*stack overflow/],
    ['update', 'divide', /division by 0/],
    ['update', 'outside', /out of bounds/],
    ['update', 'silent', /IC0506/],
    ['update', 'out_of_order', /call_perform/],
    ['query', 'spin', /IC0522/],
  ];
  for (const [kind, method, text] of cases) {
    const attempt = kind === 'update' ? update(agent, hostile, method) : query(agent, hostile, method);
    await assert.rejects(attempt, text, method);
    await neighbourIsWell();
  }
  await update(agent, hostile, 'grow').catch((error: unknown) => assert.match(String(error), /IC05\d\d/));
  await neighbourIsWell();
  await update(agent, hostile, 'fine');
});

test('modules that are none, or not allowed, are refused with IC0505', async () => {
  const agent = network.agent();
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const modules: readonly Uint8Array[] = [
    new Uint8Array(0),
    Uint8Array.of(1, 2, 3),
    Uint8Array.of(...header, 1, 255),
    // An import of a module that does not exist.
    Uint8Array.of(...header, 1, 4, 1, 0x60, 0, 0, 2, 7, 1, 1, 0x78, 1, 0x79, 0, 0),
    Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3),
  ];
  for (const wasm of modules) {
    const canister = await createCanister(agent);
    await assert.rejects(installCode(agent, canister, wasm), /IC0505/);
  }
  await neighbourIsWell();
});

test('HTTP nonsense is answered, not crashed on', async () => {
  const api = `${network.url}/api/v3/canister/${tally.toText()}`;
  const bodies = [new Uint8Array(0), Uint8Array.of(0xff), new Uint8Array(100_000).fill(0x81), EMPTY_ARGUMENT];
  for (const endpoint of ['call', 'query', 'read_state'])
    for (const body of bodies) {
      const answer = await fetch(`${api}/${endpoint}`, { method: 'POST', body: Uint8Array.from(body) });
      assert.equal(answer.status, 400, `${endpoint}: ${await answer.text()}`);
    }
  assert.equal((await fetch(`${api}/call`, { method: 'POST', body: new Uint8Array(5 << 20) })).status, 413);
  assert.equal((await fetch(`${network.url}/api/v9/nothing`, { method: 'POST' })).status, 404);
  await neighbourIsWell();
});

/** Clients that send nonsense: each gets its error, the process stays, others do not notice. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Principal } from '@icp-sdk/core/principal';
import { decodedNumber, deployed, EMPTY_ARGUMENT, query, TALLY, update } from '../canisters/index.ts';
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

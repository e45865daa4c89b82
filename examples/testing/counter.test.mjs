// A test of a canister that runs a whole network inside the test's own process: no server, no port, no waiting.
// In a project of your own: npm install --save-dev perdure && node --test
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { IDL } from '@icp-sdk/core/candid';
import { createNetwork } from 'perdure/testing';

const wasm = readFileSync(new URL('../tally/tally.wasm', import.meta.url));
const number = (bytes) => IDL.decode([IDL.Nat64], bytes)[0];

test('the tally counts, and survives an upgrade', async () => {
  await using network = await createNetwork();
  const tally = await network.install(wasm);
  for (const expected of [1n, 2n, 3n]) assert.equal(number(await network.update(tally, 'increment')), expected);
  await network.upgrade(tally, wasm);
  assert.equal(number(await network.query(tally, 'get')), 3n);
});

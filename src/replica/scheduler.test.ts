import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROUND_ROBIN } from './scheduler.ts';
import { ScriptedSandbox } from './scripted-sandbox.ts';
import { addCanister, newState, SECOND, TestSubnet } from './test-subnet.ts';

test('turns begin at the cursor, or at the next that is ready', () => {
  assert.deepEqual(ROUND_ROBIN.order(['a', 'b', 'c'], undefined), ['a', 'b', 'c']);
  assert.deepEqual(ROUND_ROBIN.order(['a', 'b', 'c'], 'b'), ['b', 'c', 'a']);
  assert.deepEqual(ROUND_ROBIN.order(['a', 'c', 'd'], 'b'), ['c', 'd', 'a']);
  assert.deepEqual(ROUND_ROBIN.order(['a', 'b'], 'c'), ['a', 'b']);
  assert.deepEqual(ROUND_ROBIN.order([], 'a'), []);
});

test('of many busy canisters none waits for more rounds than the others need for a turn each', async () => {
  const state = newState();
  const canisters = Array.from({ length: 12 }, () => addCanister(state, 'busy'));
  const sandbox = new ScriptedSandbox({
    busy: {
      update: {
        work: (api) => {
          api.instructions = 9_000_000n;
          api.reply();
        },
      },
    },
  });
  const subnet = new TestSubnet(state, sandbox);
  await subnet.round(canisters.flatMap(({ id }) => Array.from({ length: 8 }, () => subnet.message(id, 'work'))));
  const lastTurn = new Map(canisters.map(({ id }) => [id.key, 0]));
  let seen = 0;
  for (let round = 1; subnet.replica.busy; round++) {
    await subnet.round([], SECOND / 10n);
    for (const { canister } of sandbox.events.slice(seen)) lastTurn.set(canister, round);
    seen = sandbox.events.length;
    // A round has room for three turns of 9 million instructions, or two and a part.
    for (const [key, last] of lastTurn)
      if ((state.canisters.get(key)?.input.length ?? 0) > 0) assert.ok(round - last <= 6, `${key} waits since ${last}`);
  }
  assert.equal(sandbox.events.length, 96);
});

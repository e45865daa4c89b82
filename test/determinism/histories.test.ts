/** The same batches give the same state hashes, whatever happens to the process between and in them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { firstDifference, type History, readHistory, replay } from '../replay/index.ts';
import { Dice, type Recorded, record } from './workload.ts';

const SEED = 1;
const OPERATIONS = 120;
const MAIN = fileURLToPath(new URL('../replay/main.ts', import.meta.url));

let recorded: Recorded;
let history: History;
let straight: string[];
before(async () => {
  recorded = await record(SEED, OPERATIONS);
  history = await readHistory(recorded.stateDir);
  straight = await replay(history);
});
after(() => rmSync(recorded.stateDir, { recursive: true }));

test('a history executed again in one go is the history that was recorded', (t) => {
  const rejected = [...recorded.rejected].map(([code, count]) => `${code} ${count}`).join(', ');
  t.diagnostic(`${history.batches.length} rounds, ${recorded.replied} replies; rejected: ${rejected}`);
  assert.ok(recorded.replied > OPERATIONS / 3);
  assert.ok(recorded.rejected.has('IC0502') || recorded.rejected.has('IC0503'), 'some messages trapped');
  assert.equal(straight.at(-1), recorded.stateHash);
  assert.equal(firstDifference(history.hashes, straight), undefined);
  assert.equal(new Set(straight).size, straight.length, 'every round has a hash of its own');
});

test('evicted instances do not matter', async () => {
  const dice = new Dice(SEED + 1);
  const evicted = await replay(history, (execution) => execution.evict(() => dice.below(2) === 0), 2);
  assert.equal(firstDifference(straight, evicted), undefined);
});

test('restarts from a checkpoint do not matter, in the middle of long messages neither', async (t) => {
  const dice = new Dice(SEED + 2);
  let restarts = 0;
  let inTheMiddle = 0;
  const restarted = await replay(history, async (execution) => {
    const inMessage = execution.paused > 0;
    const first = inMessage && inTheMiddle === 0;
    if (!first && dice.below(inMessage ? 2 : 12) > 0) return;
    restarts++;
    if (inMessage) inTheMiddle++;
    await execution.restart();
  });
  t.diagnostic(`${restarts} restarts, ${inTheMiddle} of them in the middle of a message`);
  assert.ok(inTheMiddle > 0);
  assert.equal(firstDifference(straight, restarted), undefined);
});

for (const flag of ['--liftoff-only', '--no-liftoff'])
  test(`the compiler does not matter: ${flag}`, async () => {
    assert.equal(firstDifference(straight, await replayedApart(recorded.stateDir, flag)), undefined);
  });

test('a difference is found', () => {
  assert.equal(firstDifference(['a', 'b'], ['a', 'b']), undefined);
  assert.equal(firstDifference(['a', undefined], ['a', 'b']), undefined);
  assert.equal(firstDifference(['a', 'b'], ['a', 'c']), 2);
  assert.equal(firstDifference(['a', 'b'], ['a']), 2);
});

function replayedApart(stateDir: string, flag: string): Promise<string[]> {
  const child = spawn(process.execPath, [flag, MAIN, stateDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(JSON.parse(output) as string[]) : reject(new Error(`the replay ended with ${code}`)),
    );
  });
}

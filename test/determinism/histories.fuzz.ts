/** Random histories without end: PERDURE_FUZZ_SECONDS (default 300), PERDURE_FUZZ_SEED the first seed. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { firstDifference, readHistory, replay } from '../replay/index.ts';
import { Dice, record } from './workload.ts';

const SECONDS = Number(process.env['PERDURE_FUZZ_SECONDS'] ?? 300);
const FIRST_SEED = Number(process.env['PERDURE_FUZZ_SEED'] ?? Date.now() % 1_000_000);

test(`random histories, executed again with evictions and restarts, for ${SECONDS} s`, async (t) => {
  const end = Date.now() + SECONDS * 1000;
  let seed = FIRST_SEED;
  let rounds = 0;
  for (; Date.now() < end; seed++) {
    const { stateDir, stateHash } = await record(seed, 300);
    const history = await readHistory(stateDir);
    const dice = new Dice(~seed);
    const disturbed = await replay(
      history,
      async (execution) => {
        if (dice.below(execution.paused > 0 ? 3 : 15) === 0) await execution.restart();
        else if (dice.below(2) === 0) execution.evict(() => dice.below(3) === 0);
      },
      1 + dice.below(4),
    );
    const difference = firstDifference(history.hashes, disturbed);
    assert.equal(difference, undefined, `seed ${seed}: height ${difference} differs; the history is in ${stateDir}`);
    assert.equal(disturbed.at(-1), stateHash, `seed ${seed}`);
    rounds += history.batches.length;
    rmSync(stateDir, { recursive: true });
  }
  t.diagnostic(`seeds ${FIRST_SEED} to ${seed - 1}, ${rounds} rounds`);
});

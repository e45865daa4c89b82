import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeProgram } from './test-judge.ts';

test('random programs: counts, NaN bits, reported pages and captured state are those of their references', () => {
  let executed = 0n;
  for (let seed = 0; seed < 48; seed++) executed += judgeProgram(seed);
  assert.ok(executed > 100_000n, `${executed} instructions are too few to prove anything`);
});

/** Random programs without end: PERDURE_FUZZ_SECONDS (60) of them, from PERDURE_FUZZ_SEED on. A failure names its seed. */
import { test } from 'node:test';
import { judgeProgram } from './test-judge.ts';

test('random programs behave as their references', () => {
  const until = performance.now() + 1000 * Number(process.env['PERDURE_FUZZ_SECONDS'] ?? 60);
  let seed = Number(process.env['PERDURE_FUZZ_SEED'] ?? Date.now() % 1_000_000_000);
  for (; performance.now() < until; seed++) judgeProgram(seed);
});

/** Power cuts without end: PERDURE_FUZZ_SECONDS (60) of them, from PERDURE_FUZZ_SEED on. A failure names its seed. */
import { test } from 'node:test';
import { ordeal } from './test-ordeal.ts';

test('power cuts at random moments lose nothing and apply nothing twice', async () => {
  const until = performance.now() + 1000 * Number(process.env['PERDURE_FUZZ_SECONDS'] ?? 60);
  let seed = Number(process.env['PERDURE_FUZZ_SEED'] ?? 1 + (Date.now() % 1_000_000) * 1000);
  for (; performance.now() < until; seed++) {
    const crashes = Array.from(
      { length: 1 + (seed % 4) },
      (_, n) => 1 + ((Math.imul(seed + n, 0x9e3779b1) >>> 8) % 150),
    );
    await ordeal(seed, crashes);
  }
});

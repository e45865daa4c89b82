import assert from 'node:assert/strict';
import { instantiate, type StandAlone } from './index.ts';
import { randomProgram } from './test-program.ts';
import { wat } from './test-wat.ts';

const PAGE = 4096;
/** Where `spill` writes the globals. */
const SPILL = { start: 200_000, bytes: 16 * 8 };

/** Keeps the bits of all floats that it is passed. */
const recorder = new WebAssembly.Module(
  wat(`(module (memory (export "memory") 1) (global $at (mut i32) (i32.const 0))
    (func (export "see") (param f64 f32)
      (f64.store (global.get $at) (local.get 0)) (f32.store offset=8 (global.get $at) (local.get 1))
      (global.set $at (i32.rem_u (i32.add (global.get $at) (i32.const 12)) (i32.const 65520)))))`) as BufferSource,
);

const bytesOf = (exports: WebAssembly.Exports): Uint8Array =>
  new Uint8Array((exports['memory'] as WebAssembly.Memory).buffer);
const run = (exports: WebAssembly.Exports, name: string): unknown => (exports[name] as () => unknown)();

/**
 * Runs a random program with all passes beside its reference: the same instructions counted, the same bits of NaNs in
 * memory, in globals and passed out; every changed byte in a reported page; and a restored instance goes on alike.
 */
export function judgeProgram(seed: number): bigint {
  const options = { wide: seed % 2 === 1, vectors: seed % 4 > 1, tailCalls: seed % 3 === 0 };
  const { plain, reference } = randomProgram(seed, options);
  const bytes = wat(plain);
  const seen = [new WebAssembly.Instance(recorder), new WebAssembly.Instance(recorder)].map(({ exports }) => exports);
  const [mine, theirs] = seen as [WebAssembly.Exports, WebAssembly.Exports];
  const fresh = (): StandAlone => instantiate(bytes, { host: { see: mine['see'] as WebAssembly.ImportValue } });
  const imports = { host: { see: theirs['see'] as WebAssembly.ImportValue } };
  const expected = new WebAssembly.Instance(new WebAssembly.Module(wat(reference) as BufferSource), imports).exports;
  const count = expected['count'] as WebAssembly.Global;
  let instance = fresh();
  let total = 0n;
  for (let call = 0; call < 3; call++) {
    const at = `seed ${seed}, call ${call}`;
    instance.setBudget(1n << 40n);
    instance.clearDirty();
    count.value = 0n;
    const before = bytesOf(instance.exports).slice();
    run(instance.exports, 'run');
    run(expected, 'run');
    assert.equal(instance.instructions(), count.value, `instructions: ${at}`);
    total += count.value as bigint;
    const after = bytesOf(instance.exports);
    const dirty = new Set(instance.dirtyPages());
    for (let page = 0; page < after.length / PAGE; page++) {
      const range = [page * PAGE, (page + 1) * PAGE] as const;
      if (dirty.has(page) || Buffer.compare(before.subarray(...range), after.subarray(...range)) === 0) continue;
      assert.fail(`page ${page} changed and is not reported: ${at}`);
    }
    run(instance.exports, 'spill');
    run(expected, 'spill');
    assert.deepEqual(
      Buffer.from(after.subarray(SPILL.start, SPILL.start + SPILL.bytes)),
      Buffer.from(bytesOf(expected).subarray(SPILL.start, SPILL.start + SPILL.bytes)),
      `globals: ${at}`,
    );
    assert.equal(Buffer.compare(after, bytesOf(expected)), 0, `memory: ${at}`);
    assert.equal(Buffer.compare(bytesOf(mine), bytesOf(theirs)), 0, `passed out: ${at}`);
    const state = structuredClone(instance.capture());
    instance = fresh();
    instance.restore(state);
  }
  return total;
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WASM_PAGE_BYTES } from '../model/index.ts';
import { StableMemory } from './stable-memory.ts';
import { PlainStore } from './test-canister.ts';

const PAGES = 3;
const SIZE = PAGES * WASM_PAGE_BYTES;

type Command =
  | { readonly kind: 'write'; readonly offset: number; readonly length: number; readonly fill: number }
  | { readonly kind: 'read'; readonly offset: number; readonly length: number }
  | { readonly kind: 'commit' }
  | { readonly kind: 'discard' };

const range = fc
  .tuple(fc.nat(SIZE), fc.oneof(fc.nat(20), fc.nat(10_000)))
  .map(([offset, length]) => ({ offset, length: Math.min(length, SIZE - offset) }));
const kind = <Kind extends Command['kind']>(value: Kind): { readonly kind: Kind } => ({ kind: value });
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.tuple(range, fc.integer({ min: 1, max: 255 })).map(([r, fill]) => ({ ...kind('write'), ...r, fill })),
  },
  { weight: 5, arbitrary: range.map((r) => ({ ...kind('read'), ...r })) },
  { weight: 1, arbitrary: fc.constant(kind('commit')) },
  { weight: 1, arbitrary: fc.constant(kind('discard')) },
);

test('reads, writes, commits and discards agree with a plain array', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const store = new PlainStore();
      store.resize(PAGES);
      const stable = new StableMemory(store);
      let committed = new Uint8Array(SIZE);
      let present = committed.slice();
      for (const step of commands) {
        if (step.kind === 'write') {
          const bytes = new Uint8Array(step.length + 3).fill(step.fill);
          const fresh = stable.newlyDirty(step.offset, step.length);
          const before = stable.dirtyCount;
          stable.write(step.offset, bytes, 3, step.length);
          assert.equal(stable.dirtyCount, before + fresh);
          present.fill(step.fill, step.offset, step.offset + step.length);
        } else if (step.kind === 'read') {
          const bytes = new Uint8Array(step.length + 2).fill(0xee);
          stable.read(step.offset, bytes, 1, step.length);
          assert.deepEqual(bytes.subarray(1, -1), present.subarray(step.offset, step.offset + step.length));
          assert.deepEqual([bytes[0], bytes.at(-1)], [0xee, 0xee]);
        } else if (step.kind === 'commit') {
          const pages = stable.commit();
          assert.deepEqual(
            pages,
            [...pages].sort((a, b) => a - b),
          );
          committed = present.slice();
          assert.deepEqual(store.read(0, SIZE), committed);
        } else {
          stable.discard();
          present = committed.slice();
        }
      }
      assert.deepEqual(store.read(0, SIZE), committed);
    }),
    { numRuns: 60 },
  );
});

test('growth is a part of the message', () => {
  const store = new PlainStore();
  const stable = new StableMemory(store);
  stable.grow(2);
  stable.write(WASM_PAGE_BYTES, Uint8Array.of(1), 0, 1);
  assert.equal(store.wasmPages, 0);
  stable.discard();
  assert.equal(stable.wasmPages, 0);
  stable.grow(1);
  assert.deepEqual(stable.commit(), []);
  assert.equal(store.wasmPages, 1);
  assert.ok(stable.clean);
});

test('a page far out costs one page', () => {
  const store = new PlainStore();
  store.resize(8_000_000);
  const stable = new StableMemory(store);
  const offset = 499 * 2 ** 30 + 4095;
  stable.write(offset, Uint8Array.of(1, 2), 0, 2);
  assert.deepEqual(stable.commit(), [Math.floor(offset / 4096), Math.floor(offset / 4096) + 1]);
  assert.equal(store.contents.size, 2);
});

test('touched pages are counted once', () => {
  const store = new PlainStore();
  store.resize(100_000);
  const stable = new StableMemory(store);
  assert.equal(stable.touch(0, 1), 1);
  assert.equal(stable.touch(4095, 2), 2);
  assert.equal(stable.touch(0, 8192), 2);
  assert.equal(stable.touch(5 * 2 ** 30, 4096), 3);
  assert.equal(stable.touch(7, 0), 3);
});

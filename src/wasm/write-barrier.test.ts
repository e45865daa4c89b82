import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DirtyMap, instantiate, type StandAlone } from './index.ts';
import { Dice, wat } from './test-wat.ts';

const PAGE = 4096;
type Call = (...values: unknown[]) => unknown;

function heapOf(instance: StandAlone): Uint8Array {
  return new Uint8Array((instance.exports['memory'] as WebAssembly.Memory).buffer);
}

/** Pages with a byte that differs; beyond the older one's end, that is not zero. */
function changedPages(before: Uint8Array, after: Uint8Array): number[] {
  const pages: number[] = [];
  for (let page = 0; page < after.length / PAGE; page++) {
    for (let i = page * PAGE; i < (page + 1) * PAGE; i++) {
      if (after[i] !== (before[i] ?? 0)) {
        pages.push(page);
        break;
      }
    }
  }
  return pages;
}

const VALUES: Readonly<Record<string, string>> = {
  i32: '(i32.const 0x81828384)',
  i64: '(i64.const 0x8182838485868788)',
  f32: '(f32.const 1.5)',
  f64: '(f64.const -2.5)',
  v128: '(v128.const i32x4 0x81828384 0x85868788 0x898a8b8c 0x8d8e8f90)',
};
const STORES: readonly (readonly [op: string, type: string, bytes: number])[] = [
  ['i32.store', 'i32', 4],
  ['i64.store', 'i64', 8],
  ['f32.store', 'f32', 4],
  ['f64.store', 'f64', 8],
  ['i32.store8', 'i32', 1],
  ['i32.store16', 'i32', 2],
  ['i64.store8', 'i64', 1],
  ['i64.store16', 'i64', 2],
  ['i64.store32', 'i64', 4],
  ['v128.store', 'v128', 16],
  ['v128.store8_lane', 'v128', 1],
  ['v128.store16_lane', 'v128', 2],
  ['v128.store32_lane', 'v128', 4],
  ['v128.store64_lane', 'v128', 8],
];

/** A store of each kind, at an address and with an offset, alone in its function. */
for (const width of ['i32', 'i64'] as const) {
  test(`each store marks the pages that it touches, and at most its base's besides (${width})`, () => {
    const functions = STORES.flatMap(([op, type, bytes], kind) =>
      [0, 100, 125, 4096, 5000, 8190].map((offset) => {
        const lane = op.endsWith('lane') ? ' 0' : '';
        void bytes;
        return `(func (export "${kind}:${offset}") (param ${width}) (${op} offset=${offset} align=1${lane} (local.get 0) ${VALUES[type]}))`;
      }),
    );
    const instance = instantiate(
      wat(`(module (memory (export "memory") ${width === 'i64' ? 'i64' : ''} 4) ${functions.join('\n')})`),
    );
    for (const [name, run] of Object.entries(instance.exports)) {
      if (typeof run !== 'function') continue;
      const [kind, offset] = name.split(':').map(Number) as [number, number];
      const bytes = STORES[kind]?.[2] as number;
      for (const address of [0, 1, 2000, 4088, 4089, 4095, 4096, 8191, 12_000, 16_383 - 8190 - 15]) {
        const first = address + offset;
        if (first + bytes > 4 * 65_536) continue;
        instance.clearDirty();
        heapOf(instance).fill(0x55, first, first + bytes);
        instance.markDirty(first, bytes);
        instance.clearDirty();
        (run as Call)(width === 'i64' ? BigInt(address) : address);
        const expected = [Math.floor(first / PAGE), Math.floor((first + bytes - 1) / PAGE)];
        // With a small offset it is the base's page that is marked, which may be the one before.
        const dirty = instance
          .dirtyPages()
          .filter((page) => page !== Math.floor(address / PAGE) || expected.includes(page));
        assert.deepEqual(dirty, [...new Set(expected)], `${name} at ${address}`);
      }
    }
  });
}

/** Code with everything that the barrier's analysis looks at: bases, distances, loops, joins, frames, bulk operations. */
function randomBody(dice: Dice, width: 'i32' | 'i64', host: boolean): string {
  const wide = width === 'i64';
  const constant = (n: number): string => `(${width}.const ${n})`;
  const edge = (): number => dice.one([0, 3, 4080, 4090, 4095, 4096, 8189, 20_000, 65_530]) + dice.below(40);
  const base = (): string => `(local.get ${dice.below(4)})`;
  const address = (): string =>
    dice.one([
      () => base(),
      () => `(${width}.add ${base()} ${constant(dice.one([8, 16, -8, 120, 4090, -300, 64]))})`,
      () => `(${width}.sub ${base()} ${constant(dice.one([8, 16, -8]))})`,
      () => `(${width}.and ${base()} ${constant(0xffff)})`,
      () => constant(edge()),
      () => `(local.tee ${dice.below(4)} (${width}.add ${base()} ${constant(dice.one([8, 16, 24, -16]))}))`,
      () => `(${width}.const ${wide ? '-8' : '0xfffffff8'})`,
      () => `(${width}.add ${constant(dice.one([8, 12, 4]))} (${width}.sub ${base()} ${base()}))`,
    ])();
  const store = (): string => {
    const [op, type] = dice.one(STORES);
    const lane = op.endsWith('lane') ? ' 0' : '';
    const value = dice.below(3) === 0 && type === 'i32' ? '(i32.load (local.get 0))' : VALUES[type];
    return `(${op} offset=${dice.one([0, 0, 0, 4, 8, 24, 100, 121, 128, 4000, 4096, 9000])} align=1${lane} ${address()} ${value})`;
  };
  const length = (): number => dice.one([0, 1, 2, 5, 100, 5000]);
  const statement = (depth: number): string =>
    dice.one([
      store,
      store,
      store,
      store,
      () => `(local.set ${dice.below(4)} ${address()})`,
      () => `(local.set ${dice.below(4)} ${constant(edge())})`,
      () => `(memory.fill ${constant(edge())} (i32.const ${1 + dice.below(250)}) ${constant(length())})`,
      () => `(memory.copy ${constant(edge())} ${constant(edge())} ${constant(length())})`,
      () => `(memory.init 0 ${constant(edge())} (i32.const ${dice.below(20)}) (i32.const ${dice.below(20)}))`,
      () => `(drop (memory.grow ${constant(dice.below(2))}))`,
      () => (host ? `(call $write (i32.const ${edge()}) (i32.const ${dice.below(30)}))` : '(nop)'),
      () =>
        depth > 2 ? store() : `(block ${statements(depth + 1)} (br_if 0 ${condition()}) ${statements(depth + 1)})`,
      () =>
        depth > 2 ? store() : `(if ${condition()} (then ${statements(depth + 1)}) (else ${statements(depth + 1)}))`,
      () =>
        depth > 1
          ? store()
          : `(local.set ${4 + depth} (i32.const ${1 + dice.below(5)}))
             (loop ${statements(depth + 1)}
               (local.set ${depth} (${width}.add (local.get ${depth}) ${constant(dice.one([8, 16, 4096]))}))
               (local.set ${4 + depth} (i32.sub (local.get ${4 + depth}) (i32.const 1)))
               (br_if 0 (i32.gt_s (local.get ${4 + depth}) (i32.const 0))))`,
    ])();
  const condition = (): string =>
    `(i32.and (i32.const ${1 << dice.below(4)}) ${wide ? '(i32.wrap_i64 (local.get 1))' : '(local.get 1)'})`;
  const statements = (depth: number): string =>
    Array.from({ length: 1 + dice.below(6) }, () => statement(depth)).join('\n');
  return statements(0);
}

for (const width of ['i32', 'i64'] as const) {
  test(`after random calls every changed byte lies in a reported page (${width})`, () => {
    let reported = 0;
    let changed = 0;
    let calls = 0;
    for (let seed = 0; seed < 120; seed++) {
      const dice = new Dice(seed * 2 + (width === 'i64' ? 1 : 0));
      const host = seed % 3 === 0;
      const text = `(module
        ${host ? '(import "host" "write" (func $write (param i32 i32)))' : ''}
        (memory (export "memory") ${width === 'i64' ? 'i64' : ''} 2 5)
        (data "abcdefghijklmnopqrstuvwxyz0123456789")
        ${[0, 1, 2]
          .map(
            (i) => `(func (export "f${i}") (param ${width} ${width} ${width} ${width}) (local i32 i32 i32)
              ${randomBody(dice, width, host)})`,
          )
          .join('\n')})`;
      const instance = instantiate(wat(text), {
        host: {
          write: (address: number, length: number) =>
            heapOf(instance).fill(0x77 + (calls % 64), address, address + length),
        },
      });
      for (let call = 0; call < 8; call++) {
        calls++;
        const run = instance.exports[`f${dice.below(3)}`] as Call;
        const values = Array.from(
          { length: 4 },
          () => dice.one([0, 4, 16, 4085, 4093, 8185, 12_288, 40_000, 131_060]) + dice.below(16),
        );
        instance.clearDirty();
        const before = heapOf(instance).slice();
        try {
          run(...values.map((value) => (width === 'i64' ? BigInt(value) : value)));
        } catch (error) {
          assert.ok(error instanceof WebAssembly.RuntimeError || error instanceof RangeError, String(error));
        }
        const dirty = new Set(instance.dirtyPages());
        const pages = changedPages(before, heapOf(instance));
        for (const page of pages)
          assert.ok(dirty.has(page), `page ${page} is missing: seed ${seed}, call ${call}\n${text}`);
        reported += dirty.size;
        changed += pages.length;
      }
    }
    assert.ok(changed > 300, `too little was written: ${changed}`);
    // Stores of bytes that were there already, and of zeros, are reported too.
    assert.ok(reported < changed * 4, `${reported} pages reported, ${changed} changed`);
  });
}

test('a 64-bit heap beyond 4 GiB has its marks', () => {
  const instance = instantiate(
    wat(`(module (memory (export "memory") i64 81920)
      (func (export "f") (param i64) (i64.store (local.get 0) (i64.const -1)))
      (func (export "g") (param i64 i64) (memory.fill (local.get 0) (i32.const 1) (local.get 1))))`),
  );
  const f = instance.exports['f'] as (address: bigint) => void;
  const g = instance.exports['g'] as (address: bigint, length: bigint) => void;
  f((1n << 32n) + 4092n);
  g((5n << 30n) - 10_000n, 10_000n);
  const last = 81_920 * 16 - 1;
  assert.deepEqual(instance.dirtyPages(), [1 << 20, (1 << 20) + 1, last - 2, last - 1, last]);
  assert.throws(() => f(5n << 30n), /out of bounds/);
  assert.throws(() => f(-8n), /out of bounds/);
  assert.throws(() => g(0n, -1n), /out of bounds|unreachable/);
});

test('marks: empty, taken out, put back, cleared', () => {
  const map = new DirtyMap();
  assert.ok(map.isEmpty);
  map.mark(4095, 2);
  map.mark(6 * 2 ** 30 - 1, 1);
  assert.deepEqual([...map.collect()], [0, 1, 1_572_863]);
  const taken = map.take();
  assert.ok(map.isEmpty);
  map.mark(20 * PAGE, 1);
  map.put(taken);
  assert.deepEqual([...map.collect()], [0, 1, 20, 1_572_863]);
  map.clear();
  assert.ok(map.isEmpty);
});

test('active data is dirty from the start, and only that', () => {
  const instance = instantiate(wat('(module (memory (export "memory") 4) (data (i32.const 8190) "abcd"))'));
  assert.deepEqual(instance.dirtyPages(), [1, 2]);
  instance.clearDirty();
  assert.deepEqual(instance.dirtyPages(), []);
});

test('a tight loop with many stores at many distances', () => {
  const stores = [0, 8, 100, 4096, 4100, 9000, 20_480, 12_288];
  const instance = instantiate(
    wat(`(module (memory (export "memory") 3) (func (export "f") (param i32 i32)
      (loop ${stores.map((offset, i) => `(i32.store offset=${offset} (i32.add (local.get 0) (i32.const ${i * -8})) (i32.const -1))`).join('')}
        (local.set 0 (i32.add (local.get 0) (i32.const 1900)))
        (br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))))`),
  );
  instance.clearDirty();
  const before = heapOf(instance).slice();
  (instance.exports['f'] as Call)(4090, 9);
  const dirty = new Set(instance.dirtyPages());
  const pages = changedPages(before, heapOf(instance));
  assert.ok(pages.length > 8);
  for (const page of pages) assert.ok(dirty.has(page), `page ${page}`);
});

test('a base below zero, and a trapped store beyond the address space', () => {
  const instance = instantiate(
    wat(`(module (memory (export "memory") 1) (func (export "f") (param i32)
      (v128.store offset=100 (i32.add (local.get 0) (i32.const 8)) ${VALUES['v128']})
      (i64.store offset=4096 (i32.const 0xfffffff8) (i64.const 1))))`),
  );
  assert.throws(() => (instance.exports['f'] as Call)(-7), /out of bounds/);
  assert.deepEqual(instance.dirtyPages(), [0]);
});

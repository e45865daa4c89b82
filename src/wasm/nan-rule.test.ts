import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instantiate } from './index.ts';
import { wat } from './test-wat.ts';

type Call = (...values: unknown[]) => unknown;
const CANONICAL_64 = 0x7ff8000000000000n;
const CANONICAL_32 = 0x7fc00000;
/** A quiet NaN that is not canonical, and a negative signalling one. */
const ODD_64 = 0x7ff80000deadbeefn;
const ODD_32 = 0xffa12345;

function instance(text: string): Record<string, Call> & { memory: WebAssembly.Memory } {
  const exports = instantiate(wat(`(module (memory (export "memory") 1) ${text})`)).exports;
  const view = new DataView((exports['memory'] as WebAssembly.Memory).buffer);
  view.setBigUint64(0, ODD_64, true);
  view.setUint32(8, ODD_32, true);
  view.setBigUint64(16, ODD_64, true);
  view.setBigUint64(24, 0xfff0000000000001n, true);
  return exports as never;
}

const f64At = (memory: WebAssembly.Memory, at: number): bigint => new DataView(memory.buffer).getBigUint64(at, true);
const f32At = (memory: WebAssembly.Memory, at: number): number => new DataView(memory.buffer).getUint32(at, true);

test('NaNs made by arithmetic are canonical wherever their bits show', () => {
  // From a payload NaN in memory: hardware would carry the payload on.
  const nan64 = '(f64.add (f64.load (i32.const 0)) (f64.const 1))';
  const nan32 = '(f32.mul (f32.load (i32.const 8)) (f32.const 2))';
  const made: readonly string[] = [
    nan64,
    '(f64.sub (f64.load (i32.const 0)) (f64.load (i32.const 0)))',
    '(f64.div (f64.const 0) (f64.const 0))',
    '(f64.sqrt (f64.const -1))',
    '(f64.min (f64.load (i32.const 0)) (f64.const 1))',
    '(f64.max (f64.const 1) (f64.load (i32.const 24)))',
    '(f64.ceil (f64.load (i32.const 0)))',
    '(f64.nearest (f64.load (i32.const 24)))',
    `(f64.promote_f32 ${nan32})`,
    '(f64.promote_f32 (f32.load (i32.const 8)))',
    `(f64.abs ${nan64})`,
    `(select ${nan64} (f64.const 1) (i32.const 1))`,
    `(select (f64.load (i32.const 8)) ${nan64} (i32.const 0))`,
    `(block (result f64) ${nan64})`,
    `(if (result f64) (i32.const 1) (then ${nan64}) (else (f64.const 1)))`,
    `(call $through ${nan64})`,
    `(call $make)`,
  ];
  for (const [i, value] of made.entries()) {
    const { store, bits, through, keep, memory } = instance(`
      (global $g (mut f64) (f64.const 0))
      (func $through (param f64) (result f64) (local.get 0))
      (func $make (result f64) ${nan64})
      (func (export "store") (f64.store (i32.const 100) ${value}))
      (func (export "bits") (result i64) (i64.reinterpret_f64 ${value}))
      (func (export "through") (result i64) (local f64) (local.set 0 ${value}) (local.set 0 (f64.add (local.get 0) (local.get 0)))
        (i64.reinterpret_f64 (call $through (local.get 0))))
      (func (export "keep") (result i64) (global.set $g ${value}) (i64.reinterpret_f64 (global.get $g)))`);
    store?.();
    assert.equal(f64At(memory, 100), CANONICAL_64, `stored ${i}: ${value}`);
    assert.equal(bits?.(), CANONICAL_64, `bits of ${i}`);
    assert.equal(through?.(), CANONICAL_64, `passed ${i}`);
    assert.equal(keep?.(), CANONICAL_64, `kept ${i}`);
  }
  const { demote, mul, negative, sign, memory } = instance(`
    (func (export "demote") (f32.store (i32.const 100) (f32.demote_f64 (f64.load (i32.const 0)))))
    (func (export "mul") (f32.store offset=104 (i32.const 0) ${nan32}))
    (func (export "negative") (result i64) (i64.reinterpret_f64 (f64.neg ${nan64})))
    (func (export "sign") (result i64) (i64.reinterpret_f64 (f64.copysign (f64.const 1) (f64.sqrt (f64.const -1)))))`);
  demote?.();
  mul?.();
  assert.equal(f32At(memory, 100), CANONICAL_32);
  assert.equal(f32At(memory, 104), CANONICAL_32);
  // Sign operations work on bits: of the canonical NaN, here.
  assert.equal(BigInt.asUintN(64, negative?.() as bigint), CANONICAL_64 | (1n << 63n));
  assert.equal(sign?.(), 0x3ff0000000000000n);
});

test('moved payloads keep every bit', () => {
  const exports = instance(`
    (global $g (mut f64) (f64.const 0)) (global $h (mut f32) (f32.const 0))
    (func $pass (param f64 f32) (result f64 f32) (local.get 0) (local.get 1))
    (func (export "copy") (local f64 f32 f64)
      (local.set 0 (f64.load (i32.const 0))) (local.set 1 (f32.load (i32.const 8)))
      (local.set 2 (f64.add (f64.const 1) (f64.const 2)))
      (call $pass (local.get 0) (local.get 1)) (local.set 1) (local.set 0)
      (global.set $g (local.get 0)) (global.set $h (local.get 1))
      (local.set 0 (select (global.get $g) (local.get 2) (i32.const 1)))
      (f64.store (i32.const 100) (local.get 0)) (f32.store (i32.const 108) (global.get $h)))
    (func (export "mixed") (param i32) (local f64)
      (local.set 1 (f64.load (i32.const 0)))
      (if (local.get 0) (then (local.set 1 (f64.sqrt (f64.const -1)))))
      (f64.store (i32.const 116) (local.get 1)))
    (func (export "signs") (f64.store (i32.const 124) (f64.neg (f64.neg (f64.load (i32.const 24)))))
      (f64.store (i32.const 132) (f64.abs (f64.load (i32.const 24)))))
    (func (export "vector") (v128.store (i32.const 140) (v128.load (i32.const 16)))
      (v128.store (i32.const 156) (f64x2.abs (v128.load (i32.const 16)))))`);
  const { copy, mixed, signs, vector, memory } = exports;
  copy?.();
  assert.equal(f64At(memory, 100), ODD_64);
  assert.equal(f32At(memory, 108), ODD_32);
  mixed?.(0);
  assert.equal(f64At(memory, 116), ODD_64);
  mixed?.(1);
  assert.equal(f64At(memory, 116), CANONICAL_64);
  signs?.();
  assert.equal(f64At(memory, 124), 0xfff0000000000001n);
  assert.equal(f64At(memory, 132), 0x7ff0000000000001n);
  vector?.();
  assert.equal(f64At(memory, 140), ODD_64);
  assert.equal(f64At(memory, 148), 0xfff0000000000001n);
  assert.equal(f64At(memory, 164), 0x7ff0000000000001n);
});

test('lanes of vectors follow the same rule', () => {
  const v = '(v128.load (i32.const 16))';
  const two = '(v128.const f64x2 1 1)';
  const { d, s, mixed, loop, lane, memory } = instance(`
    (func (export "d") (v128.store (i32.const 100) (f64x2.add ${v} ${two})))
    (func (export "s") (v128.store (i32.const 116) (f32x4.mul ${v} ${v})))
    (func (export "mixed") (v128.store (i32.const 132) (v128.or (f64x2.add ${v} ${two}) (v128.const i64x2 0 0))))
    (func (export "loop") (param i32) (local v128)
      (loop (local.set 1 (f64x2.add (local.get 1) ${v}))
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (v128.store (i32.const 148) (local.get 1)))
    (func (export "lane") (result i64) (i64.reinterpret_f64 (f64x2.extract_lane 1 (f64x2.mul ${v} ${two}))))`);
  d?.();
  s?.();
  mixed?.();
  loop?.(3);
  assert.equal(f64At(memory, 100), CANONICAL_64);
  assert.equal(f64At(memory, 108), CANONICAL_64);
  // 0xdeadbeef squared as f32 lanes is a number; the lane above is a NaN.
  assert.equal(f32At(memory, 120), CANONICAL_32);
  assert.equal(f64At(memory, 132), CANONICAL_64);
  assert.equal(f64At(memory, 148), CANONICAL_64);
  assert.equal(f64At(memory, 156), CANONICAL_64);
  assert.equal(lane?.(), CANONICAL_64);
});

test('switched off, the rule changes nothing', () => {
  const text =
    '(module (memory (export "memory") 1) (func (export "f") (param f64) (f64.store (i32.const 0) (f64.add (local.get 0) (f64.load (i32.const 8))))))';
  const exports = instantiate(wat(text), {}, { canonicalNaN: false }).exports;
  const memory = exports['memory'] as WebAssembly.Memory;
  new DataView(memory.buffer).setBigUint64(8, ODD_64, true);
  (exports['f'] as Call)(1);
  assert.equal(f64At(memory, 0), ODD_64);
});

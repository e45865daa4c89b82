import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instantiate, type StandAlone, WasmError } from './index.ts';
import { Dice, wat } from './test-wat.ts';

type Call = (...values: unknown[]) => unknown;

/** State of every kind, and functions that change it and tell. */
const MODULE = wat(`(module
  (memory (export "memory") 1 8)
  (global $a (mut i32) (i32.const 1)) (global $b (mut i64) (i64.const 2))
  (global $c (mut f32) (f32.const 3)) (global $d (mut f64) (f64.const 4))
  (global $v (mut v128) (v128.const i64x2 5 6)) (global $r (mut funcref) (ref.null func))
  (table $t 4 20 funcref) (table $u 3 funcref) (table $fixed 2 funcref)
  (elem (table $t) (i32.const 0) func $one $two) (elem (table $fixed) (i32.const 0) func $two $one)
  (elem $e func $one $two $three) (data $p "passive") (data $q "second") (data (i32.const 64) "active")
  (type $n (func (result i32)))
  (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
  (func $three (result i32) (global.set $a (i32.add (global.get $a) (i32.const 7))) (global.get $a))
  (func $start (global.set $a (i32.const 100)) (i32.store (i32.const 0) (i32.const 42)))
  (start $start)
  (func (export "numbers") (param i32)
    (global.set $a (i32.mul (global.get $a) (i32.const 31))) (global.set $b (i64.add (global.get $b) (i64.extend_i32_s (local.get 0))))
    (global.set $c (f32.add (global.get $c) (f32.const 0.5))) (global.set $d (f64.mul (global.get $d) (f64.const 1.25)))
    (global.set $v (i32x4.add (global.get $v) (i32x4.splat (local.get 0)))))
  (func (export "nan") (param i32) (global.set $d (f64.reinterpret_i64 (i64.or (i64.const 0x7ff4000000000000) (i64.extend_i32_u (local.get 0))))))
  (func (export "set") (param i32) (table.set $t (i32.and (local.get 0) (i32.const 3)) (ref.func $three)))
  (func (export "clear") (param i32) (table.set $u (i32.const 0) (ref.null func)))
  (func (export "grow") (param i32) (drop (table.grow $t (ref.func $two) (i32.const 1))))
  (func (export "init") (param i32) (table.init $u $e (i32.const 0) (i32.const 0) (i32.const 3)))
  (func (export "copy") (param i32) (table.copy $u $t (i32.const 0) (i32.and (local.get 0) (i32.const 1)) (i32.const 3)))
  (func (export "fill") (param i32) (table.fill $u (i32.const 1) (ref.func $one) (i32.const 2)))
  (func (export "reference") (param i32) (global.set $r (ref.func $three)))
  (func (export "dropElement") (param i32) (elem.drop $e))
  (func (export "dropData") (param i32) (data.drop $p))
  (func (export "initData") (param i32) (memory.init $p (i32.and (local.get 0) (i32.const 0xfff)) (i32.const 0) (i32.const 7)))
  (func (export "initSecond") (param i32) (memory.init $q (i32.const 9000) (i32.const 0) (i32.const 6)))
  (func (export "store") (param i32) (i32.store (i32.and (local.get 0) (i32.const 0xffff)) (local.get 0)))
  (func (export "more") (param i32) (drop (memory.grow (i32.const 1))))
  (func (export "call") (param i32) (result i32) (call_indirect $t (type $n) (i32.and (local.get 0) (i32.const 3))))
  (func (export "callOther") (param i32) (result i32) (call_indirect $u (type $n) (i32.const 1)))
  (func (export "tell") (param i32) (result i32 i64 i32 i64 i64 i64 i32 i32 i32 i32)
    (global.get $a) (global.get $b) (i32.reinterpret_f32 (global.get $c)) (i64.reinterpret_f64 (global.get $d))
    (i64x2.extract_lane 0 (global.get $v)) (i64x2.extract_lane 1 (global.get $v))
    (ref.is_null (global.get $r)) (table.size $t) (memory.size) (i32.load (i32.and (local.get 0) (i32.const 0xfff0)))))`);

const OPERATIONS = [
  'numbers',
  'nan',
  'set',
  'clear',
  'grow',
  'init',
  'copy',
  'fill',
  'reference',
  'dropElement',
  'dropData',
  'initData',
  'initSecond',
  'store',
  'more',
  'call',
  'callOther',
  'tell',
] as const;

function run(instance: StandAlone, name: string, value: number): string {
  try {
    return String((instance.exports[name] as Call)(value));
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return error.message;
    throw error;
  }
}

test('a restored instance goes on as the captured one would, at every call boundary', () => {
  for (let seed = 0; seed < 6; seed++) {
    const dice = new Dice(seed);
    const original = instantiate(MODULE);
    let copies: StandAlone[] = [];
    for (let call = 0; call < 25; call++) {
      const state = original.capture();
      const fresh = instantiate(MODULE);
      fresh.restore(structuredClone(state));
      assert.deepEqual(fresh.capture(), state);
      copies = [...copies.slice(-3), fresh];
      const name = dice.one(OPERATIONS);
      const value = dice.below(70_000);
      const expected = run(original, name, value);
      const tale = run(original, 'tell', value);
      for (const copy of copies) {
        assert.equal(run(copy, name, value), expected, `${name}(${value}), seed ${seed}`);
        assert.equal(run(copy, 'tell', value), tale, `after ${name}(${value}), seed ${seed}`);
      }
    }
    const last = original.capture();
    for (const copy of copies) assert.deepEqual(copy.capture(), last);
  }
});

test('what the caller changed in exported tables and globals is captured, and references to imported functions', () => {
  const bytes = wat(`(module (import "host" "seven" (func $seven (result i32))) (type $n (func (result i32)))
    (table $t (export "t") 4 funcref) (global $g (export "g") (mut i32) (i32.const 0)) (elem declare func $seven)
    (func (export "two") (result i32) (i32.const 2)) (func (export "put") (table.set $t (i32.const 1) (ref.func $seven)))
    (func (export "call") (param i32) (result i32) (i32.add (global.get $g) (call_indirect $t (type $n) (local.get 0)))))`);
  const fresh = (): StandAlone => instantiate(bytes, { host: { seven: () => 7 } });
  const original = fresh();
  (original.exports['put'] as Call)();
  (original.exports['t'] as WebAssembly.Table).set(2, original.exports['two']);
  (original.exports['g'] as WebAssembly.Global).value = 100;
  const copy = fresh();
  copy.restore(original.capture());
  assert.deepEqual(
    [1, 2].map((index) => run(copy, 'call', index)),
    ['107', '102'],
  );
  assert.deepEqual(
    [0, 3].map((index) => run(copy, 'call', index)),
    [0, 3].map((index) => run(original, 'call', index)),
  );
});

test('a restored instance remembers what the start function dropped and grew', () => {
  const bytes = wat(`(module (memory 1) (data $d "xyz") (table $t 1 10 funcref) (elem $e func $start)
    (func $start (data.drop $d) (elem.drop $e) (drop (table.grow $t (ref.func $start) (i32.const 1))) (drop (memory.grow (i32.const 1))))
    (start $start)
    (func (export "init") (param i32) (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))
    (func (export "tell") (param i32) (result i32 i32) (table.size $t) (memory.size)))`);
  const copy = instantiate(bytes);
  copy.restore(instantiate(bytes).capture());
  assert.equal(run(copy, 'tell', 0), '2,2');
  assert.match(run(copy, 'init', 0), /out of bounds/);
});

test('a state of another module is refused', () => {
  const instance = instantiate(wat('(module (global (mut i32) (i32.const 0)))'));
  const state = instantiate(MODULE).capture();
  assert.throws(
    () => instance.restore(state),
    (error: unknown) => error instanceof WasmError && error.code === 'state_mismatch',
  );
});

test('a reference to something of the host cannot be captured', () => {
  const instance = instantiate(
    wat(
      '(module (table (export "t") 1 externref) (func (export "f") (param externref) (table.set 0 (i32.const 0) (local.get 0))))',
    ),
  );
  (instance.exports['f'] as Call)({});
  assert.throws(
    () => instance.capture(),
    (error: unknown) => error instanceof WasmError && error.code === 'uncapturable',
  );
});

test('an instance does not go back to before it dropped a segment', () => {
  for (const [drop, use] of [
    ['dropData', 'initData'],
    ['dropElement', 'init'],
  ] as const) {
    const instance = instantiate(MODULE);
    const before = instance.capture();
    assert.equal(run(instance, use, 0), 'undefined');
    instance.restore(before);
    run(instance, drop, 0);
    assert.throws(
      () => instance.restore(before),
      (error: unknown) => error instanceof WasmError && error.code === 'state_mismatch',
    );
  }
});

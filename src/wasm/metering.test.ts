import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instantiate } from './index.ts';
import { wat } from './test-wat.ts';

/** Calls `f` and counts; the module's text may leave `(module` out. */
function count(text: string, ...values: unknown[]): number {
  const instance = instantiate(wat(`(module ${text})`));
  instance.setBudget(1_000_000n);
  try {
    (instance.exports['f'] as (...values: unknown[]) => unknown)(...values);
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
  }
  return Number(instance.instructions());
}

/** `f` takes parameters of these types, and its body leaves one result. */
const f = (types: string, result: string, body: string): string =>
  `(func (export "f") (param ${types}) (result ${result}) ${body})`;
const both = '(local.get 0) (local.get 1)';
const memory = '(memory 1 4) (data $d "abcdefgh")';
const memory64 = '(memory i64 1 4)';
const table = '(table 10 20 funcref) (elem $e func $g $g) (func $g)';

// Every function costs 1 beyond its instructions; local.get, const and plain arithmetic 1 each.
const PROGRAMS: readonly (readonly [name: string, expected: number, text: string, ...values: unknown[]])[] = [
  ['nothing', 1, '(func (export "f"))'],
  ['nop', 1 + 1, '(func (export "f") nop)'],
  ['drop', 1 + 1 + 1, '(func (export "f") (drop (i32.const 1)))'],
  ['i32.add', 1 + 3, f('i32 i32', 'i32', `(i32.add ${both})`), 1, 2],
  ['i64.mul', 1 + 3, f('i64 i64', 'i64', `(i64.mul ${both})`), 1n, 2n],
  ['i32.div_s', 1 + 2 + 10, f('i32 i32', 'i32', `(i32.div_s ${both})`), 7, 2],
  ['i64.rem_u', 1 + 2 + 10, f('i64 i64', 'i64', `(i64.rem_u ${both})`), 7n, 2n],
  ['i32.popcnt', 1 + 1 + 1, f('i32', 'i32', '(i32.popcnt (local.get 0))'), 7],
  ['f32.add', 1 + 2 + 2, f('f32 f32', 'f32', `(f32.add ${both})`), 7, 2],
  ['f64.mul', 1 + 2 + 2, f('f64 f64', 'f64', `(f64.mul ${both})`), 7, 2],
  ['f32.div', 1 + 2 + 3, f('f32 f32', 'f32', `(f32.div ${both})`), 7, 2],
  ['f64.div', 1 + 2 + 5, f('f64 f64', 'f64', `(f64.div ${both})`), 7, 2],
  ['f32.sqrt', 1 + 1 + 5, f('f32', 'f32', '(f32.sqrt (local.get 0))'), 7],
  ['f64.sqrt', 1 + 1 + 8, f('f64', 'f64', '(f64.sqrt (local.get 0))'), 7],
  ['f64.min', 1 + 2 + 18, f('f64 f64', 'f64', `(f64.min ${both})`), 7, 2],
  ['f32.copysign', 1 + 2 + 2, f('f32 f32', 'f32', `(f32.copysign ${both})`), 7, 2],
  ['f64.copysign', 1 + 2 + 3, f('f64 f64', 'f64', `(f64.copysign ${both})`), 7, 2],
  ['f64.abs', 1 + 1 + 1, f('f64', 'f64', '(f64.abs (local.get 0))'), -7],
  ['f64.nearest', 1 + 1 + 2, f('f64', 'f64', '(f64.nearest (local.get 0))'), 7.5],
  ['f32.lt', 1 + 2 + 3, f('f32 f32', 'i32', `(f32.lt ${both})`), 7, 2],
  ['i32.trunc_f64_s', 1 + 1 + 20, f('f64', 'i32', '(i32.trunc_f64_s (local.get 0))'), 7],
  ['i64.trunc_sat_f32_u', 1 + 1 + 20, f('f32', 'i64', '(i64.trunc_sat_f32_u (local.get 0))'), 7],
  ['f64.convert_i32_s', 1 + 1 + 3, f('i32', 'f64', '(f64.convert_i32_s (local.get 0))'), 7],
  ['f32.convert_i64_u', 1 + 1 + 16, f('i64', 'f32', '(f32.convert_i64_u (local.get 0))'), 7n],
  ['f64.promote_f32', 1 + 1 + 1, f('f32', 'f64', '(f64.promote_f32 (local.get 0))'), 7],
  ['i64.reinterpret_f64', 1 + 1 + 1, f('f64', 'i64', '(i64.reinterpret_f64 (local.get 0))'), 7],
  ['select', 1 + 3 + 1, f('i32 i32', 'i32', `(select ${both} (i32.const 1))`), 7, 2],
  [
    'globals',
    1 + 2 + 1 + 1 + 2,
    '(global $g (mut i32) (i32.const 0)) (func (export "f") (global.set $g (i32.add (global.get $g) (i32.const 1))))',
  ],
  ['i32.load', 1 + 1 + 1, memory + f('i32', 'i32', '(i32.load (local.get 0))'), 8],
  ['f64.store', 1 + 2 + 1, `${memory}(func (export "f") (f64.store (i32.const 8) (f64.const 1)))`],
  ['load on a 64-bit heap', 1 + 1 + 2, memory64 + f('i64', 'i32', '(i32.load (local.get 0))'), 8n],
  ['store on a 64-bit heap', 1 + 2 + 2, `${memory64}(func (export "f") (i32.store8 (i64.const 8) (i32.const 1)))`],
  ['memory.size', 1 + 20 + 1, `${memory}(func (export "f") (drop (memory.size)))`],
  ['memory.grow', 1 + 1 + 300 + 1, `${memory}(func (export "f") (drop (memory.grow (i32.const 1))))`],
  [
    'memory.fill',
    1 + 3 + 100 + 77,
    `${memory}(func (export "f") (memory.fill (i32.const 0) (i32.const 1) (i32.const 77)))`,
  ],
  [
    'memory.copy',
    1 + 3 + 100 + 5000,
    `${memory}(func (export "f") (memory.copy (i32.const 0) (i32.const 1) (i32.const 5000)))`,
  ],
  [
    'memory.init',
    1 + 3 + 100 + 8,
    `${memory}(func (export "f") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 8)))`,
  ],
  [
    'memory.copy on a 64-bit heap',
    1 + 3 + 100 + 9,
    `${memory64}(func (export "f") (memory.copy (i64.const 0) (i64.const 1) (i64.const 9)))`,
  ],
  ['data.drop', 1 + 300, `${memory}(func (export "f") (data.drop $d))`],
  ['table.get', 1 + 1 + 5 + 1, `${table}(func (export "f") (drop (table.get 0 (i32.const 1))))`],
  ['table.set', 1 + 1 + 1 + 5, `${table}(func (export "f") (table.set 0 (i32.const 1) (ref.null func)))`],
  ['table.size', 1 + 100 + 1, `${table}(func (export "f") (drop (table.size 0)))`],
  [
    'table.grow',
    1 + 1 + 1 + 300 + 1,
    `${table}(func (export "f") (drop (table.grow 0 (ref.null func) (i32.const 3))))`,
  ],
  [
    'table.fill',
    1 + 3 + 100 + 6,
    `${table}(func (export "f") (table.fill 0 (i32.const 1) (ref.null func) (i32.const 6)))`,
  ],
  ['table.copy', 1 + 3 + 100 + 4, `${table}(func (export "f") (table.copy (i32.const 1) (i32.const 2) (i32.const 4)))`],
  [
    'table.init',
    1 + 3 + 100 + 2,
    `${table}(func (export "f") (table.init $e (i32.const 1) (i32.const 0) (i32.const 2)))`,
  ],
  ['elem.drop', 1 + 300, `${table}(func (export "f") (elem.drop $e))`],
  ['ref.func, ref.is_null', 1 + 130 + 5 + 1, `${table}(func (export "f") (drop (ref.is_null (ref.func $g))))`],
  [
    'call',
    1 + 1 + 5 + (1 + 3) + 1,
    '(func $g (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))) (func (export "f") (drop (call $g (i32.const 1))))',
  ],
  [
    'call_indirect',
    1 + 1 + 10 + (1 + 1),
    '(table funcref (elem $g)) (func $g nop) (func (export "f") (call_indirect (i32.const 0)))',
  ],
  ['return_call', 1 + 3 + (1 + 1), '(func $g nop) (func (export "f") (return_call $g))'],
  [
    'return_call_indirect',
    1 + 1 + 60 + (1 + 1),
    '(table funcref (elem $g)) (func $g nop) (func (export "f") (return_call_indirect (i32.const 0)))',
  ],
  ['if, taken', 1 + 1 + 2 + 3, '(func (export "f") (param i32) (if (local.get 0) (then nop nop nop) (else nop)))', 1],
  [
    'if, not taken',
    1 + 1 + 2 + 1,
    '(func (export "f") (param i32) (if (local.get 0) (then nop nop nop) (else nop)))',
    0,
  ],
  ['br over dead code', 1 + 2 + 1, '(func (export "f") (block (br 0) (nop) (nop)) (nop))'],
  ['br_if taken', 1 + 1 + 2 + 1, '(func (export "f") (block (br_if 0 (i32.const 1)) (nop)) (nop))'],
  ['br_if not taken', 1 + 1 + 2 + 1 + 1, '(func (export "f") (block (br_if 0 (i32.const 0)) (nop)) (nop))'],
  ['br to the function', 1 + 1 + 2, '(func (export "f") (br_if 0 (i32.const 1)) (nop) (nop))'],
  ['early return', 1 + 1 + 1, '(func (export "f") nop return)'],
  [
    'br_table',
    1 + 1 + 2 + 1,
    '(func (export "f") (block (block (block (br_table 0 1 2 (i32.const 1))) nop nop) return) nop nop nop)',
  ],
  [
    'loop',
    1 + 10 * (1 + 1 + 1 + 1 + 2),
    '(func (export "f") (param i32) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))',
    10,
  ],
  [
    'loop in a loop',
    1 + 3 * (1 + 1 + 4 * (1 + 1 + 1 + 1 + 2) + (1 + 1 + 1 + 1 + 2)),
    `(func (export "f") (param i32) (local i32)
      (loop (local.set 1 (i32.const 4))
        (loop (br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))`,
    3,
  ],
  [
    'recursion',
    // Five calls that recurse, one that does not: get, eqz, if, return | get, const, sub, call.
    5 * (1 + 1 + 1 + 2 + (1 + 1 + 1 + 5)) + (1 + 1 + 1 + 2 + 1),
    '(func $f (export "f") (param i32) (if (i32.eqz (local.get 0)) (then (return))) (call $f (i32.sub (local.get 0) (i32.const 1))))',
    5,
  ],
  [
    'a division that traps in a branch',
    1 + 1 + 2 + (1 + 1 + 10 + 1),
    '(func (export "f") (param i32) (if (local.get 0) (then (drop (i32.div_s (i32.const 1) (i32.const 0))))))',
    1,
  ],
  [
    'a division that traps in the third round of a loop',
    1 + 3 * (1 + 1 + 1 + 1 + 1 + 1 + 10 + 1 + 2),
    `(func (export "f") (param i32) (loop
      (drop (i32.div_s (i32.const 1) (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (br_if 0 (i32.const 1))))`,
    3,
  ],
  [
    'a load that traps in a branch',
    1 + 1 + 2 + (1 + 1 + 1),
    `${memory}(func (export "f") (param i32) (if (local.get 0) (then (drop (i32.load (i32.const -1))))))`,
    1,
  ],
  ['unreachable', 1 + 1 + 1, '(func (export "f") nop unreachable)'],
  [
    'i8x16.shuffle',
    1 + 1 + 1 + 3 + 1,
    '(func (export "f") (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0))))',
  ],
  [
    'f64x2.div',
    1 + 1 + 1 + 12 + 1,
    '(func (export "f") (drop (f64x2.div (v128.const f64x2 1 1) (v128.const f64x2 1 1))))',
  ],
  [
    'i64x2.mul',
    1 + 1 + 1 + 4 + 1,
    '(func (export "f") (drop (i64x2.mul (v128.const i64x2 1 1) (v128.const i64x2 1 1))))',
  ],
  [
    'v128.store on a 64-bit heap',
    1 + 1 + 1 + 2,
    `${memory64}(func (export "f") (v128.store (i64.const 0) (v128.const i64x2 1 1)))`,
  ],
];

test('counts of programs computed by hand', () => {
  assert.ok(PROGRAMS.length >= 50);
  for (const [name, expected, text, ...values] of PROGRAMS) assert.equal(count(text, ...values), expected, name);
});

test('a budget stops a loop, and the count says where', () => {
  const instance = instantiate(wat('(module (func (export "f") (loop (br 0))))'));
  instance.setBudget(1000n);
  assert.throws(() => (instance.exports['f'] as () => void)(), WebAssembly.RuntimeError);
  // 1 for the function; 2 a round: the first round that finds less than nothing left stops.
  assert.equal(instance.instructions(), 1001n);
});

test('a bulk operation longer than the budget does not run', () => {
  const instance = instantiate(
    wat(
      '(module (memory (export "m") 1) (func (export "f") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0))))',
    ),
  );
  instance.setBudget(1000n);
  assert.throws(() => (instance.exports['f'] as (n: number) => void)(5000), WebAssembly.RuntimeError);
  assert.equal(new Uint8Array((instance.exports['m'] as WebAssembly.Memory).buffer)[0], 0);
  // A length that no counter holds runs out as well, and does not wrap.
  instance.setBudget(1n << 40n);
  assert.throws(() => (instance.exports['f'] as (n: number) => void)(-1), WebAssembly.RuntimeError);
});

test('the count is in the global when a host function looks', () => {
  const seen: bigint[] = [];
  const instance = instantiate(
    wat(`(module (import "host" "look" (func $look)) (func $g nop nop)
      (func (export "f") (call $look) (call $g) (call $look)))`),
    { host: { look: () => seen.push(instance.instructions()) } },
  );
  instance.setBudget(1000n);
  (instance.exports['f'] as () => void)();
  // A basic block is charged when it is entered: all three calls are in one.
  assert.deepEqual(seen, [1n + 15n, 1n + 15n + 3n]);
});

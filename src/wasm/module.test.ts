import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  compile,
  instantiate,
  instrument,
  readFunctionNames,
  readModule,
  WasmError,
  type WasmErrorCode,
} from './index.ts';
import { Dice, wat } from './test-wat.ts';

const refused = (code: WasmErrorCode) => (error: unknown) => error instanceof WasmError && error.code === code;

const SAMPLE = wat(`(module $sample
  (import "ic0" "msg_reply" (func $reply)) (import "ic0" "debug_print" (func $print (param i32 i32)))
  (type $binary (func (param i32 i32) (result i32)))
  (memory (export "memory") 1 4) (table $t 3 9 funcref) (global $g (mut i64) (i64.const -5))
  (func $add (export "add") (type $binary) (i32.add (local.get 0) (local.get 1)))
  (func $main (export "canister_update go") (local f64 v128 i32)
    (block (loop (br_if 1 (i32.eqz (local.get 2))) (br 0)))
    (i64.store offset=300 (i32.const 5) (i64.const 1234567890123)) (f64.store (i32.const 8) (f64.mul (local.get 0) (f64.const 2)))
    (drop (call_indirect (type $binary) (i32.const 1) (i32.const 2) (i32.const 0)))
    (if (local.get 2) (then (return)) (else (call $reply)))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 9)) (table.set $t (i32.const 0) (ref.func $add)))
  (elem (i32.const 0) func $add $add) (elem $e funcref (ref.func $add) (ref.null func))
  (data (i32.const 16) "hello") (data $p "passive") (start $start) (func $start (memory.init $p (i32.const 0) (i32.const 0) (i32.const 3)) (data.drop $p)))`);

test('reads every section', () => {
  const module = readModule(SAMPLE);
  assert.equal(module.importedFunctions, 2);
  assert.equal(module.bodies.length, 3);
  assert.equal(module.start, 4);
  assert.deepEqual(
    module.exports.map(({ name, kind, index }) => [name, kind, index]),
    [
      ['memory', 'memory', 0],
      ['add', 'function', 2],
      ['canister_update go', 'function', 3],
    ],
  );
  assert.deepEqual(module.memories, [{ minimum: 1n, maximum: 4n, is64: false }]);
  assert.equal(module.data.length, 2);
  assert.deepEqual(
    module.data.map(({ active }) => active),
    [true, false],
  );
  assert.deepEqual(
    module.elements.map(({ mode }) => mode),
    ['active', 'passive'],
  );
  assert.equal(readFunctionNames(module).get(3), 'main');
  assert.equal(compile(SAMPLE).functionName(4), 'start');
});

test('truncated and garbled bytes are refused with a code, and nothing invalid becomes valid', () => {
  const check = (bytes: Uint8Array): void => {
    let result: Uint8Array;
    try {
      readModule(bytes);
    } catch (error) {
      assert.ok(error instanceof WasmError, String(error));
    }
    try {
      result = instrument(bytes);
    } catch (error) {
      assert.ok(error instanceof WasmError, String(error));
      return;
    }
    assert.ok(WebAssembly.validate(bytes as BufferSource), 'an invalid module was made valid');
    assert.ok(WebAssembly.validate(result as BufferSource), 'a valid module was made invalid');
  };
  for (let length = 0; length <= SAMPLE.length; length++) check(SAMPLE.subarray(0, length));
  for (let seed = 0; seed < 3000; seed++) {
    const dice = new Dice(seed);
    const bytes = SAMPLE.slice();
    for (let i = 0; i <= dice.below(3); i++) bytes[8 + dice.below(bytes.length - 8)] = dice.below(256);
    check(bytes);
  }
});

test('what canisters may not use is refused by name', () => {
  const header = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const body = (...code: number[]): Uint8Array => {
    const size = code.length + 2;
    const sections = [1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 5, 3, 1, 0, 1, 10, size + 2, 1, size, 0, ...code, 0x0b];
    return Uint8Array.from([...header, ...sections]);
  };
  for (const [what, bytes] of [
    ['exceptions', Uint8Array.from([...header, 1, 4, 1, 0x60, 0, 0, 13, 3, 1, 0, 0])],
    ['exceptions', body(0x1f, 0x40, 0, 0x0b)],
    ['gc', Uint8Array.from([...header, 1, 3, 1, 0x5f, 0])],
    ['gc', body(0xd0, 0x6e, 0x1a)],
    ['threads', Uint8Array.from([...header, 5, 4, 1, 3, 1, 1])],
    ['threads', body(0x41, 0, 0xfe, 0x10, 2, 0, 0x1a)],
    ['relaxed SIMD', body(0x41, 0, 0xfd, 15, 0x41, 0, 0xfd, 15, 0xfd, 0x80, 0x02, 0x1a)],
    ['multiple memories', Uint8Array.from([...header, 5, 5, 2, 0, 1, 0, 1])],
  ] as const) {
    for (const refuse of [() => instrument(bytes), () => compile(bytes)]) {
      assert.throws(
        refuse,
        (error: unknown) => refused('unsupported_feature')(error) && String(error).includes(what),
        what,
      );
    }
  }
});

test('a canister may import functions only, and may not use our names', () => {
  assert.throws(() => compile(wat('(module (import "env" "memory" (memory 1)))')), refused('unsupported_feature'));
  assert.throws(() => instrument(wat('(module (func (export "perdure:counter")))')), refused('reserved_name'));
});

test('each pass can be switched off by itself', () => {
  const passes = ['metering', 'writeBarrier', 'stackGuard', 'canonicalNaN', 'captureState'] as const;
  const text =
    '(module (memory 1) (func $f (export "f") (param i32) (result i32) (i32.store (i32.const 8) (local.get 0)) (if (local.get 0) (then (drop (call $f (i32.sub (local.get 0) (i32.const 1)))))) (i32.load (i32.const 8))))';
  for (let mask = 0; mask < 32; mask++) {
    const options = Object.fromEntries(passes.map((pass, i) => [pass, (mask & (1 << i)) !== 0]));
    const instance = instantiate(wat(text), {}, options);
    assert.equal((instance.exports['f'] as (n: number) => number)(3), 0);
    assert.equal(instance.instructions() > 0n, options['metering']);
    assert.deepEqual(instance.dirtyPages(), options['writeBarrier'] === true ? [0] : []);
  }
});

test('an export declares a function for ref.func, whatever is exported in its place', () => {
  const bytes = wat(`(module (func $f (export "f")) (func (export "g") (result i32) (ref.is_null (ref.func $f))))`);
  for (const captureState of [true, false]) {
    assert.equal((instantiate(bytes, {}, { captureState }).exports['g'] as () => number)(), 0);
  }
});

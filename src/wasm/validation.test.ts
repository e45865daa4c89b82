import assert from 'node:assert/strict';
import { test } from 'node:test';
import loadWabt from 'wabt';
import { DEFAULT_LIMITS, ErrorCode, type Limits } from '../model/index.ts';
import { CanisterModuleError, type CanisterModuleInfo, validateCanisterModule } from './validation.ts';
import { SYSTEM_API_32, SYSTEM_API_64 } from './validation-imports.ts';

const wabt = await loadWabt();

/** Everything that the assembler knows; what canisters may use is for the validator to say. */
const FEATURES = {
  memory64: true,
  multi_memory: true,
  exceptions: true,
  threads: true,
  reference_types: true,
  bulk_memory: true,
  tail_call: true,
  simd: true,
  relaxed_simd: true,
  extended_const: true,
};

function assemble(wat: string): Uint8Array {
  const module = wabt.parseWat('test.wat', wat, FEATURES);
  try {
    return Uint8Array.from(module.toBinary({}).buffer);
  } finally {
    module.destroy();
  }
}

function validate(wat: string, limits: Partial<Limits> = {}): CanisterModuleInfo {
  return validateCanisterModule(assemble(wat), { ...DEFAULT_LIMITS, ...limits });
}

function refusal(bytes: Uint8Array, limits: Partial<Limits> = {}): string {
  try {
    validateCanisterModule(bytes, { ...DEFAULT_LIMITS, ...limits });
  } catch (error) {
    assert.ok(error instanceof CanisterModuleError, String(error));
    assert.equal(error.userError.code, ErrorCode.CanisterInvalidWasm);
    return error.userError.message;
  }
  return 'accepted';
}

function withCustomSections(bytes: Uint8Array, sections: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const out = [...bytes];
  for (const [name, content] of sections) {
    const encoded = new TextEncoder().encode(name);
    const payload = [...leb(encoded.length), ...encoded, ...content];
    out.push(0, ...leb(payload.length), ...payload);
  }
  return Uint8Array.from(out);
}

function leb(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  do {
    out.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return out;
}

const BOTH_WIDTHS = [
  { width: '32-bit', index: 'i32', memory: '(memory 1)', pages: DEFAULT_LIMITS.wasm32MemoryBytes / 65536n },
  { width: '64-bit', index: 'i64', memory: '(memory i64 1)', pages: DEFAULT_LIMITS.wasm64MemoryBytes / 65536n },
] as const;

for (const { width, index, memory, pages } of BOTH_WIDTHS) {
  test(`${width}: a canister with everything that is allowed passes`, () => {
    const info = validate(`(module
      (import "ic0" "msg_reply" (func $reply))
      (import "ic0" "msg_reply_data_append" (func $append (param ${index} ${index})))
      ${memory}
      (table 2 funcref) (elem (i32.const 0) $f)
      (global (mut funcref) (ref.func $f)) (global (mut v128) (v128.const i64x2 0 0))
      (data (${index}.const 8) "abc")
      (func $f (call $append (${index}.const 8) (${index}.const 3)) (call $reply))
      (func $start)
      (func (export "not_canister"))
      (start $start)
      (export "canister_init" (func $start)) (export "canister_pre_upgrade" (func $start))
      (export "canister_post_upgrade" (func $start)) (export "canister_inspect_message" (func $start))
      (export "canister_heartbeat" (func $start)) (export "canister_global_timer" (func $start))
      (export "canister_on_low_wasm_memory" (func $start))
      (export "canister_update <ic-cdk internal> timer_executor" (func $f))
      (export "canister_query q" (func $f)) (export "canister_composite_query c" (func $f))
      (export "memory" (memory 0)))`);
    assert.equal(info.memory64, width === '64-bit');
    assert.deepEqual([...info.updateMethods], ['<ic-cdk internal> timer_executor']);
    assert.deepEqual([...info.queryMethods], ['q']);
    assert.deepEqual([...info.compositeQueryMethods], ['c']);
    assert.deepEqual([...info.entryPoints].sort(), [
      'canister_global_timer',
      'canister_heartbeat',
      'canister_init',
      'canister_inspect_message',
      'canister_on_low_wasm_memory',
      'canister_post_upgrade',
      'canister_pre_upgrade',
    ]);
    // Constants, two calls and an end in $f; one end in each of the other two functions.
    assert.equal(info.compileInstructions, 7n * 6_000n);
  });

  test(`${width}: every System API function can be imported with its type and with no other`, () => {
    const table = width === '64-bit' ? SYSTEM_API_64 : SYSTEM_API_32;
    assert.ok(table.size > 60);
    const line = (name: string, params: readonly string[], results: readonly string[]): string =>
      `(import "ic0" "${name}" (func (param ${params.join(' ')}) (result ${results.join(' ')})))`;
    const imports = [...table].map(([name, type]) => line(name, type.params, type.results));
    validate(`(module ${imports.join(' ')} ${memory})`);
    for (const [name, type] of table) {
      const wrong = assemble(`(module ${line(name, [...type.params, 'f32'], type.results)} ${memory})`);
      assert.match(refusal(wrong), /invalid function signature\. Expected input params/, name);
      const wrongResult = assemble(`(module ${line(name, type.params, ['f64'])} ${memory})`);
      assert.match(refusal(wrongResult), /invalid function signature\. Expected return type/, name);
    }
  });

  test(`${width}: memory that starts larger than allowed is refused`, () => {
    const bits = width === '64-bit' ? 'i64 ' : '';
    validate(`(module (memory ${bits}${pages}))`);
    if (width === '64-bit')
      assert.match(refusal(assemble(`(module (memory i64 ${pages + 1n}))`)), /invalid memory section/);
    else
      assert.match(refusal(assemble('(module (memory 2))'), { wasm32MemoryBytes: 65536n }), /invalid memory section/);
  });

  test(`${width}: pointers of the other width are refused`, () => {
    const other = index === 'i32' ? 'i64' : 'i32';
    const wasm = assemble(`(module (import "ic0" "msg_reject" (func (param ${other} ${other}))) ${memory})`);
    assert.match(refusal(wasm), /Expected input params \[I\d\d, I\d\d\] for 'msg_reject', got \[I\d\d, I\d\d\]/);
  });
}

test('deprecated functions are for 32-bit modules only; without a memory pointers are 32-bit', () => {
  const wasm = assemble('(module (import "ic0" "stable_size" (func (result i32))) (memory i64 1))');
  assert.match(refusal(wasm), /Module imports function 'stable_size' from 'ic0' that is not exported by the runtime/);
  validate('(module (import "ic0" "stable_size" (func (result i32))))');
  validate('(module (import "ic0" "msg_reject" (func (param i32 i32))))');
});

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['import of another module', '(module (import "env" "f" (func)))', /function 'f' from 'env' that is not exported/],
  [
    'System API of another module',
    '(module (import "env" "msg_reply" (func)))',
    /Module imports function "msg_reply" from "env", expected to be imported from one of \["ic0"\] instead/,
  ],
  ['WASI', '(module (import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32))))', /'fd_close' from/],
  ['memory import', '(module (import "env" "memory" (memory 1)))', /invalid import section/],
  ['table import', '(module (import "env" "table" (table 1 funcref)))', /invalid import section/],
  ['global import', '(module (import "env" "g" (global i32)))', /Importing globals is not allowed/],
  [
    'init with a result',
    '(module (func (export "canister_init") (result i32) i32.const 1))',
    /Expected return type \[\]/,
  ],
  ['heartbeat with a parameter', '(module (func (export "canister_heartbeat") (param i64)))', /got \[I64\]/],
  ['method with a parameter', '(module (func (export "canister_update f") (param i32)))', /'canister_update f'/],
  [
    'update and query of one name',
    '(module (func (export "canister_update f")) (func (export "canister_query f")))',
    /Duplicate function 'f' exported multiple times with different call types/,
  ],
  [
    'query and composite query of one name',
    '(module (func (export "canister_composite_query f")) (func (export "canister_query f")))',
    /Duplicate function 'f'/,
  ],
  ['unknown canister_ export', '(module (func (export "canister_foo")))', /Exporting reserved function 'canister_foo'/],
  ['method without a name part', '(module (func (export "canister_update")))', /reserved function 'canister_update'/],
  ['two memories', '(module (memory 1) (memory 1))', /multiple memories/],
  ['shared memory', '(module (memory 1 2 shared))', /threads are not supported/],
  ['atomics', '(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))', /unsupported instruction atomics/],
  ['exceptions', '(module (tag) (func (throw 0)))', /exceptions are not supported/],
  ['try', '(module (func (try (do) (catch_all))))', /unsupported instruction exception handling/],
  [
    'relaxed SIMD',
    '(module (func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1))))',
    /relaxed SIMD/,
  ],
  ['externref table', '(module (table 1 externref))', /Unsupported table element type: externref/],
  ['externref global', '(module (global (mut externref) (ref.null extern)))', /Unsupported global type: externref/],
  ['table too large', '(module (table 1000001 funcref))', /invalid table section/],
  [
    'data outside the memory',
    '(module (memory 1) (data (i32.const 65535) "xy"))',
    /invalid data segment of 2 bytes at 65535/,
  ],
  [
    'data at a negative offset',
    '(module (memory 1) (data (i32.const -1) "x"))',
    /data segment of 1 bytes at 4294967295/,
  ],
  [
    'data outside a 64-bit memory',
    '(module (memory i64 1) (data (i64.const -1) "x"))',
    /data segment of 1 bytes at 18446744073709551615/,
  ],
  [
    'elements outside the table',
    '(module (table 2 funcref) (func) (elem (i32.const 1) 0 0))',
    /Segment of 2 elements at 1 does not fit its table/,
  ],
  [
    'computed element offset',
    '(module (global i32 (i32.const 0)) (table 2 funcref) (func) (elem (global.get 0) 0))',
    /Invalid offset expression in element segment/,
  ],
  [
    'computed data offset',
    '(module (memory 1) (data (i32.add (i32.const 1) (i32.const 2)) "x"))',
    /invalid data section\. Invalid offset expression/,
  ],
];

for (const [what, wat, text] of REFUSED)
  test(`refused: ${what}`, () => {
    const message = refusal(assemble(wat));
    assert.match(message, text);
    assert.match(message, /^Canister's Wasm module is not valid: /);
  });

test('refused: bytes that are no module', () => {
  const text = (bytes: readonly number[]): string => refusal(Uint8Array.from(bytes));
  assert.match(text([]), /Failed to decode wasm module: unsupported canister module format/);
  assert.match(text([...Buffer.from('this is not wasm')]), /unsupported canister module format/);
  assert.match(text([0, 0x61, 0x73, 0x6d, 2, 0, 0, 0]), /unknown binary version/);
  assert.match(text([0, 0x61, 0x73, 0x6d]), /unexpected end/);
  const whole = assemble('(module (func (export "canister_query hello")))');
  // The first 14 bytes are a module that only has a type section.
  for (let length = 9; length < whole.length; length++)
    if (length !== 14)
      assert.notEqual(refusal(whole.subarray(0, length)), 'accepted', `${length} of ${whole.length} bytes`);
});

test('refused: a body that does not validate', () => {
  // type () -> i32, and a body that only ends
  const bytes = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f, 3, 2, 1, 0, 10, 4, 1, 2, 0, 0x0b];
  assert.match(refusal(Uint8Array.from(bytes)), /does not validate/);
});

test('the limits are the bound and not one less', () => {
  const functions = (n: number): Uint8Array => assemble(`(module ${'(func)'.repeat(n)})`);
  assert.equal(refusal(functions(5), { moduleFunctions: 5 }), 'accepted');
  assert.match(
    refusal(functions(6), { moduleFunctions: 5 }),
    /defined 6 functions which exceeds the maximum number allowed 5/,
  );

  const globals = (n: number): Uint8Array => assemble(`(module ${'(global i32 (i32.const 0))'.repeat(n)})`);
  assert.equal(refusal(globals(3), { moduleGlobals: 3 }), 'accepted');
  assert.match(
    refusal(globals(4), { moduleGlobals: 3 }),
    /defined 4 globals which exceeds the maximum number allowed 3/,
  );

  const methods = (n: number): Uint8Array =>
    assemble(`(module ${Array.from({ length: n }, (_, i) => `(func (export "canister_update m${i}"))`).join('')})`);
  assert.equal(refusal(methods(4), { moduleExportedMethods: 4 }), 'accepted');
  assert.match(refusal(methods(5), { moduleExportedMethods: 4 }), /is 5 which exceeds 4/);
  assert.equal(refusal(methods(4), { moduleExportedNamesBytes: 8 }), 'accepted');
  assert.match(refusal(methods(4), { moduleExportedNamesBytes: 7 }), /is 8 which exceeds the allowed limit of 7/);

  const body = (n: number): Uint8Array => assemble(`(module (func ${'nop '.repeat(n - 1)}))`);
  assert.equal(refusal(body(10), { moduleFunctionInstructions: 10 }), 'accepted');
  assert.match(
    refusal(body(11), { moduleFunctionInstructions: 10 }),
    /function at index 0 of size 11 that exceeds .* 10/,
  );

  const code = assemble('(module (func nop nop))');
  assert.equal(refusal(code, { moduleCodeBytes: 6 }), 'accepted');
  assert.match(refusal(code, { moduleCodeBytes: 5 }), /code section size of 6 exceeds the maximum allowed size of 5/);

  assert.equal(refusal(code, { moduleBytes: code.length }), 'accepted');
  assert.match(refusal(code, { moduleBytes: code.length - 1 }), /Wasm module size of \d+ exceeds the maximum allowed/);

  const data = assemble('(module (memory 1) (data "a") (data "b") (data (i32.const 0) "c"))');
  assert.equal(refusal(data, { moduleDataSegments: 3 }), 'accepted');
  assert.match(refusal(data, { moduleDataSegments: 2 }), /number of data segments 3 exceeds/);
});

test('custom sections', () => {
  const plain = assemble('(module)');
  const content = Uint8Array.of(1, 2, 3);
  const info = validateCanisterModule(
    withCustomSections(plain, [
      ['icp:public candid:service', content],
      ['icp:private  two spaces', new Uint8Array()],
      ['icp:public ', content],
      ['name of a tool', content],
    ]),
    DEFAULT_LIMITS,
  );
  assert.deepEqual(
    info.customSections.map(({ name, visibility }) => [name, visibility]),
    [
      ['candid:service', 'public'],
      [' two spaces', 'private'],
      ['', 'public'],
    ],
  );
  assert.deepEqual(info.customSections[0]?.content, content);

  const custom = (names: readonly string[], limits: Partial<Limits> = {}): string =>
    refusal(
      withCustomSections(
        plain,
        names.map((name) => [name, content]),
      ),
      limits,
    );
  assert.match(custom(['icp:public x', 'icp:private x']), /name x already exists/);
  assert.match(custom(['icp:bogus x']), /'icp:bogus x' has no public\/private scope defined/);
  assert.match(custom(['icp:public']), /must have a space after the public\/private scope/);
  assert.equal(custom(['icp:public a', 'icp:public b'], { moduleCustomSections: 2 }), 'accepted');
  assert.match(custom(['icp:public a', 'icp:public b'], { moduleCustomSections: 1 }), /defined 2 custom sections/);
  assert.equal(custom(['icp:public a', 'icp:public b'], { moduleCustomSectionsBytes: 8 }), 'accepted');
  assert.match(custom(['icp:public a', 'icp:public b'], { moduleCustomSectionsBytes: 7 }), /size 8 bytes, allowed 7/);
  assert.equal(custom(['p'.repeat(3000), 'q']), 'accepted');
});

test('unsupported proposals that only bytes can express', () => {
  const body = (...code: number[]): Uint8Array =>
    Uint8Array.from([
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0],
      ...[10, code.length + 4, 1, code.length + 2, 0, ...code, 0x0b],
    ]);
  assert.match(refusal(body(0xfb, 0x00, 0x00)), /unsupported instruction gc/);
  assert.match(refusal(body(0x14, 0x00)), /unsupported instruction typed function references/);
  assert.match(refusal(body(0xd4)), /unsupported instruction typed function references/);
  assert.match(refusal(body(0xff)), /unknown opcode 0xff/);
  const structType = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 3, 1, 0x5f, 0]);
  assert.match(refusal(structType), /gc types are not supported/);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDL } from '@icp-sdk/core/candid';
import fc from 'fast-check';
import { CandidSyntaxError, decodeReply, encodeArguments, parseInterface, signature } from './index.ts';

const DID = `
// A little of everything.
type List = opt record { head : nat; tail : List };
type Shape = variant { circle : float64; square : record { side : nat32; "the name" : text }; empty };
type Callback = func (text) -> () oneway;
type Pair = record { text; nat };
type Tree = variant { leaf : int; node : record { left : Tree; right : Tree } };
service factory : (record { owner : principal; limit : opt nat64 }, text) -> {
  echo : (value : Shape, List) -> (Shape, List);
  get : () -> (nat) query;
  deep : () -> (Tree) composite_query;
  bytes : (blob, vec nat8) -> (vec record { blob; bool });
  register : (Callback) -> (service { ping : () -> () });
  pairs : (vec Pair, reserved) -> (null);
}`;

function method(name: string): IDL.FuncClass {
  const found = parseInterface(DID).methods.get(name);
  assert.ok(found !== undefined);
  return found;
}

/** Text in, bytes, text out. */
function roundTrip(types: readonly IDL.Type[], text: string): string {
  return decodeReply(encodeArguments(text, types), types).text;
}

test('an interface gives methods, annotations and install arguments', () => {
  const description = parseInterface(DID);
  assert.deepEqual([...description.methods.keys()].sort(), ['bytes', 'deep', 'echo', 'get', 'pairs', 'register']);
  assert.deepEqual(method('get').annotations, ['query']);
  assert.deepEqual(method('deep').annotations, ['composite_query']);
  assert.equal(signature(description.initTypes), '(record {owner:principal; limit:opt nat64}, text)');
});

test('values are read at their types and printed back', () => {
  assert.equal(
    roundTrip(
      method('echo').argTypes,
      '(variant { square = record { "the name" = "a\\n\\u{e9}"; side = 1_000 } }, opt record { head = 1; tail = null })',
    ),
    `(
  variant { square = record { side = 1000 : nat32; "the name" = "a\\né" } },
  opt record { head = 1 : nat; tail = null },
)`,
  );
  assert.equal(roundTrip(method('echo').argTypes, '(variant { empty }, null)'), '(variant { "empty" }, null)');
  assert.equal(
    roundTrip(
      method('deep').retTypes,
      '(variant { node = record { left = variant { leaf = -1 }; right = variant { leaf = 2 } } })',
    ),
    `(
  variant {
    node = record { left = variant { leaf = -1 : int }; right = variant { leaf = 2 : int } };
  },
)`,
  );
  assert.equal(
    roundTrip(method('bytes').argTypes, '(blob "a\\00\\ff", vec { 1; 2 })'),
    '(blob "a\\00\\ff", blob "\\01\\02")',
  );
  assert.equal(
    roundTrip(method('pairs').argTypes, '(vec { record { "a"; 1 } }, 5)'),
    '(vec { record { "a"; 1 : nat } }, null)',
  );
  assert.equal(roundTrip(method('register').argTypes, '(func "aaaaa-aa".raw_rand)'), '(func "aaaaa-aa".raw_rand)');
  assert.equal(roundTrip([IDL.Float64, IDL.Float32], '(1, -2.5e3)'), '(1.0 : float64, -2500.0 : float32)');
  assert.equal(roundTrip([IDL.Opt(IDL.Nat)], '(5)'), '(opt (5 : nat))');
  assert.equal(roundTrip([IDL.Opt(IDL.Nat)], '()'), '(null)');
  assert.equal(roundTrip([IDL.Nat8], '0x_ff'.replace('_', '')), '(255 : nat8)');
});

test('without an interface types are inferred and taken from the message', () => {
  const bytes = encodeArguments(
    '(1, -1, "x", 1.5, record { a = opt true; 7 = vec { 1 : nat8 } }, variant { ok })',
    undefined,
  );
  assert.equal(
    decodeReply(bytes, undefined).text,
    '(1 : nat, -1 : int, "x", 1.5 : float64, record { 7 = blob "\\01"; 97 = opt true }, variant { 24860 })'.replace(
      '24860',
      String(hashOf('ok')),
    ),
  );
});

test('JSON keeps large numbers as text and bytes as hex', () => {
  const types = [IDL.Nat, IDL.Nat32, IDL.Vec(IDL.Nat8), IDL.Opt(IDL.Text), IDL.Variant({ ok: IDL.Null })];
  const bytes = encodeArguments('(18446744073709551616, 7, blob "\\de\\ad", null, variant { ok })', types);
  assert.deepEqual(decodeReply(bytes, types).json, ['18446744073709551616', 7, 'dead', null, { ok: null }]);
});

test('mistakes are explained', () => {
  const cases: readonly (readonly [string, readonly IDL.Type[], RegExp])[] = [
    ['(300)', [IDL.Nat8], /argument 1: 300 is out of the range of nat8/],
    ['(-1)', [IDL.Nat], /argument 1: -1 is out of the range of nat/],
    ['("x")', [IDL.Nat], /argument 1: expected nat, found a text/],
    ['(1, 2)', [IDL.Nat], /2 arguments are given, \(nat\) are expected/],
    ['()', [IDL.Nat], /argument 1 is missing: expected \(nat\)/],
    ['(record { b = 1 })', [IDL.Record({ a: IDL.Nat })], /argument 1: the field a : nat is missing/],
    ['(record { a = 1; b = 1 })', [IDL.Record({ a: IDL.Nat })], /there is no field b; the fields are a/],
    ['(variant { c })', [IDL.Variant({ a: IDL.Null, b: IDL.Null })], /there is no alternative c; there are a, b/],
    ['(principal "nonsense")', [IDL.Principal], /"nonsense" is not a principal/],
    ['(1', [IDL.Nat], /expected "," or "\)", found the end of the text/],
    ['("a', [IDL.Text], /does not end/],
    ['(#)', [IDL.Nat], /unexpected character "#" at position 2/],
    [`${'opt '.repeat(1000)}1`, [IDL.Nat], /levels of nesting/],
  ];
  for (const [text, types, message] of cases)
    assert.throws(
      () => encodeArguments(text, types),
      (error) => error instanceof CandidSyntaxError && message.test(error.message),
      text,
    );
  assert.throws(() => parseInterface('service : { a : (Missing) -> () }'), /the type Missing is not defined/);
  assert.throws(() => parseInterface('type A = A; service : {}'), /the type A is defined as itself/);
  assert.throws(() => decodeReply(Uint8Array.of(1, 2, 3), undefined), /not a Candid message/);
});

test('no text makes the readers fail in another way', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
      for (const read of [() => encodeArguments(text, undefined), () => parseInterface(text)]) {
        try {
          read();
        } catch (error) {
          assert.ok(error instanceof CandidSyntaxError, `${error}`);
        }
      }
    }),
  );
});

function hashOf(name: string): number {
  let hash = 0;
  for (const byte of new TextEncoder().encode(name)) hash = (hash * 223 + byte) % 2 ** 32;
  return hash;
}

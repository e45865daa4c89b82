import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDL } from '@icp-sdk/core/candid';
import { Principal } from '@icp-sdk/core/principal';
import fc from 'fast-check';
import { slimCandid, UnsoundCandid } from './candid-message.ts';
import { decode, PayloadRefused } from './interface.ts';

const DIDL = [0x44, 0x49, 0x44, 0x4c];

function problem(...bytes: number[]): string | undefined {
  return problemOf(Uint8Array.from([...DIDL, ...bytes]));
}

function problemOf(bytes: Uint8Array): string | undefined {
  try {
    slimCandid(bytes);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof UnsoundCandid, String(error));
    return error.message;
  }
}

test('every kind of value passes', () => {
  const types: readonly IDL.Type[] = [
    IDL.Null,
    IDL.Bool,
    IDL.Nat,
    IDL.Int,
    IDL.Text,
    IDL.Principal,
    IDL.Reserved,
    IDL.Nat8,
    IDL.Nat16,
    IDL.Nat32,
    IDL.Nat64,
    IDL.Int8,
    IDL.Int16,
    IDL.Int32,
    IDL.Int64,
    IDL.Float32,
    IDL.Float64,
    IDL.Opt(IDL.Text),
    IDL.Vec(IDL.Nat8),
    IDL.Vec(IDL.Text),
    IDL.Record({ a: IDL.Nat, b: IDL.Vec(IDL.Record({ c: IDL.Bool })) }),
    IDL.Variant({ x: IDL.Null, y: IDL.Text }),
  ];
  const values = [
    null,
    true,
    1n << 100n,
    -(1n << 100n),
    'text',
    Principal.anonymous(),
    null,
    ...[1, 2, 3, 4n, -1, -2, -3, -4n, 1.5, 2.5],
    ['some'],
    Uint8Array.of(1, 2, 3),
    ['a', 'b'],
    { a: 1n, b: [{ c: true }, { c: false }] },
    { y: 'why' },
  ];
  assert.equal(problemOf(Uint8Array.from(IDL.encode([...types], values))), undefined);
});

test('what would cost without end is refused', () => {
  // vec null, and vec of empty records, of 2^32 - 1 elements
  assert.match(String(problem(1, 0x6d, 0x7f, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f)), /cost/);
  assert.match(String(problem(2, 0x6d, 1, 0x6c, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f)), /cost/);
  // opt of itself, a thousand deep
  assert.match(String(problem(1, 0x6e, 0, 1, 0, ...new Array(1_000).fill(1), 0)), /Recursion/);
  // a record that contains itself
  assert.match(String(problem(1, 0x6c, 1, 0, 0, 1, 0)), /Recursion|cost/);
  // a number of a hundred bytes
  assert.match(String(problem(0, 1, 0x7d, ...new Array(100).fill(0x80), 0)), /number too large/);
  // a table of 2^28 types, a record of 2^28 fields
  assert.notEqual(problem(0x80, 0x80, 0x80, 0x80, 1), undefined);
  assert.notEqual(problem(1, 0x6c, 0x80, 0x80, 0x80, 0x80, 1), undefined);
});

test('what is no Candid is refused', () => {
  assert.match(String(problemOf(new Uint8Array())), /Cannot parse header/);
  assert.equal(problemOf(Uint8Array.of(1, 2, 3)), 'Cannot parse header 010203');
  for (const bytes of [
    [],
    [0],
    [0, 1],
    [0, 1, 0x7e],
    [0, 1, 0x71, 5, 65],
    [0, 0, 7],
    [0, 1, 5],
    [1, 0x10],
    [0, 1, 0x6f],
  ])
    assert.notEqual(problem(...bytes), undefined, bytes.join(' '));
});

test('long blobs are taken out for decoding and put back', () => {
  const long = (byte: number, length: number): Uint8Array => new Uint8Array(length).fill(byte);
  const type = IDL.Record({
    chunk: IDL.Vec(IDL.Nat8),
    other: IDL.Vec(IDL.Record({ blob: IDL.Opt(IDL.Vec(IDL.Nat8)) })),
  });
  for (const length of [0, 12, 64, 65, 1_000_000]) {
    const value = {
      chunk: long(1, length),
      other: [{ blob: [long(2, length)] }, { blob: [] }, { blob: [long(3, 70)] }],
    };
    const bytes = Uint8Array.from(IDL.encode([type], [value]));
    const slim = slimCandid(bytes);
    assert.ok(slim.bytes.length < 400);
    assert.deepEqual(slim.restore(IDL.decode([type], slim.bytes.slice())[0]), value);
  }
  // A blob that looks like a stand-in stays what it is when there is nothing that it could stand for.
  const forged = Uint8Array.of(0xb1, 0x0b, 0x5e, 0xed, 0x9c, 0x3a, 0x77, 0x02, 0, 0, 0, 5);
  const bytes = Uint8Array.from(IDL.encode([IDL.Vec(IDL.Nat8)], [forged]));
  const slim = slimCandid(bytes);
  assert.deepEqual(slim.restore(IDL.decode([IDL.Vec(IDL.Nat8)], slim.bytes.slice())[0]), forged);
});

test('a message that is long without blobs, or all types, is refused', () => {
  const texts = Uint8Array.from(IDL.encode([IDL.Vec(IDL.Text)], [Array.from({ length: 10_000 }, () => 'some text')]));
  assert.match(String(problemOf(texts)), /bytes besides blobs/);
  const fields = Array.from({ length: 3_000 }, (_, i) => [i, 0x7f]).flatMap(([id, type]) => [
    ((id as number) & 0x7f) | 0x80,
    (id as number) >> 7,
    type as number,
  ]);
  assert.match(String(problem(1, 0x6c, (3_000 & 0x7f) | 0x80, 3_000 >> 7, ...fields, 0)), /more than 2000 parts/);
});

test('any bytes: decoding never fails but with PayloadRefused', () => {
  const valid = Uint8Array.from(
    IDL.encode(
      [IDL.Record({ canister_id: IDL.Principal, chunk: IDL.Vec(IDL.Nat8) })],
      [{ canister_id: Principal.anonymous(), chunk: Uint8Array.of(1, 2, 3) }],
    ),
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((tail) => Uint8Array.from([...DIDL, ...tail])),
    fc
      .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
      .map((changes) => changes.reduce((all, [at, byte]) => all.with(at, byte), valid)),
  );
  fc.assert(
    fc.property(bytes, (message) => {
      try {
        assert.equal(typeof decode('upload_chunk', message), 'object');
      } catch (error) {
        assert.ok(error instanceof PayloadRefused, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

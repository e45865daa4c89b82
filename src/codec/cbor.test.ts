import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as cborg from 'cborg';
import fc from 'fast-check';
import { Principal } from '../model/index.ts';
import {
  type CborInput,
  CborTagged,
  type CborValue,
  CodecError,
  decodeCbor,
  encodeCbor,
  encodeSelfDescribedCbor,
  fromHex,
  toHex,
} from './index.ts';

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof CodecError, String(error));
    return error.code;
  }
  return 'none';
}

const decodeHex = (hex: string): CborValue => decodeCbor(fromHex(hex));

describe('CBOR', () => {
  it('decodes the examples of RFC 8949, appendix A', () => {
    const examples: [string, CborValue][] = [
      ['00', 0n],
      ['17', 23n],
      ['1818', 24n],
      ['1903e8', 1000n],
      ['1a000f4240', 1000000n],
      ['1b000000e8d4a51000', 1000000000000n],
      ['1bffffffffffffffff', 18446744073709551615n],
      ['c249010000000000000000', 18446744073709551616n],
      ['3bffffffffffffffff', -18446744073709551616n],
      ['c349010000000000000000', -18446744073709551617n],
      ['20', -1n],
      ['3903e7', -1000n],
      ['f4', false],
      ['f5', true],
      ['f6', null],
      ['40', new Uint8Array(0)],
      ['4401020304', Uint8Array.of(1, 2, 3, 4)],
      ['60', ''],
      ['62c3bc', 'ü'],
      ['64f0908591', '\u{10151}'],
      ['8301820203820405', [1n, [2n, 3n], [4n, 5n]]],
      [
        'a26161016162820203',
        new Map<string, CborValue>([
          ['a', 1n],
          ['b', [2n, 3n]],
        ]),
      ],
      [
        'a201020304',
        new Map<bigint, CborValue>([
          [1n, 2n],
          [3n, 4n],
        ]),
      ],
      ['5f42010243030405ff', Uint8Array.of(1, 2, 3, 4, 5)],
      ['7f657374726561646d696e67ff', 'streaming'],
      ['9f018202039f0405ffff', [1n, [2n, 3n], [4n, 5n]]],
      [
        'bf6346756ef563416d7421ff',
        new Map<string, CborValue>([
          ['Fun', true],
          ['Amt', -2n],
        ]),
      ],
      ['c11a514b67b0', new CborTagged(1n, 1363896240n)],
      ['d9d9f700', 0n],
      ['1800', 0n],
    ];
    for (const [hex, value] of examples) assert.deepEqual(decodeHex(hex), value, hex);
  });

  it('names what is wrong', () => {
    const examples: [string, string][] = [
      ['', 'truncated'],
      ['18', 'truncated'],
      ['42ff', 'truncated'],
      ['8201', 'truncated'],
      ['9bffffffffffffffff', 'truncated'],
      ['5bffffffffffffffff00', 'truncated'],
      ['5f4101', 'truncated'],
      ['0000', 'trailing_bytes'],
      ['a2616101616102', 'duplicate_key'],
      ['bf616101616102ff', 'duplicate_key'],
      ['a201020102', 'duplicate_key'],
      ['f93c00', 'float'],
      ['fa47c35000', 'float'],
      ['fb7e37e43c8800759c', 'float'],
      ['61ff', 'invalid_utf8'],
      ['f7', 'malformed'],
      ['f0', 'malformed'],
      ['1c', 'malformed'],
      ['1f', 'malformed'],
      ['ff', 'malformed'],
      ['81ff', 'malformed'],
      ['bf00ff', 'malformed'],
      ['a1410001', 'malformed'],
      ['5f6161ff', 'malformed'],
      ['c26161', 'malformed'],
      [`${'81'.repeat(129)}00`, 'too_deep'],
      [`${'a100'.repeat(100_000)}00`, 'too_deep'],
      [`${'c1'.repeat(100_000)}00`, 'too_deep'],
    ];
    for (const [hex, expected] of examples)
      assert.equal(
        code(() => decodeHex(hex)),
        expected,
        hex.slice(0, 40),
      );
    assert.equal(
      code(() => decodeHex(`${'81'.repeat(128)}00`)),
      'none',
    );
  });

  it('never fails but with a CodecError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        code(() => decodeCbor(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  it('copies byte strings', () => {
    for (const bytes of [fromHex('4401020304'), Buffer.from('4401020304', 'hex')]) {
      const value = decodeCbor(bytes);
      bytes.fill(0);
      assert.deepEqual(value, Uint8Array.of(1, 2, 3, 4));
    }
  });

  it('encodes what an independent decoder reads, and decodes what an independent encoder writes', () => {
    const { value } = fc.letrec<{ value: CborInput }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n - 1n }),
        fc.string({ unit: 'grapheme' }),
        fc.uint8Array({ maxLength: 300 }),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('value'), { maxLength: 30 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 30, noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(value, (input) => {
        const bytes = encodeCbor(input);
        const theirs = cborg.decode(bytes, { rejectDuplicateMapKeys: true, strict: true });
        assert.deepEqual(plain(decodeCbor(bytes)), normal(theirs));
        assert.deepEqual(plain(decodeCbor(cborg.encode(input))), normal(theirs));
      }),
      { numRuns: 300 },
    );
  });

  it('writes principals as bytes, leaves undefined fields out, and tags what it describes itself', () => {
    assert.equal(
      toHex(encodeSelfDescribedCbor({ a: Principal.fromBytes(Uint8Array.of(4)), b: undefined, c: [1, -1, 2n ** 64n] })),
      'd9d9f7a261614104616383' + '0120' + 'c249010000000000000000',
    );
    assert.equal(
      code(() => encodeCbor(1.5)),
      'unsupported_value',
    );
    assert.equal(
      code(() => encodeCbor('\ud800')),
      'unsupported_value',
    );
  });
});

it('counts items where asked to', () => {
  // Three: the map, a key, a value; then the array and what is in it.
  const bytes = encodeCbor({ a: 1, b: [1, 2] });
  assert.ok(decodeCbor(bytes, { itemsMax: 7 }) instanceof Map);
  assert.equal(
    code(() => decodeCbor(bytes, { itemsMax: 6 })),
    'out_of_range',
  );
});

/** Maps with text keys as objects, to compare with a decoder that makes objects. */
function plain(value: CborValue): unknown {
  if (value instanceof Map) {
    const record: Record<string, unknown> = {};
    for (const [key, item] of value)
      Object.defineProperty(record, key, { value: plain(item), enumerable: true, configurable: true, writable: true });
    return record;
  }
  return Array.isArray(value) ? value.map(plain) : value;
}

function normal(value: unknown): unknown {
  if (typeof value === 'number') return BigInt(value);
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    const record: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value))
      Object.defineProperty(record, key, { value: normal(item), enumerable: true, configurable: true, writable: true });
    return record;
  }
  return value;
}

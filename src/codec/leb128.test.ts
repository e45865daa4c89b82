import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CodecError, decodeSleb128, decodeUleb128, encodeSleb128, encodeUleb128, toHex } from './index.ts';

describe('LEB128', () => {
  it('encodes the specification’s examples', () => {
    assert.equal(toHex(encodeUleb128(0)), '00');
    assert.equal(toHex(encodeUleb128(624485)), 'e58e26');
    assert.equal(toHex(encodeSleb128(0)), '00');
    assert.equal(toHex(encodeSleb128(-123456)), 'c0bb78');
  });

  it('reads back what it wrote, and where it ended', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        (natural, integer) => {
          const unsigned = encodeUleb128(natural);
          assert.deepEqual(decodeUleb128(unsigned), { value: natural, end: unsigned.length });
          const signed = encodeSleb128(integer);
          assert.deepEqual(decodeSleb128(Uint8Array.of(9, ...signed, 9), 1), {
            value: integer,
            end: signed.length + 1,
          });
        },
      ),
    );
  });

  it('refuses what does not fit', () => {
    assert.throws(() => encodeUleb128(-1), CodecError);
    assert.throws(() => encodeUleb128(0.5), CodecError);
    assert.throws(() => decodeUleb128(Uint8Array.of(0x80)), { code: 'truncated' });
    assert.throws(() => decodeUleb128(encodeUleb128(2n ** 64n)), { code: 'out_of_range' });
    assert.throws(() => decodeSleb128(encodeSleb128(2n ** 63n)), { code: 'out_of_range' });
    assert.throws(() => decodeUleb128(new Uint8Array(1000).fill(0x80)), { code: 'out_of_range' });
    assert.throws(() => decodeUleb128(encodeUleb128(256), 0, 8), { code: 'out_of_range' });
  });
});

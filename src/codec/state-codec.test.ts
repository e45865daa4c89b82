import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Principal } from '../model/index.ts';
import { CodecError, decodeState, encodeState, type StandIn, toHex } from './index.ts';

const key = fc.oneof(fc.string({ unit: 'grapheme' }), fc.maxSafeInteger(), fc.bigInt());
const { value: anything } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(undefined, null, true, false),
    fc.maxSafeInteger().map((n) => (n === 0 ? 0 : n)),
    fc.bigInt(),
    fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }),
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    fc.uint8Array({ maxLength: 200 }),
    fc.uint8Array({ maxLength: 29 }).map((bytes) => Principal.fromBytes(bytes)),
    fc.array(tie('value'), { maxLength: 10 }),
    fc.dictionary(
      fc.string().filter((name) => name !== '__proto__' && !name.includes('\0')),
      tie('value').filter((item) => item !== undefined),
      { maxKeys: 10, noNullPrototype: true },
    ),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 10 }).map((entries) => new Map(entries)),
  ),
}));

describe('state codec', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(anything, (value) => assert.deepStrictEqual(decodeState(encodeState(value)), value)),
      { numRuns: 500 },
    );
  });

  it('gives equal bytes for equal data, whatever the order of insertion', () => {
    const one = {
      b: 1,
      a: new Map<string, unknown>([
        ['x', 1n],
        ['y', { p: true, q: [] }],
      ]),
      c: undefined,
    };
    const two = {
      a: new Map<string, unknown>([
        ['y', { q: [], p: true }],
        ['x', 1n],
      ]),
      b: 1,
    };
    assert.deepEqual(encodeState(one), encodeState(two));
    assert.deepEqual(encodeState([one, two, one]), encodeState([two, one, two]));
    assert.notDeepEqual(encodeState(one), encodeState({ ...two, b: 2 }));
  });

  it('keeps its format', () => {
    const value = { n: [300, -1, 2n ** 40n, -1n], t: 'ü', r: [{ x: 1 }, { x: 2 }], p: Principal.fromText('aaaaa-aa') };
    assert.equal(
      toHex(encodeState(value)),
      '0c04016e017001720174' + '0a0404ac02050006060000000000010700' + '0e00' + '0a020c01017804010d010402' + '0802c3bc',
    );
  });

  it('writes stand-ins for what is not plain data', () => {
    class Pages {
      readonly file: number;
      constructor(file: number) {
        this.file = file;
      }
    }
    const standIns: StandIn[] = [
      {
        write: (value) => (value instanceof Pages ? value.file : undefined),
        read: (standIn) => new Pages(standIn as number),
      },
    ];
    const state = { heap: new Pages(3), stable: new Pages(4) };
    assert.deepStrictEqual(decodeState(encodeState(state, { standIns }), { standIns }), state);
    assert.throws(() => encodeState(state), { code: 'unsupported_value' });
    assert.throws(() => decodeState(encodeState(state, { standIns })), { code: 'malformed' });
  });

  it('refuses what is not plain data', () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    const bad: unknown[] = [
      0.5,
      Number.NaN,
      2 ** 53,
      () => 1,
      Symbol('x'),
      new Date(0),
      new Set(),
      cycle,
      '\ud800',
      new Map([[{}, 1]]),
    ];
    for (const value of bad) assert.throws(() => encodeState(value), { code: 'unsupported_value' });
  });

  it('detects damage without harm: no input makes it fail otherwise than with a CodecError', () => {
    const sound = encodeState({ a: [1, 2n, 'text', new Uint8Array(5)], m: new Map([['k', { a: 1 }]]) });
    fc.assert(
      fc.property(fc.nat(sound.length - 1), fc.nat(255), fc.nat(sound.length), (at, byte, length) => {
        const damaged = sound.slice(0, length);
        damaged[at] = byte;
        try {
          decodeState(damaged);
        } catch (error) {
          assert.ok(error instanceof CodecError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});

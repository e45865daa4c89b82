import { CodecError } from './codec-error.ts';

/** Shortest unsigned LEB128 of a natural number of any size. @throws CodecError `out_of_range` for negative or fractional numbers. */
export function encodeUleb128(value: number | bigint): Uint8Array {
  if (value < 0 || (typeof value === 'number' && !Number.isSafeInteger(value)))
    throw new CodecError('out_of_range', `${value} is not a natural number`);
  const out: number[] = [];
  let rest = BigInt(value);
  while (rest > 0x7fffffffn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  let small = Number(rest);
  while (small > 0x7f) {
    out.push((small & 0x7f) | 0x80);
    small >>>= 7;
  }
  out.push(small);
  return Uint8Array.from(out);
}

/** Shortest signed LEB128 of an integer of any size. */
export function encodeSleb128(value: number | bigint): Uint8Array {
  if (typeof value === 'number' && !Number.isSafeInteger(value))
    throw new CodecError('out_of_range', `${value} is not an integer`);
  const out: number[] = [];
  let rest = BigInt(value);
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
    out.push(done ? low : low | 0x80);
    if (done) return Uint8Array.from(out);
  }
}

/** A decoded number and the offset just past it. */
export interface Decoded {
  readonly value: bigint;
  readonly end: number;
}

/** Reads an unsigned LEB128 of at most `bitsMax` bits at `start`. @throws CodecError `truncated`, `out_of_range` */
export function decodeUleb128(bytes: Uint8Array, start = 0, bitsMax = 64): Decoded {
  let value = 0n;
  let shift = 0n;
  for (let at = start; ; at++) {
    const byte = bytes[at];
    if (byte === undefined) throw new CodecError('truncated', 'an LEB128 number ends early');
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if ((byte & 0x80) === 0) {
      if (value >> BigInt(bitsMax) !== 0n)
        throw new CodecError('out_of_range', `an LEB128 number exceeds ${bitsMax} bits`);
      return { value, end: at + 1 };
    }
    if (shift >= bitsMax + 7) throw new CodecError('out_of_range', `an LEB128 number exceeds ${bitsMax} bits`);
  }
}

/** Reads a signed LEB128 of at most `bitsMax` bits at `start`. @throws CodecError `truncated`, `out_of_range` */
export function decodeSleb128(bytes: Uint8Array, start = 0, bitsMax = 64): Decoded {
  let value = 0n;
  let shift = 0n;
  for (let at = start; ; at++) {
    const byte = bytes[at];
    if (byte === undefined) throw new CodecError('truncated', 'an LEB128 number ends early');
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if ((byte & 0x80) === 0) {
      if ((byte & 0x40) !== 0) value -= 1n << shift;
      if (BigInt.asIntN(bitsMax, value) !== value)
        throw new CodecError('out_of_range', `an LEB128 number exceeds ${bitsMax} bits`);
      return { value, end: at + 1 };
    }
    if (shift >= bitsMax + 7) throw new CodecError('out_of_range', `an LEB128 number exceeds ${bitsMax} bits`);
  }
}

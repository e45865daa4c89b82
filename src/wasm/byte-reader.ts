import { WasmError } from './wasm-error.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A cursor over Wasm bytes. Every read is checked against `end`: past it, or on a bad number, `WasmError` `malformed`. */
export class ByteReader {
  readonly bytes: Uint8Array;
  pos: number;
  end: number;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.pos = start;
    this.end = end;
  }

  get atEnd(): boolean {
    return this.pos >= this.end;
  }

  fail(message: string, offset: number = this.pos): never {
    throw new WasmError('malformed', message, offset);
  }

  u8(): number {
    if (this.pos >= this.end) this.fail('unexpected end');
    return this.bytes[this.pos++] as number;
  }

  peek(): number {
    if (this.pos >= this.end) this.fail('unexpected end');
    return this.bytes[this.pos] as number;
  }

  skip(length: number): void {
    if (length > this.end - this.pos) this.fail('unexpected end');
    this.pos += length;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    const start = this.pos;
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      if (shift === 28 && byte > 0x0f) this.fail('integer too large', start);
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return result;
    }
    return this.fail('integer representation too long', start);
  }

  /** Unsigned LEB128 of at most 64 bits. */
  u64(): bigint {
    const start = this.pos;
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      if (shift === 63n && byte > 0x01) this.fail('integer too large', start);
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return result;
    }
    return this.fail('integer representation too long', start);
  }

  /** Signed LEB128 of at most 32 bits. */
  s32(): number {
    const start = this.pos;
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      if (shift === 28 && byte !== (byte & 0x07) && byte !== (0x78 | (byte & 0x07))) {
        this.fail('integer too large', start);
      }
      result |= (byte & 0x7f) << shift;
      if (byte < 0x80) return shift < 28 && byte & 0x40 ? result | (-1 << (shift + 7)) : result;
    }
    return this.fail('integer representation too long', start);
  }

  /** Signed LEB128 of at most 33 bits: block types and heap types. */
  s33(): number {
    const value = this.#signed(33);
    return Number(value);
  }

  /** Signed LEB128 of at most 64 bits. */
  s64(): bigint {
    return this.#signed(64);
  }

  #signed(bits: number): bigint {
    const start = this.pos;
    let result = 0n;
    for (let shift = 0; shift < bits; shift += 7) {
      const byte = this.u8();
      result |= BigInt(byte & 0x7f) << BigInt(shift);
      if (byte < 0x80) {
        const left = bits - shift;
        if (left < 7) {
          const sign = byte >> (left - 1);
          if (sign !== 0 && sign !== 0x7f >> (left - 1)) this.fail('integer too large', start);
        }
        return BigInt.asIntN(Math.min(shift + 7, bits), result);
      }
    }
    return this.fail('integer representation too long', start);
  }

  /** A count of things that take at least one byte each, so that a lie cannot make us allocate. */
  count(): number {
    const start = this.pos;
    const count = this.u32();
    if (count > this.end - this.pos) this.fail('length out of bounds', start);
    return count;
  }

  name(): string {
    const length = this.count();
    const start = this.pos;
    this.pos += length;
    try {
      return decoder.decode(this.bytes.subarray(start, this.pos));
    } catch {
      return this.fail('malformed UTF-8 encoding', start);
    }
  }
}

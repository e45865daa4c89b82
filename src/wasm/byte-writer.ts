/** A growing buffer for Wasm bytes. */
export class ByteWriter {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Makes room for `more` bytes. */
  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  u8(byte: number): void {
    if (this.length === this.bytes.length) this.reserve(1);
    this.bytes[this.length++] = byte;
  }

  /** Bytes given one by one: opcodes and small immediates. */
  op(...bytes: number[]): void {
    this.reserve(bytes.length);
    for (const byte of bytes) this.bytes[this.length++] = byte;
  }

  u32(value: number): void {
    this.reserve(5);
    let rest = value;
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  s32(value: number): void {
    this.reserve(5);
    let rest = value | 0;
    for (;;) {
      const byte = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0)) {
        this.bytes[this.length++] = byte;
        return;
      }
      this.bytes[this.length++] = byte | 0x80;
    }
  }

  s64(value: bigint): void {
    if (value >= -0x80000000n && value <= 0x7fffffffn) {
      this.s32(Number(value));
      return;
    }
    this.reserve(10);
    let rest = value;
    for (;;) {
      const byte = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (byte & 0x40) === 0) || (rest === -1n && (byte & 0x40) !== 0)) {
        this.bytes[this.length++] = byte;
        return;
      }
      this.bytes[this.length++] = byte | 0x80;
    }
  }

  u64(value: bigint): void {
    let rest = value;
    while (rest > 0x7fn) {
      this.u8(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.u8(Number(rest));
  }

  name(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u32(bytes.length);
    this.append(bytes);
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Copies `source[start, end)`. */
  copy(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (size <= 0) return;
    this.reserve(size);
    const bytes = this.bytes;
    let at = this.length;
    if (size < 48) for (let i = start; i < end; i++) bytes[at++] = source[i] as number;
    else bytes.set(source.subarray(start, end), at);
    this.length += size;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

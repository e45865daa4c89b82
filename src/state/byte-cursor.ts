/** Reads a fixed layout from bytes; little-endian. @throws RangeError when the bytes end too early */
export class ByteReader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  u8(): number {
    return this.#view.getUint8(this.#next(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#next(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#next(8), true);
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#next(8), true);
  }

  /** A u64 that is at most 2^53 − 1. */
  count(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError(`${value} is out of range`);
    return Number(value);
  }

  /** A copy of the next bytes. */
  take(length: number): Uint8Array {
    const start = this.#next(length);
    return this.#bytes.slice(start, start + length);
  }

  /** A length, then so many bytes. */
  blob(): Uint8Array {
    return this.take(this.u32());
  }

  text(): string {
    return decoder.decode(this.blob());
  }

  #next(length: number): number {
    const start = this.at;
    if (length > this.#bytes.length - start) throw new RangeError(`${length} bytes are missing at offset ${start}`);
    this.at = start + length;
    return start;
  }
}

/** Writes a fixed layout; little-endian. */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const at = this.#next(1);
    this.#view.setUint8(at, value);
  }

  u32(value: number): void {
    const at = this.#next(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number | bigint): void {
    const at = this.#next(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  i64(value: bigint): void {
    const at = this.#next(8);
    this.#view.setBigInt64(at, value, true);
  }

  put(bytes: Uint8Array): void {
    const at = this.#next(bytes.length);
    this.#bytes.set(bytes, at);
  }

  blob(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.put(bytes);
  }

  text(text: string): void {
    this.blob(encoder.encode(text));
  }

  zeros(count: number): void {
    const at = this.#next(count);
    this.#bytes.fill(0, at, at + count);
  }

  /** What was written; a view that later writes may change. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  #next(count: number): number {
    const at = this.#length;
    if (at + count > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(this.#bytes.length * 2, at + count));
      bigger.set(this.#bytes.subarray(0, at));
      this.#bytes = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.#length = at + count;
    return at;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

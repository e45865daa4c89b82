import { sha256 } from '../codec/index.ts';

const encoder = new TextEncoder();

/**
 * Collects values for a digest: every one with its length, so that no two sequences of values give the same bytes.
 * Fast because it runs for every canister of every round; `encodeState` is the general way.
 */
export class DigestWriter {
  #bytes: Uint8Array = new Uint8Array(1024);
  #view: DataView = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Begins anew, with the same memory. */
  clear(): this {
    this.#length = 0;
    return this;
  }

  count(value: number): this {
    this.#room(8);
    this.#view.setFloat64(this.#length, value);
    this.#length += 8;
    return this;
  }

  /** A natural number: its length in 64-bit words, then the words. */
  integer(value: bigint): this {
    const at = this.#length;
    this.#room(9);
    this.#length += 1;
    let words = 0;
    for (let rest = value; rest > 0n; rest >>= 64n) {
      this.#room(8);
      this.#view.setBigUint64(this.#length, BigInt.asUintN(64, rest));
      this.#length += 8;
      words += 1;
    }
    this.#bytes[at] = words;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#room(4 + value.length);
    this.#view.setUint32(this.#length, value.length);
    this.#bytes.set(value, this.#length + 4);
    this.#length += 4 + value.length;
    return this;
  }

  text(value: string): this {
    const most = 3 * value.length;
    this.#room(4 + most);
    const { written } = encoder.encodeInto(value, this.#bytes.subarray(this.#length + 4));
    this.#view.setUint32(this.#length, written);
    this.#length += 4 + written;
    return this;
  }

  /** SHA-256 of all that was collected. */
  digest(): Uint8Array {
    return sha256(this.#bytes.subarray(0, this.#length));
  }

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

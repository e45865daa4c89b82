import { CertificationError } from './certification-error.ts';

/** The tags of the few ASN.1 types that keys and signatures are made of. */
export const DerTag = { integer: 0x02, bitString: 0x03, oid: 0x06, sequence: 0x30 } as const;
export type DerTag = (typeof DerTag)[keyof typeof DerTag];

/** Reads DER strictly, item by item. @throws CertificationError `bad_key` at whatever is not as expected */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The content of the next item, which must have this tag: a view. */
  read(tag: DerTag): Uint8Array {
    if (this.#bytes[this.#at] !== tag) throw malformed();
    const first = this.#bytes[this.#at + 1];
    this.#at += 2;
    let length = first ?? 0xff;
    if (length >= 0x80) {
      const size = length - 0x80;
      if (size < 1 || size > 3) throw malformed();
      length = 0;
      for (let i = 0; i < size; i++) length = length * 256 + (this.#bytes[this.#at++] ?? Number.NaN);
      // The shortest form only.
      if (!(length >= (size === 1 ? 0x80 : 256 ** (size - 1)))) throw malformed();
    }
    const end = this.#at + length;
    if (end > this.#bytes.length) throw malformed();
    const content = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return content;
  }

  /** A reader of the content of the next item. */
  enter(tag: DerTag): DerReader {
    return new DerReader(this.read(tag));
  }

  end(): void {
    if (!this.atEnd) throw malformed();
  }
}

function malformed(): CertificationError {
  return new CertificationError('bad_key', 'not a valid DER encoding');
}

import { Principal } from '../model/index.ts';

/**
 * Reads one field of type `principal` from the record that is the first argument of a Candid message, without decoding
 * the rest: an install carries megabytes of module beside the id that says where it goes.
 *
 *   "DIDL"  types: count, then each  arguments: count, then the type of each  values, in order
 *
 * @returns undefined when the message is malformed, is no record, or has no such field of type principal.
 */
export function principalField(message: Uint8Array, field: string): Principal | undefined {
  try {
    return new CandidReader(message).principalField(fieldHash(field));
  } catch (error) {
    if (error instanceof MalformedCandid) return undefined;
    throw error;
  }
}

class MalformedCandid extends Error {}

/** Candid's field id: h(name) = Σ byte · 223^… mod 2^32. */
function fieldHash(name: string): number {
  let hash = 0;
  for (const byte of new TextEncoder().encode(name)) hash = (Math.imul(hash, 223) + byte) >>> 0;
  return hash;
}

const NULL = -1;
const BOOL = -2;
const NAT = -3;
const INT = -4;
const TEXT = -15;
const RESERVED = -16;
const OPT = -18;
const VEC = -19;
const RECORD = -20;
const VARIANT = -21;
const FUNC = -22;
const SERVICE = -23;
const PRINCIPAL = -24;

/** Bytes of the primitive types of fixed size, by type code. */
const FIXED_BYTES: ReadonlyMap<number, number> = new Map([
  [NULL, 0],
  [BOOL, 1],
  [-5, 1],
  [-6, 2],
  [-7, 4],
  [-8, 8],
  [-9, 1],
  [-10, 2],
  [-11, 4],
  [-12, 8],
  [-13, 4],
  [-14, 8],
  [RESERVED, 0],
]);

/** Types nest at most this deep in a value; real arguments nest fewer than ten. */
const DEPTH_MAX = 100;
/** Values visited; arguments of management calls have tens of them, for a blob counts as one. */
const STEPS_MAX = 100_000;
const TABLE_MAX = 10_000;

interface CandidType {
  readonly code: number;
  /** The element of `opt` and `vec`. */
  readonly element: number;
  /** Of records and variants, in order: [id, type, id, type, …]. */
  readonly fields: readonly number[];
}

class CandidReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #steps = STEPS_MAX;
  readonly #types: CandidType[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  principalField(id: number): Principal | undefined {
    if (this.#byte() !== 0x44 || this.#byte() !== 0x49 || this.#byte() !== 0x44 || this.#byte() !== 0x4c)
      throw new MalformedCandid();
    this.#readTypes();
    const count = this.#natural(TABLE_MAX);
    if (count === 0) return undefined;
    const first = this.#typeCode();
    for (let i = 1; i < count; i++) this.#typeCode();
    const record = this.#types[first];
    if (record?.code !== RECORD) return undefined;
    for (let i = 0; i < record.fields.length; i += 2) {
      const type = record.fields[i + 1] as number;
      if (record.fields[i] === id) return type === PRINCIPAL ? this.#principal() : undefined;
      this.#skip(type, 0);
    }
    return undefined;
  }

  #readTypes(): void {
    const count = this.#natural(TABLE_MAX);
    for (let i = 0; i < count; i++) {
      const code = this.#signed();
      switch (code) {
        case OPT:
        case VEC:
          this.#types.push({ code, element: this.#typeCode(), fields: [] });
          break;
        case RECORD:
        case VARIANT: {
          const fields: number[] = [];
          const length = this.#natural(this.#bytes.length);
          for (let f = 0; f < length; f++) fields.push(this.#natural(0xffff_ffff), this.#typeCode());
          this.#types.push({ code, element: 0, fields });
          break;
        }
        case FUNC:
          for (const _ of [0, 1]) {
            const length = this.#natural(this.#bytes.length);
            for (let t = 0; t < length; t++) this.#typeCode();
          }
          this.#skipBytes();
          this.#types.push({ code, element: 0, fields: [] });
          break;
        case SERVICE: {
          const length = this.#natural(this.#bytes.length);
          for (let m = 0; m < length; m++) {
            this.#skipBytes();
            this.#typeCode();
          }
          this.#types.push({ code, element: 0, fields: [] });
          break;
        }
        default:
          // A type of a later Candid: its length in bytes is written after its code.
          if (code >= PRINCIPAL) throw new MalformedCandid();
          this.#skipBytes();
          this.#types.push({ code, element: 0, fields: [] });
      }
    }
  }

  /** Passes over a value of a type. */
  #skip(type: number, depth: number): void {
    if (depth > DEPTH_MAX || this.#steps-- <= 0) throw new MalformedCandid();
    const fixed = FIXED_BYTES.get(type);
    if (fixed !== undefined) this.#advance(fixed);
    else if (type === NAT || type === INT) this.#skipLeb128();
    else if (type === TEXT) this.#skipBytes();
    else if (type === PRINCIPAL) this.#principal();
    else this.#skipConstructed(this.#types[type], depth);
  }

  #skipConstructed(type: CandidType | undefined, depth: number): void {
    if (type === undefined) throw new MalformedCandid();
    switch (type.code) {
      case OPT: {
        const flag = this.#byte();
        if (flag > 1) throw new MalformedCandid();
        if (flag === 1) this.#skip(type.element, depth + 1);
        break;
      }
      case VEC: {
        const length = this.#natural(Number.MAX_SAFE_INTEGER);
        const bytes = FIXED_BYTES.get(type.element);
        if (bytes !== undefined) this.#advance(length * bytes);
        else for (let i = 0; i < length; i++) this.#skip(type.element, depth + 1);
        break;
      }
      case RECORD:
        for (let i = 1; i < type.fields.length; i += 2) this.#skip(type.fields[i] as number, depth + 1);
        break;
      case VARIANT: {
        const chosen = type.fields[2 * this.#natural(0xffff_ffff) + 1];
        if (chosen === undefined) throw new MalformedCandid();
        this.#skip(chosen, depth + 1);
        break;
      }
      case FUNC:
        if (this.#byte() !== 1) throw new MalformedCandid();
        this.#principal();
        this.#skipBytes();
        break;
      case SERVICE:
        this.#principal();
        break;
      default: {
        // A value of a later Candid: length in bytes, number of references, bytes.
        const length = this.#natural(this.#bytes.length);
        if (this.#natural(this.#bytes.length) !== 0) throw new MalformedCandid();
        this.#advance(length);
      }
    }
  }

  /** A length and as many bytes. */
  #skipBytes(): void {
    this.#advance(this.#natural(this.#bytes.length));
  }

  #principal(): Principal {
    if (this.#byte() !== 1) throw new MalformedCandid();
    const length = this.#natural(29);
    const start = this.#at;
    this.#advance(length);
    return Principal.fromBytes(this.#bytes.subarray(start, start + length));
  }

  /** A type: negative for primitives, else an index of the table, which may name a type that comes later. */
  #typeCode(): number {
    const code = this.#signed();
    if (code < PRINCIPAL || code >= TABLE_MAX) throw new MalformedCandid();
    return code;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new MalformedCandid();
    return byte;
  }

  #advance(count: number): void {
    if (count > this.#bytes.length - this.#at) throw new MalformedCandid();
    this.#at += count;
  }

  #natural(max: number): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (value > max) throw new MalformedCandid();
      if (byte < 0x80) return value;
      scale *= 128;
      if (scale > Number.MAX_SAFE_INTEGER) throw new MalformedCandid();
    }
  }

  #signed(): number {
    let value = 0;
    let shift = 0;
    for (;;) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      shift += 7;
      if (byte < 0x80) return shift < 32 && (byte & 0x40) !== 0 ? value | (-1 << shift) : value;
      if (shift >= 28) throw new MalformedCandid();
    }
  }

  #skipLeb128(): void {
    while (this.#byte() >= 0x80);
  }
}

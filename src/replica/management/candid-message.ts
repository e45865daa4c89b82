import { concatBytes, toHex } from '../../codec/index.ts';

/**
 * A look at a Candid message before the library decodes it.
 *
 * The message is sound, and decoding it takes work in proportion to its length: without that a few bytes could ask for
 * billions of elements of no size (`vec null`), or for recursion as deep as the host's stack happens to be.
 *
 * And it is small: long blobs (modules, chunks) are taken out and put back after decoding, because the library copies
 * all that is left of a message for every number that it reads in the type table.
 */

/** Values that a message of n bytes may hold: n + this. */
const STEPS_BEYOND_BYTES = 10_000;
const DEPTH_MAX = 128;
/** Entries of the type table, and numbers in it: the messages of the specification have a tenth of it. */
const TYPES_MAX = 200;
const TYPE_NUMBERS_MAX = 2_000;
/** Bytes of a message without its long blobs. */
const SLIM_BYTES_MAX = 65_536;
/** Longer blobs are taken out. */
const BLOB_BYTES_KEPT = 64;
/** Of a `nat` or `int`: decoding one takes time in the square of its length, and none here needs more than 19. */
const NUMBER_BYTES_MAX = 64;

export interface SlimMessage {
  /** The message with a stand-in for each long blob. */
  readonly bytes: Uint8Array;
  /** Puts the blobs back into what was decoded. */
  restore(value: unknown): unknown;
}

/** Why a message cannot be decoded; deterministic text. */
export class UnsoundCandid extends Error {}

/** @throws UnsoundCandid */
export function slimCandid(bytes: Uint8Array): SlimMessage {
  const walk = new Walk(bytes);
  walk.all();
  const { blobs } = walk;
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const [index, blob] of blobs.entries()) {
    parts.push(bytes.subarray(from, blob.lengthAt), standIn(index));
    from = blob.contentAt + blob.length;
  }
  parts.push(bytes.subarray(from));
  const slim = concatBytes(...parts);
  if (slim.length > SLIM_BYTES_MAX)
    throw new UnsoundCandid(`${slim.length} bytes besides blobs, more than ${SLIM_BYTES_MAX}`);
  const contents = blobs.map(({ contentAt, length }) => bytes.slice(contentAt, contentAt + length));
  return { bytes: slim, restore: (value) => restore(value, contents) };
}

/** A blob's length and content, in a message from which the real one was taken: a mark and the blob's number. */
const MARK = [0xb1, 0x0b, 0x5e, 0xed, 0x9c, 0x3a, 0x77, 0x02] as const;
const STAND_IN_BYTES = MARK.length + 4;

function standIn(index: number): Uint8Array {
  const out = new Uint8Array(1 + STAND_IN_BYTES);
  out[0] = STAND_IN_BYTES;
  out.set(MARK, 1);
  new DataView(out.buffer).setUint32(1 + MARK.length, index);
  return out;
}

/** A message may hold a mark of its own; then it gets another of its own blobs, or keeps it. */
function restore(value: unknown, blobs: readonly Uint8Array[]): unknown {
  if (value instanceof Uint8Array) {
    if (value.length !== STAND_IN_BYTES || MARK.some((byte, i) => value[i] !== byte)) return value;
    return blobs[new DataView(value.buffer, value.byteOffset).getUint32(MARK.length)] ?? value;
  }
  if (Array.isArray(value)) return value.map((item) => restore(item, blobs));
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, restore(item, blobs)]));
}

type TypeDefinition =
  | { readonly kind: 'opt' | 'vec'; readonly element: number }
  | { readonly kind: 'record'; readonly fields: readonly number[] }
  | { readonly kind: 'variant'; readonly fields: readonly number[] }
  | { readonly kind: 'reference' };

/** Bytes of a value of a primitive type; absent where its length is part of the value. */
const PRIMITIVE_BYTES: ReadonlyMap<number, number> = new Map([
  [-1, 0], // null
  [-2, 1], // bool
  [-5, 1], // nat8
  [-6, 2],
  [-7, 4],
  [-8, 8],
  [-9, 1], // int8
  [-10, 2],
  [-11, 4],
  [-12, 8],
  [-13, 4], // float32
  [-14, 8],
  [-16, 0], // reserved
]);
const NAT8 = -5;
const NAT = -3;
const INT = -4;
const TEXT = -15;
const PRINCIPAL = -24;

interface BlobSpan {
  readonly lengthAt: number;
  readonly contentAt: number;
  readonly length: number;
}

class Walk {
  readonly #bytes: Uint8Array;
  readonly #types: TypeDefinition[] = [];
  readonly blobs: BlobSpan[] = [];
  #at = 0;
  #steps: number;
  #typeNumbers = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#steps = bytes.length + STEPS_BEYOND_BYTES;
  }

  all(): void {
    if (!DIDL.every((byte, index) => this.#bytes[index] === byte))
      throw new UnsoundCandid(`Cannot parse header ${toHex(this.#bytes.subarray(0, 32))}`);
    this.#at = 4;
    const count = this.#natural();
    if (count > TYPES_MAX) throw new UnsoundCandid(`the type table has ${count} entries, more than ${TYPES_MAX}`);
    for (let i = 0; i < count; i++) this.#types.push(this.#definition());
    const values = this.#natural();
    if (values > this.#bytes.length) throw new UnsoundCandid('more values than bytes');
    const types: number[] = [];
    for (let i = 0; i < values; i++) types.push(this.#typeIndex());
    for (const type of types) this.#skip(type, 0);
    if (this.#at !== this.#bytes.length)
      throw new UnsoundCandid(`${this.#bytes.length - this.#at} bytes left over after the values`);
  }

  #definition(): TypeDefinition {
    const opcode = this.#signed();
    switch (opcode) {
      case -18:
        return { kind: 'opt', element: this.#typeIndex() };
      case -19:
        return { kind: 'vec', element: this.#typeIndex() };
      case -20:
      case -21: {
        const fields: number[] = [];
        for (let left = this.#natural(); left > 0; left--) {
          this.#natural();
          fields.push(this.#typeIndex());
        }
        return { kind: opcode === -20 ? 'record' : 'variant', fields };
      }
      case -22: {
        for (let list = 0; list < 2; list++) for (let left = this.#natural(); left > 0; left--) this.#typeIndex();
        for (let left = this.#natural(); left > 0; left--) this.#byte();
        return { kind: 'reference' };
      }
      case -23: {
        for (let left = this.#natural(); left > 0; left--) {
          this.#take(this.#natural());
          this.#typeIndex();
        }
        return { kind: 'reference' };
      }
      default:
        throw new UnsoundCandid(`unknown type constructor ${opcode}`);
    }
  }

  /** An index into the table (checked when used: a table may refer forward) or a primitive type's code. */
  #typeIndex(): number {
    if (++this.#typeNumbers > TYPE_NUMBERS_MAX)
      throw new UnsoundCandid(`the types have more than ${TYPE_NUMBERS_MAX} parts`);
    const index = this.#signed();
    if (index >= 0) return index;
    if (PRIMITIVE_BYTES.has(index) || [NAT, INT, TEXT, PRINCIPAL, -17].includes(index)) return index;
    throw new UnsoundCandid(`unknown type ${index}`);
  }

  #skip(type: number, depth: number): void {
    if (--this.#steps < 0) throw new UnsoundCandid('Decoding cost exceeds the limit');
    if (depth > DEPTH_MAX) throw new UnsoundCandid('Recursion limit exceeded');
    const size = PRIMITIVE_BYTES.get(type);
    if (size !== undefined) {
      this.#take(size);
      return;
    }
    switch (type) {
      case NAT:
      case INT:
        for (let length = 1; (this.#byte() & 0x80) !== 0; length++)
          if (length >= NUMBER_BYTES_MAX) throw new UnsoundCandid('number too large');
        return;
      case TEXT:
        this.#take(this.#natural());
        return;
      case PRINCIPAL:
        if (this.#byte() !== 1) throw new UnsoundCandid('Opaque reference not supported');
        this.#take(this.#natural());
        return;
      case -17:
        throw new UnsoundCandid('Cannot decode empty type');
      default:
        this.#skipConstructed(this.#type(type), depth);
    }
  }

  #skipConstructed(type: TypeDefinition, depth: number): void {
    switch (type.kind) {
      case 'opt': {
        const tag = this.#byte();
        if (tag > 1) throw new UnsoundCandid('Not an option value');
        if (tag === 1) this.#skip(type.element, depth + 1);
        return;
      }
      case 'vec': {
        const lengthAt = this.#at;
        const length = this.#natural();
        if (type.element === NAT8 && length > BLOB_BYTES_KEPT)
          this.blobs.push({ lengthAt, contentAt: this.#at, length });
        const size = PRIMITIVE_BYTES.get(type.element);
        if (size !== undefined && size > 0) this.#take(length * size);
        else for (let i = 0; i < length; i++) this.#skip(type.element, depth + 1);
        return;
      }
      case 'record':
        for (const field of type.fields) this.#skip(field, depth + 1);
        return;
      case 'variant': {
        const field = type.fields[this.#natural()];
        if (field === undefined) throw new UnsoundCandid('Variant index out of range');
        this.#skip(field, depth + 1);
        return;
      }
      case 'reference':
        throw new UnsoundCandid('references to functions and services are not expected here');
    }
  }

  #type(index: number): TypeDefinition {
    const type = this.#types[index];
    if (type === undefined) throw new UnsoundCandid(`type index ${index} out of range`);
    return type;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new UnsoundCandid('unexpected end of message');
    return byte;
  }

  #take(count: number): void {
    if (count > this.#bytes.length - this.#at) throw new UnsoundCandid('unexpected end of message');
    this.#at += count;
  }

  #natural(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 7; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new UnsoundCandid('number too large');
  }

  #signed(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 7; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) return (byte & 0x40) !== 0 ? value - scale : value;
    }
    throw new UnsoundCandid('number too large');
  }
}

const DIDL = [0x44, 0x49, 0x44, 0x4c];

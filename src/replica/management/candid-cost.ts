/**
 * A look at a Candid message before it is decoded: its shape is sound, and decoding it takes work in proportion to its
 * length. Without it a few bytes could ask for billions of elements of no size (`vec null`), or for recursion as deep
 * as the host's stack happens to be.
 */

/** Values that a message of n bytes may hold: n + this. */
const STEPS_BEYOND_BYTES = 10_000;
const DEPTH_MAX = 128;
/** Of a `nat` or `int`: decoding one takes time in the square of its length, and none here needs more than 19. */
const NUMBER_BYTES_MAX = 64;
const TYPES_MAX = 10_000;

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
const NAT = -3;
const INT = -4;
const TEXT = -15;
const PRINCIPAL = -24;

/** @returns what is wrong with the message, or undefined when it may be decoded. */
export function candidCostProblem(bytes: Uint8Array): string | undefined {
  try {
    new Walk(bytes).all();
    return undefined;
  } catch (error) {
    if (error instanceof Unsound) return error.message;
    throw error;
  }
}

class Unsound extends Error {}

class Walk {
  readonly #bytes: Uint8Array;
  readonly #types: TypeDefinition[] = [];
  #at = 0;
  #steps: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#steps = bytes.length + STEPS_BEYOND_BYTES;
  }

  all(): void {
    if (!DIDL.every((byte, index) => this.#bytes[index] === byte))
      throw new Unsound(`Cannot parse header ${hexOf(this.#bytes.subarray(0, 32))}`);
    this.#at = 4;
    const count = this.#natural();
    if (count > TYPES_MAX) throw new Unsound(`the type table has ${count} entries, more than ${TYPES_MAX}`);
    for (let i = 0; i < count; i++) this.#types.push(this.#definition());
    const values = this.#natural();
    if (values > this.#bytes.length) throw new Unsound('more values than bytes');
    const types: number[] = [];
    for (let i = 0; i < values; i++) types.push(this.#typeIndex());
    for (const type of types) this.#skip(type, 0);
    if (this.#at !== this.#bytes.length)
      throw new Unsound(`${this.#bytes.length - this.#at} bytes left over after the values`);
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
        throw new Unsound(`unknown type constructor ${opcode}`);
    }
  }

  /** An index into the table (checked when used: a table may refer forward) or a primitive type's code. */
  #typeIndex(): number {
    const index = this.#signed();
    if (index >= 0) return index;
    if (PRIMITIVE_BYTES.has(index) || [NAT, INT, TEXT, PRINCIPAL, -17].includes(index)) return index;
    throw new Unsound(`unknown type ${index}`);
  }

  #skip(type: number, depth: number): void {
    if (--this.#steps < 0) throw new Unsound('Decoding cost exceeds the limit');
    if (depth > DEPTH_MAX) throw new Unsound('Recursion limit exceeded');
    const size = PRIMITIVE_BYTES.get(type);
    if (size !== undefined) {
      this.#take(size);
      return;
    }
    switch (type) {
      case NAT:
      case INT:
        for (let length = 1; (this.#byte() & 0x80) !== 0; length++)
          if (length >= NUMBER_BYTES_MAX) throw new Unsound('number too large');
        return;
      case TEXT:
        this.#take(this.#natural());
        return;
      case PRINCIPAL:
        if (this.#byte() !== 1) throw new Unsound('Opaque reference not supported');
        this.#take(this.#natural());
        return;
      case -17:
        throw new Unsound('Cannot decode empty type');
      default:
        this.#skipConstructed(this.#type(type), depth);
    }
  }

  #skipConstructed(type: TypeDefinition, depth: number): void {
    switch (type.kind) {
      case 'opt': {
        const tag = this.#byte();
        if (tag > 1) throw new Unsound('Not an option value');
        if (tag === 1) this.#skip(type.element, depth + 1);
        return;
      }
      case 'vec': {
        const length = this.#natural();
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
        if (field === undefined) throw new Unsound('Variant index out of range');
        this.#skip(field, depth + 1);
        return;
      }
      case 'reference':
        throw new Unsound('references to functions and services are not expected here');
    }
  }

  #type(index: number): TypeDefinition {
    const type = this.#types[index];
    if (type === undefined) throw new Unsound(`type index ${index} out of range`);
    return type;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Unsound('unexpected end of message');
    return byte;
  }

  #take(count: number): void {
    if (count > this.#bytes.length - this.#at) throw new Unsound('unexpected end of message');
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
    throw new Unsound('number too large');
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
    throw new Unsound('number too large');
  }
}

const DIDL = [0x44, 0x49, 0x44, 0x4c];

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

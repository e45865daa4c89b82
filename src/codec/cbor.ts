import { Principal } from '../model/index.ts';
import { textOf, utf8 } from './bytes.ts';
import { CodecError } from './codec-error.ts';

/**
 * What decoding yields. Every integer is a bigint, whatever its size, and every map a `Map`, so that no key of a
 * request can reach a prototype.
 */
export type CborValue = bigint | string | boolean | null | Uint8Array | readonly CborValue[] | CborMap | CborTagged;
export type CborMap = ReadonlyMap<CborKey, CborValue>;
/** Keys of maps: text in every structure of the interface specification, integers in COSE keys. */
export type CborKey = string | bigint;

/** What can be encoded: also safe integers, principals (as their bytes) and plain objects, whose undefined fields are left out. */
export type CborInput =
  | bigint
  | number
  | string
  | boolean
  | null
  | Uint8Array
  | Principal
  | readonly CborInput[]
  | ReadonlyMap<CborKey, CborInput>
  | CborTagged
  | { readonly [key: string]: CborInput | undefined };

/** A tagged item whose tag this module gives no meaning to. */
export class CborTagged {
  readonly tag: bigint;
  readonly value: CborValue;

  constructor(tag: bigint, value: CborValue) {
    this.tag = tag;
    this.value = value;
  }
}

const SELF_DESCRIBE = 55799n;
const UINT64_MAX = 0xffff_ffff_ffff_ffffn;
/** Arrays, maps and tags within each other. The recursion limit of the real replica's decoder. */
const DEPTH_MAX = 128;

// --- decoding -----------------------------------------------------------------------------------------------------

export interface CborDecodeOptions {
  /** Levels of arrays, maps and tags; 128 by default. */
  readonly depthMax?: number;
  /** Items of all kinds together, keys and chunks included; unbounded by default. A hostile body can hold one in every byte. */
  readonly itemsMax?: number;
}

/**
 * Decodes one CBOR item (RFC 8949) that fills `bytes`; a self-describing tag around it is removed. Byte strings are
 * copies. Floating-point numbers, `undefined` and other simple values, duplicate keys, and keys that are neither text
 * nor integers are refused (interface spec, "CBOR encoding of requests and responses"); indefinite lengths and
 * integers longer than need be are accepted, as by the real replica.
 * @throws CodecError
 */
export function decodeCbor(bytes: Uint8Array, options: CborDecodeOptions = {}): CborValue {
  const reader = new Reader(bytes, options.depthMax ?? DEPTH_MAX, options.itemsMax ?? Number.POSITIVE_INFINITY);
  const value = reader.item(0);
  if (reader.at !== bytes.length)
    throw new CodecError('trailing_bytes', `trailing data at offset ${reader.at} of ${bytes.length}`);
  return value instanceof CborTagged && value.tag === SELF_DESCRIBE ? value.value : value;
}

/** Returned by `item` for the end mark of an indefinite length; never leaves this file. */
const BREAK = Symbol('break');

class Reader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #depthMax: number;
  readonly #itemsMax: number;
  #items = 0;

  constructor(bytes: Uint8Array, depthMax: number, itemsMax: number) {
    this.#bytes = bytes;
    this.#depthMax = depthMax;
    this.#itemsMax = itemsMax;
  }

  item(depth: number): CborValue {
    const value = this.#itemOrBreak(depth);
    if (value === BREAK) throw new CodecError('malformed', `unexpected end mark at offset ${this.at - 1}`);
    return value;
  }

  #itemOrBreak(depth: number): CborValue | typeof BREAK {
    if (++this.#items > this.#itemsMax) throw new CodecError('out_of_range', `more than ${this.#itemsMax} items`);
    const start = this.at;
    const initial = this.#byte();
    const major = initial >> 5;
    const info = initial & 31;
    switch (major) {
      case 0:
        return this.#integer(info, start);
      case 1:
        return -1n - this.#integer(info, start);
      case 2:
        return info === 31 ? this.#chunks(2, start) : new Uint8Array(this.#take(this.#length(info, start)));
      case 3:
        return this.#text(info === 31 ? this.#chunks(3, start) : this.#take(this.#length(info, start)), start);
      case 4:
        return this.#array(info === 31 ? undefined : this.#length(info, start), this.#deeper(depth));
      case 5:
        return this.#map(info === 31 ? undefined : this.#length(info, start), this.#deeper(depth));
      case 6:
        return this.#tagged(this.#integer(info, start), this.#deeper(depth));
      default:
        switch (info) {
          case 20:
            return false;
          case 21:
            return true;
          case 22:
            return null;
          case 25:
          case 26:
          case 27:
            throw new CodecError('float', `floating-point number at offset ${start}`);
          case 31:
            return BREAK;
          default:
            throw new CodecError('malformed', `unsupported simple value at offset ${start}`);
        }
    }
  }

  #count(): void {
    if (++this.#items > this.#itemsMax) throw new CodecError('out_of_range', `more than ${this.#itemsMax} items`);
  }

  #deeper(depth: number): number {
    if (depth >= this.#depthMax) throw new CodecError('too_deep', `nested deeper than ${this.#depthMax} levels`);
    return depth + 1;
  }

  #byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new CodecError('truncated', `the data ends at offset ${this.at}`);
    this.at++;
    return byte;
  }

  /** A view of the next `length` bytes. */
  #take(length: number): Uint8Array {
    const end = this.at + length;
    if (end > this.#bytes.length) throw new CodecError('truncated', `the data ends at offset ${this.#bytes.length}`);
    const view = this.#bytes.subarray(this.at, end);
    this.at = end;
    return view;
  }

  /** The argument of an item's head, up to 32 bits as a number. */
  #short(info: number): number | undefined {
    if (info < 24) return info;
    if (info === 24) return this.#byte();
    if (info === 25) return this.#byte() * 0x100 + this.#byte();
    if (info === 26) {
      const high = this.#byte() * 0x100 + this.#byte();
      return high * 0x10000 + this.#byte() * 0x100 + this.#byte();
    }
    return undefined;
  }

  #integer(info: number, start: number): bigint {
    const short = this.#short(info);
    if (short !== undefined) return BigInt(short);
    if (info !== 27) throw new CodecError('malformed', `invalid item head at offset ${start}`);
    const high = BigInt(this.#short(26) as number);
    return (high << 32n) | BigInt(this.#short(26) as number);
  }

  #length(info: number, start: number): number {
    const length = this.#short(info) ?? Number(this.#integer(info, start));
    if (length > this.#bytes.length - this.at)
      throw new CodecError('truncated', `an item of length ${length} at offset ${start} exceeds the data`);
    return length;
  }

  #text(bytes: Uint8Array, start: number): string {
    const text = textOf(bytes);
    if (text === undefined) throw new CodecError('invalid_utf8', `the text at offset ${start} is not UTF-8`);
    return text;
  }

  /** The definite chunks of an indefinite string, joined. */
  #chunks(major: number, start: number): Uint8Array {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const at = this.at;
      const initial = this.#byte();
      if (initial === 0xff) break;
      if (initial >> 5 !== major || (initial & 31) === 31)
        throw new CodecError('malformed', `invalid chunk at offset ${at} of the string at offset ${start}`);
      this.#count();
      const chunk = this.#take(this.#length(initial & 31, at));
      if (major === 3) this.#text(chunk, at);
      chunks.push(chunk);
      length += chunk.length;
    }
    const whole = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }

  #array(length: number | undefined, depth: number): CborValue[] {
    const items: CborValue[] = [];
    if (length !== undefined) {
      for (let i = 0; i < length; i++) items.push(this.item(depth));
      return items;
    }
    for (;;) {
      const item = this.#itemOrBreak(depth);
      if (item === BREAK) return items;
      items.push(item);
    }
  }

  #map(length: number | undefined, depth: number): CborMap {
    const map = new Map<CborKey, CborValue>();
    for (let i = 0; length === undefined || i < length; i++) {
      const start = this.at;
      const key = this.#itemOrBreak(depth);
      if (key === BREAK && length === undefined) return map;
      if (typeof key !== 'string' && typeof key !== 'bigint')
        throw new CodecError('malformed', `the map key at offset ${start} is neither text nor integer`);
      if (map.has(key)) throw new CodecError('duplicate_key', `duplicate map key ${JSON.stringify(String(key))}`);
      map.set(key, this.item(depth));
    }
    return map;
  }

  #tagged(tag: bigint, depth: number): CborValue {
    const value = this.item(depth);
    if (tag !== 2n && tag !== 3n) return new CborTagged(tag, value);
    if (!(value instanceof Uint8Array)) throw new CodecError('malformed', 'a bignum must be a byte string');
    if (value.length > 1024) throw new CodecError('out_of_range', 'a bignum has at most 1024 bytes');
    let number = 0n;
    for (const byte of value) number = (number << 8n) | BigInt(byte);
    return tag === 2n ? number : -1n - number;
  }
}

// --- encoding -----------------------------------------------------------------------------------------------------

/** Encodes `value` with definite lengths and shortest heads, fields in the order given. @throws CodecError `unsupported_value` */
export function encodeCbor(value: CborInput): Uint8Array {
  const writer = new Writer();
  writer.item(value, 0);
  return writer.finish();
}

/** As `encodeCbor`, with the self-describing tag 55799 in front: the form of every body and certificate. */
export function encodeSelfDescribedCbor(value: CborInput): Uint8Array {
  const writer = new Writer();
  writer.head(6, SELF_DESCRIBE);
  writer.item(value, 0);
  return writer.finish();
}

class Writer {
  #bytes = new Uint8Array(256);
  #length = 0;

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  item(value: CborInput, depth: number): void {
    if (depth > 1000) throw new CodecError('unsupported_value', 'the value is nested too deeply');
    switch (typeof value) {
      case 'string': {
        if (!value.isWellFormed()) throw new CodecError('unsupported_value', 'a text with lone surrogates');
        const bytes = utf8(value);
        this.head(3, bytes.length);
        this.#append(bytes);
        return;
      }
      case 'number':
        if (!Number.isSafeInteger(value)) throw new CodecError('unsupported_value', `${value} is not a safe integer`);
        if (value >= 0) this.head(0, value);
        else this.head(1, -1 - value);
        return;
      case 'bigint':
        this.#bigint(value);
        return;
      case 'boolean':
        this.#push(value ? 0xf5 : 0xf4);
        return;
      case 'object':
        break;
      default:
        throw new CodecError('unsupported_value', `a ${typeof value} has no CBOR form here`);
    }
    if (value === null) this.#push(0xf6);
    else if (value instanceof Uint8Array) this.#blob(value);
    else if (Array.isArray(value)) {
      this.head(4, value.length);
      for (const item of value as readonly CborInput[]) this.item(item, depth + 1);
    } else if (value instanceof Principal) this.#blob(value.bytes);
    else if (value instanceof Map) {
      this.head(5, value.size);
      for (const [key, item] of value as ReadonlyMap<CborKey, CborInput>) {
        this.item(key, depth + 1);
        this.item(item, depth + 1);
      }
    } else if (value instanceof CborTagged) {
      this.head(6, value.tag);
      this.item(value.value, depth + 1);
    } else {
      const record = value as { readonly [key: string]: CborInput | undefined };
      const keys = Object.keys(record).filter((key) => record[key] !== undefined);
      this.head(5, keys.length);
      for (const key of keys) {
        this.item(key, depth + 1);
        this.item(record[key] as CborInput, depth + 1);
      }
    }
  }

  head(major: number, argument: number | bigint): void {
    const top = major << 5;
    if (argument < 24) this.#push(top | Number(argument));
    else if (argument < 0x100) {
      this.#push(top | 24);
      this.#push(Number(argument));
    } else if (argument < 0x10000) {
      this.#push(top | 25);
      this.#uint(Number(argument), 2);
    } else if (argument < 0x1_0000_0000) {
      this.#push(top | 26);
      this.#uint(Number(argument), 4);
    } else {
      this.#push(top | 27);
      const wide = BigInt(argument);
      this.#uint(Number(wide >> 32n), 4);
      this.#uint(Number(wide & 0xffff_ffffn), 4);
    }
  }

  #bigint(value: bigint): void {
    const argument = value >= 0n ? value : -1n - value;
    if (argument <= UINT64_MAX) {
      this.head(value >= 0n ? 0 : 1, argument);
      return;
    }
    this.head(6, value >= 0n ? 2 : 3);
    const hex = argument.toString(16);
    const even = hex.length % 2 === 0 ? hex : `0${hex}`;
    const bytes = new Uint8Array(even.length / 2);
    for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(even.slice(2 * i, 2 * i + 2), 16);
    this.#blob(bytes);
  }

  #blob(bytes: Uint8Array): void {
    this.head(2, bytes.length);
    this.#append(bytes);
  }

  #uint(value: number, size: number): void {
    for (let shift = (size - 1) * 8; shift >= 0; shift -= 8) this.#push((value >>> shift) & 0xff);
  }

  #push(byte: number): void {
    if (this.#length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#length++] = byte;
  }

  #append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #grow(more: number): void {
    const bigger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    bigger.set(this.#bytes);
    this.#bytes = bigger;
  }
}

import { Principal } from '../model/index.ts';
import { CodecError } from './codec-error.ts';

/**
 * How values that are not plain data are written: `write` gives plain data that stands for `value` (for a page map,
 * say, the number of its file), or undefined when `value` is of another kind; `read` is its inverse.
 */
export interface StandIn {
  write(value: object): unknown;
  read(standIn: unknown): object;
}

export interface StateCodecOptions {
  /** Tried in order on every object that is not plain; the position is part of the format: append only. */
  readonly standIns?: readonly StandIn[];
}

/**
 * Layout (all counts and lengths LEB128, at most 53 bits):
 *
 *   0 undefined   1 false   2 true   3 null
 *   4 natural number: LEB128         5 negative number n: LEB128 of -1 - n
 *   6 natural bigint: length, bytes little-endian       7 negative bigint n: as 6 of -1 - n
 *   8 text: length, UTF-8            9 bytes: length, bytes
 *  10 array: count, items           11 map: count, (key, value) in key order
 *  12 object of a shape not seen before: count, key texts (length, UTF-8) in order; then the values
 *  13 object of a known shape: the shape's number, in order of first appearance; then the values
 *  14 principal: length, bytes      15 stand-in: kind, value
 *
 * Equal data gives equal bytes: keys of objects and maps are sorted, absent and undefined fields are the same.
 */
const Tag = {
  undefined: 0,
  false: 1,
  true: 2,
  null: 3,
  natural: 4,
  negative: 5,
  naturalBigint: 6,
  negativeBigint: 7,
  text: 8,
  bytes: 9,
  array: 10,
  map: 11,
  newShape: 12,
  shape: 13,
  principal: 14,
  standIn: 15,
} as const;

const DEPTH_MAX = 200;

/**
 * Writes plain data (undefined, null, booleans, safe integers, bigints, texts, Uint8Arrays, arrays, Maps with text or
 * number keys, plain objects, principals, and what the stand-ins cover) deterministically.
 * @throws CodecError `unsupported_value` for anything else: fractions, class instances, cycles.
 */
export function encodeState(value: unknown, options: StateCodecOptions = {}): Uint8Array {
  const writer = new StateWriter(options.standIns ?? []);
  writer.value(value, 0);
  return writer.finish();
}

/** The inverse of `encodeState`, with the same stand-ins. Byte strings are copies. @throws CodecError on damaged input. */
export function decodeState(bytes: Uint8Array, options: StateCodecOptions = {}): unknown {
  const reader = new StateReader(bytes, options.standIns ?? []);
  const value = reader.value(0);
  if (reader.at !== bytes.length) throw new CodecError('trailing_bytes', `trailing data at offset ${reader.at}`);
  return value;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The sorted keys of objects that are alike. */
interface Shape {
  readonly number: number;
  readonly keys: readonly string[];
  written: boolean;
}

class StateWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;
  readonly #standIns: readonly StandIn[];
  readonly #shapes: Map<string, Shape> = new Map();
  /** Keys as objects had them lately, newest first. */
  readonly #recent: { readonly keys: readonly string[]; readonly shape: Shape }[] = [];
  #shapeCount = 0;

  constructor(standIns: readonly StandIn[]) {
    this.#standIns = standIns;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  value(value: unknown, depth: number): void {
    if (depth > DEPTH_MAX) throw new CodecError('unsupported_value', 'the data is nested too deeply or in a cycle');
    switch (typeof value) {
      case 'undefined':
        this.#push(Tag.undefined);
        return;
      case 'boolean':
        this.#push(value ? Tag.true : Tag.false);
        return;
      case 'number':
        if (!Number.isSafeInteger(value)) throw new CodecError('unsupported_value', `${value} is not a safe integer`);
        this.#push(value < 0 ? Tag.negative : Tag.natural);
        this.#uint(value < 0 ? -1 - value : value);
        return;
      case 'bigint':
        this.#bigint(value);
        return;
      case 'string':
        this.#push(Tag.text);
        this.#text(value);
        return;
      case 'object':
        this.#object(value, depth);
        return;
      default:
        throw new CodecError('unsupported_value', `a ${typeof value} cannot be part of the state`);
    }
  }

  #object(value: object | null, depth: number): void {
    if (value === null) this.#push(Tag.null);
    else if (value instanceof Uint8Array) this.#blob(Tag.bytes, value);
    else if (Array.isArray(value)) {
      this.#push(Tag.array);
      this.#uint(value.length);
      for (const item of value as unknown[]) this.value(item, depth + 1);
    } else if (value instanceof Principal) this.#blob(Tag.principal, value.bytes);
    else if (value instanceof Map) this.#map(value, depth);
    else {
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype === Object.prototype || prototype === null) this.#record(value as Record<string, unknown>, depth);
      else this.#standIn(value, depth);
    }
  }

  #map(map: ReadonlyMap<unknown, unknown>, depth: number): void {
    const keys = [...map.keys()];
    for (const key of keys)
      if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'bigint')
        throw new CodecError('unsupported_value', 'the keys of a map must be texts or integers');
    (keys as Key[]).sort(compareKeys);
    this.#push(Tag.map);
    this.#uint(keys.length);
    for (const key of keys) {
      this.value(key, depth + 1);
      this.value(map.get(key), depth + 1);
    }
  }

  #record(record: Record<string, unknown>, depth: number): void {
    let keys: string[] = Object.keys(record);
    for (const key of keys)
      if (record[key] === undefined) {
        keys = keys.filter((name) => record[name] !== undefined);
        break;
      }
    const shape = this.#shapeOf(keys);
    if (shape.written) {
      this.#push(Tag.shape);
      this.#uint(shape.number);
    } else {
      shape.written = true;
      this.#push(Tag.newShape);
      this.#uint(shape.keys.length);
      for (const key of shape.keys) {
        if (key === '__proto__' || key.includes('\0'))
          throw new CodecError('unsupported_value', `a field cannot be called ${JSON.stringify(key)}`);
        this.#text(key);
      }
    }
    for (const key of shape.keys) this.value(record[key], depth + 1);
  }

  /** The shape with these keys, in whatever order an object has them: sorted once per order, not once per object. */
  #shapeOf(keys: readonly string[]): Shape {
    // Most objects are like one of the few that came last.
    for (const recent of this.#recent) if (sameKeys(recent.keys, keys)) return recent.shape;
    const shape = this.#shapeOfNew(keys);
    if (this.#recent.length === RECENT_SHAPES) this.#recent.pop();
    this.#recent.unshift({ keys, shape });
    return shape;
  }

  #shapeOfNew(keys: readonly string[]): Shape {
    const signature = `${keys.length}:${keys.join('\0')}`;
    const known = this.#shapes.get(signature);
    if (known !== undefined) return known;
    const sorted = [...keys].sort();
    const canonical = `${sorted.length}:${sorted.join('\0')}`;
    const shape = this.#shapes.get(canonical) ?? { number: this.#shapeCount++, keys: sorted, written: false };
    this.#shapes.set(canonical, shape);
    this.#shapes.set(signature, shape);
    return shape;
  }

  #standIn(value: object, depth: number): void {
    for (const [kind, codec] of this.#standIns.entries()) {
      const standIn = codec.write(value);
      if (standIn === undefined) continue;
      this.#push(Tag.standIn);
      this.#uint(kind);
      this.value(standIn, depth + 1);
      return;
    }
    throw new CodecError('unsupported_value', `a ${value.constructor?.name ?? 'value'} is not plain data`);
  }

  #bigint(value: bigint): void {
    this.#push(value < 0n ? Tag.negativeBigint : Tag.naturalBigint);
    let rest = value < 0n ? -1n - value : value;
    if (rest <= 0xffff_ffffn) {
      let small = Number(rest);
      const size = small > 0xffffff ? 4 : small > 0xffff ? 3 : small > 0xff ? 2 : small > 0 ? 1 : 0;
      this.#push(size);
      for (; small > 0; small >>>= 8) this.#push(small & 0xff);
      return;
    }
    const digits = rest.toString(16).length;
    const size = (digits + 1) >> 1;
    this.#uint(size);
    for (let left = size; left > 0; left -= 4) {
      const word = Number(BigInt.asUintN(32, rest));
      rest >>= 32n;
      for (let i = 0; i < Math.min(4, left); i++) this.#push((word >>> (8 * i)) & 0xff);
    }
  }

  #text(text: string): void {
    if (text.length < 128) {
      // Almost all texts are keys, names and request ids: short and in ASCII.
      this.#reserve(text.length + 1);
      const start = this.#length;
      this.#bytes[start] = text.length;
      let i = 0;
      for (; i < text.length; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 127) break;
        this.#bytes[start + 1 + i] = unit;
      }
      if (i === text.length) {
        this.#length = start + 1 + i;
        return;
      }
    }
    if (!text.isWellFormed()) throw new CodecError('unsupported_value', 'a text with lone surrogates');
    const bytes = encoder.encode(text);
    this.#uint(bytes.length);
    this.#append(bytes);
  }

  #blob(tag: number, bytes: Uint8Array): void {
    this.#push(tag);
    this.#uint(bytes.length);
    this.#append(bytes);
  }

  #uint(value: number): void {
    let rest = value;
    while (rest > 0x7fff_ffff) {
      this.#push((rest % 128) | 0x80);
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      this.#push((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.#push(rest);
  }

  #push(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const bigger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    bigger.set(this.#bytes);
    this.#bytes = bigger;
  }
}

const RECENT_SHAPES = 6;

function sameKeys(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false;
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) return false;
  return true;
}

type Key = string | number | bigint;

/** Numbers, then bigints, then texts; each by value (texts by UTF-16 units). */
function compareKeys(a: Key, b: Key): number {
  if (typeof a !== typeof b) return rank(a) - rank(b);
  return a < b ? -1 : a > b ? 1 : 0;
}

function rank(key: Key): number {
  return typeof key === 'number' ? 0 : typeof key === 'bigint' ? 1 : 2;
}

class StateReader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #standIns: readonly StandIn[];
  readonly #shapes: (readonly string[])[] = [];

  constructor(bytes: Uint8Array, standIns: readonly StandIn[]) {
    this.#bytes = bytes;
    this.#standIns = standIns;
  }

  value(depth: number): unknown {
    if (depth > DEPTH_MAX) throw new CodecError('too_deep', `nested deeper than ${DEPTH_MAX} levels`);
    const start = this.at;
    switch (this.#byte()) {
      case Tag.undefined:
        return undefined;
      case Tag.false:
        return false;
      case Tag.true:
        return true;
      case Tag.null:
        return null;
      case Tag.natural:
        return this.#uint();
      case Tag.negative:
        return -1 - this.#uint();
      case Tag.naturalBigint:
        return this.#bigint();
      case Tag.negativeBigint:
        return -1n - this.#bigint();
      case Tag.text:
        return this.#text();
      case Tag.bytes:
        return new Uint8Array(this.#take(this.#uint()));
      case Tag.array: {
        const count = this.#count();
        const items: unknown[] = [];
        for (let i = 0; i < count; i++) items.push(this.value(depth + 1));
        return items;
      }
      case Tag.map:
        return this.#map(depth);
      case Tag.newShape: {
        const keys: string[] = [];
        for (let count = this.#count(); count > 0; count--) keys.push(this.#text());
        if (keys.includes('__proto__')) throw new CodecError('malformed', `forbidden field at offset ${start}`);
        this.#shapes.push(keys);
        return this.#record(keys, depth);
      }
      case Tag.shape: {
        const keys = this.#shapes[this.#uint()];
        if (keys === undefined) throw new CodecError('malformed', `unknown shape at offset ${start}`);
        return this.#record(keys, depth);
      }
      case Tag.principal: {
        const bytes = this.#take(this.#uint());
        if (bytes.length > 29) throw new CodecError('malformed', `principal too long at offset ${start}`);
        return Principal.fromBytes(bytes);
      }
      case Tag.standIn: {
        const kind = this.#uint();
        const codec = this.#standIns[kind];
        if (codec === undefined) throw new CodecError('malformed', `unknown stand-in ${kind} at offset ${start}`);
        return codec.read(this.value(depth + 1));
      }
      default:
        throw new CodecError('malformed', `unknown tag at offset ${start}`);
    }
  }

  #map(depth: number): Map<Key, unknown> {
    const map = new Map<Key, unknown>();
    let previous: Key | undefined;
    for (let count = this.#count(); count > 0; count--) {
      const start = this.at;
      const key = this.value(depth + 1);
      if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'bigint')
        throw new CodecError('malformed', `invalid map key at offset ${start}`);
      if (previous !== undefined && compareKeys(previous, key) >= 0)
        throw new CodecError('malformed', `map keys out of order at offset ${start}`);
      previous = key;
      map.set(key, this.value(depth + 1));
    }
    return map;
  }

  #record(keys: readonly string[], depth: number): Record<string, unknown> {
    const record: Record<string, unknown> = {};
    for (const key of keys) record[key] = this.value(depth + 1);
    return record;
  }

  #bigint(): bigint {
    const bytes = this.#take(this.#uint());
    let value = 0n;
    let word = 0;
    for (let i = bytes.length - 1; i >= 0; i--) {
      word = word * 256 + (bytes[i] as number);
      if (i % 4 === 0) {
        value = (value << 32n) | BigInt(word);
        word = 0;
      }
    }
    return value;
  }

  #text(): string {
    const bytes = this.#take(this.#uint());
    if (bytes.length < 64) {
      let text = '';
      let i = 0;
      for (; i < bytes.length; i++) {
        const unit = bytes[i] as number;
        if (unit > 127) break;
        text += String.fromCharCode(unit);
      }
      if (i === bytes.length) return text;
    }
    try {
      return decoder.decode(bytes);
    } catch {
      throw new CodecError('invalid_utf8', `a text before offset ${this.at} is not UTF-8`);
    }
  }

  /** A count of things of at least one byte each: bounded by what is left, so that damage cannot make a huge loop. */
  #count(): number {
    const count = this.#uint();
    if (count > this.#bytes.length - this.at)
      throw new CodecError('truncated', `a count of ${count} at offset ${this.at} exceeds the data`);
    return count;
  }

  #uint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new CodecError('out_of_range', `number too large before ${this.at}`);
      if (byte < 0x80) return value;
      scale *= 128;
      if (scale > Number.MAX_SAFE_INTEGER) throw new CodecError('out_of_range', `number too large before ${this.at}`);
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new CodecError('truncated', `the data ends at offset ${this.at}`);
    this.at++;
    return byte;
  }

  #take(length: number): Uint8Array {
    const end = this.at + length;
    if (end > this.#bytes.length) throw new CodecError('truncated', `the data ends at offset ${this.#bytes.length}`);
    const view = this.#bytes.subarray(this.at, end);
    this.at = end;
    return view;
  }
}

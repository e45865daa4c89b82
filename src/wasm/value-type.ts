import type { ByteReader } from './byte-reader.ts';
import { WasmError } from './wasm-error.ts';

/**
 * A value type as one number. The simple ones are their byte in the binary format; a typed reference is
 * `0x63` (nullable) or `0x64` plus 256 × its heap type (a type index, or `ABSTRACT` + the heap type's byte).
 */
export type ValueType = number;

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
export const FUNCREF = 0x70;
export const EXTERNREF = 0x6f;

const ABSTRACT = 0x1000000;

const NAMES: ReadonlyMap<number, string> = new Map([
  [I32, 'i32'],
  [I64, 'i64'],
  [F32, 'f32'],
  [F64, 'f64'],
  [V128, 'v128'],
  [FUNCREF, 'funcref'],
  [EXTERNREF, 'externref'],
]);

export function valueTypeName(type: ValueType): string {
  return NAMES.get(type) ?? (type % 256 === 0x64 ? 'ref' : 'ref null');
}

export function isReference(type: ValueType): boolean {
  return type < V128 || type > 0xff;
}

/** Whether a reference points to functions; the others point to the host's values. */
export function isFunctionReference(type: ValueType): boolean {
  if (type === FUNCREF) return true;
  if (type <= 0xff) return false;
  const heap = Math.floor(type / 256);
  return heap < ABSTRACT || heap === ABSTRACT + FUNCREF;
}

export function isNullable(type: ValueType): boolean {
  return type <= 0xff || type % 256 === 0x63;
}

/** The type as it stands in the binary. */
export function encodeValueType(type: ValueType): number[] {
  if (type <= 0xff) return [type];
  const heap = Math.floor(type / 256);
  if (heap >= ABSTRACT) return [type % 256, heap - ABSTRACT];
  const out = [type % 256];
  let rest = heap;
  // A type index is a positive signed LEB128.
  while (rest >= 0x40) {
    out.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return out;
}

/**
 * Reads a value type. Typed function references (`ref null? func|extern|$t`) are read when `typedReferences` is set;
 * types of other proposals are refused.
 */
export function readValueType(reader: ByteReader, typedReferences: boolean): ValueType {
  const offset = reader.pos;
  const byte = reader.u8();
  if (NAMES.has(byte)) return byte;
  if (byte === 0x63 || byte === 0x64) {
    if (!typedReferences) {
      throw new WasmError('unsupported_feature', 'typed function references are not supported', offset);
    }
    const heap = readHeapType(reader);
    return byte === 0x63 ? nullableReference(heap) : byte + 256 * heap;
  }
  if (byte >= 0x68 && byte <= 0x74) throw new WasmError('unsupported_feature', 'gc types are not supported', offset);
  return reader.fail('malformed value type', offset);
}

/** The heap type after `ref.null` or in a typed reference: an index, or `ABSTRACT` + byte. */
export function readHeapType(reader: ByteReader): number {
  const offset = reader.pos;
  const heap = reader.s33();
  if (heap >= 0) return heap;
  const byte = heap + 0x80;
  if (byte === FUNCREF || byte === EXTERNREF) return ABSTRACT + byte;
  if (byte >= 0x68 && byte <= 0x74) throw new WasmError('unsupported_feature', 'gc types are not supported', offset);
  return reader.fail('malformed heap type', offset);
}

/** The nullable reference to a heap type; `(ref null func)` and `funcref` are the same number. */
export function nullableReference(heap: number): ValueType {
  if (heap === ABSTRACT + FUNCREF) return FUNCREF;
  if (heap === ABSTRACT + EXTERNREF) return EXTERNREF;
  return 0x63 + 256 * heap;
}

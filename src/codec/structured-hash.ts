import { Principal } from '../model/index.ts';
import { compareBytes, concatBytes, utf8 } from './bytes.ts';
import { CborTagged } from './cbor.ts';
import { CodecError } from './codec-error.ts';
import { encodeSleb128, encodeUleb128 } from './leb128.ts';
import { sha256 } from './sha256.ts';

/** Values that have a representation-independent hash: blobs, texts, integers, principals, arrays and maps of them. */
export type HashableValue = Uint8Array | string | number | bigint | Principal | readonly HashableValue[] | HashableMap;
export type HashableMap = ReadonlyMap<string, HashableValue> | { readonly [field: string]: HashableValue | undefined };

/**
 * Representation-independent hash of a map (interface spec, "Representation-independent hashing of structured data").
 * Accepts what `decodeCbor` yields as well as plain objects, whose undefined fields count as absent.
 * @throws CodecError `unsupported_value` for booleans, null, tags and keys that are not text.
 */
export function hashOfMap(map: HashableMap): Uint8Array {
  return hashMap(map as object, 0);
}

/** The request id: the hash of a request's `content` map, which `sender_sig` signs (interface spec, "Request ids"). */
export function requestId(content: HashableMap): Uint8Array {
  return hashOfMap(content);
}

function hashMap(map: object, depth: number): Uint8Array {
  if (depth > 128) throw new CodecError('too_deep', 'nested deeper than 128 levels');
  const fields: Uint8Array[] = [];
  for (const [name, value] of map instanceof Map ? map : Object.entries(map)) {
    if (value === undefined) continue;
    if (typeof name !== 'string') throw new CodecError('unsupported_value', 'a field name must be text');
    fields.push(concatBytes(hashOfName(name), hashValue(value, depth)));
  }
  return sha256(...fields.sort(compareBytes));
}

function hashValue(value: unknown, depth: number): Uint8Array {
  switch (typeof value) {
    case 'string':
      return sha256(utf8(value));
    case 'bigint':
    case 'number':
      return sha256(value < 0 ? encodeSleb128(value) : encodeUleb128(value));
    case 'object':
      if (value instanceof Uint8Array) return sha256(value);
      if (value instanceof Principal) return sha256(value.bytes);
      if (Array.isArray(value)) {
        if (depth > 128) throw new CodecError('too_deep', 'nested deeper than 128 levels');
        return sha256(...value.map((item) => hashValue(item, depth + 1)));
      }
      if (value !== null && !(value instanceof CborTagged)) return hashMap(value, depth + 1);
  }
  throw new CodecError('unsupported_value', 'only blobs, texts, integers, arrays and maps can be hashed');
}

/** Hashes of the few field names of the specification; bounded, because a request may carry any names. */
const names = new Map<string, Uint8Array>();

function hashOfName(name: string): Uint8Array {
  const known = names.get(name);
  if (known !== undefined) return known;
  const hash = sha256(utf8(name));
  if (names.size < 64 && name.length <= 32) names.set(name, hash);
  return hash;
}

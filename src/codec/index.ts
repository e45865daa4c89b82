/**
 * Bytes ↔ nouns, without I/O and safe in a browser.
 *
 * - `sha256`: one digest over several parts; short inputs in JavaScript, long ones by the host's library where there
 *   is one.
 * - CBOR as the interface specification restricts it: `decodeCbor` is strict about what a hostile client may send
 *   (duplicate keys, floats, depth, trailing bytes) and yields bigints for all integers and Maps for all maps;
 *   `encodeSelfDescribedCbor` writes the tag 55799 that all bodies begin with. It is our own because the depth bound,
 *   the refusals and their codes are part of the interface; the tests hold it against an independent implementation.
 * - LEB128, hex, and comparisons of byte strings.
 * - `hashOfMap`: the representation-independent hash that request ids, delegations and query signatures are made of.
 * - `encodeState`: any plain data to bytes and back, deterministically; checkpoints, digests and the input log use it.
 *
 * Failures are `CodecError`s with a code. Nothing here knows what a request or a canister is.
 */
export { compareBytes, concatBytes, equalBytes, textOf, utf8 } from './bytes.ts';
export {
  type CborDecodeOptions,
  type CborInput,
  type CborKey,
  type CborMap,
  CborTagged,
  type CborValue,
  decodeCbor,
  encodeCbor,
  encodeSelfDescribedCbor,
} from './cbor.ts';
export { CodecError, type CodecErrorCode } from './codec-error.ts';
export { fromHex, toHex } from './hex.ts';
export { type Decoded, decodeSleb128, decodeUleb128, encodeSleb128, encodeUleb128 } from './leb128.ts';
export { sha256 } from './sha256.ts';
export { decodeState, encodeState, type StandIn, type StateCodecOptions } from './state-codec.ts';
export { type HashableMap, type HashableValue, hashOfMap, requestId } from './structured-hash.ts';

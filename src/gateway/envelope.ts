import { type CborMap, type CborValue, CodecError, decodeCbor, type HashableMap, requestId } from '../codec/index.ts';
import { Principal, type Time } from '../model/index.ts';
import { Refusal } from './refusal.ts';

/** What all requests have (interface spec, "Authentication"). */
export interface RequestBase {
  /** Representation-independent hash of the content, 32 bytes. */
  readonly requestId: Uint8Array;
  readonly sender: Principal;
  readonly ingressExpiry: Time;
  readonly nonce: Uint8Array | undefined;
  readonly authentication: EnvelopeAuthentication;
}

/** The signed-by part of an envelope, as sent. */
export interface EnvelopeAuthentication {
  readonly senderPubkey: Uint8Array | undefined;
  readonly senderSig: Uint8Array | undefined;
  readonly senderDelegation: readonly SignedDelegation[] | undefined;
}

export interface SignedDelegation {
  readonly delegation: Delegation;
  readonly signature: Uint8Array;
}

export interface Delegation {
  readonly pubkey: Uint8Array;
  readonly expiration: Time;
  readonly targets: readonly Principal[] | undefined;
  readonly permissions: string | undefined;
}

/** `sender_info` as sent, not yet verified. */
export interface SignedSenderInfo {
  readonly info: Uint8Array;
  readonly signer: Principal;
  readonly sig: Uint8Array;
}

export interface CallRequest extends RequestBase {
  readonly canisterId: Principal;
  readonly methodName: string;
  readonly arg: Uint8Array;
  readonly senderInfo: SignedSenderInfo | undefined;
}

export interface ReadStateRequest extends RequestBase {
  readonly paths: readonly (readonly Uint8Array[])[];
}

/** What bounds the parts of a request. */
export interface EnvelopeBounds {
  readonly readStatePaths: number;
  readonly readStatePathLabels: number;
}

/** `/subnet/<id>/node/<id>/public_key` is the longest path that there is. */
const LABELS_MAX = 5;
const NONCE_BYTES_MAX = 32;
/** Items of a body: the longest chain of delegations has 20,000 targets, and paths that can be read 5,000 labels. */
const ITEMS_MAX = 50_000;
/** Keys and signatures have structure that is read before they are verified: the largest of use are 1 and 10 KiB. */
const KEY_BYTES_MAX = 8 << 10;
const SIGNATURE_BYTES_MAX = 64 << 10;
const UINT64_MAX = 0xffff_ffff_ffff_ffffn;

/** Decodes the body of a call or a query. @throws Refusal (400) saying what is wrong */
export function decodeCall(body: Uint8Array, requestType: 'call' | 'query'): CallRequest {
  return decode(body, requestType, (content) => ({
    canisterId: principal(content, 'canister_id'),
    methodName: required(content, 'method_name', 'text', isText),
    arg: required(content, 'arg', 'blob', isBlob),
    senderInfo: senderInfo(content),
  }));
}

/** Decodes the body of a read_state request. @throws Refusal (400; 404 for a path longer than any in the state tree) */
export function decodeReadState(body: Uint8Array, bounds: EnvelopeBounds): ReadStateRequest {
  return decode(body, 'read_state', (content) => ({ paths: readPaths(content, bounds) }));
}

function decode<T>(body: Uint8Array, requestType: string, fieldsOf: (content: CborMap) => T): RequestBase & T {
  try {
    const envelope = decodeCbor(body, { itemsMax: ITEMS_MAX });
    if (!isMap(envelope)) throw malformed('a request is a map');
    const sent = required(envelope, 'content', 'map', isMap);
    const type = required(sent, 'request_type', 'text', isText);
    if (type !== requestType)
      throw malformed(`request_type is "${type.slice(0, 20)}", this endpoint takes "${requestType}"`);
    const content = withoutNulls(sent);
    const nonce = optional(content, 'nonce', 'blob', isBlob);
    if (nonce !== undefined && nonce.length > NONCE_BYTES_MAX)
      throw malformed(`nonce has ${nonce.length} bytes, at most ${NONCE_BYTES_MAX} are allowed`);
    return {
      ...fieldsOf(content),
      sender: principal(content, 'sender'),
      ingressExpiry: uint64(content, 'ingress_expiry'),
      nonce,
      authentication: {
        senderPubkey: shorter(optional(envelope, 'sender_pubkey', 'blob', isBlob), 'sender_pubkey', KEY_BYTES_MAX),
        senderSig: shorter(optional(envelope, 'sender_sig', 'blob', isBlob), 'sender_sig', SIGNATURE_BYTES_MAX),
        senderDelegation: delegations(envelope),
      },
      // Last: hashing takes the longest.
      requestId: requestId(content as HashableMap),
    };
  } catch (error) {
    if (error instanceof CodecError) throw malformed(error.message);
    throw error;
  }
}

/** An optional field may be sent as null; it counts as absent then, also in the request id. */
function withoutNulls(content: CborMap): CborMap {
  let some = false;
  for (const value of content.values()) if (value === null) some = true;
  return some ? new Map([...content].filter(([, value]) => value !== null)) : content;
}

function senderInfo(content: CborMap): SignedSenderInfo | undefined {
  const map = optional(content, 'sender_info', 'map', isMap);
  if (map === undefined) return undefined;
  return {
    info: required(map, 'info', 'blob', isBlob),
    signer: principal(map, 'signer'),
    sig: shorter(required(map, 'sig', 'blob', isBlob), 'sig', SIGNATURE_BYTES_MAX),
  };
}

function delegations(envelope: CborMap): SignedDelegation[] | undefined {
  const list = optional(envelope, 'sender_delegation', 'array', isArray);
  return list?.map((item): SignedDelegation => {
    if (!isMap(item)) throw malformed('an element of sender_delegation is no map');
    const delegation = required(item, 'delegation', 'map', isMap);
    const targets = optional(delegation, 'targets', 'array', isArray);
    return {
      delegation: {
        pubkey: shorter(required(delegation, 'pubkey', 'blob', isBlob), 'pubkey', KEY_BYTES_MAX),
        expiration: uint64(delegation, 'expiration'),
        targets: targets?.map((target) => {
          if (!isBlob(target)) throw malformed('an element of targets is no blob');
          return principalOf(target, 'targets');
        }),
        permissions: optional(delegation, 'permissions', 'text', isText),
      },
      signature: shorter(required(item, 'signature', 'blob', isBlob), 'signature', SIGNATURE_BYTES_MAX),
    };
  });
}

function readPaths(content: CborMap, bounds: EnvelopeBounds): readonly (readonly Uint8Array[])[] {
  const paths = required(content, 'paths', 'array', isArray);
  if (paths.length > bounds.readStatePaths)
    throw malformed(`${paths.length} paths, at most ${bounds.readStatePaths} are allowed`);
  for (const path of paths) {
    if (!isArray(path) || !path.every(isBlob)) throw malformed('a path is an array of blobs');
    if (path.length > bounds.readStatePathLabels)
      throw malformed(`a path of ${path.length} labels, at most ${bounds.readStatePathLabels} are allowed`);
    if (path.length > LABELS_MAX) throw new Refusal(404, 'path', 'Invalid path requested.');
  }
  return paths as readonly (readonly Uint8Array[])[];
}

// --- fields -----------------------------------------------------------------------------------------------------------

function required<T extends CborValue>(map: CborMap, field: string, kind: string, is: Is<T>): T {
  const value = map.get(field);
  if (value === undefined) throw malformed(`missing field \`${field}\``);
  if (!is(value)) throw malformed(`field \`${field}\` must be a ${kind}`);
  return value;
}

function optional<T extends CborValue>(map: CborMap, field: string, kind: string, is: Is<T>): T | undefined {
  const value = map.get(field);
  if (value === undefined || value === null) return undefined;
  if (!is(value)) throw malformed(`field \`${field}\` must be a ${kind}`);
  return value;
}

function shorter<T extends Uint8Array | undefined>(bytes: T, field: string, max: number): T {
  if (bytes !== undefined && bytes.length > max)
    throw malformed(`field \`${field}\` has ${bytes.length} bytes, at most ${max} are allowed`);
  return bytes;
}

function principal(map: CborMap, field: string): Principal {
  return principalOf(required(map, field, 'blob', isBlob), field);
}

function principalOf(bytes: Uint8Array, field: string): Principal {
  if (bytes.length > 29) throw malformed(`field \`${field}\` has ${bytes.length} bytes, a principal has at most 29`);
  return Principal.fromBytes(bytes);
}

function uint64(map: CborMap, field: string): bigint {
  const value = required(map, field, 'nat', isInteger);
  if (value < 0n || value > UINT64_MAX) throw malformed(`field \`${field}\` must be a nat of at most 64 bits`);
  return value;
}

type Is<T extends CborValue> = (value: CborValue) => value is T;
const isMap = (value: CborValue): value is CborMap => value instanceof Map;
const isText = (value: CborValue): value is string => typeof value === 'string';
const isBlob = (value: CborValue): value is Uint8Array => value instanceof Uint8Array;
const isInteger = (value: CborValue): value is bigint => typeof value === 'bigint';
const isArray = (value: CborValue): value is readonly CborValue[] => Array.isArray(value);

function malformed(what: string): Refusal {
  return new Refusal(400, 'malformed', `Failed to deserialize cbor request: ${what}`);
}

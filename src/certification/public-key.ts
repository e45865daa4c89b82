import { concatBytes, decodeCbor, equalBytes, fromHex } from '../codec/index.ts';
import { Principal } from '../model/index.ts';
import { CertificationError } from './certification-error.ts';
import { DerReader, DerTag } from './der.ts';
import { sha224 } from './sha224.ts';

/** A key that can authenticate a request (interface spec, "Signatures"), as read from its DER encoding. */
export type PublicKey = PlainPublicKey | WebAuthnPublicKey | CanisterPublicKey;

export type PlainPublicKey =
  | { readonly scheme: 'ed25519'; readonly key: Uint8Array }
  /** `point` is uncompressed: 0x04, x, y; 65 bytes. */
  | { readonly scheme: 'ecdsa_p256' | 'ecdsa_secp256k1'; readonly point: Uint8Array };

/** A COSE key of an authenticator. */
export interface WebAuthnPublicKey {
  readonly scheme: 'webauthn';
  readonly cose: PlainPublicKey | RsaPublicKey;
}

export interface RsaPublicKey {
  readonly scheme: 'rsa';
  readonly modulus: bigint;
  readonly exponent: bigint;
  /** Length of the modulus and of a signature. */
  readonly sizeBytes: number;
}

/** A canister that signs through its certified data; each seed is a key of its own. */
export interface CanisterPublicKey {
  readonly scheme: 'canister';
  readonly canisterId: Principal;
  readonly seed: Uint8Array;
}

const OID = {
  ed25519: fromHex('2b6570'),
  ec: fromHex('2a8648ce3d0201'),
  p256: fromHex('2a8648ce3d030107'),
  secp256k1: fromHex('2b8104000a'),
  cose: fromHex('2b0601040183b8430101'),
  canister: fromHex('2b0601040183b8430102'),
} as const;

/** Reads a public key. @throws CertificationError `bad_key` saying what is wrong with it */
export function publicKeyFromDer(der: Uint8Array): PublicKey {
  const whole = new DerReader(der);
  const info = whole.enter(DerTag.sequence);
  whole.end();
  const algorithm = info.enter(DerTag.sequence);
  const oid = algorithm.read(DerTag.oid);
  const curve = algorithm.atEnd ? undefined : algorithm.read(DerTag.oid);
  algorithm.end();
  const bits = info.read(DerTag.bitString);
  info.end();
  if (bits[0] !== 0) throw bad('the key is not a whole number of bytes');
  const key = new Uint8Array(bits.subarray(1));
  if (equalBytes(oid, OID.ec)) {
    if (curve !== undefined && equalBytes(curve, OID.p256)) return { scheme: 'ecdsa_p256', point: pointOf(key) };
    if (curve !== undefined && equalBytes(curve, OID.secp256k1))
      return { scheme: 'ecdsa_secp256k1', point: pointOf(key) };
    throw bad('unsupported curve');
  }
  if (curve !== undefined) throw bad('unexpected parameters');
  if (equalBytes(oid, OID.ed25519)) return { scheme: 'ed25519', key: ed25519KeyOf(key) };
  if (equalBytes(oid, OID.cose)) return { scheme: 'webauthn', cose: coseKeyOf(key) };
  if (equalBytes(oid, OID.canister)) return canisterKeyOf(key);
  throw bad('unsupported algorithm');
}

/** The DER encoding of a plain key. */
export function plainPublicKeyToDer(key: PlainPublicKey): Uint8Array {
  return key.scheme === 'ed25519'
    ? concatBytes(ED25519_PREFIX, key.key)
    : concatBytes(key.scheme === 'ecdsa_p256' ? P256_PREFIX : SECP256K1_PREFIX, key.point);
}

const ED25519_PREFIX = fromHex('302a300506032b6570032100');
const P256_PREFIX = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200');
const SECP256K1_PREFIX = fromHex('3056301006072a8648ce3d020106052b8104000a034200');

/** The DER encoding of the key of a canister: the public key by which `seed`'s signatures are known. */
export function canisterPublicKeyToDer(canisterId: Principal, seed: Uint8Array): Uint8Array {
  const key = concatBytes(Uint8Array.of(canisterId.bytes.length), canisterId.bytes, seed);
  const algorithm = derItem(DerTag.sequence, derItem(DerTag.oid, OID.canister));
  return derItem(DerTag.sequence, algorithm, derItem(DerTag.bitString, Uint8Array.of(0), key));
}

/** The principal that a public key authenticates (interface spec, "Special forms of Principals", self-authenticating). */
export function selfAuthenticatingId(publicKeyDer: Uint8Array): Principal {
  return Principal.fromBytes(concatBytes(sha224(publicKeyDer), Uint8Array.of(2)));
}

function derItem(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return concatBytes(Uint8Array.of(tag, ...head), content);
}

function pointOf(key: Uint8Array): Uint8Array {
  if (key.length !== 65 || key[0] !== 4) throw bad('a point must be uncompressed, 65 bytes');
  return key;
}

function ed25519KeyOf(key: Uint8Array): Uint8Array {
  if (key.length !== 32) throw bad('an Ed25519 key has 32 bytes');
  return key;
}

function canisterKeyOf(key: Uint8Array): CanisterPublicKey {
  const length = key[0] ?? 255;
  if (length > 29 || key.length < 1 + length) throw bad('the canister id of a canister signature key is malformed');
  return {
    scheme: 'canister',
    canisterId: Principal.fromBytes(key.subarray(1, 1 + length)),
    seed: key.slice(1 + length),
  };
}

/** Labels of a COSE key (RFC 8152, section 13; RFC 8230). */
const Cose = { type: 1n, algorithm: 3n, curve: -1n, x: -2n, y: -3n, modulus: -1n, exponent: -2n } as const;

function coseKeyOf(bytes: Uint8Array): PlainPublicKey | RsaPublicKey {
  let map: unknown;
  try {
    map = decodeCbor(bytes);
  } catch {
    throw bad('the COSE key is not CBOR');
  }
  if (!(map instanceof Map)) throw bad('the COSE key is not a map');
  const [type, algorithm]: unknown[] = [map.get(Cose.type), map.get(Cose.algorithm)];
  const blob = (label: bigint): Uint8Array => {
    const value: unknown = map.get(label);
    if (!(value instanceof Uint8Array)) throw bad('the COSE key is incomplete');
    return value;
  };
  if (type === 2n && algorithm === -7n && map.get(Cose.curve) === 1n) {
    const [x, y] = [blob(Cose.x), blob(Cose.y)];
    if (x.length !== 32 || y.length !== 32) throw bad('a coordinate of the COSE key has not 32 bytes');
    return { scheme: 'ecdsa_p256', point: concatBytes(Uint8Array.of(4), x, y) };
  }
  if (type === 1n && algorithm === -8n && map.get(Cose.curve) === 6n)
    return { scheme: 'ed25519', key: ed25519KeyOf(blob(Cose.x)) };
  if (type === 3n && algorithm === -257n) return rsaKeyOf(blob(Cose.modulus), blob(Cose.exponent));
  throw bad('unsupported kind of COSE key');
}

function rsaKeyOf(modulusBytes: Uint8Array, exponentBytes: Uint8Array): RsaPublicKey {
  const modulus = numberOf(modulusBytes);
  const exponent = numberOf(exponentBytes);
  const bits = modulus.toString(2).length;
  if (bits < 2048 || bits > 8192) throw bad('an RSA key has 2048 to 8192 bits');
  if (exponent < 3n || exponent > 0xffff_ffffn || exponent % 2n === 0n) throw bad('unsupported RSA exponent');
  return { scheme: 'rsa', modulus, exponent, sizeBytes: Math.ceil(bits / 8) };
}

/** A natural number from its big-endian bytes. */
export function numberOf(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function bad(reason: string): CertificationError {
  return new CertificationError('bad_key', reason);
}

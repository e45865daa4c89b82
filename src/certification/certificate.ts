import { type CborInput, decodeCbor, decodeUleb128, encodeSelfDescribedCbor } from '../codec/index.ts';
import { comparePrincipals, Principal, type Time } from '../model/index.ts';
import { blsPublicKeyFromDer, type VerifyBls, verifyBls } from './bls.ts';
import { CertificationError } from './certification-error.ts';
import {
  type HashTree,
  hashTreeFromCbor,
  isWellFormed,
  lookupAll,
  lookupPath,
  pathOf,
  reconstruct,
} from './hash-tree.ts';
import { stateRootPayload } from './signed-payload.ts';

/** A certificate (interface spec, "Certificate"): a partial state tree and a signature on its root hash. */
export interface Certificate {
  readonly tree: HashTree;
  /** BLS signature, 48 bytes. */
  readonly signature: Uint8Array;
  /** By which the root subnet makes the signing subnet's key known; absent for the root itself. */
  readonly delegation?: SubnetDelegation | undefined;
}

export interface SubnetDelegation {
  readonly subnetId: Uint8Array;
  /** An encoded certificate of the root subnet, without a delegation of its own. */
  readonly certificate: Uint8Array;
}

/** An inclusive range of canister ids. */
export interface CanisterRange {
  readonly start: Principal;
  readonly end: Principal;
}

/** The bytes of a certificate (interface spec, "Encoding of certificates"). */
export function encodeCertificate(certificate: Certificate): Uint8Array {
  const { tree, signature, delegation } = certificate;
  return encodeSelfDescribedCbor({
    tree: tree as CborInput,
    signature,
    delegation:
      delegation === undefined ? undefined : { subnet_id: delegation.subnetId, certificate: delegation.certificate },
  });
}

/** Reads a certificate without judging it. @throws CodecError, CertificationError `malformed` */
export function decodeCertificate(bytes: Uint8Array): Certificate {
  const map = decodeCbor(bytes);
  if (!(map instanceof Map)) throw new CertificationError('malformed', 'a certificate must be a map');
  const signature: unknown = map.get('signature');
  if (!(signature instanceof Uint8Array)) throw new CertificationError('malformed', 'a certificate without signature');
  const tree = hashTreeFromCbor(map.get('tree'));
  const delegation: unknown = map.get('delegation');
  if (delegation === undefined) return { tree, signature };
  const subnetId: unknown = delegation instanceof Map ? delegation.get('subnet_id') : undefined;
  const certificate: unknown = delegation instanceof Map ? delegation.get('certificate') : undefined;
  if (!(subnetId instanceof Uint8Array) || !(certificate instanceof Uint8Array))
    throw new CertificationError('malformed', 'the delegation of a certificate lacks subnet_id or certificate');
  return { tree, signature, delegation: { subnetId, certificate } };
}

export interface VerifyCertificateOptions {
  /** When given, a delegated subnet must be responsible for this canister. */
  readonly canisterId?: Principal;
  /** When given, a delegated subnet must not be of this type (`cloud_engine` for canister signatures), and its type must be revealed. */
  readonly forbiddenSubnetType?: string;
  /** The verifier of signatures; the portable one by default, the fast one from `loadBlsVerifier`. */
  readonly verify?: VerifyBls;
}

/** A certificate that has been found valid. */
export interface VerifiedCertificate extends Certificate {
  readonly rootHash: Uint8Array;
  /** `/time`, nanoseconds; undefined when not revealed. The caller judges whether it is recent. */
  readonly time: Time | undefined;
}

/**
 * Checks a certificate against the root of trust (interface spec, `verify_cert`, `check_delegation`). Time is left to
 * the caller.
 * @throws CodecError for what is no CBOR, CertificationError `malformed`, `bad_signature`, `bad_delegation`, `out_of_range`
 */
export function verifyCertificate(
  bytes: Uint8Array,
  rootPublicKey: Uint8Array,
  options: VerifyCertificateOptions = {},
): VerifiedCertificate {
  const certificate = decodeCertificate(bytes);
  const verify = options.verify ?? verifyBls;
  const publicKey =
    certificate.delegation === undefined
      ? rootPublicKey
      : delegatedKey(certificate.delegation, rootPublicKey, { ...options, verify });
  return checkSignature(certificate, publicKey, verify);
}

function checkSignature(certificate: Certificate, publicKey: Uint8Array, verify: VerifyBls): VerifiedCertificate {
  if (!isWellFormed(certificate.tree)) throw new CertificationError('malformed', 'the hash tree is not well-formed');
  const rootHash = reconstruct(certificate.tree);
  if (!verify(publicKey, certificate.signature, stateRootPayload(rootHash)))
    throw new CertificationError('bad_signature', 'the signature of the certificate does not verify');
  const time = lookupPath(pathOf('time'), certificate.tree);
  return { ...certificate, rootHash, time: time.kind === 'found' ? decodeUleb128(time.value).value : undefined };
}

function delegatedKey(
  delegation: SubnetDelegation,
  rootPublicKey: Uint8Array,
  options: VerifyCertificateOptions & { readonly verify: VerifyBls },
): Uint8Array {
  const certificate = decodeCertificate(delegation.certificate);
  if (certificate.delegation !== undefined)
    throw new CertificationError('bad_delegation', 'a delegation must not contain another delegation');
  const { tree } = checkSignature(certificate, rootPublicKey, options.verify);
  const { subnetId } = delegation;
  const publicKey = lookupPath(pathOf('subnet', subnetId, 'public_key'), tree);
  if (publicKey.kind !== 'found')
    throw new CertificationError('bad_delegation', 'the delegation does not reveal the public key of its subnet');
  blsPublicKeyFromDer(publicKey.value);
  if (options.forbiddenSubnetType !== undefined) {
    const type = lookupPath(pathOf('subnet', subnetId, 'type'), tree);
    if (type.kind !== 'found' || new TextDecoder().decode(type.value) === options.forbiddenSubnetType)
      throw new CertificationError('bad_delegation', 'subnets of this type may not certify here');
  }
  const { canisterId } = options;
  if (canisterId !== undefined && !delegatedRanges(subnetId, tree).some((range) => inRange(canisterId, range)))
    throw new CertificationError('out_of_range', `the delegation does not cover the canister ${canisterId.toText()}`);
  return publicKey.value;
}

/** The ranges that a tree of the root subnet reveals for a subnet, in the sharded form or the old one. */
function delegatedRanges(subnetId: Uint8Array, tree: HashTree): CanisterRange[] {
  const shards = lookupAll(pathOf('canister_ranges', subnetId), tree);
  if (shards.length > 0) return shards.flatMap((shard) => decodeCanisterRanges(shard.value));
  const whole = lookupPath(pathOf('subnet', subnetId, 'canister_ranges'), tree);
  return whole.kind === 'found' ? decodeCanisterRanges(whole.value) : [];
}

export function inRange(id: Principal, range: CanisterRange): boolean {
  return comparePrincipals(range.start, id) <= 0 && comparePrincipals(id, range.end) <= 0;
}

/** The value at `/subnet/<id>/canister_ranges` and at `/canister_ranges/<id>/<shard>` (interface spec, "Canister ranges"). */
export function encodeCanisterRanges(ranges: readonly CanisterRange[]): Uint8Array {
  return encodeSelfDescribedCbor(ranges.map(({ start, end }) => [start, end]));
}

/** The inverse of `encodeCanisterRanges`. @throws CodecError, CertificationError `malformed` */
export function decodeCanisterRanges(bytes: Uint8Array): CanisterRange[] {
  const list = decodeCbor(bytes);
  if (!Array.isArray(list)) throw new CertificationError('malformed', 'canister ranges must be an array');
  return (list as readonly unknown[]).map((pair) => {
    const [start, end] = Array.isArray(pair) ? (pair as readonly unknown[]) : [];
    if (!(start instanceof Uint8Array) || !(end instanceof Uint8Array) || start.length > 29 || end.length > 29)
      throw new CertificationError('malformed', 'a canister range must be a pair of principals');
    return { start: Principal.fromBytes(start), end: Principal.fromBytes(end) };
  });
}

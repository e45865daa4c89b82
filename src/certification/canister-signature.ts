import { type CborInput, decodeCbor, encodeSelfDescribedCbor, equalBytes, sha256 } from '../codec/index.ts';
import type { VerifyBls } from './bls.ts';
import { verifyCertificate } from './certificate.ts';
import { CertificationError } from './certification-error.ts';
import { type HashTree, hashTreeFromCbor, isWellFormed, lookupPath, pathOf, reconstruct } from './hash-tree.ts';
import type { CanisterPublicKey } from './public-key.ts';

/**
 * Verifies a canister signature over `payload` (interface spec, "Canister signatures"): a tree that holds the hashes
 * of seed and payload, and a certificate that the canister certified that tree.
 * @throws CertificationError or CodecError with the reason
 */
export function verifyCanisterSignature(
  key: CanisterPublicKey,
  payload: Uint8Array,
  signature: Uint8Array,
  rootPublicKey: Uint8Array,
  verify: VerifyBls,
): void {
  const map = decodeCbor(signature);
  const certificate: unknown = map instanceof Map ? map.get('certificate') : undefined;
  if (!(map instanceof Map) || !(certificate instanceof Uint8Array))
    throw new CertificationError('malformed', 'a canister signature has a certificate and a tree');
  const tree = hashTreeFromCbor(map.get('tree'));
  if (!isWellFormed(tree)) throw new CertificationError('malformed', 'the signature tree is not well-formed');
  const found = lookupPath(pathOf('sig', sha256(key.seed), sha256(payload)), tree);
  if (found.kind !== 'found' || found.value.length > 0)
    throw new CertificationError('bad_signature', 'the signature tree does not contain the signature');
  const verified = verifyCertificate(certificate, rootPublicKey, {
    canisterId: key.canisterId,
    forbiddenSubnetType: 'cloud_engine',
    verify,
  });
  const certified = lookupPath(pathOf('canister', key.canisterId.bytes, 'certified_data'), verified.tree);
  if (certified.kind !== 'found' || !equalBytes(certified.value, reconstruct(tree)))
    throw new CertificationError('bad_signature', 'the certificate does not certify the signature tree');
}

/** The bytes of a canister signature. */
export function encodeCanisterSignature(certificate: Uint8Array, tree: HashTree): Uint8Array {
  return encodeSelfDescribedCbor({ certificate, tree: tree as CborInput });
}

/**
 * What a subnet vouches for and how anybody checks it, without I/O and safe in a browser.
 *
 * - `LabelledTree`: the persistent tree that holds what is certified; its `witness` is the part that answers given
 *   paths, as a `HashTree`, which is what travels.
 * - BLS: keys, a signer and verifiers, portable ones and ones six times faster that load on demand.
 * - Certificates: encoding, and full verification against a root key.
 * - Payloads: the byte strings, with their domain separators, that the protocol's signatures sign.
 *
 * It does not decide what may be revealed to whom, nor whether a certificate is recent enough.
 *
 * Failures are `CertificationError`s with a code.
 */
export {
  BLS_PUBLIC_KEY_DER_BYTES,
  type BlsSigner,
  blsPublicKeyDer,
  blsPublicKeyFromDer,
  blsPublicKeyToDer,
  blsSecretKeyFromSeed,
  createBlsSigner,
  loadBlsVerifier,
  signBls,
  type VerifyBls,
  verifyBls,
} from './bls.ts';
export {
  type CanisterRange,
  type Certificate,
  decodeCanisterRanges,
  decodeCertificate,
  encodeCanisterRanges,
  encodeCertificate,
  inRange,
  type SubnetDelegation,
  type VerifiedCertificate,
  type VerifyCertificateOptions,
  verifyCertificate,
} from './certificate.ts';
export { CertificationError, type CertificationErrorCode } from './certification-error.ts';
export {
  flattenForks,
  type HashTree,
  hashTreeFromCbor,
  isWellFormed,
  type Lookup,
  lookupAll,
  lookupPath,
  lookupSubtree,
  type Path,
  pathOf,
  reconstruct,
  type SubtreeLookup,
} from './hash-tree.ts';
export { LabelledTree } from './labelled-tree.ts';
export {
  delegationPayload,
  queryResponsePayload,
  requestPayload,
  senderInfoPayload,
  stateRootPayload,
} from './signed-payload.ts';

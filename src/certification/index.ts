/**
 * What a subnet vouches for and how anybody checks it, without I/O and safe in a browser.
 *
 * - `LabelledTree`: the persistent tree that holds what is certified; its `witness` is the part that answers given
 *   paths, as a `HashTree`, which is what travels.
 * - BLS: keys, a signer and verifiers, portable ones and ones six times faster that load on demand.
 * - Certificates: encoding, and full verification against a root key.
 * - `RequestAuthenticator`: who sent a request; all schemes of keys and signatures, chains of delegations.
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
  blsVerifierOnDemand,
  createBlsSigner,
  loadBls,
  loadBlsVerifier,
  signBls,
  type VerifyBls,
  verifyBls,
} from './bls.ts';
export { encodeCanisterSignature, verifyCanisterSignature } from './canister-signature.ts';
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
export { createPlainVerifier, type VerifyPlain } from './plain-signature.ts';
export {
  type CanisterPublicKey,
  canisterPublicKeyToDer,
  type PlainPublicKey,
  type PublicKey,
  plainPublicKeyToDer,
  publicKeyFromDer,
  type RsaPublicKey,
  selfAuthenticatingId,
  type WebAuthnPublicKey,
} from './public-key.ts';
export {
  type AuthenticationVerdict,
  createRequestAuthenticator,
  type RefusedAuthenticationCode,
  RequestAuthenticator,
  type RequestAuthenticatorOptions,
  type RequestKind,
  type SignedDelegation,
  type SignedRequest,
  type SignedSenderInfo,
} from './request-authentication.ts';
export {
  delegationPayload,
  queryResponsePayload,
  requestPayload,
  senderInfoPayload,
  stateRootPayload,
} from './signed-payload.ts';

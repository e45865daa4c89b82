import { concatBytes, decodeCbor, equalBytes, fromHex, sha256, utf8 } from '../codec/index.ts';
import { CertificationError } from './certification-error.ts';
import { ecdsaSignatureFromDer, type VerifyPlain } from './plain-signature.ts';
import { numberOf, type RsaPublicKey, type WebAuthnPublicKey } from './public-key.ts';

/**
 * Verifies a signature of an authenticator over `payload` (interface spec, "Web Authentication"): the payload is the
 * challenge in the client data, and what is signed is the authenticator data with the hash of the client data.
 * @throws CertificationError `malformed`, `bad_signature`
 */
export function verifyWebAuthn(
  key: WebAuthnPublicKey,
  payload: Uint8Array,
  signature: Uint8Array,
  verifyPlain: VerifyPlain,
): void {
  const { authenticatorData, clientDataJson, assertion } = decodeAssertion(signature);
  if (challengeOf(clientDataJson) !== base64Url(payload))
    throw new CertificationError('bad_signature', 'the challenge of the client data is not the payload');
  const message = concatBytes(authenticatorData, sha256(utf8(clientDataJson)));
  const { cose } = key;
  let fits: boolean;
  if (cose.scheme === 'rsa') fits = verifyRsa(cose, message, assertion);
  else fits = verifyPlain(cose, message, cose.scheme === 'ed25519' ? assertion : ecdsaSignatureFromDer(assertion));
  if (!fits) throw new CertificationError('bad_signature', 'the signature of the authenticator does not verify');
}

function decodeAssertion(signature: Uint8Array): {
  readonly authenticatorData: Uint8Array;
  readonly clientDataJson: string;
  readonly assertion: Uint8Array;
} {
  let map: unknown;
  try {
    map = decodeCbor(signature);
  } catch {
    throw new CertificationError('malformed', 'the signature is not CBOR');
  }
  const field = (name: string): unknown => (map instanceof Map ? map.get(name) : undefined);
  const authenticatorData = field('authenticator_data');
  const clientData = field('client_data_json');
  const assertion = field('signature');
  if (
    !(authenticatorData instanceof Uint8Array) ||
    typeof clientData !== 'string' ||
    !(assertion instanceof Uint8Array)
  )
    throw new CertificationError('malformed', 'authenticator_data, client_data_json or signature is missing');
  return { authenticatorData, clientDataJson: clientData, assertion };
}

function challengeOf(clientDataJson: string): string {
  try {
    const data: unknown = JSON.parse(clientDataJson);
    if (typeof data === 'object' && data !== null && 'challenge' in data && typeof data.challenge === 'string')
      return data.challenge.replace(/=+$/, '');
  } catch {
    // Told below, like any other client data without a challenge.
  }
  throw new CertificationError('malformed', 'client_data_json has no challenge');
}

const BASE64_URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Base64url without padding (RFC 4648, section 5). */
export function base64Url(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let digit = 0; digit < Math.min(4, left + 1); digit++) text += BASE64_URL[(group >> (18 - 6 * digit)) & 63];
  }
  return text;
}

/** Everything before the digest in what an RSASSA-PKCS1-v1_5 signature with SHA-256 encodes (RFC 8017, section 9.2). */
const SHA256_INFO = fromHex('3031300d060960864801650304020105000420');

function verifyRsa(key: RsaPublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== key.sizeBytes) return false;
  const base = numberOf(signature);
  if (base >= key.modulus) return false;
  let result = 1n;
  for (const bit of key.exponent.toString(2)) {
    result = (result * result) % key.modulus;
    if (bit === '1') result = (result * base) % key.modulus;
  }
  const padding = new Uint8Array(key.sizeBytes - 3 - SHA256_INFO.length - 32).fill(0xff);
  const expected = concatBytes(Uint8Array.of(0, 1), padding, Uint8Array.of(0), SHA256_INFO, sha256(message));
  const hex = result.toString(16).padStart(2 * key.sizeBytes, '0');
  return equalBytes(fromHex(hex), expected);
}

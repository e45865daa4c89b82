import { CertificationError } from './certification-error.ts';
import { DerReader, DerTag } from './der.ts';
import { type PlainPublicKey, plainPublicKeyToDer } from './public-key.ts';

/**
 * Whether a plain signature fits: Ed25519, or ECDSA with SHA-256; 64 bytes, r and s of ECDSA as big-endian numbers.
 * False, not an error, for signatures and points that are malformed.
 */
export type VerifyPlain = (key: PlainPublicKey, message: Uint8Array, signature: Uint8Array) => boolean;

interface NativeKey {
  readonly type: 'public';
}

interface NativeCrypto {
  createPublicKey(key: { key: Uint8Array; format: 'der'; type: 'spki' }): NativeKey;
  verify(algorithm: string | null, data: Uint8Array, key: NativeKey, signature: Uint8Array): boolean;
}

const native = globalThis.process?.getBuiltinModule?.('node:crypto') as unknown as NativeCrypto | undefined;

/** Keys that are kept parsed: as many as there are users at the same time on a busy node. */
const KEYS_MAX = 4096;

/** The fastest verifier of this host: its own library, else the portable one. Each remembers the keys it has met. */
export async function createPlainVerifier(host: 'native' | 'portable' = 'native'): Promise<VerifyPlain> {
  if (native === undefined || host === 'portable') return (await import('./portable-signature.ts')).verifyPlain;
  const crypto = native;
  const keys = new Map<string, NativeKey>();
  const nativeKey = (key: PlainPublicKey): NativeKey => {
    const der = plainPublicKeyToDer(key);
    const name = String.fromCharCode(...der);
    let parsed = keys.get(name);
    if (parsed === undefined) {
      parsed = crypto.createPublicKey({ key: der, format: 'der', type: 'spki' });
      const [oldest] = keys.keys();
      if (oldest !== undefined && keys.size >= KEYS_MAX) keys.delete(oldest);
      keys.set(name, parsed);
    }
    return parsed;
  };
  return (key, message, signature) => {
    if (signature.length !== 64) return false;
    try {
      if (key.scheme === 'ed25519') return crypto.verify(null, message, nativeKey(key), signature);
      // The library would take r and s as they are, but telling it so takes as long as verifying.
      return crypto.verify('sha256', message, nativeKey(key), ecdsaSignatureToDer(signature));
    } catch {
      return false;
    }
  };
}

/** The DER form of an ECDSA signature that is given as r and s of 32 bytes each. */
function ecdsaSignatureToDer(signature: Uint8Array): Uint8Array {
  const der = new Uint8Array(2 + 2 * (2 + 33));
  let at = 2;
  for (const start of [0, 32]) {
    let first = start;
    while (first < start + 31 && signature[first] === 0) first++;
    // A number, not a negative one.
    const padding = (signature[first] ?? 0) >= 0x80 ? 1 : 0;
    der[at] = DerTag.integer;
    der[at + 1] = padding + start + 32 - first;
    der.set(signature.subarray(first, start + 32), at + 2 + padding);
    at += 2 + padding + start + 32 - first;
  }
  der[0] = DerTag.sequence;
  der[1] = at - 2;
  return der.subarray(0, at);
}

/** Turns the DER form of an ECDSA signature, as authenticators give it, into r and s of 32 bytes each. @throws CertificationError */
export function ecdsaSignatureFromDer(der: Uint8Array): Uint8Array {
  const whole = new DerReader(der);
  const pair = whole.enter(DerTag.sequence);
  whole.end();
  const signature = new Uint8Array(64);
  for (const end of [32, 64]) {
    const number = pair.read(DerTag.integer);
    const digits = number[0] === 0 ? number.subarray(1) : number;
    if (number.length === 0 || digits.length > 32 || (number[0] ?? 0) >= 0x80)
      throw new CertificationError('malformed', 'a number of the ECDSA signature is out of range');
    signature.set(digits, end - digits.length);
  }
  pair.end();
  return signature;
}

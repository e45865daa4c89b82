import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { VerifyPlain } from './plain-signature.ts';

/** Verifies plain signatures without the host's library: for browsers. */
export const verifyPlain: VerifyPlain = (key, message, signature) => {
  if (signature.length !== 64) return false;
  try {
    if (key.scheme === 'ed25519') return ed25519.verify(signature, message, key.key, { zip215: false });
    const curve = key.scheme === 'ecdsa_p256' ? p256 : secp256k1;
    // The network accepts both signs of s.
    return curve.verify(signature, message, key.point, { lowS: false });
  } catch {
    return false;
  }
};

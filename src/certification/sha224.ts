import { sha224 as portableSha224 } from '@noble/hashes/sha2.js';

/** SHA-224, from which self-authenticating principals are made: 28 bytes. */
export function sha224(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(portableSha224(bytes));
}

import { blsPublicKeyDer, blsSecretKeyFromSeed, createBlsSigner } from '../certification/index.ts';
import type { Threads } from '../platform/index.ts';
import { SigningThread } from './signing-thread.ts';

/**
 * Where a node signs its state roots.
 *
 * - `thread`: on a thread of its own: what a server does.
 * - `here`: on this thread, a millisecond for each round: what a test does that wants certificates.
 * - `none`: nowhere; signatures are zeros, certificates do not verify: what a test does that wants speed.
 */
export type SigningPlace = 'thread' | 'here' | 'none';

/** Holds the subnet's key. */
export interface SubnetSigner {
  /** DER, 133 bytes. */
  publicKey(): Promise<Uint8Array>;
  /** 48 bytes. */
  sign(message: Uint8Array): Promise<Uint8Array>;
  stop(): Promise<void>;
}

export function subnetSigner(place: SigningPlace, threads: Threads, seed: Uint8Array): SubnetSigner {
  if (place === 'thread') return new SigningThread(threads, seed);
  const stop = (): Promise<void> => Promise.resolve();
  if (place === 'none') {
    const publicKey = (): Promise<Uint8Array> => Promise.resolve(blsPublicKeyDer(blsSecretKeyFromSeed(seed)));
    return { publicKey, sign: () => Promise.resolve(new Uint8Array(48)), stop };
  }
  const signer = createBlsSigner(blsSecretKeyFromSeed(seed));
  return {
    publicKey: async () => (await signer).publicKeyDer,
    sign: async (message) => (await signer).sign(message),
    stop,
  };
}

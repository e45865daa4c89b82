import type { BlsSigner } from '../certification/index.ts';
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
  /** Hands over the 32 bytes that the key is made from: once, before anything else. */
  use(seed: Uint8Array): void;
  /** DER, 133 bytes. */
  publicKey(): Promise<Uint8Array>;
  /** 48 bytes. */
  sign(message: Uint8Array): Promise<Uint8Array>;
  stop(): Promise<void>;
}

/** A signer at its place. A thread begins to come up at once. */
export function subnetSigner(place: SigningPlace, threads: Threads): SubnetSigner {
  return place === 'thread' ? new SigningThread(threads) : new SignerHere(place === 'none');
}

class SignerHere implements SubnetSigner {
  readonly #signer: PromiseWithResolvers<BlsSigner> = Promise.withResolvers();
  readonly #blank: boolean;

  constructor(blank: boolean) {
    this.#blank = blank;
    this.#signer.promise.catch(() => {});
  }

  use(seed: Uint8Array): void {
    this.#signer.resolve(signerOf(seed, this.#blank));
  }

  async publicKey(): Promise<Uint8Array> {
    return (await this.#signer.promise).publicKeyDer;
  }

  async sign(message: Uint8Array): Promise<Uint8Array> {
    return (await this.#signer.promise).sign(message);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

/** Loads the curves only now: a node that signs on a thread has no need of them here. */
async function signerOf(seed: Uint8Array, blank: boolean): Promise<BlsSigner> {
  const { blsSecretKeyFromSeed, createBlsSigner } = await import('../certification/index.ts');
  const signer = await createBlsSigner(blsSecretKeyFromSeed(seed));
  return blank ? { publicKeyDer: signer.publicKeyDer, sign: () => new Uint8Array(48) } : signer;
}

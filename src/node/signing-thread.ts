import type { Thread, Threads } from '../platform/index.ts';

type Answer =
  | { readonly ready: true; readonly publicKey: Uint8Array }
  | { readonly id: number; readonly signature: Uint8Array };

/** Signs with the subnet's BLS key on a thread of its own. */
export class SigningThread {
  readonly #thread: Thread;
  readonly #waiting = new Map<number, PromiseWithResolvers<Uint8Array>>();
  readonly #publicKey: PromiseWithResolvers<Uint8Array> = Promise.withResolvers();
  #nextId = 0;
  #failure: Error | undefined;

  constructor(threads: Threads) {
    // Sources in development, what was built from them in the published package: same folder, same extension as ours.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#thread = threads.start(new URL(`./signing-worker.${extension}`, import.meta.url), {
      name: 'signing',
    });
    this.#publicKey.promise.catch(() => {});
    this.#thread.listen(
      (message) => this.#answered(message as Answer),
      (error) => this.#fail(error),
    );
  }

  /** Hands over the key's seed: once, before anything else. */
  use(seed: Uint8Array): void {
    this.#thread.post({ seed });
  }

  /** The DER-encoded public key, once the thread is up. */
  publicKey(): Promise<Uint8Array> {
    return this.#publicKey.promise;
  }

  /** 48 bytes. Rejects when the thread has died. */
  sign(message: Uint8Array): Promise<Uint8Array> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const answer = Promise.withResolvers<Uint8Array>();
    this.#waiting.set(id, answer);
    if (this.#waiting.size === 1) this.#thread.hold(true);
    this.#thread.post({ id, message });
    return answer.promise;
  }

  async stop(): Promise<void> {
    this.#fail(new Error('the signing thread was stopped'));
    // Its end is waited for: nothing else may keep the process alive by then.
    this.#thread.hold(true);
    await this.#thread.stop();
  }

  #answered(answer: Answer): void {
    // An answer that crosses a stop must not let go of the thread whose end is being waited for.
    if (this.#failure !== undefined) return;
    if ('ready' in answer) {
      this.#publicKey.resolve(Uint8Array.from(answer.publicKey));
      // From now on the thread alone is no reason for the process to live.
      if (this.#waiting.size === 0) this.#thread.hold(false);
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#thread.hold(false);
    waiting?.resolve(Uint8Array.from(answer.signature));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#publicKey.reject(this.#failure);
    for (const waiting of this.#waiting.values()) waiting.reject(this.#failure);
    this.#waiting.clear();
  }
}

import { toHex } from '../../codec/index.ts';
import type { Ingress, Limits, Time } from '../../model/index.ts';

/** Messages that wait for a batch, in order of arrival, each once; bounded in number and bytes. */
export class IngressPool {
  readonly #messages: Map<string, Ingress> = new Map();
  readonly #limits: Pick<Limits, 'ingressPerBatch' | 'batchBytes'>;
  #bytes = 0;

  constructor(limits: Pick<Limits, 'ingressPerBatch' | 'batchBytes'>) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#messages.size;
  }

  has(requestId: string): boolean {
    return this.#messages.has(requestId);
  }

  /** @returns false when there is no room: a pool holds what fills a number of batches */
  add(ingress: Ingress): boolean {
    const requestId = toHex(ingress.requestId);
    if (this.#messages.has(requestId)) return true;
    if (this.#messages.size >= this.#limits.ingressPerBatch * POOL_BATCHES) return false;
    if (this.#bytes + ingress.sizeBytes > this.#limits.batchBytes * POOL_BATCHES) return false;
    this.#messages.set(requestId, ingress);
    this.#bytes += ingress.sizeBytes;
    return true;
  }

  /** Takes out what goes into one batch. Messages that have expired, and those that `known` knows, are dropped. */
  take(time: Time, known: (requestId: string) => boolean): Ingress[] {
    const taken: Ingress[] = [];
    let bytes = 0;
    for (const [requestId, ingress] of this.#messages) {
      const usable = ingress.ingressExpiry >= time && !known(requestId);
      if (usable) {
        if (taken.length === this.#limits.ingressPerBatch) break;
        if (taken.length > 0 && bytes + ingress.sizeBytes > this.#limits.batchBytes) break;
        taken.push(ingress);
        bytes += ingress.sizeBytes;
      }
      this.#messages.delete(requestId);
      this.#bytes -= ingress.sizeBytes;
    }
    return taken;
  }

  clear(): void {
    this.#messages.clear();
    this.#bytes = 0;
  }
}

/** Batches that the pool may hold: a few seconds of work. Beyond it clients are told to come back. */
const POOL_BATCHES = 16;

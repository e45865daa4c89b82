import type { IngressStatus } from '../model/index.ts';
import type { IngressRecord, SubnetState } from '../state/index.ts';
import { DeadlineHeap } from './deadline-heap.ts';

/** What an answer counts besides its content. */
const ANSWER_BYTES = 200;

/** How much the answers in the ingress history take, and which of them is the oldest. Derived from the state. */
export class AnswerIndex {
  bytes = 0;
  readonly #state: SubnetState;
  readonly #byAge: DeadlineHeap = new DeadlineHeap();

  constructor(state: SubnetState) {
    this.#state = state;
    for (const [requestId, record] of state.ingressHistory) this.add(requestId, record);
  }

  add(requestId: string, record: IngressRecord): void {
    const size = sizeOf(record.status);
    if (size === 0) return;
    this.bytes += size;
    // Lets go of those whose time is over: nobody else would, as long as there is room.
    this.oldest();
    this.#byAge.push(record.expiry, requestId);
  }

  /** Before an answer is dropped or reduced. */
  remove(record: IngressRecord): void {
    this.bytes -= sizeOf(record.status);
  }

  /** The answer that will be dropped first. */
  oldest(): string | undefined {
    for (;;) {
      const first = this.#byAge.peek();
      if (first === undefined) return undefined;
      const record = this.#state.ingressHistory.get(first.key);
      if (record !== undefined && record.expiry === first.time && sizeOf(record.status) > 0) return first.key;
      this.#byAge.pop();
    }
  }
}

/** 0 for what is no answer, or none any more. */
function sizeOf(status: IngressStatus): number {
  if (status.status === 'replied') return ANSWER_BYTES + status.reply.length;
  if (status.status === 'rejected') return ANSWER_BYTES + status.reject.message.length;
  return 0;
}

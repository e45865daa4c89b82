import type { Cycles, Principal } from '../model/index.ts';
import type { FunctionClosure, OutgoingCall } from './contract.ts';

/** A call between `ic0.call_new` and `ic0.call_perform`. */
export class PendingCall {
  readonly callee: Principal;
  readonly method: string;
  readonly onReply: FunctionClosure;
  readonly onReject: FunctionClosure;
  onCleanup: FunctionClosure | undefined;
  timeoutSeconds: number | undefined;
  cycles: Cycles = 0n;
  #chunks: Uint8Array[] = [];
  #argumentBytes = 0;
  readonly #methodBytes: number;

  constructor(callee: Principal, method: string, onReply: FunctionClosure, onReject: FunctionClosure) {
    this.callee = callee;
    this.method = method;
    this.onReply = onReply;
    this.onReject = onReject;
    this.#methodBytes = new TextEncoder().encode(method).length;
  }

  /** What limits and fees count: method name and argument. */
  get payloadBytes(): number {
    return this.#methodBytes + this.#argumentBytes;
  }

  append(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.#argumentBytes += bytes.length;
  }

  finish(prepaidFee: Cycles): OutgoingCall {
    const arg = new Uint8Array(this.#argumentBytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      arg.set(chunk, at);
      at += chunk.length;
    }
    return {
      callee: this.callee,
      method: this.method,
      arg,
      cycles: this.cycles,
      prepaidFee,
      onReply: this.onReply,
      onReject: this.onReject,
      ...(this.onCleanup === undefined ? {} : { onCleanup: this.onCleanup }),
      ...(this.timeoutSeconds === undefined ? {} : { timeoutSeconds: this.timeoutSeconds }),
    };
  }
}

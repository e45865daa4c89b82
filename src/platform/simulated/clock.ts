import type { Clock, Timer } from '../contract.ts';

interface Waiting {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Time that moves only by `advance` and `step`. */
export class SimulatedClock implements Clock {
  #nowNanos: bigint;
  #monotonicMs = 0;
  #order = 0;
  readonly #waiting: Set<Waiting> = new Set();

  constructor(startNanos: bigint) {
    this.#nowNanos = startNanos;
  }

  now(): bigint {
    return this.#nowNanos;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const waiting: Waiting = { dueMs: this.#monotonicMs + Math.max(delayMs, 0), order: this.#order++, callback };
    this.#waiting.add(waiting);
    return { cancel: () => void this.#waiting.delete(waiting) };
  }

  soon(callback: () => void): void {
    setImmediate(callback);
  }

  /** Steps the machine's clock alone, as an administrator or NTP would. */
  step(nanos: bigint): void {
    this.#nowNanos += nanos;
  }

  /** Lets time pass: timers that fall due run in their order, and what they set off settles before the next one. */
  async advance(milliseconds: number): Promise<void> {
    await settled();
    const end = this.#monotonicMs + milliseconds;
    for (;;) {
      let next: Waiting | undefined;
      for (const one of this.#waiting)
        if (
          one.dueMs <= end &&
          (next === undefined || one.dueMs < next.dueMs || (one.dueMs === next.dueMs && one.order < next.order))
        )
          next = one;
      if (next === undefined) break;
      this.#waiting.delete(next);
      this.#passTo(Math.max(next.dueMs, this.#monotonicMs));
      next.callback();
      await settled();
    }
    this.#passTo(end);
    await settled();
  }

  #passTo(monotonicMs: number): void {
    this.#nowNanos += BigInt(Math.round((monotonicMs - this.#monotonicMs) * 1e6));
    this.#monotonicMs = monotonicMs;
  }
}

/** Lets everything that is ready run: several turns of the event loop. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise<void>((done) => setImmediate(done));
}

import type { Height } from '../../model/index.ts';
import type { Clock, Timer } from '../../platform/index.ts';

interface HeightWaiter<T> {
  readonly height: Height;
  readonly settled: PromiseWithResolvers<T>;
}

/** Those who wait for a height. */
export class HeightWaiters<T> {
  #waiting: HeightWaiter<T>[] = [];

  wait(height: Height): Promise<T> {
    const settled = Promise.withResolvers<T>();
    this.#waiting.push({ height, settled });
    return settled.promise;
  }

  reached(height: Height, value: T): void {
    if (this.#waiting.length === 0) return;
    const still: HeightWaiter<T>[] = [];
    for (const waiter of this.#waiting)
      if (waiter.height <= height) waiter.settled.resolve(value);
      else still.push(waiter);
    this.#waiting = still;
  }

  fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { settled } of waiting) settled.reject(error);
  }
}

/** Those who wait, for a limited time, for something that has a name. */
export class NamedWaiters<T> {
  readonly #clock: Clock;
  readonly #waiting: Map<
    string,
    Set<{ readonly settled: PromiseWithResolvers<T | undefined>; readonly timer: Timer }>
  > = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves with undefined after `timeoutMs`. */
  wait(name: string, timeoutMs: number): Promise<T | undefined> {
    const settled = Promise.withResolvers<T | undefined>();
    const waiters = this.#waiting.get(name) ?? new Set();
    this.#waiting.set(name, waiters);
    const waiter = {
      settled,
      timer: this.#clock.after(timeoutMs, () => {
        waiters.delete(waiter);
        if (waiters.size === 0 && this.#waiting.get(name) === waiters) this.#waiting.delete(name);
        settled.resolve(undefined);
      }),
    };
    waiters.add(waiter);
    return settled.promise;
  }

  reached(name: string, value: T): void {
    const waiters = this.#waiting.get(name);
    if (waiters === undefined) return;
    this.#waiting.delete(name);
    for (const { settled, timer } of waiters) {
      timer.cancel();
      settled.resolve(value);
    }
  }

  fail(error: Error): void {
    for (const waiters of this.#waiting.values())
      for (const { settled, timer } of waiters) {
        timer.cancel();
        settled.reject(error);
      }
    this.#waiting.clear();
  }
}

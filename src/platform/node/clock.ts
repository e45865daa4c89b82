import type { Clock } from '../contract.ts';

export const nodeClock: Clock = {
  now(): bigint {
    // Date has the clock's steps, performance.now() the resolution; their sum would drift, so milliseconds it is.
    return BigInt(Date.now()) * 1_000_000n;
  },
  monotonicMs(): number {
    return performance.now();
  },
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), 0x7fff_ffff));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon(callback): void {
    setImmediate(callback);
  },
};

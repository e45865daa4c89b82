import { DirtyMap, type GrowMemory } from '../wasm/index.ts';

/** Marks a host function that may suspend its caller; the type declarations of the platform do not know it yet. */
const { Suspending } = WebAssembly as unknown as { readonly Suspending: new (f: () => Promise<void>) => object };

/** An instance as the hooks see it. */
export interface Running {
  /** Pauses until the returned promise is fulfilled, or traps. */
  outOfInstructions(): Promise<void>;
  growMemory(deltaPages: bigint, currentPages: bigint): boolean;
}

/**
 * The right to run Wasm on this thread. All instances of a thread mark their writes in one map, so only one of them may
 * be between its first instruction and its commit, roll back or pause; who comes meanwhile waits in line.
 */
export class Lane {
  /** Which pages of the running instance's heap were written; empty when nobody runs. */
  readonly map: DirtyMap = new DirtyMap();
  /** Who runs: the hooks that all instances share act on it. */
  running: Running | undefined;
  /** What Wasm calls when the instruction counter is below zero. */
  readonly outOfInstructions: object = new Suspending(() => this.#runner().outOfInstructions());
  /** What Wasm calls before a heap grows. */
  readonly growMemory: GrowMemory = (delta, current) => this.#runner().growMemory(delta, current);
  #busy = false;
  readonly #waiting: (() => void)[] = [];

  #runner(): Running {
    if (this.running === undefined) throw new Error('nobody runs in this lane');
    return this.running;
  }

  /** True when the lane was free and is now the caller's. */
  tryEnter(): boolean {
    if (this.#busy) return false;
    this.#busy = true;
    return true;
  }

  enter(): Promise<void> {
    if (this.tryEnter()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Hands the lane to the next in line. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy = false;
    else next();
  }
}

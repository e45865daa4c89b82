/**
 * The right to run Wasm on this thread. All instances of a thread mark their writes in one map, so only one of them may
 * be between its first instruction and its commit, roll back or pause; who comes meanwhile waits in line.
 */
export class Lane {
  #busy = false;
  readonly #waiting: (() => void)[] = [];

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

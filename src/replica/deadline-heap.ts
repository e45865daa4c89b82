import type { Time } from '../model/index.ts';

/**
 * Which of many things is due first; at the same moment, in order of key, so that what comes out does not depend on when
 * it went in. Entries are never removed when they lose their meaning: whoever takes one out
 * checks that it still holds, so that moving a timer costs one `push`.
 */
export class DeadlineHeap {
  readonly #times: Time[] = [];
  readonly #keys: string[] = [];

  get size(): number {
    return this.#times.length;
  }

  push(time: Time, key: string): void {
    let at = this.#times.length;
    this.#times.push(time);
    this.#keys.push(key);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Time and key of the earliest entry. */
  peek(): { readonly time: Time; readonly key: string } | undefined {
    const time = this.#times[0];
    return time === undefined ? undefined : { time, key: this.#keys[0] as string };
  }

  /** Takes out everything due at `now` or before; keys ascending, each once. */
  takeDue(now: Time): readonly string[] {
    const due = new Set<string>();
    for (;;) {
      const first = this.#times[0];
      if (first === undefined || first > now) break;
      due.add(this.#keys[0] as string);
      this.pop();
    }
    return [...due].sort();
  }

  pop(): void {
    const last = this.#times.length - 1;
    if (last < 0) return;
    this.#swap(0, last);
    this.#times.pop();
    this.#keys.pop();
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      let least = at;
      if (left < last && this.#before(left, least)) least = left;
      if (right < last && this.#before(right, least)) least = right;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #before(a: number, b: number): boolean {
    const difference = (this.#times[a] as Time) - (this.#times[b] as Time);
    return difference < 0n || (difference === 0n && (this.#keys[a] as string) < (this.#keys[b] as string));
  }

  #swap(a: number, b: number): void {
    const time = this.#times[a] as Time;
    const key = this.#keys[a] as string;
    this.#times[a] = this.#times[b] as Time;
    this.#keys[a] = this.#keys[b] as string;
    this.#times[b] = time;
    this.#keys[b] = key;
  }
}

/**
 * Who runs next, and nothing else: a pure function of replicated facts. This one is fair in the simplest way, by turns
 * from a start that moves with every round; allocations and priorities are another implementation of `Scheduler`.
 */
export interface Scheduler {
  /**
   * The order in which canisters get their turns in one iteration of a round.
   * @param ready keys of the canisters with work, ascending.
   */
  order(ready: readonly string[], height: number): readonly string[];
}

export const ROUND_ROBIN: Scheduler = {
  order(ready: readonly string[], height: number): readonly string[] {
    if (ready.length < 2) return ready;
    const start = height % ready.length;
    return [...ready.slice(start), ...ready.slice(0, start)];
  },
};

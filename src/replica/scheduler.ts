/**
 * Who runs next, and nothing else: a pure function of replicated facts. This one is fair in the simplest way: turns in
 * order of id, and a round goes on where the last one had to stop. Allocations and priorities are another implementation
 * of `Scheduler`.
 */
export interface Scheduler {
  /**
   * The order in which canisters get their turns in one iteration of a round.
   * @param ready keys of the canisters with work, ascending.
   * @param cursor key of the canister whose turn it was when a round's instructions were last used up.
   */
  order(ready: readonly string[], cursor: string | undefined): readonly string[];
}

export const ROUND_ROBIN: Scheduler = {
  order(ready: readonly string[], cursor: string | undefined): readonly string[] {
    if (cursor === undefined || ready.length < 2) return ready;
    const start = ready.findIndex((key) => key >= cursor);
    return start <= 0 ? ready : [...ready.slice(start), ...ready.slice(0, start)];
  },
};

/**
 * The management canister `aaaaa-aa`: creating canisters, their settings, code, life cycle, chunks and snapshots, and
 * what can be asked about them and about the subnet (interface spec, "The IC management canister").
 *
 * There is no such canister: these are functions over the subnet's state. `execute` takes one call of
 * `SubnetState.managementCalls` and answers, or leaves plain data in its `progress` and says when it wants to be asked
 * again (`stop_canister` until nothing is open, `raw_rand` until the next batch, an installation slice by slice).
 * Whatever a caller can do wrong is a reject with the real replica's code and words (`refusal.ts`); only a host that
 * fails throws. Installing works on forks of the memories and swaps them in at the end, so it happens whole or not at
 * all. `inspect` keeps out of the subnet what would be refused anyway.
 *
 * Arguments and results are Candid; the types stand once, in `interface.ts`. A message is measured before it is decoded
 * (`candid-message.ts`), so that a few bytes cannot ask for much work.
 *
 * Not here: who pays for an ingress message, queues, call contexts, routing of responses (the round's), threshold keys,
 * HTTP outcalls, Bitcoin, uploading snapshots, `canister_metrics`: those are rejected as not available.
 */
import type { Management } from './contract.ts';
import { ManagementCanister } from './management.ts';

export type {
  HookEnvironment,
  Management,
  ManagementHost,
  ManagementOutcome,
  MemoryUse,
} from './contract.ts';
export { INSTALL_CREDIT_PER_ROUND } from './installation.ts';

/** Made once per replica; `close` settles the live stacks of pending installations. */
export function createManagement(): Management & { close(): Promise<void> } {
  return new ManagementCanister();
}

/**
 * One deterministic round of a subnet, and its read-only side doors. `createReplica` takes a state over; `execute` turns
 * it into the state after a batch; nothing else changes it. No clock, entropy, disk or network: they arrive in the batch.
 *
 * A round:
 *
 *   operator decisions → expired ingress → induct ingress → expired best-effort calls → charge
 *   inner rounds, until nothing runs or the round's instructions are used:
 *     management calls → (first time) due timers and heartbeats → a turn for each canister with work → deliver calls
 *   digests → state tree → state hash
 *
 * What is where: `round.ts` the context of one round; `agenda.ts` the index of where work is; `scheduler.ts` who is
 * next; `message-execution.ts` one message from its start over its slices to its effects; `calls.ts` call contexts,
 * requests and responses; `ingress-history.ts` messages of users; `charging.ts`, `resources.ts` cycles and memory;
 * `query.ts` queries, composite queries and `canister_inspect_message`; `digest.ts` what the state hash covers;
 * `management/` the management canister, behind its own contract.
 *
 * A message that uses up its slice stays with its canister and goes on in a later turn, others run meanwhile. Its live
 * stack is a cache: without it, after a restart, the message is executed again from its recorded beginning to the same
 * instruction. A fault of the host (`HostFault`) stops the replica for good, before anything of the round leaves it.
 *
 * Limits: one subnet, no streams; every canister on one lane; turns in rotation, without allocations.
 */
export type * from './contract.ts';
export { createReplica } from './create-replica.ts';

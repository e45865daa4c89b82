/**
 * The replicated state of a subnet, and how it is remembered (docs/internals/data-layout.md).
 *
 * `SubnetState` and what it holds are plain data that the replica changes; `PageMap` is the one thing in it with
 * behaviour: a memory of up to 500 GiB, sparse, whose forks and checkpoints cost nothing per page.
 *
 * A `StateDirectory` is where it survives: an `InputLog` that makes batches durable before anything leaves the node, and
 * a `CheckpointStore` that writes the state now and then, so that the log stays short. Both work on the disk of a
 * `Platform`; what they read they check, and what does not fit is a `StateError` that names the file and the way out.
 * Nothing here decides when to write: `consensus` does. `StateTree` turns the state into what a certificate covers.
 *
 * Limits: one process per directory; checkpoints hold the whole state but for memories and modules, so one with 100,000
 * canisters takes seconds to encode; two checkpoints are kept.
 */
export type * from './canister-state.ts';
export { CheckpointStore, type LoadedCheckpoint, type PendingCheckpoint } from './checkpoint-store.ts';
export { InputLog, type InputLogOptions, type LoggedRound, type OpenedLog } from './input-log.ts';
export type { Outcome } from './log-record.ts';
export { PageMap } from './page-map.ts';
export { asStateError, StateDirectory, type StateDirectoryOptions } from './state-directory.ts';
export { StateError, type StateErrorCode } from './state-error.ts';
export { StateTree, type StateTreeChanges } from './state-tree.ts';
export type * from './subnet-state.ts';

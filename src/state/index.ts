/** The replicated state of a subnet and how it is remembered (see docs/internals/data-layout.md). */
export type * from './canister-state.ts';
export { PageMap } from './page-map.ts';
export { StateTree, type StateTreeChanges } from './state-tree.ts';
export type * from './subnet-state.ts';

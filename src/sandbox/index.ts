/** Runs one message of one canister: instance, System API, limits, traps, commit and roll back. */
export * from './contract.ts';

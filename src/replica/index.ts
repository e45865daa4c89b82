/** One deterministic round of a subnet: induct, schedule, execute, route, charge, certify. */
export type * from './contract.ts';

/**
 * The older official agent, `@dfinity/agent` 3.4: many applications still ship it, and it asks older endpoints (v3 call,
 * v2 query, v2 read_state). Its packages and their peers are installed beside this file, apart from the current agent's.
 */
export { Actor, HttpAgent } from '@dfinity/agent';
export { Ed25519KeyIdentity } from '@dfinity/identity';
export { Principal } from '@dfinity/principal';

/**
 * The machine this process runs on: its clock, its randomness, its file system, worker threads, and the flags of its
 * JavaScript engine. Requires Node 24; the folder lock uses the SQLite that comes with it.
 */
export { setEngineFlags } from './engine-flags.ts';
export { describeProcess, nodePlatform } from './node-platform.ts';

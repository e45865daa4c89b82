/**
 * The world outside: clock, entropy, disk, threads. The only module that touches it; everybody else gets a `Platform`
 * handed in, so that a whole network runs on a virtual clock and a disk that loses power, in a test.
 *
 * - `nodePlatform`: the machine this process runs on.
 * - `SimulatedPlatform`: memory, a clock that moves when told to, bytes from a seed, and faults on request: power cuts
 *   that keep any part of what was not synced, torn writes, syncs that fail or hang, full disks, clock steps.
 * - `setEngineFlags`: flags of V8, to be set before the first WebAssembly module.
 *
 * One compliance suite runs on both. Sockets are not here: the gateway's server is made by `node`.
 */
export * from './contract.ts';
export { describeProcess, nodePlatform, setEngineFlags } from './node/index.ts';
export { SimulatedCrash, type SimulatedDisk, SimulatedPlatform } from './simulated/index.ts';

/**
 * A machine in memory: virtual clock, seeded bytes, a disk that forgets what was not synced. Everything that happens
 * follows from the seed and the calls, so a failure found once is found again. Threads are not simulated.
 */
export { SimulatedCrash, type SimulatedDisk } from './disk.ts';
export { SimulatedPlatform } from './simulated-platform.ts';

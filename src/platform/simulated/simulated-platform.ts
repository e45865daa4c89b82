import type { Entropy, Platform, Threads } from '../contract.ts';
import { Chance } from './chance.ts';
import { SimulatedClock } from './clock.ts';
import { type SimulatedDisk, simulatedDisk } from './disk.ts';

/** 2026-01-01, so that times look like times. */
const START_NANOS = 1_767_225_600_000_000_000n;

/** A machine in memory; the seed decides its random bytes and what a power cut leaves. */
export class SimulatedPlatform implements Platform {
  readonly clock: SimulatedClock = new SimulatedClock(START_NANOS);
  readonly entropy: Entropy;
  readonly threads: Threads;
  /** The disk as it is now; a power cut or a kill replaces it. */
  disk: SimulatedDisk;

  constructor(seed: number, threads: Threads = NO_THREADS) {
    const chance = new Chance(seed);
    this.entropy = { bytes: (count) => chance.bytes(count) };
    // Of its own, so that what survives does not depend on how many random bytes were asked for.
    this.disk = simulatedDisk(new Chance(seed ^ 0x5bd1e995));
    this.threads = threads;
  }

  cutPower(): void {
    this.disk = this.disk.afterPowerCut();
  }

  kill(): void {
    this.disk = this.disk.afterKill();
  }
}

const NO_THREADS: Threads = {
  start(module) {
    throw new Error(`no threads in this simulation: ${module.href}`);
  },
};

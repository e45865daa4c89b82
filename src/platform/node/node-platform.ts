import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Entropy, Platform } from '../contract.ts';
import { nodeClock } from './clock.ts';
import { nodeDisk } from './disk.ts';
import { nodeThreads } from './threads.ts';

const nodeEntropy: Entropy = {
  bytes(count): Uint8Array {
    return Uint8Array.from(randomBytes(count));
  },
};

/** The machine that this process runs on. */
export const nodePlatform: Platform = {
  clock: nodeClock,
  entropy: nodeEntropy,
  disk: nodeDisk,
  threads: nodeThreads,
};

/** What a process writes about itself where others look for the owner of something. */
export function describeProcess(): { readonly pid: number; readonly host: string; readonly startedAt: string } {
  return {
    pid: process.pid,
    host: hostname(),
    startedAt: new Date(Date.now() - Math.round(process.uptime() * 1000)).toISOString(),
  };
}

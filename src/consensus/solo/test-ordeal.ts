import assert from 'node:assert/strict';
import { sha256, toHex, utf8 } from '../../codec/index.ts';
import {
  ANONYMOUS,
  type Batch,
  canisterIdFromNumber,
  DEFAULT_LIMITS,
  type Ingress,
  type Limits,
} from '../../model/index.ts';
import { SimulatedCrash, SimulatedPlatform } from '../../platform/index.ts';
import { StateDirectory } from '../../state/index.ts';
import type { Consensus } from '../contract.ts';
import { openSolo } from './index.ts';
import { CountingReplica, countingGenesis } from './test-replica.ts';

export const MINUTE: bigint = 60_000_000_000n;

export function message(platform: SimulatedPlatform, number: number): Ingress {
  return {
    requestId: sha256(utf8(`message ${number}`)),
    sender: ANONYMOUS,
    canisterId: canisterIdFromNumber(1n),
    effectiveCanisterId: canisterIdFromNumber(1n),
    methodName: 'count',
    arg: utf8(String(number)),
    ingressExpiry: platform.clock.now() + 5n * MINUTE,
    sizeBytes: 300,
  };
}

export const idOf = (ingress: Ingress): string => toHex(ingress.requestId);

export interface Opened {
  readonly solo: Consensus;
  readonly replica: CountingReplica;
  readonly faults: Error[];
  readonly notices: string[];
  readonly replayed: number;
}

export interface Setting {
  readonly limits?: Partial<Limits>;
  readonly ephemeral?: boolean;
  readonly sign?: (message: Uint8Array) => Promise<Uint8Array>;
  readonly checkpointSpacingMs?: number;
  /** Bytes after which a segment is full. */
  readonly segmentBytes?: number;
}

export async function open(platform: SimulatedPlatform, setting: Setting = {}): Promise<Opened> {
  const faults: Error[] = [];
  const notices: string[] = [];
  let replayed = 0;
  let replica: CountingReplica | undefined;
  const directory =
    setting.ephemeral === true
      ? undefined
      : await StateDirectory.open({
          disk: platform.disk,
          entropy: platform.entropy,
          path: 'state',
          owner: '{"pid":1}',
          pause: () => new Promise((done) => platform.clock.soon(done)),
          notice: (text) => notices.push(text),
          log: { aheadBytes: 4096, segmentBytes: setting.segmentBytes ?? 1 << 20 },
        });
  const solo = await openSolo({
    platform,
    directory,
    limits: { ...DEFAULT_LIMITS, ...setting.limits },
    genesis: countingGenesis,
    createReplica: (state) => {
      replica = new CountingReplica(state);
      return replica;
    },
    signer: { sign: setting.sign ?? ((bytes) => Promise.resolve(sha256(bytes))) },
    observer: { replayed: () => replayed++, notice: (text) => notices.push(text) },
    checkpointSpacingMs: setting.checkpointSpacingMs ?? 0,
    onFault: (error) => faults.push(error),
  });
  assert.ok(replica !== undefined);
  return { solo, replica, faults, notices, replayed };
}

/** Several turns of the event loop: whatever can happen without time passing has happened. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
}

/**
 * Runs messages until the power is cut at the given operation, reopens, and runs on. What was acknowledged is there,
 * once; what is there comes from the log of one history, whose state hash an uninterrupted run of it gives too.
 */
export async function ordeal(seed: number, crashes: readonly number[]): Promise<number> {
  const platform = new SimulatedPlatform(seed);
  /** The history: a height that was lost with a torn tail is overwritten by what came instead. */
  const history = new Map<number, Batch>();
  const setting: Setting = { limits: { checkpointRounds: 4 }, segmentBytes: 2000 };
  const acknowledged = new Set<string>();
  let number = 0;
  let operations = 0;
  for (const crashAt of [...crashes, Number.POSITIVE_INFINITY]) {
    platform.disk.crashAt = crashAt;
    let opened: Opened | undefined;
    try {
      opened = await open(platform, setting);
      for (const batch of opened.replica.batches) history.set(batch.height, batch);
      const recovered = opened.replica.state.height;
      for (const height of history.keys()) if (height > recovered) history.delete(height);
      for (const requestId of acknowledged)
        assert.ok(opened.replica.applied().includes(requestId), `seed ${seed}: an acknowledged message is lost`);
      for (let burst = 0; burst < 8 && opened.faults.length === 0; burst++) {
        for (let copies = 0; copies <= burst % 3; copies++) {
          const ingress = message(platform, number++);
          if (!opened.solo.submit(ingress)) continue;
          opened.solo.completion(idOf(ingress), 1e9).then(
            () => acknowledged.add(idOf(ingress)),
            () => undefined,
          );
        }
        for (let turn = 0; turn < (burst * 7 + seed) % 5; turn++) await new Promise((done) => setImmediate(done));
      }
      await settle();
      await opened.solo.stop();
      operations = platform.disk.operations;
    } catch (error) {
      assert.ok(isCrash(error), `seed ${seed}, crash at ${crashAt}: ${String(error)}`);
    }
    for (const batch of opened?.replica.batches ?? []) history.set(batch.height, batch);
    for (const fault of opened?.faults ?? []) assert.ok(isCrash(fault), String(fault));
    if (crashAt === Number.POSITIVE_INFINITY) continue;
    // A killed process leaves what it wrote; a power cut what was synced, and some of the rest.
    if (seed % 4 === 3) platform.kill();
    else platform.cutPower();
  }
  const end = await open(platform);
  const applied = end.replica.applied();
  assert.equal(new Set(applied).size, applied.length, 'no message was applied twice');
  for (const requestId of acknowledged) assert.ok(applied.includes(requestId), 'no acknowledged message is lost');
  const uninterrupted = new CountingReplica(countingGenesis());
  for (let height = 1; height <= end.replica.state.height; height++) {
    const batch = history.get(height);
    assert.ok(batch !== undefined, `height ${height} is unknown`);
    await uninterrupted.execute(batch);
  }
  assert.deepEqual(end.replica.state.stateHash, uninterrupted.state.stateHash);
  assert.deepEqual(applied, uninterrupted.applied());
  await end.solo.stop();
  return operations;
}

function isCrash(error: unknown): boolean {
  if (error instanceof SimulatedCrash) return true;
  return error instanceof Error && error.cause !== undefined && isCrash(error.cause);
}

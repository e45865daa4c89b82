/**
 * What the engine of a single node costs without a real replica: rounds and messages per second, the share of the disk,
 * recovery; and what its page maps cost. `node bench/solo/run.ts [--folder F] [--seconds N] [--only pages,rounds]`. Prints a
 * table; figures of one machine are in `bench/results/solo.md`. Microseconds of CPU are what the process used, so
 * they hold on a busy machine too; wall times do not.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { sha256, toHex, utf8 } from '../../src/codec/index.ts';
import { type Consensus, type ConsensusObserver, openSolo } from '../../src/consensus/index.ts';
import { CountingReplica, countingGenesis } from '../../src/consensus/solo/test-replica.ts';
import {
  ANONYMOUS,
  type Batch,
  canisterIdFromNumber,
  DEFAULT_LIMITS,
  type Ingress,
  PAGE_BYTES,
} from '../../src/model/index.ts';
import { nodePlatform } from '../../src/platform/index.ts';
import type { RoundOutcome } from '../../src/replica/index.ts';
import { PageMap, StateDirectory } from '../../src/state/index.ts';

const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: tmpdir() },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', default: 'pages,rounds' },
  },
});
const seconds = Number(values.seconds);
const only = values.only.split(',');
const big: Uint8Array = new Uint8Array(only.includes('pages') ? 64 << 20 : 0).fill(1);

/** Answers every message and changes nothing but the height. */
class IdleReplica extends CountingReplica {
  override execute(batch: Batch): Promise<RoundOutcome> {
    this.state.height = batch.height;
    this.state.time = batch.time;
    const { height, time } = batch;
    return Promise.resolve({
      height,
      time,
      certifiedRoot: this.tree.rootHash,
      stateHash: this.state.stateHash,
      canisterDigests: [],
      completed: batch.ingress.map((ingress) => toHex(ingress.requestId)),
      executedMessages: batch.ingress.length,
      instructions: 0n,
      logs: [],
    });
  }
}

if (only.includes('pages')) {
  console.log('| page map | µs CPU each |\n|---|---|');
  const pages = 16_384;
  const source = new Uint8Array(4 * PAGE_BYTES).fill(7);
  const map = new PageMap();
  map.resize(pages / 16);
  const fill = (target: PageMap, count: number, stride = 1): void => {
    for (let page = 0; page < count; page++) target.write((page * stride) % pages, source, PAGE_BYTES);
  };
  fill(map, pages);
  measure('write, 4 KiB, page new (64 MiB)', pages, () => fill(new PageMap(), pages));
  measure('write, page overwritten, in order', pages, () => fill(map, pages));
  measure('write, page overwritten, scattered', pages, () => fill(map, pages, 4_099));
  measure('copyWithin of the same bytes, for comparison', pages, () => {
    for (let page = 0; page < pages; page++) big.copyWithin(page * PAGE_BYTES, 0, PAGE_BYTES);
  });
  measure('the same, scattered', pages, () => {
    for (let page = 0; page < pages; page++) big.copyWithin(((page * 4_099) % pages) * PAGE_BYTES, 0, PAGE_BYTES);
  });
  measure('view, in order', pages, () => {
    for (let page = 0; page < pages; page++) map.view(page);
  });
  measure('view, scattered', pages, () => {
    for (let page = 0; page < pages; page++) map.view((page * 4_099) % pages);
  });
  measure('pages(), each', pages, () => {
    for (const _ of map.pages());
  });
  measure('fork of 64 MiB', 1_000, () => {
    for (let n = 0; n < 1_000; n++) map.fork();
  });
  measure('fork of 64 MiB, then write one page', 1_000, () => {
    for (let n = 0; n < 1_000; n++) {
      map.fork();
      map.write((n * 4_099) % pages, source, 0);
    }
  });
}

if (only.includes('rounds')) {
  console.log(
    '\n| rounds | in flight | rounds/s | messages/s | µs CPU a round | latency p50 ms | p99 ms | fsync p50 ms | share of latency |\n|---|---|---|---|---|---|---|---|---|',
  );
  for (const disk of [false, true])
    for (const inFlight of [1, 8, 64]) {
      const folder = mkdtempSync(`${values.folder}/perdure-bench-`);
      try {
        await rounds(disk ? folder : undefined, inFlight);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }
}

async function rounds(folder: string | undefined, inFlight: number): Promise<void> {
  let count = 0;
  const syncs: number[] = [];
  const observer: ConsensusObserver = {
    round: () => count++,
    durable: (_, durableMs) => syncs.push(durableMs),
  };
  const solo = await open(folder, observer);
  const latencies: number[] = [];
  let number = 0;
  const until = performance.now() + seconds * 1000;
  const cpu = process.cpuUsage();
  const started = performance.now();
  const client = async (): Promise<void> => {
    while (performance.now() < until) {
      const ingress = message(number++);
      const begun = performance.now();
      if (!solo.submit(ingress)) throw new Error('the pool is full');
      await solo.completion(toHex(ingress.requestId), 60_000);
      latencies.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, client));
  const elapsed = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  const sync = percentile(syncs, 50);
  const latency = percentile(latencies, 50);
  console.log(
    `| ${folder === undefined ? 'in memory' : 'on disk'} | ${inFlight} | ${Math.round(count / elapsed)} | ${Math.round(latencies.length / elapsed)} | ${Math.round((used.user + used.system) / count)} | ${latency.toFixed(2)} | ${percentile(latencies, 99).toFixed(2)} | ${folder === undefined ? '–' : sync.toFixed(2)} | ${folder === undefined ? '–' : `${Math.round((100 * sync) / latency)} %`} |`,
  );
  if (folder === undefined) {
    await solo.stop();
    return;
  }
  // Left as a crash would leave it: by forgetting the engine.
  const { height } = solo.replica.state;
  await solo.stop();
  const begun = performance.now();
  let replayed = 0;
  const again = await open(folder, { replayed: () => replayed++ });
  const opened = performance.now() - begun;
  if (again.replica.state.height !== height || replayed !== 0) throw new Error('not as it was left');
  if (inFlight === 64)
    console.log(`\nOpening after a clean stop at height ${height}: ${opened.toFixed(0)} ms, nothing replayed.`);
  await again.stop();
}

async function open(folder: string | undefined, observer: ConsensusObserver): Promise<Consensus> {
  const directory =
    folder === undefined
      ? undefined
      : await StateDirectory.open({
          disk: nodePlatform.disk,
          entropy: nodePlatform.entropy,
          path: `${folder}/state`,
          owner: '{}',
          pause: () => new Promise((done) => nodePlatform.clock.soon(done)),
          notice: (text) => console.log(text),
        });
  return openSolo({
    platform: nodePlatform,
    directory,
    limits: DEFAULT_LIMITS,
    genesis: countingGenesis,
    createReplica: (state) => new IdleReplica(state),
    // A signature costs another thread about 1.5 ms: here nothing, so that the engine itself shows.
    signer: { sign: () => Promise.resolve(new Uint8Array(48)) },
    observer,
    onFault: (error) => {
      throw error;
    },
  });
}

function message(number: number): Ingress {
  return {
    requestId: sha256(utf8(`${number}`)),
    sender: ANONYMOUS,
    canisterId: canisterIdFromNumber(1n),
    effectiveCanisterId: canisterIdFromNumber(1n),
    methodName: 'count',
    arg: new Uint8Array(64),
    ingressExpiry: nodePlatform.clock.now() + 240_000_000_000n,
    sizeBytes: 300,
  };
}

function percentile(samples: readonly number[], percent: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0;
}

/** CPU of the best of seven runs. */
function measure(name: string, operations: number, run: () => void): void {
  let best = Number.POSITIVE_INFINITY;
  for (let n = 0; n < 7; n++) {
    const cpu = process.cpuUsage();
    run();
    const used = process.cpuUsage(cpu);
    best = Math.min(best, used.user + used.system);
  }
  console.log(`| ${name} | ${(best / operations).toFixed(3)} |`);
}

/**
 * What rewriting costs: eleven kernels in C, raw and rewritten, all variants of a kernel in one process, interleaved,
 * ratios of minima. `node bench/wasm/rewriting.ts [--width 32|64] [--only NAME] [--rounds N] [--variants a,b]`; needs
 * clang with the wasm targets and lld. Also the speed of the rewriter itself, on a module of your choice (`--module`).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { instantiate, instrument, type RewriteOptions, v8Flags } from '../../src/wasm/index.ts';

const { values } = parseArgs({
  options: {
    width: { type: 'string', default: '32,64' },
    only: { type: 'string' },
    rounds: { type: 'string', default: '40' },
    variants: { type: 'string', default: 'most,all' },
    module: { type: 'string' },
    /** Optimised at once, instead of V8's default tiering. */
    turbofan: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
for (const flag of v8Flags(480 * 1024).slice(0, 1)) setFlagsFromString(flag);

if (values.turbofan) setFlagsFromString('--no-liftoff');

const DENSE = ['gemm', 'mm2', 'jacobi', 'floyd', 'cholesky'];
const INTEGER = ['hashmap', 'qsort', 'parser', 'sha256', 'vm', 'tree'];
const none = { metering: false, writeBarrier: false, stackGuard: false, canonicalNaN: false, captureState: false };
const VARIANTS: Readonly<Record<string, RewriteOptions>> = {
  none,
  metering: { ...none, metering: true },
  barrier: { ...none, writeBarrier: true },
  stack: { ...none, stackGuard: true },
  nan: { ...none, canonicalNaN: true },
  most: { canonicalNaN: false },
  all: {},
};

function build(width: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-bench-'));
  const file = join(folder, 'kernels.wasm');
  const flags = ['-O2', '-nostdlib', '-fno-builtin', '-Wl,--no-entry', '-Wl,-z,stack-size=65536', '-o', file];
  if (width === '64') flags.push('-Wl,-mwasm64');
  execFileSync('clang', [`--target=wasm${width}-unknown-unknown`, ...flags, join(import.meta.dirname, 'kernels.c')]);
  const bytes = new Uint8Array(readFileSync(file));
  rmSync(folder, { recursive: true });
  return bytes;
}

type Kernel = () => number;

function time(kernel: Kernel): number {
  const start = process.hrtime.bigint();
  kernel();
  return Number(process.hrtime.bigint() - start) / 1e6;
}

const geomean = (list: number[]): number => Math.exp(list.reduce((sum, x) => sum + Math.log(x), 0) / list.length);

const names = (values.variants ?? '').split(',');
for (const width of (values.width ?? '').split(',')) {
  const bytes = build(width);
  const ratios: Record<string, Record<string, number>> = {};
  console.log(`\nwasm${width}`.padEnd(12), 'raw ms'.padStart(8), ...names.map((name) => name.padStart(9)));
  for (const kernel of [...DENSE, ...INTEGER]) {
    if (values.only !== undefined && !values.only.split(',').includes(kernel)) continue;
    // Fresh instances per kernel: what another kernel taught V8 about these functions does not count.
    const raw = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource)).exports[kernel] as Kernel;
    const runs = [raw, ...names.map((name) => instantiate(bytes, {}, VARIANTS[name] ?? {}).exports[kernel] as Kernel)];
    const expected = raw();
    const minima = runs.map(() => Number.POSITIVE_INFINITY);
    for (let i = 0; i < runs.length; i++) {
      for (let warm = 0; warm < 20; warm++) {
        if (runs[i]?.() !== expected) throw new Error(`${kernel}: result differs`);
        // Optimised code is compiled on other threads.
        if (warm % 5 === 4) await sleep(30);
      }
    }
    for (let round = 0; round < Number(values.rounds); round++) {
      for (let k = 0; k < runs.length; k++) {
        const i = round % 2 === 0 ? k : runs.length - 1 - k;
        minima[i] = Math.min(minima[i] ?? 0, time(runs[i] as Kernel));
      }
    }
    const base = minima[0] as number;
    const row = Object.fromEntries(names.map((name, i) => [name, (minima[i + 1] as number) / base]));
    ratios[kernel] = row;
    console.log(
      kernel.padEnd(11),
      base.toFixed(2).padStart(8),
      ...names.map((n) => (row[n] as number).toFixed(2).padStart(9)),
    );
  }
  for (const [label, kernels] of [
    ['dense', DENSE],
    ['integer', INTEGER],
    ['all', [...DENSE, ...INTEGER]],
  ] as const) {
    const cells = names.map((name) => {
      const list = kernels.flatMap((kernel) => ratios[kernel]?.[name] ?? []);
      return (list.length === 0 ? '' : geomean(list).toFixed(3)).padStart(9);
    });
    console.log(label.padEnd(11), ''.padStart(8), ...cells);
  }
}

if (values.module !== undefined) {
  const bytes = new Uint8Array(readFileSync(values.module));
  let best = Number.POSITIVE_INFINITY;
  let size = 0;
  for (let i = 0; i < 6; i++) {
    const start = process.hrtime.bigint();
    size = instrument(bytes).length;
    best = Math.min(best, Number(process.hrtime.bigint() - start) / 1e6);
  }
  const speed = bytes.length / 1e3 / best;
  console.log(
    `\nrewriting ${(bytes.length / 1e6).toFixed(2)} MB: ${best.toFixed(0)} ms, ${speed.toFixed(1)} MB/s, x${(size / bytes.length).toFixed(2)}`,
  );
}

/**
 * Runs the black-box conformance suites against this checkout. The suites and their sources are given by path and never
 * stored here:
 *
 *     npm run conformance -- --suites DIR [--reduced] [--only wasm-spec,wasm-fuzz,ic-spec,drun] [--report DIR] [--scripts N]
 *
 * DIR is a folder that holds the suites with their dependencies installed. Sources that others wrote are read from bare
 * git clones in CONFORMANCE_SOURCES (`dfinity+motoko/repo`, `WebAssembly+testsuite/repo`) or, already extracted, from
 * CONFORMANCE_CACHE. `--reduced` is what CI runs: 300 random modules, 60 Motoko scripts. A suite whose sources are not at
 * hand is left out with a message. Ends with `N passed, N failed`; fails when a suite fails.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { NetworkProcess } from '../network-process/index.ts';
import { ROOT } from '../source-tree/index.ts';

const SUITES = ['wasm-spec', 'wasm-fuzz', 'ic-spec', 'drun'] as const;
type Suite = (typeof SUITES)[number];

/** Groups of the WebAssembly suite in which nothing that passes raw may fail rewritten. */
const REQUIRED_GROUPS: ReadonlySet<string> = new Set(['core', 'simd', 'memory64', 'tail-call']);

/** Leaves out files of groups that the Internet Computer refuses: the suite's report lists 500 rows at the most. */
const REQUIRED_FILES =
  '^(?!.*relaxed|array|struct|ref_cast|ref_test|ref_eq|i31|extern|br_on_|type-|binary-gc|throw|try_table|tag|address[01]|align0|binary0|data[01]|data_drop0|exports0|float_exprs[01]|float_memory0|imports[0-4]|linking[0-3]|load[0-2]|memory-multi|memory_(copy|fill|init|size|trap)[0-9_a-z]*[0-3]\\.|start0|store[0-2]|traps0)';

const { values } = parseArgs({
  options: {
    suites: { type: 'string' },
    reduced: { type: 'boolean', default: false },
    only: { type: 'string' },
    report: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    scripts: { type: 'string', default: '60' },
  },
});
const folder = path.resolve(values.suites ?? path.join(ROOT, '..', 'shared', 'conformance'));
const report = path.resolve(values.report ?? mkdtempSync(path.join(tmpdir(), 'perdure-conformance-')));
const chosen = (values.only ?? SUITES.join(',')).split(',');
const cache = process.env['CONFORMANCE_CACHE'] ?? path.join(folder, '.cache');
const mirror = process.env['CONFORMANCE_SOURCES'] ?? path.join(folder, '.mirror');
const instrument = path.join(ROOT, 'src', 'wasm', 'index.ts');
mkdirSync(report, { recursive: true });

let passed = 0;
let failed = 0;

for (const suite of SUITES) {
  if (!chosen.includes(suite)) continue;
  const why = missing(suite);
  if (why !== undefined) console.log(`${suite}: left out, ${why}`);
  else await run(suite);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

async function run(suite: Suite): Promise<void> {
  const started = performance.now();
  switch (suite) {
    case 'wasm-spec': {
      const args = source('wasm-testsuite', 'WebAssembly+testsuite', '--testsuite-dir');
      const options = ['--only', REQUIRED_FILES, '--jobs', values.jobs, '--quiet'];
      count(suite, suite, await script('wasm-spec.mjs', [...args, '--instrument', instrument, ...options]), started);
      break;
    }
    case 'wasm-fuzz': {
      const modules = '3000';
      const seed = values.reduced ? 'ci' : String(Date.now());
      for (const options of ['{"canonicalNaN":false}', '{"canonicalNaN":true}']) {
        const part = values.reduced ? (options.includes('true') ? '60' : '240') : modules;
        const args = ['--n', part, '--seed', seed, '--instrument', instrument, '--options', options, '--quiet'];
        count(suite, `${suite} ${options}`, await script('wasm-fuzz.mjs', args), started);
      }
      break;
    }
    case 'ic-spec': {
      await using network = await NetworkProcess.start();
      count(
        suite,
        suite,
        await script('ic-spec.mjs', ['--url', network.url, '--jobs', values.jobs, '--quiet']),
        started,
      );
      break;
    }
    case 'drun': {
      await using network = await NetworkProcess.start({ args: ['--cost-schedule', 'free'] });
      const args = source('motoko', 'dfinity+motoko', '--motoko-dir');
      const only = values.reduced ? ['--only', reducedScripts(), '--mode', 'eop'] : ['--mode', 'both'];
      count(
        suite,
        suite,
        await script('drun-suite.mjs', ['--url', network.url, ...args, ...only, '--jobs', values.jobs, '--quiet']),
        started,
      );
      break;
    }
  }
}

/** Why a suite cannot run here. */
function missing(suite: Suite): string | undefined {
  const file = suite === 'drun' ? 'drun-suite.mjs' : `${suite}.mjs`;
  if (!existsSync(path.join(folder, file))) return `there is no ${path.join(folder, file)}`;
  if (!existsSync(path.join(folder, 'node_modules'))) return `its dependencies are not installed in ${folder}`;
  const repository = suite === 'wasm-spec' ? 'WebAssembly+testsuite' : suite === 'drun' ? 'dfinity+motoko' : undefined;
  const label = suite === 'wasm-spec' ? 'wasm-testsuite' : 'motoko';
  if (repository === undefined || extracted(label) !== undefined || existsSync(path.join(mirror, repository, 'repo')))
    return undefined;
  return `its sources ${repository} are neither in CONFORMANCE_SOURCES nor in CONFORMANCE_CACHE`;
}

/** The folder of already extracted sources. */
function extracted(label: string): string | undefined {
  if (!existsSync(cache)) return undefined;
  const name = readdirSync(cache).find((entry) => entry.startsWith(`${label}-`));
  return name === undefined ? undefined : path.join(cache, name);
}

function source(label: string, repository: string, option: string): string[] {
  const found = extracted(label);
  return found === undefined || existsSync(path.join(mirror, repository, 'repo')) ? [] : [option, found];
}

/** Every nth script, so that all kinds are there. */
function reducedScripts(): string {
  const root = extracted('motoko');
  if (root === undefined)
    return '^(array|async|await|basic|caller|chat|count|timer|try|stable-mem|region0-stable-mem-n)';
  const names = readdirSync(path.join(root, 'test', 'run-drun'))
    .filter((name) => /\.(mo|drun)$/.test(name))
    .sort();
  const step = Math.max(1, Math.floor(names.length / Number(values.scripts)));
  const some = names.filter((_, index) => index % step === 0).slice(0, Number(values.scripts));
  return `^(${some.map((name) => name.replace(/[.+]/g, '\\$&')).join('|')})$`;
}

interface Outcome {
  readonly code: number;
  readonly text: string;
  readonly file: string;
}

async function script(name: string, args: readonly string[]): Promise<Outcome> {
  const file = path.join(report, `${name.replace('.mjs', '')}-${passed + failed}.json`);
  const child = spawn(process.execPath, [path.join(folder, name), ...args, '--out', file], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CONFORMANCE_CACHE: cache, CONFORMANCE_SOURCES: mirror },
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const code = await new Promise<number>((resolve) => {
    child.on('error', () => resolve(-1));
    child.on('close', (status) => resolve(status ?? -1));
  });
  return { code, text, file };
}

/** What a suite wrote; rows and counts that only some of them have. */
interface Report {
  readonly summary?: { readonly groups?: Record<string, { readonly broke?: number }> };
  readonly regressions?: readonly {
    readonly group: string;
    readonly file: string;
    readonly line?: number;
    readonly why?: string;
  }[];
  readonly tests?: readonly {
    readonly id: string;
    readonly status: string;
    readonly compilerOnly?: boolean;
    readonly reason?: string;
  }[];
}

/**
 * Whether a suite passed. The exit codes of two of them ask for more than we claim: the WebAssembly suite counts groups
 * that the Internet Computer refuses (garbage collection, exceptions, threads, relaxed vectors, several memories), and
 * the Motoko scripts must pass in 95 of 100 variants, with each failure named.
 */
function verdict(suite: Suite, code: number, written: Report | undefined): boolean {
  if (written === undefined) return false;
  if (suite === 'wasm-spec') {
    const rows = (written.regressions ?? []).filter((row) => REQUIRED_GROUPS.has(row.group));
    const refusals = rows.filter((row) => /are not supported/.test(row.why ?? ''));
    const refusing = new Set(refusals.map((row) => row.file));
    // Files of these groups hold modules that use what the Internet Computer refuses; what their scripts then ask of
    // the absent module, or of one linked to it, follows from the refusal.
    const follows = (why: string): boolean => /no module|Cannot read properties of undefined|module is not/.test(why);
    const broken = rows.filter((row) => !refusals.includes(row) && !(refusing.has(row.file) && follows(row.why ?? '')));
    for (const row of broken) console.error(`  ${row.file}:${row.line ?? ''} ${row.why ?? ''}`);
    console.log(`wasm-spec: ${broken.length} broken; ${refusals.length} modules refused: ${[...refusing].join(', ')}`);
    const counted = [...REQUIRED_GROUPS].reduce((sum, name) => sum + (written.summary?.groups?.[name]?.broke ?? 0), 0);
    if (counted !== rows.length) console.error(`  the report lists ${rows.length} of ${counted} broken rows`);
    return broken.length === 0 && counted === rows.length;
  }
  if (suite === 'drun') {
    const ran = (written.tests ?? []).filter((row) => row.status !== 'skipped' && row.compilerOnly !== true);
    const bad = ran.filter((row) => row.status !== 'pass');
    console.log(`drun: ${ran.length - bad.length} of ${ran.length} variants pass`);
    for (const row of bad) console.log(`  ${row.id} ${row.status} ${row.reason ?? ''}`);
    return ran.length > 0 && bad.length <= ran.length * 0.05;
  }
  return code === 0;
}

function count(suite: Suite, what: string, outcome: Outcome, started: number): void {
  const seconds = Math.round((performance.now() - started) / 1000);
  const written = existsSync(outcome.file) ? (JSON.parse(readFileSync(outcome.file, 'utf8')) as Report) : undefined;
  const good = verdict(suite, outcome.code, written);
  if (good) passed++;
  else failed++;
  const summary = written === undefined ? outcome.text.slice(-600) : JSON.stringify(written.summary).slice(0, 600);
  console.log(`${good ? 'passed' : 'FAILED'} ${what} in ${seconds} s: ${summary}`);
}

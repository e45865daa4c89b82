/**
 * Runs the black-box conformance suites against this checkout: `npm run conformance [-- --reduced] [-- --only NAME]`.
 *
 * The suites are a folder given by CONFORMANCE_SUITES (default: `../shared/conformance`), never part of this
 * repository; sources of others that they read (Motoko's and WebAssembly's test programs) are bare clones in
 * CONFORMANCE_SOURCES, compiled programs are kept in CONFORMANCE_CACHE. What is not there is reported and left out, so
 * that a machine without them still checks the rest. `--reduced` is what CI runs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const { values: flags } = parseArgs({
  options: { reduced: { type: 'boolean', default: false }, only: { type: 'string', default: '' } },
});
const suites = resolve(process.env['CONFORMANCE_SUITES'] ?? join(root, '../shared/conformance'));
const cache = resolve(process.env['CONFORMANCE_CACHE'] ?? join(root, '.cache/conformance-cache'));
const sources = resolve(process.env['CONFORMANCE_SOURCES'] ?? join(root, '../sources'));
const copy = join(root, '.cache/conformance');
const rewriter = join(root, 'src/wasm/index.ts');
/** About 60 variants that compile fast and cover calls, upgrades, stable memory, timers and queries. */
const REDUCED_SCRIPTS =
  '^(AST-66|actor-creator|array-upgrades|async-calls2|await-sugar|basic-cycles|caller|chat|composite-query|count-callbacks|counter|divide-by-zero|env-vars|error-codes|explicit-trap|heartbeat|hello-world-message|inspect_message|inter-query|map-upgrades|multi-value|oneshot-callbacks|oneway|overflow|query2|region0-stable-mem-grow|self-shadow|stable-counter|stable-mem-blob|timer-cancel|try-finally|utf8)\\.';

interface Verdict {
  readonly suite: string;
  readonly passed: number;
  readonly failed: number;
  readonly note: string;
}

if (!existsSync(suites)) {
  console.error(`No conformance suites at ${suites} (set CONFORMANCE_SUITES): nothing to run.`);
  process.exit(0);
}
prepareCopy();
const verdicts: Verdict[] = [];
const fuzzModules = flags.reduced ? 300 : 3000;

if (wanted('interface')) verdicts.push(await withNetwork([], (url) => interfaceChecks(url)));
if (wanted('motoko')) verdicts.push(await motokoScripts());
if (wanted('wasm-spec')) verdicts.push(await wasmSpecification());
if (wanted('wasm-fuzz')) verdicts.push(...(await randomModules()));

let failed = 0;
let passed = 0;
for (const verdict of verdicts) {
  passed += verdict.passed;
  failed += verdict.failed;
  console.log(
    `${verdict.suite}: ${verdict.passed} passed, ${verdict.failed} failed${verdict.note === '' ? '' : ` (${verdict.note})`}`,
  );
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function wanted(name: string): boolean {
  return flags.only === '' || flags.only === name;
}

/** The suites install their own packages beside themselves, so they run from a copy. */
function prepareCopy(): void {
  mkdirSync(copy, { recursive: true });
  mkdirSync(cache, { recursive: true });
  for (const entry of [
    'checks',
    'lib',
    'examples',
    'drun-suite.mjs',
    'ic-spec.mjs',
    'wasm-fuzz.mjs',
    'wasm-spec.mjs',
    'package.json',
  ]) {
    rmSync(join(copy, entry), { recursive: true, force: true });
    cpSync(join(suites, entry), join(copy, entry), { recursive: true });
  }
}

async function install(): Promise<void> {
  if (existsSync(join(copy, 'node_modules/wabt'))) return;
  const code = await run('npm', ['install', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'], 600);
  if (code !== 0) throw new Error(`npm install in ${copy} failed with exit code ${code}`);
}

/** Runs a command in the copy with its output on our stderr; resolves with its exit code. */
function run(command: string, args: readonly string[], timeoutSeconds: number): Promise<number> {
  return new Promise((settle, fail) => {
    const child = spawn(command, args, {
      cwd: copy,
      stdio: ['ignore', 2, 2],
      timeout: timeoutSeconds * 1000,
      env: { ...process.env, CONFORMANCE_SOURCES: sources, CONFORMANCE_CACHE: cache },
    });
    child.on('error', fail);
    child.on('exit', (code) => settle(code ?? 124));
  });
}

async function suite(script: string, args: readonly string[], out: string, timeoutSeconds: number): Promise<Report> {
  await install();
  const file = join(copy, 'results', out);
  rmSync(file, { force: true });
  const code = await run(process.execPath, [script, ...args, '--out', file], timeoutSeconds);
  if (!existsSync(file)) throw new Error(`${script} wrote no report (exit code ${code})`);
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

interface Report {
  readonly partial?: boolean;
  readonly summary?: { readonly broke?: number; readonly same?: number; readonly verdicts?: Record<string, number> };
  readonly checks?: readonly Row[];
  readonly tests?: readonly Row[];
  readonly regressions?: readonly {
    readonly group: string;
    readonly file: string;
    readonly line?: number;
    readonly why?: string;
  }[];
}

interface Row {
  readonly id: string;
  readonly status: string;
  readonly level?: string;
  readonly why?: string;
  readonly reason?: string;
  readonly compilerOnly?: boolean;
}

/** Starts an ephemeral network, runs `use` with its address, and stops it. */
async function withNetwork<T>(args: readonly string[], use: (url: string) => Promise<T>): Promise<T> {
  const child = spawn(
    process.execPath,
    [join(root, 'bin/perdure.mjs'), 'start', '--ephemeral', '--port', '0', '--json', ...args],
    { stdio: ['ignore', 'pipe', 2] },
  );
  try {
    return await use(await readyUrl(child));
  } finally {
    child.kill('SIGTERM');
  }
}

function readyUrl(child: ChildProcess): Promise<string> {
  return new Promise((settle, fail) => {
    let text = '';
    child.stdout?.on('data', (data: Buffer) => {
      text += data.toString();
      for (const line of text.split('\n').slice(0, -1)) {
        const event = JSON.parse(line) as { event: string; url: string };
        if (event.event === 'ready') settle(event.url);
      }
    });
    child.on('exit', (code) => fail(new Error(`the network stopped before it was ready (exit code ${code})`)));
  });
}

async function interfaceChecks(url: string): Promise<Verdict> {
  const args = ['--url', url, '--jobs', '4', '--quiet', ...(flags.reduced ? [] : ['--slow'])];
  const rows = (await suite('ic-spec.mjs', args, 'ic-spec.json', 1200)).checks ?? [];
  const bad = rows.filter((row) => row.level === 'must' && row.status !== 'pass');
  for (const row of rows.filter((row) => row.status !== 'pass'))
    console.error(`  interface ${row.level} ${row.id}: ${row.status} ${row.why ?? ''}`);
  return {
    suite: 'interface checks',
    passed: rows.filter((row) => row.status === 'pass').length,
    failed: bad.length,
    note: `${rows.length} checks`,
  };
}

/** The target is 95 %: below it every failing script counts as failed, above it they are named only. */
async function motokoScripts(): Promise<Verdict> {
  const name = 'Motoko scripts';
  if (!existsSync(join(sources, 'dfinity+motoko/repo')))
    return { suite: name, passed: 0, failed: 0, note: `left out: no dfinity+motoko in ${sources}` };
  const report = await withNetwork(['--cost-schedule', 'free'], (url) =>
    suite(
      'drun-suite.mjs',
      ['--url', url, '--quiet', ...(flags.reduced ? ['--only', REDUCED_SCRIPTS] : [])],
      'drun.json',
      2400,
    ),
  );
  const rows = (report.tests ?? []).filter((row) => row.status !== 'skipped' && row.compilerOnly !== true);
  const bad = rows.filter((row) => row.status !== 'pass');
  for (const row of bad) console.error(`  motoko ${row.id}: ${row.status} ${row.reason ?? ''}`);
  const enough = rows.length > 0 && (rows.length - bad.length) / rows.length >= 0.95;
  return {
    suite: name,
    passed: rows.length - bad.length,
    failed: enough ? 0 : Math.max(1, bad.length),
    note: bad.length === 0 ? `${rows.length} variants` : `not counted: ${bad.map((row) => row.id).join(', ')}`,
  };
}

async function wasmSpecification(): Promise<Verdict> {
  const name = 'WebAssembly specification suite';
  if (!existsSync(join(sources, 'WebAssembly+testsuite/repo')))
    return { suite: name, passed: 0, failed: 0, note: `left out: no WebAssembly+testsuite in ${sources}` };
  const report = await suite('wasm-spec.mjs', ['--instrument', rewriter, '--quiet'], 'wasm-spec.json', 2400);
  const required = new Set(['core', 'simd', 'memory64', 'tail-call']);
  const bad = (report.regressions ?? []).filter((row) => required.has(row.group));
  for (const row of bad) console.error(`  wasm-spec ${row.file}:${row.line ?? ''} ${row.why ?? ''}`);
  return {
    suite: name,
    passed: report.summary?.same ?? 0,
    failed: bad.length,
    note: 'groups core, simd, memory64, tail-call',
  };
}

async function randomModules(): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const variants = [
    ['exact', { canonicalNaN: false }, []],
    ['simd', { canonicalNaN: false }, ['--simd']],
    ['memory64', { canonicalNaN: false }, ['--memory64', '--tail-call']],
  ] as const;
  for (const [label, options, features] of variants) {
    const count = Math.ceil(fuzzModules / variants.length);
    const args = [
      '--instrument',
      rewriter,
      '--n',
      String(count),
      '--seed',
      `ci-${label}`,
      '--quiet',
      '--options',
      JSON.stringify(options),
      ...features,
    ];
    const counts = (await suite('wasm-fuzz.mjs', args, `fuzz-${label}.json`, 3600)).summary?.verdicts ?? {};
    const bad = ['diff', 'instrument-error', 'invalid-output', 'instrumented-timeout'].reduce(
      (sum, kind) => sum + (counts[kind] ?? 0),
      0,
    );
    verdicts.push({
      suite: `random modules, ${label}`,
      passed: counts['same'] ?? 0,
      failed: bad,
      note: JSON.stringify(counts),
    });
  }
  return verdicts;
}

/** The import table of ARCHITECTURE.md section 3, as a test: who may import whom, through gates only. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT, readSources, type SourceFile } from './source-tree/index.ts';

const EVERYTHING = [
  'model',
  'codec',
  'certification',
  'wasm',
  'wasi',
  'platform',
  'sandbox',
  'state',
  'replica',
  'consensus',
  'network',
  'attestation',
  'gateway',
  'node',
  'testing',
  'cli',
] as const;
type Module = (typeof EVERYTHING)[number];

const MAY_IMPORT: Readonly<Record<Module, readonly Module[]>> = {
  model: [],
  codec: ['model'],
  certification: ['model', 'codec'],
  wasm: ['model', 'codec'],
  wasi: ['model'],
  platform: ['model'],
  sandbox: ['model', 'codec', 'wasm', 'wasi', 'platform'],
  state: ['model', 'codec', 'certification', 'platform'],
  replica: ['model', 'codec', 'certification', 'wasm', 'sandbox', 'state'],
  // The engine decides when inputs and state are written down, so it holds the log and the checkpoints.
  consensus: ['model', 'codec', 'certification', 'platform', 'state', 'replica'],
  network: ['model', 'codec', 'certification', 'platform', 'replica'],
  attestation: ['model', 'codec', 'certification', 'platform'],
  gateway: ['model', 'codec', 'certification', 'platform', 'replica', 'network'],
  node: EVERYTHING.filter((name) => name !== 'testing' && name !== 'cli'),
  testing: EVERYTHING.filter((name) => name !== 'cli'),
  cli: ['model', 'node', 'testing'],
};

/** Packages that a module may import. What is not listed imports none. */
const PACKAGES: Readonly<Partial<Record<Module, readonly string[]>>> = {
  codec: ['@noble/hashes'],
  certification: ['@noble/curves', '@noble/hashes', 'mcl-wasm'],
  wasm: ['@noble/hashes'],
  sandbox: ['@noble/hashes'],
  state: ['@noble/hashes'],
  replica: ['@noble/hashes', '@icp-sdk/core'],
  consensus: ['@noble/hashes'],
  gateway: ['@noble/curves', '@noble/hashes'],
  node: ['@noble/curves', '@noble/hashes'],
  testing: ['@icp-sdk/core', '@noble/hashes'],
  cli: ['@icp-sdk/core', '@noble/curves', 'motoko'],
};

/** Modules that run in a browser too, or must be deterministic: nothing of Node. */
const WITHOUT_NODE: readonly Module[] = [
  'model',
  'codec',
  'certification',
  'wasm',
  'wasi',
  'sandbox',
  'state',
  'replica',
  'consensus',
  'network',
];

const sources = readSources('src');

test('every folder of src is a module of the table', () => {
  const folders = readdirSync(path.join(ROOT, 'src'));
  assert.deepEqual(
    folders.filter((name) => !(EVERYTHING as readonly string[]).includes(name)),
    [],
  );
});

test('ARCHITECTURE.md shows this table', () => {
  const text = readFileSync(path.join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const rows = new Map(
    [...text.matchAll(/^\| `(\w+)` \| .* \| ([^|]+) \|$/gm)].map((row) => [row[1] ?? '', row[2] ?? '']),
  );
  for (const name of EVERYTHING) {
    const shown = rows.get(name) ?? '';
    const but = /^everything but (.*)$/.exec(shown)?.[1]?.split(', ');
    const expected =
      but !== undefined ? EVERYTHING.filter((other) => !but.includes(other)) : shown === '–' ? [] : shown.split(', ');
    assert.deepEqual([...MAY_IMPORT[name]].sort(), [...expected].sort(), name);
  }
});

test('modules import only what the table allows', () => {
  const broken: string[] = [];
  for (const file of sources) {
    if (isTest(file)) continue;
    const from = moduleOf(file.path);
    for (const { specifier, line } of file.imports) {
      if (!specifier.startsWith('.')) continue;
      const to = moduleOf(resolve(file, specifier));
      if (to !== from && !MAY_IMPORT[from].includes(to)) broken.push(`${file.path}:${line} imports ${to}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('nobody imports past a gate', () => {
  const broken: string[] = [];
  for (const file of sources) {
    for (const { specifier, line } of file.imports) {
      if (!specifier.startsWith('.')) continue;
      const target = resolve(file, specifier);
      const gate = closedGate(file.path, target);
      if (gate !== undefined) broken.push(`${file.path}:${line} imports ${target} past ${gate}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('packages are imported only where they are expected', () => {
  const broken: string[] = [];
  for (const file of sources) {
    if (isTest(file)) continue;
    const allowed = PACKAGES[moduleOf(file.path)] ?? [];
    for (const { specifier, line } of file.imports) {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) continue;
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      if (!allowed.includes(name)) broken.push(`${file.path}:${line} imports the package ${name}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('deterministic and browser-safe modules import nothing of Node', () => {
  const broken: string[] = [];
  for (const file of sources) {
    if (isTest(file) || !WITHOUT_NODE.includes(moduleOf(file.path))) continue;
    for (const { specifier, line } of file.imports)
      if (specifier.startsWith('node:')) broken.push(`${file.path}:${line} imports ${specifier}`);
  }
  assert.deepEqual(broken, []);
});

test('every relative import exists', () => {
  const broken: string[] = [];
  for (const file of sources)
    for (const { specifier, line } of file.imports)
      if (specifier.startsWith('.') && !existsSync(path.join(ROOT, resolve(file, specifier))))
        broken.push(`${file.path}:${line} imports ${specifier}`);
  assert.deepEqual(broken, []);
});

function isTest(file: SourceFile): boolean {
  return /\.(test|fuzz|bench)\.ts$/.test(file.path) || file.path.includes('/test-');
}

function moduleOf(file: string): Module {
  const name = file.split('/')[1];
  const found = EVERYTHING.find((module) => module === name);
  assert.ok(found !== undefined && file.startsWith('src/'), `${file} belongs to no module`);
  return found;
}

function resolve(file: SourceFile, specifier: string): string {
  return path.posix.normalize(path.posix.join(path.posix.dirname(file.path), specifier));
}

/** The outermost folder that `target` lies in and `from` does not, when the import goes around its index.ts. */
function closedGate(from: string, target: string): string | undefined {
  const parts = target.split('/');
  for (let depth = 2; depth < parts.length; depth++) {
    const folder = `${parts.slice(0, depth).join('/')}/`;
    if (from.startsWith(folder)) continue;
    return target === `${folder}index.ts` ? undefined : `${folder}index.ts`;
  }
  return undefined;
}

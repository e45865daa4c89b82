/** House rules as a test: names, gates, leftovers, lengths, determinism. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { missingFromLock } from './lock-file/index.ts';
import { filesBelow, ROOT, readSources } from './source-tree/index.ts';

const sources = ['src', 'test', 'bench', 'bin']
  .flatMap(readSources)
  .filter((file) => !file.path.startsWith('test/legacy-agent/'));

/** Lines a file may have. What is longer today may only become shorter: lower its number when it does. */
const LINES_MAX = 800;
const LONGER: Readonly<Record<string, number>> = {
  'src/wasm/function-rewriter.ts': 2100,
  'src/wasm/rewriter.ts': 850,
};

test('files are named after a noun, in kebab-case', () => {
  const drawers = /(^|\/)(utils?|common|helpers?|misc|shared|types)(\.|\/)/;
  const named = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|fuzz|bench))?\.(ts|mts|mjs)$/;
  const broken = sources
    .map((file) => file.path)
    .filter((file) => drawers.test(file) || !named.test(path.posix.basename(file)));
  assert.deepEqual(broken, []);
});

test('every folder of src has a gate that opens with prose', () => {
  const folders = new Set(filesBelow('src').map((file) => path.posix.dirname(file)));
  folders.delete('src');
  const broken: string[] = [];
  for (const folder of [...folders].sort()) {
    const gate = sources.find((file) => file.path === `${folder}/index.ts`);
    if (gate === undefined) broken.push(`${folder} has no index.ts`);
    else {
      const prose = /^\/\*\*([\s\S]*?)\*\//.exec(gate.text)?.[1] ?? '';
      if (prose.replace(/[\s*]+/g, ' ').length < 80) broken.push(`${gate.path} does not open with prose`);
    }
  }
  assert.deepEqual(broken, []);
});

test('nothing is left for later, focused or switched off', () => {
  // Written apart so that this file does not find itself.
  const leftovers = [
    new RegExp(['TO', 'DO|FIX', 'ME|XX', 'X:|debug', 'ger;|@ts-', 'ignore|@ts-', 'nocheck'].join('')),
    /\b(test|it|describe|suite)\.(only|skip|todo)\(/,
    /\b(test|it|describe|suite)\((['"`]).*\2, \{[^}]*\b(only|skip|todo)\b/,
  ];
  const broken: string[] = [];
  for (const file of sources)
    for (const [index, line] of file.text.split('\n').entries())
      for (const leftover of leftovers)
        if (leftover.test(line)) broken.push(`${file.path}:${index + 1} ${line.trim()}`);
  assert.deepEqual(broken, []);
});

test('files stay short', () => {
  const broken: string[] = [];
  for (const file of sources) {
    const lines = file.text.split('\n').length;
    const limit = LONGER[file.path] ?? LINES_MAX;
    if (lines > limit) broken.push(`${file.path} has ${lines} lines, more than ${limit}`);
  }
  assert.deepEqual(broken, []);
  for (const [file, limit] of Object.entries(LONGER)) {
    const lines = readFileSync(path.join(ROOT, file), 'utf8').split('\n').length;
    assert.ok(lines > limit - 100, `${file} has only ${lines} lines: lower its limit of ${limit}`);
  }
});

test('replicated code has no clock, no chance and no timers', () => {
  const outside =
    /\bDate\.now\b|\bnew Date\b|\bMath\.random\b|\bperformance\.now\b|\bsetTimeout\(|\bsetInterval\(|\bsetImmediate\(|\bprocess\.|\bcrypto\.getRandomValues\b|\bfetch\(/;
  const broken: string[] = [];
  for (const file of sources) {
    if (!/^src\/(model|codec|wasm|wasi|sandbox|state|replica)\//.test(file.path)) continue;
    if (/\.(test|fuzz|bench)\.ts$/.test(file.path) || file.path.includes('/test-')) continue;
    for (const [index, line] of file.code.split('\n').entries()) {
      const match = outside.exec(line);
      if (match !== null) broken.push(`${file.path}:${index + 1} ${match[0]}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('every file that the README links to exists', () => {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const files = new Set([...filesBelow('docs'), ...filesBelow('examples')]);
  const broken = [...readme.matchAll(/\]\(((?:docs|examples)\/[^)#]+)\)/g)]
    .map((match) => match[1] ?? '')
    .filter((link) => !files.has(link) && ![...files].some((file) => file.startsWith(link.replace(/\/?$/, '/'))));
  assert.deepEqual(broken, []);
});

test('the lock file names the packages of every platform (else: npm run lock)', () => {
  assert.deepEqual([...missingFromLock().keys()], []);
});

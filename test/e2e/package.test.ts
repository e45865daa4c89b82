/** The published package: packed, installed without scripts into an empty project, started, imported, type-checked. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT } from '../source-tree/index.ts';

let folder = '';
let project = '';

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'perdure-package-'));
  project = path.join(folder, 'project');
  mkdirSync(project);
  await run('npm', ['pack', '--pack-destination', folder], ROOT);
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
  writeFileSync(path.join(project, 'package.json'), JSON.stringify({ name: 'project', private: true, type: 'module' }));
  const flags = ['--ignore-scripts', '--no-fund', '--no-audit', '--prefer-offline', '--omit=peer'];
  await run('npm', ['install', ...flags, path.join(folder, archive)], project);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program with an environment of its own: what npm tells its scripts would mislead it. */
async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_(?!config_cache)|NODE_TEST)/i.test(name)),
  );
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const collect = (chunk: Buffer): void => {
    text += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  assert.equal(code, 0, `${program} ${args.join(' ')}\n${text}`);
  return text;
}

const installed = (...parts: string[]): string => path.join(project, 'node_modules', 'perdure', ...parts);

test('it holds what is needed and nothing else', () => {
  assert.deepEqual(readdirSync(installed()).sort(), [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'SECURITY.md',
    'bin',
    'dist',
    'examples',
    'package.json',
  ]);
  const files = readdirSync(installed('dist'), { recursive: true, encoding: 'utf8' });
  assert.deepEqual(
    files.filter((file) => /\.(test|fuzz|bench)\./.test(file) || (file.endsWith('.ts') && !file.endsWith('.d.ts'))),
    [],
  );
  assert.ok(!existsSync(path.join(project, 'node_modules', 'typescript')));
});

test('it starts a network, deploys and calls', async () => {
  const program = installed('bin', 'perdure.mjs');
  const script = `
    import { spawn, execFileSync } from 'node:child_process';
    const network = spawn(process.execPath, [${JSON.stringify(program)}, 'start', '--port', '0', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise((resolve) => network.stdout.once('data', (data) => resolve(JSON.parse(data))));
    const cli = (...args) => execFileSync(process.execPath, [${JSON.stringify(program)}, ...args], {
      encoding: 'utf8', env: { ...process.env, PERDURE_NETWORK: line.url, PERDURE_CONFIG_DIR: 'config' } });
    cli('deploy', 'node_modules/perdure/examples/tally/tally.wasm');
    console.log(cli('call', 'tally', 'increment').trim());
    network.kill('SIGTERM');
    console.log('exit', await new Promise((resolve) => network.on('exit', resolve)));
  `;
  writeFileSync(path.join(project, 'start.mjs'), script);
  assert.match(await run(process.execPath, ['start.mjs'], project), /\(1 : nat64\)\nexit 0\n$/);
});

test('its testing library runs the example project', async () => {
  cpSync(installed('examples', 'testing', 'counter.test.mjs'), path.join(project, 'testing', 'counter.test.mjs'));
  cpSync(installed('examples', 'tally'), path.join(project, 'tally'), { recursive: true });
  assert.match(await run(process.execPath, ['--test', 'testing/counter.test.mjs'], project), /pass 1\b/);
});

test('its types are understood', async () => {
  writeFileSync(
    path.join(project, 'use.ts'),
    `import { createNetwork, CallRejected, type InProcessNetwork } from 'perdure/testing';
export async function use(): Promise<number> {
  const network: InProcessNetwork = await createNetwork({ seed: 7 });
  const reply: Uint8Array = await network.update('aaaaa-aa', 'raw_rand');
  if (reply.length === 0) throw new CallRejected({ rejectCode: 4, message: 'empty' });
  await network.close();
  return reply.length;
}
`,
  );
  const tsc = path.join(ROOT, 'node_modules', '.bin', 'tsc');
  const types = path.join(ROOT, 'node_modules', '@types');
  const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--lib', 'esnext,dom'];
  await run(tsc, [...flags, '--typeRoots', types, '--types', 'node', 'use.ts'], project);
});

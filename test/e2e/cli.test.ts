/** The command line against a real network, through real pipes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { NetworkProcess, PERDURE, runCli } from '../network-process/index.ts';
import { ROOT } from '../source-tree/index.ts';

const EXAMPLES = path.join(ROOT, 'examples');
let network: NetworkProcess;
let folder = '';
let env: NodeJS.ProcessEnv = {};

before(async () => {
  network = await NetworkProcess.start();
  folder = mkdtempSync(path.join(tmpdir(), 'perdure-cli-'));
  env = { PERDURE_NETWORK: network.url, PERDURE_CONFIG_DIR: path.join(folder, 'config') };
});
after(async () => {
  await network[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function ok(...args: string[]): Promise<string> {
  const result = await runCli(args, { cwd: folder, env });
  assert.equal(result.code, 0, `perdure ${args.join(' ')}\n${result.stderr}`);
  return result.stdout.trimEnd();
}

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const text = await ok(...args, '--json');
  assert.equal(text.split('\n').length, 1, text);
  return JSON.parse(text) as Record<string, unknown>;
}

async function failing(code: number, ...args: string[]): Promise<string> {
  const result = await runCli(args, { cwd: folder, env });
  assert.equal(result.code, code, `perdure ${args.join(' ')}\n${result.stdout}${result.stderr}`);
  assert.equal(result.stdout, '');
  return result.stderr;
}

test('deploy, call, query, upgrade, stop, start, logs, delete', async () => {
  const tally = path.join(EXAMPLES, 'tally', 'tally.wasm');
  const first = await json('deploy', tally);
  assert.equal(first['name'], 'tally');
  assert.equal(first['action'], 'install');
  assert.equal(await ok('call', 'tally', 'increment'), '(1 : nat64)');
  assert.equal(await ok('call', 'tally', 'set', '(41)'), '()');
  assert.deepEqual(await json('call', 'tally', 'increment', '()'), {
    candid: '(42 : nat64)',
    value: ['42'],
    hex: '4449444c0001782a00000000000000',
  });
  assert.equal(await ok('query', 'tally', 'get'), '(42 : nat64)');
  assert.match(await ok('call', 'tally'), /^get : .*query$/m);

  assert.equal((await json('deploy', tally))['action'], 'none');
  assert.equal((await json('deploy', tally, '--mode', 'upgrade'))['action'], 'upgrade');
  assert.equal(await ok('query', 'tally', 'get'), '(42 : nat64)');
  assert.match(await ok('canister', 'logs', 'tally'), /\[0\. .*\] tally was upgraded$/);

  const status = await json('canister', 'status', 'tally');
  assert.equal(status['status'], 'running');
  assert.equal(status['moduleHash'], first['moduleHash']);
  assert.match(await ok('canister', 'list'), new RegExp(`tally +${String(first['id'])} +installed`));

  assert.match(await failing(1, 'canister', 'delete', 'tally', '--yes'), /must be stopped/);
  await ok('canister', 'stop', 'tally');
  assert.equal((await json('canister', 'status', 'tally'))['status'], 'stopped');
  assert.match(await failing(1, 'call', 'tally', 'increment'), /IC0508/);
  await ok('canister', 'start', 'tally');
  assert.equal(await ok('call', 'tally', 'increment'), '(43 : nat64)');
  await ok('canister', 'stop', 'tally');
  assert.match(await failing(2, 'canister', 'delete', 'tally'), /--yes/);
  await ok('canister', 'delete', 'tally', '--yes');
  assert.equal(await ok('canister', 'list'), 'NAME  ID  STATE  MODULE');
});

test('a project folder: names, arguments, modes', async () => {
  const project = path.join(folder, 'project');
  mkdirSync(project);
  copyFileSync(path.join(EXAMPLES, 'tally', 'tally.wasm'), path.join(project, 'tally.wasm'));
  copyFileSync(path.join(EXAMPLES, 'tally', 'tally.did'), path.join(project, 'tally.did'));
  writeFileSync(
    path.join(project, 'perdure.json'),
    JSON.stringify({ canisters: { a: { source: 'tally.wasm' }, b: { source: 'tally.wasm' } } }),
  );
  const deployed = (await ok('deploy', 'project', '--json'))
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string });
  assert.deepEqual(
    deployed.map(({ name }) => name),
    ['a', 'b'],
  );
  assert.ok(existsSync(path.join(project, '.perdure-canisters.json')));
  const inside = { cwd: project, env };
  assert.equal((await runCli(['call', 'a', 'increment'], inside)).stdout, '(1 : nat64)\n');
  assert.equal((await runCli(['query', 'b', 'get'], inside)).stdout, '(0 : nat64)\n');
  assert.match(await failing(2, 'deploy', 'project', '--mode', 'reinstall'), /throws the state of the canister away/);
  await ok('deploy', 'project', '--name', 'a', '--mode', 'reinstall', '--yes');
  assert.equal((await runCli(['query', 'a', 'get'], inside)).stdout, '(0 : nat64)\n');
});

test('a module that is too large for one call goes in chunks', async () => {
  const tally = readFileSync(path.join(EXAMPLES, 'tally', 'tally.wasm'));
  // A custom section of noise, which does not compress.
  const noise = randomBytes(2_500_000);
  const size = noise.length + 2;
  const header = Uint8Array.of(
    0,
    (size & 127) | 128,
    ((size >> 7) & 127) | 128,
    ((size >> 14) & 127) | 128,
    size >> 21,
  );
  const section = Buffer.concat([header, Uint8Array.of(1, 0x70), noise]);
  writeFileSync(path.join(folder, 'large.wasm'), Buffer.concat([tally, section]));
  const result = await runCli(['deploy', 'large.wasm'], { cwd: folder, env });
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stderr, /uploaded 1,000 kB of 2,50\d kB[\s\S]*uploaded 2,50\d kB of 2,50\d kB/);
  assert.match(await ok('call', 'large', 'increment'), /^\(1 : nat64\)$/);
});

test('identities: who deployed controls, others do not', async () => {
  await ok('identity', 'new', 'alice');
  const alice = await json(
    'deploy',
    path.join(EXAMPLES, 'tally', 'tally.wasm'),
    '--name',
    'hers',
    '--identity',
    'alice',
  );
  const id = String(alice['id']);
  await ok('identity', 'new', 'bob', '--use');
  assert.match(await failing(1, 'canister', 'stop', id), /Only controllers of canister/);
  assert.match(await failing(1, 'canister', 'stop', id), /IC0512/);
  await ok('canister', 'stop', id, '--identity', 'alice');
  const identities = JSON.parse(await ok('identity', 'list', '--json')) as { name: string; current: boolean }[];
  assert.deepEqual(
    identities.filter(({ current }) => current).map(({ name }) => name),
    ['bob'],
  );
  await ok('identity', 'use', 'default');
});

test('mistakes say what, why and how to fix them', async () => {
  assert.match(await failing(3, 'call', 'nobody', 'x'), /there is no canister nobody[\s\S]*Why:[\s\S]*Fix:/);
  assert.match(await failing(3, 'deploy', 'missing.wasm'), /does not exist/);
  writeFileSync(path.join(folder, 'text.wasm'), 'hello');
  assert.match(await failing(3, 'deploy', 'text.wasm'), /is not a WebAssembly module/);
  writeFileSync(path.join(folder, 'broken.wasm'), Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 99));
  assert.match(await failing(1, 'deploy', 'broken.wasm'), /IC0505/);
  assert.match(await failing(2, 'start', '--port', '99999'), /--port 99999 is not a number from 0 to 65535/);
  assert.match(await failing(2, 'deploy', '--mode', 'sideways'), /choose one of auto, install, reinstall, upgrade/);
  const tally = await json('deploy', path.join(EXAMPLES, 'tally', 'tally.wasm'), '--name', 'mistakes');
  const id = String(tally['id']);
  assert.match(await failing(3, 'call', id, 'missing'), /has no method missing[\s\S]*get, increment, set/);
  assert.match(await failing(2, 'call', id, 'set', '("x")'), /expected nat64, found a text[\s\S]*set takes \(nat64\)/);
  const { code, stderr } = await runCli(['call', id, 'set', '--argument-hex', '00', '--json'], { cwd: folder, env });
  assert.equal(code, 1);
  const { error } = JSON.parse(stderr) as { error: Record<string, unknown> };
  assert.equal(error['errorCode'], 'IC0503');
  assert.equal(error['rejectCode'], 5);
  assert.match(String(error['what']), /set takes one nat64/);
  const down = await runCli(['query', id, 'get', '--network', 'http://127.0.0.1:9'], { cwd: folder, env });
  assert.equal(down.code, 4);
  assert.match(down.stderr, /no network answers at http:\/\/127.0.0.1:9/);
});

test('a reader that goes away ends the command quietly', async () => {
  const child = spawn(process.execPath, [PERDURE, 'limits'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (text: Buffer) => {
    stderr += text.toString();
  });
  child.stdout.destroy();
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0);
  assert.equal(stderr, '');
});

test('help names every option; the names file holds only names', async () => {
  assert.match(await ok('deploy', '--help'), /--mode MODE/);
  assert.match(await ok('--help'), /canister status/);
  const book = readFileSync(path.join(folder, '.perdure-canisters.json'), 'utf8');
  assert.doesNotMatch(book, /PRIVATE|seed/);
});

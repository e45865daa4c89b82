/**
 * Start to ready, and latency and throughput of updates and queries through the whole path of a real process with a
 * state directory on disk: `node bench/network/run.ts [--quick]`. The server is pinned to one processor and the
 * client to another where `taskset` exists. Stage shares come from the server's own `/metrics`. Prints Markdown.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Principal } from '@icp-sdk/core/principal';
import type { LoadOptions, LoadResult } from './load.ts';

const root = resolve(import.meta.dirname, '../..');
const quick = process.argv.includes('--quick');
const pinned = cpus().length > 1 && has('taskset');
const stateDir = mkdtempSync(join(tmpdir(), 'perdure-bench-'));

try {
  await startToReady();
  await load();
} finally {
  rmSync(stateDir, { recursive: true, force: true });
}

async function startToReady(): Promise<void> {
  const fresh: number[] = [];
  const again: number[] = [];
  for (let i = 0; i < (quick ? 1 : 7); i++) {
    const dir = mkdtempSync(join(tmpdir(), 'perdure-bench-start-'));
    for (const times of [fresh, again]) {
      const startedAt = performance.now();
      const server = await start(dir);
      times.push(performance.now() - startedAt);
      await stop(server.child);
    }
    rmSync(dir, { recursive: true, force: true });
  }
  console.log('## Start to ready (spawn of the process to the ready line)\n');
  console.log('| state directory | median ms | min | max |\n|---|---|---|---|');
  for (const [name, times] of [
    ['fresh', fresh],
    ['existing, after a clean stop', again],
  ] as const) {
    times.sort((a, b) => a - b);
    console.log(
      `| ${name} | ${times[times.length >> 1]?.toFixed(0)} | ${times[0]?.toFixed(0)} | ${times.at(-1)?.toFixed(0)} |`,
    );
  }
}

async function load(): Promise<void> {
  const server = await start(stateDir);
  const canister = await install(server.url);
  console.log(
    `\n## Load, ${pinned ? 'server on one processor, client on another' : 'server and client share the processors'}\n`,
  );
  console.log('| request | connections | per second | p50 ms | p99 ms | failed |\n|---|---|---|---|---|---|');
  const shares: string[] = [];
  for (const [kind, method, signed] of [
    ['call', 'increment', true],
    ['call', 'increment', false],
    ['query', 'get', true],
    ['query', 'get', false],
  ] as const) {
    for (const connections of [1, 8, 64]) {
      const before = await stages(server.url);
      const count = quick ? 50 : kind === 'call' ? 1500 * (connections === 1 ? 1 : 3) : 5000;
      const result = runLoad({
        url: server.url,
        canister,
        method,
        kind,
        signed,
        connections,
        warmup: Math.max(connections * 4, count >> 2),
        requests: count,
        arg: '4449444c0000',
      });
      const label = `${kind === 'call' ? 'update' : 'query'}, ${signed ? 'signed' : 'anonymous'}`;
      console.log(
        `| ${label} | ${connections} | ${result.perSecond.toFixed(0)} | ${result.p50Ms.toFixed(2)} | ${result.p99Ms.toFixed(2)} | ${result.failed} |`,
      );
      if (result.firstFailure !== undefined) console.error(result.firstFailure);
      shares.push(`| ${label} | ${connections} | ${share(before, await stages(server.url))} |`);
    }
  }
  console.log('\n## Where the time goes (mean µs of each stage, as the server measures it; stages overlap)\n');
  console.log('| request | connections | stages |\n|---|---|---|');
  console.log(shares.join('\n'));
  await stop(server.child);
}

function start(dir: string): Promise<{ child: ChildProcess; url: string }> {
  const args = [join(root, 'bin/perdure.mjs'), 'start', '--json', '--port', '0', '--state-dir', dir];
  const [command, full] = pinned ? ['taskset', ['-c', '0', process.execPath, ...args]] : [process.execPath, args];
  const child = spawn(command as string, full as string[], { stdio: ['ignore', 'pipe', 'ignore'] });
  return new Promise((settle, fail) => {
    let text = '';
    child.stdout?.on('data', (data: Buffer) => {
      text += data.toString();
      const line = text
        .split('\n')
        .slice(0, -1)
        .find((l) => l.includes('"ready"'));
      if (line !== undefined) settle({ child, url: (JSON.parse(line) as { url: string }).url });
    });
    child.on('exit', (code) => fail(new Error(`the server stopped before it was ready (exit code ${code})`)));
  });
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((settle) => {
    child.on('exit', () => settle());
    child.kill('SIGTERM');
  });
}

async function install(url: string): Promise<string> {
  const agent = await HttpAgent.create({ host: url, shouldFetchRootKey: true });
  const management = Principal.managementCanister();
  const create = IDL.Record({ amount: IDL.Opt(IDL.Nat) });
  const created = await agent.update(management, {
    methodName: 'provisional_create_canister_with_cycles',
    arg: IDL.encode([create], [{ amount: [10n ** 15n] }]),
    effectiveCanisterId: Principal.fromText('rwlgt-iiaaa-aaaaa-aaaaa-cai'),
  });
  const reply = Uint8Array.from(created.reply as Uint8Array);
  const [{ canister_id: id }] = IDL.decode([IDL.Record({ canister_id: IDL.Principal })], reply) as unknown as [
    { canister_id: Principal },
  ];
  const mode = IDL.Variant({ install: IDL.Null });
  const record = IDL.Record({
    mode,
    canister_id: IDL.Principal,
    wasm_module: IDL.Vec(IDL.Nat8),
    arg: IDL.Vec(IDL.Nat8),
  });
  const wasm = Uint8Array.from(readFileSync(join(root, 'examples/tally/tally.wasm')));
  await agent.update(management, {
    methodName: 'install_code',
    arg: IDL.encode([record], [{ mode: { install: null }, canister_id: id, wasm_module: wasm, arg: new Uint8Array() }]),
    effectiveCanisterId: id,
  });
  return id.toText();
}

function runLoad(options: LoadOptions): LoadResult {
  const args = [join(root, 'bench/network/load.ts'), JSON.stringify(options)];
  const [command, full] = pinned ? ['taskset', ['-c', '1', process.execPath, ...args]] : [process.execPath, args];
  return JSON.parse(execFileSync(command as string, full as string[], { encoding: 'utf8' })) as LoadResult;
}

type Stages = Map<string, { sum: number; count: number }>;

async function stages(url: string): Promise<Stages> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const found: Stages = new Map();
  for (const [, part, stage, value] of text.matchAll(/^perdure_stage_seconds_(sum|count)\{stage="(\w+)"\} (\S+)$/gm)) {
    const entry = found.get(stage as string) ?? { sum: 0, count: 0 };
    entry[part as 'sum' | 'count'] = Number(value);
    found.set(stage as string, entry);
  }
  return found;
}

function share(before: Stages, after: Stages): string {
  const parts: string[] = [];
  for (const [stage, { sum, count }] of after) {
    const earlier = before.get(stage) ?? { sum: 0, count: 0 };
    const times = count - earlier.count;
    if (times > 0) parts.push(`${stage} ${(((sum - earlier.sum) / times) * 1e6).toFixed(0)} (×${times})`);
  }
  return parts.join(', ');
}

function has(command: string): boolean {
  try {
    execFileSync('which', [command], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFAULT_LIMITS } from '../../model/index.ts';
import { CliError, ExitCode } from '../cli-error.ts';
import type { Command, Invocation } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import { version } from '../version.ts';

const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
const DEFAULT_PORT = 8000;
const EXAMPLES = new URL('../../../examples/', import.meta.url);

export const start: Command = {
  usage: '',
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    port: { type: 'string', short: 'p', placeholder: 'N', help: `port, 0 for any free one (default: ${DEFAULT_PORT})` },
    host: { type: 'string', placeholder: 'H', help: 'address to listen on (default: 127.0.0.1)' },
    'state-dir': { type: 'string', placeholder: 'DIR', help: 'where everything is kept (default: .perdure)' },
    ephemeral: { type: 'boolean', help: 'keep nothing on disk' },
    'cost-schedule': {
      type: 'string',
      placeholder: 'normal|free',
      help: 'prices of a new network: as on the real one, or none (default: normal)',
    },
    'checkpoint-rounds': {
      type: 'string',
      placeholder: 'N',
      help: 'write a checkpoint every N rounds: rarely, and starting after a crash takes longer (default: 500)',
    },
    'log-level': { type: 'string', placeholder: 'LEVEL', help: `${LOG_LEVELS.join(', ')} (default: info)` },
    'deploy-examples': { type: 'boolean', help: 'deploy the examples into a new network' },
  },
  examples: ['perdure start', 'perdure start --port 0 --ephemeral --json'],
  async run(invocation) {
    const { terminal } = invocation;
    const port = invocation.integer('port', 0, 65_535) ?? DEFAULT_PORT;
    const costSchedule = invocation.choice('cost-schedule', ['normal', 'free']) ?? 'normal';
    const checkpointRounds = invocation.integer('checkpoint-rounds', 1, 1e12);
    const level = invocation.choice('log-level', LOG_LEVELS) ?? 'info';
    if (invocation.flag('ephemeral') && invocation.text('state-dir') !== undefined)
      throw new CliError('usage', ExitCode.Usage, '--ephemeral and --state-dir exclude each other', {
        fix: 'leave one of them out',
      });
    const stateDir = invocation.flag('ephemeral')
      ? undefined
      : path.resolve(invocation.text('state-dir') ?? '.perdure');
    const { Log, NodeError, openNode } = await import('../../node/index.ts');
    const log = new Log({ write: (line) => terminal.note(line), level, json: terminal.json });
    let node: Awaited<ReturnType<typeof openNode>>;
    try {
      node = await openNode({
        ...(stateDir === undefined ? {} : { stateDir }),
        listen: { host: invocation.text('host') ?? '127.0.0.1', port },
        costSchedule,
        ...(checkpointRounds === undefined ? {} : { limits: { ...DEFAULT_LIMITS, checkpointRounds } }),
        log,
        implementationVersion: version(),
      });
    } catch (error) {
      throw error instanceof NodeError ? explained(error) : error;
    }
    const signalled = signal(terminal);
    const url = node.url ?? '';
    announce(terminal, url, node.rootKey, stateDir);
    // Now, because a process that is killed could not do it later: the next start is faster.
    flushCompileCache();
    if (invocation.flag('deploy-examples') && node.fresh) void deployExamples(url, invocation, signalled.promise);
    const failure = await Promise.race([signalled.promise, node.failed]);
    await node.stop();
    signalled.done();
    if (failure instanceof NodeError) throw explained(failure);
    if (failure instanceof Error) throw failure;
  },
};

function explained(error: {
  code: string;
  message: string;
  why: string | undefined;
  fix: string | undefined;
}): CliError {
  return new CliError(error.code, ExitCode.Environment, error.message, {
    ...(error.why === undefined ? {} : { why: error.why }),
    ...(error.fix === undefined ? {} : { fix: error.fix }),
    cause: error,
  });
}

function announce(terminal: Terminal, url: string, key: Uint8Array, stateDir: string | undefined): void {
  const rootKey = Buffer.from(key).toString('hex');
  terminal.result(
    [
      `Perdure is ready at ${url}  (${Math.round(performance.now())} ms)`,
      stateDir === undefined
        ? 'Nothing is kept: the network is gone when this process ends.'
        : `State is kept in ${path.relative(process.cwd(), stateDir) || '.'}; Ctrl-C stops, "perdure start" goes on.`,
    ].join('\n'),
    { event: 'ready', url, rootKey, pid: process.pid },
  );
}

/** Resolves at the first Ctrl-C or SIGTERM; a second one ends the process at once, which the state survives too. */
function signal(terminal: Terminal): { readonly promise: Promise<undefined>; done(): void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let count = 0;
  const handler = (name: NodeJS.Signals): void => {
    if (++count > 1) process.exit(128 + (name === 'SIGINT' ? 2 : 15));
    if (!terminal.json) terminal.note('\nStopping; state is being written. Press Ctrl-C again to stop at once.');
    resolve(undefined);
  };
  process.on('SIGINT', handler);
  process.on('SIGTERM', handler);
  return {
    promise,
    done: () => {
      process.off('SIGINT', handler);
      process.off('SIGTERM', handler);
    },
  };
}

/** Deploys the examples in processes of their own, because compiling Motoko blocks a thread for seconds. */
async function deployExamples(url: string, { terminal }: Invocation, stopped: Promise<unknown>): Promise<void> {
  const examples = [
    { name: 'tally', file: 'tally/tally.wasm' },
    { name: 'counter', file: 'counter/counter.mo' },
  ];
  const deployed: string[] = [];
  for (const { name, file } of examples) {
    const source = fileURLToPath(new URL(file, EXAMPLES));
    if (existsSync(source) && (await deployOne(name, source, url, stopped))) deployed.push(name);
  }
  if (terminal.json || deployed.length === 0) return;
  const command = process.env['npm_lifecycle_event'] === 'start' ? './bin/perdure.mjs' : 'perdure';
  const name = deployed.includes('counter') ? 'counter' : 'tally';
  terminal.note(`
Deployed: ${deployed.join(', ')}. In another terminal, try:

  ${command} call ${name} increment
  ${command} query ${name} get
  ${command} canister status ${name}

Then stop this process however you like, even with kill -9, start it again: it is all still there.`);
}

async function deployOne(name: string, source: string, url: string, stopped: Promise<unknown>): Promise<boolean> {
  const program = fileURLToPath(new URL('../../../bin/perdure.mjs', import.meta.url));
  const args = [program, 'deploy', source, '--name', name, '--network', url];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  void stopped.then(() => child.kill());
  child.stderr.pipe(process.stderr, { end: false });
  return new Promise((resolve) => {
    child.on('error', () => resolve(false));
    child.on('exit', (code) => resolve(code === 0));
  });
}

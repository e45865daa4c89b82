/**
 * A real network for end-to-end tests: the process that users start, with a state directory of its own in a temporary
 * folder, on a free port, observed only from outside.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { HttpAgent, type Identity } from '@icp-sdk/core/agent';
import { ROOT } from '../source-tree/index.ts';

/** The program that users run. */
export const PERDURE: string = path.join(ROOT, 'bin', 'perdure.mjs');

const READY_TIMEOUT_MS = 60_000;

export interface ReadyLine {
  readonly event: 'ready';
  readonly url: string;
  readonly rootKey: string;
  readonly pid: number;
}

export interface StartOptions {
  /** Undefined: a new temporary folder, removed at the end. */
  readonly stateDir?: string;
  readonly args?: readonly string[];
  /** Program and leading arguments to run it under, e.g. strace. */
  readonly under?: readonly string[];
  readonly nodeFlags?: readonly string[];
}

export class NetworkProcess implements AsyncDisposable {
  readonly ready: ReadyLine;
  readonly stateDir: string;
  readonly child: ChildProcess;
  /** Resolves to the exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  readonly #errors: string[];
  readonly #ownsFolder: boolean;

  private constructor(
    ready: ReadyLine,
    stateDir: string,
    child: ChildProcess,
    ended: Promise<number | NodeJS.Signals>,
    errors: string[],
    ownsFolder: boolean,
  ) {
    this.ready = ready;
    this.stateDir = stateDir;
    this.child = child;
    this.ended = ended;
    this.#errors = errors;
    this.#ownsFolder = ownsFolder;
  }

  /** Starts a network and waits until it is ready. Rejects with its stderr when it ends before. */
  static async start(options: StartOptions = {}): Promise<NetworkProcess> {
    const stateDir = options.stateDir ?? mkdtempSync(path.join(tmpdir(), 'perdure-e2e-'));
    const command = [
      ...(options.under ?? []),
      process.execPath,
      ...(options.nodeFlags ?? []),
      PERDURE,
      'start',
      '--json',
      '--port',
      '0',
      '--state-dir',
      stateDir,
      ...(options.args ?? []),
    ];
    const [program = '', ...args] = command;
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const errors: string[] = [];
    child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text));
    const ended = new Promise<number | NodeJS.Signals>((resolve) => {
      child.on('exit', (code, signal) => resolve(code ?? signal ?? 0));
    });
    const ready = await new Promise<ReadyLine>((resolve, reject) => {
      const failed = (why: string): void => {
        child.kill('SIGKILL');
        reject(new Error(`the network did not become ready: ${why}\n${errors.join('')}`));
      };
      const timer = setTimeout(() => failed('timeout'), READY_TIMEOUT_MS);
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        const end = text.indexOf('\n');
        if (end < 0) return;
        clearTimeout(timer);
        resolve(JSON.parse(text.slice(0, end)) as ReadyLine);
        text = '';
      });
      void ended.then((how) => {
        clearTimeout(timer);
        failed(`it ended with ${how}`);
      });
    });
    return new NetworkProcess(ready, stateDir, child, ended, errors, options.stateDir === undefined);
  }

  get url(): string {
    return this.ready.url;
  }

  /** What it has written to stderr so far. */
  get log(): string {
    return this.#errors.join('');
  }

  /** An official agent that trusts this network. */
  agent(identity?: Identity): HttpAgent {
    return HttpAgent.createSync({
      host: this.url,
      rootKey: Uint8Array.from(Buffer.from(this.ready.rootKey, 'hex')),
      ...(identity === undefined ? {} : { identity }),
    });
  }

  /** Ends the process without warning. */
  async kill(): Promise<void> {
    process.kill(this.ready.pid, 'SIGKILL');
    await this.ended;
  }

  /** Asks it to stop, as Ctrl-C does. @returns how it ended. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | NodeJS.Signals> {
    if (this.child.exitCode === null && this.child.signalCode === null) process.kill(this.ready.pid, signal);
    return this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      process.kill(this.ready.pid, 'SIGKILL');
      await this.ended;
    }
    if (this.#ownsFolder) rmSync(this.stateDir, { recursive: true, force: true });
  }
}

/** Runs a command line to its end. */
export async function runCli(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [PERDURE, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? -1));
  });
  return { code, stdout, stderr };
}

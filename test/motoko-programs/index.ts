/**
 * Motoko programs for the end-to-end tests, compiled when they are needed and kept in `.cache/` by the hash of their
 * source: compiling takes seconds. The compiler runs in a process of its own, because its modes cannot be reset.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../source-tree/index.ts';

/** Enhanced: all data stays in main memory (64 bit). Classic: it travels through stable memory (32 bit). */
export type Persistence = 'enhanced' | 'classic';

const CACHE = path.join(ROOT, '.cache', 'motoko');
/** Files of this folder that a program imports. */
const IMPORTS: Readonly<Record<string, readonly string[]>> = { factory: ['child'] };
const WORKER = fileURLToPath(new URL('./compile.cjs', import.meta.url));
const VERSION = (createRequire(import.meta.url)('motoko/package.json') as { readonly version: string }).version;

/** The compiled module of a program of this folder, e.g. `counter`. */
export async function motokoProgram(name: string, persistence: Persistence): Promise<Uint8Array<ArrayBuffer>> {
  const files = [name, ...(IMPORTS[name] ?? [])];
  const sources = files.map((each) => readFileSync(new URL(`./${each}.mo`, import.meta.url), 'utf8'));
  const key = createHash('sha256')
    .update([VERSION, persistence, ...sources].join('\n'))
    .digest('hex')
    .slice(0, 32);
  const file = path.join(CACHE, `${name}-${key}.wasm`);
  if (!existsSync(file)) {
    mkdirSync(CACHE, { recursive: true });
    const temporary = `${file}.${process.pid}`;
    await compile([temporary, persistence, ...files]);
    renameSync(temporary, file);
  }
  return Uint8Array.from(readFileSync(file));
}

function compile(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, ['--stack-size=4000', WORKER, ...args], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(errors.slice(0, 4000)))));
  });
}

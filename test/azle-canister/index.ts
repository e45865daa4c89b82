/**
 * A TypeScript canister built with Azle, in `.cache/`, when it is first needed. Azle is not a development dependency: its
 * install script wants tools that we do not have, and npm cannot leave out the scripts of one package alone.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../source-tree/index.ts';

const AZLE = '0.33.0';
const SOURCES = fileURLToPath(new URL('./project/', import.meta.url));
const CACHE = path.join(ROOT, '.cache', 'azle');

/** The compiled module, 3.5 MB. */
export async function azleCanister(): Promise<Uint8Array<ArrayBuffer>> {
  const hash = createHash('sha256').update(AZLE);
  for (const file of readdirSync(SOURCES).sort()) hash.update(file).update(readFileSync(path.join(SOURCES, file)));
  const built = path.join(CACHE, `notes-${hash.digest('hex').slice(0, 32)}.wasm`);
  if (!existsSync(built)) await build(built);
  return Uint8Array.from(readFileSync(built));
}

async function build(built: string): Promise<void> {
  const project = path.join(CACHE, 'project');
  mkdirSync(path.join(project, '.azle', 'notes'), { recursive: true });
  cpSync(SOURCES, project, { recursive: true });
  const flags = ['--ignore-scripts', '--no-fund', '--no-audit', '--no-package-lock', '--prefer-offline'];
  await run('npm', ['install', ...flags, `azle@${AZLE}`], project);
  const tsx = path.join(project, 'node_modules', 'tsx', 'dist', 'cli.mjs');
  await run(process.execPath, [tsx, path.join('node_modules', 'azle', 'src', 'build.ts'), 'build', 'notes'], project);
  renameSync(path.join(project, '.azle', 'notes', 'notes.wasm'), built);
}

/** Runs a program with an environment of its own: what npm tells its scripts would mislead it. */
async function run(program: string, args: readonly string[], cwd: string): Promise<void> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_(?!config_cache)|NODE_TEST)/i.test(name)),
  );
  // Azle starts `node` by its name.
  env['PATH'] = `${path.dirname(process.execPath)}${path.delimiter}${env['PATH'] ?? ''}`;
  env['CANISTER_CANDID_PATH'] = path.join(cwd, '.azle', 'notes', 'notes.did');
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
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}\n${text.slice(-4000)}`);
}

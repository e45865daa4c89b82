/**
 * A canister in TypeScript, made by Azle: bundled JavaScript and an interpreter of it, 3.5 MB. Azle is installed into
 * `.cache/azle` when the test needs it, because it is large and nothing else does; what it builds is kept there too.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../source-tree/index.ts';

const VERSION = '0.33.0';
const CACHE = path.join(ROOT, '.cache', 'azle');
const PROGRAM = new URL('./program.txt', import.meta.url);

/** The compiled module of program.txt. */
export async function azleProgram(): Promise<Uint8Array<ArrayBuffer>> {
  const source = readFileSync(PROGRAM, 'utf8');
  const key = createHash('sha256').update(`${VERSION}\n${source}`).digest('hex').slice(0, 32);
  const file = path.join(CACHE, `program-${key}.wasm`);
  if (!existsSync(file)) {
    const project = await prepared(source);
    await run(
      process.execPath,
      ['node_modules/tsx/dist/cli.mjs', 'node_modules/azle/src/build.ts', 'build', NAME],
      project,
    );
    renameSync(path.join(project, '.azle', NAME, `${NAME}.wasm`), file);
    rmSync(project, { recursive: true });
  }
  return Uint8Array.from(readFileSync(file));
}

const NAME = 'program';

/** A project folder as Azle wants it, with Azle installed. */
async function prepared(source: string): Promise<string> {
  const project = path.join(CACHE, `project-${process.pid}`);
  mkdirSync(path.join(project, 'src'), { recursive: true });
  if (!existsSync(path.join(CACHE, 'node_modules', 'azle'))) {
    writeFileSync(path.join(CACHE, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    // Its install script wants dfx, which building does not need.
    await run(
      'npm',
      ['install', '--ignore-scripts', '--no-fund', '--no-audit', '--save-exact', `azle@${VERSION}`],
      CACHE,
    );
  }
  cpSync(path.join(CACHE, 'package.json'), path.join(project, 'package.json'));
  symlinkSync(path.join(CACHE, 'node_modules'), path.join(project, 'node_modules'));
  writeFileSync(path.join(project, 'src', 'index.ts'), source);
  writeFileSync(
    path.join(project, 'dfx.json'),
    JSON.stringify({ canisters: { [NAME]: { type: 'azle', main: 'src/index.ts' } } }),
  );
  writeFileSync(
    path.join(project, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { strict: true, target: 'ES2020', moduleResolution: 'node', allowJs: true } }),
  );
  return project;
}

function run(program: string, args: readonly string[], folder: string): Promise<void> {
  const child = spawn(program, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CANISTER_CANDID_PATH: path.join(folder, '.azle', NAME, `${NAME}.did`) },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`${program} ${args.join(' ')} ended with ${code}: ${output.slice(-4000)}`)),
    );
  });
}

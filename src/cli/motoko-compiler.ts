import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { CliError, ExitCode } from './cli-error.ts';

/** The part of the npm package `motoko` that we use. */
interface Motoko {
  loadPackage(contents: unknown): void;
  write(file: string, content: string): void;
  usePackage(name: string, directory: string): void;
  setPublicMetadata(names: readonly string[]): void;
  wasm(file: string, mode: 'ic'): { readonly wasm: Uint8Array; readonly candid: string };
}

export interface CompiledMotoko {
  readonly wasm: Uint8Array;
  /** Interface, .did text. */
  readonly candid: string;
}

/**
 * Compiles a Motoko program with the npm package `motoko` (Motoko's own compiler, as JavaScript): an optional companion,
 * because it is large and not everybody writes Motoko. Takes seconds and blocks the thread.
 *
 * Files are given to the compiler by their real paths, so relative imports work; `mo:core` is the one that the package
 * brings along.
 * @param packages further packages: name to folder.
 * @throws CliError when the package is missing or the program does not compile.
 */
export function compileMotoko(file: string, packages: Readonly<Record<string, string>>): CompiledMotoko {
  const motoko = load(file);
  const written = new Set<string>();
  write(motoko, file, written);
  for (const [name, folder] of Object.entries(packages)) {
    for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
      if (entry.endsWith('.mo')) write(motoko, path.join(folder, entry), written);
    motoko.usePackage(name, virtual(folder));
  }
  motoko.setPublicMetadata(['candid:service', 'candid:args']);
  try {
    const { wasm, candid } = motoko.wasm(virtual(file), 'ic');
    return { wasm: Uint8Array.from(wasm), candid };
  } catch (error) {
    throw new CliError('motoko', ExitCode.Input, `${file} does not compile`, {
      why: (error instanceof Error ? error.message : String(error)).slice(0, 4000),
      ...(hintFor(error) === undefined ? {} : { fix: hintFor(error) ?? '' }),
    });
  }
}

function hintFor(error: unknown): string | undefined {
  const text = error instanceof Error ? error.message : '';
  if (/M0220/.test(text) || /persistent/.test(text)) return 'write "persistent actor" instead of "actor"';
  if (/mo:base/.test(text) || /package "?base"?/.test(text))
    return 'use mo:core, or name the folder of mo:base under "packages" in perdure.json';
  return undefined;
}

function load(file: string): Motoko {
  for (const from of [path.resolve(file), path.join(process.cwd(), 'package.json'), import.meta.url]) {
    const require = createRequire(from);
    try {
      require.resolve('motoko');
    } catch {
      continue;
    }
    const module = require('motoko') as Motoko & { readonly default?: Motoko };
    const motoko = module.default ?? module;
    motoko.loadPackage(require('motoko/packages/latest/core.json'));
    return motoko;
  }
  throw new CliError('motoko_missing', ExitCode.Input, `${file} is Motoko, and the Motoko compiler is not installed`, {
    why: 'it is an optional companion of perdure, because it is large',
    fix: 'run "npm install motoko" here, or deploy a compiled .wasm file',
  });
}

/** Gives a file and all that it imports by relative path to the compiler. */
function write(motoko: Motoko, file: string, written: Set<string>): void {
  const absolute = path.resolve(file);
  if (written.has(absolute)) return;
  written.add(absolute);
  if (!existsSync(absolute))
    throw new CliError('no_such_file', ExitCode.Input, `${file} does not exist`, { fix: 'check the import' });
  const text = readFileSync(absolute, 'utf8');
  motoko.write(virtual(absolute), text);
  for (const match of text.matchAll(/^\s*import\b[^"]*"([^"]+)"/gm)) {
    const target = match[1] ?? '';
    if (target.includes(':')) continue;
    const plain = path.resolve(path.dirname(absolute), target);
    const found = [`${plain}.mo`, plain, path.join(plain, 'lib.mo')].find(
      (candidate) => candidate.endsWith('.mo') && existsSync(candidate),
    );
    if (found !== undefined) write(motoko, found, written);
  }
}

/** Path of a file in the compiler's own file system. */
function virtual(file: string): string {
  return path
    .resolve(file)
    .replace(/^([A-Za-z]:)?[\\/]+/, '')
    .replaceAll('\\', '/');
}

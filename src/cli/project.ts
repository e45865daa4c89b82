import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { CliError, ExitCode } from './cli-error.ts';

/** A canister of a project, as far as `deploy` needs to know it. */
export interface ProjectCanister {
  readonly name: string;
  /** A .mo, .wasm or .wasm.gz file, absolute. */
  readonly source: string;
  /** Candid interface beside a .wasm that does not carry it. */
  readonly candid: string | undefined;
  /** Install argument, Candid text. */
  readonly argument: string | undefined;
  /** Further Motoko packages: name to folder. */
  readonly packages: Readonly<Record<string, string>>;
}

/**
 * Reads the canisters of a project folder: of its perdure.json, else its dfx.json, else its icp.yaml, else the one .mo or
 * .wasm file that it holds.
 *
 * perdure.json: `{ "canisters": { "NAME": { "source": "FILE", "candid": "FILE.did", "argument": "(…)" } },
 * "packages": { "NAME": "FOLDER" } }`. Of dfx.json Motoko canisters (`main`) and custom ones (`wasm`, `candid`) are
 * understood; of icp.yaml canisters with a pre-built step (`type: pre-built, path: FILE`) or a Motoko recipe (`main`).
 * @throws CliError
 */
export function readProject(folder: string): ProjectCanister[] {
  for (const [file, read] of [
    ['perdure.json', fromPerdure],
    ['dfx.json', fromDfx],
    ['icp.yaml', fromIcp],
  ] as const) {
    const found = path.join(folder, file);
    if (!existsSync(found)) continue;
    const canisters = read(readFileSync(found, 'utf8'), found);
    if (canisters.length === 0) throw wrong(found, 'it names no canister that can be deployed from here');
    return canisters;
  }
  const candidates = readdirSync(folder).filter((file) => /\.(mo|wasm|wasm\.gz)$/.test(file));
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return [singleFile(path.join(folder, only))];
  throw new CliError('project', ExitCode.Input, `${folder} is not a project`, {
    why:
      candidates.length === 0
        ? 'it has neither perdure.json, dfx.json nor icp.yaml, nor a .mo or .wasm file'
        : `it has no project file, and several sources: ${candidates.join(', ')}`,
    fix: 'name the file to deploy, or write a perdure.json (docs/reference/cli.md)',
  });
}

/** A source file as a project of one canister, named after the file (or its folder, for `main.mo`). */
export function singleFile(file: string): ProjectCanister {
  const absolute = path.resolve(file);
  const base = path.basename(absolute).replace(/\.(mo|wasm|wasm\.gz)$/i, '');
  const general = /^(main|index|canister|actor)$/i.test(base);
  const candid = absolute.replace(/\.(mo|wasm|wasm\.gz)$/i, '.did');
  return {
    name: (general ? path.basename(path.dirname(absolute)) : base).toLowerCase(),
    source: absolute,
    candid: existsSync(candid) ? candid : undefined,
    argument: undefined,
    packages: {},
  };
}

/** Whether the path is a folder. @throws CliError when it does not exist. */
export function isFolder(target: string): boolean {
  const found = statSync(target, { throwIfNoEntry: false });
  if (found === undefined)
    throw new CliError('no_such_file', ExitCode.Input, `${target} does not exist`, {
      fix: 'give a .mo, .wasm or .wasm.gz file, or a project folder',
    });
  return found.isDirectory();
}

function fromPerdure(text: string, file: string): ProjectCanister[] {
  const project = object(json(text, file), file, 'the file');
  const packages = Object.fromEntries(
    Object.entries(object(project['packages'] ?? {}, file, '"packages"')).map(([name, folder]) => [
      name,
      beside(file, string(folder, file, `"packages.${name}"`)),
    ]),
  );
  return Object.entries(object(project['canisters'], file, '"canisters"')).map(([name, value]) => {
    const canister = object(value, file, `"canisters.${name}"`);
    const source = beside(file, string(canister['source'], file, `"canisters.${name}.source"`));
    const { candid, argument } = canister;
    return {
      name,
      source,
      candid:
        candid === undefined
          ? singleFile(source).candid
          : beside(file, string(candid, file, `"canisters.${name}.candid"`)),
      argument: argument === undefined ? undefined : string(argument, file, `"canisters.${name}.argument"`),
      packages,
    };
  });
}

function fromDfx(text: string, file: string): ProjectCanister[] {
  const canisters = object(object(json(text, file), file, 'the file')['canisters'], file, '"canisters"');
  return Object.entries(canisters).flatMap(([name, value]) => {
    const canister = object(value, file, `"canisters.${name}"`);
    const source = canister['type'] === 'custom' ? canister['wasm'] : canister['main'];
    if (typeof source !== 'string' || !/\.(mo|wasm|wasm\.gz)$/.test(source)) return [];
    const { candid, init_arg: argument } = canister;
    return [
      {
        name,
        source: beside(file, source),
        candid: typeof candid === 'string' ? beside(file, candid) : undefined,
        argument: typeof argument === 'string' ? argument : undefined,
        packages: {},
      },
    ];
  });
}

/**
 * The part of icp.yaml that pre-built and Motoko canisters use, read line by line: `- name: X` begins a canister, and a
 * `path:` or `main:` with a known ending is its source. Not a YAML parser; anchors and multi-line texts are not read.
 */
function fromIcp(text: string, file: string): ProjectCanister[] {
  const canisters: ProjectCanister[] = [];
  let inside = false;
  let name: string | undefined;
  for (const raw of text.split('\n')) {
    const line = raw.replace(/(^|\s)#.*$/, '');
    if (/^\S/.test(line)) inside = /^canisters?\s*:/.test(line);
    if (!inside) continue;
    name = /\bname\s*:\s*["']?([A-Za-z0-9_-]+)/.exec(line)?.[1] ?? name;
    const source = /\b(?:path|main)\s*:\s*["']?([^\s"',}]+\.(?:mo|wasm\.gz|wasm))\b/.exec(line)?.[1];
    if (name === undefined || source === undefined) continue;
    const absolute = beside(file, source);
    canisters.push({ ...singleFile(absolute), name, source: absolute });
    name = undefined;
  }
  return canisters;
}

function beside(file: string, relative: string): string {
  return path.resolve(path.dirname(file), relative);
}

function json(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw wrong(file, error instanceof Error ? error.message : String(error));
  }
}

function object(value: unknown, file: string, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(file, `${what} is not an object`);
  return value as Record<string, unknown>;
}

function string(value: unknown, file: string, what: string): string {
  if (typeof value !== 'string') throw wrong(file, `${what} is not a text`);
  return value;
}

function wrong(file: string, why: string): CliError {
  return new CliError('project', ExitCode.Input, `${file} cannot be used`, {
    why,
    fix: 'docs/reference/cli.md shows what a project file holds',
  });
}

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Principal } from '@icp-sdk/core/principal';
import { CliError, ExitCode } from './cli-error.ts';
import type { NetworkClient } from './network-client.ts';

/** Name of the file beside the project file that remembers which canister a name means on which network. */
export const BOOK_FILE = '.perdure-canisters.json';

interface NetworkEntry {
  readonly url: string;
  readonly canisters: Record<string, string>;
}

/**
 * Which canister a name means. Networks know ids only, so `deploy` writes names down in the project folder, for each
 * network by its public key: a network that was started afresh has another key and its names do not mislead.
 *
 *     { "<network id>": { "url": "http://127.0.0.1:8000", "canisters": { "counter": "<canister id>" } } }
 */
export class CanisterBook {
  readonly #file: string;
  readonly #networkId: string;
  readonly #url: string;
  readonly #networks: Record<string, NetworkEntry>;

  private constructor(file: string, network: NetworkClient, networks: Record<string, NetworkEntry>) {
    this.#file = file;
    this.#networkId = network.networkId;
    this.#url = network.url;
    this.#networks = networks;
  }

  /** The book of `folder`, or of the nearest project folder above that has one. */
  static open(network: NetworkClient, folder: string = process.cwd()): CanisterBook {
    const file = path.join(nearest(folder) ?? folder, BOOK_FILE);
    if (!existsSync(file)) return new CanisterBook(file, network, {});
    try {
      const networks = JSON.parse(readFileSync(file, 'utf8')) as Record<string, NetworkEntry>;
      for (const entry of Object.values(networks))
        for (const id of Object.values(entry.canisters)) Principal.fromText(id);
      return new CanisterBook(file, network, networks);
    } catch (error) {
      throw new CliError('book_unreadable', ExitCode.Input, `${file} cannot be read`, {
        why: error instanceof Error ? error.message : String(error),
        fix: 'correct it or remove it; canisters can be named by their ids meanwhile',
        cause: error,
      });
    }
  }

  entries(): readonly (readonly [string, Principal])[] {
    return Object.entries(this.#networks[this.#networkId]?.canisters ?? {})
      .map(([name, id]) => [name, Principal.fromText(id)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1));
  }

  lookup(name: string): Principal | undefined {
    return this.entries().find(([known]) => known === name)?.[1];
  }

  nameOf(id: Principal): string | undefined {
    return this.entries().find(([, known]) => known.toText() === id.toText())?.[0];
  }

  /** A canister given as a name or as an id. @throws CliError when it is neither. */
  resolve(nameOrId: string): Principal {
    const known = this.lookup(nameOrId);
    if (known !== undefined) return known;
    try {
      return Principal.fromText(nameOrId);
    } catch {
      const names = this.entries().map(([name]) => name);
      throw new CliError('canister_unknown', ExitCode.Input, `there is no canister ${nameOrId} in ${this.#file}`, {
        why:
          names.length === 0
            ? `no canister was deployed from this folder to ${this.#url}`
            : `on ${this.#url} there are ${names.join(', ')}`,
        fix: 'deploy it, give its id, or change into its project folder',
      });
    }
  }

  set(name: string, id: Principal): void {
    const entry = this.#networks[this.#networkId] ?? { url: this.#url, canisters: {} };
    this.#networks[this.#networkId] = { url: this.#url, canisters: { ...entry.canisters, [name]: id.toText() } };
    this.#write();
  }

  remove(id: Principal): void {
    const name = this.nameOf(id);
    const entry = this.#networks[this.#networkId];
    if (name === undefined || entry === undefined) return;
    delete entry.canisters[name];
    this.#write();
  }

  #write(): void {
    writeFileSync(this.#file, `${JSON.stringify(this.#networks, null, 2)}\n`);
  }
}

/** Files that mark the folder of a project. */
const PROJECT_MARKS = ['perdure.json', 'dfx.json', 'icp.yaml', 'package.json', '.git'];

/** The folder whose book is meant: this one, or the nearest above that is a project with a book. */
function nearest(folder: string): string | undefined {
  const start = path.resolve(folder);
  for (let current = start; ; current = path.dirname(current)) {
    const project = current === start || PROJECT_MARKS.some((mark) => existsSync(path.join(current, mark)));
    if (project && existsSync(path.join(current, BOOK_FILE))) return current;
    if (current === path.dirname(current)) return undefined;
  }
}

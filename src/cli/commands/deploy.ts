import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { IDL } from '@icp-sdk/core/candid';
import type { Principal } from '@icp-sdk/core/principal';
import { CandidSyntaxError, encodeArguments, parseInterface, signature } from '../candid-text/index.ts';
import { CanisterBook } from '../canister-book.ts';
import { type CanisterModule, needsChunks, prepareModule, sha256 } from '../canister-module.ts';
import { CliError, ExitCode, usageError } from '../cli-error.ts';
import { type Command, type Invocation, NETWORK_OPTIONS } from '../command.ts';
import { compileMotoko } from '../motoko-compiler.ts';
import { NetworkClient } from '../network-client.ts';
import { isFolder, type ProjectCanister, readProject, singleFile } from '../project.ts';

const MODES = ['auto', 'install', 'reinstall', 'upgrade'] as const;
type Mode = (typeof MODES)[number];
const CHUNK_BYTES = 1_000_000;
const PERSISTENCE_SECTION = 'enhanced-orthogonal-persistence';

export const deploy: Command = {
  usage: '<file.mo | file.wasm[.gz] | project folder>',
  positionalsMin: 0,
  positionalsMax: 1,
  options: {
    ...NETWORK_OPTIONS,
    name: { type: 'string', placeholder: 'NAME', help: 'name of the canister; picks one of a project' },
    argument: { type: 'string', placeholder: "'(…)'", help: 'install argument, Candid text' },
    mode: { type: 'string', placeholder: 'MODE', help: `${MODES.join(', ')} (default: auto)` },
    cycles: { type: 'string', placeholder: 'N', help: 'cycles of a new canister (default: 100 T)' },
    yes: { type: 'boolean', short: 'y', help: 'with --mode reinstall: yes, throw its state away' },
  },
  examples: [
    'perdure deploy counter.mo',
    `perdure deploy token.wasm --argument '(record { name = "Gold" })'`,
    'perdure deploy . --name backend --mode reinstall --yes',
  ],
  async run(invocation) {
    const mode = invocation.choice('mode', MODES) ?? 'auto';
    if (mode === 'reinstall' && !invocation.flag('yes'))
      throw usageError('reinstalling throws the state of the canister away', 'add --yes if that is what you want');
    const cycles = invocation.text('cycles');
    if (cycles !== undefined && !/^[0-9_]+$/.test(cycles))
      throw usageError(`--cycles ${cycles} is not a number`, 'give e.g. --cycles 1_000_000_000_000');
    const source = invocation.positionals[0] ?? '.';
    const folder = isFolder(source);
    const canisters = chosen(folder ? readProject(source) : [singleFile(source)], invocation, folder);
    const network = await NetworkClient.connect(invocation);
    const book = CanisterBook.open(network, folder ? source : process.cwd());
    for (const canister of canisters) await deployOne(canister, mode, network, book, invocation);
  },
};

function chosen(canisters: readonly ProjectCanister[], invocation: Invocation, folder: boolean): ProjectCanister[] {
  const name = invocation.text('name');
  const [only] = canisters;
  if (name === undefined) return [...canisters];
  if (!folder && only !== undefined) return [{ ...only, name }];
  const found = canisters.filter((canister) => canister.name === name);
  if (found.length > 0) return found;
  throw usageError(
    `the project has no canister ${name}`,
    `choose one of ${canisters.map((canister) => canister.name).join(', ')}`,
  );
}

async function deployOne(
  canister: ProjectCanister,
  mode: Mode,
  network: NetworkClient,
  book: CanisterBook,
  invocation: Invocation,
): Promise<void> {
  const { terminal } = invocation;
  const { module, candid } = build(canister, (text) => terminal.note(text));
  const argument = encodeArgument(invocation.text('argument') ?? canister.argument, candid, canister.name);
  let id = book.lookup(canister.name);
  if (id !== undefined && !(await network.exists(id))) {
    terminal.note(`${canister.name}: ${id.toText()} does not exist any more; creating another`);
    id = undefined;
  }
  if (id === undefined) {
    id = await create(network, invocation.text('cycles'));
    book.set(canister.name, id);
    terminal.note(`${canister.name}: created ${id.toText()}`);
  }
  const installed = await network.moduleHash(id);
  const done = resultOf(canister.name, id, module, network);
  if (mode === 'auto' && installed !== undefined && Buffer.from(installed).toString('hex') === module.hash) {
    terminal.result(`${canister.name} is unchanged: ${id.toText()}`, { ...done, action: 'none' });
    return;
  }
  const action = mode === 'auto' ? (installed === undefined ? 'install' : 'upgrade') : mode;
  await install(network, id, module, argument, action, (text) => terminal.note(`${canister.name}: ${text}`));
  const verb = { install: 'installed', reinstall: 'reinstalled', upgrade: 'upgraded' }[action];
  terminal.result(`${canister.name} is ${verb}: ${id.toText()}`, { ...done, action });
}

function resultOf(name: string, id: Principal, module: CanisterModule, network: NetworkClient): object {
  return { name, id: id.toText(), moduleHash: module.hash, network: network.url };
}

function build(
  canister: ProjectCanister,
  note: (text: string) => void,
): { module: CanisterModule; candid: string | undefined } {
  const file = canister.source;
  isFolder(file);
  if (file.endsWith('.mo')) {
    note(`${canister.name}: compiling ${path.basename(file)} (some seconds)`);
    const { wasm, candid } = compileMotoko(file, canister.packages);
    return { module: prepareModule(wasm, file, candid), candid };
  }
  const candid = canister.candid === undefined ? undefined : readFileSync(canister.candid, 'utf8');
  return { module: prepareModule(Uint8Array.from(readFileSync(file)), file, candid), candid };
}

function encodeArgument(text: string | undefined, candid: string | undefined, name: string): Uint8Array {
  let types: readonly IDL.Type[] | undefined;
  try {
    types = candid === undefined ? undefined : parseInterface(candid).initTypes;
  } catch {
    // An interface with forms that we do not read: the argument is encoded by its own looks.
  }
  try {
    return encodeArguments(text ?? '()', text === undefined && types === undefined ? [] : types);
  } catch (error) {
    if (!(error instanceof CandidSyntaxError)) throw error;
    throw new CliError('arguments', ExitCode.Usage, `the install argument of ${name} is not understood`, {
      why: error.message,
      fix:
        types === undefined
          ? "write it as Candid text, e.g. --argument '(1)'"
          : `give --argument '${signature(types)}'`,
    });
  }
}

async function create(network: NetworkClient, cycles: string | undefined): Promise<Principal> {
  const { Principal } = await import('@icp-sdk/core/principal');
  // The management canister has no place of its own: any id of the network's range says where the new canister goes.
  const anywhere = Principal.fromUint8Array(Uint8Array.of(0x80, 0, 0, 0, 0, 0x10, 0, 0, 1, 1));
  const amount = cycles === undefined ? 100_000_000_000_000n : BigInt(cycles.replaceAll('_', ''));
  const reply = (await network.manage('provisional_create_canister_with_cycles', anywhere, {
    amount: [amount],
    settings: [],
    specified_id: [],
  })) as { readonly canister_id: Principal };
  return reply.canister_id;
}

async function install(
  network: NetworkClient,
  id: Principal,
  module: CanisterModule,
  arg: Uint8Array,
  action: 'install' | 'reinstall' | 'upgrade',
  note: (text: string) => void,
): Promise<void> {
  const mode = action === 'upgrade' ? { upgrade: await upgradeOptions(network, id) } : { [action]: null };
  if (!needsChunks(module, arg.length)) {
    note(`${action} of ${kilobytes(module.bytes.length)}`);
    await network.manage('install_code', id, { mode, canister_id: id, wasm_module: module.bytes, arg });
    return;
  }
  await network.manage('clear_chunk_store', id, { canister_id: id });
  const hashes: { hash: Uint8Array }[] = [];
  for (let at = 0; at < module.bytes.length; at += CHUNK_BYTES) {
    const chunk = module.bytes.slice(at, at + CHUNK_BYTES);
    await network.manage('upload_chunk', id, { canister_id: id, chunk });
    hashes.push({ hash: Uint8Array.from(Buffer.from(sha256(chunk), 'hex')) });
    note(`uploaded ${kilobytes(Math.min(at + CHUNK_BYTES, module.bytes.length))} of ${kilobytes(module.bytes.length)}`);
  }
  note(action);
  await network.manage('install_chunked_code', id, {
    mode,
    target_canister: id,
    chunk_hashes_list: hashes,
    wasm_module_hash: Uint8Array.from(Buffer.from(module.hash, 'hex')),
    arg,
  });
  await network.manage('clear_chunk_store', id, { canister_id: id });
}

/** A program that keeps its data in main memory (Motoko's enhanced persistence) says so in a section of the module. */
async function upgradeOptions(network: NetworkClient, id: Principal): Promise<readonly object[]> {
  const section = await network.metadata(id, PERSISTENCE_SECTION);
  return section === undefined ? [] : [{ skip_pre_upgrade: [], wasm_memory_persistence: [{ keep: null }] }];
}

function kilobytes(bytes: number): string {
  return `${Math.ceil(bytes / 1000).toLocaleString('en')} kB`;
}

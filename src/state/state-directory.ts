import { fromHex, toHex } from '../codec/index.ts';
import type { Height } from '../model/index.ts';
import { type Disk, DiskError, type DiskLock, type Entropy } from '../platform/index.ts';
import { CheckpointStore } from './checkpoint-store.ts';
import { InputLog, type InputLogOptions, type OpenedLog } from './input-log.ts';
import { corruptFile, StateError } from './state-error.ts';
import { LAYOUT_VERSION, removeTemporaries, writeWhole } from './state-file.ts';

export interface StateDirectoryOptions {
  readonly disk: Disk;
  readonly entropy: Entropy;
  readonly path: string;
  /** What `lock` says about this process to others: one line. */
  readonly owner: string;
  /** Lets others have their turn during long writes. */
  readonly pause: () => Promise<void>;
  /** Gets what deserves to be known and is no reason to stop. */
  readonly notice: (text: string) => void;
  readonly log?: InputLogOptions;
}

/** A state directory that this process has taken (docs/internals/data-layout.md). */
export class StateDirectory {
  readonly path: string;
  /** 8 bytes that all its files carry. */
  readonly network: Uint8Array;
  readonly checkpoints: CheckpointStore;
  readonly #options: StateDirectoryOptions;
  readonly #lock: DiskLock;

  private constructor(options: StateDirectoryOptions, lock: DiskLock, network: Uint8Array) {
    this.path = options.path;
    this.network = network;
    this.#options = options;
    this.#lock = lock;
    this.checkpoints = new CheckpointStore(options.disk, options.path, network, options.pause);
  }

  /**
   * Takes the directory, creating it when there is none.
   * @throws StateError `in_use`, `wrong_version`, `not_a_state_directory`, `corrupt_file`, `disk_failed`
   */
  static async open(options: StateDirectoryOptions): Promise<StateDirectory> {
    const { disk, path } = options;
    try {
      const names = disk.list(path) ?? [];
      if (names.length > 0 && !names.some((name) => name.startsWith(IDENTITY) || name === 'lock.held'))
        throw new StateError(
          'not_a_state_directory',
          path,
          `${path} is not empty and not a state directory. Choose another one with --state-dir`,
        );
      makeRoot(disk, path);
      const lock = takeLock(disk, path, options.owner);
      try {
        removeTemporaries(disk, path);
        const known = disk.list(path)?.includes(IDENTITY) === true;
        // It is the first file of all; a new one would make those that are there strangers.
        if (!known && names.some((name) => name.endsWith('.key') || FOLDERS.includes(name)))
          throw corruptFile(`${path}/${IDENTITY}`, 'it is missing');
        const network = known ? readIdentity(disk, path) : await create(options);
        for (const folder of FOLDERS) {
          disk.makeFolder(`${path}/${folder}`);
          removeTemporaries(disk, `${path}/${folder}`);
        }
        return new StateDirectory(options, lock, network);
      } catch (error) {
        lock.release();
        throw error;
      }
    } catch (error) {
      throw asStateError(error);
    }
  }

  /** The secret seed of 32 bytes for a purpose (`node`, `subnet`); made at the first time. @throws StateError */
  async key(purpose: string): Promise<Uint8Array> {
    const { disk, entropy, notice } = this.#options;
    const name = `${purpose}.key`;
    const path = `${this.path}/${name}`;
    if (disk.list(this.path)?.includes(name) !== true) {
      if (this.checkpoints.newestHeight !== undefined || (disk.list(`${this.path}/checkpoints`) ?? []).length > 0)
        throw corruptFile(path, 'it is missing');
      const seed = entropy.bytes(32);
      const text = `perdure-key 1 ${purpose} ${toHex(seed)} `;
      const bytes = encoder.encode(`${text}${crcText(disk, text)}\n`);
      await writeWhole(disk, this.path, name, (file) => file.write(0, bytes), { secret: true });
      return seed;
    }
    if (disk.exposed(path)) notice(`${path} can be read by others than its owner. Repair it with: chmod 600 ${path}`);
    const text = decoder.decode(disk.read(path));
    const match = /^(perdure-key 1 (\S+) ([0-9a-f]{64}) )([0-9a-f]{8})\n?$/.exec(text);
    if (match === null || match[2] !== purpose || match[4] !== crcText(disk, match[1] ?? ''))
      throw corruptFile(path, 'it is damaged');
    return fromHex(match[3] ?? '');
  }

  /** Opens the input log; rounds above `after` are to be executed again. @throws StateError */
  async openLog(after: Height): Promise<OpenedLog> {
    try {
      const { disk, log } = this.#options;
      return await InputLog.open(disk, `${this.path}/log`, this.network, after, log);
    } catch (error) {
      throw asStateError(error);
    }
  }

  /** Bytes that may still be written. */
  freeBytes(): number {
    return this.#options.disk.freeBytes(this.path);
  }

  /** Leaves the directory to others. */
  close(): void {
    this.#lock.release();
  }
}

const IDENTITY = 'PERDURE';
const FOLDERS = ['log', 'checkpoints', 'pages', 'modules'];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function create(options: StateDirectoryOptions): Promise<Uint8Array> {
  const { disk, path } = options;
  const network = options.entropy.bytes(8);
  const text = `perdure-state-directory\nlayout ${LAYOUT_VERSION}\nnetwork ${toHex(network)}\n`;
  const bytes = encoder.encode(`${text}crc ${crcText(disk, text)}\n`);
  await writeWhole(disk, path, IDENTITY, (file) => file.write(0, bytes));
  return network;
}

function readIdentity(disk: Disk, path: string): Uint8Array {
  const file = `${path}/${IDENTITY}`;
  const text = decoder.decode(disk.read(file));
  const layout = /^perdure-state-directory\nlayout (\d+)\n/.exec(text)?.[1];
  if (layout !== undefined && Number(layout) > LAYOUT_VERSION)
    throw new StateError(
      'wrong_version',
      file,
      `${path} was written by a newer release of Perdure (layout ${layout}; this one reads layout ${LAYOUT_VERSION}). Upgrade Perdure, or choose another directory with --state-dir`,
    );
  const match = /^(perdure-state-directory\nlayout 1\nnetwork ([0-9a-f]{16})\n)crc ([0-9a-f]{8})\n$/.exec(text);
  if (match === null || match[3] !== crcText(disk, match[1] ?? '')) throw corruptFile(file, 'it is damaged');
  return fromHex(match[2] ?? '');
}

function makeRoot(disk: Disk, path: string): void {
  try {
    disk.makeFolder(path);
  } catch (error) {
    if (!(error instanceof DiskError) || (error.code !== 'exists' && error.code !== 'not_found')) throw error;
    throw new StateError(
      'not_a_state_directory',
      path,
      `${path} is a file, or lies below one. Choose another place with --state-dir`,
      { cause: error },
    );
  }
}

function takeLock(disk: Disk, path: string, owner: string): DiskLock {
  try {
    return disk.lock(path, owner);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'locked') throw error;
    throw new StateError(
      'in_use',
      path,
      `${path} is in use by ${describeOwner(error.owner)}. Stop it, or choose another directory with --state-dir`,
      { cause: error },
    );
  }
}

function describeOwner(owner: string | undefined): string {
  const pid = /"pid":(\d+)/.exec(owner ?? '')?.[1];
  return pid === undefined ? 'another process' : `process ${pid} ${owner}`;
}

function crcText(disk: Disk, text: string): string {
  return disk.crc32(encoder.encode(text)).toString(16).padStart(8, '0');
}

/** Failures of the device in the words of this module. */
export function asStateError(error: unknown): unknown {
  if (!(error instanceof DiskError)) return error;
  const advice =
    error.code === 'full'
      ? 'Make room and try again'
      : error.code === 'denied'
        ? 'Check the permissions'
        : 'Check the device';
  return new StateError('disk_failed', error.path, `${error.message}. ${advice}`, { cause: error });
}

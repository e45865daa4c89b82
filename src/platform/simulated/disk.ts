import { crc32 } from 'node:zlib';
import { type Disk, DiskError, type DiskFile, type DiskLock } from '../contract.ts';
import type { Chance } from './chance.ts';

/** Thrown by every operation from the power cut on: the process under test is dead. */
export class SimulatedCrash extends Error {
  override readonly name = 'SimulatedCrash';
}

/** What a disk keeps of a write of which no sync is known: sectors, each wholly or not at all. */
const SECTOR_BYTES = 512;

type Change = { readonly position: number; readonly bytes: Uint8Array } | { readonly truncateTo: number };

/** Bytes that grow. */
class Content {
  bytes: Uint8Array = new Uint8Array(0);
  size = 0;

  apply(change: Change): void {
    if ('truncateTo' in change) {
      if (change.truncateTo < this.size) this.bytes.fill(0, change.truncateTo, this.size);
      this.#reserve(change.truncateTo);
      this.size = change.truncateTo;
    } else {
      this.#reserve(change.position + change.bytes.length);
      this.bytes.set(change.bytes, change.position);
      this.size = Math.max(this.size, change.position + change.bytes.length);
    }
  }

  copy(): Content {
    const copy = new Content();
    copy.apply({ position: 0, bytes: this.bytes.subarray(0, this.size) });
    return copy;
  }

  #reserve(size: number): void {
    if (size <= this.bytes.length) return;
    const bigger = new Uint8Array(Math.max(size, this.bytes.length * 2));
    bigger.set(this.bytes.subarray(0, this.size));
    this.bytes = bigger;
  }
}

/** A file apart from its name: as the process sees it, as the device has it, and what lies between. */
class Inode {
  readonly current: Content;
  readonly durable: Content;
  /** Changes that no sync has covered, in order; the first has the number `synced`. */
  readonly pending: Change[] = [];
  synced = 0;
  readonly secret: boolean;

  constructor(secret: boolean, content: Content = new Content()) {
    this.secret = secret;
    this.current = content;
    this.durable = content.copy();
  }

  change(change: Change): void {
    this.current.apply(change);
    this.pending.push(change);
  }

  /** Everything before the change with this number is on the device. */
  settle(before: number): void {
    for (; this.synced < before; this.synced++) {
      const change = this.pending.shift();
      if (change !== undefined) this.durable.apply(change);
    }
  }
}

/** A creation, rename or removal that no `syncFolder` has covered. */
interface EntryChange {
  readonly folder: string;
  readonly apply: (entries: Map<string, Inode>) => void;
}

interface Entries {
  readonly files: Map<string, Inode>;
  readonly folders: Set<string>;
}

export interface SimulatedDisk extends Disk {
  /** Operations that change anything or sync, so far: the moments at which a power cut can be placed. */
  readonly operations: number;
  /** The power is cut at the operation with this number: it has not happened yet, or only in part. */
  crashAt: number;
  /** Syncs from now on fail, as with a dying device; what they should have covered stays undecided. */
  failSyncs: boolean;
  /** While true, syncs neither succeed nor fail. Setting it to false lets those that wait go on. */
  holdSyncs: boolean;
  /** Writes from now on fail for want of space. */
  full: boolean;
  /** The machine after the power is back: what was durable, and of the rest whatever chance decides. */
  afterPowerCut(): SimulatedDisk;
  /** The machine after the process was killed: everything that was written, and nothing held or locked. */
  afterKill(): SimulatedDisk;
  /** Changes bytes behind everybody's back. */
  damage(path: string, position: number, bytes: Uint8Array): void;
  /** Shortens a file behind everybody's back. */
  cut(path: string, sizeBytes: number): void;
}

export function simulatedDisk(chance: Chance): SimulatedDisk {
  return new MemoryDisk(chance, { files: new Map(), folders: new Set() });
}

class MemoryDisk implements SimulatedDisk {
  operations = 0;
  crashAt: number = Number.POSITIVE_INFINITY;
  failSyncs = false;
  full = false;
  #held: (() => void)[] | undefined;
  #dead = false;
  readonly #chance: Chance;
  readonly #entries: Entries;
  readonly #durableFiles: Map<string, Inode>;
  #pendingEntries: EntryChange[] = [];
  readonly #locks: Map<string, string> = new Map();

  constructor(chance: Chance, entries: Entries) {
    this.#chance = chance;
    this.#entries = entries;
    this.#durableFiles = new Map(entries.files);
  }

  get holdSyncs(): boolean {
    return this.#held !== undefined;
  }

  set holdSyncs(hold: boolean) {
    const held = this.#held;
    this.#held = hold ? (held ?? []) : undefined;
    if (!hold) for (const go of held ?? []) go();
  }

  makeFolder(path: string): void {
    this.#step();
    const parts = path.split('/');
    for (let depth = 1; depth <= parts.length; depth++)
      if (this.#entries.files.has(parts.slice(0, depth).join('/')))
        throw new DiskError(depth < parts.length ? 'not_found' : 'exists', path, `${path}: there is a file`);
    // Folders are durable at once: what the tests are about is files.
    for (let depth = 1; depth <= parts.length; depth++) this.#entries.folders.add(parts.slice(0, depth).join('/'));
  }

  list(path: string): readonly string[] | undefined {
    this.#alive();
    if (!this.#entries.folders.has(path)) return undefined;
    const names = new Set<string>();
    for (const name of [...this.#entries.files.keys(), ...this.#entries.folders])
      if (name.startsWith(`${path}/`)) names.add(name.slice(path.length + 1).split('/')[0] ?? '');
    return [...names].sort();
  }

  open(path: string, access: 'read' | 'write'): DiskFile {
    this.#alive();
    return new MemoryFile(this, path, this.#find(path), access === 'write');
  }

  create(path: string, options?: { readonly secret?: boolean }): DiskFile {
    if (this.#entries.files.has(path)) throw new DiskError('exists', path, `${path} exists`);
    const folder = folderOf(path);
    if (!this.#entries.folders.has(folder)) throw new DiskError('not_found', path, `${folder}: no such folder`);
    const inode = new Inode(options?.secret === true);
    this.#changeEntries(folder, (files) => files.set(path, inode));
    return new MemoryFile(this, path, inode, true);
  }

  read(path: string): Uint8Array {
    this.#alive();
    const inode = this.#find(path);
    return inode.current.bytes.slice(0, inode.current.size);
  }

  rename(from: string, to: string): void {
    const inode = this.#find(from);
    this.#changeEntries(folderOf(to), (files) => {
      files.delete(from);
      files.set(to, inode);
    });
  }

  remove(path: string): void {
    if (!this.#entries.files.has(path)) return;
    this.#changeEntries(folderOf(path), (files) => files.delete(path));
  }

  async syncFolder(path: string): Promise<void> {
    await this.beforeSync(path);
    const rest: EntryChange[] = [];
    for (const change of this.#pendingEntries)
      if (change.folder === path) change.apply(this.#durableFiles);
      else rest.push(change);
    this.#pendingEntries = rest;
  }

  freeBytes(): number {
    this.#alive();
    return this.full ? 0 : 1 << 40;
  }

  exposed(path: string): boolean {
    this.#alive();
    return !this.#find(path).secret;
  }

  lock(folder: string, owner: string): DiskLock {
    this.#step();
    if (!this.#entries.folders.has(folder)) throw new DiskError('not_found', folder, `${folder}: no such folder`);
    const present = this.#locks.get(folder);
    if (present !== undefined)
      throw new DiskError('locked', folder, `${folder} is in use by ${present}`, { owner: present });
    this.#locks.set(folder, owner);
    return { release: () => void this.#locks.delete(folder) };
  }

  crc32(bytes: Uint8Array, seed = 0): number {
    return crc32(bytes, seed);
  }

  afterPowerCut(): SimulatedDisk {
    this.#die();
    const files = new Map(this.#durableFiles);
    // Entries of one folder become durable in their order; how many did, chance decides.
    const stopped = new Set<string>();
    for (const change of this.#pendingEntries) {
      if (stopped.has(change.folder)) continue;
      if (this.#chance.below(2) === 0) stopped.add(change.folder);
      else change.apply(files);
    }
    const survivors = new Map<Inode, Inode>();
    const kept = new Map<string, Inode>();
    for (const [path, inode] of files) {
      const survivor = survivors.get(inode) ?? this.#surviving(inode);
      survivors.set(inode, survivor);
      kept.set(path, survivor);
    }
    return new MemoryDisk(this.#chance, { files: kept, folders: new Set(this.#entries.folders) });
  }

  afterKill(): SimulatedDisk {
    this.#die();
    const next = new MemoryDisk(this.#chance, {
      files: new Map(this.#durableFiles),
      folders: new Set(this.#entries.folders),
    });
    for (const change of this.#pendingEntries) next.#changeEntries(change.folder, change.apply);
    next.operations = 0;
    return next;
  }

  damage(path: string, position: number, bytes: Uint8Array): void {
    const inode = this.#find(path);
    inode.current.apply({ position, bytes });
    inode.durable.apply({ position, bytes });
  }

  cut(path: string, sizeBytes: number): void {
    const inode = this.#find(path);
    inode.current.apply({ truncateTo: sizeBytes });
    inode.durable.apply({ truncateTo: sizeBytes });
  }

  // --- for MemoryFile ---

  change(inode: Inode, path: string, change: Change): void {
    this.#alive();
    if (this.full && !('truncateTo' in change)) throw new DiskError('full', path, `${path}: no space left`);
    if (++this.operations >= this.crashAt) {
      // The write under way at the power cut may reach the disk in part.
      inode.pending.push(change);
      this.#die();
      throw new SimulatedCrash('the power was cut during a write');
    }
    inode.change(change);
  }

  async beforeSync(path: string): Promise<void> {
    this.#step();
    const held = this.#held;
    await new Promise<void>((go) => {
      if (held === undefined) setImmediate(go);
      else held.push(go);
    });
    this.#alive();
    if (this.failSyncs) throw new DiskError('io', path, `${path}: input/output error`);
  }

  alive(): void {
    this.#alive();
  }

  #changeEntries(folder: string, apply: EntryChange['apply']): void {
    this.#step();
    apply(this.#entries.files);
    this.#pendingEntries.push({ folder, apply });
  }

  #surviving(inode: Inode): Inode {
    const survivor = inode.durable.copy();
    for (const change of inode.pending) {
      if (this.#chance.below(2) === 0) continue;
      if ('truncateTo' in change) {
        survivor.apply(change);
        continue;
      }
      for (let at = 0; at < change.bytes.length; ) {
        const end = Math.min(change.bytes.length, at + SECTOR_BYTES - ((change.position + at) % SECTOR_BYTES));
        if (this.#chance.below(4) !== 0)
          survivor.apply({ position: change.position + at, bytes: change.bytes.subarray(at, end) });
        at = end;
      }
    }
    return new Inode(inode.secret, survivor);
  }

  #find(path: string): Inode {
    const inode = this.#entries.files.get(path);
    if (inode === undefined) throw new DiskError('not_found', path, `${path}: no such file`);
    return inode;
  }

  #step(): void {
    this.#alive();
    if (++this.operations >= this.crashAt) {
      this.#die();
      throw new SimulatedCrash('the power was cut');
    }
  }

  #alive(): void {
    if (this.#dead) throw new SimulatedCrash('the power is off');
  }

  #die(): void {
    this.#dead = true;
    this.#locks.clear();
  }
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #disk: MemoryDisk;
  readonly #inode: Inode;
  readonly #writable: boolean;

  constructor(disk: MemoryDisk, path: string, inode: Inode, writable: boolean) {
    this.#disk = disk;
    this.path = path;
    this.#inode = inode;
    this.#writable = writable;
  }

  sizeBytes(): number {
    this.#disk.alive();
    return this.#inode.current.size;
  }

  readInto(position: number, into: Uint8Array): boolean {
    this.#disk.alive();
    const { bytes, size } = this.#inode.current;
    if (position + into.length > size) return false;
    into.set(bytes.subarray(position, position + into.length));
    return true;
  }

  write(position: number, bytes: Uint8Array): void {
    this.#demandWritable();
    this.#disk.change(this.#inode, this.path, { position, bytes: bytes.slice() });
  }

  truncate(sizeBytes: number): void {
    this.#demandWritable();
    this.#disk.change(this.#inode, this.path, { truncateTo: sizeBytes });
  }

  async sync(): Promise<void> {
    // What is written while the sync is under way is not covered by it.
    const covered = this.#inode.synced + this.#inode.pending.length;
    await this.#disk.beforeSync(this.path);
    this.#inode.settle(covered);
  }

  close(): void {
    // Nothing is held.
  }

  #demandWritable(): void {
    if (!this.#writable) throw new DiskError('denied', this.path, `${this.path} is open for reading only`);
  }
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

import {
  accessSync,
  closeSync,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { type Disk, DiskError, type DiskErrorCode, type DiskFile, type DiskLock } from '../contract.ts';

/** The file system of the machine. */
export const nodeDisk: Disk = {
  makeFolder(path): void {
    attempt(path, () => mkdirSync(path, { recursive: true, mode: 0o700 }));
  },
  list(path): readonly string[] | undefined {
    try {
      return readdirSync(path).sort();
    } catch (error) {
      if (codeOf(error) === 'not_found') return undefined;
      throw wrap(error, path);
    }
  },
  open(path, access): DiskFile {
    return new NodeFile(
      path,
      attempt(path, () => openSync(path, access === 'read' ? 'r' : 'r+')),
    );
  },
  create(path, options): DiskFile {
    return new NodeFile(
      path,
      attempt(path, () => openSync(path, 'wx+', options?.secret === true ? 0o600 : 0o644)),
    );
  },
  read(path): Uint8Array {
    return attempt(path, () => {
      const bytes = readFileSync(path);
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    });
  },
  rename(from, to): void {
    attempt(from, () => renameSync(from, to));
  },
  remove(path): void {
    attempt(path, () => rmSync(path, { force: true }));
  },
  syncFolder(path): Promise<void> {
    const descriptor = attempt(path, () => openSync(path, 'r'));
    return new Promise((done, failed) => {
      fsync(descriptor, (error) => {
        closeSync(descriptor);
        if (error === null) done();
        else failed(wrap(error, path));
      });
    });
  },
  freeBytes(path): number {
    return attempt(path, () => {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    });
  },
  exposed(path): boolean {
    return process.platform !== 'win32' && attempt(path, () => (statSync(path).mode & 0o077) !== 0);
  },
  lock(folder, owner): DiskLock {
    return lockFolder(folder, owner);
  },
  crc32(bytes, seed = 0): number {
    return crc32(bytes, seed);
  },
};

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #descriptor: number;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
    abandoned.register(this, descriptor, this);
  }

  sizeBytes(): number {
    return attempt(this.path, () => fstatSync(this.#descriptor).size);
  }

  readInto(position: number, into: Uint8Array): boolean {
    return attempt(this.path, () => {
      let done = 0;
      while (done < into.length) {
        const count = readSync(this.#descriptor, into, done, into.length - done, position + done);
        if (count === 0) return false;
        done += count;
      }
      return true;
    });
  }

  write(position: number, bytes: Uint8Array): void {
    attempt(this.path, () => {
      let done = 0;
      while (done < bytes.length)
        done += writeSync(this.#descriptor, bytes, done, bytes.length - done, position + done);
    });
  }

  truncate(sizeBytes: number): void {
    attempt(this.path, () => ftruncateSync(this.#descriptor, sizeBytes));
  }

  sync(): Promise<void> {
    return new Promise((done, failed) => {
      fdatasync(this.#descriptor, (error) => {
        if (error === null) done();
        else failed(wrap(error, this.path));
      });
    });
  }

  close(): void {
    abandoned.unregister(this);
    closeSync(this.#descriptor);
  }
}

/** Page files stay in use as long as any fork of a memory refers to them: nobody knows when to close them but this. */
const abandoned = new FinalizationRegistry<number>((descriptor) => closeSync(descriptor));

/** The part of node:sqlite that the lock needs. */
interface Sqlite {
  readonly DatabaseSync: new (path: string) => { exec(sql: string): void; close(): void };
}

/**
 * Node offers no file lock of the operating system, but its SQLite takes one: a transaction on an empty database holds
 * it, writes nothing, and the kernel drops it when the process ends, killed or not.
 */
function lockFolder(folder: string, owner: string): DiskLock {
  const held = `${folder}/lock.held`;
  const note = `${folder}/lock`;
  attempt(folder, () => accessSync(folder));
  const database = openLockDatabase(resolve(held));
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    const message = error instanceof Error ? error.message : String(error);
    if (!/locked|busy/.test(message)) throw new DiskError('io', held, `${held}: ${message}`, { cause: error });
    let present = 'unknown';
    try {
      present = readFileSync(note, 'utf8').trim();
    } catch {
      // The owner is between taking the lock and writing about itself.
    }
    throw new DiskError('locked', folder, `${folder} is in use by ${present}`, { owner: present });
  }
  attempt(note, () => writeFileSync(note, `${owner}\n`));
  return {
    release(): void {
      try {
        unlinkSync(note);
      } catch {
        // Removed by somebody else: the lock below is what counts.
      }
      database.close();
    },
  };
}

function openLockDatabase(path: string): InstanceType<Sqlite['DatabaseSync']> {
  // Loaded here and not on top: it costs 20 ms, which an ephemeral node need not spend. Earlier releases of Node 24 print
  // a warning that the module is experimental; what is used of it has not changed since it appeared.
  const warn = process.emitWarning;
  process.emitWarning = () => undefined;
  try {
    const { DatabaseSync } = createRequire(import.meta.url)('node:sqlite') as Sqlite;
    return attempt(path, () => new DatabaseSync(path));
  } finally {
    process.emitWarning = warn;
  }
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw wrap(error, path);
  }
}

function wrap(error: unknown, path: string): DiskError {
  if (error instanceof DiskError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DiskError(
    codeOf(error),
    path,
    message.includes(path) ? message : `${path}: ${message}`,
    error instanceof Error ? { cause: error } : undefined,
  );
}

function codeOf(error: unknown): DiskErrorCode {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'not_found';
    case 'EEXIST':
      return 'exists';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'full';
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'denied';
    default:
      return 'io';
  }
}

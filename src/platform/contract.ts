/**
 * What the rest of the system may ask of the world outside. Two implementations, one compliance suite
 * (platform.test.ts): `node/` is the real thing, `simulated/` is memory, a virtual clock and faults on request.
 */
export interface Platform {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly disk: Disk;
  readonly threads: Threads;
}

export interface Clock {
  /** Nanoseconds since 1970-01-01 by the machine's clock; may step in either direction. */
  now(): bigint;
  /** Milliseconds since an arbitrary start; never steps back. For measuring and for waiting. */
  monotonicMs(): number;
  /** Calls back once, after `delayMs` of monotonic time (at most 2^31 − 1). Does not keep the process alive by itself. */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls back once, after what has already arrived from outside was handled. */
  soon(callback: () => void): void;
}

export interface Timer {
  cancel(): void;
}

export interface Entropy {
  /** Unpredictable bytes. */
  bytes(count: number): Uint8Array;
}

/**
 * Files. Paths are `/`-separated. Everything is synchronous but for syncing, which runs beside the caller. Failures throw
 * a DiskError. Nothing but a completed sync makes a write survive a power cut, and nothing but a completed `syncFolder`
 * makes a creation, a rename or a removal survive one.
 */
export interface Disk {
  /** Creates the folder and what is missing above it, mode 0700. */
  makeFolder(path: string): void;
  /** Names in a folder, sorted; undefined when there is no such folder. */
  list(path: string): readonly string[] | undefined;
  /** Opens an existing file for reading, or reading and writing. @throws DiskError `not_found` */
  open(path: string, access: 'read' | 'write'): DiskFile;
  /** Creates a file for reading and writing. @throws DiskError `exists` */
  create(path: string, options?: { readonly secret?: boolean }): DiskFile;
  /** The whole content. @throws DiskError `not_found` */
  read(path: string): Uint8Array;
  /** Replaces `to` in one step. */
  rename(from: string, to: string): void;
  /** Removes a file; nothing happens when there is none. */
  remove(path: string): void;
  /** Makes creations, renames and removals in the folder survive a power cut. */
  syncFolder(path: string): Promise<void>;
  /** Bytes that may still be written below `path`. */
  freeBytes(path: string): number;
  /** True when others than the owner may read the file. */
  exposed(path: string): boolean;
  /**
   * Takes the folder for this process until `release` or the process ends, however it ends. `owner` is a text about the
   * taker that others get to see. @throws DiskError `locked` with the text of the present owner in `owner`.
   */
  lock(folder: string, owner: string): DiskLock;
  /** CRC-32 (zlib's) of the bytes, continued from `seed`. */
  crc32(bytes: Uint8Array, seed?: number): number;
}

export interface DiskFile {
  readonly path: string;
  sizeBytes(): number;
  /** Reads exactly `into.length` bytes at `position`. @returns false when the file ends before. */
  readInto(position: number, into: Uint8Array): boolean;
  /** Writes all bytes at `position`; the file grows as needed. */
  write(position: number, bytes: Uint8Array): void;
  truncate(sizeBytes: number): void;
  /** Resolves when all that was written before the call survives a power cut. Rejects with DiskError `io`: final. */
  sync(): Promise<void>;
  /** No use after it. */
  close(): void;
}

export interface DiskLock {
  release(): void;
}

export interface Threads {
  /** Starts a module in a thread of its own. */
  start(module: URL, options?: ThreadOptions): Thread;
}

export interface ThreadOptions {
  /** What the thread finds as its `data`; structured clone. */
  readonly data?: unknown;
  /** Native stack, MiB: at least what V8's stack flags promise to code in the thread. */
  readonly stackMiB?: number;
  readonly name?: string;
}

/** A thread, from outside. */
export interface Thread {
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** Errors are what the thread threw and did not catch; it has ended then. */
  listen(onMessage: (message: unknown) => void, onError: (error: Error) => void): void;
  /** Whether this thread keeps the process alive. */
  hold(keepAlive: boolean): void;
  stop(): Promise<void>;
}

export type DiskErrorCode =
  | 'not_found'
  | 'exists'
  | 'locked'
  /** No space, or over quota. */
  | 'full'
  | 'denied'
  | 'io';

/** The file system refused or failed. */
export class DiskError extends Error {
  readonly code: DiskErrorCode;
  readonly path: string;
  /** With `locked`: what the present owner says about itself. */
  readonly owner: string | undefined;

  constructor(code: DiskErrorCode, path: string, message: string, options?: ErrorOptions & { owner?: string }) {
    super(message, options);
    this.name = 'DiskError';
    this.code = code;
    this.path = path;
    this.owner = options?.owner;
  }
}

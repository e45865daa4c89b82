import type { Batch, Height } from '../model/index.ts';
import { type Disk, DiskError, type DiskFile } from '../platform/index.ts';
import { ByteWriter } from './byte-cursor.ts';
import { decodeBatch, decodeOutcome, encodeBatch, encodeOutcome, type Outcome } from './log-record.ts';
import { corruptFile, StateError } from './state-error.ts';
import { fileName, heightOf, LAYOUT_VERSION, writeWhole } from './state-file.ts';

export interface InputLogOptions {
  /** A segment that has grown beyond this is followed by another. */
  readonly segmentBytes?: number;
  /** Zeros written ahead, so that syncing a record need not change the file's size. */
  readonly aheadBytes?: number;
}

/** A round as the log remembers it; the last one may lack its outcome. */
export interface LoggedRound {
  readonly batch: Batch;
  readonly outcome: Outcome | undefined;
  /** Segment and offset of the batch, for messages. */
  readonly place: string;
}

/** What `InputLog.open` found. */
export interface OpenedLog {
  readonly log: InputLog;
  /** The rounds above the height that was asked for, in order. */
  readonly rounds: readonly LoggedRound[];
  /** Bytes of a torn tail that were cut off. */
  readonly tornBytes: number;
}

/**
 * The write-ahead log of inputs (docs/internals/data-layout.md, 3): batches before, outcomes after their execution.
 * Appending writes to the file; only a completed `sync` makes it durable, and many appends share one. After a failure
 * of the device every call throws StateError `disk_failed`: what a failed sync left on the disk is unknown.
 */
export class InputLog {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #network: Uint8Array;
  readonly #options: Required<InputLogOptions>;
  /** Ascending; the last is written to. */
  readonly #segments: Segment[];
  #file: DiskFile;
  #end: number;
  #allocated: number;
  #durable: number;
  /** End of what the sync under way covers. */
  #covered = 0;
  #chain: number;
  #lastHeight: Height;
  #running: Promise<void> | undefined;
  #queued: Promise<void> | undefined;
  #failure: StateError | undefined;
  readonly #record = new ByteWriter(4096);

  private constructor(disk: Disk, folder: string, network: Uint8Array, options: InputLogOptions, tail: Tail) {
    this.#disk = disk;
    this.#folder = folder;
    this.#network = network;
    this.#options = { ...DEFAULT_OPTIONS, ...options };
    this.#segments = tail.segments;
    this.#file = tail.file;
    this.#end = tail.end;
    this.#allocated = tail.allocated;
    this.#durable = tail.end;
    this.#chain = tail.chain;
    this.#lastHeight = tail.lastHeight;
  }

  /** Begins a log in an empty folder; its first batch will have the height `first`. */
  static async create(
    disk: Disk,
    folder: string,
    network: Uint8Array,
    first: Height,
    options: InputLogOptions = {},
  ): Promise<InputLog> {
    const ahead = options.aheadBytes ?? DEFAULT_OPTIONS.aheadBytes;
    const file = await createSegment(disk, folder, network, first, ahead);
    return new InputLog(disk, folder, network, options, {
      segments: [{ first, bytes: 0 }],
      file,
      end: HEADER_BYTES,
      allocated: HEADER_BYTES + ahead,
      chain: 0,
      lastHeight: first - 1,
    });
  }

  /**
   * Reads and checks the log from the segment on that holds the round after the height `after`, cuts off a torn tail, and
   * goes on behind the last record. The rounds above that height are returned. @throws StateError `corrupt_file`, `wrong_version`
   */
  static async open(
    disk: Disk,
    folder: string,
    network: Uint8Array,
    after: Height,
    options: InputLogOptions = {},
  ): Promise<OpenedLog> {
    const names = (disk.list(folder) ?? []).filter((name) => name.endsWith('.log'));
    if (names.length === 0 && after > 0)
      throw corruptFile(folder, `the log is missing: nothing tells what followed height ${after}`);
    if (names.length === 0)
      return { log: await InputLog.create(disk, folder, network, after + 1, options), rounds: [], tornBytes: 0 };
    const segments: Segment[] = [];
    const rounds: LoggedRound[] = [];
    let expected: Height | undefined;
    let tail: { path: string; content: Uint8Array; scan: SegmentScan } | undefined;
    // Older segments are for older checkpoints: not read, so not judged either.
    const needed = Math.max(
      0,
      names.findLastIndex((name) => (heightOf(name) ?? 0) <= after + 1),
    );
    for (const [index, name] of names.entries()) {
      const path = `${folder}/${name}`;
      if (index < needed) {
        const file = disk.open(path, 'read');
        segments.push({ first: heightOf(name) ?? 0, bytes: file.sizeBytes() - HEADER_BYTES });
        file.close();
        continue;
      }
      const content = disk.read(path);
      const first = readHeader(disk, path, content, network);
      if (first !== heightOf(name)) throw corruptFile(path, `it says that it begins at height ${first}`);
      if (expected !== undefined && first !== expected)
        throw corruptFile(
          path,
          `it begins at height ${first}, but the segment before it ends before ${expected}: a segment is missing`,
        );
      const scan = scanSegment(disk, path, content, network, first, after);
      const last = index === names.length - 1;
      if (last && scan.continued)
        throw corruptFile(
          folder,
          `${name} says that another segment follows after height ${scan.lastHeight}; it is missing`,
        );
      // Only the mark that another segment follows may be torn: that segment is durable before the mark is written.
      if (!last && scan.torn && !(scan.settled && scan.tornBytes <= RECORD_HEADER_BYTES))
        throw corruptFile(
          path,
          `the record at offset ${scan.end} is damaged; the log breaks off after height ${scan.lastHeight}`,
        );
      for (const round of scan.rounds) rounds.push(round);
      segments.push({ first, bytes: scan.end - HEADER_BYTES });
      expected = scan.lastHeight + 1;
      tail = { path, content, scan };
    }
    if (tail === undefined || expected === undefined) throw corruptFile(folder, 'no segment could be read');
    const firstHeight = segments[needed]?.first ?? 0;
    if (firstHeight > after + 1)
      throw corruptFile(
        folder,
        `the log begins at height ${firstHeight}, but the state is at height ${after}: the rounds between are missing`,
      );
    if (expected - 1 < after)
      throw corruptFile(folder, `the log ends at height ${expected - 1}, before the checkpoint of height ${after}`);
    const file = disk.open(tail.path, 'write');
    if (tail.scan.torn) {
      file.write(tail.scan.end, new Uint8Array(tail.content.length - tail.scan.end));
      await file.sync();
    }
    const log = new InputLog(disk, folder, network, options, {
      segments,
      file,
      end: tail.scan.end,
      allocated: Math.max(tail.content.length, tail.scan.end),
      chain: tail.scan.chain,
      lastHeight: expected - 1,
    });
    return { log, rounds, tornBytes: tail.scan.torn ? tail.scan.tornBytes : 0 };
  }

  /** Height of the last batch. */
  get lastHeight(): Height {
    return this.#lastHeight;
  }

  /** Bytes of all records kept. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** True when the segment is long enough to be followed by another. */
  get full(): boolean {
    return this.#end >= this.#options.segmentBytes;
  }

  appendBatch(batch: Batch): void {
    if (batch.height !== this.#lastHeight + 1)
      throw new Error(`the log expects height ${this.#lastHeight + 1}, not ${batch.height}`);
    this.#append(KIND_BATCH, batch.height, (to) => encodeBatch(batch, to));
    this.#lastHeight = batch.height;
  }

  appendOutcome(outcome: Outcome): void {
    if (outcome.height !== this.#lastHeight)
      throw new Error(`the log expects an outcome of height ${this.#lastHeight}, not ${outcome.height}`);
    this.#append(KIND_OUTCOME, outcome.height, (to) => encodeOutcome(outcome, to));
  }

  /** Resolves when everything appended so far is durable. */
  sync(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#running === undefined) {
      if (this.#durable === this.#end) return Promise.resolve();
      this.#running = this.#syncNow();
      return this.#running;
    }
    if (this.#covered === this.#end) return this.#running;
    // What is under way may not cover the last appends: the next sync does, for all who ask until it starts.
    this.#queued ??= this.#running.then(() => {
      this.#queued = undefined;
      this.#running = this.#syncNow();
      return this.#running;
    });
    return this.#queued;
  }

  /** Goes on in a new segment; the present one is durable then. Nothing may be appended meanwhile. */
  async rotate(): Promise<void> {
    await this.sync();
    if (this.#end === HEADER_BYTES) return;
    const first = this.#lastHeight + 1;
    try {
      const file = await createSegment(this.#disk, this.#folder, this.#network, first, this.#options.aheadBytes);
      this.#append(KIND_CONTINUED, this.#lastHeight, () => undefined);
      await this.sync();
      this.#file.close();
      this.#file = file;
    } catch (error) {
      throw this.#fail(error);
    }
    this.#segments.push({ first, bytes: 0 });
    this.#end = HEADER_BYTES;
    this.#durable = HEADER_BYTES;
    this.#allocated = HEADER_BYTES + this.#options.aheadBytes;
    this.#chain = 0;
  }

  /** Removes the segments that hold nothing above the height. */
  cut(height: Height): void {
    for (;;) {
      const [oldest, next] = this.#segments;
      if (oldest === undefined || next === undefined || next.first > height + 1) return;
      this.#segments.shift();
      this.#disk.remove(`${this.#folder}/${fileName(oldest.first, 'log')}`);
    }
  }

  /** Makes everything durable and lets go of the file. */
  async close(): Promise<void> {
    try {
      await this.sync();
    } finally {
      this.#file.close();
    }
  }

  #append(kind: number, height: Height, payload: (to: ByteWriter) => void): void {
    if (this.#failure !== undefined) throw this.#failure;
    const record = this.#record;
    record.clear();
    record.zeros(RECORD_HEADER_BYTES);
    payload(record);
    const length = record.length - RECORD_HEADER_BYTES;
    record.zeros(padding(length));
    const bytes = record.bytes();
    const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_HEADER_BYTES);
    view.setUint32(0, length, true);
    view.setUint8(8, kind);
    view.setUint32(12, this.#chain, true);
    view.setBigUint64(16, BigInt(height), true);
    view.setUint32(24, this.#durable, true);
    view.setUint32(28, this.#disk.crc32(bytes.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + length)), true);
    const crc = headerCrc(this.#disk, this.#network, bytes);
    view.setUint32(4, crc, true);
    try {
      if (this.#end + bytes.length > this.#allocated) {
        const ahead = Math.max(this.#options.aheadBytes, bytes.length);
        this.#file.write(this.#allocated, new Uint8Array(ahead));
        this.#allocated += ahead;
      }
      this.#file.write(this.#end, bytes);
    } catch (error) {
      throw this.#fail(error);
    }
    this.#chain = crc;
    this.#end += bytes.length;
    const segment = this.#segments.at(-1);
    if (segment !== undefined) segment.bytes += bytes.length;
  }

  async #syncNow(): Promise<void> {
    const covered = this.#end;
    this.#covered = covered;
    try {
      await this.#file.sync();
    } catch (error) {
      throw this.#fail(error);
    }
    this.#durable = covered;
    if (this.#queued === undefined) this.#running = undefined;
  }

  #fail(error: unknown): unknown {
    if (!(error instanceof DiskError)) return error;
    this.#failure ??= new StateError(
      'disk_failed',
      error.path,
      error.code === 'full'
        ? `${error.path}: the disk is full. Make room and start again; everything acknowledged is safe`
        : `${error.path}: the disk failed (${error.message}). Nothing more is accepted; check the device and start again: everything acknowledged is safe`,
      { cause: error },
    );
    return this.#failure;
  }
}

interface Segment {
  /** Height of its first batch. */
  readonly first: Height;
  /** Of its records. */
  bytes: number;
}

interface Tail {
  readonly segments: Segment[];
  readonly file: DiskFile;
  readonly end: number;
  readonly allocated: number;
  readonly chain: number;
  readonly lastHeight: Height;
}

interface SegmentScan {
  /** Those above the height that was asked for. */
  readonly rounds: readonly LoggedRound[];
  readonly lastHeight: Height;
  /** Offset behind the last valid record. */
  readonly end: number;
  readonly chain: number;
  /** Whether the last round has its outcome. */
  readonly settled: boolean;
  /** Whether the segment says that another one follows. */
  readonly continued: boolean;
  /** Whether something that is not a record follows. */
  readonly torn: boolean;
  readonly tornBytes: number;
}

const DEFAULT_OPTIONS: Required<InputLogOptions> = { segmentBytes: 64 << 20, aheadBytes: 1 << 20 };
const HEADER_BYTES = 64;
const RECORD_HEADER_BYTES = 32;
const KIND_BATCH = 1;
const KIND_OUTCOME = 2;
/** The last record of a segment that another one follows. */
const KIND_CONTINUED = 3;
const MAGIC = new TextEncoder().encode('PERDLOG\0');

function padding(length: number): number {
  return -length & 7;
}

async function createSegment(
  disk: Disk,
  folder: string,
  network: Uint8Array,
  first: Height,
  aheadBytes: number,
): Promise<DiskFile> {
  const header = new ByteWriter(HEADER_BYTES);
  header.put(MAGIC);
  header.u32(LAYOUT_VERSION);
  header.u32(0);
  header.put(network);
  header.u64(first);
  header.u32(aheadBytes);
  header.zeros(24);
  header.u32(disk.crc32(header.bytes()));
  const path = `${folder}/${fileName(first, 'log')}`;
  await writeWhole(disk, folder, fileName(first, 'log'), (file) => {
    file.write(0, header.bytes());
    file.write(HEADER_BYTES, new Uint8Array(aheadBytes));
  });
  return disk.open(path, 'write');
}

/** @returns the height of the first batch */
function readHeader(disk: Disk, path: string, content: Uint8Array, network: Uint8Array): Height {
  if (content.length < HEADER_BYTES) throw corruptFile(path, `it is cut short to ${content.length} bytes`);
  const view = new DataView(content.buffer, content.byteOffset, HEADER_BYTES);
  if (!MAGIC.every((byte, at) => content[at] === byte)) throw corruptFile(path, 'it is not a log segment');
  if (disk.crc32(content.subarray(0, 60)) !== view.getUint32(60, true))
    throw corruptFile(path, 'its header is damaged');
  const version = view.getUint32(8, true);
  if (version !== LAYOUT_VERSION)
    throw new StateError(
      'wrong_version',
      path,
      `${path} has layout ${version}; this release reads layout ${LAYOUT_VERSION}`,
    );
  if (!network.every((byte, at) => content[16 + at] === byte))
    throw new StateError(
      'not_a_state_directory',
      path,
      `${path} belongs to another network; remove it from this directory`,
    );
  // The segment was durable with its zeros before anything was written into it: no crash makes it shorter.
  const least = HEADER_BYTES + view.getUint32(32, true);
  if (content.length < least)
    throw corruptFile(path, `it is cut short to ${content.length} bytes; it began with ${least}`);
  return Number(view.getBigUint64(24, true));
}

function scanSegment(
  disk: Disk,
  path: string,
  content: Uint8Array,
  network: Uint8Array,
  first: Height,
  after: Height,
): SegmentScan {
  const rounds: LoggedRound[] = [];
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  let at = HEADER_BYTES;
  let chain = 0;
  let lastHeight = first - 1;
  let settled = true;
  let continued = false;
  let tornBytes = 0;
  for (;;) {
    const record = readRecord(disk, content, view, network, at);
    if (record === undefined || !record.whole || record.chain !== chain) break;
    const payload = content.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + record.length);
    const place = `${path} at offset ${at}`;
    try {
      if (continued) throw new RangeError('it follows the end of the segment');
      if (record.kind === KIND_CONTINUED) continued = true;
      else if (record.kind === KIND_BATCH) {
        if (record.height !== lastHeight + 1) throw new RangeError(`height ${record.height} follows ${lastHeight}`);
        if (record.height > after)
          rounds.push({ batch: decodeBatch(record.height, payload), outcome: undefined, place });
        lastHeight = record.height;
        settled = false;
      } else {
        if (record.height !== lastHeight || settled)
          throw new RangeError(`an outcome of height ${record.height} follows height ${lastHeight}`);
        settled = true;
        const round = rounds.at(-1);
        if (round !== undefined)
          rounds[rounds.length - 1] = { ...round, outcome: decodeOutcome(record.height, payload) };
      }
    } catch (error) {
      // Its checksum holds, so it was written like this: by a build that this one does not understand.
      const reason = error instanceof Error ? error.message : String(error);
      throw corruptFile(
        place,
        `the record of height ${record.height} cannot be read (${reason})`,
        'It needs the release that wrote it',
      );
    }
    chain = record.crc;
    at += RECORD_HEADER_BYTES + record.length + padding(record.length);
  }
  let last = content.length - 1;
  while (last >= at && content[last] === 0) last--;
  const torn = last >= at;
  if (torn) {
    tornBytes = last + 1 - at;
    for (let later = at + 8; later + RECORD_HEADER_BYTES <= content.length; later += 8) {
      const record = readRecord(disk, content, view, network, later);
      if (record !== undefined && record.synced > at && record.synced <= later)
        throw corruptFile(
          path,
          `the record at offset ${at} is damaged, though it was durable before height ${record.height} was written at offset ${later}; the log breaks off after height ${lastHeight}`,
        );
    }
  }
  return { rounds, lastHeight, end: at, chain, settled, continued, torn, tornBytes };
}

interface RecordHeader {
  readonly length: number;
  readonly crc: number;
  readonly kind: number;
  readonly chain: number;
  readonly height: Height;
  readonly synced: number;
  /** The payload is there and undamaged too. */
  readonly whole: boolean;
}

/** The record at the offset, when there is at least the authentic header of one. */
function readRecord(
  disk: Disk,
  content: Uint8Array,
  view: DataView,
  network: Uint8Array,
  at: number,
): RecordHeader | undefined {
  if (at + RECORD_HEADER_BYTES > content.length) return undefined;
  const kind = view.getUint8(at + 8);
  if (kind < KIND_BATCH || kind > KIND_CONTINUED) return undefined;
  if ((content[at + 9] ?? 1) !== 0 || content[at + 10] !== 0 || content[at + 11] !== 0) return undefined;
  const crc = view.getUint32(at + 4, true);
  if (headerCrc(disk, network, content.subarray(at, at + RECORD_HEADER_BYTES)) !== crc) return undefined;
  const length = view.getUint32(at, true);
  const end = at + RECORD_HEADER_BYTES + length;
  const whole =
    end <= content.length &&
    disk.crc32(content.subarray(at + RECORD_HEADER_BYTES, end)) === view.getUint32(at + 28, true);
  return {
    length,
    crc,
    kind,
    chain: view.getUint32(at + 12, true),
    height: Number(view.getBigUint64(at + 16, true)),
    synced: view.getUint32(at + 24, true),
    whole,
  };
}

function headerCrc(disk: Disk, network: Uint8Array, record: Uint8Array): number {
  return disk.crc32(record.subarray(8, RECORD_HEADER_BYTES), disk.crc32(record.subarray(0, 4), disk.crc32(network)));
}

import { type Height, PAGE_BYTES } from '../model/index.ts';
import type { Disk, DiskFile } from '../platform/index.ts';
import { ByteWriter } from './byte-cursor.ts';
import { GROUP_PAGES, type GroupBits, type PageSection } from './page-section.ts';
import { corruptFile, StateError } from './state-error.ts';
import { fileName, LAYOUT_VERSION, writeWhole } from './state-file.ts';

/** A page file (docs/internals/data-layout.md, 5): what one checkpoint wrote of all memories. */
export class PageFile {
  readonly height: Height;
  readonly path: string;
  readonly sections: readonly FileSection[];
  readonly #file: DiskFile;

  private constructor(height: Height, path: string, file: DiskFile, sections: readonly FileSection[]) {
    this.height = height;
    this.path = path;
    this.#file = file;
    this.sections = sections;
  }

  /** Opens the file and checks all but its pages, which are checked when they are read. @throws StateError */
  static open(disk: Disk, folder: string, network: Uint8Array, height: Height): PageFile {
    const path = `${folder}/${fileName(height, 'pages')}`;
    const file = disk.open(path, 'read');
    try {
      const header = new Uint8Array(HEADER_BYTES);
      if (!file.readInto(0, header)) throw corruptFile(path, 'it is cut short');
      const view = new DataView(header.buffer);
      if (!MAGIC.every((byte, at) => header[at] === byte)) throw corruptFile(path, 'it is not a page file');
      if (disk.crc32(header.subarray(0, 60)) !== view.getUint32(60, true))
        throw corruptFile(path, 'its header is damaged');
      const version = view.getUint32(8, true);
      if (version !== LAYOUT_VERSION)
        throw new StateError(
          'wrong_version',
          path,
          `${path} has layout ${version}; this release reads layout ${LAYOUT_VERSION}`,
        );
      if (!network.every((byte, at) => header[16 + at] === byte))
        throw new StateError('not_a_state_directory', path, `${path} belongs to another network`);
      if (Number(view.getBigUint64(24, true)) !== height)
        throw corruptFile(path, `it says that it is of height ${view.getBigUint64(24, true)}`);
      const indexOffset = Number(view.getBigUint64(32, true));
      const indexBytes = Number(view.getBigUint64(40, true));
      if (file.sizeBytes() !== indexOffset + indexBytes)
        throw corruptFile(path, `it has ${file.sizeBytes()} bytes instead of ${indexOffset + indexBytes}`);
      const index = new Uint8Array(indexBytes);
      file.readInto(indexOffset, index);
      if (disk.crc32(index) !== view.getUint32(48, true)) throw corruptFile(path, 'its index is damaged');
      return new PageFile(height, path, file, readIndex(disk, path, file, height, index));
    } catch (error) {
      file.close();
      throw error;
    }
  }

  close(): void {
    this.#file.close();
  }
}

/** What goes into a page file: for each section its pages, ascending. */
export type SectionContent = Iterable<readonly [number, Uint8Array]>;

/** Writes a page file, durably. `pause` is awaited now and then so that others get their turn. */
export async function writePageFile(
  disk: Disk,
  folder: string,
  network: Uint8Array,
  height: Height,
  contents: readonly SectionContent[],
  pause: () => Promise<void>,
): Promise<void> {
  await writeWhole(disk, folder, fileName(height, 'pages'), async (file) => {
    const index = new ByteWriter(4096);
    index.u32(contents.length);
    const buffer = new Uint8Array(BUFFER_BYTES);
    let buffered = 0;
    let offset = HEADER_BYTES;
    const flush = (): void => {
      if (buffered === 0) return;
      file.write(offset, buffer.subarray(0, buffered));
      offset += buffered;
      buffered = 0;
    };
    let position = 0;
    for (const content of contents) {
      const runs: [number, number][] = [];
      const checksums: number[] = [];
      for (const [page, bytes] of content) {
        if (buffered === BUFFER_BYTES) {
          flush();
          await pause();
        }
        buffer.set(bytes, buffered);
        buffered += PAGE_BYTES;
        checksums.push(disk.crc32(bytes));
        const run = runs.at(-1);
        if (run !== undefined && run[0] + run[1] === page) run[1]++;
        else runs.push([page, 1]);
      }
      index.u32(runs.length);
      index.u32(checksums.length);
      index.u32(position);
      for (const [first, count] of runs) {
        index.u32(first);
        index.u32(count);
      }
      for (const checksum of checksums) index.u32(checksum);
      position += checksums.length;
    }
    flush();
    file.write(offset, index.bytes());
    const header = new ByteWriter(HEADER_BYTES);
    header.put(MAGIC);
    header.u32(LAYOUT_VERSION);
    header.u32(0);
    header.put(network);
    header.u64(height);
    header.u64(offset);
    header.u64(index.length);
    header.u32(disk.crc32(index.bytes()));
    header.zeros(8);
    header.u32(disk.crc32(header.bytes()));
    header.zeros(HEADER_BYTES - header.length);
    file.write(0, header.bytes());
  });
}

/** One memory's pages in a page file. */
export class FileSection implements PageSection {
  readonly height: Height;
  readonly number: number;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #file: DiskFile;
  /** First page and count of each run, alternating; ascending. */
  readonly #runs: Uint32Array;
  /** Pages of the section before each run. */
  readonly #before: Uint32Array;
  readonly #checksums: Uint32Array;
  readonly #offset: number;

  constructor(
    disk: Disk,
    path: string,
    file: DiskFile,
    place: { readonly height: Height; readonly number: number; readonly offset: number },
    runs: Uint32Array,
    checksums: Uint32Array,
  ) {
    this.#disk = disk;
    this.#path = path;
    this.#file = file;
    this.height = place.height;
    this.number = place.number;
    this.#offset = place.offset;
    this.#runs = runs;
    this.#checksums = checksums;
    this.#before = new Uint32Array(runs.length / 2);
    let before = 0;
    for (let run = 0; run < this.#before.length; run++) {
      this.#before[run] = before;
      before += this.#runs[2 * run + 1] as number;
    }
  }

  get pageCount(): number {
    return this.#checksums.length;
  }

  get highestPage(): number {
    const length = this.#runs.length;
    return length === 0 ? -1 : (this.#runs[length - 2] as number) + (this.#runs[length - 1] as number) - 1;
  }

  presence(group: number, bits: GroupBits): void {
    const start = group * GROUP_PAGES;
    for (let run = this.#runFrom(start); run < this.#before.length; run++) {
      const first = this.#runs[2 * run] as number;
      if (first >= start + GROUP_PAGES) break;
      const from = Math.max(first - start, 0);
      const to = Math.min(first + (this.#runs[2 * run + 1] as number) - start, GROUP_PAGES);
      for (let slot = from; slot < to; slot++) {
        if (slot < 32) bits.low |= 1 << slot;
        else bits.high |= 1 << (slot - 32);
      }
    }
  }

  readGroup(group: number, wanted: GroupBits, pages: (Uint8Array | undefined)[]): void {
    const start = group * GROUP_PAGES;
    // The pages of a group lie side by side in the file: one read for all of them.
    const run = this.#runFrom(start);
    const begin = this.#rankFrom(run, start);
    const end = this.#rankFrom(this.#runFrom(start + GROUP_PAGES), start + GROUP_PAGES);
    const block = new Uint8Array((end - begin) * PAGE_BYTES);
    if (!this.#file.readInto(this.#offset + begin * PAGE_BYTES, block))
      throw corruptFile(this.#path, `it ends within section ${this.number}`);
    let rank = begin;
    for (let at = run; rank < end; at++) {
      const first = this.#runs[2 * at] as number;
      const after = first + (this.#runs[2 * at + 1] as number);
      for (let page = Math.max(first, start); page < after && rank < end; page++, rank++) {
        const slot = page - start;
        if (((slot < 32 ? wanted.low : wanted.high) & (1 << (slot & 31))) === 0) continue;
        const bytes = block.subarray((rank - begin) * PAGE_BYTES, (rank - begin + 1) * PAGE_BYTES);
        if (this.#disk.crc32(bytes) !== this.#checksums[rank])
          throw corruptFile(this.#path, `page ${page} of section ${this.number} is damaged`);
        pages[slot] = bytes;
      }
    }
  }

  *groups(): Iterable<number> {
    let last = -1;
    for (let run = 0; run < this.#before.length; run++) {
      const first = this.#runs[2 * run] as number;
      const end = first + (this.#runs[2 * run + 1] as number);
      for (let group = Math.floor(first / GROUP_PAGES); group * GROUP_PAGES < end; group++) {
        if (group > last) yield group;
        last = Math.max(last, group);
      }
    }
  }

  /** The first run that ends after the page. */
  #runFrom(page: number): number {
    let low = 0;
    let high = this.#before.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[2 * middle] as number) + (this.#runs[2 * middle + 1] as number) <= page) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many pages of the section lie below the page; `run` is the first run that ends after it. */
  #rankFrom(run: number, page: number): number {
    if (run === this.#before.length) return this.#checksums.length;
    return (this.#before[run] as number) + Math.max(page - (this.#runs[2 * run] as number), 0);
  }
}

const MAGIC = new TextEncoder().encode('PERDPAGE');
const HEADER_BYTES = 4096;
const BUFFER_BYTES = 1 << 20;

function readIndex(
  disk: Disk,
  path: string,
  file: DiskFile,
  height: Height,
  index: Uint8Array<ArrayBuffer>,
): readonly FileSection[] {
  // Its checksum held, so what does not fit here was written so: a bug, yet reported like damage.
  const words = new Uint32Array(index.buffer, 0, index.length >>> 2);
  const sections: FileSection[] = [];
  let at = 1;
  for (let number = 0; number < (words[0] ?? 0); number++) {
    const runCount = words[at] ?? 0;
    const pageCount = words[at + 1] ?? 0;
    const position = words[at + 2] ?? 0;
    at += 3;
    const runs = words.subarray(at, at + 2 * runCount);
    at += 2 * runCount;
    const checksums = words.subarray(at, at + pageCount);
    at += pageCount;
    if (at > words.length) throw corruptFile(path, 'its index does not add up');
    const offset = HEADER_BYTES + position * PAGE_BYTES;
    sections.push(new FileSection(disk, path, file, { height, number, offset }, runs, checksums));
  }
  return sections;
}

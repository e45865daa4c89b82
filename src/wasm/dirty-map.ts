import { ByteWriter } from './byte-writer.ts';
import { MAP_LEVEL1, MAP_LEVEL2_SHIFT, MAP_PAGES, MAP_WASM_PAGES, PAGE_SHIFT, SLACK } from './map-layout.ts';

const PAGE_BYTES = 1 << PAGE_SHIFT;
/** Last page of a 32-bit address space. */
const TOP_PAGE_32 = (1 << 20) - 1;
const LEVEL2_BYTES = MAP_PAGES >> MAP_LEVEL2_SHIFT;

/** The committed bytes of a page, undefined where all are zero. */
export type CommittedPage = (page: number) => Uint8Array | undefined;

/**
 * Which pages of the heap under execution were written. One map serves all instances of a thread, 32 and 64 bit: it is
 * empty whenever the thread turns to another canister; marks of a suspended message are taken out and put back.
 */
export class DirtyMap {
  readonly memory: WebAssembly.Memory;
  readonly #bytes: Uint8Array;
  readonly #walk: (clear: number) => number;
  readonly #found: Uint32Array;

  constructor(memory?: WebAssembly.Memory) {
    this.memory = memory ?? new WebAssembly.Memory({ initial: MAP_WASM_PAGES, maximum: MAP_WASM_PAGES });
    this.#bytes = new Uint8Array(this.memory.buffer);
    walker ??= new WebAssembly.Module(walkerModule() as BufferSource);
    const instance = new WebAssembly.Instance(walker, { host: { map: this.memory } });
    this.#walk = instance.exports['walk'] as (clear: number) => number;
    this.#found = new Uint32Array((instance.exports['found'] as WebAssembly.Memory).buffer);
  }

  /** Marked pages, ascending. A view: valid until the next call of this map. */
  collect(): Uint32Array {
    return this.#found.subarray(0, this.#walk(0));
  }

  get isEmpty(): boolean {
    return this.#walk(0) === 0;
  }

  clear(): void {
    this.#walk(1);
  }

  /** Removes all marks and returns them: what a suspended message leaves with. */
  take(): Uint32Array {
    return this.#found.slice(0, this.#walk(1));
  }

  put(pages: ArrayLike<number>): void {
    for (let i = 0; i < pages.length; i++) this.#mark(pages[i] as number);
  }

  /** Marks what the host wrote itself: `length` bytes of the heap from `address`. */
  mark(address: number, length: number): void {
    if (length <= 0) return;
    const last = Math.floor((address + length - 1) / PAGE_BYTES);
    for (let page = Math.floor(address / PAGE_BYTES); page <= last; page++) this.#mark(page);
  }

  #mark(page: number): void {
    this.#bytes[MAP_LEVEL1 + page] = 1;
    this.#bytes[page >> MAP_LEVEL2_SHIFT] = 1;
  }

  /**
   * Pages of the heap that differ, or may differ, from the committed ones, ascending: the marked ones, and their
   * neighbours where the bytes next to a marked page changed (a store that crosses the edge marks one page only).
   */
  dirtyPages(heap: Uint8Array, committed: CommittedPage): number[] {
    return dirtyAmong(this.collect(), heap, committed);
  }

  /** The same, and removes all marks. */
  takeDirtyPages(heap: Uint8Array, committed: CommittedPage): number[] {
    return dirtyAmong(this.#found.subarray(0, this.#walk(1)), heap, committed);
  }
}

function dirtyAmong(marked: Uint32Array, heap: Uint8Array, committed: CommittedPage): number[] {
  const pages = heap.length / PAGE_BYTES;
  const dirty: number[] = [];
  const last = marked.length - 1;
  for (let i = 0; i <= last; i++) {
    const page = marked[i] as number;
    // The page after the last may stand for a store just before it.
    if (page > pages) break;
    const before = page - 1;
    if (before >= 0 && dirty[dirty.length - 1] !== before && changed(heap, committed, before, PAGE_BYTES - SLACK)) {
      if (i === 0 || marked[i - 1] !== before) dirty.push(before);
    }
    if (page === pages) break;
    if (dirty[dirty.length - 1] !== page) dirty.push(page);
    const after = page + 1;
    if (after < pages && marked[i + 1] !== after && changed(heap, committed, after, 0)) dirty.push(after);
  }
  // 32-bit addresses wrap around: the last page of the address space and the first are neighbours.
  if (last >= 0 && pages > 0) {
    const top = TOP_PAGE_32;
    // Stores that trapped may have left marks beyond it.
    let at = last;
    while (at > 0 && (marked[at] as number) > top) at--;
    const topMarked = marked[at] === top;
    if (topMarked && dirty[0] !== 0 && changed(heap, committed, 0, 0)) dirty.unshift(0);
    if (marked[0] === 0 && pages === top + 1 && !topMarked && changed(heap, committed, top, PAGE_BYTES - SLACK)) {
      dirty.push(top);
    }
  }
  return dirty;
}

/** Whether `SLACK` bytes of a page, from `start`, are not the committed ones. */
function changed(heap: Uint8Array, committed: CommittedPage, page: number, start: number): boolean {
  const old = committed(page);
  const from = page * PAGE_BYTES + start;
  if (old === undefined) {
    for (let i = 0; i < SLACK; i++) if (heap[from + i] !== 0) return true;
    return false;
  }
  for (let i = 0; i < SLACK; i++) if (heap[from + i] !== old[start + i]) return true;
  return false;
}

let walker: WebAssembly.Module | undefined;

/**
 * A hand-written module: `walk(clear) -> count` writes the indices of all marked pages to its own memory `found`,
 * ascending, and clears the marks when told to. 16 bytes of the map at a time on both levels.
 */
function walkerModule(): Uint8Array {
  const [clear, w, b, q, r, n] = [0, 1, 2, 3, 4, 5];
  const code = new ByteWriter(256);
  const anyTrue = (local: number, offset: number): void => {
    code.op(0x20, local, 0xfd, 0, 0);
    code.u32(offset);
    code.op(0xfd, 83);
  };
  const level1 = (op: number): void => {
    code.op(op, 0);
    code.u32(MAP_LEVEL1);
  };
  const next = (local: number, step: number, mask: number): void => {
    code.op(0x20, local, 0x41, step, 0x6a, 0x22, local, 0x41);
    code.s32(mask);
    code.op(0x71, 0x0d, 0);
  };
  code.op(1, 5, 0x7f);
  code.op(0x03, 0x40); // for w over level 2
  anyTrue(w, 0);
  code.op(0x04, 0x40, 0x20, w, 0x21, b);
  code.op(0x03, 0x40); // for b over its 16 bytes
  code.op(0x20, b, 0x2d, 0, 0, 0x04, 0x40);
  code.op(0x20, clear, 0x04, 0x40, 0x20, b, 0x41, 0, 0x3a, 0, 0, 0x0b);
  code.op(0x20, b, 0x41, MAP_LEVEL2_SHIFT, 0x74, 0x21, q);
  code.op(0x03, 0x40); // for q over 1,024 bytes of level 1
  anyTrue(q, MAP_LEVEL1);
  code.op(0x04, 0x40, 0x20, q, 0x21, r);
  code.op(0x03, 0x40); // for r over its 16 bytes
  code.op(0x20, r);
  level1(0x2d);
  code.op(0x04, 0x40, 0x20, n, 0x41, 2, 0x74, 0x20, r, 0x36, 0x42, 1, 0, 0x20, n, 0x41, 1, 0x6a, 0x21, n, 0x0b);
  next(r, 1, 15);
  code.u8(0x0b);
  code.op(0x20, clear, 0x04, 0x40, 0x20, q, 0xfd, 12);
  code.op(...new Array<number>(16).fill(0));
  code.op(0xfd, 11, 0);
  code.u32(MAP_LEVEL1);
  code.op(0x0b, 0x0b);
  next(q, 16, 1023);
  code.op(0x0b, 0x0b);
  next(b, 1, 15);
  code.op(0x0b, 0x0b);
  code.op(0x20, w, 0x41, 16, 0x6a, 0x22, w, 0x41);
  code.s32(LEVEL2_BYTES);
  code.op(0x49, 0x0d, 0, 0x0b, 0x20, n, 0x0b);

  const out = new ByteWriter(512);
  out.op(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const section = (id: number, write: (content: ByteWriter) => void): void => {
    const content = new ByteWriter(64);
    write(content);
    out.u8(id);
    out.u32(content.length);
    out.append(content.view());
  };
  section(1, (content) => content.op(1, 0x60, 1, 0x7f, 1, 0x7f));
  section(2, (content) => {
    content.u8(1);
    content.name('host');
    content.name('map');
    content.op(2, 0);
    content.u32(MAP_WASM_PAGES);
  });
  section(3, (content) => content.op(1, 0));
  section(5, (content) => {
    const pages = Math.ceil((MAP_PAGES * 4) / 65_536);
    content.op(1, 1);
    content.u32(pages);
    content.u32(pages);
  });
  section(7, (content) => {
    content.u8(2);
    content.name('walk');
    content.op(0, 0);
    content.name('found');
    content.op(2, 1);
  });
  section(10, (content) => {
    content.u8(1);
    content.u32(code.length);
    content.append(code.view());
  });
  return out.finish();
}

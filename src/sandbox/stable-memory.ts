import { PAGE_BYTES, type PageStore, WASM_PAGE_BYTES } from '../model/index.ts';

/**
 * Stable memory as one message sees it: the committed pages, and above them the pages that the message has written.
 * Nothing reaches the store before `commit`; `discard` forgets everything. Costs what is touched, at any size.
 *
 *     write ──▶ overlay  Map page → 4096 bytes ──commit──▶ PageStore
 *     read  ──▶ overlay, else the store, else zeros
 *
 * Offsets and lengths are plain numbers that the caller has checked against `bytes`.
 */
export class StableMemory {
  #store: PageStore;
  #wasmPages: number;
  readonly #overlay: Map<number, Uint8Array> = new Map();
  /** The page that was written last: runs of small writes find it without a look-up. */
  #lastPage = -1;
  #lastBytes: Uint8Array = NONE;
  /** Bits of the pages that were touched, in chunks of 32,768 pages (128 MiB). */
  readonly #touched: Map<number, Uint32Array> = new Map();
  #touchedCount = 0;
  #lastTouched = -1;

  constructor(store: PageStore) {
    this.#store = store;
    this.#wasmPages = store.wasmPages;
  }

  get wasmPages(): number {
    return this.#wasmPages;
  }

  get bytes(): number {
    return this.#wasmPages * WASM_PAGE_BYTES;
  }

  /** Pages written and not yet committed. */
  get dirtyCount(): number {
    return this.#overlay.size;
  }

  /** Pages read or written by the message. */
  get touchedCount(): number {
    return this.#touchedCount;
  }

  /** True when the message changed nothing. */
  get clean(): boolean {
    return this.#overlay.size === 0 && this.#wasmPages === this.#store.wasmPages;
  }

  /** The committed image may be another one than for the last message (a fork, or the same pages in a new store). */
  attach(store: PageStore): void {
    this.#store = store;
    this.discard();
  }

  /** The committed image goes on in another store with the same content; what the message wrote stays. */
  rebase(store: PageStore): void {
    this.#store = store;
  }

  grow(wasmPages: number): void {
    this.#wasmPages += wasmPages;
  }

  /** How many pages of the range the message has not yet written. */
  newlyDirty(offset: number, length: number): number {
    if (length === 0) return 0;
    const first = Math.floor(offset / PAGE_BYTES);
    const last = Math.floor((offset + length - 1) / PAGE_BYTES);
    if (first === last) return first === this.#lastPage || this.#overlay.has(first) ? 0 : 1;
    // Over large ranges it is cheaper to count what is there.
    if (last - first >= this.#overlay.size) {
      let present = 0;
      for (const page of this.#overlay.keys()) if (page >= first && page <= last) present++;
      return last - first + 1 - present;
    }
    let count = 0;
    for (let page = first; page <= last; page++) if (!this.#overlay.has(page)) count++;
    return count;
  }

  /** Remembers that the range was read or written, for the limit per message; returns how many pages were in all. */
  touch(offset: number, length: number): number {
    if (length === 0) return this.#touchedCount;
    const first = Math.floor(offset / PAGE_BYTES);
    const last = Math.floor((offset + length - 1) / PAGE_BYTES);
    if (first === this.#lastTouched && last === first) return this.#touchedCount;
    this.#lastTouched = last;
    for (let page = first; page <= last; page++) {
      const key = Math.floor(page / CHUNK_PAGES);
      let chunk = this.#touched.get(key);
      if (chunk === undefined) {
        chunk = new Uint32Array(CHUNK_PAGES / 32);
        this.#touched.set(key, chunk);
      }
      const word = (page % CHUNK_PAGES) >>> 5;
      const bit = 1 << (page & 31);
      const bits = chunk[word] ?? 0;
      if ((bits & bit) === 0) {
        chunk[word] = bits | bit;
        this.#touchedCount++;
      }
    }
    return this.#touchedCount;
  }

  read(offset: number, target: Uint8Array, at: number, length: number): void {
    let done = 0;
    while (done < length) {
      const position = offset + done;
      const page = Math.floor(position / PAGE_BYTES);
      const within = position - page * PAGE_BYTES;
      const count = Math.min(length - done, PAGE_BYTES - within);
      const source = page === this.#lastPage ? this.#lastBytes : (this.#overlay.get(page) ?? this.#store.view(page));
      if (source === undefined) target.fill(0, at + done, at + done + count);
      else copy(source, within, target, at + done, count);
      done += count;
    }
  }

  write(offset: number, source: Uint8Array, at: number, length: number): void {
    let done = 0;
    while (done < length) {
      const position = offset + done;
      const page = Math.floor(position / PAGE_BYTES);
      const within = position - page * PAGE_BYTES;
      const count = Math.min(length - done, PAGE_BYTES - within);
      const bytes = page === this.#lastPage ? this.#lastBytes : this.#own(page, count === PAGE_BYTES);
      copy(source, at + done, bytes, within, count);
      done += count;
    }
  }

  /** Writes the changes into the store; returns the pages written, ascending. */
  commit(): number[] {
    if (this.#wasmPages !== this.#store.wasmPages) this.#store.resize(this.#wasmPages);
    if (this.#overlay.size === 0) {
      this.#forget();
      return [];
    }
    const pages = [...this.#overlay.keys()].sort((a, b) => a - b);
    for (const page of pages) this.#store.write(page, this.#overlay.get(page) ?? ZERO_PAGE, 0);
    this.#forget();
    return pages;
  }

  discard(): void {
    this.#wasmPages = this.#store.wasmPages;
    this.#forget();
  }

  #forget(): void {
    if (this.#overlay.size > 0) this.#overlay.clear();
    this.#lastPage = -1;
    this.#lastBytes = NONE;
    if (this.#touchedCount > 0) {
      this.#touched.clear();
      this.#touchedCount = 0;
      this.#lastTouched = -1;
    }
  }

  /** The overlay's copy of a page, made when it is not there yet; not filled when it will be overwritten whole. */
  #own(page: number, whole: boolean): Uint8Array {
    let bytes = this.#overlay.get(page);
    if (bytes === undefined) {
      bytes = new Uint8Array(PAGE_BYTES);
      if (!whole) {
        const committed = this.#store.view(page);
        if (committed !== undefined) bytes.set(committed);
      }
      this.#overlay.set(page, bytes);
    }
    this.#lastPage = page;
    this.#lastBytes = bytes;
    return bytes;
  }
}

/** Below this a loop is quicker than a view and a call. */
const SHORT_BYTES = 48;

function copy(source: Uint8Array, from: number, target: Uint8Array, to: number, count: number): void {
  if (count > SHORT_BYTES) {
    target.set(source.subarray(from, from + count), to);
    return;
  }
  for (let i = 0; i < count; i++) target[to + i] = source[from + i] ?? 0;
}

const CHUNK_PAGES = 32_768;
const NONE = new Uint8Array(0);
const ZERO_PAGE = new Uint8Array(PAGE_BYTES);

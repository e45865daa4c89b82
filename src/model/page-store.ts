/** Bytes of a page: an operating-system page, not a 64 KiB Wasm page. */
export const PAGE_BYTES = 4096;
export const WASM_PAGE_BYTES = 65536;

/**
 * The committed image of one memory (heap or stable) as the sandbox sees it: sparse 4 KiB pages, zero where absent.
 * `state` implements it (PageMap); the sandbox reads it to fill or roll back a live heap and writes it on commit.
 * All calls are synchronous and cheap; a page index is a plain number (500 GiB / 4 KiB = 131 million).
 */
export interface PageStore {
  /** Committed size in 64 KiB Wasm pages. */
  readonly wasmPages: number;
  /** A view of the committed bytes of a page, or undefined when it is all zero. Never written through, never kept. */
  view(page: number): Uint8Array | undefined;
  /** Copies 4096 bytes from `source` at `offset` into the page. */
  write(page: number, source: Uint8Array, offset: number): void;
  /** Sets the committed size; pages beyond it read as zero and are dropped. */
  resize(wasmPages: number): void;
  /** Indices of the pages that may be non-zero, ascending. */
  pages(): Iterable<number>;
  /** An independent copy of the present content, cheap (copy on write): for queries, installs that may fail, snapshots. */
  fork(): PageStore;
}

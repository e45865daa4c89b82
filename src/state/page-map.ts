import { PAGE_BYTES, type PageStore } from '../model/index.ts';

/** Placeholder interface of the page map; the state module's author replaces it with the layered implementation. */
export class PageMap implements PageStore {
  #pages: Map<number, Uint8Array> = new Map();
  #wasmPages = 0;

  get wasmPages(): number {
    return this.#wasmPages;
  }

  view(page: number): Uint8Array | undefined {
    return this.#pages.get(page);
  }

  write(page: number, source: Uint8Array, offset: number): void {
    this.#pages.set(page, source.slice(offset, offset + PAGE_BYTES));
  }

  resize(wasmPages: number): void {
    if (wasmPages < this.#wasmPages)
      for (const page of this.#pages.keys()) if (page >= wasmPages * 16) this.#pages.delete(page);
    this.#wasmPages = wasmPages;
  }

  pages(): Iterable<number> {
    return [...this.#pages.keys()].sort((a, b) => a - b);
  }

  fork(): PageMap {
    const copy = new PageMap();
    copy.#wasmPages = this.#wasmPages;
    for (const [page, bytes] of this.#pages) copy.#pages.set(page, bytes);
    return copy;
  }
}

import { PAGE_BYTES, type PageStore, WASM_PAGE_BYTES } from '../model/index.ts';
import { HostFault } from './contract.ts';

/**
 * A Wasm memory that the host owns, with views of its bytes and with the pages that may hold anything but zeros: what
 * must be cleared before another canister gets it.
 */
export class Heap {
  readonly memory64: boolean;
  readonly memory: WebAssembly.Memory;
  #bytes: Uint8Array;
  #view: DataView;
  /** One bit per page. */
  #resident: Uint32Array;
  #residentPages = 0;

  constructor(memory64: boolean, wasmPages: number) {
    this.memory64 = memory64;
    this.memory = newMemory(memory64, wasmPages);
    this.#bytes = new Uint8Array(this.memory.buffer);
    this.#view = new DataView(this.memory.buffer);
    this.#resident = new Uint32Array(wordsFor(wasmPages));
  }

  get bytes(): Uint8Array {
    // Growing detaches the buffer under the old view.
    if (this.#bytes.length === 0) this.refresh();
    return this.#bytes;
  }

  get view(): DataView {
    if (this.#bytes.length === 0) this.refresh();
    return this.#view;
  }

  get wasmPages(): number {
    return this.bytes.length / WASM_PAGE_BYTES;
  }

  /** Takes note of a growth. */
  refresh(): void {
    const { buffer } = this.memory;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    const words = wordsFor(this.#bytes.length / WASM_PAGE_BYTES);
    if (words > this.#resident.length) {
      const larger = new Uint32Array(words);
      larger.set(this.#resident);
      this.#resident = larger;
    }
  }

  grow(wasmPages: number): void {
    if (wasmPages === 0) return;
    try {
      growMemory(this.memory, this.memory64, wasmPages);
    } catch (cause) {
      throw new HostFault(`a heap could not grow by ${wasmPages} Wasm pages`, { cause });
    }
    this.refresh();
  }

  /** The canister (or the host for it) wrote to the page. */
  noteResident(page: number): void {
    const word = page >>> 5;
    const bits = this.#resident[word] ?? 0;
    const bit = 1 << (page & 31);
    if ((bits & bit) !== 0) return;
    this.#resident[word] = bits | bit;
    this.#residentPages++;
  }

  /** Copies all of the committed image into an empty heap. */
  fill(store: PageStore): void {
    const { bytes } = this;
    for (const page of store.pages()) {
      const committed = store.view(page);
      if (committed === undefined) continue;
      bytes.set(committed, page * PAGE_BYTES);
      this.noteResident(page);
    }
  }

  /** Makes a page again what is committed. */
  restore(page: number, store: PageStore): void {
    const at = page * PAGE_BYTES;
    const committed = store.view(page);
    if (committed === undefined) this.bytes.fill(0, at, at + PAGE_BYTES);
    else this.bytes.set(committed, at);
  }

  /** Pages that take up memory. */
  get residentPages(): number {
    return this.#residentPages;
  }

  /** Zeroes what may not be zero. */
  clear(): void {
    const { bytes } = this;
    const resident = this.#resident;
    for (let word = 0; word < resident.length; word++) {
      const bits = resident[word] ?? 0;
      if (bits === 0) continue;
      for (let bit = 0; bit < 32; bit++) {
        if ((bits & (1 << bit)) === 0) continue;
        const at = (word * 32 + bit) * PAGE_BYTES;
        bytes.fill(0, at, at + PAGE_BYTES);
      }
      resident[word] = 0;
    }
    this.#residentPages = 0;
  }
}

/**
 * Heaps between two tenants. One that leaves is cleared before it is kept, so that the next tenant finds zeros and
 * exactly the size that it asked for; large or many ones are left to the garbage collector instead.
 */
export class HeapPool {
  readonly #free: Map<string, Heap[]> = new Map();
  readonly #capacity: number;
  #count = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  take(memory64: boolean, wasmPages: number): Heap {
    const free = this.#free.get(keyOf(memory64, wasmPages));
    const heap = free?.pop();
    if (heap === undefined) return new Heap(memory64, wasmPages);
    this.#count--;
    return heap;
  }

  give(heap: Heap): void {
    if (this.#count >= this.#capacity || heap.residentPages > POOLED_PAGES_MAX) return;
    heap.clear();
    const key = keyOf(heap.memory64, heap.wasmPages);
    const free = this.#free.get(key);
    if (free === undefined) this.#free.set(key, [heap]);
    else free.push(heap);
    this.#count++;
  }
}

/** Clearing more than this (16 MiB) takes longer than a new memory. */
const POOLED_PAGES_MAX = 4096;
const PAGES_PER_WASM_PAGE = WASM_PAGE_BYTES / PAGE_BYTES;

function wordsFor(wasmPages: number): number {
  return Math.ceil((wasmPages * PAGES_PER_WASM_PAGE) / 32);
}

function keyOf(memory64: boolean, wasmPages: number): string {
  return `${memory64 ? 64 : 32}:${wasmPages}`;
}

/** Memories with 64-bit addresses take their sizes as bigints; the type declarations of the platform know only numbers. */
interface Memory64Descriptor {
  readonly address: 'i64';
  readonly initial: bigint;
}

/** Without a maximum: what a canister may not have, the guard of its `memory.grow` refuses. */
function newMemory(memory64: boolean, wasmPages: number): WebAssembly.Memory {
  const wide: Memory64Descriptor = { address: 'i64', initial: BigInt(wasmPages) };
  try {
    return new WebAssembly.Memory(
      memory64 ? (wide as unknown as WebAssembly.MemoryDescriptor) : { initial: wasmPages },
    );
  } catch (cause) {
    throw new HostFault(`no memory for a heap of ${wasmPages} Wasm pages`, { cause });
  }
}

function growMemory(memory: WebAssembly.Memory, memory64: boolean, wasmPages: number): void {
  if (memory64) (memory as unknown as { grow(pages: bigint): bigint }).grow(BigInt(wasmPages));
  else memory.grow(wasmPages);
}

import { PAGE_BYTES, type PageStore, WASM_PAGE_BYTES } from '../model/index.ts';
import {
  bitCount,
  GROUP_PAGES,
  type GroupBits,
  limitBits,
  limitLayers,
  type PageLayers,
  readVisible,
  visibleGroups,
  visiblePages,
} from './page-section.ts';

/**
 * The committed content of one memory: what changed since it was read from disk, in a tree in memory, over immutable
 * layers on disk, which are read group by group when first touched.
 *
 *   root ─ 64 branches ─ … ─ 64 branches ─ leaf: 64 pages        a tree as high as the largest page needs;
 *                                                                a small memory is a single leaf
 *
 * `fork()` shares the tree: from then on both maps copy what they change, branch by branch. What a map may change in place
 * is marked with its `#edit`, which both give up at a fork. What changed since the last checkpoint is marked with its
 * `#generation`, which a checkpoint renews, so neither a fork nor a checkpoint visits pages.
 *
 * A leaf in the tree is complete: a page it lacks is zero. Only where there is no leaf the layers are asked.
 */
export class PageMap implements PageStore {
  #wasmPages = 0;
  #root: Branch | Leaf | undefined;
  /** Levels of branches above the leaves. */
  #height = 0;
  /** Groups that a tree of this height can hold: 64 to the power of it. */
  #capacity = 1;
  #edit: object = {};
  #generation: object = {};
  #base: Base = NO_BASE;
  /** Pages of the base from here on have been forgotten. */
  #baseLimit = Number.POSITIVE_INFINITY;
  /** No page above may be non-zero. */
  #highest = -1;
  // The leaf of the last access: neighbours follow.
  #group = -1;
  #leaf: Leaf | undefined;
  // Space for new pages. Slabs are small, since one living page keeps a whole slab alive.
  #slab: Uint8Array = NOTHING;
  #slabUsed = 0;

  /** A memory as a checkpoint describes it. */
  static restore(wasmPages: number, layers: PageLayers): PageMap {
    const map = new PageMap();
    map.#wasmPages = wasmPages;
    if (layers.length > 0) map.#base = { layers, pending: false };
    for (const layer of layers) map.#highest = Math.max(map.#highest, layer.section.highestPage);
    return map;
  }

  get wasmPages(): number {
    return this.#wasmPages;
  }

  view(page: number): Uint8Array | undefined {
    const group = page >>> GROUP_SHIFT;
    const leaf = group === this.#group ? this.#leaf : this.#find(group);
    return leaf?.pages[page & GROUP_MASK];
  }

  write(page: number, source: Uint8Array, offset: number): void {
    const group = page >>> GROUP_SHIFT;
    let leaf = this.#leaf;
    if (
      group !== this.#group ||
      leaf === undefined ||
      leaf.edit !== this.#edit ||
      leaf.generation !== this.#generation
    ) {
      leaf = this.#own(group);
      if (page > this.#highest) this.#highest = page;
    }
    const slot = page & GROUP_MASK;
    const bit = 1 << (slot & 31);
    let target: Uint8Array | undefined;
    if (((slot < 32 ? leaf.ownedLow : leaf.ownedHigh) & bit) !== 0) target = leaf.pages[slot];
    if (target === undefined) {
      target = this.#allocate();
      leaf.pages[slot] = target;
      if (slot < 32) {
        leaf.ownedLow |= bit;
        leaf.dirtyLow |= bit;
      } else {
        leaf.ownedHigh |= bit;
        leaf.dirtyHigh |= bit;
      }
      if (page > this.#highest) this.#highest = page;
    }
    target.set(offset === 0 && source.length === PAGE_BYTES ? source : source.subarray(offset, offset + PAGE_BYTES));
  }

  resize(wasmPages: number): void {
    this.#wasmPages = wasmPages;
    const limit = wasmPages * (WASM_PAGE_BYTES / PAGE_BYTES);
    if (this.#highest < limit) return;
    this.#highest = limit - 1;
    this.#group = -1;
    this.#leaf = undefined;
    if (limit === 0) {
      this.#root = undefined;
      this.#height = 0;
      this.#capacity = 1;
    } else if (this.#root !== undefined) this.#root = this.#prune(this.#root, this.#height, 0, limit);
    // Also while the base has no layers yet: a checkpoint under way may be about to give it some.
    if (this.#base !== NO_BASE) this.#baseLimit = Math.min(this.#baseLimit, limit);
  }

  *pages(): Iterable<number> {
    const leaves = this.#leaves();
    const layers = this.#layers();
    if (layers.length === 0) {
      for (const [group, leaf] of leaves) yield* pagesOf(leaf, group);
      return;
    }
    const inMemory = new Map(leaves);
    const groups = new Set([...visibleGroups(layers), ...inMemory.keys()]);
    for (const group of [...groups].sort((a, b) => a - b)) {
      const leaf = inMemory.get(group);
      if (leaf !== undefined) yield* pagesOf(leaf, group);
      else yield* pagesOfBits(visiblePages(layers, group), group);
    }
  }

  fork(): PageMap {
    const copy = new PageMap();
    copy.#wasmPages = this.#wasmPages;
    copy.#root = this.#root;
    copy.#height = this.#height;
    copy.#capacity = this.#capacity;
    copy.#generation = this.#generation;
    copy.#base = this.#base;
    copy.#baseLimit = this.#baseLimit;
    copy.#highest = this.#highest;
    copy.#group = this.#group;
    copy.#leaf = this.#leaf;
    this.#edit = {};
    return copy;
  }

  /**
   * Begins a checkpoint: freezes the content as it is now, and counts what changes from here on as new. The map goes on
   * being used while the snapshot is written. One at a time.
   */
  beginCheckpoint(): PageMapSnapshot {
    if (this.#base.pending) throw new Error('a checkpoint of this memory is under way');
    const content = this.fork();
    const changedPages = this.#countDirty();
    const dirty = changedPages > 0;
    const layers = this.#layers();
    if (dirty || this.#baseLimit !== Number.POSITIVE_INFINITY) {
      // Forks taken from now on share this object, so they learn of the new layers as well.
      this.#base = { layers, pending: dirty };
      this.#baseLimit = Number.POSITIVE_INFINITY;
    }
    const base = this.#base;
    this.#generation = {};
    return {
      wasmPages: content.#wasmPages,
      layers,
      changedPages,
      through: (count) => content.#through(layers.slice(0, count)),
      complete(written: PageLayers): void {
        if (base === NO_BASE) return;
        base.layers = written;
        base.pending = false;
      },
    };
  }

  /** Drops from memory what can be read again. Nothing happens while something is not on disk. */
  forget(): void {
    if (this.#base.pending || this.#countDirty() > 0) return;
    this.#root = undefined;
    this.#height = 0;
    this.#capacity = 1;
    this.#group = -1;
    this.#leaf = undefined;
  }

  #layers(): PageLayers {
    return this.#baseLimit === Number.POSITIVE_INFINITY
      ? this.#base.layers
      : limitLayers(this.#base.layers, this.#baseLimit);
  }

  #allocate(): Uint8Array {
    if (this.#slabUsed === this.#slab.length) {
      // The first page of a memory should not cost a slab: most forks write a page or two.
      this.#slab = new Uint8Array(this.#slab.length === 0 ? PAGE_BYTES : SLAB_BYTES);
      this.#slabUsed = 0;
    }
    const page = this.#slab.subarray(this.#slabUsed, this.#slabUsed + PAGE_BYTES);
    this.#slabUsed += PAGE_BYTES;
    return page;
  }

  /** The leaf in the tree, or undefined. */
  #peek(group: number): Leaf | undefined {
    let node = this.#root;
    if (group >= this.#capacity) return undefined;
    for (let level = this.#height; level > 0 && node !== undefined; level--)
      node = (node as Branch).children[digit(group, level)];
    return node as Leaf | undefined;
  }

  /** The leaf to read from, loaded when the layers have it. */
  #find(group: number): Leaf | undefined {
    let leaf = this.#peek(group);
    if (leaf === undefined) {
      if (this.#base.layers.length === 0) return undefined;
      if (group * GROUP_PAGES > this.#highest) return undefined;
      leaf = this.#load(group);
    }
    this.#group = group;
    this.#leaf = leaf;
    return leaf;
  }

  /**
   * Reads a group from the layers and puts it into the tree. Branches shared with forks are changed in place: where the
   * tree is shared and has no leaf, all who share it see the same below.
   */
  #load(group: number): Leaf {
    const leaf = emptyLeaf(NOBODY, NOBODY);
    // Bound by the limit once more: a leaf counts for the whole group.
    const count = readVisible(this.#layers(), group, leaf.pages);
    const found = count === 0 ? EMPTY_LEAF : leaf;
    this.#raise(group);
    if (this.#height === 0) {
      this.#root = found;
      return found;
    }
    if (this.#root === undefined) this.#root = emptyBranch(NOBODY, NOBODY);
    let node = this.#root as Branch;
    for (let level = this.#height; level > 1; level--) {
      const at = digit(group, level);
      let child = node.children[at] as Branch | undefined;
      if (child === undefined) {
        child = emptyBranch(NOBODY, NOBODY);
        node.children[at] = child;
      }
      node = child;
    }
    node.children[digit(group, 1)] = found;
    return found;
  }

  /** The leaf to write to: this map's own, and everything above it too. */
  #own(group: number): Leaf {
    const present = this.#peek(group);
    if (present !== undefined && present.edit === this.#edit && present.generation === this.#generation) {
      this.#group = group;
      this.#leaf = present;
      return present;
    }
    if (present === undefined && this.#base.layers.length > 0 && group * GROUP_PAGES <= this.#highest)
      this.#load(group);
    this.#raise(group);
    let leaf: Leaf;
    if (this.#height === 0) {
      leaf = this.#ownLeaf(this.#root as Leaf | undefined);
      this.#root = leaf;
    } else {
      let node = this.#ownBranch(this.#root as Branch | undefined);
      this.#root = node;
      for (let level = this.#height; level > 1; level--) {
        const at = digit(group, level);
        const child = this.#ownBranch(node.children[at] as Branch | undefined);
        node.children[at] = child;
        node = child;
      }
      const at = digit(group, 1);
      leaf = this.#ownLeaf(node.children[at] as Leaf | undefined);
      node.children[at] = leaf;
    }
    this.#group = group;
    this.#leaf = leaf;
    return leaf;
  }

  #raise(group: number): void {
    while (group >= this.#capacity) {
      if (this.#root !== undefined) {
        const above = emptyBranch(this.#edit, this.#root.generation);
        above.children[0] = this.#root;
        this.#root = above;
      }
      this.#height++;
      this.#capacity *= 64;
    }
  }

  #ownBranch(branch: Branch | undefined): Branch {
    if (branch === undefined) return emptyBranch(this.#edit, this.#generation);
    if (branch.edit === this.#edit) {
      branch.generation = this.#generation;
      return branch;
    }
    return { edit: this.#edit, generation: this.#generation, children: branch.children.slice() };
  }

  #ownLeaf(leaf: Leaf | undefined): Leaf {
    if (leaf === undefined) return emptyLeaf(this.#edit, this.#generation);
    if (leaf.edit === this.#edit && leaf.generation === this.#generation) return leaf;
    const fresh = leaf.generation === this.#generation;
    return {
      edit: this.#edit,
      generation: this.#generation,
      pages: leaf.pages.slice(),
      ownedLow: 0,
      ownedHigh: 0,
      dirtyLow: fresh ? leaf.dirtyLow : 0,
      dirtyHigh: fresh ? leaf.dirtyHigh : 0,
    };
  }

  /** The tree without the pages from `limit` on; `first` is the first group below `node`. */
  #prune(node: Branch | Leaf, level: number, first: number, limit: number): Branch | Leaf | undefined {
    if (first * GROUP_PAGES >= limit) return undefined;
    const groups = 64 ** level;
    if ((first + groups) * GROUP_PAGES <= limit) return node;
    if (level === 0) {
      const leaf = node as Leaf;
      const kept = limit - first * GROUP_PAGES;
      const dirty: GroupBits = { low: leaf.dirtyLow, high: leaf.dirtyHigh };
      const owned: GroupBits = { low: leaf.ownedLow, high: leaf.ownedHigh };
      limitBits(dirty, kept);
      limitBits(owned, kept);
      return {
        edit: leaf.edit,
        generation: leaf.generation,
        pages: leaf.pages.map((page, slot) => (slot < kept ? page : undefined)),
        ownedLow: owned.low,
        ownedHigh: owned.high,
        dirtyLow: dirty.low,
        dirtyHigh: dirty.high,
      };
    }
    const branch = node as Branch;
    const children = branch.children.map((child, at) =>
      child === undefined ? undefined : this.#prune(child, level - 1, first + at * 64 ** (level - 1), limit),
    );
    return { edit: branch.edit, generation: branch.generation, children };
  }

  #leaves(): (readonly [number, Leaf])[] {
    const leaves: (readonly [number, Leaf])[] = [];
    if (this.#root !== undefined) collectLeaves(this.#root, this.#height, 0, undefined, leaves);
    return leaves;
  }

  #dirtyLeaves(): (readonly [number, Leaf])[] {
    const leaves: (readonly [number, Leaf])[] = [];
    if (this.#root !== undefined) collectLeaves(this.#root, this.#height, 0, this.#generation, leaves);
    return leaves;
  }

  #countDirty(): number {
    let count = 0;
    for (const [, leaf] of this.#dirtyLeaves()) count += bitCount(leaf.dirtyLow) + bitCount(leaf.dirtyHigh);
    return count;
  }

  /** Pages that differ from what lies below the upper layers, ascending. */
  *#through(upper: PageLayers): Iterable<readonly [number, Uint8Array]> {
    const dirty = new Map(this.#dirtyLeaves());
    const groups = new Set([...visibleGroups(upper), ...dirty.keys()]);
    for (const group of [...groups].sort((a, b) => a - b)) {
      const bits = visiblePages(upper, group);
      const changed = dirty.get(group);
      bits.low |= changed?.dirtyLow ?? 0;
      bits.high |= changed?.dirtyHigh ?? 0;
      let pages = this.#peek(group)?.pages;
      if (pages === undefined) {
        // Read past the tree: a checkpoint should not fill the memory with what nobody uses.
        pages = [];
        readVisible(upper, group, pages);
      }
      for (const page of pagesOfBits(bits, group)) {
        const bytes = pages[page & GROUP_MASK];
        if (bytes !== undefined) yield [page, bytes];
      }
    }
  }
}

/** A memory frozen for a checkpoint. */
export interface PageMapSnapshot {
  readonly wasmPages: number;
  /** What is on disk already. */
  readonly layers: PageLayers;
  /** How many pages the layers do not have as they are. */
  readonly changedPages: number;
  /**
   * The pages, ascending, of a section that takes the place of the first `count` layers: 0 gives what changed since the
   * last checkpoint, `layers.length` everything.
   */
  through(count: number): Iterable<readonly [number, Uint8Array]>;
  /** The content is on disk now, in these layers: the map and its forks read from them from now on. */
  complete(layers: PageLayers): void;
}

interface Base {
  layers: PageLayers;
  /** A checkpoint is under way: the tree holds pages that count as clean and are not on disk yet. */
  pending: boolean;
}

interface Branch {
  readonly edit: object;
  /** The map's generation when something below was last changed. */
  generation: object;
  readonly children: (Branch | Leaf | undefined)[];
}

interface Leaf {
  readonly edit: object;
  readonly generation: object;
  readonly pages: (Uint8Array | undefined)[];
  /** Pages whose bytes the holder of `edit` may change in place. */
  ownedLow: number;
  ownedHigh: number;
  /** Pages that differ from the layers, for maps of the same generation. */
  dirtyLow: number;
  dirtyHigh: number;
}

const GROUP_SHIFT = 6;
const GROUP_MASK = GROUP_PAGES - 1;
const SLAB_BYTES = 16 * PAGE_BYTES;
const NOTHING = new Uint8Array(0);
const NOBODY: object = {};
const NO_BASE: Base = { layers: [], pending: false };
const EMPTY_LEAF: Leaf = emptyLeaf(NOBODY, NOBODY);

function emptyLeaf(edit: object, generation: object): Leaf {
  const pages = new Array<Uint8Array | undefined>(GROUP_PAGES).fill(undefined);
  return { edit, generation, pages, ownedLow: 0, ownedHigh: 0, dirtyLow: 0, dirtyHigh: 0 };
}

function emptyBranch(edit: object, generation: object): Branch {
  return { edit, generation, children: new Array<Branch | Leaf | undefined>(64).fill(undefined) };
}

/** Which child of a branch `level` levels above the leaves leads to the group. */
function digit(group: number, level: number): number {
  return (group >>> (6 * (level - 1))) & 63;
}

/** The leaves below, in order; those changed in a generation, when one is given. */
function collectLeaves(
  node: Branch | Leaf,
  level: number,
  first: number,
  generation: object | undefined,
  into: (readonly [number, Leaf])[],
): void {
  if (generation !== undefined && node.generation !== generation) return;
  if (level === 0) {
    into.push([first, node as Leaf]);
    return;
  }
  const groups = 64 ** (level - 1);
  for (const [at, child] of (node as Branch).children.entries())
    if (child !== undefined) collectLeaves(child, level - 1, first + at * groups, generation, into);
}

function* pagesOf(leaf: Leaf, group: number): Iterable<number> {
  for (let slot = 0; slot < GROUP_PAGES; slot++) if (leaf.pages[slot] !== undefined) yield group * GROUP_PAGES + slot;
}

function* pagesOfBits(bits: GroupBits, group: number): Iterable<number> {
  for (let slot = 0; slot < GROUP_PAGES; slot++)
    if (((slot < 32 ? bits.low : bits.high) & (1 << (slot & 31))) !== 0) yield group * GROUP_PAGES + slot;
}

/** Pages per group: sections are asked, and read, by aligned groups of 64 pages (256 KiB). */
export const GROUP_PAGES = 64;

/** Which pages of a group: one bit each, pages 0–31 in `low`, 32–63 in `high`. */
export interface GroupBits {
  low: number;
  high: number;
}

/** An immutable set of pages of one memory, on disk: what one checkpoint wrote of it (docs/internals/data-layout.md, 5). */
export interface PageSection {
  readonly pageCount: number;
  /** Adds to `bits` the pages of the group that are in the section. */
  presence(group: number, bits: GroupBits): void;
  /** Reads the wanted pages (all present) of the group into their places of `pages`. @throws StateError `corrupt_file` */
  readGroup(group: number, wanted: GroupBits, pages: (Uint8Array | undefined)[]): void;
  /** The groups that have pages, ascending. */
  groups(): Iterable<number>;
  /** The highest page, or −1. */
  readonly highestPage: number;
}

/** A section as a memory sees it: its pages from `limit` on have been forgotten. */
export interface PageLayer {
  readonly section: PageSection;
  readonly limit: number;
}

/** Layers, newest first. The page is the first layer's that has it, below the limits of that layer and all newer ones. */
export type PageLayers = readonly PageLayer[];

export function limitLayers(layers: PageLayers, limit: number): PageLayers {
  return layers.map((layer) => (layer.limit <= limit ? layer : { section: layer.section, limit }));
}

/** Bits of the pages of the group that are visible through the layers. */
export function visiblePages(layers: PageLayers, group: number): GroupBits {
  const all: GroupBits = { low: 0, high: 0 };
  let limit = Number.POSITIVE_INFINITY;
  for (const layer of layers) {
    limit = Math.min(limit, layer.limit);
    if (limit <= group * GROUP_PAGES) break;
    const bits: GroupBits = { low: 0, high: 0 };
    layer.section.presence(group, bits);
    limitBits(bits, limit - group * GROUP_PAGES);
    all.low |= bits.low;
    all.high |= bits.high;
  }
  return all;
}

/** Reads the visible pages of the group. @returns how many */
export function readVisible(layers: PageLayers, group: number, pages: (Uint8Array | undefined)[]): number {
  const have: GroupBits = { low: 0, high: 0 };
  let limit = Number.POSITIVE_INFINITY;
  for (const layer of layers) {
    limit = Math.min(limit, layer.limit);
    if (limit <= group * GROUP_PAGES) break;
    const wanted: GroupBits = { low: 0, high: 0 };
    layer.section.presence(group, wanted);
    limitBits(wanted, limit - group * GROUP_PAGES);
    wanted.low &= ~have.low;
    wanted.high &= ~have.high;
    if ((wanted.low | wanted.high) === 0) continue;
    layer.section.readGroup(group, wanted, pages);
    have.low |= wanted.low;
    have.high |= wanted.high;
  }
  return bitCount(have.low) + bitCount(have.high);
}

/** Groups that may have visible pages, ascending. */
export function visibleGroups(layers: PageLayers): readonly number[] {
  const groups = new Set<number>();
  let limit = Number.POSITIVE_INFINITY;
  for (const layer of layers) {
    limit = Math.min(limit, layer.limit);
    for (const group of layer.section.groups()) if (group * GROUP_PAGES < limit) groups.add(group);
  }
  return [...groups].sort((a, b) => a - b);
}

/** Clears the bits from `limit` on. */
export function limitBits(bits: GroupBits, limit: number): void {
  if (limit >= GROUP_PAGES) return;
  if (limit <= 32) {
    bits.high = 0;
    if (limit < 32) bits.low &= limit <= 0 ? 0 : (1 << limit) - 1;
  } else bits.high &= (1 << (limit - 32)) - 1;
}

export function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

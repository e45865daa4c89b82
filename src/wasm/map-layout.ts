/**
 * The page map: which 4 KiB pages of a heap were written. One byte each on two levels, in a memory of its own.
 *
 *     0                    64 KiB                          64 KiB + 1.5 MiB     + scratch
 *     | level 2: 1 byte    | level 1: 1 byte               | globals while a    |
 *     |  per 1,024 pages   |  per page, to 6 GiB           |  state is captured |
 *
 * An effective address beyond the heap may index past level 1: the access traps, as the store itself would, or it falls
 * into the scratch space, where it does no harm. A mark is made before its store.
 */
export const PAGE_SHIFT = 12;
export const MAP_LEVEL1 = 65_536;
export const MAP_LEVEL2_SHIFT = 10;
/** 6 GiB. */
export const MAP_PAGES = 1_572_864;
export const MAP_SCRATCH: number = MAP_LEVEL1 + MAP_PAGES;
export const MAP_SCRATCH_BYTES = 65_536;
/** Size of the map's memory in Wasm pages, with the usual scratch space. */
export const MAP_WASM_PAGES: number = (MAP_SCRATCH + MAP_SCRATCH_BYTES) / 65_536;
/** Bytes on both sides of a marked page that stores may have written without a mark: compared when marks are collected. */
export const SLACK = 128;

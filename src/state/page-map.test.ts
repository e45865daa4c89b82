import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { PAGE_BYTES } from '../model/index.ts';
import { PageMap } from './page-map.ts';
import { GROUP_PAGES, type GroupBits, limitLayers, type PageLayers, type PageSection } from './page-section.ts';

/** A section as a page file would give it, in memory. */
class MemorySection implements PageSection {
  readonly #pages: Map<number, Uint8Array>;
  reads = 0;

  constructor(pages: Iterable<readonly [number, Uint8Array]>) {
    this.#pages = new Map([...pages].map(([page, bytes]) => [page, bytes.slice()]));
  }

  get pageCount(): number {
    return this.#pages.size;
  }

  get highestPage(): number {
    return Math.max(-1, ...this.#pages.keys());
  }

  presence(group: number, bits: GroupBits): void {
    for (let slot = 0; slot < GROUP_PAGES; slot++)
      if (this.#pages.has(group * GROUP_PAGES + slot)) {
        if (slot < 32) bits.low |= 1 << slot;
        else bits.high |= 1 << (slot - 32);
      }
  }

  readGroup(group: number, wanted: GroupBits, pages: (Uint8Array | undefined)[]): void {
    this.reads++;
    for (let slot = 0; slot < GROUP_PAGES; slot++)
      if (((slot < 32 ? wanted.low : wanted.high) & (1 << (slot & 31))) !== 0) {
        const bytes = this.#pages.get(group * GROUP_PAGES + slot);
        assert.ok(bytes !== undefined, 'asked for a page that is not there');
        pages[slot] = bytes.slice();
      }
  }

  groups(): Iterable<number> {
    return new Set([...this.#pages.keys()].map((page) => Math.floor(page / GROUP_PAGES)));
  }
}

/** Begins a checkpoint whose section replaces up to `merge` layers. @returns what finishes it */
function checkpoint(map: PageMap, merge: number): () => PageLayers {
  const snapshot = map.beginCheckpoint();
  return () => {
    let layers = snapshot.layers;
    const count = Math.min(merge, layers.length);
    if (snapshot.changedPages > 0 || count > 0) {
      const limit = Math.min(...layers.slice(0, count).map((layer) => layer.limit));
      layers = [
        { section: new MemorySection(snapshot.through(count)), limit: Number.POSITIVE_INFINITY },
        ...limitLayers(layers.slice(count), limit),
      ];
    }
    snapshot.complete(layers);
    return layers;
  };
}

/** What a page map should be. */
class Model {
  wasmPages = 0;
  pages: Map<number, number> = new Map();

  copy(): Model {
    const copy = new Model();
    copy.wasmPages = this.wasmPages;
    copy.pages = new Map(this.pages);
    return copy;
  }
}

function filled(value: number): Uint8Array {
  return new Uint8Array(PAGE_BYTES).fill(value);
}

function same(map: PageMap, model: Model): void {
  assert.equal(map.wasmPages, model.wasmPages);
  const expected = [...model.pages.keys()].sort((a, b) => a - b);
  assert.deepEqual([...map.pages()], expected);
  for (const [page, value] of model.pages) {
    const bytes = map.view(page);
    assert.ok(bytes !== undefined && bytes.length === PAGE_BYTES && bytes.every((byte) => byte === value));
  }
  assert.deepEqual([...map.pages()], expected, 'reading changes nothing');
  for (const page of [0, 1, 63, 64, 4095, 4096, 70_000, 262_144, 131_071_999])
    if (!model.pages.has(page)) assert.equal(map.view(page), undefined);
}

describe('page map', () => {
  test('is empty and zero at first', () => {
    same(new PageMap(), new Model());
  });

  test('reads back what was written, at both ends of 500 GiB', () => {
    const map = new PageMap();
    map.resize(8_192_000);
    const source = new Uint8Array(3 * PAGE_BYTES).fill(1);
    source.fill(2, PAGE_BYTES, 2 * PAGE_BYTES);
    map.write(0, source, PAGE_BYTES);
    map.write(131_071_999, source, 0);
    assert.equal(map.view(0)?.[4095], 2);
    assert.equal(map.view(131_071_999)?.[0], 1);
    assert.equal(map.view(131_071_998), undefined);
    assert.deepEqual([...map.pages()], [0, 131_071_999]);
    source.fill(9);
    assert.equal(map.view(0)?.[0], 2, 'the bytes were copied');
  });

  test('a memory that shrank and grew again reads zero there', () => {
    const map = new PageMap();
    map.resize(10);
    for (const page of [0, 15, 16, 17, 100]) map.write(page, filled(page + 1), 0);
    map.resize(1);
    map.resize(10);
    assert.deepEqual([...map.pages()], [0, 15]);
    assert.equal(map.view(16), undefined);
    map.write(16, filled(3), 0);
    assert.equal(map.view(16)?.[0], 3);
    assert.equal(map.view(17), undefined);
  });

  test('layers are read by groups, once, and shared with forks', () => {
    const section = new MemorySection(Array.from({ length: 200 }, (_, page) => [page, filled(page % 251)] as const));
    const map = PageMap.restore(13, [{ section, limit: Number.POSITIVE_INFINITY }]);
    const fork = map.fork();
    assert.equal([...map.pages()].length, 200);
    assert.equal(section.reads, 0);
    for (let page = 0; page < 128; page++) assert.equal(fork.view(page)?.[7], page % 251);
    assert.equal(section.reads, 2);
    for (let page = 0; page < 128; page++) map.view(page);
    assert.ok(section.reads <= 4);
    map.forget();
    assert.equal(map.view(5)?.[0], 5);
  });

  test('random operations on a map and its forks, with checkpoints at any time', () => {
    // Pages near each other, near the edges of groups and branches, and far away.
    const page = fc.oneof(
      fc.integer({ min: 0, max: 200 }),
      fc.constantFrom(63, 64, 4095, 4096, 262_143, 262_144, 131_071_999),
    );
    const which = fc.integer({ min: 0, max: 1 });
    const operation = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant('write' as const),
          which,
          page,
          value: fc.integer({ min: 1, max: 255 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('view' as const), which, page }) },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('resize' as const),
          which,
          wasmPages: fc.oneof(fc.integer({ min: 0, max: 14 }), fc.constantFrom(256, 16_384, 8_192_000)),
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('fork' as const), which, into: which }) },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('begin' as const), which, merge: fc.constantFrom(0, 0, 1, 2, 100) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('finish' as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('restore' as const), which }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('forget' as const), which }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { minLength: 20, maxLength: 120, size: 'max' }), (operations) => {
        const maps = [new PageMap(), new PageMap()];
        const models = [new Model(), new Model()];
        let running: { finish: () => PageLayers; map: PageMap; frozen: Model; which: number } | undefined;
        const finish = (): void => {
          if (running === undefined) return;
          const layers = running.finish();
          same(PageMap.restore(running.frozen.wasmPages, layers), running.frozen);
          running = undefined;
        };
        for (const op of operations) {
          if (op.kind === 'finish') {
            finish();
            continue;
          }
          const map = maps[op.which] as PageMap;
          const model = models[op.which] as Model;
          switch (op.kind) {
            case 'write':
              map.write(op.page, filled(op.value), 0);
              model.pages.set(op.page, op.value);
              // A write beyond the committed size is kept when the size follows.
              if ((model.wasmPages + 1) * 16 <= op.page + 16) {
                model.wasmPages = Math.floor(op.page / 16) + 1;
                map.resize(model.wasmPages);
              }
              break;
            case 'view':
              assert.equal(map.view(op.page)?.[100], model.pages.get(op.page));
              break;
            case 'resize':
              map.resize(op.wasmPages);
              model.wasmPages = op.wasmPages;
              for (const page of model.pages.keys()) if (page >= op.wasmPages * 16) model.pages.delete(page);
              break;
            case 'fork':
              maps[op.into] = map.fork();
              models[op.into] = model.copy();
              break;
            case 'begin':
              finish();
              running = { finish: checkpoint(map, op.merge), map, frozen: model.copy(), which: op.which };
              break;
            case 'restore': {
              finish();
              const layers = checkpoint(map, 0)();
              maps[op.which] = PageMap.restore(model.wasmPages, layers);
              break;
            }
            case 'forget':
              map.forget();
              break;
          }
        }
        finish();
        for (const [index, map] of maps.entries()) same(map, models[index] as Model);
      }),
      { numRuns: 100 },
    );
  });

  test('a checkpoint writes only what changed since the last one', () => {
    const map = new PageMap();
    map.resize(100);
    for (let page = 0; page < 1000; page++) map.write(page, filled(1), 0);
    checkpoint(map, 0)();
    assert.equal(map.beginCheckpoint().changedPages, 0);
    map.write(500, filled(2), 0);
    map.write(500, filled(3), 0);
    const fork = map.fork();
    fork.write(700, filled(4), 0);
    const changed = [...map.beginCheckpoint().through(0)].map(([page, bytes]) => [page, bytes[0]]);
    assert.deepEqual(changed, [[500, 3]]);
    assert.deepEqual(
      [...fork.beginCheckpoint().through(0)].map(([page]) => page),
      [500, 700],
    );
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { canisterIdFromNumber, PAGE_BYTES, PROTOCOL_VERSION, Principal } from '../model/index.ts';
import { SimulatedPlatform } from '../platform/index.ts';
import type { CanisterState } from './canister-state.ts';
import { CheckpointStore } from './checkpoint-store.ts';
import { PageMap } from './page-map.ts';
import { StateError } from './state-error.ts';
import type { SubnetState } from './subnet-state.ts';

const NETWORK = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const ROOT = 'state';
const FOLDERS = ['checkpoints', 'pages', 'modules'];

function platformWithFolders(): SimulatedPlatform {
  const platform = new SimulatedPlatform(1);
  for (const folder of FOLDERS) platform.disk.makeFolder(`${ROOT}/${folder}`);
  return platform;
}

function store(platform: SimulatedPlatform): CheckpointStore {
  return new CheckpointStore(platform.disk, ROOT, NETWORK, () => Promise.resolve());
}

function load(platform: SimulatedPlatform): { state: SubnetState; store: CheckpointStore; notices: string[] } {
  const opened = store(platform);
  const notices: string[] = [];
  const loaded = opened.load((text) => notices.push(text));
  assert.ok(loaded !== undefined);
  return { state: loaded.state, store: opened, notices };
}

/** Only what checkpoints look at; the rest of a canister is plain data like any other. */
function canister(number: bigint): CanisterState {
  return {
    id: canisterIdFromNumber(number),
    version: number,
    status: { kind: 'running' },
    code: undefined,
    heap: new PageMap(),
    stable: new PageMap(),
    chunkStore: new Map([['aa', Uint8Array.of(1, 2)]]),
    settings: { controllers: [Principal.fromBytes(Uint8Array.of(4))], environmentVariables: [] },
    snapshots: new Map(),
  } as unknown as CanisterState;
}

function subnet(canisters: number): SubnetState {
  return {
    protocolVersion: PROTOCOL_VERSION,
    height: 0,
    time: 5n,
    stateHash: new Uint8Array(32),
    canisters: new Map(
      Array.from({ length: canisters }, (_, index) => {
        const one = canister(BigInt(index));
        return [one.id.key, one] as const;
      }),
    ),
    ingressHistory: new Map([['ab', { status: { status: 'replied', reply: Uint8Array.of(9) } }]]),
    modules: new Map(),
  } as unknown as SubnetState;
}

function filled(value: number): Uint8Array {
  return new Uint8Array(PAGE_BYTES).fill(value);
}

function memory(state: SubnetState, index: number): PageMap {
  const one = state.canisters.get(canisterIdFromNumber(BigInt(index)).key);
  assert.ok(one !== undefined);
  return one.heap;
}

function content(map: PageMap): [number, number | undefined][] {
  return [...map.pages()].map((page) => [page, map.view(page)?.[17]]);
}

describe('checkpoints', () => {
  test('there is none at first', () => {
    assert.equal(
      store(platformWithFolders()).load(() => assert.fail()),
      undefined,
    );
  });

  test('the whole state comes back: data, memories, modules', async () => {
    const platform = platformWithFolders();
    const state = subnet(3);
    memory(state, 0).resize(2);
    memory(state, 0).write(3, filled(7), 0);
    memory(state, 2).resize(8_192_000);
    memory(state, 2).write(131_071_999, filled(9), 0);
    const hash = 'ab'.repeat(32);
    state.modules.set(hash, Uint8Array.of(0, 97, 115, 109));
    state.height = 10;
    await store(platform).begin(state).write();
    const { state: again, notices } = load(platform);
    assert.deepEqual(notices, []);
    assert.deepEqual(content(memory(again, 0)), [[3, 7]]);
    assert.equal(memory(again, 0).wasmPages, 2);
    assert.deepEqual(content(memory(again, 1)), []);
    assert.deepEqual(content(memory(again, 2)), [[131_071_999, 9]]);
    assert.deepEqual(again.modules, state.modules);
    assert.deepEqual(again.ingressHistory, state.ingressHistory);
    const one = again.canisters.get(canisterIdFromNumber(0n).key);
    assert.ok(one?.id instanceof Principal);
    assert.deepEqual(one.chunkStore, new Map([['aa', Uint8Array.of(1, 2)]]));
    assert.deepEqual(platform.disk.list(`${ROOT}/modules`), [`${hash}.wasm`]);
  });

  test('only changed pages are written, what goes on meanwhile is not in it, modules are stored once', async () => {
    const platform = platformWithFolders();
    const state = subnet(2);
    const checkpoints = store(platform);
    for (let page = 0; page < 500; page++) memory(state, 0).write(page, filled(1), 0);
    memory(state, 0).resize(40);
    state.modules.set('cd'.repeat(32), new Uint8Array(100_000).fill(1));
    state.height = 1;
    await checkpoints.begin(state).write();
    memory(state, 0).write(7, filled(2), 0);
    state.height = 2;
    const pending = checkpoints.begin(state);
    memory(state, 0).write(8, filled(3), 0);
    memory(state, 0).write(7, filled(4), 0);
    state.height = 3;
    await pending.write();
    const file = platform.disk.read(`${ROOT}/pages/000000000002.pages`);
    assert.ok(file.length < 3 * PAGE_BYTES, `${file.length} bytes`);
    const { state: again } = load(platform);
    assert.equal(again.height, 2);
    assert.equal(memory(again, 0).view(7)?.[0], 2);
    assert.equal(memory(again, 0).view(8)?.[0], 1);
    await checkpoints.begin(state).write();
    const { state: last } = load(platform);
    assert.equal(memory(last, 0).view(7)?.[0], 4);
    assert.equal(memory(last, 0).view(8)?.[0], 3);
    assert.equal([...memory(last, 0).pages()].length, 500);
    assert.deepEqual(platform.disk.list(`${ROOT}/checkpoints`), ['000000000002.checkpoint', '000000000003.checkpoint']);
  });

  test('files that nothing needs are removed; layers and files stay few over many checkpoints', async () => {
    const platform = platformWithFolders();
    const state = subnet(90);
    let checkpoints = store(platform);
    const expected = new Map<number, Map<number, number>>();
    let bytes = 0;
    for (let height = 1; height <= 90; height++) {
      // Every round another canister, which then sleeps; canister 0 always.
      for (const [index, page] of [
        [0, height % 40],
        [height - 1, 5],
      ] as const) {
        const map = memory(state, index);
        map.resize(100);
        map.write(page, filled(height), 0);
        const pages = expected.get(index) ?? new Map<number, number>();
        expected.set(index, pages.set(page, height));
      }
      state.height = height;
      await checkpoints.begin(state).write();
      if (height === 70) checkpoints = load(platform).store;
      const names = platform.disk.list(`${ROOT}/pages`) ?? [];
      assert.ok(names.length <= 70, `${names.length} page files at height ${height}`);
      bytes = Math.max(
        bytes,
        names.reduce((sum, name) => sum + platform.disk.open(`${ROOT}/pages/${name}`, 'read').sizeBytes(), 0),
      );
      if (height === 70) {
        // What is in memory belongs to the state that the first store wrote: go on with what was read.
        const reread = load(platform);
        checkpoints = reread.store;
        for (const [key, one] of reread.state.canisters) state.canisters.set(key, one);
      }
    }
    const { state: again } = load(platform);
    for (const [index, pages] of expected)
      assert.deepEqual(
        content(memory(again, index)),
        [...pages].sort(([a], [b]) => a - b),
      );
    assert.ok(bytes < 4_000_000, `${bytes} bytes`);
  });

  test('a memory that shrank does not get its old pages back', async () => {
    const platform = platformWithFolders();
    const state = subnet(1);
    const checkpoints = store(platform);
    memory(state, 0).resize(40);
    for (let page = 0; page < 600; page++) memory(state, 0).write(page, filled(1), 0);
    state.height = 1;
    await checkpoints.begin(state).write();
    memory(state, 0).resize(5);
    memory(state, 0).resize(40);
    memory(state, 0).write(300, filled(2), 0);
    state.height = 2;
    await checkpoints.begin(state).write();
    const { state: again } = load(platform);
    const pages = [...memory(again, 0).pages()];
    assert.equal(pages.length, 81);
    assert.equal(pages.at(-1), 300);
    assert.equal(memory(again, 0).view(81), undefined);
    assert.equal(memory(again, 0).view(79)?.[0], 1);
  });

  test('the state survives any sequence of changes, checkpoints and restarts', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant('write' as const),
          which: fc.nat(2),
          page: fc.nat(300),
          value: fc.integer({ min: 1, max: 255 }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('resize' as const), which: fc.nat(2), wasmPages: fc.nat(19) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('replace' as const), which: fc.nat(2), by: fc.nat(2) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('checkpoint' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }), async (steps) => {
        const platform = platformWithFolders();
        let state = subnet(3);
        let checkpoints = store(platform);
        let model = [new Map<number, number>(), new Map<number, number>(), new Map<number, number>()];
        let saved: Map<number, number>[] | undefined;
        for (const map of [0, 1, 2]) memory(state, map).resize(19);
        for (const action of steps) {
          switch (action.kind) {
            case 'write':
              memory(state, action.which).write(action.page, filled(action.value), 0);
              memory(state, action.which).resize(19);
              model[action.which]?.set(action.page, action.value);
              break;
            case 'resize':
              memory(state, action.which).resize(action.wasmPages);
              for (const page of model[action.which]?.keys() ?? [])
                if (page >= action.wasmPages * 16) model[action.which]?.delete(page);
              break;
            case 'replace': {
              const one = state.canisters.get(canisterIdFromNumber(BigInt(action.which)).key);
              if (one !== undefined) one.heap = memory(state, action.by).fork();
              model[action.which] = new Map(model[action.by]);
              break;
            }
            case 'checkpoint':
              state.height++;
              await checkpoints.begin(state).write();
              saved = model.map((pages) => new Map(pages));
              break;
            case 'restart': {
              if (saved === undefined) break;
              const reread = load(platform);
              assert.deepEqual(reread.notices, []);
              state = reread.state;
              checkpoints = reread.store;
              model = saved.map((pages) => new Map(pages));
              break;
            }
          }
          for (const [index, pages] of model.entries())
            if (action.kind === 'restart')
              assert.deepEqual(
                content(memory(state, index)),
                [...pages].sort(([a], [b]) => a - b),
              );
        }
        for (const [index, pages] of model.entries())
          assert.deepEqual(
            content(memory(state, index)),
            [...pages].sort(([a], [b]) => a - b),
          );
      }),
      { numRuns: 20 },
    );
  });

  test('a changed byte in any file is found, and the checkpoint before is used', async () => {
    const platform = platformWithFolders();
    const state = subnet(2);
    const checkpoints = store(platform);
    for (const height of [1, 2]) {
      for (let page = 0; page < 3; page++) memory(state, 0).write(page, filled(height), 0);
      memory(state, 0).resize(1);
      state.modules.set(`0${height}`.repeat(32), new Uint8Array(50).fill(height));
      state.height = height;
      await checkpoints.begin(state).write();
    }
    let found = 0;
    for (const name of [
      `checkpoints/000000000002.checkpoint`,
      `pages/000000000002.pages`,
      `modules/${'02'.repeat(32)}.wasm`,
    ]) {
      const path = `${ROOT}/${name}`;
      const good = platform.disk.read(path);
      const step = good.length > 3000 ? 97 : 3;
      for (let at = 0; at < good.length; at += step) {
        platform.disk.damage(path, at, Uint8Array.of((good[at] ?? 0) ^ 0x10));
        const { state: again, notices } = load(platform);
        if (again.height === 1) {
          found++;
          assert.ok(notices[0]?.includes(path), notices[0]);
          assert.deepEqual(content(memory(again, 0)), [
            [0, 1],
            [1, 1],
            [2, 1],
          ]);
        } else {
          // A page is checked when it is read; what is left is the padding of the header.
          const header = name.startsWith('pages') && at >= 64 && at < 4096;
          const read = (): unknown => content(memory(again, 0));
          if (header) read();
          else
            assert.throws(
              read,
              (error) => error instanceof StateError && error.code === 'corrupt_file' && error.message.includes(path),
            );
        }
        platform.disk.damage(path, 0, good);
      }
      platform.disk.cut(path, good.length - 1);
      assert.equal(load(platform).state.height, 1);
      platform.disk.remove(path);
      if (name.startsWith('checkpoints')) assert.equal(load(platform).state.height, 1);
      else assert.match(load(platform).notices[0] ?? '', /is missing/);
      const file = platform.disk.create(path);
      file.write(0, good);
      assert.equal(load(platform).state.height, 2);
    }
    assert.ok(found > 150, `${found} found`);
  });

  test('when no checkpoint is whole, each is named', async () => {
    const platform = platformWithFolders();
    const state = subnet(1);
    const checkpoints = store(platform);
    for (const height of [1, 2]) {
      state.height = height;
      await checkpoints.begin(state).write();
      platform.disk.damage(`${ROOT}/checkpoints/00000000000${height}.checkpoint`, 70, Uint8Array.of(0xff, 0xfe));
    }
    assert.throws(
      () => load(platform),
      (error) =>
        error instanceof StateError &&
        error.code === 'corrupt_file' &&
        error.message.includes('000000000001.checkpoint') &&
        error.message.includes('000000000002.checkpoint'),
    );
  });

  test('a checkpoint of another version is not passed over', async () => {
    const platform = platformWithFolders();
    const state = subnet(1);
    const checkpoints = store(platform);
    for (const height of [1, 2]) {
      state.height = height;
      await checkpoints.begin(state).write();
    }
    const path = `${ROOT}/checkpoints/000000000002.checkpoint`;
    const bytes = platform.disk.read(path);
    const view = new DataView(bytes.buffer);
    view.setUint32(12, PROTOCOL_VERSION + 1, true);
    view.setUint32(60, platform.disk.crc32(bytes.subarray(0, 60)), true);
    platform.disk.damage(path, 0, bytes);
    assert.throws(
      () => load(platform),
      (error) => error instanceof StateError && error.code === 'wrong_version',
    );
  });
});

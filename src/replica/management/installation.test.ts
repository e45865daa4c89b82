import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDL } from '@icp-sdk/core/candid';
import { sha256, toHex, utf8 } from '../../codec/index.ts';
import { canisterIdFromNumber, MANAGEMENT_CANISTER } from '../../model/index.ts';
import type { CanisterState } from '../../state/index.ts';
import type { Script } from '../scripted-sandbox.ts';
import { cyclesIn, USER } from '../test-subnet.ts';
import { argument, decoded, ManagementClient, refusalOf, STRANGER, settings, upgrade, wire } from './test-client.ts';

/** Leaves a note of each hook in the heap and the log. */
function noting(name: string, more: Script = {}): Script {
  const note = (what: string) => (api: Parameters<NonNullable<Script['hooks']>[string]>[0]) => {
    api.json = `${api.json === undefined ? '' : String(api.json)}${name}.${what} `;
    api.print(`${name}.${what} v${api.environment.canisterVersion}`);
  };
  return {
    query: { notes: (api) => api.reply(String(api.json)) },
    hooks: {
      canister_init: note('init'),
      canister_pre_upgrade: note('pre'),
      canister_post_upgrade: note('post'),
      ...more.hooks,
    },
    ...(more.update === undefined ? {} : { update: more.update }),
  };
}

async function notes(client: ManagementClient, canister: CanisterState): Promise<string> {
  const outcome = await client.subnet.replica.query({
    sender: USER,
    canisterId: canister.id,
    effectiveCanisterId: canister.id,
    method: 'notes',
    arg: new Uint8Array(),
  });
  if (outcome.response.kind === 'reject') return outcome.response.reject.message;
  return new TextDecoder().decode(outcome.response.data);
}

function logLines(canister: CanisterState): string[] {
  return canister.logs.map(({ content }) => new TextDecoder().decode(content));
}

test('install runs init in a fresh state; a second install is refused', async () => {
  const client = new ManagementClient({ a: noting('a') });
  const canister = await client.create();
  assert.equal((await client.install(canister, 'a')).kind, 'reply');
  assert.equal(await notes(client, canister), 'a.init ');
  assert.equal(canister.code?.moduleHash, toHex(sha256(utf8('a'))));
  assert.equal(canister.version, 1n);
  assert.deepEqual(logLines(canister), ['a.init v1'], 'init sees the version after the installation');
  assert.match(
    refusalOf(await client.install(canister, 'a')),
    /^IC0514: Canister .* cannot be installed because the canister is not empty\. Try installing with mode='reinstall' instead/,
  );
  assert.match(refusalOf(await client.install(canister, 'a', { reinstall: null }, STRANGER)), /^IC0512/);
});

test('upgrade: pre_upgrade of the old code, post_upgrade of the new; memory goes unless it is kept', async () => {
  const client = new ManagementClient({ a: noting('a'), b: noting('b'), persistent: noting('p') });
  const canister = await client.create();
  await client.install(canister, 'a');
  canister.globalTimer = 9n;
  canister.certifiedData = utf8('kept');
  assert.equal((await client.install(canister, 'b', upgrade())).kind, 'reply');
  assert.equal(await notes(client, canister), 'b.post ');
  assert.deepEqual(logLines(canister), ['a.init v1', 'a.pre v1', 'b.post v2'], 'logs survive an upgrade');
  assert.equal(canister.globalTimer, 0n);
  assert.deepEqual(canister.certifiedData, utf8('kept'));
  await client.install(canister, 'persistent', upgrade({ persistence: 'keep' }));
  assert.equal(await notes(client, canister), 'b.post b.pre p.post ');
  await client.install(canister, 'persistent', upgrade({ persistence: 'keep', skip: true }));
  assert.equal(await notes(client, canister), 'b.post b.pre p.post p.post ');
  await client.install(canister, 'persistent', upgrade({ persistence: 'replace' }));
  assert.equal(await notes(client, canister), 'p.post ');
});

test('upgrade options: enhanced persistence has to be asked for, and has to be there', async () => {
  const client = new ManagementClient({ a: noting('a'), persistent: noting('p') });
  const canister = await client.create();
  await client.install(canister, 'persistent');
  assert.equal(
    refusalOf(await client.install(canister, 'persistent', upgrade())),
    'IC0504: Missing upgrade option: Enhanced orthogonal persistence requires the `wasm_memory_persistence` upgrade option.',
  );
  assert.match(
    refusalOf(await client.install(canister, 'a', upgrade({ skip: true }))),
    /^IC0504: Missing upgrade option/,
  );
  assert.equal(
    refusalOf(await client.install(canister, 'a', upgrade({ persistence: 'keep' }))),
    'IC0406: Invalid upgrade option: The `wasm_memory_persistence: opt Keep` upgrade option requires that the new canister module supports enhanced orthogonal persistence.',
  );
  assert.equal((await client.install(canister, 'a', upgrade({ persistence: 'replace' }))).kind, 'reply');
});

test('an upgrade of an empty canister is refused; a reinstall of one is an install', async () => {
  const client = new ManagementClient({ a: noting('a') });
  const canister = await client.create();
  assert.match(
    refusalOf(await client.install(canister, 'a', upgrade())),
    /^IC0537: Error from Canister .*: Attempted to execute a message, but the canister contains no Wasm module/,
  );
  assert.equal((await client.install(canister, 'a', { reinstall: null })).kind, 'reply');
  assert.equal(await notes(client, canister), 'a.init ');
});

test('reinstall forgets everything: memory, logs, certified data, timer', async () => {
  const client = new ManagementClient({ a: noting('a'), b: noting('b') });
  const canister = await client.create();
  await client.install(canister, 'a');
  canister.certifiedData = utf8('old');
  canister.globalTimer = 9n;
  canister.stable.resize(3);
  await client.install(canister, 'b', { reinstall: null });
  assert.equal(await notes(client, canister), 'b.init ');
  assert.deepEqual(logLines(canister), ['b.init v2']);
  assert.equal(canister.logs[0]?.index, 1n, 'numbers go on');
  assert.equal(canister.certifiedData.length, 0);
  assert.equal(canister.globalTimer, 0n);
  assert.equal(canister.stable.wasmPages, 0);
});

test('a trap in any hook leaves the canister as it was, but for cycles and logs', async () => {
  const trap = { hooks: { canister_init: (api: { trap(text: string): never }) => api.trap('no') } };
  const client = new ManagementClient({
    a: noting('a'),
    badInit: noting('bad', trap),
    badPre: noting('bad', { hooks: { canister_pre_upgrade: (api) => api.trap('no') } }),
    badPost: noting('bad', { hooks: { canister_post_upgrade: (api) => api.trap('no') } }),
  });
  const canister = await client.create();
  assert.match(
    refusalOf(await client.install(canister, 'badInit')),
    /^IC0503: Error from Canister .*: Canister called `ic0\.trap` with message: 'no'/,
  );
  assert.equal(canister.code, undefined);
  assert.equal(canister.version, 0n);
  assert.equal(canister.heap.wasmPages, 0);
  assert.deepEqual(logLines(canister), ['[TRAP]: no']);

  await client.install(canister, 'a');
  const balance = canister.balance;
  for (const [module, mode] of [
    ['badInit', { reinstall: null }],
    ['badPost', upgrade()],
  ] as const) {
    assert.match(refusalOf(await client.install(canister, module, mode)), /^IC0503/);
    assert.equal(await notes(client, canister), 'a.init ');
    assert.equal(canister.version, 1n);
    assert.equal(canister.history.length, 2);
  }
  assert.ok(canister.balance < balance, 'failing costs cycles too');

  await client.install(canister, 'badPre', { reinstall: null });
  assert.match(refusalOf(await client.install(canister, 'a', upgrade())), /^IC0503/);
  assert.equal(client.canister(canister.id).code?.moduleHash, toHex(sha256(utf8('badPre'))));
  assert.equal((await client.install(canister, 'a', upgrade({ skip: true }))).kind, 'reply', 'the way out');
  const { state } = client.subnet;
  assert.equal(state.cyclesMinted - state.cyclesBurned, cyclesIn(state));
});

test('a module that cannot be a canister is refused with the canister’s name', async () => {
  const client = new ManagementClient({});
  const canister = await client.create();
  const text = refusalOf(await client.install(canister, 'not a module'));
  assert.equal(text, `IC0505: Error from Canister ${canister.id}: no such script`);
  assert.equal(canister.code, undefined);
});

test('an installation needs cycles before, and must not leave the canister frozen', async () => {
  const client = new ManagementClient({
    a: noting('a'),
    large: {
      hooks: {
        canister_init: (api) => {
          api.wasmPages = 65_000;
        },
      },
    },
  });
  const poor = await client.create({ amount: [1_000_000_000n] });
  assert.match(
    refusalOf(await client.install(poor, 'a')),
    /^IC0207: Canister installation failed with `Canister .* is out of cycles: please top up the canister with at least \d+ additional cycles`/,
  );
  const modest = await client.create({ amount: [400_000_000_000n] });
  assert.match(
    refusalOf(await client.install(modest, 'large')),
    /^IC0532: Canister cannot grow memory by \d+ bytes due to insufficient cycles\. At least \d+ additional cycles are required/,
  );
  assert.equal(modest.code, undefined);
  assert.equal((await client.install(modest, 'a')).kind, 'reply');
});

/** Hooks that take several slices each. */
const SLOW = (name: string): Script =>
  noting(name, {
    hooks: {
      canister_init: (api) => {
        api.instructions = 55_000_000n;
        api.json = `${name} at ${api.environment.time}`;
      },
      canister_pre_upgrade: (api) => {
        api.instructions = 35_000_000n;
      },
      canister_post_upgrade: (api) => {
        api.instructions = 45_000_000n;
        api.json = `${name} upgraded at ${api.environment.time}`;
      },
    },
  });

test('a long installation goes over several rounds, holds back what concerns its canister, and others go on', async () => {
  const client = new ManagementClient({
    slow: SLOW('slow'),
    other: noting('other', { update: { go: (api) => api.reply('went') } }),
  });
  const canister = await client.create();
  const other = await client.create();
  await client.install(other, 'other');
  const { subnet } = client;
  const started = subnet.state.time;
  const install = client.message(
    'install_code',
    argument('install_code', {
      canister_id: wire(canister.id),
      mode: { install: null },
      wasm_module: utf8('slow'),
    }),
  );
  await subnet.round([install]);
  const startedAt = subnet.state.time;
  assert.ok(startedAt > started);
  assert.equal(subnet.state.ingressHistory.get(toHex(install.requestId))?.status.status, 'processing');
  const status = client.message('canister_status', argument('canister_status', { canister_id: wire(canister.id) }));
  const go = subnet.message(other.id, 'go');
  await subnet.round([status, go]);
  assert.equal(subnet.response(install), undefined);
  assert.equal(subnet.response(status), undefined, 'it waits for the installation');
  assert.equal(subnet.response(go)?.kind, 'reply');
  await subnet.call();
  assert.equal(subnet.response(install)?.kind, 'reply');
  assert.equal(subnet.response(status)?.kind, 'reply');
  assert.equal(await notes(client, canister), `slow at ${startedAt}`, 'one time from the beginning to the end');
  assert.equal(client.sandbox.livePauses, 0);
});

test('a restart in the middle of an installation changes nothing', async () => {
  const run = async (restartAfter: number): Promise<{ hash: string; notes: string; balance: bigint }> => {
    const client = new ManagementClient({ slow: SLOW('slow'), next: SLOW('next') });
    const { subnet } = client;
    const canister = await client.create();
    let rounds = 0;
    for (const [module, mode] of [
      ['slow', { install: null }],
      ['next', upgrade()],
    ] as const) {
      const value = { canister_id: wire(canister.id), mode, wasm_module: utf8(module) };
      const message = client.message('install_code', argument('install_code', value));
      await subnet.round([message]);
      while (subnet.replica.busy) {
        rounds += 1;
        if (rounds === restartAfter) await subnet.restart();
        await subnet.round();
      }
      assert.equal(subnet.response(message)?.kind, 'reply');
    }
    assert.equal(client.sandbox.livePauses, 0);
    const now = client.canister(canister.id);
    return { hash: toHex(subnet.state.stateHash), notes: await notes(client, now), balance: now.balance };
  };
  const undisturbed = await run(0);
  assert.match(undisturbed.notes, /^next upgraded at /);
  for (let restartAfter = 1; restartAfter <= 10; restartAfter++)
    assert.deepEqual(await run(restartAfter), undisturbed, `restart after ${restartAfter} rounds`);
});

test('chunks: stored by hash, joined in order, from one’s own store or another’s that one controls', async () => {
  const client = new ManagementClient({ 'one module': noting('one') });
  const canister = await client.create();
  const store = await client.create();
  const parts = [utf8('one '), utf8('mod'), utf8('ule')];
  const upload = (chunk: Uint8Array, sender = USER): Promise<Uint8Array> =>
    client.must('upload_chunk', { canister_id: wire(store.id), chunk }, sender);
  const Hash = IDL.Record({ hash: IDL.Vec(IDL.Nat8) });
  for (const part of parts) {
    const { hash } = decoded<{ hash: Uint8Array }>(Hash, await upload(part));
    assert.deepEqual(Uint8Array.from(hash), sha256(part));
  }
  await upload(utf8('one '));
  const stored = decoded<{ hash: Uint8Array }[]>(
    IDL.Vec(Hash),
    await client.must('stored_chunks', { canister_id: wire(store.id) }),
  );
  assert.equal(stored.length, 3, 'the same chunk again is no other');

  const value = {
    mode: { install: null },
    target_canister: wire(canister.id),
    store_canister: [wire(store.id)],
    chunk_hashes_list: parts.map((part) => ({ hash: sha256(part) })),
    wasm_module_hash: sha256(utf8('one module')),
  };
  const refused = (change: Record<string, unknown>): Promise<string> =>
    client.refused('install_chunked_code', { ...value, ...change });
  assert.match(
    await refused({ wasm_module_hash: new Uint8Array(32) }),
    /^IC0504: Error from Wasm chunk store: .*does not match/,
  );
  assert.match(
    await refused({ chunk_hashes_list: [{ hash: new Uint8Array(32) }] }),
    /^IC0504: Error from Wasm chunk store: .*not found/,
  );
  assert.match(await refused({ store_canister: [] }), /not found/);
  assert.match(await refused({ store_canister: [wire(canisterIdFromNumber(77n))] }), /^IC0301/);
  await client.must('update_settings', {
    canister_id: wire(store.id),
    settings: settings({ controllers: [wire(STRANGER)] }),
  });
  assert.match(await refused({}), /^IC0512: Only the controllers of the canister/);
  await client.must(
    'update_settings',
    { canister_id: wire(store.id), settings: settings({ controllers: [wire(STRANGER), wire(USER)] }) },
    STRANGER,
  );
  await client.must('install_chunked_code', value);
  assert.equal(canister.code?.moduleHash, toHex(sha256(utf8('one module'))));
  assert.equal(await notes(client, canister), 'one.init ');

  await client.must('clear_chunk_store', { canister_id: wire(store.id) });
  assert.equal(store.chunkStore.size, 0);
  assert.match(await refused({ mode: { reinstall: null } }), /not found/);
});

test('the chunk store has bounds', async () => {
  const client = new ManagementClient({}, { limits: { chunkStoreChunks: 2, chunkBytes: 8 } });
  const canister = await client.create();
  const upload = (text: string): Promise<string> =>
    client
      .call('upload_chunk', { canister_id: wire(canister.id), chunk: utf8(text) })
      .then((response) => (response.kind === 'reply' ? 'stored' : refusalOf(response)));
  assert.equal(await upload('12345678'), 'stored');
  assert.match(await upload('123456789'), /^IC0504: Error from Wasm chunk store: .*exceeds/);
  assert.equal(await upload('b'), 'stored');
  assert.match(await upload('c'), /^IC0504: Error from Wasm chunk store: .*maximum/);
  assert.equal(await upload('b'), 'stored', 'what is there already takes no place');
});

test('snapshots: take, list, load, replace, delete, read', async () => {
  const client = new ManagementClient({ a: noting('a'), b: noting('b') });
  const canister = await client.create();
  const id = { canister_id: wire(canister.id) };
  assert.match(
    await client.refused('take_canister_snapshot', id),
    /^IC0406: Failed to create snapshot for empty canister/,
  );
  await client.install(canister, 'a');
  canister.certifiedData = utf8('then');
  const Snapshot = IDL.Record({ id: IDL.Vec(IDL.Nat8), taken_at_timestamp: IDL.Nat64, total_size: IDL.Nat64 });
  const take = async (more: Record<string, unknown> = {}): Promise<Uint8Array> =>
    Uint8Array.from(
      decoded<{ id: Uint8Array }>(Snapshot, await client.must('take_canister_snapshot', { ...id, ...more })).id,
    );
  const first = await take();
  await client.install(canister, 'b', { reinstall: null });
  canister.certifiedData = utf8('now');
  assert.equal(await notes(client, canister), 'b.init ');
  const version = canister.version;
  await client.must('load_canister_snapshot', { ...id, snapshot_id: first });
  assert.equal(await notes(client, canister), 'a.init ');
  assert.deepEqual(canister.certifiedData, utf8('then'));
  assert.equal(canister.version, version + 1n);
  assert.equal(canister.history.at(-1)?.details.kind, 'load_snapshot');

  const second = await take({ replace_snapshot: [first] });
  assert.notDeepEqual(second, first);
  assert.match(
    await client.refused('load_canister_snapshot', { ...id, snapshot_id: first }),
    /^IC0305: Could not find the snapshot ID .* for canister/,
  );
  const listed = decoded<{ id: Uint8Array; total_size: bigint }[]>(
    IDL.Vec(Snapshot),
    await client.must('list_canister_snapshots', id),
  );
  assert.deepEqual(
    listed.map((entry) => Uint8Array.from(entry.id)),
    [second],
  );
  assert.ok((listed[0]?.total_size ?? 0n) > 65_536n);

  const read = (kind: Record<string, unknown>): Promise<Uint8Array> =>
    client.must('read_canister_snapshot_data', { ...id, snapshot_id: second, kind });
  const Chunk = IDL.Record({ chunk: IDL.Vec(IDL.Nat8) });
  const module = decoded<{ chunk: Uint8Array }>(Chunk, await read({ wasm_module: { offset: 0n, size: 1n } }));
  assert.deepEqual(Uint8Array.from(module.chunk), utf8('a'));
  const memory = decoded<{ chunk: Uint8Array }>(Chunk, await read({ wasm_memory: { offset: 1n, size: 5n } }));
  assert.equal(new TextDecoder().decode(Uint8Array.from(memory.chunk)), 'a.ini');
  assert.match(
    await client.refused('read_canister_snapshot_data', {
      ...id,
      snapshot_id: second,
      kind: { wasm_memory: { offset: 65_536n, size: 1n } },
    }),
    /^IC0408: Invalid subslice/,
  );

  const other = await client.create();
  const value = { canister_id: wire(other.id), snapshot_id: second };
  await client.must('load_canister_snapshot', value);
  assert.equal(await notes(client, other), 'a.init ', 'onto another canister');
  assert.match(await client.refused('delete_canister_snapshot', value), /^IC0406: The snapshot .* does not belong/);
  await client.must('delete_canister_snapshot', { ...id, snapshot_id: second });
  assert.equal(canister.snapshots.size, 0);
  await take({ uninstall_code: [true] });
  assert.equal(canister.code, undefined);
  assert.equal(canister.snapshots.size, 1);
});

test('module bytes are kept while a canister runs them, or a snapshot', async () => {
  const client = new ManagementClient({ a: noting('a'), b: noting('b') });
  const { state } = client.subnet;
  const names = (): string[] => [...state.modules.values()].map((bytes) => new TextDecoder().decode(bytes)).sort();
  const [first, second] = [await client.create(), await client.create()];
  await client.install(first, 'a');
  await client.install(second, 'a');
  assert.deepEqual(names(), ['a']);
  await client.install(first, 'b', upgrade());
  assert.deepEqual(names(), ['a', 'b']);
  await client.must('take_canister_snapshot', { canister_id: wire(second.id) });
  await client.must('uninstall_code', { canister_id: wire(second.id) });
  assert.deepEqual(names(), ['a', 'b']);
  const [snapshot] = second.snapshots.values() as Iterator<{ id: Uint8Array }> & Iterable<{ id: Uint8Array }>;
  await client.must('load_canister_snapshot', { canister_id: wire(second.id), snapshot_id: snapshot?.id });
  assert.equal(await notes(client, second), 'a.init ');
  await client.must('stop_canister', { canister_id: wire(first.id) });
  await client.must('delete_canister', { canister_id: wire(first.id) });
  assert.deepEqual(names(), ['a']);
  await client.install(second, 'a', upgrade());
  assert.deepEqual(names(), ['a'], 'an upgrade to itself');
  await client.install(second, 'b', upgrade());
  assert.deepEqual(names(), ['a', 'b']);
  await client.must('delete_canister_snapshot', { canister_id: wire(second.id), snapshot_id: snapshot?.id });
  assert.deepEqual(names(), ['b']);
});

test('a canister has ten snapshots at most', async () => {
  const client = new ManagementClient({ a: noting('a') }, { limits: { snapshots: 2 } });
  const canister = await client.create();
  await client.install(canister, 'a');
  const id = { canister_id: wire(canister.id) };
  await client.must('take_canister_snapshot', id);
  await client.must('take_canister_snapshot', id);
  assert.match(
    await client.refused('take_canister_snapshot', id),
    /^IC0406: Canister .* has reached the maximum number of snapshots allowed: 2/,
  );
});

test('logs: visible by setting, filtered on request', async () => {
  const client = new ManagementClient({ a: noting('a'), b: noting('b') });
  const canister = await client.create();
  await client.install(canister, 'a');
  await client.install(canister, 'b', upgrade());
  const Records = IDL.Record({
    canister_log_records: IDL.Vec(
      IDL.Record({ idx: IDL.Nat64, timestamp_nanos: IDL.Nat64, content: IDL.Vec(IDL.Nat8) }),
    ),
  });
  const fetch = async (sender = USER, more: Record<string, unknown> = {}): Promise<string[] | string> => {
    const { response } = await client.subnet.replica.query({
      sender,
      canisterId: MANAGEMENT_CANISTER,
      effectiveCanisterId: canister.id,
      method: 'fetch_canister_logs',
      arg: argument('fetch_canister_logs', { canister_id: wire(canister.id), ...more }),
    });
    if (response.kind === 'reject') return refusalOf(response);
    return decoded<{ canister_log_records: { content: Uint8Array }[] }>(
      Records,
      response.data,
    ).canister_log_records.map(({ content }) => new TextDecoder().decode(Uint8Array.from(content)));
  };
  assert.deepEqual(await fetch(), ['a.init v1', 'a.pre v1', 'b.post v2']);
  assert.equal(await fetch(STRANGER), `IC0406: Caller ${STRANGER} is not allowed to access canister logs`);
  assert.deepEqual(await fetch(USER, { filter: [{ by_idx: { start: 1n, end: 1n } }] }), ['a.pre v1']);
  assert.deepEqual(await fetch(USER, { filter: [{ by_timestamp_nanos: { start: 0n, end: 1n } }] }), []);
  assert.match(
    String(await fetch(USER, { filter: [{ by_idx: { start: 2n, end: 1n } }] })),
    /^IC0504: Invalid index range/,
  );
  await client.must('update_settings', {
    canister_id: wire(canister.id),
    settings: settings({ log_visibility: { public: null } }),
  });
  assert.equal((await fetch(STRANGER)).length, 3);
});

test('installing is limited in rate where canisters are not provisional', async () => {
  const client = new ManagementClient({ slow: SLOW('slow') });
  const canister = await client.create();
  await client.install(canister, 'slow');
  assert.equal(canister.installDebit, 0n);
  Object.assign(client.subnet.state.network, { provisional: false });
  await client.install(canister, 'slow', { reinstall: null });
  assert.equal(canister.installDebit, 55_006_000n, 'what ran, and the compilation');
  canister.installDebit = 10n ** 12n;
  assert.match(
    refusalOf(await client.install(canister, 'slow', { reinstall: null })),
    /^IC0209: Canister .* is rate limited because it executed too many instructions in the previous install_code messages/,
  );
});

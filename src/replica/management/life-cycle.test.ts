import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDL } from '@icp-sdk/core/candid';
import { hashOfMap, utf8 } from '../../codec/index.ts';
import { canisterIdFromNumber, MANAGEMENT_CANISTER } from '../../model/index.ts';
import type { Script } from '../scripted-sandbox.ts';
import { cyclesIn, SECOND, USER } from '../test-subnet.ts';
import { argument, decoded, ManagementClient, refusalOf, STRANGER, settings, wire } from './test-client.ts';

const T = 1_000_000_000_000n;

/** `wait` stays open until canister 1 has answered, which takes many slices. */
const HOLDER: Script = {
  update: {
    wait: (api) => {
      api.call({ callee: canisterIdFromNumber(1n), method: 'work', onReply: 'done', onReject: 'done' });
    },
  },
  callbacks: { done: (api) => api.reply('done') },
};

const SLOW: Script = {
  update: {
    work: (api) => {
      api.instructions = 300_000_000n;
      api.reply();
    },
    longest: (api) => {
      api.instructions = 30_000_000_000n;
    },
  },
};

/** Calls the management canister with its argument and answers what it got. */
const FORWARDER: Script = {
  update: Object.fromEntries(
    ['create_canister', 'deposit_cycles', 'canister_info', 'canister_metadata', 'raw_rand', 'delete_canister'].map(
      (method) => [
        method,
        (api): void => {
          const cycles = method === 'deposit_cycles' ? 3n * T : method === 'create_canister' ? 2n * T : 0n;
          api.call({ callee: MANAGEMENT_CANISTER, method, arg: api.arg, cycles, onReply: 'reply', onReject: 'reject' });
        },
      ],
    ),
  ),
  callbacks: {
    reply: (api) => api.reply(api.arg),
    reject: (api) => api.reject(api.rejectMessage),
  },
};

const Info = IDL.Record({
  total_num_changes: IDL.Nat64,
  recent_changes: IDL.Vec(
    IDL.Record({
      canister_version: IDL.Nat64,
      origin: IDL.Variant({
        from_user: IDL.Record({ user_id: IDL.Principal }),
        from_canister: IDL.Record({ canister_id: IDL.Principal, canister_version: IDL.Opt(IDL.Nat64) }),
      }),
      details: IDL.Variant({
        creation: IDL.Record({
          controllers: IDL.Vec(IDL.Principal),
          environment_variables_hash: IDL.Opt(IDL.Vec(IDL.Nat8)),
        }),
        code_uninstall: IDL.Null,
        code_deployment: IDL.Record({
          mode: IDL.Variant({ install: IDL.Null, reinstall: IDL.Null, upgrade: IDL.Null }),
          module_hash: IDL.Vec(IDL.Nat8),
        }),
        controllers_change: IDL.Record({ controllers: IDL.Vec(IDL.Principal) }),
      }),
    }),
  ),
  module_hash: IDL.Opt(IDL.Vec(IDL.Nat8)),
});
interface InfoValue {
  total_num_changes: bigint;
  recent_changes: {
    canister_version: bigint;
    origin: Record<string, unknown>;
    details: Record<string, Record<string, unknown>>;
  }[];
  module_hash: [] | [Uint8Array];
}

test('a new canister is empty, running, controlled by its creator, with the cycles that were asked for', async () => {
  const client = new ManagementClient();
  const canister = await client.create({ amount: [5n * T] });
  assert.equal(canister.balance, 5n * T);
  assert.deepEqual(canister.settings.controllers, [USER]);
  assert.equal(canister.status.kind, 'running');
  assert.equal(canister.version, 0n);
  assert.equal(canister.code, undefined);
  assert.equal(canister.settings.freezingThresholdSeconds, 2_592_000n);
  assert.equal(canister.settings.wasmMemoryLimit, 0n);
  assert.equal((await client.create()).balance, 100n * T);
  assert.notEqual((await client.create()).id.key, canister.id.key);
  const { state } = client.subnet;
  assert.equal(state.cyclesMinted - state.cyclesBurned, cyclesIn(state));
});

test('creation with a given id, and what is wrong with one', async () => {
  const client = new ManagementClient();
  const id = canisterIdFromNumber(1n);
  assert.equal((await client.create({ specified_id: [wire(id)] })).id.key, id.key);
  assert.equal((await client.create()).id.key, canisterIdFromNumber(0n).key);
  assert.equal((await client.create()).id.key, canisterIdFromNumber(2n).key, 'a taken number is passed over');
  const create = 'provisional_create_canister_with_cycles';
  assert.match(await client.refused(create, { specified_id: [wire(id)] }), /IC0538: Canister .* is already installed/);
  assert.match(
    await client.refused(create, { specified_id: [wire(canisterIdFromNumber(1n << 60n))] }),
    /IC0405: Unsuccessful validation of specified ID/,
  );
  assert.match(await client.refused(create, { specified_id: [wire(USER)] }), /IC0405/);
});

test('provisional methods exist on development networks only', async () => {
  const client = new ManagementClient({}, { provisional: false });
  assert.match(
    await client.refused('provisional_create_canister_with_cycles'),
    /IC0406: Caller .* is not allowed to call ic00 method provisional_create_canister_with_cycles/,
  );
});

test('settings: everything that can be set is set, and what is not mentioned stays', async () => {
  const client = new ManagementClient();
  const all = {
    controllers: [wire(USER), wire(STRANGER), wire(USER)],
    compute_allocation: 10n,
    memory_allocation: 1n << 30n,
    freezing_threshold: 77n,
    reserved_cycles_limit: 9n,
    minimum_incoming_canister_call_cycles: 8n,
    log_visibility: { public: null },
    snapshot_visibility: { allowed_viewers: [wire(STRANGER)] },
    status_visibility: { controllers: null },
    wasm_memory_limit: 1n << 48n,
    wasm_memory_threshold: 5n,
    log_memory_limit: 8192n,
    environment_variables: [
      { name: 'b', value: '2' },
      { name: 'a', value: '1' },
    ],
  };
  const canister = await client.create({ settings: [settings(all)] });
  const expected = {
    controllers: [STRANGER, USER],
    computeAllocation: 10n,
    memoryAllocation: 1n << 30n,
    freezingThresholdSeconds: 77n,
    reservedCyclesLimit: 9n,
    minimumIncomingCanisterCallCycles: 8n,
    logVisibility: { kind: 'public' },
    snapshotVisibility: { kind: 'allowed_viewers', viewers: [STRANGER] },
    statusVisibility: { kind: 'controllers' },
    wasmMemoryLimit: 1n << 48n,
    wasmMemoryThreshold: 5n,
    logMemoryLimit: 8192n,
    environmentVariables: [
      { name: 'a', value: '1' },
      { name: 'b', value: '2' },
    ],
  };
  assert.deepEqual(canister.settings, expected);
  await client.must('update_settings', {
    canister_id: wire(canister.id),
    settings: settings({ freezing_threshold: 78n }),
  });
  assert.deepEqual(canister.settings, { ...expected, freezingThresholdSeconds: 78n });
  assert.equal(canister.version, 1n);
});

const MANY = Array.from({ length: 11 }, (_, i) => wire(canisterIdFromNumber(BigInt(i))));
const BAD_SETTINGS: readonly (readonly [Record<string, unknown>, RegExp])[] = [
  [{ compute_allocation: 101n }, /IC0504: ComputeAllocation expected to be in the range \[0\.\.100\], got 101/],
  [{ compute_allocation: 1_000n }, /got 1_000/],
  [{ memory_allocation: 1n << 64n }, /IC0504: MemoryAllocation expected to be in the range/],
  [{ memory_allocation: 1n << 63n }, /IC0101: Canister requested .* of memory but only .* are available in the subnet/],
  [{ freezing_threshold: 1n << 64n }, /Freezing threshold expected to be in the range of \[0\.\.2\^64-1\]/],
  [{ reserved_cycles_limit: 1n << 128n }, /Reserved cycles limit expected to be in the range of \[0\.\.2\^128-1\]/],
  [{ wasm_memory_limit: (1n << 48n) + 1n }, /Wasm memory limit expected/],
  [{ wasm_memory_threshold: (1n << 48n) + 1n }, /Wasm memory threshold expected/],
  [{ minimum_incoming_canister_call_cycles: 1n << 128n }, /expected to be in the range of \[0\.\.2\^128-1\]/],
  [
    { controllers: MANY },
    /IC0504: Could not validate the settings: Invalid settings: 'controllers' length exceeds maximum size allowed of 10/,
  ],
  [{ log_visibility: { allowed_viewers: MANY } }, /IC0408: .*number of elements exceeds maximum allowed 10/],
  [{ log_memory_limit: 1n << 40n }, /IC0406: The canister log memory limit \d+ is too high/],
  [
    { environment_variables: Array.from({ length: 21 }, (_, i) => ({ name: `n${i}`, value: '' })) },
    /IC0408: Too many environment variables: 21 \(max: 20\)/,
  ],
  [
    { environment_variables: [{ name: 'é'.repeat(65), value: '' }] },
    /variable name ".*" exceeds the maximum allowed length of 128/,
  ],
  [{ environment_variables: [{ name: 'a', value: 'v'.repeat(129) }] }, /variable value "v+" exceeds/],
  [
    {
      environment_variables: [
        { name: 'a', value: '1' },
        { name: 'a', value: '2' },
      ],
    },
    /IC0408: .*duplicate/,
  ],
];

test('settings that are out of range are refused and change nothing', async () => {
  const client = new ManagementClient();
  const canister = await client.create();
  const before = canister.settings;
  for (const [change, text] of BAD_SETTINGS) {
    const value = { canister_id: wire(canister.id), settings: settings(change) };
    assert.match(await client.refused('update_settings', value), text);
    assert.match(
      await client.refused('provisional_create_canister_with_cycles', { settings: [settings(change)] }),
      text,
    );
  }
  assert.deepEqual(canister.settings, before);
  assert.equal(canister.version, 0n);
  assert.equal(client.subnet.state.canisters.size, 1);
});

test('allocations need cycles, and the subnet gives no more compute than it has', async () => {
  const client = new ManagementClient();
  const poor = await client.create({ amount: [1_000n] });
  const change = (canister: { id: typeof poor.id }, value: Record<string, unknown>): Promise<string> =>
    client.refused('update_settings', { canister_id: wire(canister.id), settings: settings(value) });
  assert.match(await change(poor, { compute_allocation: 1n }), /IC0207|IC0530/);
  const rich = await client.create({
    amount: [1_000_000n * T],
    settings: [settings({ compute_allocation: 100n, freezing_threshold: 0n })],
  });
  await client.create({ amount: [1_000_000n * T], settings: [settings({ compute_allocation: 100n })] });
  const third = await client.create({ amount: [1_000_000n * T], settings: [settings({ compute_allocation: 99n })] });
  assert.match(
    await change(third, { compute_allocation: 100n }),
    /IC0101: Canister requested a compute allocation of 100% .* remaining compute capacity is 99%/,
  );
  assert.equal(rich.settings.computeAllocation, 100n);
});

test('only controllers manage; a removed controller loses access; nobody at all may control', async () => {
  const client = new ManagementClient();
  const canister = await client.create();
  const value = { canister_id: wire(canister.id), settings: settings({ controllers: [wire(STRANGER)] }) };
  assert.equal(
    await client.refused('update_settings', value, STRANGER),
    `IC0512: Only controllers of canister ${canister.id} can call ic00 method update_settings`,
  );
  await client.must('update_settings', value);
  assert.match(await client.refused('canister_status', { canister_id: wire(canister.id) }), /IC0512/);
  await client.must('canister_status', { canister_id: wire(canister.id) }, STRANGER);
  await client.must('update_settings', { ...value, settings: settings({ controllers: [] }) }, STRANGER);
  assert.match(await client.refused('canister_status', { canister_id: wire(canister.id) }, STRANGER), /IC0512/);
  assert.deepEqual(canister.settings.controllers, []);
});

test('the door: what users may not call, canisters that are not there, payloads that do not decode', async () => {
  const client = new ManagementClient();
  const canister = await client.create();
  const id = { canister_id: wire(canister.id) };
  const inspect = async (method: string, arg: Uint8Array): Promise<string> => {
    const error = await client.subnet.replica.inspectIngress(client.message(method, arg));
    return error === undefined ? 'accepted' : `${error.code}: ${error.message}`;
  };
  for (const method of ['raw_rand', 'deposit_cycles', 'create_canister', 'canister_info', 'http_request', 'no_such'])
    assert.equal(await inspect(method, argument(method, id)), `IC0406: Only canisters can call ic00 method ${method}`);
  assert.match(
    await inspect('fetch_canister_logs', argument('fetch_canister_logs', id)),
    /IC0406: fetch_canister_logs API is not accessible via ingress in replicated mode/,
  );
  const missing = { canister_id: wire(canisterIdFromNumber(99n)) };
  for (const method of ['canister_status', 'start_canister', 'stop_canister', 'delete_canister', 'stored_chunks'])
    assert.equal(
      await inspect(method, argument(method, missing)),
      `IC0301: Canister ${canisterIdFromNumber(99n)} not found`,
    );
  assert.equal(
    await inspect('canister_status', Uint8Array.of(1, 2, 3)),
    'IC0408: Failed to decode payload for ic00 method: canister_status',
  );
  for (const method of ['canister_status', 'stop_canister', 'update_settings'])
    assert.equal(await inspect(method, argument(method, { ...id, settings: settings({}) })), 'accepted');
});

test('malformed Candid that gets as far as execution is rejected', async () => {
  const client = new ManagementClient();
  const create = 'provisional_create_canister_with_cycles';
  assert.match(
    refusalOf(await client.callRaw(create, Uint8Array.of(1, 2, 3))),
    /^IC0408: Error decoding candid: Cannot parse header 010203/,
  );
  assert.match(refusalOf(await client.callRaw(create, new Uint8Array())), /^IC0408: Error decoding candid/);
  const text = Uint8Array.from(IDL.encode([IDL.Text], ['no record']));
  assert.match(refusalOf(await client.callRaw(create, text)), /^IC0408: Error decoding candid/);
  assert.equal(client.subnet.state.canisters.size, 0);
});

test('who may see the status is a setting', async () => {
  const client = new ManagementClient();
  const canister = await client.create({ settings: [settings({ status_visibility: { public: null } })] });
  const id = { canister_id: wire(canister.id) };
  await client.must('canister_status', id, STRANGER);
  await client.must('update_settings', {
    ...id,
    settings: settings({ status_visibility: { allowed_viewers: [wire(STRANGER)] } }),
  });
  await client.must('canister_status', id, STRANGER);
  await client.must('update_settings', { ...id, settings: settings({ status_visibility: { controllers: null } }) });
  assert.match(await client.refused('canister_status', id, STRANGER), /IC0512/);
  const queried = await client.subnet.replica.query({
    sender: USER,
    canisterId: MANAGEMENT_CANISTER,
    effectiveCanisterId: canister.id,
    method: 'canister_status',
    arg: argument('canister_status', id),
  });
  assert.equal(queried.response.kind, 'reply');
});

test('stop, start and delete an idle canister', async () => {
  const client = new ManagementClient({ holder: HOLDER });
  const canister = await client.create();
  const id = { canister_id: wire(canister.id) };
  assert.match(await client.refused('delete_canister', id), /IC0510: Canister .* must be stopped before it is deleted/);
  await client.must('stop_canister', id);
  assert.equal(canister.status.kind, 'stopped');
  assert.equal(canister.version, 2n, 'stopping and stopped');
  await client.must('stop_canister', id);
  assert.equal(canister.version, 3n);
  await client.must('start_canister', id);
  assert.equal(canister.status.kind, 'running');
  await client.must('stop_canister', id);
  await client.must('delete_canister', id);
  assert.equal(client.subnet.state.canisters.size, 0);
  assert.match(await client.refused('canister_status', id), /IC0301/);
  const { state } = client.subnet;
  assert.equal(state.cyclesMinted - state.cyclesBurned, 0n, 'the balance is gone with it');
});

test('a stopping canister stops when its calls are done', async () => {
  const client = new ManagementClient({ holder: HOLDER, slow: SLOW });
  const canister = await client.create();
  await client.install(canister, 'holder');
  await client.install(await client.create(), 'slow');
  const { subnet } = client;
  const wait = subnet.message(canister.id, 'wait');
  await subnet.round([wait]);
  const stop = client.message('stop_canister', argument('stop_canister', { canister_id: wire(canister.id) }));
  await subnet.round([stop]);
  assert.equal(canister.status.kind, 'stopping');
  assert.equal(subnet.response(stop), undefined);
  const late = subnet.message(canister.id, 'wait');
  await subnet.call(late);
  assert.match(refusalOf(subnet.response(late) ?? { kind: 'reply', data: utf8('') }), /IC0509/);
  assert.equal(subnet.response(wait)?.kind, 'reply', 'responses are still processed');
  assert.equal(canister.status.kind, 'stopped');
  assert.equal(subnet.response(stop)?.kind, 'reply');
});

test('starting a stopping canister cancels the stop', async () => {
  const client = new ManagementClient({ slow: SLOW });
  const canister = await client.create();
  assert.equal((await client.install(canister, 'slow')).kind, 'reply');
  const { subnet } = client;
  await subnet.round([subnet.message(canister.id, 'longest')]);
  const id = { canister_id: wire(canister.id) };
  const stop = client.message('stop_canister', argument('stop_canister', id));
  // The round leaves a canister in the middle of a message alone: forget the message, its call stays open.
  canister.paused = undefined;
  await subnet.round([stop]);
  assert.equal(canister.status.kind, 'stopping');
  const start = client.message('start_canister', argument('start_canister', id));
  await subnet.round([start]);
  await subnet.round();
  assert.equal(subnet.response(start)?.kind, 'reply');
  const response = subnet.response(stop);
  assert.ok(response?.kind === 'reject');
  assert.equal(response.reject.errorCode, 'IC0511');
  assert.equal(response.reject.message, `Canister ${canister.id}'s stop request was cancelled.`);
  assert.equal(canister.status.kind, 'running');
});

test('a stop gives up after five minutes; the canister goes on stopping', async () => {
  const client = new ManagementClient({ slow: SLOW });
  const canister = await client.create();
  await client.install(canister, 'slow');
  const { subnet } = client;
  await subnet.round([subnet.message(canister.id, 'longest')]);
  canister.paused = undefined;
  const stop = client.message('stop_canister', argument('stop_canister', { canister_id: wire(canister.id) }));
  await subnet.round([stop]);
  assert.equal(subnet.replica.nextDeadline() !== undefined, true);
  await subnet.round([], 299n * SECOND);
  assert.equal(subnet.response(stop), undefined);
  await subnet.round([], 2n * SECOND);
  const response = subnet.response(stop);
  assert.ok(response?.kind === 'reject');
  assert.equal(response.reject.errorCode, 'IC0206');
  assert.equal(response.reject.rejectCode, 2);
  assert.equal(canister.status.kind, 'stopping');
  assert.deepEqual(canister.status.waiting, []);
});

test('uninstalling rejects open calls, empties the canister and keeps what is the controllers’', async () => {
  const client = new ManagementClient({ slow: SLOW });
  const canister = await client.create();
  await client.install(canister, 'slow');
  canister.certifiedData = utf8('data');
  canister.globalTimer = 5n;
  await client.must('upload_chunk', { canister_id: wire(canister.id), chunk: utf8('chunk') });
  const { subnet } = client;
  const work = subnet.message(canister.id, 'longest');
  await subnet.round([work]);
  canister.paused = undefined;
  const version = canister.version;
  await client.must('uninstall_code', { canister_id: wire(canister.id) });
  const response = subnet.response(work);
  assert.ok(response?.kind === 'reject');
  assert.equal(response.reject.rejectCode, 4);
  assert.equal(response.reject.message, 'Canister has been uninstalled.');
  assert.equal(canister.code, undefined);
  assert.equal(canister.version, version + 1n);
  assert.equal(canister.certifiedData.length, 0);
  assert.equal(canister.globalTimer, 0n);
  assert.equal(canister.chunkStore.size, 0);
  assert.deepEqual(canister.settings.controllers, [USER]);
});

test('a canister creates, tops up and asks about canisters; users are told that they cannot', async () => {
  const client = new ManagementClient({ forwarder: FORWARDER });
  const forwarder = await client.create({ amount: [50n * T] });
  await client.install(forwarder, 'forwarder');
  const { subnet } = client;
  const forward = async (method: string, arg: Uint8Array): Promise<Uint8Array> => {
    const response = await subnet.call(subnet.message(forwarder.id, method, arg));
    assert.ok(response?.kind === 'reply', response?.kind === 'reject' ? response.reject.message : 'no answer');
    return response.data;
  };
  const created = await forward('create_canister', argument('create_canister', { sender_canister_version: [7n] }));
  const { canister_id } = decoded<{ canister_id: ReturnType<typeof wire> }>(
    IDL.Record({ canister_id: IDL.Principal }),
    created,
  );
  const child = [...subnet.state.canisters.values()].find(({ id }) => id.toText() === canister_id.toText());
  assert.ok(child !== undefined);
  assert.equal(child.balance, 2n * T - 500_000_000_000n, 'the fee is taken from what was sent');
  assert.deepEqual(child.settings.controllers, [forwarder.id]);

  await forward('deposit_cycles', argument('deposit_cycles', { canister_id }));
  assert.equal(child.balance, 5n * T - 500_000_000_000n);

  const first = decoded<Uint8Array>(IDL.Vec(IDL.Nat8), await forward('raw_rand', Uint8Array.from(IDL.encode([], []))));
  const second = decoded<Uint8Array>(IDL.Vec(IDL.Nat8), await forward('raw_rand', Uint8Array.from(IDL.encode([], []))));
  assert.equal(first.length, 32);
  assert.notDeepEqual(first, second);

  const info = decoded<InfoValue>(
    Info,
    await forward('canister_info', argument('canister_info', { canister_id, num_requested_changes: [5n] })),
  );
  assert.equal(info.total_num_changes, 1n);
  assert.equal(info.recent_changes.length, 1);
  const origin = info.recent_changes[0]?.origin['from_canister'] as { canister_version: bigint[] };
  assert.deepEqual(origin.canister_version, [7n]);
  assert.deepEqual(info.module_hash, []);

  const metadata = async (name: string): Promise<string> => {
    const arg = argument('canister_metadata', { canister_id: wire(forwarder.id), name });
    const response = await subnet.call(subnet.message(forwarder.id, 'canister_metadata', arg));
    if (response?.kind !== 'reply') return refusalOf(response ?? { kind: 'reply', data: utf8('') });
    const { value } = decoded<{ value: Uint8Array }>(IDL.Record({ value: IDL.Vec(IDL.Nat8) }), response.data);
    return new TextDecoder().decode(value);
  };
  assert.equal(await metadata('open'), 'to all');
  assert.match(await metadata('closed'), /has no metadata section with the name closed/);
  assert.match(await metadata('none'), /has no metadata section with the name none/);

  const { state } = subnet;
  assert.equal(state.cyclesMinted - state.cyclesBurned, cyclesIn(state));
});

test('creation needs the fee; what is not accepted comes back', async () => {
  const poor: Script = {
    update: {
      create: (api) => {
        const arg = argument('create_canister');
        api.call({ callee: MANAGEMENT_CANISTER, method: 'create_canister', arg, cycles: 5n, onReject: 'reject' });
      },
    },
    callbacks: { reject: (api) => api.reply(`${api.environment.cyclesRefunded} ${api.rejectMessage}`) },
  };
  const client = new ManagementClient({ poor });
  const canister = await client.create();
  await client.install(canister, 'poor');
  const response = await client.subnet.call(client.subnet.message(canister.id, 'create'));
  assert.ok(response?.kind === 'reply');
  assert.match(
    new TextDecoder().decode(response.data),
    /^5 IC0403: Creating a canister requires a fee of 500000000000 .* but only 5 cycles were received/,
  );
});

test('history: creation with the hash of the variables, deployments, change of controllers; twenty are kept', async () => {
  const client = new ManagementClient({ a: {}, forwarder: FORWARDER });
  const variables = [{ name: 'k', value: 'v' }];
  const canister = await client.create({ settings: [settings({ environment_variables: variables })] });
  assert.deepEqual(canister.history[0]?.details, {
    kind: 'creation',
    controllers: [USER],
    environmentVariablesHash: hashOfMap({ k: 'v' }),
  });
  await client.install(canister, 'a');
  const change = { canister_id: wire(canister.id), settings: settings({ controllers: [wire(USER), wire(STRANGER)] }) };
  await client.must('update_settings', change);
  assert.deepEqual(
    canister.history.map(({ details, version, origin }) => [details.kind, version, origin.kind]),
    [
      ['creation', 0n, 'from_user'],
      ['code_deployment', 1n, 'from_user'],
      ['controllers_change', 2n, 'from_user'],
    ],
  );
  await client.must('update_settings', { ...change, settings: settings({ freezing_threshold: 1n }) });
  assert.equal(canister.history.length, 3, 'other settings leave no trace');
  for (let i = 0; i < 20; i++) await client.must('update_settings', change);
  assert.equal(canister.history.length, 20);
  assert.equal(canister.totalChanges, 23n);
});

test('what this build does not have is rejected, not pretended', async () => {
  const asks: Script = {
    update: {
      ask: (api) => {
        const method = new TextDecoder().decode(api.arg);
        api.call({ callee: MANAGEMENT_CANISTER, method, onReject: 'reject' });
      },
    },
    callbacks: { reject: (api) => api.reply(api.rejectMessage) },
  };
  const client = new ManagementClient({ asks });
  const canister = await client.create();
  await client.install(canister, 'asks');
  const ask = async (method: string): Promise<string> => {
    const response = await client.subnet.call(client.subnet.message(canister.id, 'ask', utf8(method)));
    assert.ok(response?.kind === 'reply');
    return new TextDecoder().decode(response.data);
  };
  for (const method of [
    'http_request',
    'sign_with_ecdsa',
    'schnorr_public_key',
    'vetkd_derive_key',
    'bitcoin_get_utxos',
  ])
    assert.match(await ask(method), new RegExp(`^IC0406: ${method} is not available`));
  assert.equal(await ask('no_such'), "IC0536: Management canister has no method 'no_such'");
  assert.match(await ask('fetch_canister_logs'), /not accessible/);
});

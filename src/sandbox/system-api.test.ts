import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callCost, creationFee, DEFAULT_LIMITS, Principal } from '../model/index.ts';
import { OWN_STACK_BYTES } from '../wasm/index.ts';
import type { ExecutionEnvironment, ExecutionResult } from './contract.ts';
import { createSandbox } from './sandbox.ts';
import { canisterOf, environmentOf, replyOf, SUBNET_ID, TestCanister, testSandbox } from './test-canister.ts';

const NOTHING = new Uint8Array(0);
const T = 1_000_000_000_000n;
const u64 = (bytes: Uint8Array, at = 0): bigint => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true);
const u128 = (bytes: Uint8Array, at = 0): bigint => u64(bytes, at) | (u64(bytes, at + 8) << 64n);
const i32 = (bytes: Uint8Array, at = 0): number => new DataView(bytes.buffer, bytes.byteOffset).getInt32(at, true);
const latin = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Installs a canister with one method `f` of this body. */
async function method(body: string, extra = ''): Promise<TestCanister> {
  const canister = new TestCanister(testSandbox());
  const { error } = await canister.install(canisterOf(`${extra} (func (export "canister_update f") ${body})`));
  assert.equal(error, undefined);
  return canister;
}

async function run(
  body: string,
  environment: Partial<ExecutionEnvironment> = {},
  arg: Uint8Array = NOTHING,
  extra = '',
): Promise<ExecutionResult> {
  return (await method(body, extra)).update('f', arg, environment);
}

/** Code and first line. */
function failure(result: ExecutionResult): string {
  return `${result.error?.code}: ${result.error?.message.split('\n')[0]}`;
}

const blob = (name: string): string =>
  `(call $${name}_copy (i32.const 0) (i32.const 0) (call $${name}_size)) (call $reply (i32.const 0) (call $${name}_size))`;

test('blobs: caller, self, subnet, root key', async () => {
  const caller = Principal.fromBytes(Uint8Array.of(1, 2, 3));
  assert.deepEqual(replyOf(await run(blob('msg_caller'), { caller })), caller.bytes);
  const canister = await method(blob('canister_self'));
  assert.deepEqual(replyOf(await canister.update('f')), canister.id.bytes);
  assert.deepEqual(replyOf(await run(blob('subnet_self'))), SUBNET_ID.bytes);
  assert.deepEqual(replyOf(await run(blob('root_key'))), environmentOf().rootKey);
  const info = { info: Uint8Array.of(9, 9), signer: caller };
  assert.deepEqual(replyOf(await run(blob('msg_caller_info_data'), { senderInfo: info })), info.info);
  assert.deepEqual(replyOf(await run(blob('msg_caller_info_signer'), { senderInfo: info })), caller.bytes);
  assert.deepEqual(replyOf(await run(blob('msg_caller_info_data'))), NOTHING);
});

test('a part of a blob; what lies outside traps with the real texts', async () => {
  const copy = (target: number, offset: number, size: number): string =>
    `(call $msg_arg_data_copy (i32.const ${target}) (i32.const ${offset}) (i32.const ${size})) (call $reply (i32.const 0) (i32.const 4))`;
  const arg = Buffer.from('abcdef');
  assert.equal(latin(replyOf(await run(copy(1, 2, 3), {}, arg))), '\0cde');
  assert.equal(latin(replyOf(await run(copy(65536, 6, 0), {}, arg))), '\0\0\0\0');
  assert.equal(
    failure(await run(copy(65534, 0, 3), {}, arg)),
    'IC0504: Canister violated contract: ic0.msg_arg_data_copy heap: src=65534 + length=3 exceeds the slice size=65536.',
  );
  assert.equal(
    failure(await run(copy(0, 5, 2), {}, arg)),
    'IC0504: Canister violated contract: ic0.msg_arg_data_copy payload: src=5 + length=2 exceeds the slice size=6.',
  );
  assert.equal(
    failure(await run(copy(0, -1, 1), {}, arg)),
    'IC0504: Canister violated contract: ic0.msg_arg_data_copy payload: src=4294967295 + length=1 is an invalid address.',
  );
});

test('replies and rejects', async () => {
  const twice = '(call $reply (i32.const 0) (i32.const 1)) (call $msg_reply)';
  assert.equal(
    failure(await run(twice)),
    'IC0504: Canister violated contract: ic0.msg_reply: the call is already replied.',
  );
  const append = '(call $reply (i32.const 0) (i32.const 1)) (call $msg_reply_data_append (i32.const 0) (i32.const 1))';
  assert.equal(
    failure(await run(append)),
    'IC0504: Canister violated contract: ic0.msg_reply_data_append: the call is already replied..',
  );
  const reject =
    '(call $msg_reply_data_append (i32.const 0) (i32.const 1)) (call $msg_reject (i32.const 8) (i32.const 5))';
  const data = '(data (i32.const 8) "sorry") (data (i32.const 16) "\\ff")';
  assert.deepEqual((await run(reject, {}, NOTHING, data)).response, { kind: 'reject', message: 'sorry' });
  assert.equal(
    failure(await run('(call $msg_reject (i32.const 16) (i32.const 1))', {}, NOTHING, data)),
    'IC0504: Canister violated contract: ic0.msg_reject: invalid UTF-8 string provided.',
  );
  assert.equal(failure(await run('(call $msg_reply)', { responded: true })), failure(await run(twice)));
  assert.equal((await run('(call $msg_reply_data_append (i32.const 0) (i32.const 9))')).response, undefined);
});

test('the sizes of replies are limited', async () => {
  const canister = new TestCanister(testSandbox());
  const body = '(call $reply (i32.const 0) (i32.mul (i32.load8_u (i32.const 0)) (i32.const 65536)))';
  await canister.install(
    canisterOf(
      `(func $take (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 1)))
       (func (export "canister_update f") (call $take) ${body}) (func (export "canister_query q") (call $take) ${body})`,
      { pages: 64 },
    ),
  );
  const query = (pages: number): Promise<ExecutionResult> =>
    canister.query({ kind: 'query', method: 'q', arg: Uint8Array.of(pages) });
  assert.equal(replyOf(await canister.update('f', Uint8Array.of(32))).length, 2 << 20);
  assert.equal(
    failure(await canister.update('f', Uint8Array.of(33))),
    'IC0504: Canister violated contract: ic0.msg_reply_data_append: application payload size (2162688) cannot be larger than 2097152..',
  );
  assert.equal(replyOf(await query(48)).length, 3 << 20);
  assert.match(failure(await query(49)), /cannot be larger than 3145728/);
});

const CALL = `(call $call_new (i32.const 100) (i32.const 3) (i32.const 104) (i32.const 4)
  (i32.const 1) (i32.const -2) (i32.const 3) (i32.const 4))`;
const CALL_DATA = '(data (i32.const 100) "\\01\\02\\03") (data (i32.const 104) "ping") (data (i32.const 108) "body")';

test('calls are collected with fees, callbacks and cycles', async () => {
  const result = await run(
    `${CALL} (call $call_data_append (i32.const 108) (i32.const 2)) (call $call_data_append (i32.const 110) (i32.const 2))
     (call $call_cycles_add (i64.const 5)) (call $call_cycles_add128 (i64.const 0) (i64.const 7))
     (call $call_on_cleanup (i32.const 8) (i32.const 9)) (call $call_with_best_effort_response (i32.const 1000))
     (i32.store (i32.const 0) (call $call_perform))
     (call $canister_cycle_balance128 (i32.const 8))
     (call $reply (i32.const 0) (i32.const 24))`,
    {},
    NOTHING,
    CALL_DATA,
  );
  const fee = callCost(environmentOf(), DEFAULT_LIMITS, 8, false);
  assert.equal(i32(replyOf(result)), 0);
  assert.equal(u128(replyOf(result), 8), environmentOf().balance - fee - 12n);
  assert.deepEqual(result.calls, [
    {
      callee: Principal.fromBytes(Uint8Array.of(1, 2, 3)),
      method: 'ping',
      arg: new Uint8Array(Buffer.from('body')),
      cycles: 12n,
      prepaidFee: fee,
      onReply: { fun: 1n, env: 0xffff_fffen },
      onReject: { fun: 3n, env: 4n },
      onCleanup: { fun: 8n, env: 9n },
      timeoutSeconds: 300,
    },
  ]);
});

test('a call that is not performed costs nothing; a trap takes calls back', async () => {
  const balance = '(call $canister_cycle_balance128 (i32.const 8)) (call $reply (i32.const 8) (i32.const 16))';
  const dropped = await run(`${CALL} (call $call_cycles_add (i64.const 5)) ${CALL} ${balance}`, {}, NOTHING, CALL_DATA);
  assert.equal(u128(replyOf(dropped)), environmentOf().balance);
  assert.deepEqual(dropped.calls, []);
  const trapped = await run(`${CALL} (drop (call $call_perform)) unreachable`, {}, NOTHING, CALL_DATA);
  assert.deepEqual(trapped.calls, []);
  assert.equal(trapped.error?.code, 'IC0502');
});

test('a call fails softly when the queue is full or the cycles do not suffice', async () => {
  const body = `${CALL} (call $call_cycles_add (i64.const 5)) (i32.store (i32.const 0) (call $call_perform))
    ${CALL} (i32.store (i32.const 4) (call $call_perform))
    (call $canister_cycle_balance128 (i32.const 8)) (call $reply (i32.const 0) (i32.const 24))`;
  const full = await run(body, { queueCapacity: () => 1 }, NOTHING, CALL_DATA);
  assert.deepEqual([i32(replyOf(full)), i32(replyOf(full), 4), full.calls.length], [0, 2, 1]);
  const poor = await run(body, { balance: 1000n }, NOTHING, CALL_DATA);
  assert.deepEqual([i32(replyOf(poor)), i32(replyOf(poor), 4), poor.calls.length], [2, 2, 0]);
  assert.equal(u128(replyOf(poor), 8), 1000n);
  const frozen = await run(body, { freezingThresholdCycles: environmentOf().balance - 10n }, NOTHING, CALL_DATA);
  assert.equal(frozen.calls.length, 0);
});

test('misused calls trap with the real texts', async () => {
  const first = async (body: string): Promise<string> => failure(await run(body, {}, NOTHING, CALL_DATA));
  const violated = 'IC0504: Canister violated contract: ';
  assert.equal(
    await first('(drop (call $call_perform))'),
    `${violated}ic0.call_perform called when no call is under construction..`,
  );
  assert.equal(
    await first('(call $call_data_append (i32.const 0) (i32.const 0))'),
    `${violated}ic0.call_data_append called when no call is under construction..`,
  );
  assert.equal(
    await first('(call $call_cycles_add (i64.const 1))'),
    `${violated}ic0_call_cycles_add called when no call is under construction..`,
  );
  assert.equal(
    await first(
      `${CALL} (call $call_on_cleanup (i32.const 0) (i32.const 0)) (call $call_on_cleanup (i32.const 0) (i32.const 0))`,
    ),
    `${violated}ic0.call_on_cleanup can be called at most once between \`ic0.call_new\` and \`ic0.call_perform\`.`,
  );
  assert.equal(
    await first(
      `${CALL} (call $call_with_best_effort_response (i32.const 1)) (call $call_with_best_effort_response (i32.const 1))`,
    ),
    `${violated}ic0_call_with_best_effort_response failed because a timeout is already set..`,
  );
  assert.match(
    await first(`${CALL} (call $call_cycles_add128 (i64.const 1) (i64.const 0))`),
    /^IC0504: Canister \S+ is out of cycles$/,
  );
  const long = (what: string): string =>
    `(call $call_new (i32.const 0) (i32.const ${what === 'callee' ? 30 : 0}) (i32.const 0) (i32.const ${what === 'name' ? 20_001 : 0})
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))`;
  assert.equal(await first(long('callee')), 'IC0504: Canister provided invalid principal id.');
  assert.equal(await first(long('name')), `${violated}Size of method_name 20001 exceeds the allowed limit of 20000..`);
});

test('cycles: available, accept, refunded, burn, liquid', async () => {
  const body = `(i64.store (i32.const 0) (call $msg_cycles_available))
    (i64.store (i32.const 8) (call $msg_cycles_accept (i64.const 30)))
    (call $msg_cycles_accept128 (i64.const 1) (i64.const 0) (i32.const 16))
    (call $msg_cycles_available128 (i32.const 32))
    (call $cycles_burn128 (i64.const 0) (i64.const 11) (i32.const 48))
    (call $canister_liquid_cycle_balance128 (i32.const 64))
    (i64.store (i32.const 80) (call $canister_cycle_balance))
    (call $reply (i32.const 0) (i32.const 88))`;
  const result = await run(body, { cyclesAvailable: 100n, freezingThresholdCycles: T });
  const out = replyOf(result);
  assert.deepEqual([u64(out), u64(out, 8), u128(out, 16), u128(out, 32), u128(out, 48)], [100n, 30n, 70n, 0n, 11n]);
  const balance = environmentOf().balance + 100n - 11n;
  assert.deepEqual([u128(out, 64), u64(out, 80)], [balance - T, balance]);
  assert.deepEqual([result.cyclesAccepted, result.cyclesBurned], [100n, 11n]);
  const trapped = await run(`(drop (call $msg_cycles_accept (i64.const 30))) unreachable`, { cyclesAvailable: 100n });
  assert.equal(trapped.cyclesAccepted, 0n);
  // After the reply all that is left goes back to the caller.
  const late = await run(
    `(call $reply (i32.const 0) (i32.const 0)) (if (i64.ne (call $msg_cycles_available) (i64.const 0)) (then unreachable))
     (if (i64.ne (call $msg_cycles_accept (i64.const 1)) (i64.const 0)) (then unreachable))`,
    { cyclesAvailable: 100n },
  );
  assert.deepEqual([late.error, late.cyclesAccepted], [undefined, 0n]);
  const wide = await run('(drop (call $canister_cycle_balance))', { balance: 1n << 64n });
  assert.equal(failure(wide), 'IC0502: Canister trapped: cycles amount exceeds 64-bit representation.');
});

test('stable memory: 32 and 64 bit, growth, bounds', async () => {
  const canister = await method(`
    (i64.store (i32.const 0) (call $stable64_grow (i64.const 2)))
    (i32.store (i32.const 8) (call $stable_grow (i32.const 1)))
    (i64.store (i32.const 16) (call $stable64_size))
    (i32.store (i32.const 24) (call $stable_size))
    (i64.store (i32.const 32) (call $stable64_grow (i64.const 0x10000000000)))
    (i32.store (i32.const 40) (call $stable_grow (i32.const -1)))
    (i32.store (i32.const 100) (i32.const 0x04030201))
    (call $stable64_write (i64.const 65534) (i64.const 100) (i64.const 4))
    (call $stable_read (i32.const 44) (i32.const 65533) (i32.const 6))
    (call $reply (i32.const 0) (i32.const 50))`);
  const result = await canister.update('f');
  const out = replyOf(result);
  assert.deepEqual(
    [u64(out), i32(out, 8), u64(out, 16), i32(out, 24), u64(out, 32), i32(out, 40)],
    [0n, 2, 3n, 3, (1n << 64n) - 1n, -1],
  );
  assert.deepEqual([...out.subarray(44, 50)], [0, 1, 2, 3, 4, 0]);
  assert.deepEqual(result.dirtyStablePages, [15, 16]);
  assert.equal(canister.stable.wasmPages, 3);
  assert.equal(
    failure(await run('(call $stable64_read (i64.const 0) (i64.const 0) (i64.const 1))')),
    'IC0502: Canister trapped: stable memory out of bounds.',
  );
  assert.equal(
    failure(
      await run(
        '(drop (call $stable64_grow (i64.const 1))) (call $stable64_write (i64.const 0) (i64.const 65536) (i64.const 1))',
      ),
    ),
    'IC0502: Canister trapped: heap out of bounds.',
  );
  assert.equal(
    failure(await run('(drop (call $stable64_grow (i64.const 65537))) (drop (call $stable_size))')),
    'IC0502: Canister trapped: 32 bit stable memory api used on a memory larger than 4GB.',
  );
  const full = await run(
    '(i64.store (i32.const 0) (call $stable64_grow (i64.const 2))) (call $reply (i32.const 0) (i32.const 8))',
    { growableBytes: 65_536n },
  );
  assert.equal(u64(replyOf(full)), (1n << 64n) - 1n);
});

test('a trap and a query leave stable memory as it was', async () => {
  const canister = new TestCanister(testSandbox());
  const write = `(drop (call $stable64_grow (i64.const 1))) (i32.store (i32.const 0) (i32.const 77))
    (call $stable64_write (i64.const 0) (i64.const 0) (i64.const 4))`;
  const read =
    '(call $stable64_read (i64.const 4) (i64.const 0) (i64.const 4)) (call $reply (i32.const 4) (i32.const 4))';
  await canister.install(
    canisterOf(`(func (export "canister_init") (drop (call $stable64_grow (i64.const 1))))
      (func (export "canister_update bad") ${write} unreachable)
      (func (export "canister_update good") ${write} (call $reply (i32.const 0) (i32.const 0)))
      (func (export "canister_query write") ${write} ${read})
      (func (export "canister_query read") ${read})`),
  );
  const value = async (): Promise<number> => i32(replyOf(await canister.query('read')));
  await canister.update('bad');
  assert.equal(i32(replyOf(await canister.query('write'))), 77);
  assert.deepEqual([await value(), canister.stable.wasmPages], [0, 1]);
  await canister.update('good');
  assert.deepEqual([await value(), canister.stable.wasmPages], [77, 2]);
});

test('time, timer, versions, status, counters', async () => {
  const result = await run(
    `(i64.store (i32.const 0) (call $time))
     (i64.store (i32.const 8) (call $global_timer_set (i64.const 5)))
     (i64.store (i32.const 16) (call $global_timer_set (i64.const 6)))
     (i64.store (i32.const 24) (call $canister_version))
     (i32.store (i32.const 32) (call $canister_status))
     (i32.store (i32.const 36) (call $in_replicated_execution))
     (i64.store (i32.const 40) (call $msg_deadline))
     (i64.store (i32.const 48) (call $performance_counter (i32.const 0)))
     (i64.store (i32.const 56) (call $performance_counter (i32.const 1)))
     (call $reply (i32.const 0) (i32.const 64))`,
    {
      time: 42n,
      globalTimer: 4n,
      canisterVersion: 17n,
      canisterStatus: 2,
      deadline: 99n,
      callContextInstructions: 1_000_000n,
    },
  );
  const out = replyOf(result);
  assert.deepEqual(
    [0, 8, 16, 24, 40].map((at) => u64(out, at)),
    [42n, 4n, 5n, 17n, 99n],
  );
  assert.deepEqual([i32(out, 32), i32(out, 36)], [2, 1]);
  assert.equal(result.timer, 6n);
  const own = u64(out, 48);
  assert.ok(own > 3_500n && own < result.instructions);
  assert.ok(u64(out, 56) > 1_000_000n + own);
  assert.match(
    failure(await run('(drop (call $performance_counter (i32.const 2)))')),
    /Error getting performance counter type 2$/,
  );
});

test('certified data and its certificate', async () => {
  const set = (size: number): string => `(call $certified_data_set (i32.const 0) (i32.const ${size}))`;
  const canister = new TestCanister(testSandbox());
  await canister.install(
    canisterOf(`(func (export "canister_update set") ${set(32)}) (func (export "canister_update big") ${set(33)})
    (func (export "canister_query present") (i32.store (i32.const 0) (call $data_certificate_present)) (call $reply (i32.const 0) (i32.const 4)))
    (func (export "canister_query certificate") ${blob('data_certificate')})`),
  );
  assert.deepEqual((await canister.update('set')).certifiedData, new Uint8Array(32));
  assert.equal(
    failure(await canister.update('big')),
    'IC0504: Canister violated contract: ic0_certified_data_set failed because the passed data must be no larger than 32 bytes. Found 33 bytes..',
  );
  const dataCertificate = Uint8Array.of(1, 2, 3);
  assert.equal(i32(replyOf(await canister.query('present'))), 0);
  assert.equal(i32(replyOf(await canister.query('present', { dataCertificate }))), 1);
  assert.deepEqual(replyOf(await canister.query('certificate', { dataCertificate })), dataCertificate);
  assert.match(
    failure(await canister.query('certificate')),
    /"ic0_data_certificate_size" cannot be executed in non replicated query mode/,
  );
});

test('controllers', async () => {
  const controller = Principal.fromBytes(Uint8Array.of(5, 6));
  const check = `(i32.store (i32.const 20) (call $is_controller (i32.const 0) (i32.const 2)))
    (i32.store (i32.const 24) (call $is_controller (i32.const 0) (i32.const 1))) (call $reply (i32.const 20) (i32.const 8))`;
  const out = replyOf(await run(check, { controllers: [controller] }, NOTHING, '(data (i32.const 0) "\\05\\06")'));
  assert.deepEqual([i32(out), i32(out, 4)], [1, 0]);
  assert.equal(
    failure(await run('(drop (call $is_controller (i32.const 0) (i32.const 30)))')),
    'IC0504: Canister provided invalid principal id.',
  );
});

test('environment variables, in the order of their names', async () => {
  const environmentVariables = [
    { name: 'B', value: 'zwei' },
    { name: 'A', value: 'eins' },
  ];
  const out = replyOf(
    await run(
      `(i32.store (i32.const 0) (call $env_var_count))
       (call $env_var_name_copy (i32.const 1) (i32.const 4) (i32.const 0) (call $env_var_name_size (i32.const 1)))
       (call $env_var_value_copy (i32.const 4) (i32.const 1) (i32.const 5) (i32.const 0) (call $env_var_value_size (i32.const 4) (i32.const 1)))
       (i32.store8 (i32.const 9) (call $env_var_name_exists (i32.const 4) (i32.const 1)))
       (i32.store8 (i32.const 10) (call $env_var_name_exists (i32.const 5) (i32.const 1)))
       (call $reply (i32.const 0) (i32.const 11))`,
      { environmentVariables },
    ),
  );
  assert.equal(latin(out), '\x02\0\0\0Bzwei\x01\0');
  assert.equal(
    failure(await run('(drop (call $env_var_name_size (i32.const 2)))', { environmentVariables })),
    'IC0504: Environment variable index 2 is out of bounds. The number of environment variables is 2.',
  );
  assert.equal(
    failure(await run('(drop (call $env_var_value_size (i32.const 0) (i32.const 1)))', { environmentVariables })),
    'IC0504: Environment variable \0 not found.',
  );
  assert.match(
    failure(await run('(drop (call $env_var_name_exists (i32.const 0) (i32.const 129)))')),
    /env_var_name_exists: Variable name is too large\.$/,
  );
});

test('costs', async () => {
  const out = replyOf(
    await run(
      `(call $cost_call (i64.const 10) (i64.const 1000) (i32.const 0))
       (call $cost_create_canister (i32.const 16))
       (call $cost_http_request (i64.const 100) (i64.const 2000) (i32.const 32))
       (i32.store (i32.const 48) (call $cost_sign_with_ecdsa (i32.const 200) (i32.const 5) (i32.const 0) (i32.const 64)))
       (i32.store (i32.const 52) (call $cost_sign_with_ecdsa (i32.const 200) (i32.const 5) (i32.const 1) (i32.const 80)))
       (i32.store (i32.const 56) (call $cost_sign_with_schnorr (i32.const 200) (i32.const 4) (i32.const 1) (i32.const 80)))
       (call $reply (i32.const 0) (i32.const 96))`,
      {},
      NOTHING,
      '(data (i32.const 200) "key_1")',
    ),
  );
  const fees = environmentOf();
  assert.equal(u128(out), callCost(fees, DEFAULT_LIMITS, 1010, false));
  assert.equal(u128(out, 16), creationFee(fees));
  assert.equal(u128(out, 32), (3_000_000n + 60_000n * 13n + 400n * 100n + 800n * 2000n) * 13n);
  assert.deepEqual([i32(out, 48), i32(out, 52), i32(out, 56)], [0, 1, 2]);
  assert.deepEqual([u128(out, 64), u128(out, 80)], [10_000_000_000n, 0n]);
});

test('logs survive a trap, and only the newest are kept', async () => {
  const print = '(call $debug_print (i32.const 0) (i32.const 5))';
  const data = '(data (i32.const 0) "hello")';
  const trapped = await run(`${print} (call $trap (i32.const 1) (i32.const 2))`, {}, NOTHING, data);
  assert.deepEqual(trapped.logs.map(latin), ['hello', '[TRAP]: el']);
  assert.deepEqual((await run(`${print} unreachable`, {}, NOTHING, data)).logs.map(latin), [
    'hello',
    '[TRAP]: unreachable',
  ]);
  assert.deepEqual((await run('(call $debug_print (i32.const 65535) (i32.const 2))')).logs.map(latin), [
    '(debug_print message out of memory bounds)',
  ]);
  const many = await run(
    '(call $debug_print (i32.const 0) (i32.const 3000)) (call $debug_print (i32.const 0) (i32.const 2000))',
  );
  assert.deepEqual(
    many.logs.map((line) => line.length),
    [2000],
  );
});

test('system calls are charged', async () => {
  const base = (await run('(call $msg_reply)')).instructions;
  const with64 = (await run('(drop (call $msg_arg_data_size)) (call $msg_reply)')).instructions;
  // The call itself and the drop cost 5 and 1 or so besides.
  assert.ok(with64 - base >= 500n && with64 - base < 520n);
  const append = async (size: number): Promise<bigint> =>
    (await run(`(call $msg_reply_data_append (i32.const 0) (i32.const ${size}))`)).instructions;
  assert.equal((await append(1000)) - (await append(0)), 50_000n);
  const write = async (size: number): Promise<bigint> =>
    (
      await run(
        `(drop (call $stable64_grow (i64.const 1))) (call $stable64_write (i64.const 0) (i64.const 0) (i64.const ${size}))`,
      )
    ).instructions;
  assert.equal((await write(5000)) - (await write(4096)), 904n + 1_000n);
  const out = await run('(call $msg_reply_data_append (i32.const 0) (i32.const 1000))', { totalInstructions: 40_000n });
  assert.equal(out.error?.code, 'IC0522');
});

test('inspection accepts or does not', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(
    canisterOf(`(func (export "canister_inspect_message")
      (call $msg_method_name_copy (i32.const 0) (i32.const 0) (call $msg_method_name_size))
      (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 97)) (then (call $accept_message)))
      (if (i32.eq (i32.load8_u (i32.const 1)) (i32.const 97)) (then (call $accept_message))))`),
  );
  const inspect = (name: string): Promise<ExecutionResult> =>
    canister.query({ kind: 'inspect_message', method: name, arg: NOTHING });
  assert.equal((await inspect('abc')).messageAccepted, true);
  assert.equal((await inspect('bbc')).messageAccepted, false);
  assert.match(failure(await inspect('aa')), /ic0\.accept_message: the function was already called/);
});

test('64-bit pointers', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(
    canisterOf(
      `(data (i64.const 100) "ping") (table funcref (elem $callback)) (func $callback (param i64)
         (i64.store (i64.const 0) (local.get 0)) (call $reply (i64.const 0) (i64.const 8)))
       (func (export "canister_update echo")
         (call $msg_arg_data_copy (i64.const 8) (i64.const 0) (call $msg_arg_data_size))
         (call $call_new (i64.const 100) (i64.const 4) (i64.const 100) (i64.const 4)
           (i64.const 0) (i64.const 0x123456789a) (i64.const 0xffffffffff) (i64.const -1))
         (drop (call $call_perform))
         (call $reply (i64.const 8) (call $msg_arg_data_size)))
       (func (export "canister_update far") (call $msg_reply_data_append (i64.const -1) (i64.const 2)))`,
      { memory64: true },
    ),
  );
  const result = await canister.update('echo', Buffer.from('wide'));
  assert.equal(latin(replyOf(result)), 'wide');
  assert.deepEqual(
    [result.calls[0]?.onReply, result.calls[0]?.onReject],
    [
      { fun: 0n, env: 0x123456789an },
      { fun: 0xffff_ffffn, env: (1n << 64n) - 1n },
    ],
  );
  const callback = { fun: 0n, env: 0x8000_0000_0000_0001n };
  const replied = await canister.run({ kind: 'reply_callback', callback, data: NOTHING, composite: false });
  assert.equal(u64(replyOf(replied)), callback.env);
  assert.match(failure(await canister.update('far')), /msg\.reply: src=\d+ \+ length=2 is an invalid address/);
});

test('callbacks: env, reject codes, a function that is not there', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(
    canisterOf(`(type $callback (func (param i32))) (table 3 funcref) (elem (i32.const 0) $callback $none)
      (func $callback (param i32) (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (call $msg_reject_code))
        (call $reply (i32.const 0) (i32.const 8)))
      (func $none)`),
  );
  const callback = { fun: 0n, env: 0xffff_ffffn };
  const replied = replyOf(await canister.run({ kind: 'reply_callback', callback, data: NOTHING, composite: false }));
  assert.deepEqual([i32(replied), i32(replied, 4)], [-1, 0]);
  const reject = { rejectCode: 3, message: 'gone' } as const;
  const rejected = replyOf(await canister.run({ kind: 'reject_callback', callback, reject, composite: false }));
  assert.equal(i32(rejected, 4), 3);
  const at = async (fun: bigint): Promise<string> =>
    failure(
      await canister.run({ kind: 'cleanup_callback', callback: { fun, env: 0n }, rejectCode: 0, composite: false }),
    );
  assert.equal(await at(1n), 'IC0504: Canister violated contract: function invocation does not match its signature.');
  assert.equal(await at(2n), 'IC0513: Canister requested to invoke a non-existent Wasm function 2 from table 0.');
  assert.equal(await at(77n), 'IC0513: Canister requested to invoke a non-existent Wasm function 77 from table 0.');
});

test('the entries of a composite query see each other, and nobody else sees them', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(
    canisterOf(`(global $g (mut i32) (i32.const 0)) (table funcref (elem $on_reply $trap))
      (func $add (global.set $g (i32.add (global.get $g) (i32.const 1))) (i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))
        (call $stable64_write (i64.const 0) (i64.const 4096) (i64.const 4)))
      (func $out (i32.store (i32.const 0) (global.get $g)) (i32.store (i32.const 4) (i32.load (i32.const 4096)))
        (call $stable64_read (i64.const 8) (i64.const 0) (i64.const 4)) (call $reply (i32.const 0) (i32.const 12)))
      (func (export "canister_init") (drop (call $stable64_grow (i64.const 1))))
      (func (export "canister_composite_query go") (call $add)
        (call $call_new (i32.const 100) (i32.const 3) (i32.const 100) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (drop (call $call_perform)))
      (func $on_reply (param i32) (call $add) (call $out))
      (func $trap (param i32) (call $add) unreachable)
      (func (export "canister_update add") (call $add) (call $out))
      (func (export "canister_query get") (call $out))`),
  );
  const values = (result: ExecutionResult): number[] => [0, 4, 8].map((at) => i32(replyOf(result), at));
  const session = canister.sandbox.openQuery(canister.image());
  const environment = environmentOf({ replicated: false });
  const go = async (entry: Parameters<typeof session.execute>[0]): Promise<ExecutionResult> => {
    const step = await session.execute(entry, environment, 1_000_000_000n);
    assert.ok(step.done);
    return step.result;
  };
  const first = await go({ kind: 'composite_query', method: 'go', arg: NOTHING });
  assert.deepEqual([first.error, first.calls.length, first.calls[0]?.prepaidFee], [undefined, 1, 0n]);
  assert.deepEqual(values(await canister.query('get')), [0, 0, 0]);
  assert.deepEqual(values(await canister.update('add')), [1, 1, 1]);
  const callback = { fun: 0n, env: 0n };
  const trapped = await go({
    kind: 'reply_callback',
    callback: { ...callback, fun: 1n },
    data: NOTHING,
    composite: true,
  });
  assert.equal(trapped.error?.code, 'IC0502');
  assert.deepEqual(values(await go({ kind: 'reply_callback', callback, data: NOTHING, composite: true })), [2, 2, 2]);
  assert.deepEqual(values(await go({ kind: 'reply_callback', callback, data: NOTHING, composite: true })), [3, 3, 3]);
  session.close();
  assert.deepEqual(values(await canister.query('get')), [1, 1, 1]);
  // The same on the ready instance, which must be clean afterwards.
  const quiet = canister.sandbox.openQuery(canister.image());
  const step = await quiet.execute(
    { kind: 'composite_query', method: 'go', arg: NOTHING },
    environment,
    1_000_000_000n,
  );
  assert.ok(step.done && step.result.error === undefined);
  quiet.close();
  assert.deepEqual(values(await canister.query('get')), [1, 1, 1]);
  assert.deepEqual(values(await canister.update('add')), [2, 2, 2]);
});

test('a message may touch so much of stable memory and no more', async () => {
  const limits = {
    ...DEFAULT_LIMITS,
    stackBytes: OWN_STACK_BYTES,
    stableWriteBytesPerMessage: 16_384n,
    stableBytesPerUpgrade: 65_536n,
    stableBytesPerQuery: 8_192n,
  };
  const canister = new TestCanister(createSandbox({ limits }));
  const each = (
    body: string,
  ): string => `(local $page i64) (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 8))
    (loop $next ${body}
      (br_if $next (i64.lt_u (local.tee $page (i64.add (local.get $page) (i64.const 1))) (i64.load (i32.const 0)))))
    (call $reply (i32.const 0) (i32.const 0))`;
  const at = '(i64.mul (local.get $page) (i64.const 4096))';
  await canister.install(
    canisterOf(`(func (export "canister_init") (drop (call $stable64_grow (i64.const 4))))
      (func (export "canister_update write") ${each(`(call $stable64_write ${at} (i64.const 8) (i64.const 1))`)})
      (func (export "canister_update read") ${each(`(call $stable64_read (i64.const 8) ${at} (i64.const 1))`)})
      (func (export "canister_query look") ${each(`(call $stable64_read (i64.const 8) ${at} (i64.const 1))`)})`),
  );
  const pages = (n: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(n).buffer);
  assert.equal((await canister.update('write', pages(4n))).error, undefined);
  assert.equal(
    failure(await canister.update('write', pages(5n))),
    'IC0524: Canister exceeded memory access limits: Exceeded the limit for the number of modified pages in the stable memory in a single execution: limit 16 KB for regular messages, 64 KB for upgrade messages and 8 KB for queries..',
  );
  assert.equal((await canister.update('read', pages(4n))).error, undefined);
  assert.match(
    failure(await canister.update('read', pages(5n))),
    /number of accessed pages .* limit 16 KB .* 8 KB for queries/,
  );
  const look = (n: bigint): Promise<ExecutionResult> =>
    canister.query({ kind: 'query', method: 'look', arg: pages(n) });
  assert.equal((await look(2n)).error, undefined);
  assert.match(failure(await look(3n)), /^IC0524/);
});

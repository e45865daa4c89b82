import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDL } from '@icp-sdk/core/candid';
import { motokoProgram, type Persistence } from '../../test/motoko-programs/index.ts';
import type { ExecutionEnvironment, ExecutionResult, FunctionClosure } from './contract.ts';
import { replyOf, TestCanister, testSandbox } from './test-canister.ts';

const NO_ARGUMENT = new Uint8Array(IDL.encode([], []));
const nat = (result: ExecutionResult): bigint => {
  const [value] = IDL.decode([IDL.Nat], Uint8Array.from(replyOf(result)));
  return value as unknown as bigint;
};
const nats = (result: ExecutionResult): unknown[] => IDL.decode([IDL.Nat, IDL.Nat], Uint8Array.from(replyOf(result)));
const STOPPED: Partial<ExecutionEnvironment> = { canisterStatus: 3 };

async function get(canister: TestCanister): Promise<unknown[]> {
  return nats(await canister.query({ kind: 'query', method: 'get', arg: NO_ARGUMENT }));
}

/** Replaces the code as the replica does: enhanced persistence keeps the heap, classic carries data in stable memory. */
async function upgrade(canister: TestCanister, wasm: Uint8Array, persistence: Persistence): Promise<void> {
  const before = await canister.run({ kind: 'pre_upgrade' }, STOPPED);
  assert.equal(before.error, undefined);
  const after = await canister.install(wasm, {
    hook: 'canister_post_upgrade',
    heapKept: persistence === 'enhanced',
    arg: NO_ARGUMENT,
    environment: STOPPED,
  });
  assert.equal(after.error, undefined);
}

for (const persistence of ['enhanced', 'classic'] as const) {
  test(`a Motoko actor, ${persistence} persistence: install, update, query, trap, upgrade, other sandbox`, async () => {
    const wasm = await motokoProgram('counter', persistence);
    const canister = new TestCanister(testSandbox());
    const installed = await canister.install(wasm, { arg: NO_ARGUMENT });
    assert.equal(installed.error, undefined);
    assert.equal(canister.module?.memory64, persistence === 'enhanced');

    assert.equal(nat(await canister.update('increment', NO_ARGUMENT)), 1n);
    assert.equal(nat(await canister.update('increment', NO_ARGUMENT)), 2n);
    assert.deepEqual(await get(canister), [2n, 2n]);

    const trapped = await canister.update('trapAfterChange', NO_ARGUMENT);
    assert.equal(trapped.error?.code, 'IC0503');
    assert.match(
      trapped.error?.message ?? '',
      /^Canister called `ic0\.trap` with message: 'assertion failed at .*'\.\n/,
    );
    assert.deepEqual(await get(canister), [2n, 2n]);
    assert.equal((await canister.query({ kind: 'query', method: 'get', arg: Uint8Array.of(1) })).error?.code, 'IC0503');
    assert.deepEqual(await get(canister), [2n, 2n]);

    await upgrade(canister, wasm, persistence);
    assert.deepEqual(await get(canister), [2n, 0n]);
    assert.equal(nat(await canister.update('increment', NO_ARGUMENT)), 3n);

    // A sandbox that has never seen the canister continues from what was committed.
    const elsewhere = new TestCanister(testSandbox());
    Object.assign(elsewhere, { heap: canister.heap, stable: canister.stable, wasmState: canister.wasmState });
    elsewhere.module = elsewhere.sandbox.prepare(wasm);
    assert.deepEqual(await get(elsewhere), [3n, 1n]);
    assert.equal(nat(await elsewhere.update('increment', NO_ARGUMENT)), 4n);
    await upgrade(elsewhere, wasm, persistence);
    assert.deepEqual(await get(elsewhere), [4n, 0n]);
  });

  test(`a Motoko actor, ${persistence} persistence: slices change neither state nor instructions`, async () => {
    const wasm = await motokoProgram('counter', persistence);
    const outcomes = [];
    for (const slice of [20_000n, 1_000_000_000n]) {
      const canister = new TestCanister(testSandbox());
      const installed = await canister.install(wasm, { arg: NO_ARGUMENT, slice });
      const updated = await canister.update('increment', NO_ARGUMENT, {}, slice);
      assert.equal(nat(updated), 1n);
      outcomes.push({
        instructions: [installed.instructions, updated.instructions],
        dirty: [installed.dirtyHeapPages, updated.dirtyHeapPages],
        heap: canister.heap.snapshot(),
        wasmState: canister.wasmState,
      });
    }
    assert.deepEqual(outcomes[0], outcomes[1]);
  });
}

test('a Motoko timer: the global timer is set, the task calls the canister itself, the callback runs', async () => {
  const canister = new TestCanister(testSandbox());
  const wasm = await motokoProgram('timers', 'enhanced');
  assert.equal((await canister.install(wasm, { arg: NO_ARGUMENT })).error, undefined);
  const time = 1_700_000_000_000_000_000n;
  const set = await canister.update('once', new Uint8Array(IDL.encode([IDL.Nat], [5])), { time });
  assert.equal(set.timer, time + 5_000_000n);
  const fired = await canister.run({ kind: 'global_timer' }, { time: time + 6_000_000n });
  assert.equal(fired.error, undefined);
  assert.equal(fired.calls.length, 1);
  const [call] = fired.calls;
  assert.ok(call);
  assert.ok(call.callee.equals(canister.id));
  const ran = await canister.update(call.method, call.arg, { caller: canister.id, time: time + 7_000_000n });
  assert.equal(ran.error, undefined);
  const onReply: FunctionClosure = call.onReply;
  const done = await canister.run(
    { kind: 'reply_callback', callback: onReply, data: replyOf(ran), composite: false },
    { time: time + 8_000_000n },
  );
  assert.equal(done.error, undefined);
});

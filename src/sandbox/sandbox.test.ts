import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_LIMITS } from '../model/index.ts';
import { OWN_STACK_BYTES } from '../wasm/index.ts';
import { HostFault, type PausedExecution, type Sandbox } from './contract.ts';
import { createSandbox } from './sandbox.ts';
import { canisterOf, environmentOf, replyOf, TestCanister, testSandbox, wasmOf } from './test-canister.ts';

const NOTHING = new Uint8Array(0);
const text = (result: Parameters<typeof replyOf>[0]): string => Buffer.from(replyOf(result)).toString();
const u32 = (bytes: Uint8Array, at = 0): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

/** Counts in a global and in the heap, echoes, traps in many ways. */
const COUNTER = canisterOf(`
  (global $count (mut i32) (i32.const 0))
  (func $bump
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))))
  (func (export "canister_init") (i32.store (i32.const 0) (i32.const 100)))
  (func (export "canister_update inc") (call $bump) (call $reply (i32.const 0) (i32.const 4)))
  (func (export "canister_update trap") (call $bump) unreachable)
  (func (export "canister_update grow_trap") (drop (memory.grow (i32.const 3)))
    (i32.store (i32.const 200000) (i32.const 7)) unreachable)
  (func (export "canister_update grow") (drop (memory.grow (i32.const 3)))
    (i32.store (i32.const 200000) (i32.const 7)) (call $reply (i32.const 0) (i32.const 0)))
  (func (export "canister_query get")
    (i32.store (i32.const 8) (global.get $count))
    (i32.store (i32.const 12) (memory.size))
    (i32.store (i32.const 4) (i32.load (i32.const 0)))
    (call $reply (i32.const 4) (i32.const 12)))
  (func (export "canister_query look") (call $bump) (call $reply (i32.const 0) (i32.const 4)))`);

async function stateOf(canister: TestCanister): Promise<readonly number[]> {
  const bytes = replyOf(await canister.query('get'));
  return [u32(bytes, 0), u32(bytes, 4), u32(bytes, 8)];
}

test('install, update, query', async () => {
  const canister = new TestCanister(testSandbox());
  const installed = await canister.install(COUNTER);
  assert.equal(installed.error, undefined);
  assert.deepEqual(await stateOf(canister), [100, 0, 1]);
  assert.equal(u32(replyOf(await canister.update('inc'))), 101);
  assert.equal(u32(replyOf(await canister.update('inc'))), 102);
  assert.deepEqual(await stateOf(canister), [102, 2, 1]);
  assert.equal(u32(canister.heap.read(0, 4)), 102);
});

test('a trap takes back heap, globals, size and stable memory', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(COUNTER);
  await canister.update('inc');
  const before = canister.heap.snapshot();
  for (const method of ['trap', 'grow_trap', 'trap']) {
    const { error } = await canister.update(method);
    assert.equal(error?.code, 'IC0502');
    assert.match(error?.message ?? '', /^Canister trapped: unreachable\.\nConsider gracefully handling failures/);
    assert.deepEqual(canister.heap.snapshot(), before);
    assert.deepEqual(await stateOf(canister), [101, 1, 1]);
  }
  assert.equal((await canister.update('grow')).heapWasmPages, 4);
  assert.deepEqual(await stateOf(canister), [101, 1, 4]);
});

test('a query leaves no trace', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(COUNTER);
  const before = canister.heap.snapshot();
  assert.equal(u32(replyOf(await canister.query('look'))), 101);
  assert.equal(u32(replyOf(await canister.query('look'))), 101);
  const asUpdate = await canister.run({ kind: 'replicated_query', method: 'look', arg: NOTHING });
  assert.equal(u32(replyOf(asUpdate)), 101);
  assert.deepEqual(asUpdate.dirtyHeapPages, []);
  assert.deepEqual(canister.heap.snapshot(), before);
  assert.deepEqual(await stateOf(canister), [100, 0, 1]);
});

test('another sandbox goes on from the committed state', async () => {
  const first = new TestCanister(testSandbox());
  await first.install(COUNTER);
  await first.update('inc');
  await first.update('grow');
  const second = new TestCanister(testSandbox());
  second.module = second.sandbox.prepare(wasmOf(COUNTER));
  second.heap = first.heap;
  second.stable = first.stable;
  second.wasmState = first.wasmState;
  assert.deepEqual(await stateOf(second), [101, 1, 4]);
  await second.update('inc');
  assert.deepEqual(await stateOf(second), [102, 2, 4]);
});

test('traps are named as the real replica names them', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(
    canisterOf(`
    (type $none (func)) (type $other (func (param i64)))
    (table 2 funcref) (elem (i32.const 0) $other)
    (func $other (param i64))
    (func $deep (param i64) (call $deep (i64.add (local.get 0) (i64.const 1))) (drop (i64.add (local.get 0) (i64.const 1))))
    (func (export "canister_update unreachable") unreachable)
    (func (export "canister_update divide") (drop (i32.div_u (i32.const 1) (i32.load (i32.const 0)))))
    (func (export "canister_update remainder") (drop (i64.rem_s (i64.const 1) (i64.load (i32.const 0)))))
    (func (export "canister_update overflow") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
    (func (export "canister_update convert") (drop (i32.trunc_f64_s (f64.const nan))))
    (func (export "canister_update load") (drop (i32.load (i32.const 65535))))
    (func (export "canister_update store") (i32.store (i32.const 65533) (i32.const 0)))
    (func (export "canister_update fill") (memory.fill (i32.const 65535) (i32.const 0) (i32.const 2)))
    (func (export "canister_update table") (call_indirect (type $none) (i32.const 9)))
    (func (export "canister_update null") (call_indirect (type $none) (i32.const 1)))
    (func (export "canister_update signature") (call_indirect (type $none) (i32.const 0)))
    (func (export "canister_update stack") (call $deep (i64.const 0)))
    (data (i32.const 16) "message")
    (func (export "canister_update trap") (call $trap (i32.const 16) (i32.const 7)))
    (func (export "canister_update trap_outside") (call $trap (i32.const 65530) (i32.const 7)))
    (func (export "canister_update loop") (loop $l (br $l)))`),
  );
  const failure = async (method: string): Promise<string> => {
    const { error } = await canister.update(method, NOTHING, { totalInstructions: 10_000_000n });
    return `${error?.code}: ${error?.message.split('\n')[0]}`;
  };
  assert.deepEqual(
    {
      unreachable: await failure('unreachable'),
      divide: await failure('divide'),
      remainder: await failure('remainder'),
      overflow: await failure('overflow'),
      convert: await failure('convert'),
      load: await failure('load'),
      store: await failure('store'),
      fill: await failure('fill'),
      table: await failure('table'),
      signature: await failure('signature'),
      stack: await failure('stack'),
      trap: await failure('trap'),
      trapOutside: await failure('trap_outside'),
      loop: await failure('loop'),
      method: await failure('absent'),
    },
    {
      unreachable: 'IC0502: Canister trapped: unreachable.',
      divide: 'IC0502: Canister trapped: integer division by 0.',
      remainder: 'IC0502: Canister trapped: integer division by 0.',
      overflow: 'IC0502: Canister trapped: unknown.',
      convert: 'IC0502: Canister trapped: unknown.',
      load: 'IC0502: Canister trapped: heap out of bounds.',
      store: 'IC0502: Canister trapped: heap out of bounds.',
      fill: 'IC0502: Canister trapped: heap out of bounds.',
      table: 'IC0502: Canister trapped: table out of bounds.',
      signature: 'IC0504: Canister violated contract: function invocation does not match its signature.',
      stack: 'IC0502: Canister trapped: stack overflow.',
      trap: "IC0503: Canister called `ic0.trap` with message: 'message'.",
      trapOutside: "IC0503: Canister called `ic0.trap` with message: '(trap message out of memory bounds)'.",
      loop: 'IC0522: Canister exceeded the limit of 10000000 instructions for single message execution..',
      method: "IC0536: Canister has no update method 'absent'..",
    },
  );
  // V8 does not tell a null function from one of another type.
  assert.match(await failure('null'), /^IC050[24]: /);
});

/** Loops for as long as its argument says, then writes it to where the argument says. */
const WORKER = canisterOf(
  `
  (global $sum (mut i64) (i64.const 0))
  (func $work (param $rounds i32)
    (loop $more
      (global.set $sum (i64.add (global.get $sum) (i64.const 1)))
      (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
      (br_if $more (i32.gt_s (local.get $rounds) (i32.const 0)))))
  (func $at (result i32) (i32.load (i32.const 0)))
  (func (export "canister_update work")
    (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 16))
    ;; Half before the work, half after it.
    (i32.store8 (i32.load (i32.const 4)) (i32.load (i32.const 8)))
    (call $work (i32.load (i32.const 0)))
    (i32.store8 (i32.add (i32.load (i32.const 4)) (i32.const 5000)) (i32.load (i32.const 8)))
    (if (i32.load (i32.const 12)) (then unreachable))
    (i64.store (i32.const 0) (i64.const 0)) (i64.store (i32.const 8) (i64.const 0))
    (i64.store (i32.const 16) (global.get $sum))
    (call $reply (i32.const 16) (i32.const 8)))
  (func (export "canister_query look")
    (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 16))
    (call $work (i32.load (i32.const 0)))
    (i32.store (i32.const 40000) (i32.const -1))
    (call $reply (i32.load (i32.const 4)) (i32.const 1)))`,
  { pages: 2 },
);

function task(rounds: number, at: number, value: number, trap = false): Uint8Array {
  const arg = new Uint8Array(16);
  new DataView(arg.buffer).setUint32(0, rounds, true);
  new DataView(arg.buffer).setUint32(4, at, true);
  new DataView(arg.buffer).setUint32(8, value, true);
  new DataView(arg.buffer).setUint32(12, trap ? 1 : 0, true);
  return arg;
}

test('a message over its slice pauses and goes on; the slices change nothing', async () => {
  const whole = new TestCanister(testSandbox());
  await whole.install(WORKER);
  const expected = await whole.update('work', task(5_000, 8_192, 9));
  for (const slice of [1_000n, 7_777n, 30_000n, 1_000_000n]) {
    const sliced = new TestCanister(testSandbox());
    await sliced.install(WORKER);
    const result = await sliced.update('work', task(5_000, 8_192, 9), {}, slice);
    assert.equal(result.instructions, expected.instructions);
    assert.deepEqual(result.dirtyHeapPages, expected.dirtyHeapPages);
    assert.deepEqual(replyOf(result), replyOf(expected));
    assert.deepEqual(sliced.heap.snapshot(), whole.heap.snapshot());
    assert.deepEqual(sliced.wasmState, whole.wasmState);
  }
});

test('the total limit strikes at the same instruction whatever the slices are', async () => {
  const used = new Set<bigint>();
  for (const slice of [500n, 3_333n, 20_000n, 1_000_000n]) {
    const canister = new TestCanister(testSandbox());
    await canister.install(WORKER);
    const result = await canister.update('work', task(1_000_000, 8_192, 9), { totalInstructions: 20_000n }, slice);
    assert.equal(result.error?.code, 'IC0522');
    assert.match(result.error?.message ?? '', /^Canister exceeded the limit of 20000 instructions/);
    used.add(result.instructions);
    assert.deepEqual(canister.heap.snapshot().pages, []);
  }
  assert.equal(used.size, 1);
});

test('an aborted message leaves nothing behind', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(WORKER);
  await canister.update('work', task(1, 8_192, 1));
  const before = canister.heap.snapshot();
  const step = await canister.start({ kind: 'update', method: 'work', arg: task(100_000, 8_192, 2) }, {}, 10_000n);
  assert.ok(!step.done);
  await step.paused.abort();
  assert.deepEqual(canister.heap.snapshot(), before);
  await assert.rejects(() => step.paused.resume(1n), /once/);
  const result = await canister.update('work', task(1, 8_193, 3));
  assert.equal(replyOf(result)[0], 2);
  assert.deepEqual([...canister.heap.read(8_192, 2)], [1, 3]);
});

test('random interleavings of paused and short messages of several canisters lose no write', async () => {
  const operation = fc.record({
    canister: fc.nat(2),
    rounds: fc.oneof(fc.constant(1), fc.integer({ min: 500, max: 3_000 })),
    at: fc.integer({ min: 4_096, max: 60_000 }),
    value: fc.integer({ min: 1, max: 255 }),
    trap: fc.boolean(),
    abort: fc.integer({ min: 0, max: 9 }),
    query: fc.boolean(),
    slice: fc.integer({ min: 300, max: 9_000 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { minLength: 1, maxLength: 40 }),
      fc.infiniteStream(fc.nat(2)),
      async (operations, picks) => {
        const sandbox = testSandbox();
        const canisters = [1n, 2n, 3n].map((n) => new TestCanister(sandbox, n));
        const expected = canisters.map(() => new Uint8Array(131_072));
        for (const canister of canisters) await canister.install(WORKER);
        const running: ({ paused: PausedExecution; operation: (typeof operations)[number] } | undefined)[] = [];
        const settle = async (index: number, finish: boolean): Promise<void> => {
          const message = running[index];
          const canister = canisters[index];
          if (message === undefined || canister === undefined) return;
          const { operation: op } = message;
          do {
            if (op.abort === 0) {
              await message.paused.abort();
              running[index] = undefined;
              return;
            }
            const step = await message.paused.resume(BigInt(op.slice));
            if (!step.done) {
              message.paused = step.paused;
              continue;
            }
            running[index] = undefined;
            canister.apply(step.result);
            assert.equal(step.result.error?.code, op.trap ? 'IC0502' : undefined);
            if (!op.trap) expected[index]?.fill(op.value, op.at, op.at + 1).fill(op.value, op.at + 5000, op.at + 5001);
            return;
          } while (finish);
        };
        for (const op of operations) {
          const canister = canisters[op.canister];
          assert.ok(canister);
          if (op.query) {
            const seen = await canister.query(
              { kind: 'query', method: 'look', arg: task(op.rounds, op.at, 0) },
              {},
              BigInt(op.slice),
            );
            assert.equal(replyOf(seen)[0], expected[op.canister]?.[op.at]);
          }
          await settle(picks.next().value, false);
          await settle(op.canister, true);
          const step = await canister.start(
            { kind: 'update', method: 'work', arg: task(op.rounds, op.at, op.value, op.trap) },
            {},
            BigInt(op.slice),
          );
          if (!step.done) {
            running[op.canister] = { paused: step.paused, operation: op };
            continue;
          }
          canister.apply(step.result);
          assert.equal(step.result.error?.code, op.trap ? 'IC0502' : undefined);
          if (!op.trap) {
            expected[op.canister]?.fill(op.value, op.at, op.at + 1).fill(op.value, op.at + 5000, op.at + 5001);
          }
        }
        for (const index of running.keys()) await settle(index, true);
        for (const [index, canister] of canisters.entries()) {
          assert.deepEqual(canister.heap.read(4_096, 70_000), expected[index]?.subarray(4_096, 74_096));
          // What the live instance shows is what is committed.
          for (const { at } of operations) {
            const seen = await canister.query({ kind: 'query', method: 'look', arg: task(1, at, 0) });
            assert.equal(replyOf(seen)[0], expected[index]?.[at]);
          }
        }
      },
    ),
    { numRuns: 25 },
  );
});

test('messages that are started without waiting take turns', async () => {
  const sandbox = testSandbox();
  const canisters = [1n, 2n, 3n, 4n].map((n) => new TestCanister(sandbox, n));
  for (const canister of canisters) await canister.install(WORKER);
  const results = await Promise.all(
    canisters.map((canister, n) => canister.update('work', task(2_000 * (n + 1), 8_192, n + 1), {}, 1_000n)),
  );
  for (const [n, canister] of canisters.entries()) {
    assert.equal(results[n]?.error, undefined);
    assert.equal(canister.heap.read(8_192, 1)[0], n + 1);
    assert.equal(canister.heap.read(13_192, 1)[0], n + 1);
  }
});

test('a query sees the state at its opening although updates are committed meanwhile', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(WORKER);
  await canister.update('work', task(1, 8_192, 1));
  const look = { kind: 'query', method: 'look', arg: task(20_000, 8_192, 0) } as const;
  const session = canister.sandbox.openQuery(canister.image());
  const early = canister.sandbox.openQuery(canister.image());
  let step = await session.execute(look, environmentOf({ replicated: false }), 5_000n);
  assert.ok(!step.done);
  await canister.update('work', task(1, 8_192, 2));
  await canister.update('work', task(1, 40_000, 3));
  while (!step.done) step = await step.paused.resume(5_000n);
  assert.equal(replyOf(step.result)[0], 1);
  session.close();
  const late = await early.execute(
    { ...look, arg: task(1, 8_192, 0) },
    environmentOf({ replicated: false }),
    1_000_000n,
  );
  assert.ok(late.done);
  assert.equal(replyOf(late.result)[0], 1);
  early.close();
  assert.equal(replyOf(await canister.query({ ...look, arg: task(1, 8_192, 0) }))[0], 2);
  assert.deepEqual([...canister.heap.read(40_000, 1)], [3]);
});

test('a canister over its memory limits is refused as the real replica refuses', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(COUNTER);
  const limited = await canister.update('grow', NOTHING, { wasmMemoryLimitBytes: 131_072n });
  assert.equal(limited.error?.code, 'IC0539');
  assert.match(
    limited.error?.message ?? '',
    /Wasm memory limit of 131072 bytes\. The peak Wasm memory usage was 262144 bytes\./,
  );
  const full = await canister.update('grow', NOTHING, { growableBytes: 65_536n });
  assert.equal(full.error?.code, 'IC0507');
  const refusal = { code: 'IC0532', message: 'too dear' } as const;
  const dear = await canister.update('grow', NOTHING, {
    approve: (usage) => (usage.heapWasmPages > 1 ? refusal : undefined),
  });
  assert.deepEqual(dear.error, refusal);
  assert.deepEqual(await stateOf(canister), [100, 0, 1]);
});

test('the arguments of a message are not kept', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(
    canisterOf(`(func (export "canister_update echo")
      (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (call $msg_arg_data_size))
      (call $reply (i32.const 0) (call $msg_arg_data_size)))`),
  );
  assert.equal(text(await canister.update('echo', Buffer.from('hello'))), 'hello');
  assert.equal(text(await canister.update('echo', Buffer.from('x'))), 'x');
  assert.equal(text(await canister.update('echo')), '');
});

test('a trap names the functions on the stack, outside of replicated state', async () => {
  const canister = new TestCanister(testSandbox());
  const body = `
    (func $inner (if (i32.eqz (i32.load (i32.const 0))) (then unreachable)))
    (func $outer (call $inner))
    (func $explains (call $trap (i32.const 0) (i32.const 0)))
    (func (export "canister_update bad") (call $outer))
    (func $query (export "canister_query look") (call $outer))
    (func (export "canister_query explain") (call $explains))`;
  await canister.install(canisterOf(body));
  const replicated = await canister.update('bad');
  assert.deepEqual(replicated.backtrace?.slice(0, 2), ['inner', 'outer']);
  assert.doesNotMatch(replicated.error?.message ?? '', /Backtrace/);
  const query = await canister.query('look');
  assert.match(
    query.error?.message ?? '',
    /^Canister trapped: unreachable\nCanister Backtrace:\ninner\nouter\nquery\n\.\nConsider gracefully handling/,
  );
  assert.deepEqual((await canister.query('explain')).backtrace?.slice(0, 1), ['explains']);
  const nameless = new TestCanister(testSandbox());
  await nameless.install(wasmOf(canisterOf(body), { names: false }));
  assert.equal((await nameless.query('look')).backtrace, undefined);
});

test('tables are rolled back and committed like the rest', async () => {
  const canister = new TestCanister(testSandbox());
  const wat = canisterOf(`(type $f (func (result i32))) (table 4 8 funcref) (elem (i32.const 0) $one $two)
    (func $one (result i32) i32.const 1) (func $two (result i32) i32.const 2)
    (func $swap (table.set (i32.const 0) (table.get (i32.const 1))) (drop (table.grow (table.get (i32.const 1)) (i32.const 1))))
    (func (export "canister_update swap") (call $swap) (call $reply (i32.const 0) (i32.const 0)))
    (func (export "canister_update bad") (call $swap) unreachable)
    (func (export "canister_query get") (i32.store (i32.const 0) (call_indirect (type $f) (i32.const 0)))
      (i32.store (i32.const 4) (table.size)) (call $reply (i32.const 0) (i32.const 8)))`);
  await canister.install(wat);
  const state = async (of: TestCanister): Promise<number[]> => {
    const bytes = replyOf(await of.query('get'));
    return [u32(bytes), u32(bytes, 4)];
  };
  assert.equal((await canister.update('bad')).error?.code, 'IC0502');
  assert.deepEqual(await state(canister), [1, 4]);
  assert.equal((await canister.update('swap')).error, undefined);
  assert.deepEqual(await state(canister), [2, 5]);
  const other = new TestCanister(testSandbox());
  Object.assign(other, { heap: canister.heap, stable: canister.stable, wasmState: canister.wasmState });
  other.module = other.sandbox.prepare(wasmOf(wat));
  assert.deepEqual(await state(other), [2, 5]);
  assert.equal((await other.update('bad')).error?.code, 'IC0502');
  assert.deepEqual(await state(other), [2, 5]);
});

test('few live instances serve many canisters, and no heap shows a former tenant', async () => {
  const limits = { ...DEFAULT_LIMITS, stackBytes: OWN_STACK_BYTES };
  for (const sandbox of [
    createSandbox({ limits, liveInstances: 3 }),
    createSandbox({ limits, liveHeapBytes: 30_000 }),
  ]) {
    await fillAndSum(sandbox);
  }
});

async function fillAndSum(sandbox: Sandbox): Promise<void> {
  const wat = canisterOf(
    `(func (export "canister_update fill") (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 8))
       (memory.fill (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 9000))
       (i64.store (i32.const 0) (i64.const 0)))
     (func (export "canister_query sum") (local $i i32) (local $sum i32)
       (loop $next (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $i))))
         (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 65536))))
       (i32.store (i32.const 0) (local.get $sum)) (call $reply (i32.const 0) (i32.const 4)))`,
  );
  const canisters = Array.from({ length: 9 }, (_, n) => new TestCanister(sandbox, BigInt(n + 1)));
  for (const canister of canisters) await canister.install(wat);
  const sum = async (canister: TestCanister): Promise<number> => u32(replyOf(await canister.query('sum')));
  for (const round of [1, 2, 3]) {
    for (const [n, canister] of canisters.entries()) {
      assert.equal(await sum(canister), round === 1 ? 0 : 9_000 * (n + round - 1));
      const arg = new Uint8Array(Uint32Array.of(100 + 3_000 * n, n + round).buffer);
      assert.equal((await canister.update('fill', arg)).error, undefined);
    }
    sandbox.evict((canisters[round] as TestCanister).id);
  }
}

test('a failure of the host is no failure of the canister, and the sandbox survives it', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(
    canisterOf(`(global $g (mut i32) (i32.const 0))
      (func (export "canister_update call") (i32.store (i32.const 0) (i32.const 9)) (global.set $g (i32.const 9))
        (call $call_new (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (drop (call $call_perform)) (call $reply (i32.const 0) (i32.const 0)))
      (func (export "canister_query get") (i32.store (i32.const 4) (global.get $g)) (call $reply (i32.const 0) (i32.const 8)))`),
  );
  const broken = {
    queueCapacity: (): number => {
      throw new Error('the queues are gone');
    },
  };
  await assert.rejects(() => canister.update('call', NOTHING, broken), HostFault);
  const bytes = replyOf(await canister.query('get'));
  assert.deepEqual([u32(bytes), u32(bytes, 4)], [0, 0]);
  assert.equal((await canister.update('call')).calls.length, 1);
});

test('a canister runs one message at a time', async () => {
  const canister = new TestCanister(testSandbox());
  await canister.install(WORKER);
  const first = await canister.start({ kind: 'update', method: 'work', arg: task(50_000, 8_192, 1) }, {}, 5_000n);
  assert.ok(!first.done);
  await assert.rejects(() => canister.update('work', task(1, 8_192, 2)), /runs another message/);
  await first.paused.abort();
  assert.equal((await canister.update('work', task(1, 8_192, 2))).error, undefined);
});

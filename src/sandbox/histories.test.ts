import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_LIMITS, WASM_PAGE_BYTES } from '../model/index.ts';
import { OWN_STACK_BYTES } from '../wasm/index.ts';
import type { EntryPoint, PausedExecution, QuerySession } from './contract.ts';
import { createSandbox } from './sandbox.ts';
import { canisterOf, environmentOf, replyOf, TestCanister } from './test-canister.ts';

/**
 * Everything that can happen to canisters of one thread, in random order, against a model of plain arrays: messages that
 * change heap, size, globals and stable memory, that trap, pause, are aborted; queries that see the state at their
 * opening, that pause while updates commit, composite ones that see their own changes; evictions, and too few live
 * instances for all.
 */

/**
 * The argument: rounds to spin, heap address, value, stable address, heap pages to grow, trap at the end (all u32).
 * Heap page 0 is scratch space; the digest is over [64 KiB, end).
 */
const CANISTER = canisterOf(
  `
  (global $sum (mut i32) (i32.const 0))
  (func $spin (param $n i32)
    (loop $more (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $more (i32.gt_s (local.get $n) (i32.const 0)))))
  (func $arg (param $i i32) (result i32) (i32.load (i32.mul (local.get $i) (i32.const 4))))
  (func $change
    (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 24))
    (global.set $sum (i32.add (i32.mul (global.get $sum) (i32.const 31)) (call $arg (i32.const 2))))
    (if (call $arg (i32.const 4)) (then (drop (memory.grow (call $arg (i32.const 4))))))
    (i64.store (call $arg (i32.const 1)) (i64.extend_i32_u (call $arg (i32.const 2))))
    (call $spin (call $arg (i32.const 0)))
    (i64.store (i32.add (call $arg (i32.const 1)) (i32.const 4099)) (i64.extend_i32_u (call $arg (i32.const 2))))
    (call $stable64_write (i64.extend_i32_u (call $arg (i32.const 3))) (i64.const 8) (i64.const 4))
    (if (call $arg (i32.const 5)) (then unreachable))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 24)))
  (func $digest (param $spin i32) (local $i i32) (local $hash i32) (local $end i32)
    (local.set $end (i32.mul (memory.size) (i32.const 65536)))
    (local.set $i (i32.const 65536))
    (loop $next
      (local.set $hash (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.load (local.get $i))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $end))))
    (call $stable64_read (i64.const 1024) (i64.const 0) (i64.const 32768))
    (local.set $i (i32.const 1024))
    (loop $stable
      (local.set $hash (i32.add (i32.mul (local.get $hash) (i32.const 31)) (i32.load (local.get $i))))
      (br_if $stable (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 33792))))
    (call $spin (local.get $spin))
    (i32.store (i32.const 0) (local.get $hash)) (i32.store (i32.const 4) (global.get $sum))
    (i32.store (i32.const 8) (memory.size))
    (call $reply (i32.const 0) (i32.const 12)))
  (table funcref (elem $on_reply))
  (func $on_reply (param i32) (call $change) (call $digest (i32.const 1)))
  (func (export "canister_init") (drop (call $stable64_grow (i64.const 1))))
  (func (export "canister_update change") (call $change) (call $reply (i32.const 0) (i32.const 0)))
  (func (export "canister_query digest")
    (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 4)) (call $digest (i32.load (i32.const 0))))
  (func (export "canister_composite_query try") (call $change) (call $digest (i32.const 1)))`,
  { pages: 2 },
);

interface Change {
  readonly rounds: number;
  readonly at: number;
  readonly value: number;
  readonly stableAt: number;
  readonly grow: number;
  readonly trap: boolean;
}

class Model {
  heap: Uint8Array = new Uint8Array(2 * WASM_PAGE_BYTES);
  stable: Uint8Array = new Uint8Array(WASM_PAGE_BYTES);
  sum = 0;

  copy(): Model {
    const copy = new Model();
    copy.heap = this.heap.slice();
    copy.stable = this.stable.slice();
    copy.sum = this.sum;
    return copy;
  }

  apply(change: Change): void {
    if (change.trap) return;
    this.sum = (Math.imul(this.sum, 31) + change.value) | 0;
    const heap = new Uint8Array(this.heap.length + change.grow * WASM_PAGE_BYTES);
    heap.set(this.heap);
    const view = new DataView(heap.buffer);
    view.setBigUint64(change.at, BigInt(change.value), true);
    view.setBigUint64(change.at + 4099, BigInt(change.value), true);
    this.heap = heap;
    new DataView(this.stable.buffer).setUint32(change.stableAt, change.value, true);
  }

  digest(): number[] {
    let hash = 0;
    const heap = new DataView(this.heap.buffer);
    for (let i = 65_536; i < heap.byteLength; i += 4) hash = (Math.imul(hash, 31) + heap.getInt32(i, true)) | 0;
    const stable = new DataView(this.stable.buffer);
    for (let i = 0; i < 32_768; i += 4) hash = (Math.imul(hash, 31) + stable.getInt32(i, true)) | 0;
    return [hash, this.sum, this.heap.length / WASM_PAGE_BYTES];
  }
}

function argOf(change: Change): Uint8Array {
  const { rounds, at, value, stableAt, grow, trap } = change;
  return new Uint8Array(Uint32Array.of(rounds, at, value, stableAt, grow, trap ? 1 : 0).buffer);
}

function digestIn(reply: Uint8Array): number[] {
  const view = new DataView(reply.buffer, reply.byteOffset);
  return [view.getInt32(0, true), view.getInt32(4, true), view.getInt32(8, true)];
}

const change: fc.Arbitrary<Change> = fc.record({
  rounds: fc.oneof(fc.constant(1), fc.constant(1), fc.integer({ min: 300, max: 900 })),
  at: fc.oneof(fc.integer({ min: 65_536, max: 126_000 }), fc.constantFrom(69_628, 65_536, 122_876)),
  value: fc.integer({ min: 1, max: 0x7fff_ffff }),
  stableAt: fc.integer({ min: 0, max: 32_000 }),
  grow: fc.constantFrom(0, 0, 0, 0, 1),
  trap: fc.constantFrom(false, false, true),
});
const operation = fc.record({
  canister: fc.nat(3),
  kind: fc.constantFrom(
    'update',
    'update',
    'update',
    'resume',
    'resume',
    'abort',
    'look',
    'look',
    'open',
    'composite',
    'evict',
  ),
  change,
  second: change,
  slice: fc.constantFrom(400n, 1_500n, 1_000_000n),
  finish: fc.boolean(),
});
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

interface OpenView {
  readonly session: QuerySession;
  readonly model: Model;
  paused: PausedExecution | undefined;
}

class Subject {
  readonly canister: TestCanister;
  model: Model = new Model();
  running: { paused: PausedExecution; change: Change } | undefined;
  readonly views: OpenView[] = [];

  constructor(canister: TestCanister) {
    this.canister = canister;
  }

  async update(op: Operation): Promise<void> {
    await this.settle(op.slice, true);
    const step = await this.canister.start({ kind: 'update', method: 'change', arg: argOf(op.change) }, {}, op.slice);
    if (!step.done) {
      this.running = { paused: step.paused, change: op.change };
      return;
    }
    this.canister.apply(step.result);
    assert.equal(step.result.error?.code, op.change.trap ? 'IC0502' : undefined);
    this.model.apply(op.change);
  }

  /** Lets the paused message go on, by a slice or to its end. */
  async settle(slice: bigint, whole: boolean): Promise<void> {
    while (this.running !== undefined) {
      const { paused, change: pending } = this.running;
      this.running = undefined;
      const step = await paused.resume(slice);
      if (step.done) {
        this.canister.apply(step.result);
        assert.equal(step.result.error?.code, pending.trap ? 'IC0502' : undefined);
        this.model.apply(pending);
        return;
      }
      this.running = { paused: step.paused, change: pending };
      if (!whole) return;
    }
  }

  async abort(): Promise<void> {
    await this.running?.paused.abort();
    this.running = undefined;
  }

  open(): OpenView {
    const view: OpenView = {
      session: this.canister.sandbox.openQuery(this.canister.image()),
      model: this.model.copy(),
      paused: undefined,
    };
    this.views.push(view);
    return view;
  }

  /** Asks a view for its digest, which is that of the state at its opening. */
  async look(view: OpenView, slice: bigint, finish: boolean): Promise<void> {
    const entry: EntryPoint = { kind: 'query', method: 'digest', arg: new Uint8Array(Uint32Array.of(500).buffer) };
    let step =
      view.paused === undefined
        ? await view.session.execute(entry, environmentOf({ replicated: false }), slice * 100n)
        : await view.paused.resume(slice * 100n);
    while (!step.done && finish) step = await step.paused.resume(slice * 100n);
    view.paused = step.done ? undefined : step.paused;
    if (step.done) assert.deepEqual(digestIn(replyOf(step.result)), view.model.digest());
  }

  async close(view: OpenView): Promise<void> {
    if (view.paused !== undefined) await view.paused.abort();
    view.session.close();
    this.views.splice(this.views.indexOf(view), 1);
  }

  async composite(op: Operation): Promise<void> {
    const { session } = this.open();
    const view = this.views.pop();
    assert.ok(view);
    const environment = environmentOf({ replicated: false });
    const entries: [EntryPoint, Change][] = [
      [{ kind: 'composite_query', method: 'try', arg: argOf(op.change) }, op.change],
      [{ kind: 'reply_callback', callback: { fun: 0n, env: 0n }, data: argOf(op.second), composite: true }, op.second],
      [{ kind: 'reply_callback', callback: { fun: 0n, env: 0n }, data: argOf(op.change), composite: true }, op.change],
    ];
    for (const [entry, made] of entries) {
      let step = await session.execute(entry, environment, op.slice * 100n);
      while (!step.done) step = await step.paused.resume(op.slice * 100n);
      view.model.apply(made);
      if (made.trap) assert.equal(step.result.error?.code, 'IC0502');
      else assert.deepEqual(digestIn(replyOf(step.result)), view.model.digest());
      // An update in between changes the canister, not the view.
      if (op.finish) await this.update({ ...op, change: op.second });
    }
    session.close();
  }

  async check(): Promise<void> {
    assert.equal(this.canister.heap.wasmPages, this.model.heap.length / WASM_PAGE_BYTES);
    assert.deepEqual(
      this.canister.heap.read(WASM_PAGE_BYTES, this.model.heap.length - WASM_PAGE_BYTES),
      this.model.heap.subarray(WASM_PAGE_BYTES),
    );
    assert.deepEqual(this.canister.stable.read(0, 32_768), this.model.stable.subarray(0, 32_768));
    const view = this.open();
    await this.look(view, 1_000_000n, true);
    await this.close(view);
  }
}

test('random histories of several canisters on one thread agree with the model', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      async (operations, liveInstances) => {
        const sandbox = createSandbox({ limits: { ...DEFAULT_LIMITS, stackBytes: OWN_STACK_BYTES }, liveInstances });
        const subjects = [1n, 2n, 3n, 4n].map((n) => new Subject(new TestCanister(sandbox, n)));
        for (const { canister } of subjects) assert.equal((await canister.install(CANISTER)).error, undefined);
        for (const op of operations) {
          const subject = subjects[op.canister];
          assert.ok(subject);
          if (op.kind === 'update') await subject.update(op);
          else if (op.kind === 'resume') await subject.settle(op.slice, op.finish);
          else if (op.kind === 'abort') await subject.abort();
          else if (op.kind === 'open') subject.open();
          else if (op.kind === 'evict') sandbox.evict(subject.canister.id);
          else if (op.kind === 'composite') await subject.composite(op);
          else {
            const view = subject.views[0] ?? subject.open();
            await subject.look(view, op.slice, op.finish);
            if (op.finish) await subject.close(view);
          }
        }
        for (const subject of subjects) {
          await subject.settle(1_000_000n, true);
          for (const view of [...subject.views]) {
            await subject.look(view, 1_000_000n, true);
            await subject.close(view);
          }
          await subject.check();
        }
      },
    ),
    { numRuns: 30 },
  );
});

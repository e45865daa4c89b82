import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type CompiledModule,
  compile,
  createInstance,
  DirtyMap,
  type WasmFunction,
  type WasmInstance,
} from './index.ts';
import { wat } from './test-wat.ts';

const PAGE = 4096;

const module = (width: 'i32' | 'i64'): CompiledModule =>
  compile(
    wat(`(module (memory ${width === 'i64' ? 'i64' : ''} 8)
      (func (export "write") (param $at i32) (param $step i32) (param $count i32) (param $value i32)
        (loop
          (i32.store ${width === 'i64' ? '(i64.extend_i32_u (local.get $at))' : '(local.get $at)'} (local.get $value))
          (local.set $at (i32.and (i32.add (local.get $at) (local.get $step)) (i32.const 0x7fff0)))
          (br_if 0 (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))))`),
  );
const MODULES = { i32: module('i32'), i64: module('i64') };

/** A canister as a lane holds it: live heap, committed image, and the marks of its suspended message. */
class Canister {
  readonly heap: WebAssembly.Memory;
  readonly instance: WasmInstance;
  readonly committed: Uint8Array;
  marks: Uint32Array | undefined;
  #resume: (() => void) | undefined;
  running: Promise<unknown> | undefined;

  constructor(width: 'i32' | 'i64', map: DirtyMap, slice: bigint) {
    const size = width === 'i64' ? { initial: 8n, address: 'i64' } : { initial: 8 };
    this.heap = new WebAssembly.Memory(size as unknown as WebAssembly.MemoryDescriptor);
    this.committed = new Uint8Array(8 * 65_536);
    const { Suspending } = WebAssembly as unknown as { Suspending: new (host: () => Promise<void>) => object };
    const outOfInstructions = new Suspending(async () => {
      await new Promise<void>((resume) => {
        this.#resume = resume;
      });
      this.instance.instructions += slice;
    });
    this.instance = createInstance(MODULES[width], {
      heap: this.heap,
      map,
      imports: {},
      outOfInstructions,
      applyData: true,
    });
  }

  get suspended(): boolean {
    return this.#resume !== undefined;
  }

  /** Lets the suspended message go on; it runs in a later microtask. */
  resume(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }
}

/** After everything that can run now has run: suspended again, or done. */
const settle = async (): Promise<void> => {
  await new Promise((resolve) => setImmediate(resolve));
};

test('suspended and short messages of several canisters on one thread lose no write', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          canister: fc.nat(2),
          at: fc.nat(0x7fff0),
          step: fc.constantFrom(4, 16, 1000, 4096, 5000, 40_960),
          count: fc.integer({ min: 1, max: 150 }),
        }),
        { minLength: 1, maxLength: 30 },
      ),
      async (messages) => {
        const map = new DirtyMap();
        const slice = 500n;
        const canisters = (['i32', 'i64', 'i32'] as const).map((width) => new Canister(width, map, slice));
        let value = 1;
        const commitIfDone = async (canister: Canister, done: () => boolean): Promise<void> => {
          await settle();
          if (!done()) {
            assert.ok(canister.suspended);
            canister.marks = map.take();
          } else {
            const heap = new Uint8Array(canister.heap.buffer);
            for (const page of map.dirtyPages(heap, (at) => canister.committed.subarray(at * PAGE, (at + 1) * PAGE))) {
              canister.committed.set(heap.subarray(page * PAGE, (page + 1) * PAGE), page * PAGE);
            }
            map.clear();
            canister.running = undefined;
            assert.ok(Buffer.from(heap).equals(canister.committed), 'a write was lost');
          }
          assert.ok(map.isEmpty);
        };
        const finished = new Map<Canister, boolean>();
        const advance = async (canister: Canister): Promise<void> => {
          map.put(canister.marks ?? []);
          canister.marks = undefined;
          canister.resume();
          await commitIfDone(canister, () => finished.get(canister) === true);
        };
        for (const { canister: index, at, step, count } of messages) {
          const canister = canisters[index] as Canister;
          if (canister.running !== undefined) {
            await advance(canister);
            continue;
          }
          canister.instance.resetStack();
          canister.instance.instructions = slice;
          finished.set(canister, false);
          const write = canister.instance.promising(canister.instance.function('write') as WasmFunction);
          canister.running = write(at, step, count, value++).then(() => finished.set(canister, true));
          await commitIfDone(canister, () => finished.get(canister) === true);
        }
        // A suspended stack is always settled.
        for (const canister of canisters) while (canister.running !== undefined) await advance(canister);
      },
    ),
    { numRuns: 60 },
  );
});

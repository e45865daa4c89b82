/**
 * What a message costs in the sandbox, commit included, against the size of the heap.
 *
 *   node bench/sandbox/run.ts            prints a table
 *
 * Each figure is the quickest of many short rounds of 200 messages.
 */

import wabtFactory from 'wabt';
import { ANONYMOUS, canisterIdFromNumber, Principal } from '../../src/model/index.ts';
import type { CanisterImage, EntryPoint, ExecutionEnvironment, Sandbox, WasmState } from '../../src/sandbox/index.ts';
import { createSandbox } from '../../src/sandbox/index.ts';
import { PageMap } from '../../src/state/index.ts';

const wabt = await wabtFactory();
const NOTHING = new Uint8Array(0);
const SLICE = 10_000_000n;
const HEAPS_MIB = [1, 16, 64, 256, 1024];

function counter(memory64: boolean, wasmPages: number): Uint8Array {
  const p = memory64 ? 'i64' : 'i32';
  const text = `(module
    (import "ic0" "msg_reply_data_append" (func $append (param ${p} ${p})))
    (import "ic0" "msg_reply" (func $reply))
    (import "ic0" "msg_arg_data_size" (func $size (result ${p})))
    (import "ic0" "msg_arg_data_copy" (func $copy (param ${p} ${p} ${p})))
    (memory ${memory64 ? 'i64 ' : ''}${wasmPages})
    (global $count (mut i32) (i32.const 0))
    (func $bump (i32.store (${p}.const 8) (i32.add (i32.load (${p}.const 8)) (i32.const 1))))
    (func (export "canister_update bump") (call $bump))
    (func (export "canister_update global") (global.set $count (i32.add (global.get $count) (i32.const 1))))
    (func (export "canister_update reply") (call $bump) (call $append (${p}.const 8) (${p}.const 4)) (call $reply))
    (func (export "canister_update echo")
      (call $copy (${p}.const 16) (${p}.const 0) (call $size)) (call $append (${p}.const 16) (call $size)) (call $reply))
    (func (export "canister_update trap") (call $bump) unreachable)
    (func (export "canister_query look") (call $bump) (call $append (${p}.const 8) (${p}.const 4)) (call $reply)))`;
  const module = wabt.parseWat('counter.wat', text, { memory64: true });
  return new Uint8Array(module.toBinary({}).buffer);
}

const ENVIRONMENT: ExecutionEnvironment = {
  time: 1n,
  caller: ANONYMOUS,
  deadline: 0n,
  canisterStatus: 1,
  canisterVersion: 1n,
  controllers: [],
  subnetId: Principal.fromBytes(new Uint8Array(29)),
  subnetSize: 13,
  rootKey: new Uint8Array(133),
  environmentVariables: [],
  replicated: true,
  costSchedule: 'normal',
  balance: 1_000_000_000_000n,
  freezingThresholdCycles: 0n,
  cyclesAvailable: 0n,
  cyclesRefunded: 0n,
  responded: false,
  wasmMemoryLimitBytes: 0n,
  growableBytes: 1n << 40n,
  queueCapacity: () => 500,
  totalInstructions: 40_000_000_000n,
  callContextInstructions: 0n,
};

class Canister {
  readonly #sandbox: Sandbox;
  #image: CanisterImage;

  constructor(sandbox: Sandbox, wasm: Uint8Array) {
    this.#sandbox = sandbox;
    this.#image = {
      id: canisterIdFromNumber(1n),
      module: sandbox.prepare(wasm),
      heap: new PageMap(),
      stable: new PageMap(),
      wasmState: undefined,
      generation: 0,
    };
  }

  async run(entry: EntryPoint): Promise<void> {
    const step = await this.#sandbox.execute(this.#image, entry, ENVIRONMENT, SLICE);
    if (!step.done) throw new Error('paused');
    if (step.result.wasmState !== undefined) this.#state(step.result.wasmState);
  }

  #state(wasmState: WasmState): void {
    if (this.#image.wasmState !== wasmState) this.#image = { ...this.#image, wasmState };
  }

  async query(entry: EntryPoint): Promise<void> {
    const session = this.#sandbox.openQuery(this.#image);
    const step = await session.execute(entry, ENVIRONMENT, SLICE);
    if (!step.done || step.result.error !== undefined) throw new Error('no answer');
    session.close();
  }

  /** Puts something on every page, as a heap in use has it. */
  populate(mib: number): void {
    const page = new Uint8Array(4096).fill(1);
    for (let n = 1; n < mib * 256; n += 64) this.#image.heap.write(n, page, 0);
  }
}

/** Many short rounds and the quickest of them: a longer one is interrupted by whatever else the machine does. */
async function leastMicros(rounds: number, perRound: number, once: () => Promise<void>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const begin = process.hrtime.bigint();
    for (let n = 0; n < perRound; n++) await once();
    least = Math.min(least, Number(process.hrtime.bigint() - begin) / 1000 / perRound);
  }
  return least;
}

const CASES = ['bump', 'global', 'reply', 'echo', 'trap', 'query'] as const;
console.log(`| width | heap | ${CASES.map((name) => `${name} µs`).join(' | ')} |`);
console.log(`|---|---|${CASES.map(() => '---').join('|')}|`);
for (const memory64 of [false, true]) {
  for (const mib of HEAPS_MIB) {
    const canister = new Canister(createSandbox(), counter(memory64, mib * 16));
    await canister.run({ kind: 'install', hook: 'canister_init', arg: NOTHING, heapKept: false });
    const cells: string[] = [];
    for (const name of CASES) {
      const arg = new Uint8Array(20);
      const once = (): Promise<void> =>
        name === 'query'
          ? canister.query({ kind: 'query', method: 'look', arg })
          : canister.run({ kind: 'update', method: name, arg });
      await leastMicros(20, 500, once);
      cells.push((await leastMicros(100, 200, once)).toFixed(2));
    }
    console.log(`| ${memory64 ? 64 : 32} | ${mib} MiB | ${cells.join(' | ')} |`);
  }
}

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
import { motokoProgram } from '../../test/motoko-programs/index.ts';

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

  async run(entry: EntryPoint, slice: bigint = SLICE): Promise<void> {
    let step = await this.#sandbox.execute(this.#image, entry, ENVIRONMENT, slice);
    while (!step.done) step = await step.paused.resume(slice);
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

  /** The next message finds no live instance: the canister wakes from its page stores. */
  evict(): void {
    this.#sandbox.evict(this.#image.id);
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

/** Loops so that a slice of 100,000 instructions is used up ten times. */
const LONG = `(module (func (export "canister_update long") (local i64)
  (loop $l (br_if $l (i64.lt_u (local.tee 0 (i64.add (local.get 0) (i64.const 1))) (i64.const 150000))))))`;

const others: [string, number][] = [];
{
  const module = wabt.parseWat('long.wat', LONG);
  const canister = new Canister(createSandbox(), new Uint8Array(module.toBinary({}).buffer));
  const long: EntryPoint = { kind: 'update', method: 'long', arg: NOTHING };
  await canister.run({ kind: 'install', hook: 'canister_init', arg: NOTHING, heapKept: false });
  const whole = await leastMicros(20, 20, () => canister.run(long));
  const sliced = await leastMicros(20, 20, () => canister.run(long, 100_000n));
  others.push(['a message of about 1,000,000 instructions', whole]);
  others.push(['the same in slices of 100,000', sliced]);
}
for (const persistence of ['enhanced', 'classic'] as const) {
  const canister = new Canister(createSandbox(), await motokoProgram('counter', persistence));
  const arg = new Uint8Array(Buffer.from('DIDL\0\0', 'latin1'));
  await canister.run({ kind: 'install', hook: 'canister_init', arg, heapKept: false });
  const increment: EntryPoint = { kind: 'update', method: 'increment', arg };
  await leastMicros(20, 200, () => canister.run(increment));
  others.push([
    `Motoko, ${persistence} persistence: increment`,
    await leastMicros(50, 100, () => canister.run(increment)),
  ]);
  const query: EntryPoint = { kind: 'query', method: 'get', arg };
  others.push([`Motoko, ${persistence} persistence: query`, await leastMicros(50, 100, () => canister.query(query))]);
  const wake = async (): Promise<void> => {
    canister.evict();
    await canister.run(increment);
  };
  others.push([`Motoko, ${persistence} persistence: wake and increment`, await leastMicros(20, 5, wake)]);
}
console.log('\n| | µs |\n|---|---|');
for (const [what, micros] of others) console.log(`| ${what} | ${micros.toFixed(1)} |`);

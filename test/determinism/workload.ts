import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { IDL } from '@icp-sdk/core/candid';
import type { Principal } from '@icp-sdk/core/principal';
import { DEFAULT_LIMITS } from '../../src/model/index.ts';
import { SimulatedPlatform } from '../../src/platform/index.ts';
import { CallRejected, createNetwork, type InProcessNetwork } from '../../src/testing/index.ts';
import { assembled } from '../canisters/index.ts';
import { motokoProgram } from '../motoko-programs/index.ts';

/** What happened while a history was made: for tests to see that it was worth replaying. */
export interface Recorded {
  readonly stateDir: string;
  readonly stateHash: string;
  readonly replied: number;
  readonly rejected: ReadonlyMap<string, number>;
}

/** Operations of steps.wat. */
const Step = {
  fill: 0,
  grow: 1,
  stableGrow: 2,
  stableWrite: 3,
  trap: 4,
  long: 5,
  timer: 6,
  call: 7,
  copy: 8,
  stableRead: 9,
  floats: 10,
  table: 11,
  spares: 12,
  certify: 13,
  print: 14,
  counter: 15,
} as const;

/** Reproducible chance. */
export class Dice {
  readonly #entropy: SimulatedPlatform['entropy'];

  constructor(seed: number) {
    this.#entropy = new SimulatedPlatform(seed).entropy;
  }

  below(bound: number): number {
    return new DataView(this.#entropy.bytes(4).buffer).getUint32(0) % bound;
  }

  oneOf<T>(...choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0];
  }
}

/** Makes a history of random operations on real canisters, with a log that reaches back to the genesis. */
export async function record(seed: number, operations: number): Promise<Recorded> {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'perdure-determinism-'));
  const network = await createNetwork({
    stateDir,
    seed,
    startTime: new Date('2030-01-01T00:00:00Z'),
    certificates: false,
    limits: { checkpointRounds: 1e9, checkpointLogBytes: DEFAULT_LIMITS.checkpointLogBytes * 1000 },
  });
  const workload = new Workload(network, new Dice(seed));
  try {
    await workload.install();
    for (let operation = 0; operation < operations; operation++) await workload.operate();
    await workload.finish();
    const { stateHash } = network;
    return { stateDir, stateHash, replied: workload.replied, rejected: workload.rejected };
  } finally {
    await network.close();
  }
}

class Workload {
  replied = 0;
  readonly rejected: Map<string, number> = new Map();
  readonly #network: InProcessNetwork;
  readonly #dice: Dice;
  readonly #steppers: Principal[] = [];
  #stepsModule: Uint8Array = new Uint8Array();
  #motoko: { id: Principal; wasm: Uint8Array; calls: readonly (() => [string, Uint8Array])[] }[] = [];
  #pending: Promise<void>[] = [];

  constructor(network: InProcessNetwork, dice: Dice) {
    this.#network = network;
    this.#dice = dice;
  }

  async install(): Promise<void> {
    this.#stepsModule = await assembled('steps');
    for (let n = 0; n < 3; n++) this.#steppers.push(await this.#network.install(this.#stepsModule));
    const [counter, notes, timers, relay] = await Promise.all([
      motokoProgram('counter', 'enhanced'),
      motokoProgram('notes', 'classic'),
      motokoProgram('timers', 'enhanced'),
      motokoProgram('relay', 'enhanced'),
    ]);
    const none = IDL.encode([], []);
    const dice = this.#dice;
    const add = async (wasm: Uint8Array, calls: readonly (() => [string, Uint8Array])[]): Promise<Principal> => {
      const id = await this.#network.install(wasm);
      this.#motoko.push({ id, wasm, calls });
      return id;
    };
    const counting = await add(counter, [() => ['increment', none], () => ['trapAfterChange', none]]);
    await add(notes, [
      () => ['put', IDL.encode([IDL.Text, IDL.Text], [`${dice.below(50)}`, 'x'.repeat(dice.below(5000))])],
      () => ['fail', IDL.encode([IDL.Text], ['told to'])],
    ]);
    await add(timers, [
      () => ['once', IDL.encode([IDL.Nat], [dice.below(5000)])],
      () => ['every', IDL.encode([IDL.Nat], [500 + dice.below(5000)])],
      () => ['cancel', none],
    ]);
    await add(relay, [
      () => ['twice', IDL.encode([IDL.Principal], [counting])],
      () => ['caught', IDL.encode([IDL.Principal], [counting])],
      () => ['random', none],
      () => ['depth', IDL.encode([IDL.Nat], [dice.below(20)])],
    ]);
  }

  async operate(): Promise<void> {
    const dice = this.#dice;
    const kind = dice.below(20);
    if (kind < 11) this.#send(this.#stepper(), 'run', this.#steps(1 + dice.below(6)));
    else if (kind < 14) {
      const { id, calls } = this.#oneMotoko();
      const [method, arg] = (calls[dice.below(calls.length)] as () => [string, Uint8Array])();
      this.#send(id, method, arg);
    } else if (kind < 15) this.#follow(this.#network.query(this.#stepper(), 'look', this.#steps(3, false)));
    else if (kind < 16) await this.#network.advanceTime({ milliseconds: dice.below(dice.oneOf(100, 4000, 60_000)) });
    else if (kind < 17) {
      const { id, wasm } = this.#oneMotoko();
      this.#follow(this.#network.upgrade(id, wasm));
    } else if (kind < 18) {
      const change = dice.below(6) === 0 ? 'reinstall' : 'upgrade';
      this.#follow(this.#network[change](this.#stepper(), this.#stepsModule));
    } else if (kind < 19) await new Promise((resolve) => setImmediate(resolve));
    else await this.#settle();
  }

  async finish(): Promise<void> {
    await this.#network.advanceTime({ minutes: 1 });
    await this.#settle();
  }

  #stepper(): Principal {
    return this.#steppers[this.#dice.below(this.#steppers.length)] as Principal;
  }

  #oneMotoko(): { id: Principal; wasm: Uint8Array; calls: readonly (() => [string, Uint8Array])[] } {
    return this.#motoko[this.#dice.below(this.#motoko.length)] as never;
  }

  #send(id: Principal, method: string, arg: Uint8Array): void {
    this.#follow(this.#network.update(id, method, arg));
  }

  #follow(outcome: Promise<unknown>): void {
    const followed = outcome.then(
      () => {
        this.replied++;
      },
      (error: unknown) => {
        if (!(error instanceof CallRejected)) throw error;
        const code = error.errorCode ?? 'none';
        this.rejected.set(code, (this.rejected.get(code) ?? 0) + 1);
      },
    );
    followed.catch(() => {});
    this.#pending.push(followed);
  }

  /** Until every call is answered: some wait for time to pass. */
  async #settle(): Promise<void> {
    let waiting = true;
    const all = Promise.all(this.#pending).finally(() => {
      waiting = false;
    });
    while (waiting) {
      await this.#network.tick();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await all;
    this.#pending = [];
  }

  /** An argument for steps.wat. */
  #steps(count: number, replicated = true): Uint8Array {
    const dice = this.#dice;
    const peer = this.#stepper().toUint8Array();
    const bytes = new Uint8Array(16 + 8 * count);
    bytes[0] = peer.length;
    bytes.set(peer, 1);
    const view = new DataView(bytes.buffer);
    for (let at = 16, left = count; left > 0; at += 8, left--) {
      const operation = replicated
        ? dice.oneOf<number>(...(Object.values(Step) as [number, ...number[]]), Step.fill, Step.stableWrite, Step.call)
        : dice.oneOf<number>(Step.fill, Step.copy, Step.stableRead, Step.floats, Step.table);
      bytes[at] = operation;
      bytes[at + 1] =
        operation === Step.call ? dice.below(left) : operation === Step.grow ? dice.below(4) : dice.below(8);
      view.setUint16(at + 2, dice.below(dice.oneOf(16, 5000, 65_536)), true);
      // Some messages take a slice or more of ten million instructions.
      if (operation === Step.long) view.setUint32(at + 4, dice.below(dice.oneOf(100, 10_000, 2_500_000)), true);
      else if (operation === Step.timer) view.setUint32(at + 4, dice.below(5000), true);
      else if (operation === Step.call) view.setUint32(at + 4, dice.below(2), true);
      else view.setUint32(at + 4, dice.below(2 ** 32), true);
    }
    return bytes;
  }
}

import type { UserError } from '../model/index.ts';
import {
  type EntryPoint,
  type ExecutionEnvironment,
  type ExecutionResult,
  HostFault,
  type PausedExecution,
  type Step,
} from './contract.ts';
import { contextOf, type ExecutionContext, keepsChanges } from './execution-context.ts';
import { trappedLog, withBacktrace } from './execution-error.ts';
import type { Lane } from './lane.ts';
import type { CommittedImage, LiveInstance } from './live-instance.ts';

/** Where a message runs. */
export interface MessageHome {
  readonly lane: Lane;
  /** The instance for the message, equal to the committed image; asked again when that one was spoiled. */
  obtain(): LiveInstance;
  /** The committed image: read to roll back, written on commit. */
  image(): CommittedImage;
  /** The message is over: what becomes of the instance. */
  release(live: LiveInstance): void;
  /** Called right before the image is written, so that open views of it can detach. */
  beforeCommit(): void;
  /** Called after the image was written. */
  committed(live: LiveInstance, heapPages: readonly number[]): void;
}

/** What the promise of a slice waits for. */
interface Settlement {
  resolve(step: Step): void;
  reject(error: unknown): void;
}

/** What a suspended stack waits for. */
interface Gate {
  open(): void;
  abandon(error: Error): void;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Thrown into a suspended stack to unwind it: no handler of a canister can catch it, for the validator refuses them. */
class Abandoned extends Error {}

/**
 * One message on its way: it runs, is paused and resumed, and ends in a commit or a roll back.
 *
 *     run ──plain──▶ done                       the usual case: one synchronous call
 *       └── slice or native stack used up ─▶ rolled back, run again on a stack of its own ─▶ paused ⇄ resumed ─▶ done
 *
 * Whoever calls `run` has entered the lane; the message leaves it when its step is there.
 */
export class Message {
  readonly #home: MessageHome;
  readonly #entry: EntryPoint;
  readonly #context: ExecutionContext;
  readonly #environment: ExecutionEnvironment;
  readonly #keeps: boolean;
  #live: LiveInstance;
  #settlement: Settlement | undefined;
  #marks: Uint32Array | undefined;
  #gate: Gate | undefined;
  /** It needs a stack of its own, and will probably need one the next time. */
  #long = false;

  constructor(home: MessageHome, entry: EntryPoint, environment: ExecutionEnvironment, keeps?: boolean) {
    this.#home = home;
    this.#entry = entry;
    this.#context = contextOf(entry);
    this.#environment = environment;
    this.#keeps = keeps ?? keepsChanges(this.#context.bit);
    this.#live = home.obtain();
    this.#live.holder = this;
  }

  run(sliceInstructions: number): Step | Promise<Step> {
    const entry = this.#entry;
    const long = this.#live.module.longRunning;
    // The `(start)` of an installation cannot be undone on the same instance: it takes the other way at once.
    if (entry.kind === 'install') return this.#runSliced(sliceInstructions);
    const name = this.#name();
    if (!long.has(name)) {
      let result: ExecutionResult | undefined;
      try {
        result = this.#runPlain(sliceInstructions);
      } catch (error) {
        this.#giveUp();
        throw error;
      }
      if (result !== undefined) {
        this.#leave();
        return { done: true, result };
      }
      long.add(name);
    }
    return this.#runSliced(sliceInstructions);
  }

  // --- in one go ----------------------------------------------------------------------------------------------------

  /** The whole message as one call, or undefined when that needs more than a slice; then it is as if it had not begun. */
  #runPlain(sliceInstructions: number): ExecutionResult | undefined {
    const live = this.#live;
    this.#begin();
    live.beginSlices('plain', sliceInstructions);
    const invocation = live.entry(this.#entry);
    try {
      if (invocation !== undefined) {
        if ('code' in invocation) return this.#failed(invocation);
        live.runPlain(invocation);
      }
    } catch (thrown) {
      // The native stack was too short: the stacks that can be suspended are made as large as the limit needs.
      const again = live.outOfSlice || thrown instanceof RangeError;
      if (!again) return this.#failed(this.#failureOf(thrown), live.backtrace(thrown));
      this.#long = thrown instanceof RangeError;
      this.#rollBack();
      if (live.spoiled) {
        live.holder = undefined;
        this.#home.release(live);
        this.#live = this.#home.obtain();
        this.#live.holder = this;
      }
      return undefined;
    }
    return this.#succeeded();
  }

  /** Under which name the module remembers that a message was long. */
  #name(): string {
    return 'method' in this.#entry ? this.#entry.method : this.#entry.kind;
  }

  #begin(): void {
    const live = this.#live;
    live.api.begin(this.#entry, this.#context, this.#environment, live.heapMemory.wasmPages);
  }

  // --- in slices ----------------------------------------------------------------------------------------------------

  #runSliced(sliceInstructions: number): Promise<Step> {
    const live = this.#live;
    this.#begin();
    live.beginSlices('sliced', sliceInstructions);
    live.onPause = () => this.#pause();
    return new Promise((resolve, reject) => {
      this.#settlement = { resolve, reject };
      this.#drive().then(
        (result) => {
          if (!this.#long) this.#live.module.longRunning.delete(this.#name());
          this.#leave();
          this.#settlement?.resolve({ done: true, result });
        },
        (error: unknown) => {
          if (error instanceof Abandoned) this.#leave();
          else this.#giveUp();
          this.#settlement?.reject(error);
        },
      );
    });
  }

  /** From the first call to the result, however many slices that takes. Rejects when abandoned and on host faults. */
  async #drive(): Promise<ExecutionResult> {
    const live = this.#live;
    try {
      if (this.#entry.kind === 'install') {
        const start = live.start();
        if (start !== undefined) await live.runSliced(start);
        live.api.enterHook();
      }
      const invocation = live.entry(this.#entry);
      if (invocation !== undefined) {
        if ('code' in invocation) return this.#failed(invocation);
        await live.runSliced(invocation);
      }
    } catch (thrown) {
      if (thrown instanceof Abandoned) {
        this.#rollBack();
        throw thrown;
      }
      return this.#failed(this.#failureOf(thrown), live.backtrace(thrown));
    }
    return this.#succeeded();
  }

  /** A slice is used up: hands out the paused message and keeps the stack waiting. */
  #pause(): Promise<void> {
    const waiting = new Promise<void>((resolve, reject) => {
      this.#gate = { open: resolve, abandon: reject };
    });
    this.#long = true;
    this.#marks = this.#home.lane.map.take();
    const settlement = this.#settlement;
    this.#settlement = undefined;
    settlement?.resolve({ done: false, paused: this.#paused() });
    this.#home.lane.leave();
    return waiting;
  }

  #paused(): PausedExecution {
    let spent = false;
    const use = (): void => {
      if (spent) throw new Error('a paused message is resumed or aborted once');
      spent = true;
    };
    return {
      instructions: BigInt(this.#live.executed()),
      resume: async (sliceInstructions) => {
        use();
        await this.#enterAgain();
        return new Promise<Step>((resolve, reject) => {
          this.#settlement = { resolve, reject };
          this.#live.nextSlice(Number(sliceInstructions));
          this.#gate?.open();
        });
      },
      abort: async () => {
        use();
        await this.#enterAgain();
        await new Promise<void>((resolve, reject) => {
          this.#settlement = {
            resolve: () => reject(new HostFault('an abandoned message went on')),
            reject: (error) => (error instanceof Abandoned ? resolve() : reject(error)),
          };
          this.#gate?.abandon(new Abandoned());
        });
      },
    };
  }

  async #enterAgain(): Promise<void> {
    await this.#home.lane.enter();
    if (this.#marks !== undefined) this.#home.lane.map.put(this.#marks);
    this.#marks = undefined;
  }

  // --- ending -------------------------------------------------------------------------------------------------------

  /** Gives the instance and the lane back. */
  #leave(): void {
    this.#live.holder = undefined;
    this.#home.release(this.#live);
    this.#home.lane.leave();
  }

  /** The host failed: nothing is known of the instance any more. */
  #giveUp(): void {
    this.#live.spoiled = true;
    this.#live.untraced = true;
    this.#home.lane.map.clear();
    this.#leave();
  }

  #failureOf(thrown: unknown): UserError {
    const failure = this.#live.failureOf(thrown);
    if (failure !== undefined) return failure;
    throw new HostFault(`the host failed while canister ${this.#live.canisterId.toText()} ran`, { cause: thrown });
  }

  #succeeded(): ExecutionResult {
    const live = this.#live;
    const { api } = live;
    api.end();
    const executed = live.executed();
    const heapWasmPages = live.heapMemory.wasmPages;
    const stableWasmPages = live.stable.wasmPages;
    if (this.#keeps) {
      const refusal = this.#environment.approve?.({ heapWasmPages, stableWasmPages, balance: api.balance });
      if (refusal !== undefined) return this.#failed(refusal);
    }
    const changes = this.#keeps ? this.#commit() : this.#rollBack();
    const result: Writable<ExecutionResult> = {
      instructions: BigInt(executed),
      calls: api.calls,
      cyclesAccepted: api.cyclesAccepted,
      cyclesBurned: api.cyclesBurned,
      logs: api.logs,
      messageAccepted: api.messageAccepted,
      heapWasmPages,
      stableWasmPages,
      dirtyHeapPages: changes.heap,
      dirtyStablePages: changes.stable,
      peakHeapBytes: api.peakHeapBytes,
    };
    if (api.response !== undefined) result.response = api.response;
    if (api.timer !== undefined) result.timer = api.timer;
    if (api.certifiedData !== undefined) result.certifiedData = api.certifiedData;
    if (this.#keeps && live.committed !== undefined) result.wasmState = live.committed;
    return result;
  }

  #failed(failure: UserError, backtrace?: readonly string[]): ExecutionResult {
    const live = this.#live;
    const { api } = live;
    const executed = live.executed();
    this.#rollBack();
    const line = trappedLog(failure);
    if (line !== undefined) api.log(line);
    const shown = backtrace !== undefined && backtrace.length > 0;
    // What leaves the one node that runs a query need not be the same on another.
    const error = shown && !api.replicated ? withBacktrace(failure, backtrace) : failure;
    const image = this.#home.image();
    return {
      instructions: BigInt(executed),
      error,
      ...(shown ? { backtrace } : {}),
      calls: [],
      cyclesAccepted: 0n,
      cyclesBurned: 0n,
      logs: api.logs,
      messageAccepted: false,
      heapWasmPages: image.heap.wasmPages,
      stableWasmPages: image.stable.wasmPages,
      dirtyHeapPages: [],
      dirtyStablePages: [],
      peakHeapBytes: api.peakHeapBytes,
    };
  }

  #commit(): { heap: readonly number[]; stable: readonly number[] } {
    const live = this.#live;
    const image = this.#home.image();
    this.#home.beforeCommit();
    if (this.#entry.kind === 'install' && !this.#entry.heapKept) image.heap.resize(0);
    const { heapMemory } = live;
    const heap = this.#home.lane.map.takeDirtyPages(heapMemory.bytes, (page) => image.heap.view(page));
    if (heapMemory.wasmPages !== image.heap.wasmPages) image.heap.resize(heapMemory.wasmPages);
    const { bytes } = heapMemory;
    for (const page of heap) {
      image.heap.write(page, bytes, page * 4096);
      heapMemory.noteResident(page);
    }
    const stable = live.stable.commit();
    live.captureState();
    this.#home.committed(live, heap);
    return { heap, stable };
  }

  #rollBack(): { heap: readonly number[]; stable: readonly number[] } {
    const live = this.#live;
    const image = this.#home.image();
    const { heapMemory } = live;
    if (this.#entry.kind === 'install' || heapMemory.wasmPages !== image.heap.wasmPages) {
      live.spoiled = true;
      for (const page of this.#home.lane.map.takeDirtyPages(heapMemory.bytes, noPage)) heapMemory.noteResident(page);
    } else {
      for (const page of this.#home.lane.map.takeDirtyPages(heapMemory.bytes, (index) => image.heap.view(index))) {
        heapMemory.restore(page, image.heap);
        heapMemory.noteResident(page);
      }
      live.restoreState();
    }
    live.stable.discard();
    return NOTHING;
  }
}

const NOTHING: { heap: readonly number[]; stable: readonly number[] } = { heap: [], stable: [] };
const noPage = (): undefined => undefined;

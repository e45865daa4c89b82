import { type Limits, type PageStore, type Principal, type UserError, WASM_PAGE_BYTES } from '../model/index.ts';
import {
  createInstance,
  I32,
  I64,
  RESERVED_PREFIX,
  raiseTrap,
  trapFrames,
  trapKind,
  WasmError,
  type WasmInstance,
} from '../wasm/index.ts';
import type { EntryPoint, ExecutionEnvironment, FunctionClosure, WasmState } from './contract.ts';
import { badSignature, failureOfTrap, functionNotFound, methodNotFound, trapped } from './execution-error.ts';
import type { Heap, HeapPool } from './heap.ts';
import type { ImageView } from './image-view.ts';
import { InstructionCounter } from './instruction-counter.ts';
import type { Lane, Running } from './lane.ts';
import type { LoadedModule } from './module-cache.ts';
import { StableMemory } from './stable-memory.ts';
import { type Machine, SystemApi } from './system-api.ts';
import { systemImports } from './system-functions.ts';

/** The committed state of a canister that an instance is built from, written to and rolled back to. */
export interface CommittedImage {
  readonly heap: PageStore;
  readonly stable: PageStore;
  /** Absent while a module runs for the first time. */
  readonly wasmState: WasmState | undefined;
}

/** How a message is run: at once, or on a stack that can be suspended when a slice is used up. */
export type RunMode = 'plain' | 'sliced';

/** A function of the canister with its arguments. */
export interface Invocation {
  readonly target: (...values: unknown[]) => unknown;
  readonly values: readonly unknown[];
}

/**
 * A canister that is ready to run: instance, heap, System API. Between two messages it equals the committed image that
 * it belongs to. It is the machine that its System API acts on.
 */
export class LiveInstance implements Machine, Running {
  readonly canisterId: Principal;
  readonly module: LoadedModule;
  readonly generation: number;
  readonly heapMemory: Heap;
  readonly stable: StableMemory;
  readonly api: SystemApi;
  readonly memory64: boolean;
  readonly hasMemory: boolean;
  /** The stores that the heap and stable memory equal. */
  heapStore: PageStore;
  stableStore: PageStore;
  /** What the globals and tables are when no message runs. */
  committed: WasmState | undefined;
  /** Set while a message or a query session has it; such an instance is nobody else's. */
  holder: object | undefined;
  /** The view that has borrowed it or owns it. */
  view: ImageView | undefined;
  /** Its memory is not what is committed and cannot be made so: it must not run again. */
  spoiled = false;
  /** Which pages of its heap were written is not known: no other canister may get it. */
  untraced = false;
  /** For the choice of which to let go. */
  lastUsed = 0;
  /** A message was stopped in plain mode because its slice was used up. */
  outOfSlice = false;
  /** What happens when a slice is used up in sliced mode. */
  onPause: (() => Promise<void>) | undefined;
  readonly #instance: WasmInstance;
  readonly #counter: InstructionCounter;
  readonly #lane: Lane;
  /** Update methods that were called before: names make slow keys. */
  readonly #updates: Map<string, Invocation> = new Map();
  #mode: RunMode = 'plain';
  #executedBefore = 0;
  #sliceLimit = 0;

  constructor(options: {
    readonly canisterId: Principal;
    readonly module: LoadedModule;
    readonly generation: number;
    readonly limits: Limits;
    readonly lane: Lane;
    readonly pool: HeapPool;
    readonly image: CommittedImage;
    readonly environment: ExecutionEnvironment;
    /** True when the module's active data segments are to be written: its first run on an empty heap. */
    readonly applyData: boolean;
  }) {
    const { module, image, lane } = options;
    const { compiled } = module;
    this.canisterId = options.canisterId;
    this.module = module;
    this.generation = options.generation;
    this.#lane = lane;
    this.memory64 = module.memory64;
    this.hasMemory = compiled.hasHeap;
    const pages = Math.max(image.heap.wasmPages, Number(compiled.heapPages.minimum));
    this.heapMemory = options.pool.take(module.memory64, pages);
    this.heapMemory.fill(image.heap);
    this.stable = new StableMemory(image.stable);
    this.heapStore = image.heap;
    this.stableStore = image.stable;
    this.api = new SystemApi({
      limits: options.limits,
      canisterId: options.canisterId,
      machine: this,
      stable: this.stable,
      environment: options.environment,
    });
    this.#instance = createInstance(compiled, {
      heap: this.heapMemory.memory,
      map: lane.map,
      imports: { ic0: systemImports(this.api, module.systemFunctions) },
      outOfInstructions: lane.outOfInstructions,
      growMemory: lane.growMemory,
      applyData: options.applyData,
    });
    this.#counter = new InstructionCounter(this.#instance.exports[`${RESERVED_PREFIX}counter`] as WebAssembly.Global);
    if (image.wasmState !== undefined) this.#instance.restore(image.wasmState);
    this.committed = image.wasmState;
  }

  // --- Machine ------------------------------------------------------------------------------------------------------

  get heap(): Uint8Array {
    return this.heapMemory.bytes;
  }

  get heapView(): DataView {
    return this.heapMemory.view;
  }

  markHeap(offset: number, length: number): void {
    this.#lane.map.mark(offset, length);
  }

  charge(instructions: number): boolean {
    return this.#counter.charge(instructions) !== 0;
  }

  executed(): number {
    return this.#executedBefore + this.#sliceLimit - this.#counter.left();
  }

  trap(): never {
    return raiseTrap();
  }

  // --- running ------------------------------------------------------------------------------------------------------

  /** Sets the counter for the first slice of a message. */
  beginSlices(mode: RunMode, sliceInstructions: number): void {
    this.#mode = mode;
    this.#lane.running = this;
    this.#instance.resetStack();
    this.outOfSlice = false;
    this.#executedBefore = 0;
    this.#setSlice(sliceInstructions);
  }

  /** Sets the counter for the next slice; what the last one overran is taken into account. */
  nextSlice(sliceInstructions: number): void {
    this.#lane.running = this;
    this.#executedBefore = this.executed();
    this.#setSlice(sliceInstructions);
  }

  #setSlice(sliceInstructions: number): void {
    this.#sliceLimit = Math.max(0, Math.min(sliceInstructions, this.api.totalInstructions - this.#executedBefore));
    this.#counter.set(this.#sliceLimit);
  }

  /**
   * The canister found its counter below zero. The end of the total is the end of the message, at the same instruction
   * whatever the slices were; the end of a slice is a pause.
   */
  outOfInstructions(): Promise<void> {
    this.api.checkTotal();
    if (this.#mode === 'sliced' && this.onPause !== undefined) return this.onPause();
    this.outOfSlice = true;
    return this.trap();
  }

  /** False when the heap would exceed what memories of its width may have; other limits end the message. */
  growMemory(deltaPages: bigint, currentPages: bigint): boolean {
    const { limits } = this.api;
    const bytes = (currentPages + BigInt.asUintN(64, deltaPages)) * BigInt(WASM_PAGE_BYTES);
    if (bytes > (this.memory64 ? limits.wasm64MemoryBytes : limits.wasm32MemoryBytes)) return false;
    this.api.approveHeapGrowth(Number(currentPages), Number(deltaPages));
    return true;
  }

  /** Runs a function in one go. */
  runPlain({ target, values }: Invocation): void {
    // Most of what a trap costs is the walk over the stack.
    const frames = Error.stackTraceLimit;
    Error.stackTraceLimit = this.module.named ? BACKTRACE_FRAMES : 0;
    try {
      if (values.length === 0) target();
      else target(values[0]);
    } finally {
      Error.stackTraceLimit = frames;
    }
  }

  /** Runs a function on a stack of its own, on which it can be suspended. */
  runSliced({ target, values }: Invocation): Promise<unknown> {
    return this.#instance.promising(target)(...values);
  }

  /**
   * The failure behind what a call into the instance threw; undefined when it is none of the canister's making, but the
   * host's.
   */
  failureOf(thrown: unknown): UserError | undefined {
    if (this.api.error !== undefined) return this.api.error;
    if (!(thrown instanceof WebAssembly.RuntimeError)) return undefined;
    switch (this.#instance.stopReason) {
      case 'stack_overflow':
        return trapped('stack overflow');
      case 'growth_failed':
      case 'out_of_instructions':
        return undefined;
      case 'none':
        return failureOfTrap(trapKind(thrown));
    }
  }

  /** Names of the functions on the stack when it trapped, innermost first; undefined when the module names none. */
  backtrace(thrown: unknown): string[] | undefined {
    if (!this.module.named || !(thrown instanceof Error)) return undefined;
    const { compiled } = this.module;
    const frames = trapFrames(thrown);
    // A host function traps by a function of another module.
    if (this.api.error !== undefined) frames.shift();
    const own = frames.filter((index) => index < compiled.source.functions.length);
    return own.map((index) => compiled.functionName(index) ?? `unknown function at index ${index}`);
  }

  // --- functions ----------------------------------------------------------------------------------------------------

  /** The `(start)` function, if the module has one. */
  start(): Invocation | undefined {
    return invocation(this.#instance.start);
  }

  #exported(name: string): Invocation | undefined {
    return invocation(this.#instance.function(name));
  }

  /** The function that an entry point names; undefined where none is needed, an error where one is. */
  entry(entry: EntryPoint): Invocation | UserError | undefined {
    switch (entry.kind) {
      case 'update': {
        const known = this.#updates.get(entry.method);
        if (known !== undefined) return known;
        const found = this.#exported(`canister_update ${entry.method}`);
        if (found === undefined) return methodNotFound('update', entry.method);
        this.#updates.set(entry.method, found);
        return found;
      }
      case 'query':
      case 'replicated_query':
      case 'transform_query':
        return this.#exported(`canister_query ${entry.method}`) ?? methodNotFound('query', entry.method);
      case 'composite_query':
        return (
          this.#exported(`canister_composite_query ${entry.method}`) ?? methodNotFound('composite_query', entry.method)
        );
      case 'reply_callback':
      case 'reject_callback':
      case 'cleanup_callback':
        return this.#callback(entry.callback);
      case 'install':
        return this.#exported(entry.hook);
      case 'pre_upgrade':
        return this.#exported('canister_pre_upgrade');
      case 'heartbeat':
      case 'global_timer':
      case 'on_low_wasm_memory':
      case 'inspect_message':
        return this.#exported(`canister_${entry.kind}`) ?? methodNotFound('system', `canister_${entry.kind}`);
    }
  }

  /** A function of the table that takes the environment and nothing else. */
  #callback({ fun, env }: FunctionClosure): Invocation | UserError {
    const target = this.#instance.tableFunction(fun);
    if (target === undefined) return functionNotFound(fun);
    // Functions out of WebAssembly are named by their index.
    const { functions, types } = this.module.compiled.source;
    const type = types[functions[Number(target.name)] ?? -1];
    const [parameter] = type?.parameters ?? [];
    const fits =
      type?.parameters.length === 1 && parameter === (this.memory64 ? I64 : I32) && type.results.length === 0;
    if (!fits) return badSignature();
    return { target, values: [this.memory64 ? BigInt.asIntN(64, env) : Number(BigInt.asIntN(32, env))] };
  }

  // --- between messages ---------------------------------------------------------------------------------------------

  /** Remembers globals and tables as they are: they are committed. */
  captureState(): void {
    // The same object as before tells the replica that nothing changed.
    this.committed = this.#instance.capture(this.committed);
  }

  /** Globals and tables as they were committed; a table that has grown cannot be made smaller again. */
  restoreState(): void {
    if (this.committed === undefined) return;
    try {
      this.#instance.restore(this.committed);
    } catch (error) {
      if (!(error instanceof WasmError)) throw error;
      this.spoiled = true;
    }
  }
}

/** The real replica has no such bound; deeper stacks are those of a runaway recursion. */
const BACKTRACE_FRAMES = 50;
const NO_VALUES: readonly unknown[] = [];

function invocation(target: Invocation['target'] | undefined): Invocation | undefined {
  return target === undefined ? undefined : { target, values: NO_VALUES };
}

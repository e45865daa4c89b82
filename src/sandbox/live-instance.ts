import { type Limits, type PageStore, type Principal, type UserError, WASM_PAGE_BYTES } from '../model/index.ts';
import type { EntryPoint, ExecutionEnvironment, FunctionClosure, WasmState } from './contract.ts';
import { createInstance, type DirtyMap, type WasmInstance } from './engine.ts';
import { badSignature, functionNotFound, methodNotFound } from './execution-error.ts';
import type { Heap, HeapPool } from './heap.ts';
import type { ImageView } from './image-view.ts';
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

/** A function of the canister to be called: an export, or one out of its table. */
export interface Invocation {
  plain(): void;
  sliced(): Promise<unknown>;
}

/**
 * A canister that is ready to run: instance, heap, System API. Between two messages it equals the committed image that
 * it belongs to. It is the machine that its System API acts on.
 */
export class LiveInstance implements Machine {
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
  /** For the choice of which to let go. */
  lastUsed = 0;
  /** A message was stopped in plain mode because its slice was used up. */
  outOfSlice = false;
  /** What happens when a slice is used up in sliced mode. */
  onPause: () => Promise<void> = () => Promise.reject(new Error('no message runs'));
  readonly #instance: WasmInstance;
  readonly #map: DirtyMap;
  #mode: RunMode = 'plain';
  #executedBefore = 0;
  #sliceLimit = 0;

  constructor(options: {
    readonly canisterId: Principal;
    readonly module: LoadedModule;
    readonly generation: number;
    readonly limits: Limits;
    readonly map: DirtyMap;
    readonly pool: HeapPool;
    readonly image: CommittedImage;
    readonly environment: ExecutionEnvironment;
    /** True when the module's active data segments are to be written: its first run on an empty heap. */
    readonly applyData: boolean;
  }) {
    const { module, image, pool } = options;
    const { info } = module.compiled;
    this.canisterId = options.canisterId;
    this.module = module;
    this.generation = options.generation;
    this.#map = options.map;
    this.memory64 = module.memory64;
    this.hasMemory = info.memory !== undefined;
    const pages = Math.max(image.heap.wasmPages, info.memory?.minimum ?? 0);
    this.heapMemory = pool.take(module.memory64, pages);
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
    this.#instance = createInstance(module.compiled, {
      heap: this.heapMemory.memory,
      map: options.map,
      imports: { ic0: systemImports(this.api, module.systemFunctions) },
      outOfInstructions: () => this.#outOfInstructions(),
      growMemory: (by, from) => this.#growMemory(Number(from), by),
      applyData: options.applyData,
    });
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
    this.#map.mark(offset, length);
  }

  charge(instructions: number): boolean {
    return this.#instance.charge(instructions);
  }

  executed(): number {
    return this.#executedBefore + this.#sliceLimit - this.#instance.instructions();
  }

  trap(): never {
    return this.#instance.trap();
  }

  // --- running ------------------------------------------------------------------------------------------------------

  /** Sets the counter for the first slice of a message. */
  beginSlices(mode: RunMode, sliceInstructions: number): void {
    this.#mode = mode;
    this.outOfSlice = false;
    this.#executedBefore = 0;
    this.#setSlice(sliceInstructions);
  }

  /** Sets the counter for the next slice; what the last one overran is taken into account. */
  nextSlice(sliceInstructions: number): void {
    this.#executedBefore = this.executed();
    this.#setSlice(sliceInstructions);
  }

  #setSlice(sliceInstructions: number): void {
    this.#sliceLimit = Math.max(0, Math.min(sliceInstructions, this.api.totalInstructions - this.#executedBefore));
    this.#instance.setInstructions(this.#sliceLimit);
  }

  /**
   * The canister found its counter below zero. The end of the total is the end of the message, at the same instruction
   * whatever the slices were; the end of a slice is a pause.
   */
  #outOfInstructions(): Promise<void> | undefined {
    this.api.checkTotal();
    if (this.#mode === 'sliced') return this.onPause();
    this.outOfSlice = true;
    return this.trap();
  }

  /** 1 when the heap may grow; 0 when it would exceed what memories of its width may have. */
  #growMemory(fromWasmPages: number, by: bigint): number {
    const { limits } = this.api;
    const bytes = (BigInt(fromWasmPages) + BigInt.asUintN(64, by)) * BigInt(WASM_PAGE_BYTES);
    if (bytes > (this.memory64 ? limits.wasm64MemoryBytes : limits.wasm32MemoryBytes)) return 0;
    this.api.approveHeapGrowth(fromWasmPages, Number(by));
    return 1;
  }

  /** The `(start)` function, if the module has one. */
  start(): Invocation | undefined {
    const { start } = this.#instance;
    return start === undefined ? undefined : invocation(start);
  }

  /** An export without parameters. */
  exported(name: string): Invocation | undefined {
    const found = this.#instance.exports[name];
    return typeof found === 'function' ? invocation(found as () => void) : undefined;
  }

  /** The function that an entry point names; undefined where none is needed, an error where one is. */
  entry(entry: EntryPoint): Invocation | UserError | undefined {
    switch (entry.kind) {
      case 'install':
        return this.exported(entry.hook);
      case 'pre_upgrade':
        return this.exported('canister_pre_upgrade');
      case 'update':
        return this.exported(`canister_update ${entry.method}`) ?? methodNotFound('update', entry.method);
      case 'query':
      case 'replicated_query':
      case 'transform_query':
        return this.exported(`canister_query ${entry.method}`) ?? methodNotFound('query', entry.method);
      case 'composite_query':
        return (
          this.exported(`canister_composite_query ${entry.method}`) ?? methodNotFound('composite_query', entry.method)
        );
      case 'reply_callback':
      case 'reject_callback':
      case 'cleanup_callback':
        return this.#callback(entry.callback);
      case 'heartbeat':
      case 'global_timer':
      case 'on_low_wasm_memory':
      case 'inspect_message': {
        const name = `canister_${entry.kind}`;
        return this.exported(name) ?? methodNotFound('system', name);
      }
    }
  }

  #callback(closure: FunctionClosure): Invocation | UserError {
    const found = this.#instance.tableFunction(closure.fun);
    if (found === 'absent') return functionNotFound(closure.fun);
    if (found === 'mismatch') return badSignature();
    const env = this.memory64 ? BigInt.asIntN(64, closure.env) : Number(BigInt.asIntN(32, closure.env));
    return { plain: () => found(env), sliced: () => promising(found)(env) };
  }

  // --- between messages ---------------------------------------------------------------------------------------------

  /** Remembers globals and tables as they are: they are committed. */
  captureState(): void {
    this.committed = this.#instance.capture();
  }

  /** True when the stack guard made the last trap. */
  get stackOverflowed(): boolean {
    return this.#instance.stackOverflowed();
  }

  /** Globals and tables as they were committed. */
  restoreState(): void {
    if (this.committed !== undefined) this.#instance.restore(this.committed);
  }
}

/** Wraps an export so that it can be suspended; the type declarations of the platform do not know it yet. */
const { promising } = WebAssembly as unknown as {
  promising<Arguments extends unknown[]>(f: (...rest: Arguments) => void): (...rest: Arguments) => Promise<unknown>;
};

function invocation(found: () => void): Invocation {
  return { plain: found, sliced: promising(found) };
}

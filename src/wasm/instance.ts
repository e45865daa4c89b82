import type { CompiledModule } from './compiled-module.ts';
import type { DirtyMap } from './dirty-map.ts';
import { MAP_SCRATCH } from './map-layout.ts';
import { HOST_MODULE, RESERVED_PREFIX, TRAP_REASON } from './rewriter.ts';
import { asWasmFunction } from './trap.ts';
import { I32, I64, isFunctionReference } from './value-type.ts';
import { WasmError } from './wasm-error.ts';

/** Everything of an instance outside its memories. Plain bytes; means something to the same module only. */
export interface InstanceState {
  /** 16 bytes for every mutable number, then 4 for every mutable reference (function index + 1, 0 for null). */
  readonly globals: Uint8Array;
  /** Every table that the code may change: 4 bytes for each element, as above. */
  readonly tables: readonly Uint8Array[];
  /** A byte for every segment that the code may drop. */
  readonly droppedSegments: Uint8Array;
}

/** Asked before the heap grows; what it grants must then succeed. Sizes in 64 KiB pages. */
export type GrowMemory = (deltaPages: bigint, currentPages: bigint) => boolean;

export interface InstanceOptions {
  /** The canister's heap, already as large and as full as it should be. Absent when the module has none. */
  readonly heap?: WebAssembly.Memory | undefined;
  readonly map: DirtyMap;
  readonly imports: WebAssembly.Imports;
  /** Called when the counter ran below zero: adds to it and returns, or returns as it is, which traps. */
  readonly outOfInstructions?: unknown;
  readonly growMemory?: GrowMemory | undefined;
  /** Writes the active data segments into the heap (a first install); they count as dropped either way. */
  readonly applyData: boolean;
}

export type WasmFunction = (...values: unknown[]) => unknown;

const hooks = new WeakMap<object, WebAssembly.ExportValue>();

function hookOf(host: object, parameters: readonly number[], results: readonly number[]): WebAssembly.ExportValue {
  let hook = hooks.get(host);
  if (hook === undefined) {
    hook = asWasmFunction(host, parameters, results);
    hooks.set(host, hook);
  }
  return hook;
}

/** Why the code stopped itself, besides what the trap says. */
export type StopReason = 'none' | 'stack_overflow' | 'out_of_instructions' | 'growth_failed';

const REASONS: ReadonlyMap<number, StopReason> = new Map([
  [TRAP_REASON.none, 'none'],
  [TRAP_REASON.stackOverflow, 'stack_overflow'],
  [TRAP_REASON.outOfInstructions, 'out_of_instructions'],
  [TRAP_REASON.growthFailed, 'growth_failed'],
]);

/** A live instance of a rewritten module, whichever way it has its memories. */
export class WasmInstance {
  readonly compiled: CompiledModule;
  readonly exports: WebAssembly.Exports;
  readonly #map: Uint8Array | undefined;
  readonly #counter: WebAssembly.Global | undefined;
  readonly #depth: WebAssembly.Global | undefined;
  readonly #reason: WebAssembly.Global;
  readonly #save: (() => void) | undefined;
  readonly #load: (() => void) | undefined;
  readonly #promising = new Map<unknown, (...values: unknown[]) => Promise<unknown>>();

  constructor(compiled: CompiledModule, instance: WebAssembly.Instance, map: WebAssembly.Memory | undefined) {
    this.compiled = compiled;
    this.exports = instance.exports;
    this.#map = map === undefined ? undefined : new Uint8Array(map.buffer);
    this.#counter = this.#added('counter') as WebAssembly.Global | undefined;
    this.#depth = this.#added('depth') as WebAssembly.Global | undefined;
    this.#reason = this.#added('reason') as WebAssembly.Global;
    this.#save = this.#added('save') as (() => void) | undefined;
    this.#load = this.#added('load') as (() => void) | undefined;
  }

  #added(name: string): WebAssembly.ExportValue | undefined {
    return this.exports[RESERVED_PREFIX + name];
  }

  /** An exported function, or undefined. */
  function(name: string): WasmFunction | undefined {
    const found = this.exports[name];
    return typeof found === 'function' ? (found as WasmFunction) : undefined;
  }

  /** The function at an index of table 0, undefined where there is none: callbacks. */
  tableFunction(index: bigint): WasmFunction | undefined {
    const table = this.#added('table:0') as WebAssembly.Table | undefined;
    const type = this.compiled.source.tables[0];
    if (table === undefined || type === undefined || !isFunctionReference(type.element)) return undefined;
    const size = BigInt(table.length);
    if (index < 0n || index >= size) return undefined;
    const key = (type.bounds.is64 ? index : Number(index)) as number;
    return (table.get(key) as WasmFunction | null) ?? undefined;
  }

  /** The same function on a stack of its own that host functions may suspend. */
  promising(wasmFunction: WasmFunction): (...values: unknown[]) => Promise<unknown> {
    let promising = this.#promising.get(wasmFunction);
    if (promising === undefined) {
      promising = promisingOf(wasmFunction);
      this.#promising.set(wasmFunction, promising);
    }
    return promising;
  }

  /** Instructions left; negative once exhausted. */
  get instructions(): bigint {
    return (this.#counter?.value as bigint | undefined) ?? 0n;
  }

  set instructions(left: bigint) {
    if (this.#counter !== undefined) this.#counter.value = left;
  }

  /** Before each message: a trap leaves the depth where it was. */
  resetStack(): void {
    if (this.#depth !== undefined) this.#depth.value = this.compiled.rewrite.stackBytes;
    this.#reason.value = TRAP_REASON.none;
  }

  get stopReason(): StopReason {
    return REASONS.get(this.#reason.value as number) ?? 'none';
  }

  /** The `(start)` function, for the host to run metered. Undefined when there is none, or when V8 ran it already. */
  get start(): WasmFunction | undefined {
    return this.#added('start') as WasmFunction | undefined;
  }

  // --- state ------------------------------------------------------------------------------------------------------------

  /**
   * @param previous an earlier state of this instance: returned as it is when nothing has changed since.
   * @throws WasmError `uncapturable` when a global or a table holds a reference that is not one of this module's functions.
   */
  capture(previous?: InstanceState): InstanceState {
    this.#assertCapturable();
    const { numericGlobals, referenceGlobals, writtenTables, dropFlags } = this.compiled.rewrite;
    const numbers = 16 * numericGlobals.length;
    if (numbers + dropFlags > 0) {
      // Narrow numbers leave the rest of their 16 bytes as they find it.
      (this.#map as Uint8Array).fill(0, MAP_SCRATCH, MAP_SCRATCH + numbers);
      this.#save?.();
    }
    const plain = referenceGlobals.length === 0 && writtenTables.length === 0;
    if (plain && previous !== undefined && this.#savedAs(previous, numbers)) return previous;
    const globals = new Uint8Array(numbers + 4 * referenceGlobals.length);
    let droppedSegments = new Uint8Array(dropFlags);
    if (numbers + dropFlags > 0) {
      const map = this.#map as Uint8Array;
      globals.set(map.subarray(MAP_SCRATCH, MAP_SCRATCH + numbers));
      droppedSegments = droppedSegments.map((_, i) => map[MAP_SCRATCH + numbers + 16 * i] as number);
    }
    const view = new DataView(globals.buffer);
    referenceGlobals.forEach((index, i) => {
      const global = this.#added(`global:${index}`) as WebAssembly.Global;
      view.setUint32(numbers + 4 * i, this.#indexOf(global.value), true);
    });
    const tables = writtenTables.map((index) => this.#captureTable(index));
    return { globals, tables, droppedSegments };
  }

  /** Whether the scratch space holds the numbers and flags of a state. */
  #savedAs({ globals, droppedSegments }: InstanceState, numbers: number): boolean {
    const map = this.#map as Uint8Array;
    for (let i = 0; i < numbers; i++) if (map[MAP_SCRATCH + i] !== globals[i]) return false;
    const flags = MAP_SCRATCH + numbers;
    for (let i = 0; i < droppedSegments.length; i++) if (map[flags + 16 * i] !== droppedSegments[i]) return false;
    return true;
  }

  /**
   * @throws WasmError `state_mismatch` when the state is not one of this module's, or this instance cannot go back to it:
   * a segment that is dropped, or a table that has grown, stays so.
   */
  restore(state: InstanceState): void {
    this.#assertCapturable();
    const { numericGlobals, referenceGlobals, writtenTables, dropFlags } = this.compiled.rewrite;
    const numbers = 16 * numericGlobals.length;
    if (
      state.globals.length !== numbers + 4 * referenceGlobals.length ||
      state.tables.length !== writtenTables.length ||
      state.droppedSegments.length !== dropFlags
    ) {
      throw new WasmError('state_mismatch', 'the state was captured from another module');
    }
    if (numbers + dropFlags > 0) {
      const map = this.#map as Uint8Array;
      if (dropFlags > 0) this.#assertNotDropped(state, numbers);
      map.set(state.globals.subarray(0, numbers), MAP_SCRATCH);
      for (let i = 0; i < dropFlags; i++) {
        map.fill(0, MAP_SCRATCH + numbers + 16 * i, MAP_SCRATCH + numbers + 16 * i + 4);
        map[MAP_SCRATCH + numbers + 16 * i] = state.droppedSegments[i] as number;
      }
      this.#load?.();
    }
    const { buffer, byteOffset, byteLength } = state.globals;
    const view = new DataView(buffer, byteOffset, byteLength);
    referenceGlobals.forEach((index, i) => {
      const global = this.#added(`global:${index}`) as WebAssembly.Global;
      global.value = this.#functionAt(view.getUint32(numbers + 4 * i, true));
    });
    writtenTables.forEach((index, i) => {
      this.#restoreTable(index, state.tables[i] as Uint8Array);
    });
  }

  #assertNotDropped({ droppedSegments }: InstanceState, numbers: number): void {
    this.#save?.();
    const flags = MAP_SCRATCH + numbers;
    for (let i = 0; i < droppedSegments.length; i++)
      if (droppedSegments[i] === 0 && (this.#map as Uint8Array)[flags + 16 * i] !== 0)
        throw new WasmError('state_mismatch', 'a segment of this instance is dropped already');
  }

  #assertCapturable(): void {
    if (!this.compiled.rewrite.captureState) {
      throw new WasmError('uncapturable', 'the module was rewritten without state capture');
    }
  }

  #captureTable(index: number): Uint8Array {
    const table = this.#added(`table:${index}`) as WebAssembly.Table;
    const is64 = this.compiled.source.tables[index]?.bounds.is64 === true;
    const length = Number(table.length);
    const bytes = new Uint8Array(4 * length);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < length; i++) {
      view.setUint32(4 * i, this.#indexOf(table.get((is64 ? BigInt(i) : i) as number)), true);
    }
    return bytes;
  }

  #restoreTable(index: number, bytes: Uint8Array): void {
    const table = this.#added(`table:${index}`) as WebAssembly.Table;
    const is64 = this.compiled.source.tables[index]?.bounds.is64 === true;
    const at = (i: number): number => (is64 ? BigInt(i) : i) as number;
    const length = bytes.length / 4;
    const present = Number(table.length);
    if (present > length) throw new WasmError('state_mismatch', 'a table of this instance has grown already');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const values = Array.from({ length }, (_, i) => this.#functionAt(view.getUint32(4 * i, true)));
    if (present < length) {
      // A table of non-null references grows by an element that it holds anyway.
      table.grow(at(length - present), values[present]);
    }
    for (let i = 0; i < length; i++) table.set(at(i), values[i]);
  }

  /** A function's index + 1; 0 for null. */
  #indexOf(value: unknown): number {
    if (value === null || value === undefined) return 0;
    if (typeof value === 'function') {
      const functions = this.#added('functions') as WebAssembly.Table;
      // V8, as the specification of the JavaScript interface asks, names a function by its index.
      const index = Number(value.name);
      if (index >= 0 && index < functions.length && functions.get(index) === value) return index + 1;
      for (let i = 0; i < functions.length; i++) if (functions.get(i) === value) return i + 1;
    }
    throw new WasmError('uncapturable', 'a global or table holds a reference to something outside the module');
  }

  #functionAt(index: number): unknown {
    if (index === 0) return null;
    return (this.#added('functions') as WebAssembly.Table).get(index - 1);
  }
}

/** `WebAssembly.promising`, which the type library does not know yet. */
export function promisingOf(wasmFunction: WasmFunction): (...values: unknown[]) => Promise<unknown> {
  const { promising } = WebAssembly as unknown as {
    promising: (wasmFunction: WasmFunction) => (...values: unknown[]) => Promise<unknown>;
  };
  return promising(wasmFunction);
}

/** Makes an instance on a heap of the host's. Neither `start` nor anything else of the module runs yet. */
export function createInstance(compiled: CompiledModule, options: InstanceOptions): WasmInstance {
  const { hasHeap, hasMap, memory } = compiled.rewrite;
  if (memory !== 'imported') throw new WasmError('state_mismatch', 'the module has its own memory');
  const host: Record<string, WebAssembly.ImportValue> = {};
  if (hasHeap) {
    if (options.heap === undefined) throw new WasmError('state_mismatch', 'the module needs a heap');
    host['heap'] = options.heap;
  }
  if (hasMap) host['map'] = options.map.memory;
  const raw = new WebAssembly.Instance(compiled.module, { ...options.imports, [HOST_MODULE]: host });
  const instance = new WasmInstance(compiled, raw, options.map.memory);
  attach(raw, 'outOfInstructions', options.outOfInstructions as object | undefined, [], []);
  const { growMemory } = options;
  attach(raw, 'growMemory', growMemory, [I64, I64], [I32]);
  (raw.exports[`${RESERVED_PREFIX}data`] as ((apply: number) => void) | undefined)?.(options.applyData ? 1 : 0);
  return instance;
}

function attach(
  instance: WebAssembly.Instance,
  name: string,
  host: object | undefined,
  parameters: readonly number[],
  results: readonly number[],
): void {
  const global = instance.exports[RESERVED_PREFIX + name] as WebAssembly.Global | undefined;
  if (global !== undefined && host !== undefined) global.value = hookOf(host, parameters, results);
}

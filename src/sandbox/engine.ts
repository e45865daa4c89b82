import { DirtyMap } from '../wasm/dirty-map.ts';
import { rewriteValid } from '../wasm/instrument.ts';
import { MAP_SCRATCH } from '../wasm/map-layout.ts';
import { HOST_MODULE, RESERVED_PREFIX, type RewriteResult } from '../wasm/rewriter.ts';
import type { WasmState } from './contract.ts';

export interface CompiledModule {
  readonly module: WebAssembly.Module;
  readonly rewritten: RewriteResult;
  readonly info: { readonly memory: { readonly minimum: number } | undefined };
}
export function compile(bytes: Uint8Array, _o: { memory: 'imported' }): CompiledModule {
  const rewritten = rewriteValid(bytes, { memory: 'imported', stackBytes: 400_000 });
  const memory = rewritten.module.memories[0];
  return {
    module: new WebAssembly.Module(rewritten.bytes as BufferSource),
    rewritten,
    info: { memory: memory === undefined ? undefined : { minimum: Number(memory.minimum) } },
  };
}
export { DirtyMap };
export interface WasmInstance {
  readonly exports: WebAssembly.Exports;
  readonly start: (() => void) | undefined;
  tableFunction(index: bigint): ((env: number | bigint) => void) | 'absent' | 'mismatch';
  instructions(): number;
  setInstructions(n: number): void;
  charge(n: number): boolean;
  trap(): never;
  stackOverflowed(): boolean;
  capture(): WasmState;
  restore(state: WasmState): void;
}
const bridge = (() => {
  const b: number[] = [];
  const s = (id: number, ...c: number[]): void => void b.push(id, c.length, ...c);
  const name = (t: string): number[] => [t.length, ...Buffer.from(t)];
  b.push(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  s(1, 2, 0x60, 0, 0, 0x60, 2, 0x7e, 0x7e, 1, 0x7f);
  s(2, 2, ...name('h'), ...name('o'), 0, 0, ...name('h'), ...name('g'), 0, 1);
  s(3, 1, 0);
  s(7, 3, ...name('o'), 0, 0, ...name('g'), 0, 1, ...name('t'), 0, 2);
  s(10, 1, 3, 0, 0, 0x0b);
  return new WebAssembly.Module(Uint8Array.from(b));
})();
export function createInstance(
  compiled: CompiledModule,
  o: {
    heap: WebAssembly.Memory;
    map: DirtyMap;
    imports: WebAssembly.Imports;
    outOfInstructions: () => Promise<void> | undefined;
    growMemory: (delta: bigint, size: bigint) => number;
    applyData: boolean;
  },
): WasmInstance {
  const { rewritten } = compiled;
  const host: Record<string, WebAssembly.ImportValue> = { heap: o.heap };
  if (rewritten.hasMap) host['map'] = o.map.memory;
  const instance = new WebAssembly.Instance(compiled.module, { ...o.imports, [HOST_MODULE]: host });
  const e = instance.exports;
  const Suspending = (WebAssembly as unknown as { Suspending: new (f: () => unknown) => WebAssembly.ImportValue })
    .Suspending;
  const hooks = new WebAssembly.Instance(bridge, {
    h: { o: new Suspending(o.outOfInstructions), g: o.growMemory },
  }).exports;
  const global = (n: string): WebAssembly.Global | undefined =>
    e[RESERVED_PREFIX + n] as WebAssembly.Global | undefined;
  const counter = global('counter') as WebAssembly.Global;
  const depth = global('depth');
  const reason = global('reason') as WebAssembly.Global;
  const out = global('outOfInstructions');
  if (out !== undefined) out.value = hooks['o'];
  const grow = global('growMemory');
  if (grow !== undefined) grow.value = hooks['g'];
  const fn = (n: string): ((...a: unknown[]) => unknown) | undefined =>
    e[RESERVED_PREFIX + n] as ((...a: unknown[]) => unknown) | undefined;
  fn('data')?.(o.applyData ? 1 : 0);
  const size = 16 * (rewritten.numericGlobals.length + rewritten.dropFlags);
  const table = e[`${RESERVED_PREFIX}table:0`] as WebAssembly.Table | undefined;
  return {
    exports: e,
    start: fn('start') as (() => void) | undefined,
    tableFunction(index) {
      if (table === undefined || index >= BigInt(table.length)) return 'absent';
      const type = (rewritten.module.tables[0]?.bounds.is64 ?? false) ? index : Number(index);
      const f = (table.get as (i: unknown) => unknown).call(table, type) as (() => void) | null;
      if (f === null) return 'absent';
      return f.length === 1 ? f : 'mismatch';
    },
    instructions: () => Number(counter.value),
    setInstructions: (n) => {
      counter.value = BigInt(n);
      reason.value = 0;
      if (depth !== undefined) depth.value = rewritten.stackBytes;
    },
    charge: (n) => {
      const left = (counter.value as bigint) - BigInt(Math.min(n, 2 ** 48));
      counter.value = left;
      return left < 0n;
    },
    trap: () => {
      (hooks['t'] as () => void)();
      throw new Error('no trap');
    },
    stackOverflowed: () => reason.value === 1,
    capture: () => {
      fn('save')?.();
      return {
        globals: new Uint8Array(o.map.memory.buffer).slice(MAP_SCRATCH, MAP_SCRATCH + size),
        tables: [],
        droppedSegments: new Uint8Array(0),
      };
    },
    restore: (state) => {
      new Uint8Array(o.map.memory.buffer).set(state.globals, MAP_SCRATCH);
      fn('load')?.();
    },
  };
}

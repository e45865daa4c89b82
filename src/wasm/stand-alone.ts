import { CompiledModule, compileRewritten } from './compiled-module.ts';
import { DirtyMap } from './dirty-map.ts';
import { type InstanceState, WasmInstance } from './instance.ts';
import { rewriteValid } from './instrument.ts';
import { OWN_INSTRUCTIONS, RESERVED_PREFIX, type RewriteOptions } from './rewriter.ts';
import { WasmError } from './wasm-error.ts';

const PAGE_BYTES = 4096;
/** Larger memories are not compared around host calls. */
const COMPARED_BYTES_MAX = 64 << 20;

/** An instance's state with its memory: non-zero 4 KiB pages by index. */
export interface State extends InstanceState {
  readonly memoryBytes: number;
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

/** A module running by itself on its own memory, with the passes' effects in view. */
export interface StandAlone {
  /** What the original module exports. */
  readonly exports: WebAssembly.Exports;
  /** Instructions executed since instantiation or the last `setBudget`. */
  instructions(): bigint;
  /** Allows this many instructions from now on and starts counting anew. */
  setBudget(instructions: bigint): void;
  /** 4 KiB pages of the memory with bytes changed since the last `clearDirty`, ascending; a few more may be among them. */
  dirtyPages(): number[];
  clearDirty(): void;
  /** For writes of the host's own between calls; those within a host function are found without it. */
  markDirty(address: number, length: number): void;
  /** Everything that a fresh instance needs to go on identically. */
  capture(): State;
  restore(state: State): void;
}

/**
 * Instruments, compiles and instantiates a module for use without a sandbox.
 * @throws WasmError as `instrument`; WebAssembly.LinkError and traps of the module's own as without us.
 */
export function instantiate(
  bytes: Uint8Array,
  imports: WebAssembly.Imports = {},
  options: RewriteOptions = {},
): StandAlone {
  const result = rewriteValid(bytes, { ...options, memory: 'own' });
  const compiled = new CompiledModule(result, compileRewritten(result));
  const host = new HostCalls();
  const raw = new WebAssembly.Instance(compiled.module, host.wrap(imports));
  return new OwnInstance(compiled, raw, host, options.initialInstructions ?? OWN_INSTRUCTIONS);
}

class OwnInstance implements StandAlone {
  readonly exports: WebAssembly.Exports;
  readonly #instance: WasmInstance;
  readonly #heap: WebAssembly.Memory | undefined;
  readonly #map: DirtyMap | undefined;
  /** Content of pages when marks were last cleared; absent ones were zero. */
  readonly #committed = new Map<number, Uint8Array>();
  #budget: bigint;

  constructor(compiled: CompiledModule, raw: WebAssembly.Instance, host: HostCalls, budget: bigint) {
    const added = (name: string): WebAssembly.ExportValue | undefined => raw.exports[RESERVED_PREFIX + name];
    const map = added('map') as WebAssembly.Memory | undefined;
    this.#instance = new WasmInstance(compiled, raw, map);
    this.#heap = added('heap') as WebAssembly.Memory | undefined;
    this.#map = compiled.rewrite.writeBarrier && map !== undefined ? new DirtyMap(map) : undefined;
    this.#budget = budget;
    this.exports = Object.freeze(
      Object.assign(
        Object.create(null),
        Object.fromEntries(Object.entries(raw.exports).filter(([name]) => !name.startsWith(RESERVED_PREFIX))),
      ),
    );
    const imported = compiled.source.importedMemories > 0;
    if (imported) this.#commitAll();
    (added('markData') as (() => void) | undefined)?.();
    host.attach(
      this.#heap,
      this.#map,
      added('level') as WebAssembly.Global | undefined,
      added('depth') as WebAssembly.Global | undefined,
    );
  }

  #bytes(): Uint8Array {
    return this.#heap === undefined ? new Uint8Array(0) : new Uint8Array(this.#heap.buffer);
  }

  instructions(): bigint {
    return this.#instance.compiled.rewrite.metering ? this.#budget - this.#instance.instructions : 0n;
  }

  setBudget(instructions: bigint): void {
    this.#budget = instructions;
    this.#instance.instructions = instructions;
  }

  dirtyPages(): number[] {
    return this.#map?.dirtyPages(this.#bytes(), (page) => this.#committed.get(page)) ?? [];
  }

  clearDirty(): void {
    const bytes = this.#bytes();
    for (const page of this.dirtyPages()) this.#commit(bytes, page);
    this.#map?.clear();
  }

  markDirty(address: number, length: number): void {
    this.#map?.mark(address, length);
  }

  #commit(bytes: Uint8Array, page: number): void {
    const content = bytes.slice(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    if (isZero(content)) this.#committed.delete(page);
    else this.#committed.set(page, content);
  }

  #commitAll(): void {
    const bytes = this.#bytes();
    for (let page = 0; page < bytes.length / PAGE_BYTES; page++) {
      if (!isZero(bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES))) this.#commit(bytes, page);
    }
  }

  capture(): State {
    const bytes = this.#bytes();
    const pages = new Map<number, Uint8Array>();
    for (let page = 0; page < bytes.length / PAGE_BYTES; page++) {
      const content = bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      if (!isZero(content)) pages.set(page, content.slice());
    }
    return { ...this.#instance.capture(), memoryBytes: bytes.length, pages };
  }

  restore(state: State): void {
    const present = this.#bytes().length;
    if (state.memoryBytes < present || (state.memoryBytes > present && this.#heap === undefined)) {
      throw new WasmError('state_mismatch', 'the memory of this instance is larger than the captured one');
    }
    if (state.memoryBytes > present) {
      const delta = (state.memoryBytes - present) / 65_536;
      const is64 = this.#instance.compiled.memory64;
      (this.#heap as WebAssembly.Memory).grow((is64 ? BigInt(delta) : delta) as number);
    }
    const bytes = this.#bytes();
    for (let page = 0; page < bytes.length / PAGE_BYTES; page++) {
      const at = bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      const content = state.pages.get(page);
      if (content === undefined ? isZero(at) : isEqual(at, content)) continue;
      if (content === undefined) at.fill(0);
      else at.set(content);
      this.#map?.mark(page * PAGE_BYTES, PAGE_BYTES);
    }
    this.#instance.restore(state);
  }
}

/** A page's bytes four at a time; pages are aligned. */
function words(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

function isZero(bytes: Uint8Array): boolean {
  const all = words(bytes);
  for (let i = 0; i < all.length; i++) if (all[i] !== 0) return false;
  return true;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  const one = words(a);
  const other = words(b);
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

/**
 * Wraps the host functions of a stand-alone module: JavaScript that writes into the memory passes no barrier, so the
 * memory is compared around each call; and one that throws must not leave the module believing that it is still there.
 */
class HostCalls {
  #heap: WebAssembly.Memory | undefined;
  #map: DirtyMap | undefined;
  #level: WebAssembly.Global | undefined;
  #depth: WebAssembly.Global | undefined;

  attach(
    heap: WebAssembly.Memory | undefined,
    map: DirtyMap | undefined,
    level: WebAssembly.Global | undefined,
    depth: WebAssembly.Global | undefined,
  ): void {
    this.#heap = heap;
    this.#map = map;
    this.#level = level;
    this.#depth = depth;
  }

  wrap(imports: WebAssembly.Imports): WebAssembly.Imports {
    const wrapped: Record<string, WebAssembly.ModuleImports> = {};
    for (const [module, members] of Object.entries(imports)) {
      if (typeof members !== 'object' || members === null) {
        wrapped[module] = members;
        continue;
      }
      const inner: WebAssembly.ModuleImports = {};
      for (const name of Object.getOwnPropertyNames(members)) {
        const member = (members as WebAssembly.ModuleImports)[name] as WebAssembly.ImportValue;
        inner[name] = typeof member === 'function' && !isWasmFunction(member) ? this.#call(member as Callable) : member;
      }
      wrapped[module] = inner;
    }
    return wrapped;
  }

  #call(host: Callable): Callable {
    return (...values) => {
      const before = this.#snapshot();
      const level = this.#level?.value as number | undefined;
      const depth = this.#depth?.value as number | undefined;
      let returned = false;
      try {
        const result = host(...values);
        returned = true;
        return result;
      } finally {
        // Calls into the module that trapped inside left both as they were; a throw ends the caller's frames as well.
        if (this.#level !== undefined && level !== undefined)
          this.#level.value = returned ? level : Math.max(0, level - 1);
        if (this.#depth !== undefined && returned) this.#depth.value = depth;
        if (before !== undefined) this.#compare(before);
      }
    };
  }

  #snapshot(): Uint8Array | undefined {
    if (this.#heap === undefined || this.#map === undefined) return undefined;
    const { buffer } = this.#heap;
    return buffer.byteLength > COMPARED_BYTES_MAX ? undefined : new Uint8Array(buffer.slice(0) as ArrayBuffer);
  }

  #compare(before: Uint8Array): void {
    const after = new Uint8Array((this.#heap as WebAssembly.Memory).buffer);
    for (let at = 0; at < after.length; at += PAGE_BYTES) {
      const page = after.subarray(at, at + PAGE_BYTES);
      if (at < before.length ? isEqual(page, before.subarray(at, at + PAGE_BYTES)) : isZero(page)) continue;
      this.#map?.mark(at, PAGE_BYTES);
    }
  }
}

type Callable = (...values: unknown[]) => unknown;

/** A function that another module exports: wrapped, it would lose its type. */
function isWasmFunction(value: unknown): boolean {
  return typeof value === 'function' && /^\d+$/.test(value.name) && /\[native code\]/.test(String(value));
}

import { rewriteValid } from './instrument.ts';
import { type FunctionType, readFunctionNames, type WasmModule } from './module.ts';
import type { RewriteOptions, RewriteResult } from './rewriter.ts';
import { WasmError } from './wasm-error.ts';

/** A rewritten module that V8 has accepted; makes any number of instances. */
export class CompiledModule {
  readonly module: WebAssembly.Module;
  readonly rewrite: RewriteResult;
  #names: Map<number, string> | undefined;

  constructor(rewrite: RewriteResult, module: WebAssembly.Module) {
    this.rewrite = rewrite;
    this.module = module;
  }

  /** The module as uploaded. */
  get source(): WasmModule {
    return this.rewrite.module;
  }

  get memory64(): boolean {
    return this.rewrite.module.memory64;
  }

  get hasHeap(): boolean {
    return this.rewrite.hasHeap;
  }

  get hasStart(): boolean {
    return this.rewrite.module.start !== undefined;
  }

  /** Heap size at instantiation in Wasm pages, and the declared maximum. */
  get heapPages(): { readonly minimum: bigint; readonly maximum: bigint | undefined } {
    const memory = this.rewrite.module.memories[0];
    return { minimum: memory?.minimum ?? 0n, maximum: memory?.maximum };
  }

  /** The type of an exported function, or undefined. */
  exportedFunction(name: string): FunctionType | undefined {
    const module = this.rewrite.module;
    const found = module.exports.find((item) => item.kind === 'function' && item.name === name);
    if (found === undefined) return undefined;
    return module.types[module.functions[found.index] as number];
  }

  /** Name of a function by the `name` section, else by its import or export; undefined when it has none. */
  functionName(index: number): string | undefined {
    if (this.#names === undefined) {
      const module = this.rewrite.module;
      const names = new Map<number, string>();
      let imported = 0;
      for (const item of module.imports) if (item.kind === 'function') names.set(imported++, item.name);
      for (const item of module.exports) if (item.kind === 'function') names.set(item.index, item.name);
      for (const [function_, name] of readFunctionNames(module)) names.set(function_, name);
      this.#names = names;
    }
    return this.#names.get(index);
  }
}

/**
 * Rewrites and compiles a module. With `memory: 'imported'`, the default here, its instances run on a heap and a page
 * map of the host's, and neither data segments nor `start` run by themselves.
 * @throws WasmError `malformed`, `invalid`, `unsupported_feature`, `limit`, `reserved_name`, `frame_too_large`.
 */
export function compile(bytes: Uint8Array, options: RewriteOptions = {}): CompiledModule {
  const result = rewriteValid(bytes, { memory: 'imported', ...options });
  return new CompiledModule(result, compileRewritten(result));
}

export function compileRewritten(result: RewriteResult): WebAssembly.Module {
  try {
    return new WebAssembly.Module(result.bytes as BufferSource);
  } catch (error) {
    // Valid before and invalid after: a bug of the rewriter's, or a bound of V8's that only the longer code exceeds.
    throw new WasmError('limit', `the rewritten module does not compile: ${(error as Error).message}`);
  }
}

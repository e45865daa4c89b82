import type { WasmModule } from './module.ts';
import { type RewriteOptions, type RewriteResult, rewrite } from './rewriter.ts';
import { WasmError } from './wasm-error.ts';

/**
 * Rewrites a module after V8 has found it valid, so that nothing invalid ever becomes valid.
 * @throws WasmError `malformed`, `invalid`, `unsupported_feature`, `limit`, `reserved_name`, `frame_too_large`.
 */
export function rewriteValid(bytes: Uint8Array, options: RewriteOptions = {}): RewriteResult {
  if (!WebAssembly.validate(bytes as BufferSource)) {
    // The reader words what is malformed or unsupported better; what it can read is merely invalid, or larger than V8
    // can make: then so is the result, which V8 will not compile either.
    let result: RewriteResult | undefined;
    try {
      result = rewrite(bytes, options);
    } catch (error) {
      if (error instanceof WasmError) throw error;
      // What no valid module holds: an index of nothing, an operand of the wrong type.
    }
    if (result !== undefined && isBeyondEngine(result.module)) return result;
    throw new WasmError('invalid', 'module is invalid');
  }
  return rewrite(bytes, options);
}

/** The rewritten bytes of a module; `memory: 'own'` unless the options say otherwise. */
export function instrument(bytes: Uint8Array, options: RewriteOptions = {}): Uint8Array {
  return rewriteValid(bytes, options).bytes;
}

/** What an instrumented stand-alone module needs besides its own imports: nothing, everything added is inside. */
export function extraImports(_options: RewriteOptions = {}): WebAssembly.Imports {
  return {};
}

/** V8's bounds on what a module may declare: 16 GiB of memory, 10 million table elements. */
const MEMORY_PAGES_MAX = 262_144n;
const TABLE_ELEMENTS_MAX = 10_000_000n;

function isBeyondEngine(module: WasmModule): boolean {
  return (
    module.memories.some(({ minimum, maximum, is64 }) => is64 && (maximum ?? minimum) > MEMORY_PAGES_MAX) ||
    module.tables.some(({ bounds }) => bounds.minimum > TABLE_ELEMENTS_MAX)
  );
}

import { type RewriteOptions, type RewriteResult, rewrite } from './rewriter.ts';
import { WasmError } from './wasm-error.ts';

/**
 * Rewrites a module after V8 has found it valid, so that nothing invalid ever becomes valid.
 * @throws WasmError `malformed`, `invalid`, `unsupported_feature`, `limit`, `reserved_name`, `frame_too_large`.
 */
export function rewriteValid(bytes: Uint8Array, options: RewriteOptions = {}): RewriteResult {
  if (!WebAssembly.validate(bytes as BufferSource)) {
    // The reader words what is malformed or unsupported better; what it can read is merely invalid.
    rewrite(bytes, options);
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

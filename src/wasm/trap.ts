import { ByteWriter } from './byte-writer.ts';

/** What stopped the code, independent of V8's wording. */
export type TrapKind =
  | 'unreachable'
  | 'heap_out_of_bounds'
  | 'division_by_zero'
  | 'integer_overflow'
  | 'bad_conversion_to_integer'
  | 'table_out_of_bounds'
  | 'bad_signature'
  | 'null_reference'
  | 'segment_out_of_bounds'
  | 'unknown';

const KINDS: readonly (readonly [RegExp, TrapKind])[] = [
  [/unreachable/, 'unreachable'],
  [/memory access|memory index/, 'heap_out_of_bounds'],
  [/by zero/, 'division_by_zero'],
  [/divide result unrepresentable/, 'integer_overflow'],
  [/float unrepresentable/, 'bad_conversion_to_integer'],
  [/table index|table access|table\.(grow|get|set)/, 'table_out_of_bounds'],
  [/signature mismatch/, 'bad_signature'],
  [/null pointer|null reference/, 'null_reference'],
  [/segment out of bounds/, 'segment_out_of_bounds'],
];

export function trapKind(error: WebAssembly.RuntimeError): TrapKind {
  return KINDS.find(([pattern]) => pattern.test(error.message))?.[1] ?? 'unknown';
}

/** Indices of the functions on the stack when it stopped, innermost first, as far as the host's trace goes. */
export function trapFrames(error: Error): number[] {
  return [...(error.stack ?? '').matchAll(/wasm-function\[(\d+)\]/g)].map((match) => Number(match[1]));
}

let trapper: (() => never) | undefined;

/** Executes a real `unreachable`: what a host function does that must not return to its caller. */
export function raiseTrap(): never {
  trapper ??= new WebAssembly.Instance(forwarder([], [])).exports['trap'] as () => never;
  return trapper();
}

const forwarders = new Map<string, WebAssembly.Module>();

/**
 * A host function as a Wasm function, which is what a global of function type takes. Works for
 * `WebAssembly.Suspending` too.
 */
export function asWasmFunction(
  host: unknown,
  parameters: readonly number[],
  results: readonly number[],
): WebAssembly.ExportValue {
  const key = `${parameters.join()}>${results.join()}`;
  let module = forwarders.get(key);
  if (module === undefined) {
    module = forwarder(parameters, results, true);
    forwarders.set(key, module);
  }
  const instance = new WebAssembly.Instance(module, { host: { call: host as WebAssembly.ImportValue } });
  return instance.exports['call'] as WebAssembly.ExportValue;
}

/** `trap` executes unreachable; or `call` is the imported function of that name. */
function forwarder(parameters: readonly number[], results: readonly number[], imports = false): WebAssembly.Module {
  const out = new ByteWriter(128);
  out.op(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  out.op(1, 4 + parameters.length + results.length, 1, 0x60);
  out.op(parameters.length, ...parameters, results.length, ...results);
  if (imports) {
    out.op(2, 13, 1);
    out.name('host');
    out.name('call');
    out.op(0, 0);
    out.op(7, 8, 1);
    out.name('call');
    out.op(0, 0);
  } else {
    out.op(3, 2, 1, 0, 7, 8, 1);
    out.name('trap');
    out.op(0, 0, 10, 5, 1, 3, 0, 0x00, 0x0b);
  }
  return new WebAssembly.Module(out.finish() as BufferSource);
}

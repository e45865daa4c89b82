/**
 * Wasm modules: read, rewrite, run.
 *
 * V8 compiles, we rewrite. `readModule` reads the whole binary format as far as canisters may use it. `instrument` and
 * `compile` rewrite a valid module once, appending and never renumbering, so that its instances
 *
 * - count instructions by the real network's weights, a basic block at a time, in a local that goes to a global around
 *   calls; at a function's entry, a loop's head and a bulk operation they stop, or ask the host, once the count is spent;
 * - mark the 4 KiB pages they write in a map in a second memory (`DirtyMap`); a store that crosses the edge of a page
 *   marks one of the two, the other is found when marks are collected, by comparing the bytes next to it;
 * - charge an upper bound of every frame in bytes against the stack limit, and trap there in every tier of V8's compilers;
 * - show canonical NaNs only, wherever bits of a NaN that arithmetic made could be seen; moved payloads stay;
 * - can be written down: mutable globals, tables that the code may change, dropped segments.
 *
 * Two ways to run. `compile` + `createInstance`: heap and map belong to the host, data segments and `start` wait for its
 * word, memory grows by its word. `instantiate` (and `instrument` with V8 alone): a module by itself, with its own memory.
 *
 * Limits: what the Internet Computer refuses is refused here (gc, exceptions, threads, relaxed SIMD, several memories).
 * The count of a message that trapped on a memory access in a loop is a lower bound: what the loop ran since its last
 * call is missing; every other trap finds it exact.
 * Heaps to 6 GiB. The host resets the stack before each message. Marks must not be cleared while a frame is alive.
 */
export { ByteReader } from './byte-reader.ts';
export { CompiledModule, compile } from './compiled-module.ts';
export { type CommittedPage, DirtyMap } from './dirty-map.ts';
export {
  createInstance,
  type GrowMemory,
  type InstanceOptions,
  type InstanceState,
  promisingOf,
  type StopReason,
  type WasmFunction,
  WasmInstance,
} from './instance.ts';
export { extraImports, instrument } from './instrument.ts';
export {
  type Bounds,
  type CustomSectionRange,
  type DataSegment,
  type ElementSegment,
  type Export,
  type FunctionBody,
  type FunctionType,
  type Global,
  type GlobalType,
  type Import,
  type MemoryType,
  type Range,
  readFunctionNames,
  readModule,
  type Section,
  type TableType,
  type WasmModule,
} from './module.ts';
export { instructionWeight } from './opcode.ts';
export { HOST_MODULE, OWN_STACK_BYTES, RESERVED_PREFIX, type RewriteOptions } from './rewriter.ts';
export { instantiate, type StandAlone, type State } from './stand-alone.ts';
export { raiseTrap, type TrapKind, trapFrames, trapKind } from './trap.ts';
export { v8Flags } from './v8-flags.ts';
export {
  CanisterModuleError,
  type CanisterModuleInfo,
  INSTRUCTIONS_TO_COMPILE_ONE,
  moduleTooLarge,
  notRewritable,
  undecodable,
  validateCanisterModule,
} from './validation.ts';
export { SYSTEM_API_32, SYSTEM_API_64, type SystemFunctionType } from './validation-imports.ts';
export * from './value-type.ts';
export { WasmError, type WasmErrorCode } from './wasm-error.ts';

/**
 * Reads, rewrites and runs Wasm modules.
 */
export { ByteReader } from './byte-reader.ts';
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
export {
  CanisterModuleError,
  type CanisterModuleInfo,
  INSTRUCTIONS_TO_COMPILE_ONE,
  moduleTooLarge,
  undecodable,
  validateCanisterModule,
} from './validation.ts';
export { SYSTEM_API_32, SYSTEM_API_64, type SystemFunctionType } from './validation-imports.ts';
export * from './value-type.ts';
export { WasmError, type WasmErrorCode } from './wasm-error.ts';
export { extraImports, instrument } from './instrument.ts';

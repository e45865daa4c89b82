import { ErrorCode, type Limits, type UserError } from '../model/index.ts';
import { ByteReader } from './byte-reader.ts';
import { type FunctionType, type Range, readFunctionNames, readModule, type WasmModule } from './module.ts';
import { censusOfCode } from './validation-code.ts';
import { SYSTEM_API_32, SYSTEM_API_64 } from './validation-imports.ts';
import { I32, I64, isFunctionReference, isReference, type ValueType, valueTypeName } from './value-type.ts';
import { WasmError } from './wasm-error.ts';

/** A module that may be installed, and what the replica wants to know of it. */
export interface CanisterModuleInfo {
  readonly module: WasmModule;
  readonly memory64: boolean;
  readonly updateMethods: ReadonlySet<string>;
  readonly queryMethods: ReadonlySet<string>;
  readonly compositeQueryMethods: ReadonlySet<string>;
  /** System entry points that it exports, e.g. `canister_init`. */
  readonly entryPoints: ReadonlySet<string>;
  /** `icp:public` and `icp:private` sections, in order. */
  readonly customSections: readonly {
    readonly name: string;
    readonly visibility: 'public' | 'private';
    readonly content: Uint8Array;
  }[];
  /** Instructions that compiling the module counts as: 6,000 for each of its own. */
  readonly compileInstructions: bigint;
}

/** The module cannot be a canister; code and text as the real replica gives them, without the canister's name. */
export class CanisterModuleError extends Error {
  readonly userError: UserError;

  constructor(reason: string, help: string = TOOLCHAIN_HELP) {
    // The real replica ends the reason with a full stop, whether it has one or not.
    const message = `Canister's Wasm module is not valid: ${reason}.\n${help}`;
    super(message);
    this.name = 'CanisterModuleError';
    this.userError = { code: ErrorCode.CanisterInvalidWasm, message };
  }
}

/** Bytes that are no module at all: wrong beginning, a bad gzip stream. */
export function undecodable(reason: string): CanisterModuleError {
  return new CanisterModuleError(`Failed to decode wasm module: ${reason}`);
}

/** More bytes than a module may have, after decompression. */
export function moduleTooLarge(size: number, allowed: number): CanisterModuleError {
  return new CanisterModuleError(
    `Wasm module size of ${size} exceeds the maximum allowed size of ${allowed}.`,
    help(
      'Try shrinking the module using tools like `ic-wasm` or splitting the logic across multiple canisters.',
      'wasm-module-too-large',
    ),
  );
}

/** A valid module that the rewriter cannot take: a frame larger than the stack, a name that it needs itself. */
export function notRewritable(error: WasmError): CanisterModuleError {
  return new CanisterModuleError(`Could not instrument wasm module of canister: ${error.message}`);
}

/** What compiling one Wasm instruction costs, in executed instructions. */
export const INSTRUCTIONS_TO_COMPILE_ONE = 6_000n;

/**
 * Checks a module (not compressed) against everything that the interface spec ("WebAssembly module requirements") and
 * the limits ask of a canister, and last of all against V8's own validator.
 * @throws CanisterModuleError IC0505 with the first rule that it breaks.
 */
export function validateCanisterModule(bytes: Uint8Array, limits: Limits): CanisterModuleInfo {
  if (bytes[0] !== 0x00 || bytes[1] !== 0x61 || bytes[2] !== 0x73 || bytes[3] !== 0x6d)
    throw undecodable('unsupported canister module format');
  if (bytes.length > limits.moduleBytes) throw moduleTooLarge(bytes.length, limits.moduleBytes);
  const module = read(bytes);
  checkSizes(module, limits);
  checkImports(module);
  const exported = readExports(module, limits);
  checkState(module, limits);
  const instructions = checkCode(module, limits);
  const customSections = readCustomSections(module, limits);
  if (!WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>)) throw invalid('the module does not validate');
  return {
    module,
    memory64: module.memory64,
    ...exported,
    customSections,
    compileInstructions: BigInt(instructions) * INSTRUCTIONS_TO_COMPILE_ONE,
  };
}

const TOOLCHAIN_HELP =
  'If you are running this canister in a test environment (e.g., dfx), make sure the test environment is up to date. ' +
  'Otherwise, this is likely an error with the compiler/CDK toolchain being used to build the canister. ' +
  'Please report the error to IC devs on the forum: https://forum.dfinity.org and include which language/CDK was used ' +
  'to create the canister.';

function help(suggestion: string, section: string): string {
  return `${suggestion} See documentation: http://internetcomputer.org/docs/current/references/execution-errors#${section}`;
}

function invalid(reason: string): CanisterModuleError {
  return new CanisterModuleError(
    `Wasmtime failed to validate wasm module wasmtime::Module::validate() failed with ${reason}`,
  );
}

function badSection(section: 'import' | 'export' | 'data' | 'global' | 'custom', reason: string): CanisterModuleError {
  return new CanisterModuleError(`Wasm module has an invalid ${section} section. ${reason}`);
}

function read(bytes: Uint8Array): WasmModule {
  try {
    return readModule(bytes);
  } catch (error) {
    if (error instanceof WasmError) throw invalid(error.message);
    throw error;
  }
}

const CODE_SECTION = 10;

function checkSizes(module: WasmModule, limits: Limits): void {
  const code = module.sections.find((section) => section.id === CODE_SECTION);
  const codeBytes = code === undefined ? 0 : code.end - code.start;
  if (codeBytes > limits.moduleCodeBytes)
    throw new CanisterModuleError(
      `Wasm module code section size of ${codeBytes} exceeds the maximum allowed size of ${limits.moduleCodeBytes}.`,
      help(
        'Try shrinking the module code section using tools like `ic-wasm` or splitting the logic across multiple canisters.',
        'wasm-module-code-section-too-large',
      ),
    );
  const functions = module.functions.length - module.importedFunctions;
  if (functions > limits.moduleFunctions)
    throw new CanisterModuleError(
      `Wasm module defined ${functions} functions which exceeds the maximum number allowed ${limits.moduleFunctions}.`,
      help('Try spliting this canister into multiple canisters.', 'wasm-module-too-many-functions'),
    );
  const globals = module.globals.length - module.importedGlobals;
  if (globals > limits.moduleGlobals)
    throw new CanisterModuleError(
      `Wasm module defined ${globals} globals which exceeds the maximum number allowed ${limits.moduleGlobals}.`,
      help(
        'Try collecting multiple globals into a single structured which can be stored on the heap.',
        'wasm-module-too-many-globals',
      ),
    );
}

function checkImports(module: WasmModule): void {
  const systemApi = module.memory64 ? SYSTEM_API_64 : SYSTEM_API_32;
  for (const entry of module.imports) {
    switch (entry.kind) {
      case 'function': {
        const expected = systemApi.get(entry.name);
        if (expected === undefined)
          throw badSection(
            'import',
            `Module imports function '${entry.name}' from '${entry.module}' that is not exported by the runtime.`,
          );
        if (entry.module !== 'ic0')
          throw badSection(
            'import',
            `Module imports function "${entry.name}" from "${entry.module}", expected to be imported from one of ["ic0"] instead.`,
          );
        const code = (name: 'i32' | 'i64'): ValueType => (name === 'i64' ? I64 : I32);
        checkSignature(entry.name, typeOf(module, entry.type), {
          parameters: expected.params.map(code),
          results: expected.results.map(code),
        });
        break;
      }
      case 'table':
        throw badSection('import', 'Only tables imported from env.table are allowed.');
      case 'memory':
        throw badSection('import', 'Only memory imported from env.memory is allowed.');
      case 'global':
        throw badSection('import', 'Importing globals is not allowed.');
    }
  }
}

const NO_TYPE: FunctionType = { parameters: [], results: [] };

function typeOf(module: WasmModule, index: number): FunctionType {
  return module.types[index] ?? NO_TYPE;
}

function checkSignature(name: string, actual: FunctionType, expected: FunctionType): void {
  const same = (a: readonly ValueType[], b: readonly ValueType[]): boolean =>
    a.length === b.length && a.every((type, index) => type === b[index]);
  const text = (types: readonly ValueType[]): string =>
    `[${types.map((type) => valueTypeName(type).replace(/^[a-z]/, (letter) => letter.toUpperCase())).join(', ')}]`;
  if (!same(actual.parameters, expected.parameters))
    throw new CanisterModuleError(
      `Wasm module has an invalid function signature. Expected input params ${text(expected.parameters)} for '${name}', got ${text(actual.parameters)}.`,
    );
  if (!same(actual.results, expected.results))
    throw new CanisterModuleError(
      `Wasm module has an invalid function signature. Expected return type ${text(expected.results)} for '${name}', got ${text(actual.results)}.`,
    );
}

const SYSTEM_ENTRY_POINTS: ReadonlySet<string> = new Set([
  'canister_init',
  'canister_pre_upgrade',
  'canister_post_upgrade',
  'canister_inspect_message',
  'canister_heartbeat',
  'canister_global_timer',
  'canister_on_low_wasm_memory',
]);

type Exported = Pick<CanisterModuleInfo, 'updateMethods' | 'queryMethods' | 'compositeQueryMethods' | 'entryPoints'>;

const METHODS = '`canister_update <name>`, `canister_query <name>`, or `canister_composite_query <name>`';

function readExports(module: WasmModule, limits: Limits): Exported {
  const methods = {
    canister_update: new Set<string>(),
    canister_query: new Set<string>(),
    canister_composite_query: new Set<string>(),
  };
  const entryPoints = new Set<string>();
  const seen = new Set<string>();
  let nameBytes = 0;
  for (const entry of module.exports) {
    if (entry.kind !== 'function' || !entry.name.startsWith('canister_')) continue;
    const space = entry.name.indexOf(' ');
    const prefix = entry.name.slice(0, Math.max(space, 0));
    if (prefix === 'canister_update' || prefix === 'canister_query' || prefix === 'canister_composite_query') {
      const name = entry.name.slice(space + 1);
      if (seen.has(name))
        throw new CanisterModuleError(
          `Duplicate function '${name}' exported multiple times with different call types: update, query, or composite_query.`,
          help(
            `Try defining different versions of the function for each call type, e.g. \`${name}_update\`, \`${name}_query\`, etc.`,
            'wasm-module-duplicate-exports',
          ),
        );
      seen.add(name);
      nameBytes += utf8Length(name);
      methods[prefix].add(name);
    } else if (SYSTEM_ENTRY_POINTS.has(entry.name)) entryPoints.add(entry.name);
    else throw badSection('export', `Exporting reserved function '${entry.name}' with "canister_" prefix`);
    checkSignature(entry.name, typeOf(module, module.functions[entry.index] ?? -1), NO_TYPE);
  }
  if (seen.size > limits.moduleExportedMethods)
    throw new CanisterModuleError(
      `The number of exported functions called ${METHODS} is ${seen.size} which exceeds ${limits.moduleExportedMethods}.`,
      help('Try combining multiple endpoints into a single endpoint.', 'wasm-module-exports-too-many-methods'),
    );
  if (nameBytes > limits.moduleExportedNamesBytes)
    throw new CanisterModuleError(
      `The sum of \`<name>\` lengths in exported functions called ${METHODS} is ${nameBytes} which exceeds the allowed limit of ${limits.moduleExportedNamesBytes}.`,
      help('Try using shorter method names.', 'wasm-module-sum-of-exported-name-lengths-too-large'),
    );
  return {
    updateMethods: methods.canister_update,
    queryMethods: methods.canister_query,
    compositeQueryMethods: methods.canister_composite_query,
    entryPoints,
  };
}

const WASM_PAGE = 65_536n;

/** Memory, tables, globals and data: what an instance is made of. */
function checkState(module: WasmModule, limits: Limits): void {
  if (module.data.length > limits.moduleDataSegments)
    throw badSection(
      'data',
      `The number of data segments ${module.data.length} exceeds the maximum number allowed ${limits.moduleDataSegments}.`,
    );
  const memoryBytes = (module.memories[0]?.minimum ?? 0n) * WASM_PAGE;
  for (const segment of module.data) {
    if (segment.offset === undefined) continue;
    const offset = singleConstant(module, segment.offset);
    // One constant and the end: an offset that needs no instance to be known.
    if (offset === undefined) throw badSection('data', 'Invalid offset expression in data segment');
    const length = segment.content.end - segment.content.start;
    if (offset + BigInt(length) > memoryBytes)
      throw new CanisterModuleError(
        `Could not instrument wasm module of canister: Wasm module has invalid data segment of ${length} bytes at ${offset}.`,
      );
  }
  for (const segment of module.elements) {
    if (segment.offset === undefined) continue;
    const offset = singleConstant(module, segment.offset);
    if (offset === undefined)
      throw new CanisterModuleError(
        'Wasm module has an invalid element section. Invalid offset expression in element segment.',
      );
    const count = segment.functions?.length ?? segment.expressions?.length ?? 0;
    if (offset + BigInt(count) > (module.tables[segment.table]?.bounds.minimum ?? 0n))
      throw new CanisterModuleError(
        `Wasm module has an invalid element section. Segment of ${count} elements at ${offset} does not fit its table.`,
      );
  }
  for (const global of module.globals)
    if (isReference(global.type) && !isFunctionReference(global.type))
      throw badSection('global', `Unsupported global type: ${valueTypeName(global.type)}`);
  let elements = 0n;
  for (const table of module.tables) {
    if (!isFunctionReference(table.element))
      throw new CanisterModuleError(
        `Wasm module has an invalid table section. Unsupported table element type: ${valueTypeName(table.element)}.`,
      );
    elements += table.bounds.minimum;
  }
  if (elements > BigInt(limits.tableElements))
    throw new CanisterModuleError(
      `Wasm module has an invalid table section. Initial size of ${elements} elements exceeds the maximum allowed size of ${limits.tableElements}.`,
    );
  const memory = module.memories[0];
  if (memory === undefined) return;
  const allowed = (memory.is64 ? limits.wasm64MemoryBytes : limits.wasm32MemoryBytes) / WASM_PAGE;
  if (memory.minimum > allowed)
    throw new CanisterModuleError(
      `Wasm module has an invalid memory section. Initial size of ${memory.minimum} pages exceeds the maximum allowed size of ${allowed}.`,
    );
}

/** The unsigned value of an expression that is `i32.const` or `i64.const` and nothing else. */
function singleConstant(module: WasmModule, expression: Range): bigint | undefined {
  const reader = new ByteReader(module.bytes, expression.start, expression.end);
  const opcode = reader.u8();
  if (opcode !== 0x41 && opcode !== 0x42) return undefined;
  const value = opcode === 0x41 ? BigInt.asUintN(32, BigInt(reader.s32())) : BigInt.asUintN(64, reader.s64());
  return reader.u8() === 0x0b ? value : undefined;
}

const FUNCTION_NAME_BYTES = 1 << 20;

/** @returns how many instructions all bodies have. */
function checkCode(module: WasmModule, limits: Limits): number {
  let total = 0;
  for (const [index, body] of module.bodies.entries()) {
    const census = censusOf(module, body.code, body.range.end);
    if (census.unsupported !== undefined)
      throw new CanisterModuleError(
        `Wasm module contains a function at index ${index} with unsupported instruction ${census.unsupported}.`,
      );
    if (census.instructions > limits.moduleFunctionInstructions)
      throw new CanisterModuleError(
        `Wasm module contains a function at index ${index} of size ${census.instructions} that exceeds the maximum allowed size of ${limits.moduleFunctionInstructions}.`,
        help('Try breaking large functions up into multiple smaller functions.', 'wasm-module-function-too-large'),
      );
    total += census.instructions;
  }
  for (const [index, name] of readFunctionNames(module)) {
    const size = utf8Length(name);
    if (size > FUNCTION_NAME_BYTES)
      throw new CanisterModuleError(
        `Wasm module contains a function at index ${index} with name '${name.slice(0, 64)}...' of size ${size} bytes that exceeds the maximum allowed size of ${FUNCTION_NAME_BYTES} bytes.`,
        help('Try using shorter function names.', 'wasm-module-function-name-too-large'),
      );
  }
  return total;
}

function censusOf(module: WasmModule, start: number, end: number): ReturnType<typeof censusOfCode> {
  try {
    return censusOfCode(module.bytes, start, end);
  } catch (error) {
    if (error instanceof WasmError) throw invalid(error.message);
    throw error;
  }
}

function readCustomSections(module: WasmModule, limits: Limits): CanisterModuleInfo['customSections'] {
  const sections: { name: string; visibility: 'public' | 'private'; content: Uint8Array }[] = [];
  const names = new Set<string>();
  let totalBytes = 0;
  for (const section of module.customSections) {
    if (!section.name.startsWith('icp:')) continue;
    const [, visibility, name] = /^icp:(public|private) (.*)$/s.exec(section.name) ?? [];
    if (name === undefined || (visibility !== 'public' && visibility !== 'private'))
      throw badSection(
        'custom',
        section.name === 'icp:public' || section.name === 'icp:private'
          ? "'icp:' section names must have a space after the public/private scope"
          : `Invalid custom section: Custom section '${section.name}' has no public/private scope defined.`,
      );
    if (names.has(name)) throw badSection('custom', `Invalid custom section: name ${name} already exists`);
    names.add(name);
    totalBytes += utf8Length(name) + section.content.end - section.content.start;
    if (totalBytes > limits.moduleCustomSectionsBytes)
      throw badSection(
        'custom',
        `Invalid custom sections: total size of the custom sections exceeds the maximum allowed: size ${totalBytes} bytes, allowed ${limits.moduleCustomSectionsBytes} bytes`,
      );
    if (names.size > limits.moduleCustomSections)
      throw new CanisterModuleError(
        `Wasm module defined ${names.size} custom sections which exceeds the maximum number allowed ${limits.moduleCustomSections}.`,
      );
    sections.push({ name, visibility, content: module.bytes.slice(section.content.start, section.content.end) });
  }
  return sections;
}

const encoder = new TextEncoder();

function utf8Length(text: string): number {
  return encoder.encode(text).length;
}

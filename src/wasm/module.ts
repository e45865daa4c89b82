import { ByteReader } from './byte-reader.ts';
import { readHeapType, readValueType, type ValueType } from './value-type.ts';
import { WasmError } from './wasm-error.ts';

/**
 * A module as it stands in its bytes: types and ranges, nothing copied. Reading checks the shape of everything but the
 * instructions in bodies; whether it is valid is V8's business.
 */
export interface WasmModule {
  readonly bytes: Uint8Array;
  readonly sections: readonly Section[];
  readonly types: readonly FunctionType[];
  readonly imports: readonly Import[];
  /** Type index of every function, imported ones first. */
  readonly functions: readonly number[];
  readonly importedFunctions: number;
  /** Every table, imported ones first; likewise memories and globals. */
  readonly tables: readonly TableType[];
  readonly importedTables: number;
  readonly memories: readonly MemoryType[];
  readonly importedMemories: number;
  readonly globals: readonly Global[];
  readonly importedGlobals: number;
  readonly exports: readonly Export[];
  readonly start: number | undefined;
  readonly elements: readonly ElementSegment[];
  readonly data: readonly DataSegment[];
  readonly dataCount: number | undefined;
  /** Bodies of the defined functions, in order. */
  readonly bodies: readonly FunctionBody[];
  readonly customSections: readonly CustomSectionRange[];
  /** Heap is addressed by i64. False without a memory. */
  readonly memory64: boolean;
}

/** `[start, end)` in the module's bytes. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** `start` is the first byte of the content, `header` that of the id. */
export interface Section extends Range {
  readonly id: number;
  readonly header: number;
}

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** In elements (tables) or 64 KiB pages (memories). */
export interface Bounds {
  readonly minimum: bigint;
  readonly maximum: bigint | undefined;
  readonly is64: boolean;
}

export interface TableType {
  readonly element: ValueType;
  readonly bounds: Bounds;
  /** Constant expression that fills a defined table of non-null references, if given. */
  readonly initializer: Range | undefined;
}

export type MemoryType = Bounds;

export interface GlobalType {
  readonly type: ValueType;
  readonly mutable: boolean;
}

export interface Global extends GlobalType {
  /** Constant expression, its `end` included; absent on imports. */
  readonly initializer: Range | undefined;
}

export type ExternalKind = 'function' | 'table' | 'memory' | 'global';

export type Import = { readonly module: string; readonly name: string; readonly range: Range } & (
  | { readonly kind: 'function'; readonly type: number }
  | { readonly kind: 'table'; readonly table: TableType }
  | { readonly kind: 'memory'; readonly memory: MemoryType }
  | { readonly kind: 'global'; readonly global: Global }
);

export interface Export {
  readonly name: string;
  readonly kind: ExternalKind;
  readonly index: number;
}

export interface ElementSegment {
  readonly mode: 'active' | 'passive' | 'declared';
  readonly table: number;
  readonly offset: Range | undefined;
  readonly type: ValueType;
  /** Function indices, or constant expressions where the segment is written that way. */
  readonly functions: readonly number[] | undefined;
  readonly expressions: readonly Range[] | undefined;
}

export interface DataSegment {
  readonly active: boolean;
  readonly offset: Range | undefined;
  readonly content: Range;
  /** The whole segment, flags included. */
  readonly range: Range;
}

export interface LocalGroup {
  readonly count: number;
  readonly type: ValueType;
}

export interface FunctionBody {
  /** Content after the size: local declarations and code. */
  readonly range: Range;
  readonly locals: readonly LocalGroup[];
  /** First instruction; code ends at `range.end`, with an `end`. */
  readonly code: number;
}

export interface CustomSectionRange {
  readonly name: string;
  readonly content: Range;
}

export interface ReadOptions {
  /** Reads typed function references, which V8 runs and canisters may not use. Default false. */
  readonly typedReferences?: boolean;
}

/** V8's bound on parameters and locals of one function. */
const LOCALS_MAX = 50_000;
/** Where each section id stands in the required order: tags before globals, data count before code. */
const SECTION_RANK: readonly number[] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 11, 6];

/**
 * Reads a whole module.
 * @throws WasmError `malformed`, `limit`, or `unsupported_feature`.
 */
export function readModule(bytes: Uint8Array, options: ReadOptions = {}): WasmModule {
  return new ModuleReader(bytes, options.typedReferences === true).read();
}

/** Names of the `name` section's function subsection by function index; an unreadable section gives what was read so far. */
export function readFunctionNames(module: WasmModule): Map<number, string> {
  const names = new Map<number, string>();
  const section = module.customSections.find((custom) => custom.name === 'name');
  if (section === undefined) return names;
  const reader = new ByteReader(module.bytes, section.content.start, section.content.end);
  try {
    while (!reader.atEnd) {
      const id = reader.u8();
      const size = reader.count();
      const end = reader.pos + size;
      if (id === 1) {
        for (let left = reader.count(); left > 0; left--) {
          const index = reader.u32();
          names.set(index, reader.name());
        }
      }
      reader.pos = end;
    }
  } catch (error) {
    if (!(error instanceof WasmError)) throw error;
  }
  return names;
}

class ModuleReader {
  readonly #reader: ByteReader;
  readonly #typed: boolean;
  readonly #sections: Section[] = [];
  #types: FunctionType[] = [];
  readonly #imports: Import[] = [];
  readonly #functions: number[] = [];
  #importedFunctions = 0;
  readonly #tables: TableType[] = [];
  #importedTables = 0;
  readonly #memories: MemoryType[] = [];
  #importedMemories = 0;
  readonly #globals: Global[] = [];
  #importedGlobals = 0;
  #exports: Export[] = [];
  #start: number | undefined;
  #elements: ElementSegment[] = [];
  #data: DataSegment[] = [];
  #dataCount: number | undefined;
  #bodies: FunctionBody[] = [];
  readonly #customSections: CustomSectionRange[] = [];

  constructor(bytes: Uint8Array, typed: boolean) {
    this.#reader = new ByteReader(bytes);
    this.#typed = typed;
  }

  read(): WasmModule {
    const reader = this.#reader;
    const bytes = reader.bytes;
    if (bytes.length < 8) reader.fail('unexpected end', bytes.length);
    if (bytes[0] !== 0x00 || bytes[1] !== 0x61 || bytes[2] !== 0x73 || bytes[3] !== 0x6d) {
      reader.fail('magic header not detected', 0);
    }
    if (bytes[4] !== 1 || bytes[5] !== 0 || bytes[6] !== 0 || bytes[7] !== 0) reader.fail('unknown binary version', 4);
    reader.pos = 8;
    let last = 0;
    while (!reader.atEnd) {
      const header = reader.pos;
      const id = reader.u8();
      const size = reader.u32();
      const start = reader.pos;
      if (size > bytes.length - start) reader.fail('section out of bounds', header);
      const end = start + size;
      if (id > 13) reader.fail('malformed section id', header);
      if (id !== 0) {
        const rank = SECTION_RANK[id] as number;
        if (rank <= last) reader.fail('unexpected content after last section', header);
        last = rank;
      }
      this.#sections.push({ id, header, start, end });
      reader.end = end;
      this.#section(id);
      if (reader.pos !== end) reader.fail('section size mismatch');
      reader.end = bytes.length;
    }
    const defined = this.#functions.length - this.#importedFunctions;
    if (defined !== this.#bodies.length) reader.fail('function and code section have inconsistent lengths');
    if (this.#dataCount !== undefined && this.#dataCount !== this.#data.length) {
      reader.fail('data count and data section have inconsistent lengths');
    }
    if (this.#memories.length > 1) throw new WasmError('unsupported_feature', 'multiple memories are not supported');
    return {
      bytes,
      sections: this.#sections,
      types: this.#types,
      imports: this.#imports,
      functions: this.#functions,
      importedFunctions: this.#importedFunctions,
      tables: this.#tables,
      importedTables: this.#importedTables,
      memories: this.#memories,
      importedMemories: this.#importedMemories,
      globals: this.#globals,
      importedGlobals: this.#importedGlobals,
      exports: this.#exports,
      start: this.#start,
      elements: this.#elements,
      data: this.#data,
      dataCount: this.#dataCount,
      bodies: this.#bodies,
      customSections: this.#customSections,
      memory64: this.#memories[0]?.is64 ?? false,
    };
  }

  #section(id: number): void {
    const reader = this.#reader;
    switch (id) {
      case 0: {
        const name = reader.name();
        this.#customSections.push({ name, content: { start: reader.pos, end: reader.end } });
        reader.pos = reader.end;
        return;
      }
      case 1:
        this.#types = this.#vector(() => this.#functionType());
        return;
      case 2:
        for (let left = reader.count(); left > 0; left--) this.#import();
        return;
      case 3:
        for (let left = reader.count(); left > 0; left--) this.#functions.push(this.#typeIndex());
        return;
      case 4:
        for (let left = reader.count(); left > 0; left--) this.#tables.push(this.#definedTable());
        return;
      case 5:
        for (let left = reader.count(); left > 0; left--) this.#memories.push(this.#bounds(true));
        return;
      case 6:
        for (let left = reader.count(); left > 0; left--) {
          const type = this.#globalType();
          this.#globals.push({ ...type, initializer: this.#constantExpression() });
        }
        return;
      case 7:
        this.#exports = this.#vector(() => this.#export());
        return;
      case 8:
        this.#start = reader.u32();
        if (this.#start >= this.#functions.length) reader.fail('unknown function');
        return;
      case 9:
        this.#elements = this.#vector(() => this.#elementSegment());
        return;
      case 10:
        this.#bodies = this.#vector(() => this.#body());
        return;
      case 11:
        this.#data = this.#vector(() => this.#dataSegment());
        return;
      case 12:
        this.#dataCount = reader.u32();
        return;
      default:
        throw new WasmError('unsupported_feature', 'exceptions are not supported', reader.pos);
    }
  }

  #vector<T>(item: () => T): T[] {
    const items: T[] = [];
    for (let left = this.#reader.count(); left > 0; left--) items.push(item());
    return items;
  }

  #valueType(): ValueType {
    return readValueType(this.#reader, this.#typed);
  }

  #functionType(): FunctionType {
    const reader = this.#reader;
    const form = reader.u8();
    if (form !== 0x60) {
      if (form >= 0x4c && form <= 0x5f) {
        throw new WasmError('unsupported_feature', 'gc types are not supported', reader.pos - 1);
      }
      reader.fail('malformed type form', reader.pos - 1);
    }
    const parameters = this.#vector(() => this.#valueType());
    const results = this.#vector(() => this.#valueType());
    if (parameters.length > 1000 || results.length > 1000) {
      throw new WasmError('limit', 'more than 1000 parameters or results', reader.pos);
    }
    return { parameters, results };
  }

  #typeIndex(): number {
    const index = this.#reader.u32();
    if (index >= this.#types.length) this.#reader.fail('unknown type');
    return index;
  }

  #import(): void {
    const reader = this.#reader;
    const start = reader.pos;
    const module = reader.name();
    const name = reader.name();
    const kind = reader.u8();
    const done = (): { module: string; name: string; range: Range } => ({
      module,
      name,
      range: { start, end: reader.pos },
    });
    switch (kind) {
      case 0: {
        const type = this.#typeIndex();
        this.#functions.push(type);
        this.#importedFunctions++;
        this.#imports.push({ ...done(), kind: 'function', type });
        return;
      }
      case 1: {
        const table = this.#tableType();
        this.#tables.push(table);
        this.#importedTables++;
        this.#imports.push({ ...done(), kind: 'table', table });
        return;
      }
      case 2: {
        const memory = this.#bounds(true);
        this.#memories.push(memory);
        this.#importedMemories++;
        this.#imports.push({ ...done(), kind: 'memory', memory });
        return;
      }
      case 3: {
        const global = { ...this.#globalType(), initializer: undefined };
        this.#globals.push(global);
        this.#importedGlobals++;
        this.#imports.push({ ...done(), kind: 'global', global });
        return;
      }
      case 4:
        throw new WasmError('unsupported_feature', 'exceptions are not supported', reader.pos - 1);
      default:
        reader.fail('malformed import kind', reader.pos - 1);
    }
  }

  #definedTable(): TableType {
    const reader = this.#reader;
    if (!reader.atEnd && reader.peek() === 0x40) {
      reader.u8();
      if (reader.u8() !== 0) reader.fail('malformed table', reader.pos - 1);
      if (!this.#typed) {
        throw new WasmError('unsupported_feature', 'tables with initializers are not supported', reader.pos);
      }
      return { ...this.#tableType(), initializer: this.#constantExpression() };
    }
    return this.#tableType();
  }

  #tableType(): TableType {
    const element = this.#valueType();
    if (element >= 0x7b && element <= 0x7f) this.#reader.fail('malformed reference type');
    return { element, bounds: this.#bounds(false), initializer: undefined };
  }

  #bounds(memory: boolean): Bounds {
    const reader = this.#reader;
    const offset = reader.pos;
    const flags = reader.u8();
    if (flags > 7) {
      if (flags & 8) throw new WasmError('unsupported_feature', 'custom page sizes are not supported', offset);
      reader.fail('malformed limits flags', offset);
    }
    if (flags & 2) {
      if (!memory) reader.fail('malformed limits flags', offset);
      throw new WasmError('unsupported_feature', 'threads are not supported', offset);
    }
    const is64 = (flags & 4) !== 0;
    const read = (): bigint => (is64 ? reader.u64() : BigInt(reader.u32()));
    const minimum = read();
    return { minimum, maximum: flags & 1 ? read() : undefined, is64 };
  }

  #globalType(): GlobalType {
    const type = this.#valueType();
    const mutability = this.#reader.u8();
    if (mutability > 1) {
      if (mutability & 2) throw new WasmError('unsupported_feature', 'threads are not supported', this.#reader.pos - 1);
      this.#reader.fail('malformed mutability', this.#reader.pos - 1);
    }
    return { type, mutable: mutability === 1 };
  }

  #export(): Export {
    const reader = this.#reader;
    const name = reader.name();
    const byte = reader.u8();
    if (byte === 4) throw new WasmError('unsupported_feature', 'exceptions are not supported', reader.pos - 1);
    const kind = (['function', 'table', 'memory', 'global'] as const)[byte];
    if (kind === undefined) return reader.fail('malformed export kind', reader.pos - 1);
    const index = reader.u32();
    const count = { function: this.#functions, table: this.#tables, memory: this.#memories, global: this.#globals };
    if (index >= count[kind].length) reader.fail(`unknown ${kind}`);
    return { name, kind, index };
  }

  /** A constant expression up to and including its `end`. */
  #constantExpression(): Range {
    const reader = this.#reader;
    const start = reader.pos;
    for (;;) {
      const offset = reader.pos;
      const opcode = reader.u8();
      switch (opcode) {
        case 0x0b:
          return { start, end: reader.pos };
        case 0x23:
        case 0xd2:
          reader.u32();
          break;
        case 0x41:
          reader.s32();
          break;
        case 0x42:
          reader.s64();
          break;
        case 0x43:
          reader.skip(4);
          break;
        case 0x44:
          reader.skip(8);
          break;
        case 0x6a:
        case 0x6b:
        case 0x6c:
        case 0x7c:
        case 0x7d:
        case 0x7e:
          break;
        case 0xd0:
          readHeapType(reader);
          break;
        case 0xfb:
          throw new WasmError('unsupported_feature', 'gc instructions are not supported', offset);
        case 0xfd:
          if (reader.u32() !== 12) reader.fail('constant expression required', offset);
          reader.skip(16);
          break;
        default:
          reader.fail('constant expression required', offset);
      }
    }
  }

  #elementSegment(): ElementSegment {
    const reader = this.#reader;
    const flags = reader.u32();
    if (flags > 7) reader.fail('malformed elements segment kind');
    const mode = flags & 1 ? (flags & 2 ? 'declared' : 'passive') : 'active';
    const table = mode === 'active' && flags & 2 ? reader.u32() : 0;
    const offset = mode === 'active' ? this.#constantExpression() : undefined;
    let type = 0x70;
    if (flags & 3) {
      if (flags & 4) type = this.#valueType();
      else if (reader.u8() !== 0) reader.fail('malformed element kind', reader.pos - 1);
    }
    if (flags & 4) {
      return {
        mode,
        table,
        offset,
        type,
        functions: undefined,
        expressions: this.#vector(() => this.#constantExpression()),
      };
    }
    return { mode, table, offset, type, functions: this.#vector(() => reader.u32()), expressions: undefined };
  }

  #dataSegment(): DataSegment {
    const reader = this.#reader;
    const start = reader.pos;
    const flags = reader.u32();
    if (flags > 2) reader.fail('malformed data segment kind', start);
    if (flags === 2 && reader.u32() !== 0) {
      // Without a memory 0 the index is merely unknown; either way there is no such memory here.
      throw new WasmError('unsupported_feature', 'multiple memories are not supported', start);
    }
    const offset = flags === 1 ? undefined : this.#constantExpression();
    const length = reader.count();
    const content = { start: reader.pos, end: reader.pos + length };
    reader.skip(length);
    return { active: flags !== 1, offset, content, range: { start, end: reader.pos } };
  }

  #body(): FunctionBody {
    const reader = this.#reader;
    const size = reader.count();
    const start = reader.pos;
    const end = start + size;
    const outer = reader.end;
    reader.end = end;
    let total = 0;
    const locals = this.#vector(() => {
      const count = reader.u32();
      total += count;
      if (total > LOCALS_MAX) throw new WasmError('limit', `more than ${LOCALS_MAX} locals`, reader.pos);
      return { count, type: this.#valueType() };
    });
    const code = reader.pos;
    if (code >= end || reader.bytes[end - 1] !== 0x0b) reader.fail('function body must end with an end', end);
    reader.pos = end;
    reader.end = outer;
    return { range: { start, end }, locals, code };
  }
}

import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { FunctionRewriter, type HelperName, type RewritePlan } from './function-rewriter.ts';
import {
  MAP_LEVEL1,
  MAP_LEVEL2_SHIFT,
  MAP_SCRATCH,
  MAP_SCRATCH_BYTES,
  MAP_WASM_PAGES,
  PAGE_SHIFT,
} from './map-layout.ts';
import {
  type DataSegment,
  type ExternalKind,
  type Range,
  readModule,
  type Section,
  type WasmModule,
} from './module.ts';
import { encodeValueType, F32, F64, I32, I64, isReference, V128, type ValueType } from './value-type.ts';
import { WasmError } from './wasm-error.ts';

/** Which passes run, and how the module meets its host. */
export interface RewriteOptions {
  readonly metering?: boolean | undefined;
  readonly writeBarrier?: boolean | undefined;
  readonly stackGuard?: boolean | undefined;
  readonly canonicalNaN?: boolean | undefined;
  readonly captureState?: boolean | undefined;
  /**
   * `own`: the module keeps its memory and runs by itself; the page map is a second memory of its own.
   * `imported`: heap and map come from the host, active data segments and `start` wait for it.
   */
  readonly memory?: 'own' | 'imported' | undefined;
  /** Bytes of frames that nested calls may use. */
  readonly stackBytes?: number | undefined;
  readonly tableElementsMax?: number | undefined;
  /** Instructions that an own-mode module starts with. */
  readonly initialInstructions?: bigint | undefined;
}

/** Everything that the rewriter adds is exported under this prefix; modules may not use it. */
export const RESERVED_PREFIX = 'perdure:';
/** Module name of the imported heap and map. */
export const HOST_MODULE = 'perdure';
/** What stops a module by itself, in the `reason` global. */
export const TRAP_REASON = { none: 0, stackOverflow: 1, outOfInstructions: 2, growthFailed: 3 } as const;

/** Fits a default native stack (984 KiB) twice: what stand-alone modules get. */
export const OWN_STACK_BYTES: number = 480 * 1024;
export const OWN_INSTRUCTIONS: bigint = 1n << 62n;
/** V8's own bound on tables. */
const TABLE_ELEMENTS_MAX = 10_000_000;

/** What was added and where, as needed to run the result. */
export interface RewriteResult {
  readonly bytes: Uint8Array;
  readonly module: WasmModule;
  readonly memory: 'own' | 'imported';
  readonly metering: boolean;
  readonly writeBarrier: boolean;
  readonly stackGuard: boolean;
  readonly captureState: boolean;
  readonly stackBytes: number;
  readonly hasHeap: boolean;
  readonly hasMap: boolean;
  /** Mutable globals that hold numbers, in the order in which `save` writes them, 16 bytes each. */
  readonly numericGlobals: readonly number[];
  readonly referenceGlobals: readonly number[];
  /** Tables that the code may change. */
  readonly writtenTables: readonly number[];
  /** Droppable segments: their flags follow the numeric globals in what `save` writes. */
  readonly dropFlags: number;
}

/**
 * - `out()`: asks the host for more instructions, or traps
 * - `save()`, `load()`: mutable globals and drop flags to and from the map's scratch space
 * - `data(apply)`: applies and drops active data segments
 * - `markData()`: marks what the active segments of a stand-alone module wrote
 */
type AnyHelper = HelperName | 'out' | 'save' | 'load' | 'data' | 'markData';

/** Rewrites a module that V8 has found valid. */
export function rewrite(bytes: Uint8Array, options: RewriteOptions): RewriteResult {
  return new ModuleRewriter(bytes, options).rewrite();
}

class ModuleRewriter implements RewritePlan {
  readonly module: WasmModule;
  readonly metering: boolean;
  readonly barrier: boolean;
  readonly stackGuard: boolean;
  readonly canonicalNaN: boolean;
  readonly captureState: boolean;
  readonly growthGuard: boolean;
  readonly selfHealing: boolean;
  readonly typedReferences: boolean;
  readonly refuseLargeFrames: boolean;
  readonly stackBytes: number;
  readonly tableElementsMax: number;
  readonly memory64: boolean;
  readonly mapMemory: number;
  readonly counterGlobal: number;
  readonly depthGlobal: number;
  readonly #imported: boolean;
  readonly #instructions: bigint;
  readonly #hasMap: boolean;

  readonly #addedTypes: Uint8Array[] = [];
  readonly #typeIndices = new Map<string, number>();
  readonly #globals: { type: readonly number[]; init: readonly number[] | Uint8Array; name: string | undefined }[] = [];
  readonly #helpers = new Map<AnyHelper, number>();
  /** Bodies of appended functions, and their types. */
  readonly #helperBodies: Uint8Array[] = [];
  readonly #helperTypes: number[] = [];
  readonly levelGlobal: number;
  readonly #dataFlags = new Map<number, number>();
  readonly #elementFlags = new Map<number, number>();
  readonly #writtenTables = new Set<number>();
  readonly #reasonGlobal: number;
  readonly #hookGlobal: number;
  #growHookGlobal = -1;

  constructor(bytes: Uint8Array, options: RewriteOptions) {
    this.#imported = options.memory === 'imported';
    this.typedReferences = !this.#imported;
    this.module = readModule(bytes, { typedReferences: this.typedReferences });
    const module = this.module;
    for (const { name } of module.exports) {
      if (name.startsWith(RESERVED_PREFIX))
        throw new WasmError('reserved_name', `export "${name}" has a reserved name`);
    }
    if (this.#imported && (module.importedMemories > 0 || module.importedTables > 0 || module.importedGlobals > 0)) {
      throw new WasmError('unsupported_feature', 'only functions can be imported');
    }
    this.metering = options.metering ?? true;
    this.stackGuard = options.stackGuard ?? true;
    this.canonicalNaN = options.canonicalNaN ?? true;
    this.captureState = options.captureState ?? true;
    const hasHeap = module.memories.length > 0;
    this.barrier = (options.writeBarrier ?? true) && hasHeap;
    this.growthGuard = this.#imported;
    this.selfHealing = !this.#imported;
    this.refuseLargeFrames = this.#imported;
    this.stackBytes = options.stackBytes ?? OWN_STACK_BYTES;
    this.tableElementsMax = options.tableElementsMax ?? TABLE_ELEMENTS_MAX;
    this.memory64 = module.memory64;
    this.mapMemory = hasHeap ? 1 : 0;
    this.#hasMap = this.barrier || this.captureState;
    this.#instructions = options.initialInstructions ?? OWN_INSTRUCTIONS;

    const number = (type: number, value: bigint, name: string): number => {
      const init = new ByteWriter(16);
      init.u8(type === I64 ? 0x42 : 0x41);
      init.s64(value);
      init.u8(0x0b);
      return this.#global([type, 1], init.finish(), name);
    };
    this.counterGlobal = this.metering ? number(I64, this.#imported ? 0n : this.#instructions, 'counter') : -1;
    this.depthGlobal = this.stackGuard ? number(I32, BigInt(this.stackBytes), 'depth') : -1;
    this.levelGlobal = this.stackGuard && this.selfHealing ? number(I32, 0n, 'level') : -1;
    this.#reasonGlobal = number(I32, 0n, 'reason');
    this.#hookGlobal = this.metering ? this.#hook('outOfInstructions', [], []) : -1;
  }

  // --- things appended on demand --------------------------------------------------------------------------------------

  #global(type: readonly number[], init: readonly number[] | Uint8Array, name: string | undefined): number {
    this.#globals.push({ type, init, name });
    return this.module.globals.length + this.#globals.length - 1;
  }

  /** A global that holds a function of the host's, or null. */
  #hook(name: string, parameters: readonly number[], results: readonly number[]): number {
    const type = new ByteWriter(8);
    type.u8(0x63);
    type.s32(this.#functionType(parameters, results));
    const init = new ByteWriter(8);
    init.u8(0xd0);
    init.s32(this.#functionType(parameters, results));
    init.u8(0x0b);
    return this.#global([...type.finish(), 1], init.finish(), name);
  }

  #functionType(parameters: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${parameters.join()}>${results.join()}`;
    const known = this.#typeIndices.get(key);
    if (known !== undefined) return known;
    const type = new ByteWriter(16);
    type.u8(0x60);
    for (const list of [parameters, results]) {
      type.u32(list.length);
      for (const item of list) type.op(...encodeValueType(item));
    }
    this.#addedTypes.push(type.finish());
    const index = this.module.types.length + this.#addedTypes.length - 1;
    this.#typeIndices.set(key, index);
    return index;
  }

  resultType(results: readonly ValueType[]): number {
    return this.#functionType([], results);
  }

  #flag(flags: Map<number, number>, segment: number): number {
    let global = flags.get(segment);
    if (global === undefined) {
      global = this.#global([I32, 1], [0x41, 0, 0x0b], undefined);
      flags.set(segment, global);
    }
    return global;
  }

  dataFlag(segment: number): number {
    return this.#flag(this.#dataFlags, segment);
  }

  elementFlag(segment: number): number {
    return this.#flag(this.#elementFlags, segment);
  }

  tableWritten(table: number): void {
    this.#writtenTables.add(table);
  }

  helper(name: HelperName): number {
    return this.#helper(name);
  }

  #helper(name: AnyHelper): number {
    const known = this.#helpers.get(name);
    if (known !== undefined) return known;
    const address = this.memory64 ? I64 : I32;
    const [parameters, results] = (
      {
        slow: [[I64], [I64]],
        enterSlow: [[I64, I32], [I64]],
        overflow: [[], []],
        charge: [[I64], []],
        mark: [[address, address], []],
        grow: [[address], [address]],
        out: [[], []],
        save: [[], []],
        load: [[], []],
        data: [[I32], []],
        markData: [[], []],
      } as const
    )[name];
    const index = this.module.functions.length + this.#helperBodies.length;
    const slot = this.#helperBodies.length;
    this.#helpers.set(name, index);
    this.#helperTypes.push(this.#functionType(parameters, results));
    this.#helperBodies.push(new Uint8Array(0));
    this.#helperBodies[slot] = this.#helperBody(name);
    return index;
  }

  // --- bodies of what is appended -----------------------------------------------------------------------------------

  #helperBody(name: AnyHelper): Uint8Array {
    const code = new ByteWriter(128);
    const locals: number[] = [];
    const get = (local: number): void => code.op(0x20, local);
    const getGlobal = (global: number): void => {
      code.u8(0x23);
      code.u32(global);
    };
    const setGlobal = (global: number): void => {
      code.u8(0x24);
      code.u32(global);
    };
    const call = (helper: AnyHelper): void => {
      const index = this.#helper(helper);
      code.u8(0x10);
      code.u32(index);
    };
    const stop = (reason: number): void => {
      code.op(0x41, reason);
      setGlobal(this.#reasonGlobal);
      if (this.stackGuard) {
        code.u8(0x41);
        code.s32(this.stackBytes);
        setGlobal(this.depthGlobal);
      }
      code.u8(0x00);
    };
    switch (name) {
      case 'slow':
        get(0);
        setGlobal(this.counterGlobal);
        call('out');
        getGlobal(this.counterGlobal);
        break;
      case 'enterSlow':
        get(0);
        setGlobal(this.counterGlobal);
        get(1);
        code.op(0x41, 0, 0x48, 0x04, 0x40);
        call('overflow');
        code.u8(0x0b);
        call('out');
        getGlobal(this.counterGlobal);
        break;
      case 'overflow':
        stop(TRAP_REASON.stackOverflow);
        break;
      case 'out': {
        getGlobal(this.#hookGlobal);
        code.op(0xd1, 0x04, 0x40);
        stop(TRAP_REASON.outOfInstructions);
        code.u8(0x0b);
        getGlobal(this.#hookGlobal);
        code.u8(0x14);
        code.u32(this.#functionType([], []));
        getGlobal(this.counterGlobal);
        code.op(0x42, 0, 0x53, 0x04, 0x40);
        stop(TRAP_REASON.outOfInstructions);
        code.u8(0x0b);
        break;
      }
      case 'charge': {
        // counter -= min(length, 2^48): enough to run out, too little to wrap.
        getGlobal(this.counterGlobal);
        get(0);
        code.u8(0x42);
        code.s64(1n << 48n);
        get(0);
        code.u8(0x42);
        code.s64(1n << 48n);
        code.op(0x54, 0x1b, 0x7d);
        setGlobal(this.counterGlobal);
        getGlobal(this.counterGlobal);
        code.op(0x42, 0, 0x53, 0x04, 0x40);
        call('out');
        code.u8(0x0b);
        break;
      }
      case 'mark':
        this.#markBody(code, locals);
        break;
      case 'grow':
        this.#growBody(code);
        break;
      case 'save':
      case 'load':
        this.#stateBody(code, name === 'save');
        break;
      case 'data':
        this.#dataBody(code);
        break;
      case 'markData':
        this.#markDataBody(code);
        break;
    }
    code.u8(0x0b);
    const body = new ByteWriter(code.length + 16);
    body.u32(locals.length);
    for (const type of locals) {
      body.u32(1);
      body.u8(type);
    }
    body.append(code.view());
    return body.finish();
  }

  #mapAccess(code: ByteWriter, offset: number, alignment = 0): void {
    if (this.mapMemory === 0) code.u8(alignment);
    else {
      code.u8(0x40 | alignment);
      code.u32(this.mapMemory);
    }
    code.u32(offset);
  }

  /** (address, length): marks every page of the range, which lies within the heap. */
  #markBody(code: ByteWriter, locals: number[]): void {
    const wide = this.memory64;
    locals.push(I32, I32);
    const page = 2;
    const last = 3;
    const toPage = (): void => {
      if (wide) code.op(0x42, PAGE_SHIFT, 0x88, 0xa7);
      else code.op(0x41, PAGE_SHIFT, 0x76);
    };
    // if (length == 0) return
    code.op(0x20, 1, wide ? 0x50 : 0x45, 0x04, 0x40, 0x0f, 0x0b);
    code.op(0x20, 0);
    toPage();
    code.op(0x21, page);
    code.op(0x20, 0, 0x20, 1, wide ? 0x7c : 0x6a, wide ? 0x42 : 0x41, 0x7f, wide ? 0x7c : 0x6a);
    toPage();
    code.op(0x21, last);
    // memory.fill(level1 + page, 1, last - page + 1) where there are many, else one by one
    code.op(0x20, last, 0x20, page, 0x6b, 0x41, 16, 0x4b, 0x04, 0x40);
    code.op(0x20, page, 0x41);
    code.s32(MAP_LEVEL1);
    code.op(0x6a, 0x41, 1, 0x20, last, 0x20, page, 0x6b, 0x41, 1, 0x6a, 0xfc, 11);
    code.u32(this.mapMemory);
    code.op(0x20, page, 0x41, MAP_LEVEL2_SHIFT, 0x76, 0x41, 1);
    code.op(0x20, last, 0x41, MAP_LEVEL2_SHIFT, 0x76, 0x20, page, 0x41, MAP_LEVEL2_SHIFT, 0x76, 0x6b, 0x41, 1, 0x6a);
    code.op(0xfc, 11);
    code.u32(this.mapMemory);
    code.u8(0x05);
    code.op(0x03, 0x40, 0x20, page, 0x41, 1, 0x3a);
    this.#mapAccess(code, MAP_LEVEL1);
    code.op(0x20, page, 0x41, MAP_LEVEL2_SHIFT, 0x76, 0x41, 1, 0x3a);
    this.#mapAccess(code, 0);
    code.op(0x20, page, 0x41, 1, 0x6a, 0x22, page, 0x20, last, 0x4d, 0x0d, 0, 0x0b);
    code.u8(0x0b);
  }

  /** (delta) -> previous size or -1: the host is asked first; once it agreed, failure is the host's fault. */
  #growBody(code: ByteWriter): void {
    const wide = this.memory64;
    if (this.#growHookGlobal < 0) this.#growHookGlobal = this.#hook('growMemory', [I64, I64], [I32]);
    const hook = this.#growHookGlobal;
    const maximum = this.module.memories[0]?.maximum;
    const constant = wide ? 0x42 : 0x41;
    const size = (): void => code.op(0x3f, 0);
    const fail = (): void => code.op(0x04, 0x40, constant, 0x7f, 0x0f, 0x0b);
    // Bound of the address space where none is declared.
    const bound = maximum ?? (wide ? 1n << 48n : 65_536n);
    code.op(0x20, 0, constant);
    code.s64(bound);
    size();
    code.op(wide ? 0x7d : 0x6b, wide ? 0x56 : 0x4b);
    fail();
    code.u8(0x23);
    code.u32(hook);
    code.op(0xd1, 0x45, 0x04, 0x40);
    code.op(0x20, 0);
    if (!wide) code.u8(0xad);
    size();
    if (!wide) code.u8(0xad);
    code.u8(0x23);
    code.u32(hook);
    code.u8(0x14);
    code.u32(this.#functionType([I64, I64], [I32]));
    code.u8(0x45);
    fail();
    code.op(0x20, 0, 0x40, 0, constant, 0x7f, wide ? 0x51 : 0x46, 0x04, 0x40);
    code.op(0x41, TRAP_REASON.growthFailed, 0x24);
    code.u32(this.#reasonGlobal);
    code.op(0x00, 0x0b);
    size();
    code.op(0x20, 0, wide ? 0x7d : 0x6b, 0x0f, 0x0b);
    code.op(0x20, 0, 0x40, 0);
  }

  #numericGlobals(): number[] {
    const indices: number[] = [];
    this.module.globals.forEach((global, index) => {
      if (global.mutable && !isReference(global.type)) indices.push(index);
    });
    return indices;
  }

  #referenceGlobals(): number[] {
    const indices: number[] = [];
    this.module.globals.forEach((global, index) => {
      if (global.mutable && isReference(global.type)) indices.push(index);
    });
    return indices;
  }

  #flagGlobals(): { global: number; kind: 'data' | 'element'; segment: number }[] {
    const flags = [
      ...[...this.#dataFlags].map(([segment, global]) => ({ global, kind: 'data' as const, segment })),
      ...[...this.#elementFlags].map(([segment, global]) => ({ global, kind: 'element' as const, segment })),
    ];
    return flags.sort((a, b) => a.kind.localeCompare(b.kind) || a.segment - b.segment);
  }

  /** Writes mutable globals and drop flags to the scratch space of the map's memory, or reads them from there. */
  #stateBody(code: ByteWriter, save: boolean): void {
    const flags = this.#flagGlobals();
    const items = [
      ...this.#numericGlobals().map((index) => ({
        index,
        type: (this.module.globals[index] as { type: number }).type,
      })),
      ...flags.map(({ global }) => ({ index: global, type: I32 })),
    ];
    items.forEach(({ index, type }, i) => {
      code.op(0x41, 0);
      const access = ACCESS.get(type) as { load: readonly number[]; store: readonly number[] };
      if (save) {
        code.u8(0x23);
        code.u32(index);
        code.op(...access.store);
        this.#mapAccess(code, MAP_SCRATCH + 16 * i);
      } else {
        code.op(...access.load);
        this.#mapAccess(code, MAP_SCRATCH + 16 * i);
        code.u8(0x24);
        code.u32(index);
      }
    });
    if (save) return;
    for (const { global, kind, segment } of flags) {
      code.u8(0x23);
      code.u32(global);
      code.op(0x04, 0x40, 0xfc, kind === 'data' ? 9 : 13);
      code.u32(segment);
      code.u8(0x0b);
    }
  }

  /** (apply): copies the active data segments where they belong when asked to, and drops them either way. */
  #dataBody(code: ByteWriter): void {
    const wide = this.memory64;
    this.module.data.forEach((segment, index) => {
      if (!segment.active || segment.offset === undefined) return;
      const offset = this.module.bytes.subarray(segment.offset.start, segment.offset.end - 1);
      const length = segment.content.end - segment.content.start;
      code.op(0x20, 0, 0x04, 0x40);
      code.append(offset);
      code.op(0x41, 0, 0x41);
      code.s32(length);
      code.op(0xfc, 8);
      code.u32(index);
      code.u8(0);
      if (this.barrier) {
        code.append(offset);
        code.u8(wide ? 0x42 : 0x41);
        code.s32(length);
        const mark = this.#helper('mark');
        code.u8(0x10);
        code.u32(mark);
      }
      code.u8(0x0b);
      code.op(0xfc, 9);
      code.u32(index);
    });
  }

  #markDataBody(code: ByteWriter): void {
    for (const segment of this.module.data) {
      if (!segment.active || segment.offset === undefined) continue;
      code.append(this.module.bytes.subarray(segment.offset.start, segment.offset.end - 1));
      code.u8(this.memory64 ? 0x42 : 0x41);
      code.s32(segment.content.end - segment.content.start);
      const mark = this.#helper('mark');
      code.u8(0x10);
      code.u32(mark);
    }
  }

  // --- the whole ------------------------------------------------------------------------------------------------------

  rewrite(): RewriteResult {
    const module = this.module;
    const rewriter = new FunctionRewriter(this);
    const code = new ByteWriter(module.bytes.length * 2 + 1024);
    const hints = new ByteWriter(1024);
    let hinted = 0;
    for (let i = 0; i < module.bodies.length; i++) {
      if (rewriter.rewrite(i, code, hints)) hinted++;
    }
    if (this.captureState) {
      this.#helper('save');
      this.#helper('load');
    }
    if (!this.#imported) {
      // What is exported, the caller's own JavaScript may change.
      for (const { kind, index } of module.exports) if (kind === 'table') this.tableWritten(index);
    }
    const activeData = this.#imported && module.data.some((segment) => segment.active);
    if (activeData) this.#helper('data');
    if (!this.#imported && this.barrier && module.data.some((segment) => segment.active)) this.#helper('markData');
    const entries = new Map<number, number>();
    if (this.stackGuard && this.selfHealing) {
      for (const { kind, index } of module.exports) {
        if (kind === 'function' && index >= module.importedFunctions && !entries.has(index)) {
          entries.set(index, this.#entry(index));
        }
      }
    }
    for (const body of this.#helperBodies) {
      code.u32(body.length);
      code.append(body);
    }
    return this.#assemble(code, hints, hinted, activeData, entries);
  }

  /** What is exported in a function's place: a call from outside starts with the whole stack, whatever trapped before. */
  #entry(index: number): number {
    const type = this.module.functions[index] as number;
    const code = new ByteWriter(32);
    code.u8(0);
    code.u8(0x23);
    code.u32(this.levelGlobal);
    code.op(0x45, 0x04, 0x40, 0x41);
    code.s32(this.stackBytes);
    code.u8(0x24);
    code.u32(this.depthGlobal);
    code.u8(0x0b);
    (this.module.types[type] as { parameters: readonly unknown[] }).parameters.forEach((_, local) => {
      code.u8(0x20);
      code.u32(local);
    });
    code.u8(0x10);
    code.u32(index);
    code.u8(0x0b);
    this.#helperTypes.push(type);
    this.#helperBodies.push(code.finish());
    return this.module.functions.length + this.#helperBodies.length - 1;
  }

  #assemble(
    code: ByteWriter,
    hints: ByteWriter,
    hinted: number,
    activeData: boolean,
    entries: ReadonlyMap<number, number>,
  ): RewriteResult {
    const module = this.module;
    const numericGlobals = this.#numericGlobals();
    const referenceGlobals = this.#referenceGlobals();
    const flags = this.#flagGlobals();
    const writtenTables = [...this.#writtenTables].sort((a, b) => a - b);
    const scratch = 16 * (numericGlobals.length + flags.length);
    let mapPages = MAP_WASM_PAGES;
    if (scratch > MAP_SCRATCH_BYTES) {
      if (this.#imported) throw new WasmError('limit', 'too many mutable globals');
      mapPages = Math.ceil((MAP_SCRATCH + scratch) / 65_536);
    }
    const captured = this.captureState && (writtenTables.length > 0 || referenceGlobals.length > 0);
    const functionTable = captured ? module.tables.length : -1;
    // A module by itself exports functions of ours in place of its own: they may come back into its tables.
    const referable = module.functions.length + (this.#imported ? 0 : this.#helperBodies.length);

    const out = new ByteWriter(code.length + hints.length + module.bytes.length / 4 + 4096);
    out.append(module.bytes.subarray(0, 8));
    const section = (id: number, content: ByteWriter): void => {
      out.u8(id);
      out.u32(content.length);
      out.append(content.view());
    };
    /** The original section with things appended to its vector. */
    const extended = (id: number, count: number, more: number, write: (content: ByteWriter) => void): void => {
      if (count + more === 0) return;
      const content = new ByteWriter(256);
      content.u32(count + more);
      this.#copyVector(id, content);
      write(content);
      section(id, content);
    };
    const importedHeap = this.#imported && module.memories.length > 0;

    extended(1, module.types.length, this.#addedTypes.length, (content) => {
      for (const type of this.#addedTypes) content.append(type);
    });
    const importedMemories = this.#imported ? (importedHeap ? 1 : 0) + (this.#hasMap ? 1 : 0) : 0;
    extended(2, module.imports.length, importedMemories, (content) => {
      if (!this.#imported) return;
      if (importedHeap) {
        const { minimum, is64 } = module.memories[0] as { minimum: bigint; is64: boolean };
        content.name(HOST_MODULE);
        content.name('heap');
        // The host's memory may be larger at any time; only its width must fit.
        content.op(2, is64 ? 4 : 0);
        void minimum;
        content.u32(0);
      }
      if (this.#hasMap) {
        content.name(HOST_MODULE);
        content.name('map');
        content.op(2, 0);
        content.u32(MAP_WASM_PAGES);
      }
    });
    const defined = module.functions.length - module.importedFunctions;
    extended(3, defined, this.#helperBodies.length, (content) => {
      for (const type of this.#helperTypes) content.u32(type);
    });
    extended(4, module.tables.length - module.importedTables, captured ? 1 : 0, (content) => {
      if (!captured) return;
      content.op(0x70, 0);
      content.u32(referable);
    });
    if (this.#imported) {
      // Both memories are imported.
    } else {
      extended(5, module.memories.length - module.importedMemories, this.#hasMap ? 1 : 0, (content) => {
        if (!this.#hasMap) return;
        content.u8(1);
        content.u32(mapPages);
        content.u32(mapPages);
      });
    }
    extended(6, module.globals.length - module.importedGlobals, this.#globals.length, (content) => {
      for (const { type, init } of this.#globals) {
        content.op(...type);
        content.append(Uint8Array.from(init));
      }
    });
    const exports = new ByteWriter(256);
    let exported = 0;
    const add = (name: string, kind: number, index: number): void => {
      exported++;
      exports.name(RESERVED_PREFIX + name);
      exports.u8(kind);
      exports.u32(index);
    };
    this.#globals.forEach(({ name }, i) => {
      if (name !== undefined) add(name, 3, module.globals.length + i);
    });
    for (const index of referenceGlobals) add(`global:${index}`, 3, index);
    module.tables.forEach((_, index) => {
      add(`table:${index}`, 1, index);
    });
    if (captured) add('functions', 1, functionTable);
    for (const name of ['save', 'load', 'data', 'markData'] as const) {
      const helper = this.#helpers.get(name);
      if (helper !== undefined) add(name, 0, helper);
    }
    if (!this.#imported) {
      if (module.memories.length > 0) add('heap', 2, 0);
      if (this.#hasMap) add('map', 2, this.mapMemory);
    }
    if (this.#imported && module.start !== undefined) add('start', 0, module.start);
    if (module.exports.length + exported > 0) {
      const content = new ByteWriter(256);
      content.u32(module.exports.length + exported);
      for (const { name, kind, index } of module.exports) {
        content.name(name);
        content.u8(KINDS.indexOf(kind));
        content.u32(kind === 'function' ? (entries.get(index) ?? index) : index);
      }
      content.append(exports.view());
      section(7, content);
    }
    if (!this.#imported) this.#copySection(8, out);
    extended(9, module.elements.length, captured || entries.size > 0 ? 1 : 0, (content) => {
      if (!captured) {
        if (entries.size === 0) return;
        // An export declares a function for `ref.func`: those in whose place ours are exported stay declared.
        content.op(3, 0);
        content.u32(entries.size);
        for (const index of entries.keys()) content.u32(index);
        return;
      }
      content.u32(2);
      content.u32(functionTable);
      content.op(0x41, 0, 0x0b, 0);
      content.u32(referable);
      for (let i = 0; i < referable; i++) content.u32(i);
    });
    if (module.dataCount !== undefined || activeData) {
      const content = new ByteWriter(8);
      content.u32(module.data.length);
      section(12, content);
    }
    if (hinted > 0) {
      const content = new ByteWriter(hints.length + 64);
      content.name('metadata.code.branch_hint');
      content.u32(hinted);
      content.append(hints.view());
      section(0, content);
    }
    const bodies = defined + this.#helperBodies.length;
    if (bodies > 0) {
      const content = new ByteWriter(8);
      content.u32(bodies);
      out.u8(10);
      out.u32(content.length + code.length);
      out.append(content.view());
      out.append(code.view());
    }
    if (activeData) this.#passiveData(section);
    else this.#copySection(11, out);
    for (const custom of module.customSections) {
      if (custom.name !== 'name') continue;
      const content = new ByteWriter(custom.content.end - custom.content.start + 8);
      content.name('name');
      content.append(module.bytes.subarray(custom.content.start, custom.content.end));
      section(0, content);
    }
    return {
      bytes: out.finish(),
      module,
      memory: this.#imported ? 'imported' : 'own',
      metering: this.metering,
      writeBarrier: this.barrier,
      stackGuard: this.stackGuard,
      captureState: this.captureState,
      stackBytes: this.stackBytes,
      hasHeap: module.memories.length > 0,
      hasMap: this.#hasMap,
      numericGlobals,
      referenceGlobals,
      writtenTables,
      dropFlags: flags.length,
    };
  }

  #find(id: number): Section | undefined {
    return this.module.sections.find((section) => section.id === id);
  }

  /** The items of a section's vector, without its count. */
  #copyVector(id: number, content: ByteWriter): void {
    const section = this.#find(id);
    if (section === undefined) return;
    const reader = new ByteReader(this.module.bytes, section.start, section.end);
    reader.u32();
    const from = reader.pos;
    if (id === 5 && this.#imported) return;
    content.copy(this.module.bytes, from, section.end);
  }

  #copySection(id: number, out: ByteWriter): void {
    const section = this.#find(id);
    if (section === undefined) return;
    out.copy(this.module.bytes, section.header, section.end);
  }

  /** The data section with every active segment made passive. */
  #passiveData(section: (id: number, content: ByteWriter) => void): void {
    const module = this.module;
    const content = new ByteWriter(1024);
    content.u32(module.data.length);
    for (const segment of module.data) this.#passive(segment, content);
    section(11, content);
  }

  #passive(segment: DataSegment, content: ByteWriter): void {
    const { start, end }: Range = segment.content;
    content.u8(1);
    content.u32(end - start);
    content.append(this.module.bytes.subarray(start, end));
  }
}

const KINDS: readonly ExternalKind[] = ['function', 'table', 'memory', 'global'];

const ACCESS: ReadonlyMap<number, { load: readonly number[]; store: readonly number[] }> = new Map([
  [I32, { load: [0x28], store: [0x36] }],
  [I64, { load: [0x29], store: [0x37] }],
  [F32, { load: [0x2a], store: [0x38] }],
  [F64, { load: [0x2b], store: [0x39] }],
  [V128, { load: [0xfd, 0], store: [0xfd, 11] }],
]);

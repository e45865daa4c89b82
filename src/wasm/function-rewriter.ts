import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { MAP_LEVEL1, MAP_LEVEL2_SHIFT, PAGE_SHIFT, SLACK } from './map-layout.ts';
import type { FunctionBody, FunctionType, WasmModule } from './module.ts';
import {
  accessOf,
  FC,
  FD,
  IMMEDIATE,
  immediateOf,
  NAN,
  nanOf,
  popsOf,
  pushOf,
  quickOf,
  REFUSED,
  refusedOf,
  storeBytesOf,
  storeTypeOf,
  weightOf,
} from './opcode.ts';
import {
  encodeValueType,
  F32,
  F64,
  I32,
  I64,
  nullableReference,
  readHeapType,
  readValueType,
  V128,
  type ValueType,
} from './value-type.ts';
import { WasmError } from './wasm-error.ts';

/** What the rewriter of bodies needs from the rewriter of the module around them. */
export interface RewritePlan {
  readonly module: WasmModule;
  readonly metering: boolean;
  readonly barrier: boolean;
  readonly stackGuard: boolean;
  readonly canonicalNaN: boolean;
  readonly captureState: boolean;
  readonly growthGuard: boolean;
  /** Without a host that resets the depth after a trap, the module does it itself where it can. */
  readonly selfHealing: boolean;
  /** Allows what V8 runs and canisters may not use: `call_ref` and its kin. */
  readonly typedReferences: boolean;
  /** A function whose frame alone exceeds the stack is refused; else it traps when called. */
  readonly refuseLargeFrames: boolean;
  readonly stackBytes: number;
  readonly tableElementsMax: number;
  readonly memory64: boolean;
  /** Memory index of the page map. */
  readonly mapMemory: number;
  readonly counterGlobal: number;
  readonly depthGlobal: number;
  /** How many calls to the host are under way, or -1 where nobody asks. */
  readonly levelGlobal: number;
  /** Function index of an appended function, made on first use. */
  helper(name: HelperName): number;
  /** Index of a type with no parameters and these results. */
  resultType(results: readonly ValueType[]): number;
  /** Global that says that a segment was dropped. */
  dataFlag(segment: number): number;
  elementFlag(segment: number): number;
  /** The code may change this table. */
  tableWritten(table: number): void;
}

/**
 * - `slow(counter) -> counter`: the counter ran below zero
 * - `enterSlow(counter, depth) -> counter`: either it or the stack did, at a function's entry
 * - `overflow()`: traps for the stack
 * - `charge(length)`: subtracts a bulk operation's length from the counter in the global
 * - `mark(address, length)`: marks the pages of a range
 * - `grow(delta) -> previous`: memory.grow behind the host's word
 */
export type HelperName = 'slow' | 'enterSlow' | 'overflow' | 'charge' | 'mark' | 'grow';

// How an operand's float bits came about.
const CLEAN = 0;
const SCALAR = 1;
const LANES32 = 2;
const LANES64 = 3;
const NEVER_NAN = 4;
/** While locals are being classified: whatever local (class - VARIABLE) holds. */
const VARIABLE = 16;

// Numbers of values that are not numbered one by one.
const UNKNOWN = -1;
const CONSTANT = 0;

// Kinds of control frames: the opcode less 2 (block 0, loop 1, if 2), or the function itself.
const LOOP = 1;
const FUNCTION = 3;

/** State of the counter: in the local, in the global, in both. */
const IN_LOCAL = 0;
const IN_GLOBAL = 1;
const IN_BOTH = 2;

const FACTS_MAX = 64;
/** Stores of one loop that keep their last page in a local. */
const SITES_MAX = 4;
/** And such locals in one function: each is set at its entry. */
const SITE_LOCALS_MAX = 8;
/** V8 refuses larger bodies. */
const BODY_BYTES_MAX = 7_654_321;
const LOCALS_MAX = 50_000;
/**
 * Bytes of a frame besides its locals and operands, an upper bound for every tier. Half of it is for what instrumentation
 * adds and for parameters and results that do not fit into registers; where they need more, they are charged.
 */
const FRAME_FIXED_BYTES = 256;
/** A function without calls and with no more locals than this adds too little to be worth a check. */
const LEAF_LOCALS_MAX = 128;

interface Signature {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

const EMPTY: readonly ValueType[] = [];
const NO_SIGNATURE: Signature = { parameters: EMPTY, results: EMPTY };

interface Control {
  kind: number;
  signature: Signature;
  height: number;
  facts: number;
  counter: number;
  /** Position in the source where it opened. */
  start: number;
  /** How many closed ranges there were. */
  closed: number;
  /** Which loop it is, in order of appearance; -1 for what is no loop. */
  loop: number;
}

/** Rewrites one body after the other; holds the scratch space. */
export class FunctionRewriter {
  readonly #plan: RewritePlan;
  readonly #module: WasmModule;
  readonly #source: Uint8Array;
  readonly #reader: ByteReader;
  readonly #memory64: boolean;

  // The body at hand.
  #pos = 0;
  #copied = 0;
  readonly #out = new ByteWriter(1 << 16);
  readonly #prologue = new ByteWriter(256);
  readonly #declarations = new ByteWriter(256);
  readonly #hints: number[] = [];
  readonly #localTypes: ValueType[] = [];
  #parameters = 0;
  readonly #added: ValueType[] = [];
  #temporaries = new Map<number, number>();
  #counterLocal = -1;
  #counterState = IN_LOCAL;
  #depthMax = 0;
  /** Results of the call with the most of them. */
  #resultBytesMax = 0;
  #usesVectors = false;
  #pageLocal = -1;

  // What the scan found.
  /** Basic blocks with an instruction that traps by its operands, other than on memory. */
  readonly #trapping: boolean[] = [];
  readonly #segments: number[] = [];
  #segment = 0;
  #hasCalls = false;
  #hasLoops = false;
  #hasArithmetic = false;
  #branchesToFunction = false;
  #returns = 0;
  readonly #lastAssigned: number[] = [];
  /** Stores in each loop, or -1 where it calls or holds other loops: only tight loops keep pages in locals. */
  readonly #loopStores: number[] = [];

  // Abstract operands: type; float class; the value as a numbered value plus a distance, UNKNOWN where it has no number;
  // and the local plus a distance that it was read from, or -1.
  readonly #type: ValueType[] = [];
  readonly #class: number[] = [];
  readonly #value: number[] = [];
  readonly #delta: number[] = [];
  readonly #local_: number[] = [];
  readonly #localDelta: number[] = [];
  #height = 0;

  readonly #control: Control[] = [];
  // What each local holds, and the source position since when; see `#read`.
  readonly #localValue: number[] = [];
  readonly #localValueDelta: number[] = [];
  readonly #since: number[] = [];
  #nextValue = 1;
  // Closed ranges of the source, ascending and apart: blocks at whose ends other paths joined.
  readonly #closedStart: number[] = [];
  readonly #closedEnd: number[] = [];
  #closed = 0;
  // The innermost loop: where it starts, which one it is, and how many of its stores keep their last page in a local.
  #loopStart = -1;
  #loop = -1;
  #loops = 0;
  #sites = 0;
  /** Locals with the page that a store in a tight loop marked last; loops that do not nest share them. */
  readonly #siteLocals = new Map<number, number>();

  // Marked already: bytes [low, high) from a numbered value.
  readonly #factValue: number[] = [];
  readonly #factLow: number[] = [];
  readonly #factHigh: number[] = [];
  #facts = 0;

  // Float class of each local, and what is learnt about it while classifying.
  readonly #localClass: number[] = [];
  #classifying = false;
  /** The NaN rule is on and the function has arithmetic that makes NaNs. */
  #floats = false;
  #shapes: number[] = [];
  #edges: number[] = [];

  constructor(plan: RewritePlan) {
    this.#plan = plan;
    this.#module = plan.module;
    this.#source = plan.module.bytes;
    this.#reader = new ByteReader(this.#source);
    this.#memory64 = plan.memory64;
  }

  /** Writes the rewritten body with its size, and its branch hints if it has any; says whether it has. */
  rewrite(index: number, code: ByteWriter, hints: ByteWriter): boolean {
    const plan = this.#plan;
    const module = this.#module;
    const body = module.bodies[index] as FunctionBody;
    const type = module.types[module.functions[module.importedFunctions + index] as number] as FunctionType;
    this.#localTypes.length = 0;
    for (const parameter of type.parameters) this.#localTypes.push(parameter);
    this.#parameters = type.parameters.length;
    for (const group of body.locals) for (let i = 0; i < group.count; i++) this.#localTypes.push(group.type);
    if (this.#localTypes.length > LOCALS_MAX) {
      throw new WasmError('limit', `more than ${LOCALS_MAX} locals`, body.range.start);
    }
    this.#reader.end = body.range.end;
    this.#scan(body);
    this.#largeLeaf = false;
    this.#classify(body, type);
    this.#emit(body, type);
    if (plan.stackGuard && !this.#guarded && this.#depthMax + this.#added.length > LEAF_LOCALS_MAX) {
      this.#largeLeaf = true;
      this.#emit(body, type);
    }
    return this.#assemble(index, body, type, code, hints);
  }

  // --- decoding -----------------------------------------------------------------------------------------------------

  #u32(): number {
    const source = this.#source;
    const byte = source[this.#pos] as number;
    if (byte < 0x80) {
      this.#pos++;
      return byte;
    }
    const reader = this.#reader;
    reader.pos = this.#pos;
    const value = reader.u32();
    this.#pos = reader.pos;
    return value;
  }

  #opcode(): number {
    const at = this.#pos;
    if (at >= this.#reader.end) this.#reader.fail('unexpected end', at);
    let op = this.#source[this.#pos++] as number;
    if (op >= 0xfc && op <= 0xfd) {
      const sub = this.#u32();
      op = sub >= (op === 0xfc ? 256 : 512) ? 0x27 : (op === 0xfc ? FC : FD) + sub;
    }
    const refused = refusedOf[op] as number;
    if (refused !== REFUSED.none && !(refused === REFUSED.typedReferences && this.#plan.typedReferences)) {
      this.#refuse(op, at);
    }
    return op;
  }

  #refuse(op: number, at: number): never {
    switch (refusedOf[op]) {
      case REFUSED.exceptions:
        throw new WasmError('unsupported_feature', 'exceptions are not supported', at);
      case REFUSED.gc:
        throw new WasmError('unsupported_feature', 'gc instructions are not supported', at);
      case REFUSED.threads:
        throw new WasmError('unsupported_feature', 'threads are not supported', at);
      case REFUSED.relaxedSimd:
        throw new WasmError('unsupported_feature', 'relaxed SIMD is not supported', at);
      case REFUSED.typedReferences:
        throw new WasmError('unsupported_feature', 'typed function references are not supported', at);
      default:
        throw new WasmError('malformed', 'illegal opcode', at);
    }
  }

  #skipLeb(): void {
    const source = this.#source;
    const end = this.#reader.end;
    while (this.#pos < end && (source[this.#pos] as number) >= 0x80) this.#pos++;
    this.#pos++;
  }

  /** Moves past the immediates of an instruction. */
  #skip(op: number): void {
    switch (immediateOf[op]) {
      case IMMEDIATE.none:
        return;
      case IMMEDIATE.index:
      case IMMEDIATE.i32:
      case IMMEDIATE.i64:
      case IMMEDIATE.memoryIndex:
        this.#skipLeb();
        return;
      case IMMEDIATE.indexPair:
      case IMMEDIATE.memoryIndexPair:
      case IMMEDIATE.segmentMemory:
        this.#skipLeb();
        this.#skipLeb();
        return;
      case IMMEDIATE.memory:
        this.#memoryIndex();
        this.#skipLeb();
        return;
      case IMMEDIATE.memoryLane:
        this.#memoryIndex();
        this.#skipLeb();
        this.#pos++;
        return;
      case IMMEDIATE.blockType:
        this.#blockType();
        return;
      case IMMEDIATE.branchTable:
        for (let left = this.#u32() + 1; left > 0; left--) {
          if (this.#pos >= this.#reader.end) this.#reader.fail('unexpected end', this.#pos);
          this.#skipLeb();
        }
        return;
      case IMMEDIATE.bytes4:
        this.#pos += 4;
        return;
      case IMMEDIATE.bytes8:
        this.#pos += 8;
        return;
      case IMMEDIATE.bytes16:
        this.#pos += 16;
        return;
      case IMMEDIATE.lane:
        this.#pos++;
        return;
      case IMMEDIATE.types:
        this.#types();
        return;
      case IMMEDIATE.heapType:
        this.#heapType();
        return;
    }
  }

  /** The alignment field, which also says whether another memory than the first is meant. */
  #memoryIndex(): void {
    const at = this.#pos;
    const flags = this.#u32();
    if (flags & 0x40) {
      const memory = this.#u32();
      if (memory !== 0) throw new WasmError('unsupported_feature', 'multiple memories are not supported', at);
    }
  }

  #blockType(): Signature {
    const byte = this.#source[this.#pos] as number;
    if (byte === 0x40) {
      this.#pos++;
      return NO_SIGNATURE;
    }
    const reader = this.#reader;
    reader.pos = this.#pos;
    if ((byte & 0xc0) === 0x40) {
      const results = [readValueType(reader, true)];
      this.#pos = reader.pos;
      return { parameters: EMPTY, results };
    }
    const index = reader.s33();
    this.#pos = reader.pos;
    const type = this.#module.types[index];
    if (type === undefined) return reader.fail('unknown type');
    return type;
  }

  #types(): ValueType[] {
    const reader = this.#reader;
    reader.pos = this.#pos;
    const types: ValueType[] = [];
    for (let left = reader.count(); left > 0; left--) types.push(readValueType(reader, true));
    this.#pos = reader.pos;
    return types;
  }

  #heapType(): number {
    const reader = this.#reader;
    reader.pos = this.#pos;
    const heap = readHeapType(reader);
    this.#pos = reader.pos;
    return heap;
  }

  /** From after an unconditional jump to the `else` or `end` that code is reachable from again. */
  #skipDead(): void {
    for (let depth = 0; ; ) {
      const at = this.#pos;
      const op = this.#opcode();
      if (op === 0x0b || (op === 0x05 && depth === 0)) {
        if (depth === 0) {
          this.#pos = at;
          return;
        }
        depth--;
      } else if (op >= 0x02 && op <= 0x04) depth++;
      this.#skip(op);
    }
  }

  // --- first pass: weights of basic blocks, and what the function does at all ----------------------------------------

  #scan(body: FunctionBody): void {
    const segments = this.#segments;
    segments.length = 0;
    this.#trapping.length = 0;
    this.#hasCalls = false;
    this.#hasLoops = false;
    this.#hasArithmetic = false;
    this.#branchesToFunction = false;
    this.#returns = 0;
    this.#usesVectors = this.#localTypes.includes(V128);
    const lastAssigned = this.#lastAssigned;
    for (let i = 0; i < this.#localTypes.length; i++) lastAssigned[i] = -1;
    const loopStores = this.#loopStores;
    loopStores.length = 0;
    // The loops that are open, and at which depth.
    const loops: number[] = [];
    const loopDepths: number[] = [];
    const notTight = (): void => {
      const loop = loops[loops.length - 1];
      if (loop !== undefined) loopStores[loop] = -1;
    };
    const accessWeight = this.#memory64 ? 2 : 1;
    const end = body.range.end;
    let depth = 0;
    // A function costs 1 beyond its instructions.
    let cost = 1;
    this.#pos = body.code;
    const source = this.#source;
    for (;;) {
      // The short path: most instructions, without leaving this loop.
      let pos = this.#pos;
      for (;;) {
        const byte = source[pos] as number;
        if (quickOf[byte] === 1) {
          pos++;
          const weight = weightOf[byte] as number;
          cost += weight;
          // Divisions.
          if (weight > 1) this.#trapping[segments.length] = true;
        } else if (byte === 0x20 || byte === 0x41 || byte === 0x42) {
          pos++;
          while ((source[pos] as number) >= 0x80) pos++;
          pos++;
          cost += 1;
        } else break;
      }
      this.#pos = pos;
      const at = this.#pos;
      const op = this.#opcode();
      cost += accessOf[op] === 1 ? accessWeight : (weightOf[op] as number);
      switch (op) {
        case 0x03:
          this.#hasLoops = true;
          this.#skip(op);
          depth++;
          notTight();
          loops.push(loopStores.length);
          loopDepths.push(depth);
          loopStores.push(0);
          segments.push(cost);
          cost = 0;
          break;
        case 0x02:
          this.#skip(op);
          depth++;
          break;
        case 0x04:
          this.#skip(op);
          depth++;
          segments.push(cost);
          cost = 0;
          break;
        case 0x05:
          segments.push(cost);
          cost = 0;
          break;
        case 0x0b:
          segments.push(cost);
          cost = 0;
          if (depth === 0) {
            if (this.#pos !== end) this.#reader.fail('operators remaining after end of function', this.#pos);
            return;
          }
          if (loopDepths[loopDepths.length - 1] === depth) {
            loops.pop();
            loopDepths.pop();
          }
          depth--;
          break;
        case 0x0d:
        case 0xd5:
        case 0xd6:
          if (this.#u32() === depth) this.#branchesToFunction = true;
          segments.push(cost);
          cost = 0;
          break;
        case 0x0c:
          if (this.#u32() === depth) this.#branchesToFunction = true;
          segments.push(cost);
          cost = 0;
          this.#skipDead();
          break;
        case 0x0e:
          for (let left = this.#u32() + 1; left > 0; left--) {
            if (this.#pos >= end) this.#reader.fail('unexpected end', this.#pos);
            if (this.#u32() === depth) this.#branchesToFunction = true;
          }
          segments.push(cost);
          cost = 0;
          this.#skipDead();
          break;
        case 0x0f:
          this.#returns++;
          segments.push(cost);
          cost = 0;
          this.#skipDead();
          break;
        case 0x00:
          segments.push(cost);
          cost = 0;
          this.#skipDead();
          break;
        case 0x10:
        case 0x11:
        case 0x14:
          this.#hasCalls = true;
          notTight();
          this.#skip(op);
          break;
        case 0x12:
        case 0x13:
        case 0x15:
          this.#hasCalls = true;
          this.#skip(op);
          segments.push(cost);
          cost = 0;
          this.#skipDead();
          break;
        case 0x20:
          this.#skipLeb();
          break;
        case 0x21:
        case 0x22:
          lastAssigned[this.#u32()] = at;
          break;
        default: {
          const nan = nanOf[op] as number;
          if (nan === NAN.arithmetic || (nan >= NAN.arithmetic32x4 && nan <= NAN.promote)) this.#hasArithmetic = true;
          if (op >= FD) this.#usesVectors = true;
          if ((op >= 0xa8 && op <= 0xb1) || op === 0x25 || op === 0x26) this.#trapping[segments.length] = true;
          if ((storeBytesOf[op] as number) > 0 && loops.length > 0) {
            const loop = loops[loops.length - 1] as number;
            if ((loopStores[loop] as number) >= 0) loopStores[loop] = (loopStores[loop] as number) + 1;
          }
          this.#skip(op);
        }
      }
    }
  }

  // --- NaN rule: which locals hold results of arithmetic only ---------------------------------------------------------

  #classify(body: FunctionBody, type: FunctionType): void {
    const count = this.#localTypes.length;
    const classes = this.#localClass;
    for (let i = 0; i < count; i++) classes[i] = CLEAN;
    this.#floats = this.#plan.canonicalNaN && this.#hasArithmetic;
    if (!this.#floats) return;
    // Shape bits: 1 scalar, 2 f32 lanes, 4 f64 lanes, 8 anything moved (its bits must stay).
    const shapes = new Array<number>(count).fill(0);
    for (let i = 0; i < this.#parameters; i++) shapes[i] = 8;
    this.#shapes = shapes;
    this.#edges = [];
    this.#classifying = true;
    this.#emit(body, type);
    this.#classifying = false;
    const edges = this.#edges;
    for (let changed = true; changed; ) {
      changed = false;
      for (let i = 0; i < edges.length; i += 2) {
        const from = shapes[edges[i] as number] as number;
        const to = edges[i + 1] as number;
        const joined = from | (shapes[to] as number);
        if (joined !== shapes[to]) {
          shapes[to] = joined;
          changed = true;
        }
      }
    }
    for (let i = this.#parameters; i < count; i++) {
      const shape = shapes[i];
      classes[i] =
        shape === 1 ? SCALAR : shape === 2 ? LANES32 : shape === 4 ? LANES64 : shape === 0 ? NEVER_NAN : CLEAN;
    }
  }

  /** The class that reading a local gives. */
  #classOfLocal(local: number): number {
    const type = this.#localTypes[local] as number;
    if (type !== F32 && type !== F64 && type !== V128) return CLEAN;
    if (this.#classifying) return local < this.#parameters ? CLEAN : VARIABLE + local;
    return this.#localClass[local] as number;
  }

  /** Notes, or enforces, what assigning the top operand to a local does to its class. */
  #assign(local: number): void {
    if (!this.#floats) return;
    const type = this.#localTypes[local] as number;
    if (type !== F32 && type !== F64 && type !== V128) return;
    const top = this.#class[this.#height - 1] as number;
    if (this.#classifying) {
      if (top >= VARIABLE) this.#edges.push(top - VARIABLE, local);
      else if (top !== NEVER_NAN) {
        const shape = top === CLEAN ? 8 : top === SCALAR ? 1 : top === LANES32 ? 2 : 4;
        this.#shapes[local] = (this.#shapes[local] as number) | shape;
      }
      return;
    }
    if (this.#localClass[local] !== top) this.#observe(1, 0);
  }

  #isDirty(value: number): boolean {
    return value === SCALAR || value === LANES32 || value === LANES64;
  }

  /** Makes `count` operands under the top `under` ones show canonical bits only. */
  #observe(count: number, under: number): void {
    if (!this.#floats) return;
    const from = Math.max(0, this.#height - under - count);
    const to = this.#height - under;
    let deepest = -1;
    for (let i = from; i < to; i++) {
      if (this.#isDirty(this.#class[i] as number)) {
        deepest = i;
        break;
      }
    }
    if (deepest < 0) return;
    this.#flush();
    const out = this.#out;
    const top = this.#height - 1;
    const spilled: number[] = [];
    for (let i = top; i > deepest; i--) {
      const local = this.#temporary(this.#type[i] as number, 8 + top - i);
      spilled.push(local);
      out.u8(0x21);
      out.u32(local);
    }
    this.#canonicalize(deepest);
    for (let i = deepest + 1; i <= top; i++) {
      out.u8(0x20);
      out.u32(spilled.pop() as number);
      if (i < to && this.#isDirty(this.#class[i] as number)) this.#canonicalize(i);
    }
  }

  /** Emits code that makes the operand on the real stack's top canonical; `slot` is where it is kept here. */
  #canonicalize(slot: number): void {
    const out = this.#out;
    const type = this.#type[slot] as number;
    const local = this.#temporary(type, 7);
    if (type === V128) {
      const lanes32 = this.#class[slot] === LANES32;
      // bitselect(v, canonical, v == v)
      out.u8(0x22);
      out.u32(local);
      out.op(0xfd, 0x0c);
      for (let i = 0; i < 16; i++) {
        const byte = lanes32 ? [0, 0, 0xc0, 0x7f][i & 3] : [0, 0, 0, 0, 0, 0, 0xf8, 0x7f][i & 7];
        out.u8(byte as number);
      }
      out.u8(0x20);
      out.u32(local);
      out.u8(0x20);
      out.u32(local);
      if (lanes32) out.op(0xfd, 65);
      else out.op(0xfd, 71);
      out.op(0xfd, 82);
    } else {
      out.u8(0x22);
      out.u32(local);
      out.u8(0x20);
      out.u32(local);
      // x >= x fails for a NaN only, and takes one jump where x != x takes two.
      out.op(type === F32 ? 0x60 : 0x66, 0x45);
      this.#coldIf();
      if (type === F32) out.op(0x43, 0, 0, 0xc0, 0x7f);
      else out.op(0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f);
      out.u8(0x21);
      out.u32(local);
      out.op(0x0b, 0x20);
      out.u32(local);
    }
    this.#class[slot] = CLEAN;
  }

  // --- emitting -----------------------------------------------------------------------------------------------------

  /** Copies the source up to the instruction at hand. */
  #flushTo(position: number): void {
    if (position > this.#copied) {
      this.#out.copy(this.#source, this.#copied, position);
      this.#copied = position;
    }
  }

  #at = 0;

  #flush(): void {
    this.#flushTo(this.#at);
  }

  /** Leaves the instruction at hand out of the copy. */
  #replace(): void {
    this.#flush();
    this.#copied = this.#pos;
  }

  #coldIf(): void {
    this.#hints.push(this.#out.length);
    this.#out.op(0x04, 0x40);
  }

  #newLocal(type: ValueType): number {
    this.#added.push(type);
    return this.#localTypes.length + this.#added.length - 1;
  }

  #temporary(type: ValueType, slot: number): number {
    const key = type * 4096 + slot;
    let local = this.#temporaries.get(key);
    if (local === undefined) {
      local = this.#newLocal(type);
      this.#temporaries.set(key, local);
    }
    return local;
  }

  #push(
    type: ValueType,
    floatClass: number = CLEAN,
    value: number = UNKNOWN,
    delta = 0,
    local = -1,
    localDelta = 0,
  ): void {
    const at = this.#height++;
    this.#type[at] = type;
    this.#class[at] = floatClass;
    this.#value[at] = value;
    this.#delta[at] = delta;
    this.#local_[at] = local;
    this.#localDelta[at] = localDelta;
    if (this.#height > this.#depthMax) this.#depthMax = this.#height;
    if (type === V128) this.#usesVectors = true;
  }

  // --- values of locals, numbered, so that marks of the same base are seen to be the same ------------------------------

  /** Whether what is known since a position may not hold here: another path joined, or a loop may have changed it. */
  #isStale(local: number): boolean {
    const since = this.#since[local] as number;
    if (since < this.#loopStart && (this.#lastAssigned[local] as number) > this.#loopStart) return true;
    let low = 0;
    let high = this.#closed;
    if (high === 0 || (this.#closedEnd[high - 1] as number) <= since) return false;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#closedEnd[middle] as number) <= since) low = middle + 1;
      else high = middle;
    }
    return low < this.#closed && (this.#closedStart[low] as number) <= since;
  }

  #read(local: number): void {
    if (this.#isStale(local)) {
      this.#localValue[local] = this.#nextValue++;
      this.#localValueDelta[local] = 0;
      this.#since[local] = this.#at;
    }
    const top = this.#height++;
    this.#type[top] = this.#localTypes[local] as number;
    this.#class[top] = this.#floats ? this.#classOfLocal(local) : CLEAN;
    this.#value[top] = this.#localValue[local] as number;
    this.#delta[top] = this.#localValueDelta[local] as number;
    this.#local_[top] = local;
    this.#localDelta[top] = 0;
    if (top >= this.#depthMax) this.#depthMax = top + 1;
  }

  /** Takes the top operand into a local. */
  #write(local: number): void {
    const top = this.#height - 1;
    const value = this.#value[top] as number;
    this.#localValue[local] = value === UNKNOWN ? this.#nextValue++ : value;
    this.#localValueDelta[local] = value === UNKNOWN ? 0 : (this.#delta[top] as number);
    this.#since[local] = this.#at;
    this.#pop(1);
  }

  /** At the end of a block where paths join: what was learnt inside does not hold behind. */
  #join(frame: Control): void {
    this.#closed = frame.closed;
    this.#closedStart[this.#closed] = frame.start;
    this.#closedEnd[this.#closed] = this.#pos;
    this.#closed++;
    this.#facts = Math.min(this.#facts, frame.facts);
  }

  #innermostLoop(): void {
    this.#loopStart = -1;
    this.#loop = -1;
    for (let i = this.#control.length - 1; i >= 0; i--) {
      const frame = this.#control[i] as Control;
      if (frame.kind === LOOP) {
        this.#loopStart = frame.start;
        this.#loop = frame.loop;
        return;
      }
    }
  }

  #pop(count: number): void {
    this.#height -= count;
    if (this.#height < 0) this.#reader.fail('type mismatch', this.#at);
  }

  #pushAll(types: readonly ValueType[]): void {
    for (const type of types) this.#push(type);
  }

  // Metering. `direct` functions have one charge only and take it from the global at once.
  #direct = false;

  #loadCounter(): void {
    if (!this.#plan.metering || this.#direct || this.#counterState !== IN_GLOBAL) return;
    this.#flush();
    const out = this.#out;
    out.u8(0x23);
    out.u32(this.#plan.counterGlobal);
    out.u8(0x21);
    out.u32(this.#counterLocal);
    this.#counterState = IN_BOTH;
  }

  #storeCounter(): void {
    if (!this.#plan.metering || this.#direct || this.#counterState !== IN_LOCAL) return;
    this.#flush();
    const out = this.#out;
    out.u8(0x20);
    out.u32(this.#counterLocal);
    out.u8(0x24);
    out.u32(this.#plan.counterGlobal);
    this.#counterState = IN_BOTH;
  }

  /** Charges the basic block that starts at the position. */
  #nextSegment(reentrant: boolean): void {
    const cost = this.#segments[++this.#segment] as number;
    if (!this.#plan.metering || (cost === 0 && !reentrant)) return;
    this.#loadCounterAt(this.#pos);
    this.#flushTo(this.#pos);
    const out = this.#out;
    const local = this.#counterLocal;
    out.u8(0x20);
    out.u32(local);
    // Outside of loops, and where a division may trap, the global is kept exact; in loops that costs too much.
    const traps = this.#trapping[this.#segment] === true;
    const exact = !reentrant && (this.#loop < 0 || traps);
    if (cost > 0) {
      out.u8(0x42);
      out.s32(cost);
      out.u8(0x7d);
      out.u8(reentrant || exact ? 0x22 : 0x21);
      out.u32(local);
    }
    this.#counterState = IN_LOCAL;
    if (exact) {
      out.u8(0x24);
      out.u32(this.#plan.counterGlobal);
      this.#counterState = IN_BOTH;
    }
    if (!reentrant) return;
    out.op(0x42, 0, 0x53);
    this.#coldIf();
    out.u8(0x20);
    out.u32(local);
    out.u8(0x10);
    out.u32(this.#plan.helper('slow'));
    out.u8(0x21);
    out.u32(local);
    out.u8(0x0b);
    if (!traps) return;
    out.u8(0x20);
    out.u32(local);
    out.u8(0x24);
    out.u32(this.#plan.counterGlobal);
    this.#counterState = IN_BOTH;
  }

  #loadCounterAt(position: number): void {
    if (this.#counterState !== IN_GLOBAL) return;
    this.#flushTo(position);
    const out = this.#out;
    out.u8(0x23);
    out.u32(this.#plan.counterGlobal);
    out.u8(0x21);
    out.u32(this.#counterLocal);
    this.#counterState = IN_BOTH;
  }

  #guarded = false;
  /** Calls nothing, but keeps so many operands at once that its frame matters. */
  #largeLeaf = false;

  /** What must happen before a function is left: the counter and the stack go back to the globals. */
  #exit(): void {
    this.#storeCounter();
    if (!this.#guarded) return;
    this.#flush();
    const out = this.#out;
    out.u8(0x23);
    out.u32(this.#plan.depthGlobal);
    out.u8(0x41);
    this.#framePatches.push(out.length);
    out.op(0x80, 0x80, 0x80, 0x00);
    out.op(0x6a, 0x24);
    out.u32(this.#plan.depthGlobal);
  }

  /** Where the frame's size, not known before the end, is to be written. */
  readonly #framePatches: number[] = [];

  #beforeCall(): void {
    this.#storeCounter();
  }

  #afterCall(): void {
    if (this.#plan.metering && !this.#direct) this.#counterState = IN_GLOBAL;
  }

  // --- second pass --------------------------------------------------------------------------------------------------

  #emit(body: FunctionBody, type: FunctionType): void {
    const plan = this.#plan;
    const module = this.#module;
    const out = this.#out;
    out.length = 0;
    this.#hints.length = 0;
    this.#added.length = 0;
    this.#temporaries.clear();
    this.#framePatches.length = 0;
    this.#depthMax = 0;
    this.#resultBytesMax = 0;
    this.#height = 0;
    this.#facts = 0;
    this.#segment = 0;
    this.#control.length = 0;
    for (let i = 0; i < this.#localTypes.length; i++) {
      this.#localValue[i] = i + 1;
      this.#localValueDelta[i] = 0;
      this.#since[i] = body.code - 1;
    }
    this.#nextValue = this.#localTypes.length + 1;
    this.#closed = 0;
    this.#loopStart = -1;
    this.#loop = -1;
    this.#loops = 0;
    this.#siteLocals.clear();
    this.#copied = body.code;
    this.#pos = body.code;
    this.#pageLocal = -1;
    this.#counterLocal = -1;
    this.#guarded = plan.stackGuard && (this.#hasCalls || this.#largeLeaf || this.#localTypes.length > LEAF_LOCALS_MAX);
    let charges = 0;
    for (let i = 1; i < this.#segments.length; i++) if ((this.#segments[i] as number) > 0) charges++;
    this.#direct = plan.metering && charges === 0 && !this.#hasLoops;
    if (plan.metering && !this.#direct) this.#counterLocal = this.#newLocal(I64);
    this.#counterState = IN_BOTH;
    const wrapped =
      (this.#branchesToFunction || this.#returns > 1) && ((plan.metering && !this.#direct) || this.#guarded);
    if (wrapped) {
      out.u8(0x02);
      if (type.results.length === 0) out.u8(0x40);
      else if (type.results.length === 1) out.op(...encodeValueType(type.results[0] as number));
      else out.s32(plan.resultType(type.results));
    }
    this.#control.push({
      kind: FUNCTION,
      signature: { parameters: EMPTY, results: type.results },
      height: 0,
      facts: 0,
      counter: IN_LOCAL,
      start: body.code,
      closed: 0,
      loop: -1,
    });

    const source = this.#source;
    for (;;) {
      const at = this.#pos;
      this.#at = at;
      const byte = source[at] as number;
      const quick = quickOf[byte] as number;
      if (quick !== 0) {
        this.#pos = at + 1;
        if (quick === 2) {
          this.#memoryIndex();
          this.#skipLeb();
        }
        const top = this.#height - (popsOf[byte] as number);
        if (top < 0) this.#reader.fail('type mismatch', at);
        this.#type[top] = pushOf[byte] as number;
        this.#class[top] = CLEAN;
        this.#value[top] = UNKNOWN;
        this.#local_[top] = -1;
        this.#height = top + 1;
        continue;
      }
      const op = this.#opcode();
      switch (op) {
        case 0x00: // unreachable
          this.#storeCounter();
          if (plan.selfHealing && plan.stackGuard) {
            this.#flush();
            out.u8(0x41);
            out.s32(plan.stackBytes);
            out.u8(0x24);
            out.u32(plan.depthGlobal);
          }
          this.#jumped();
          break;
        case 0x01:
          break;
        case 0x02:
        case 0x03:
        case 0x04: {
          const signature = this.#blockType();
          if (signature.parameters.length > 0) this.#observe(signature.parameters.length, op === 0x04 ? 1 : 0);
          if (op === 0x04) this.#pop(1);
          if (op !== 0x02) this.#loadCounter();
          this.#pop(signature.parameters.length);
          this.#control.push({
            kind: op - 0x02,
            signature,
            height: this.#height,
            facts: this.#facts,
            counter: this.#counterState,
            start: this.#at,
            closed: this.#closed,
            loop: op === 0x03 ? this.#loops++ : -1,
          });
          this.#pushAll(signature.parameters);
          if (op === 0x03) {
            this.#loopStart = this.#at;
            this.#loop = this.#loops - 1;
            this.#sites = 0;
            this.#counterState = IN_LOCAL;
            this.#nextSegment(true);
          } else if (op === 0x04) {
            this.#nextSegment(false);
          }
          break;
        }
        case 0x05: {
          const frame = this.#control[this.#control.length - 1] as Control;
          this.#observe(frame.signature.results.length, 0);
          this.#loadCounter();
          this.#else(frame);
          break;
        }
        case 0x0b: {
          const frame = this.#control[this.#control.length - 1] as Control;
          if (frame.kind === FUNCTION) {
            this.#finish(type, wrapped);
            return;
          }
          this.#observe(frame.signature.results.length, 0);
          this.#loadCounter();
          this.#end(frame);
          break;
        }
        case 0x0c:
        case 0x0d: {
          const label = this.#label(this.#u32());
          this.#observe(label.length, op === 0x0d ? 1 : 0);
          if (op === 0x0d) this.#pop(1);
          this.#loadCounter();
          if (op === 0x0c) this.#jumped();
          else {
            this.#forget(label.length);
            this.#nextSegment(false);
          }
          break;
        }
        case 0x0e: {
          let label: readonly ValueType[] = EMPTY;
          for (let left = this.#u32() + 1; left > 0; left--) label = this.#label(this.#u32());
          this.#observe(label.length, 1);
          this.#pop(1);
          this.#loadCounter();
          this.#jumped();
          break;
        }
        case 0x0f: {
          this.#observe(type.results.length, 0);
          if (wrapped) {
            this.#loadCounter();
            this.#flush();
            out.u8(0x0c);
            out.u32(this.#control.length - 1);
            this.#copied = this.#pos;
          } else this.#exit();
          this.#jumped();
          break;
        }
        case 0x10:
        case 0x11:
        case 0x14:
          this.#call(op);
          break;
        case 0x12:
        case 0x13:
        case 0x15:
          this.#call(op);
          this.#jumped();
          break;
        case 0x1b:
        case 0x1c: {
          const declared = op === 0x1c ? this.#types()[0] : undefined;
          this.#select(declared);
          break;
        }
        case 0x20:
          this.#read(this.#u32());
          break;
        case 0x21: {
          const local = this.#u32();
          this.#assign(local);
          this.#write(local);
          break;
        }
        case 0x22: {
          const local = this.#u32();
          this.#assign(local);
          this.#write(local);
          this.#read(local);
          break;
        }
        case 0x23:
          this.#push((module.globals[this.#u32()] as { type: number }).type);
          break;
        case 0x24:
          this.#u32();
          this.#observe(1, 0);
          this.#pop(1);
          break;
        case 0x25: {
          const table = this.#u32();
          this.#pop(1);
          this.#push((module.tables[table] as { element: number }).element);
          break;
        }
        case 0x26:
          plan.tableWritten(this.#u32());
          this.#pop(2);
          break;
        case 0x3f:
          this.#skip(op);
          this.#push(this.#memory64 ? I64 : I32);
          break;
        case 0x40:
          this.#skip(op);
          if (plan.growthGuard) {
            this.#replace();
            this.#storeCounter();
            out.u8(0x10);
            out.u32(plan.helper('grow'));
            this.#afterCall();
          }
          this.#pop(1);
          this.#push(this.#memory64 ? I64 : I32);
          break;
        case 0x41: {
          this.#reader.pos = this.#pos;
          const value = this.#reader.s32();
          this.#pos = this.#reader.pos;
          this.#push(I32, CLEAN, CONSTANT, value);
          break;
        }
        case 0x42: {
          this.#reader.pos = this.#pos;
          const value = Number(this.#reader.s64());
          this.#pos = this.#reader.pos;
          const known = Math.abs(value) < 2 ** 40;
          this.#push(I64, CLEAN, known ? CONSTANT : UNKNOWN, known ? value : 0);
          break;
        }
        case 0x43: {
          const exponent = (this.#source[this.#pos + 3] as number) & 0x7f;
          const finite = exponent !== 0x7f || ((this.#source[this.#pos + 2] as number) & 0x80) === 0;
          this.#pos += 4;
          this.#push(F32, finite ? NEVER_NAN : CLEAN);
          break;
        }
        case 0x44: {
          const exponent = (this.#source[this.#pos + 7] as number) & 0x7f;
          const finite = exponent !== 0x7f || ((this.#source[this.#pos + 6] as number) & 0xf0) !== 0xf0;
          this.#pos += 8;
          this.#push(F64, finite ? NEVER_NAN : CLEAN);
          break;
        }
        case 0x6a:
        case 0x7c:
        case 0x6b:
        case 0x7d:
          this.#sum(op);
          break;
        case 0xd0:
          this.#push(nullableReference(this.#heapType()));
          break;
        case 0xd2: {
          const index = this.#u32();
          this.#push(0x64 + 256 * (module.functions[index] as number));
          break;
        }
        case 0xd4:
          break;
        case 0xd5:
        case 0xd6: {
          const label = this.#label(this.#u32());
          this.#observe(label.length, 1);
          this.#loadCounter();
          this.#forget(label.length);
          if (op === 0xd6) this.#pop(1);
          this.#nextSegment(false);
          break;
        }
        case FC + 8:
        case FC + 10:
        case FC + 11:
          this.#bulkMemory(op);
          break;
        case FC + 9: {
          const segment = this.#u32();
          if (plan.captureState) this.#raise(plan.dataFlag(segment));
          break;
        }
        case FC + 13: {
          const segment = this.#u32();
          if (plan.captureState) this.#raise(plan.elementFlag(segment));
          break;
        }
        case FC + 12:
        case FC + 14:
        case FC + 17:
          this.#bulkTable(op);
          break;
        case FC + 15:
          this.#growTable(this.#u32());
          break;
        case FC + 16: {
          const table = this.#u32();
          this.#push((module.tables[table] as { bounds: { is64: boolean } }).bounds.is64 ? I64 : I32);
          break;
        }
        default:
          if ((storeBytesOf[op] as number) > 0) this.#store(op);
          else this.#plain(op);
      }
    }
  }

  /** An instruction with a fixed signature. */
  #plain(op: number): void {
    const source = this.#pos;
    this.#skip(op);
    const pops = popsOf[op] as number;
    const push = pushOf[op] as number;
    let result: number = CLEAN;
    switch (nanOf[op]) {
      case NAN.observe:
        if (op === FD + 12) result = this.#vectorConstant(source) ? NEVER_NAN : CLEAN;
        else if (pops > 0) this.#observe(pops, 0);
        break;
      case NAN.ignore:
        break;
      case NAN.arithmetic:
        result = SCALAR;
        break;
      case NAN.pass:
      case NAN.pass32x4:
      case NAN.pass64x2: {
        const wanted = nanOf[op] === NAN.pass ? SCALAR : nanOf[op] === NAN.pass32x4 ? LANES32 : LANES64;
        const top = this.#class[this.#height - 1] as number;
        if (this.#isDirty(top) && top !== wanted) this.#observe(1, 0);
        result = this.#class[this.#height - 1] as number;
        break;
      }
      case NAN.never:
      case NAN.neverVector:
        if (pops > 0) this.#observe(pops, 0);
        result = NEVER_NAN;
        break;
      case NAN.arithmetic32x4:
        this.#shape(pops, LANES32);
        result = LANES32;
        break;
      case NAN.arithmetic64x2:
        this.#shape(pops, LANES64);
        result = LANES64;
        break;
      case NAN.ignore32x4:
        this.#shape(pops, LANES32);
        break;
      case NAN.ignore64x2:
        this.#shape(pops, LANES64);
        break;
      case NAN.extract32:
      case NAN.extract64: {
        const wanted = nanOf[op] === NAN.extract32 ? LANES32 : LANES64;
        this.#shape(1, wanted);
        const top = this.#class[this.#height - 1] as number;
        result = top === wanted ? SCALAR : top === NEVER_NAN ? CLEAN : top;
        break;
      }
      case NAN.demote:
        this.#shape(1, LANES64);
        result = LANES32;
        break;
      case NAN.promote:
        this.#shape(1, LANES32);
        result = LANES64;
        break;
    }
    this.#pop(pops);
    if (push !== 0) this.#push(push, push === F32 || push === F64 || push === V128 ? result : CLEAN);
  }

  /** Operands whose lanes are of another shape than `wanted` are made canonical first. */
  #shape(count: number, wanted: number): void {
    for (let i = this.#height - count; i < this.#height; i++) {
      const value = this.#class[i] as number;
      if (this.#isDirty(value) && value !== wanted) {
        this.#observe(count, 0);
        return;
      }
    }
  }

  #vectorConstant(at: number): boolean {
    const source = this.#source;
    for (let i = 0; i < 16; i += 4) {
      if (((source[at + i + 3] as number) & 0x7f) === 0x7f && ((source[at + i + 2] as number) & 0x80) !== 0)
        return false;
    }
    for (let i = 0; i < 16; i += 8) {
      if (((source[at + i + 7] as number) & 0x7f) === 0x7f && (source[at + i + 6] as number) >= 0xf0) return false;
    }
    return true;
  }

  #sum(op: number): void {
    const top = this.#height - 1;
    const sign = op === 0x6a || op === 0x7c ? 1 : -1;
    const type = op === 0x6a || op === 0x6b ? I32 : I64;
    // The operand that is a constant, and the other one.
    const constant =
      this.#value[top] === CONSTANT ? top : sign === 1 && this.#value[top - 1] === CONSTANT ? top - 1 : -1;
    const other = constant === top ? top - 1 : top;
    let value = UNKNOWN;
    let delta = 0;
    let local = -1;
    let localDelta = 0;
    if (constant >= 0) {
      const step = sign * (this.#delta[constant] as number);
      value = this.#value[other] as number;
      delta = (this.#delta[other] as number) + step;
      local = this.#local_[other] as number;
      localDelta = (this.#localDelta[other] as number) + step;
    }
    if (type === I32) {
      delta |= 0;
      localDelta |= 0;
    } else if (Math.abs(delta) >= 2 ** 40 || Math.abs(localDelta) >= 2 ** 40) {
      value = UNKNOWN;
      local = -1;
    }
    this.#pop(2);
    this.#push(type, CLEAN, value, delta, local, localDelta);
  }

  #select(declared: ValueType | undefined): void {
    const a = this.#height - 3;
    const first = this.#class[a] as number;
    const second = this.#class[a + 1] as number;
    let result: number;
    if (first === second) result = first;
    else if (first === NEVER_NAN) result = second;
    else if (second === NEVER_NAN) result = first;
    else if (this.#classifying)
      result =
        first >= VARIABLE && this.#isDirty(second)
          ? first
          : second >= VARIABLE && this.#isDirty(first)
            ? second
            : CLEAN;
    else {
      this.#observe(2, 1);
      result = CLEAN;
    }
    const type = declared ?? (this.#type[a] as number);
    this.#pop(3);
    this.#push(type, type === F32 || type === F64 || type === V128 ? result : CLEAN);
  }

  #label(depth: number): readonly ValueType[] {
    const frame = this.#control[this.#control.length - 1 - depth];
    if (frame === undefined) return this.#reader.fail('unknown label', this.#at);
    return frame.kind === LOOP ? frame.signature.parameters : frame.signature.results;
  }

  /** The values that a conditional branch may carry away stay on the stack with the label's types. */
  #forget(count: number): void {
    for (let i = Math.max(0, this.#height - count); i < this.#height; i++) {
      this.#value[i] = UNKNOWN;
      this.#local_[i] = -1;
    }
  }

  #else(frame: Control): void {
    this.#height = frame.height;
    // What the first arm assigned, this one does not see.
    this.#join(frame);
    this.#pushAll(frame.signature.parameters);
    this.#counterState = frame.counter;
    this.#nextSegment(false);
  }

  #end(frame: Control): void {
    this.#control.pop();
    this.#height = frame.height;
    // A loop is left at its end from its last round only: nothing joins there.
    if (frame.kind === LOOP) this.#innermostLoop();
    else this.#join(frame);
    this.#pushAll(frame.signature.results);
    this.#counterState = IN_LOCAL;
    this.#nextSegment(false);
  }

  /** After an unconditional jump: what follows up to the block's end is dead and is left out. */
  #jumped(): void {
    this.#flushTo(this.#pos);
    this.#skipDead();
    this.#copied = this.#pos;
    this.#at = this.#pos;
    this.#segment++;
    const op = this.#opcode();
    const frame = this.#control[this.#control.length - 1] as Control;
    if (op === 0x05) {
      this.#counterState = IN_LOCAL;
      this.#else(frame);
    } else if (frame.kind === FUNCTION) {
      this.#dead = true;
      this.#pos = this.#at;
    } else this.#end(frame);
  }

  #dead = false;

  #finish(type: FunctionType, wrapped: boolean): void {
    const out = this.#out;
    const dead = this.#dead;
    this.#dead = false;
    if (!dead) {
      this.#observe(type.results.length, 0);
      this.#loadCounter();
    }
    this.#flush();
    if (wrapped) {
      if (!dead && this.#counterState === IN_GLOBAL) this.#loadCounter();
      out.u8(0x0b);
      this.#counterState = IN_LOCAL;
      this.#exit();
    } else if (!dead) this.#exit();
    out.u8(0x0b);
  }

  #call(op: number): void {
    const module = this.#module;
    let signature: FunctionType;
    let extra = 0;
    let index = -1;
    if (op === 0x10 || op === 0x12) {
      index = this.#u32();
      signature = module.types[module.functions[index] as number] as FunctionType;
    } else {
      signature = module.types[this.#u32()] as FunctionType;
      extra = 1;
      if (op === 0x11 || op === 0x13) this.#u32();
    }
    if (signature === undefined) this.#reader.fail('unknown type', this.#at);
    this.#observe(signature.parameters.length, extra);
    const tail = op === 0x12 || op === 0x13 || op === 0x15;
    if (tail) this.#exit();
    else this.#beforeCall();
    const host = op === 0x10 && index < module.importedFunctions && this.#plan.levelGlobal >= 0;
    if (host) {
      this.#flush();
      this.#level(0x6a);
      this.#flushTo(this.#pos);
      this.#level(0x6b);
    }
    this.#pop(signature.parameters.length + extra);
    if (tail) return;
    if (signature.results.length > 1) {
      this.#resultBytesMax = Math.max(this.#resultBytesMax, slotBytes(signature.results));
    }
    this.#pushAll(signature.results);
    this.#afterCall();
  }

  #level(operation: number): void {
    const out = this.#out;
    out.u8(0x23);
    out.u32(this.#plan.levelGlobal);
    out.op(0x41, 1, operation, 0x24);
    out.u32(this.#plan.levelGlobal);
  }

  /** After the instruction at hand: sets a flag global. */
  #raise(global: number): void {
    this.#flushTo(this.#pos);
    this.#out.op(0x41, 1, 0x24);
    this.#out.u32(global);
  }

  #local(op: number, local: number): void {
    this.#out.u8(op);
    this.#out.u32(local);
  }

  #callHelper(name: HelperName): void {
    this.#out.u8(0x10);
    this.#out.u32(this.#plan.helper(name));
  }

  /** memory.init, memory.copy, memory.fill: charged by length before, marked after they succeeded. */
  #bulkMemory(op: number): void {
    const plan = this.#plan;
    const start = this.#at;
    this.#skip(op);
    const address = this.#memory64 ? I64 : I32;
    const lengthType = op === FC + 8 ? I32 : address;
    const middleType = op === FC + 10 ? address : I32;
    if (plan.metering || plan.barrier) {
      this.#flush();
      const out = this.#out;
      const length = this.#temporary(lengthType, 0);
      const middle = this.#temporary(middleType, 1);
      const target = this.#temporary(address, 2);
      const widen = (): void => {
        this.#local(0x20, length);
        if (lengthType === I32) out.u8(0xad);
      };
      this.#local(0x21, length);
      if (plan.metering) {
        this.#beforeCall();
        widen();
        this.#callHelper('charge');
        this.#afterCall();
      }
      if (plan.barrier) {
        this.#local(0x21, middle);
        this.#local(0x22, target);
        this.#local(0x20, middle);
      }
      this.#local(0x20, length);
      out.copy(this.#source, start, this.#pos);
      this.#copied = this.#pos;
      if (plan.barrier) {
        this.#local(0x20, target);
        this.#local(0x20, length);
        if (this.#memory64 && lengthType === I32) out.u8(0xad);
        this.#callHelper('mark');
      }
    }
    this.#pop(3);
  }

  /** table.init, table.copy, table.fill: charged by the number of elements. */
  #bulkTable(op: number): void {
    const plan = this.#plan;
    const module = this.#module;
    let first = this.#u32();
    let lengthType = I32;
    if (op === FC + 12) {
      first = this.#u32();
    } else {
      const is64 = (table: number): boolean => module.tables[table]?.bounds.is64 === true;
      const second = op === FC + 14 ? this.#u32() : first;
      if (is64(first) && is64(second)) lengthType = I64;
    }
    plan.tableWritten(first);
    if (plan.metering) {
      this.#flush();
      const length = this.#temporary(lengthType, 0);
      this.#beforeCall();
      this.#local(0x22, length);
      if (lengthType === I32) this.#out.u8(0xad);
      this.#callHelper('charge');
      this.#afterCall();
      this.#local(0x20, length);
    }
    this.#pop(3);
  }

  #growTable(table: number): void {
    const plan = this.#plan;
    const { element, bounds } = this.#module.tables[table] as { element: ValueType; bounds: { is64: boolean } };
    plan.tableWritten(table);
    const index = bounds.is64 ? I64 : I32;
    if (plan.growthGuard) {
      const out = this.#out;
      this.#replace();
      const delta = this.#temporary(index, 3);
      const value = this.#temporary(element, 4);
      const constant = (n: number): void => {
        out.u8(bounds.is64 ? 0x42 : 0x41);
        out.s32(n);
      };
      const size = (): void => {
        out.op(0xfc, 16);
        out.u32(table);
      };
      this.#local(0x21, delta);
      this.#local(0x21, value);
      // delta >u max - size, with size <= max; a table that starts above max cannot grow.
      this.#local(0x20, delta);
      constant(plan.tableElementsMax);
      size();
      out.u8(bounds.is64 ? 0x7d : 0x6b);
      out.u8(bounds.is64 ? 0x56 : 0x4b);
      size();
      constant(plan.tableElementsMax);
      out.u8(bounds.is64 ? 0x56 : 0x4b);
      out.u8(0x72);
      out.op(0x04, index);
      constant(-1);
      out.u8(0x05);
      this.#local(0x20, value);
      this.#local(0x20, delta);
      out.op(0xfc, 15);
      out.u32(table);
      out.u8(0x0b);
    }
    this.#pop(2);
    this.#push(index);
  }

  // --- write barrier ------------------------------------------------------------------------------------------------

  #store(op: number): void {
    const plan = this.#plan;
    this.#memoryIndex();
    let offset: number;
    if (this.#memory64) {
      this.#reader.pos = this.#pos;
      offset = Number(this.#reader.u64());
      this.#pos = this.#reader.pos;
    } else offset = this.#u32();
    if (immediateOf[op] === IMMEDIATE.memoryLane) this.#pos++;
    this.#observe(1, 0);
    const slot = this.#height - 2;
    // Beyond every heap: the store traps, there is nothing to mark.
    if (plan.barrier && offset < 2 ** 34)
      this.#barrier(slot, offset, storeBytesOf[op] as number, storeTypeOf[op] as number);
    this.#pop(2);
  }

  #barrier(slot: number, offset: number, size: number, valueType: ValueType): void {
    const value = slot >= 0 ? (this.#value[slot] as number) : UNKNOWN;
    const delta = slot >= 0 ? (this.#delta[slot] as number) : 0;
    if (value === CONSTANT) {
      const address = (this.#memory64 ? delta : delta >>> 0) + offset;
      if (address < 0 || address + size > 2 ** 34) return;
      if (this.#marked(CONSTANT, address, size)) return;
      this.#flush();
      const page = Math.floor(address / 2 ** PAGE_SHIFT);
      this.#markConstant(page);
      this.#remember(CONSTANT, page * 4096 - SLACK, page * 4096 + 4096 + SLACK);
      return;
    }
    if (value !== UNKNOWN && this.#marked(value, delta + offset, size)) return;
    this.#flush();
    const local = slot >= 0 ? (this.#local_[slot] as number) : -1;
    const localDelta = slot >= 0 ? (this.#localDelta[slot] as number) : 0;
    let point: number;
    if (local >= 0 && this.#holds(local, value, delta - localDelta)) {
      point = this.#markAt(local, localDelta, offset, size) - localDelta;
    } else {
      const kept = this.#temporary(valueType, 5);
      const target = this.#temporary(this.#memory64 ? I64 : I32, 6);
      this.#local(0x21, kept);
      this.#local(0x21, target);
      point = this.#markAt(target, 0, offset, size);
      this.#local(0x20, target);
      this.#local(0x20, kept);
    }
    if (value !== UNKNOWN) this.#remember(value, delta + point - SLACK, delta + point + SLACK);
  }

  /** Whether a local still holds a numbered value plus a distance. */
  #holds(local: number, value: number, delta: number): boolean {
    return this.#localValue[local] === value && this.#localValueDelta[local] === delta && !this.#isStale(local);
  }

  #marked(value: number, low: number, size: number): boolean {
    for (let i = this.#facts - 1; i >= 0; i--) {
      if (
        this.#factValue[i] === value &&
        (this.#factLow[i] as number) <= low &&
        low + size <= (this.#factHigh[i] as number)
      ) {
        return true;
      }
    }
    return false;
  }

  #remember(value: number, low: number, high: number): void {
    if (this.#facts === FACTS_MAX) {
      const half = FACTS_MAX / 2;
      for (const list of [this.#factValue, this.#factLow, this.#factHigh]) list.splice(0, half);
      this.#facts -= half;
      for (const frame of this.#control) frame.facts = Math.max(0, frame.facts - half);
    }
    const at = this.#facts++;
    this.#factValue[at] = value;
    this.#factLow[at] = low;
    this.#factHigh[at] = high;
  }

  #markConstant(page: number): void {
    const out = this.#out;
    const map = this.#plan.mapMemory;
    out.op(0x41, 0, 0x2d);
    this.#mapAccess(map, MAP_LEVEL1 + page);
    out.u8(0x45);
    this.#coldIf();
    out.op(0x41, 0, 0x41, 1, 0x3a);
    this.#mapAccess(map, MAP_LEVEL1 + page);
    out.op(0x41, 0, 0x41, 1, 0x3a);
    this.#mapAccess(map, page >> MAP_LEVEL2_SHIFT);
    out.u8(0x0b);
  }

  /** Alignment 1 on the map's memory, with an offset. */
  #mapAccess(memory: number, offset: number): void {
    const out = this.#out;
    if (memory === 0) out.u8(0);
    else {
      out.u8(0x40);
      out.u32(memory);
    }
    out.u32(offset);
  }

  /**
   * Marks the page of `local + point`, near enough to the store at `local + delta + offset`, and returns that point: the
   * store's bytes lie in that page or in the `SLACK` bytes around it, which are compared when marks are collected.
   */
  #markAt(local: number, delta: number, offset: number, size: number): number {
    const out = this.#out;
    const map = this.#plan.mapMemory;
    const total = delta + offset;
    if (this.#pageLocal < 0) this.#pageLocal = this.#newLocal(I32);
    const page = this.#pageLocal;
    let pages = 0;
    let point = total;
    this.#local(0x20, local);
    // Base and distance may wrap around: on 32 bits that is page 2^20 - 1, whose neighbour is page 0; on 64 bits no page.
    if (!this.#memory64 && -SLACK <= total && total + size <= SLACK) point = 0;
    else if (delta === 0 && (total % 4096) + size <= SLACK && total >= 0) {
      pages = Math.floor(total / 4096);
      point = pages * 4096;
    } else {
      out.u8(this.#memory64 ? 0x42 : 0x41);
      if (this.#memory64) out.s64(BigInt(total));
      else out.s32(total | 0);
      out.u8(this.#memory64 ? 0x7c : 0x6a);
    }
    if (this.#memory64) out.op(0x42, PAGE_SHIFT, 0x88, 0xa7, 0x22);
    else out.op(0x41, PAGE_SHIFT, 0x76, 0x22);
    out.u32(page);
    const site = this.#siteLocal(pages);
    if (site >= 0) {
      this.#local(0x20, site);
      out.u8(0x47);
      this.#coldIf();
      this.#local(0x20, page);
      this.#local(0x22, site);
    }
    out.u8(0x2d);
    this.#mapAccess(map, MAP_LEVEL1 + pages);
    out.u8(0x45);
    this.#coldIf();
    this.#local(0x20, page);
    out.op(0x41, 1, 0x3a);
    this.#mapAccess(map, MAP_LEVEL1 + pages);
    this.#local(0x20, page);
    if (pages > 0) {
      out.u8(0x41);
      out.s32(pages);
      out.u8(0x6a);
    }
    out.op(0x41, MAP_LEVEL2_SHIFT, 0x76, 0x41, 1, 0x3a);
    this.#mapAccess(map, 0);
    out.u8(0x0b);
    if (site >= 0) out.u8(0x0b);
    return point;
  }

  /**
   * A local for the last page of the store at hand, if it stands in a tight loop with few of them; else -1. What it holds
   * is the base's page: only stores that lie equally many pages behind their bases share one.
   */
  #siteLocal(pages: number): number {
    if (this.#loop < 0) return -1;
    const stores = this.#loopStores[this.#loop] as number;
    if (stores <= 0 || this.#sites >= SITES_MAX) return -1;
    // With many of them, one local for all: an interpreter's stack and its registers share a page.
    const site = stores > SITES_MAX ? 0 : this.#sites++;
    const key = site * 2 ** 24 + pages;
    let local = this.#siteLocals.get(key);
    if (local === undefined) {
      if (this.#siteLocals.size >= SITE_LOCALS_MAX) return -1;
      local = this.#newLocal(I32);
      this.#siteLocals.set(key, local);
    }
    return local;
  }

  // --- putting it together --------------------------------------------------------------------------------------------

  /** Upper bound of the function's frame in any tier. */
  #frameBytes(type: FunctionType): number {
    // Parameters lie on the stack once more, where the caller left them, and so do the results of what is called.
    const passed = slotBytes(type.parameters) + this.#resultBytesMax + slotBytes(this.#added);
    return (
      FRAME_FIXED_BYTES +
      Math.max(0, passed - FRAME_FIXED_BYTES / 2) +
      slotBytes(this.#localTypes) +
      this.#depthMax * (this.#usesVectors ? 16 : 8)
    );
  }

  #assemble(index: number, body: FunctionBody, type: FunctionType, code: ByteWriter, branchHints: ByteWriter): boolean {
    const plan = this.#plan;
    const frame = this.#frameBytes(type);
    if (plan.stackGuard && plan.refuseLargeFrames && frame > plan.stackBytes) {
      throw new WasmError(
        'frame_too_large',
        `frame of ${frame} bytes, more than the stack's ${plan.stackBytes}`,
        body.range.start,
      );
    }
    const prologue = this.#prologue;
    prologue.length = 0;
    const hints: number[] = [];
    const cold = (): void => {
      hints.push(prologue.length);
      prologue.op(0x04, 0x40);
    };
    const cost = this.#segments[0] as number;
    // A function that calls can recurse: it checks. One that does not is bounded by its caller's check and its loops'.
    const checked = this.#hasCalls;
    let counter = this.#counterLocal;
    if (plan.metering) {
      if (counter < 0 && checked) counter = this.#newLocal(I64);
      prologue.u8(0x23);
      prologue.u32(plan.counterGlobal);
      prologue.u8(0x42);
      prologue.s32(cost);
      prologue.u8(0x7d);
      if (counter >= 0) {
        prologue.u8(0x22);
        prologue.u32(counter);
      }
      prologue.u8(0x24);
      prologue.u32(plan.counterGlobal);
    }
    let depth = -1;
    if (this.#guarded) {
      depth = this.#newLocal(I32);
      prologue.u8(0x23);
      prologue.u32(plan.depthGlobal);
      prologue.u8(0x41);
      prologue.s32(frame);
      prologue.op(0x6b, 0x22);
      prologue.u32(depth);
      prologue.u8(0x24);
      prologue.u32(plan.depthGlobal);
    }
    if (checked && plan.metering && this.#guarded) {
      prologue.u8(0x20);
      prologue.u32(counter);
      prologue.u8(0x20);
      prologue.u32(depth);
      prologue.op(0xac, 0x84, 0x42, 0, 0x53);
      cold();
      prologue.u8(0x20);
      prologue.u32(counter);
      prologue.u8(0x20);
      prologue.u32(depth);
      prologue.u8(0x10);
      prologue.u32(plan.helper('enterSlow'));
      prologue.u8(0x21);
      prologue.u32(counter);
      prologue.u8(0x0b);
    } else if (checked && plan.metering) {
      prologue.u8(0x20);
      prologue.u32(counter);
      prologue.op(0x42, 0, 0x53);
      cold();
      prologue.u8(0x20);
      prologue.u32(counter);
      prologue.u8(0x10);
      prologue.u32(plan.helper('slow'));
      prologue.u8(0x21);
      prologue.u32(counter);
      prologue.u8(0x0b);
    } else if (this.#guarded) {
      prologue.u8(0x20);
      prologue.u32(depth);
      prologue.op(0x41, 0, 0x48);
      cold();
      prologue.u8(0x10);
      prologue.u32(plan.helper('overflow'));
      prologue.u8(0x0b);
    }

    for (const site of this.#siteLocals.values()) {
      // No page: none is marked yet.
      prologue.op(0x41, 0x7f, 0x21);
      prologue.u32(site);
    }
    const out = this.#out;
    for (const at of this.#framePatches) {
      out.bytes[at] = (frame & 0x7f) | 0x80;
      out.bytes[at + 1] = ((frame >> 7) & 0x7f) | 0x80;
      out.bytes[at + 2] = ((frame >> 14) & 0x7f) | 0x80;
      out.bytes[at + 3] = (frame >> 21) & 0x3f;
    }
    if (this.#localTypes.length + this.#added.length > LOCALS_MAX) {
      throw new WasmError('limit', `more than ${LOCALS_MAX} locals with instrumentation`, body.range.start);
    }

    const declarations = this.#declarations;
    declarations.length = 0;
    const added = this.#added;
    let groups = 0;
    for (let i = 0; i < added.length; ) {
      const type = added[i] as number;
      let end = i + 1;
      while (end < added.length && added[end] === type) end++;
      declarations.u32(end - i);
      if (type <= 0xff) declarations.u8(type);
      else declarations.op(...encodeValueType(type));
      groups++;
      i = end;
    }
    const reader = this.#reader;
    reader.pos = body.range.start;
    reader.end = body.range.end;
    const declared = reader.u32();
    const kept = body.code - reader.pos;
    const start = lebLength(declared + groups) + kept + declarations.length;
    const shift = start + prologue.length;
    const size = shift + out.length;
    if (size > BODY_BYTES_MAX) {
      throw new WasmError(
        'limit',
        `function body of more than ${BODY_BYTES_MAX} bytes with instrumentation`,
        body.range.start,
      );
    }
    code.u32(size);
    code.u32(declared + groups);
    code.copy(this.#source, reader.pos, body.code);
    code.copy(declarations.bytes, 0, declarations.length);
    code.copy(prologue.bytes, 0, prologue.length);
    code.copy(out.bytes, 0, out.length);
    const count = hints.length + this.#hints.length;
    if (count === 0) return false;
    branchHints.u32(this.#module.importedFunctions + index);
    branchHints.u32(count);
    for (const at of hints) {
      branchHints.u32(at + start);
      branchHints.u8(1);
      branchHints.u8(0);
    }
    for (const at of this.#hints) {
      branchHints.u32(at + shift);
      branchHints.u8(1);
      branchHints.u8(0);
    }
    return true;
  }
}

/** What values of these types take on the stack. */
function slotBytes(types: readonly ValueType[]): number {
  let bytes = 0;
  for (const type of types) bytes += type === V128 ? 16 : 8;
  return bytes;
}

function lebLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length++;
  return length;
}

import { ByteReader } from './byte-reader.ts';
import { WasmError } from './wasm-error.ts';

/** What a function body holds, as far as the canister rules ask. */
export interface CodeCensus {
  readonly instructions: number;
  /** The first instruction of a proposal that canisters may not use, by its text name. */
  readonly unsupported: string | undefined;
}

/**
 * Walks over a body's instructions: counts them (the closing `end` included) and finds those that are not allowed.
 * Operands are stepped over, not judged: whether the code is valid is V8's business.
 * @throws WasmError `malformed` when an operand runs out of the body or an opcode is unknown.
 */
export function censusOfCode(bytes: Uint8Array, start: number, end: number): CodeCensus {
  const reader = new ByteReader(bytes, start, end);
  let instructions = 0;
  while (!reader.atEnd) {
    const offset = reader.pos;
    const opcode = reader.u8();
    instructions++;
    const operands = OPERANDS[opcode] as number;
    switch (operands) {
      case NONE:
        break;
      case LEB:
        skipLeb(reader);
        break;
      case TWO_LEBS:
        skipLeb(reader);
        skipLeb(reader);
        break;
      case MEMORY:
        skipMemoryOperand(reader);
        break;
      case BYTES_4:
        reader.skip(4);
        break;
      case BYTES_8:
        reader.skip(8);
        break;
      case BRANCH_TABLE:
        for (let left = reader.count() + 1; left > 0; left--) skipLeb(reader);
        break;
      case SELECT_TYPES:
        for (let left = reader.count(); left > 0; left--) skipLeb(reader);
        break;
      case BULK:
        skipBulk(reader, offset);
        break;
      case VECTOR: {
        const name = skipVector(reader, offset);
        if (name !== undefined) return { instructions, unsupported: name };
        break;
      }
      default: {
        const name = UNSUPPORTED.get(opcode);
        if (name !== undefined) return { instructions, unsupported: name };
        throw new WasmError('malformed', `unknown opcode 0x${opcode.toString(16)}`, offset);
      }
    }
  }
  return { instructions, unsupported: undefined };
}

const UNKNOWN = 0;
const NONE = 1;
const LEB = 2;
const TWO_LEBS = 3;
const MEMORY = 4;
const BYTES_4 = 5;
const BYTES_8 = 6;
const BRANCH_TABLE = 7;
const SELECT_TYPES = 8;
const BULK = 9;
const VECTOR = 10;

/** Kind of the operands by opcode. */
const OPERANDS: Uint8Array = operandTable();

function operandTable(): Uint8Array {
  const table = new Uint8Array(256).fill(UNKNOWN);
  const set = (kind: number, from: number, to: number = from): void => {
    table.fill(kind, from, to + 1);
  };
  set(NONE, 0x00, 0x01); // unreachable, nop
  set(LEB, 0x02, 0x04); // block, loop, if
  set(NONE, 0x05); // else
  set(NONE, 0x0b); // end
  set(LEB, 0x0c, 0x0d); // br, br_if
  set(BRANCH_TABLE, 0x0e);
  set(NONE, 0x0f); // return
  set(LEB, 0x10); // call
  set(TWO_LEBS, 0x11); // call_indirect
  set(LEB, 0x12); // return_call
  set(TWO_LEBS, 0x13); // return_call_indirect
  set(NONE, 0x1a, 0x1b); // drop, select
  set(SELECT_TYPES, 0x1c);
  set(LEB, 0x20, 0x26); // local.*, global.*, table.get, table.set
  set(MEMORY, 0x28, 0x3e); // loads and stores
  set(LEB, 0x3f, 0x42); // memory.size, memory.grow, i32.const, i64.const
  set(BYTES_4, 0x43); // f32.const
  set(BYTES_8, 0x44); // f64.const
  set(NONE, 0x45, 0xc4); // numeric
  set(LEB, 0xd0); // ref.null
  set(NONE, 0xd1); // ref.is_null
  set(LEB, 0xd2); // ref.func
  set(BULK, 0xfc);
  set(VECTOR, 0xfd);
  return table;
}

const UNSUPPORTED: ReadonlyMap<number, string> = new Map([
  [0x06, 'try'],
  [0x07, 'catch'],
  [0x08, 'throw'],
  [0x09, 'rethrow'],
  [0x0a, 'throw_ref'],
  [0x14, 'call_ref'],
  [0x15, 'return_call_ref'],
  [0x18, 'delegate'],
  [0x19, 'catch_all'],
  [0x1f, 'try_table'],
  [0xd3, 'ref.eq'],
  [0xd4, 'ref.as_non_null'],
  [0xd5, 'br_on_null'],
  [0xd6, 'br_on_non_null'],
  [0xfb, 'gc instruction'],
  [0xfe, 'atomic instruction'],
]);

function skipLeb(reader: ByteReader): void {
  while (reader.u8() >= 0x80);
}

/** Alignment and offset; bit 6 of the alignment announces a memory index. */
function skipMemoryOperand(reader: ByteReader): void {
  const alignment = reader.u32();
  if ((alignment & 0x40) !== 0) skipLeb(reader);
  skipLeb(reader);
}

/** Prefix 0xfc: saturating conversions, bulk memory and tables. */
function skipBulk(reader: ByteReader, offset: number): void {
  const code = reader.u32();
  if (code < 8) return;
  if (code > 17) throw new WasmError('malformed', `unknown opcode 0xfc ${code}`, offset);
  skipLeb(reader);
  // memory.init, memory.copy, table.init and table.copy name two things.
  if (code === 8 || code === 10 || code === 12 || code === 14) skipLeb(reader);
}

/** Prefix 0xfd: SIMD. Codes from 0x100 on are relaxed SIMD. */
function skipVector(reader: ByteReader, offset: number): string | undefined {
  const code = reader.u32();
  if (code >= 0x100) return 'relaxed SIMD instruction';
  if (code <= 11 || code === 92 || code === 93) skipMemoryOperand(reader);
  else if (code === 12 || code === 13) reader.skip(16);
  else if (code >= 21 && code <= 34) reader.skip(1);
  else if (code >= 84 && code <= 91) {
    skipMemoryOperand(reader);
    reader.skip(1);
  } else if (code > 0xff) throw new WasmError('malformed', `unknown opcode 0xfd ${code}`, offset);
  return undefined;
}

import { ByteReader } from './byte-reader.ts';
import { FC, FD, IMMEDIATE, immediateOf, OPCODES, REFUSED, refusedOf } from './opcode.ts';
import { WasmError } from './wasm-error.ts';

/** What a function body holds, as far as the canister rules ask. */
export interface CodeCensus {
  readonly instructions: number;
  /** The first instruction of a proposal that canisters may not use: what kind it is. */
  readonly unsupported: string | undefined;
}

const KIND: ReadonlyMap<number, string> = new Map([
  [REFUSED.exceptions, 'exception handling'],
  [REFUSED.gc, 'gc'],
  [REFUSED.threads, 'atomics'],
  [REFUSED.relaxedSimd, 'relaxed SIMD'],
  [REFUSED.typedReferences, 'typed function references'],
]);

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
    const byte = reader.u8();
    instructions++;
    const opcode = byte === 0xfc ? FC + subcode(reader, FC) : byte === 0xfd ? FD + subcode(reader, FD) : byte;
    const refused = refusedOf[opcode] as number;
    if (refused !== REFUSED.none) {
      const kind = KIND.get(refused);
      if (kind !== undefined) return { instructions, unsupported: kind };
      throw new WasmError('malformed', `unknown opcode 0x${byte.toString(16)}`, offset);
    }
    skipImmediate(reader, immediateOf[opcode] as number);
  }
  return { instructions, unsupported: undefined };
}

/** The number after a prefix; what lies outside the tables becomes a place in them that is not known. */
function subcode(reader: ByteReader, base: number): number {
  const last = (base === FC ? FD : OPCODES) - base - 1;
  return Math.min(reader.u32(), last);
}

function skipImmediate(reader: ByteReader, kind: number): void {
  switch (kind) {
    case IMMEDIATE.none:
      return;
    case IMMEDIATE.indexPair:
    case IMMEDIATE.memoryIndexPair:
    case IMMEDIATE.segmentMemory:
      skipLeb(reader);
      skipLeb(reader);
      return;
    case IMMEDIATE.memory:
      skipMemoryOperand(reader);
      return;
    case IMMEDIATE.memoryLane:
      skipMemoryOperand(reader);
      reader.skip(1);
      return;
    case IMMEDIATE.branchTable:
      for (let left = reader.count() + 1; left > 0; left--) skipLeb(reader);
      return;
    case IMMEDIATE.types:
      for (let left = reader.count(); left > 0; left--) skipLeb(reader);
      return;
    case IMMEDIATE.lane:
      reader.skip(1);
      return;
    case IMMEDIATE.bytes4:
      reader.skip(4);
      return;
    case IMMEDIATE.bytes8:
      reader.skip(8);
      return;
    case IMMEDIATE.bytes16:
      reader.skip(16);
      return;
    default:
      // A block type, index, constant or heap type: one number.
      skipLeb(reader);
  }
}

function skipLeb(reader: ByteReader): void {
  while (reader.u8() >= 0x80);
}

/** Alignment and offset; bit 6 of the alignment announces a memory index. */
function skipMemoryOperand(reader: ByteReader): void {
  const alignment = reader.u32();
  if ((alignment & 0x40) !== 0) skipLeb(reader);
  skipLeb(reader);
}

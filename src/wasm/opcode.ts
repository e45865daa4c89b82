import { EXTERNREF, F32, F64, I32, I64, V128 } from './value-type.ts';

/**
 * Everything the rewriter knows about each instruction, as flat tables. The index is the opcode byte, `FC` + sub-opcode
 * after a 0xFC prefix, `FD` + sub-opcode after 0xFD.
 */
export const FC = 256;
export const FD = 512;
export const OPCODES = 1024;

/** What follows the opcode in the binary. */
export const IMMEDIATE = {
  none: 0,
  blockType: 1,
  index: 2,
  indexPair: 3,
  memory: 4,
  memoryLane: 5,
  branchTable: 6,
  i32: 7,
  i64: 8,
  bytes4: 9,
  bytes8: 10,
  bytes16: 11,
  lane: 12,
  types: 13,
  heapType: 14,
  /** One reserved or memory index. */
  memoryIndex: 15,
  memoryIndexPair: 16,
  /** A data segment and a memory. */
  segmentMemory: 17,
} as const;

/** Proposals that are refused, by the first opcode byte that belongs to them. */
export const REFUSED = {
  none: 0,
  exceptions: 1,
  gc: 2,
  threads: 3,
  relaxedSimd: 4,
  unknown: 5,
  typedReferences: 6,
} as const;

/** How an instruction treats NaN bits of its operands and its result (ARCHITECTURE section 4 (d)). */
export const NAN = {
  /** Shows the bits of its float operands; its result holds no fresh NaN. */
  observe: 0,
  /** Looks at no NaN bits (comparisons, truncations, drop). */
  ignore: 1,
  /** Makes NaNs with arbitrary bits. */
  arithmetic: 2,
  /** Result carries whatever the operand carried (abs). */
  pass: 3,
  /** Result is never a NaN (conversion from an integer). */
  never: 4,
  /** Vector forms; the lanes are f32 or f64. */
  arithmetic32x4: 5,
  arithmetic64x2: 6,
  ignore32x4: 7,
  ignore64x2: 8,
  pass32x4: 9,
  pass64x2: 10,
  extract32: 11,
  extract64: 12,
  demote: 13,
  promote: 14,
  neverVector: 15,
} as const;

export const immediateOf: Uint8Array = new Uint8Array(OPCODES);
export const refusedOf: Uint8Array = new Uint8Array(OPCODES).fill(REFUSED.unknown);
/** Operands popped and result type pushed (0: none), for instructions with a fixed signature. */
export const popsOf: Uint8Array = new Uint8Array(OPCODES);
export const pushOf: Uint8Array = new Uint8Array(OPCODES);
/** Real network's weights (dfinity/ic, embedders, instruction costs). */
export const weightOf: Uint16Array = new Uint16Array(OPCODES).fill(1);
export const nanOf: Uint8Array = new Uint8Array(OPCODES);
/** Bytes that a store writes; 0 for everything else. */
export const storeBytesOf: Uint8Array = new Uint8Array(OPCODES);
/** Type of a store's value operand. */
export const storeTypeOf: Uint8Array = new Uint8Array(OPCODES);
/**
 * Instructions that touch no float operand, change no control and store nothing: 1 without immediates, 2 loads. The most
 * of most code, dealt with on a short path.
 */
export const quickOf: Uint8Array = new Uint8Array(OPCODES);
/** 1 for loads and stores, whose weight doubles on a 64-bit heap. */
export const accessOf: Uint8Array = new Uint8Array(OPCODES);

const LETTER: { readonly [letter: string]: number } = {
  i: I32,
  l: I64,
  f: F32,
  d: F64,
  v: V128,
  r: EXTERNREF,
};

interface Traits {
  readonly weight?: number;
  readonly nan?: number;
  readonly immediate?: number;
}

/** `signature` is operands>result in the letters above, `a` an address. */
function define(first: number, last: number, signature: string, traits: Traits = {}): void {
  const [operands, result] = signature.split('>') as [string, string];
  for (let op = first; op <= last; op++) {
    refusedOf[op] = REFUSED.none;
    popsOf[op] = operands.length;
    pushOf[op] = result === '' ? 0 : (LETTER[result] as number);
    weightOf[op] = traits.weight ?? 1;
    nanOf[op] = traits.nan ?? NAN.observe;
    immediateOf[op] = traits.immediate ?? IMMEDIATE.none;
  }
}

function access(op: number, signature: string, storeBytes = 0, lane = false): void {
  define(op, op, signature, { immediate: lane ? IMMEDIATE.memoryLane : IMMEDIATE.memory });
  accessOf[op] = 1;
  if (storeBytes > 0) {
    storeBytesOf[op] = storeBytes;
    storeTypeOf[op] = LETTER[signature[1] as string] as number;
  }
}

function refuse(first: number, last: number, why: number): void {
  refusedOf.fill(why, first, last + 1);
}

// --- control, variables, references: signatures of those with `>` alone are worked out by the rewriter --------------
define(0x00, 0x01, '>');
define(0x02, 0x03, '>', { immediate: IMMEDIATE.blockType, weight: 0 });
define(0x04, 0x04, 'i>', { immediate: IMMEDIATE.blockType, weight: 2 });
define(0x05, 0x05, '>', { weight: 0 });
define(0x0b, 0x0b, '>', { weight: 0 });
define(0x0c, 0x0c, '>', { immediate: IMMEDIATE.index, weight: 2 });
define(0x0d, 0x0d, 'i>', { immediate: IMMEDIATE.index, weight: 2 });
define(0x0e, 0x0e, 'i>', { immediate: IMMEDIATE.branchTable, weight: 2 });
define(0x0f, 0x0f, '>');
define(0x10, 0x10, '>', { immediate: IMMEDIATE.index, weight: 5 });
define(0x11, 0x11, '>', { immediate: IMMEDIATE.indexPair, weight: 10 });
define(0x12, 0x12, '>', { immediate: IMMEDIATE.index, weight: 3 });
define(0x13, 0x13, '>', { immediate: IMMEDIATE.indexPair, weight: 60 });
define(0x14, 0x15, '>', { immediate: IMMEDIATE.index, weight: 10 });
define(0x1a, 0x1a, 'i>', { nan: NAN.ignore });
define(0x1b, 0x1b, '>');
define(0x1c, 0x1c, '>', { immediate: IMMEDIATE.types });
define(0x20, 0x22, '>', { immediate: IMMEDIATE.index });
define(0x23, 0x24, '>', { immediate: IMMEDIATE.index, weight: 2 });
define(0x25, 0x25, 'i>r', { immediate: IMMEDIATE.index, weight: 5 });
define(0x26, 0x26, 'ir>', { immediate: IMMEDIATE.index, weight: 5 });
define(0xd0, 0xd0, '>r', { immediate: IMMEDIATE.heapType });
define(0xd1, 0xd1, 'r>i', { weight: 5 });
define(0xd2, 0xd2, '>r', { immediate: IMMEDIATE.index, weight: 130 });
define(0xd4, 0xd4, '>');
define(0xd5, 0xd6, '>', { immediate: IMMEDIATE.index, weight: 2 });
refuse(0x14, 0x15, REFUSED.typedReferences);
refuse(0xd4, 0xd6, REFUSED.typedReferences);
refuse(0x06, 0x0a, REFUSED.exceptions);
refuse(0x18, 0x19, REFUSED.exceptions);
refuse(0x1f, 0x1f, REFUSED.exceptions);
refuse(0xd3, 0xd3, REFUSED.gc);
refuse(0xfb, 0xfb, REFUSED.gc);
refuse(0xfe, 0xfe, REFUSED.threads);

// --- memory ---------------------------------------------------------------------------------------------------------
for (let op = 0x28; op <= 0x35; op++) {
  const result = op === 0x2a ? 'f' : op === 0x2b ? 'd' : op === 0x29 || op >= 0x30 ? 'l' : 'i';
  access(op, `a>${result}`);
}
for (const [op, type, bytes] of [
  [0x36, 'i', 4],
  [0x37, 'l', 8],
  [0x38, 'f', 4],
  [0x39, 'd', 8],
  [0x3a, 'i', 1],
  [0x3b, 'i', 2],
  [0x3c, 'l', 1],
  [0x3d, 'l', 2],
  [0x3e, 'l', 4],
] as const) {
  access(op, `a${type}>`, bytes);
}
define(0x3f, 0x3f, '>i', { immediate: IMMEDIATE.memoryIndex, weight: 20 });
define(0x40, 0x40, 'i>i', { immediate: IMMEDIATE.memoryIndex, weight: 300 });

// --- numbers --------------------------------------------------------------------------------------------------------
define(0x41, 0x41, '>i', { immediate: IMMEDIATE.i32 });
define(0x42, 0x42, '>l', { immediate: IMMEDIATE.i64 });
define(0x43, 0x43, '>f', { immediate: IMMEDIATE.bytes4 });
define(0x44, 0x44, '>d', { immediate: IMMEDIATE.bytes8 });
define(0x45, 0x45, 'i>i');
define(0x46, 0x4f, 'ii>i');
define(0x50, 0x50, 'l>i');
define(0x51, 0x5a, 'll>i');
define(0x5b, 0x60, 'ff>i', { weight: 3, nan: NAN.ignore });
define(0x61, 0x66, 'dd>i', { weight: 3, nan: NAN.ignore });
define(0x67, 0x69, 'i>i');
define(0x6a, 0x78, 'ii>i');
define(0x6d, 0x70, 'ii>i', { weight: 10 });
define(0x79, 0x7b, 'l>l');
define(0x7c, 0x8a, 'll>l');
define(0x7f, 0x82, 'll>l', { weight: 10 });
for (const [base, type, divide, root, copysign] of [
  [0x8b, 'f', 3, 5, 2],
  [0x99, 'd', 5, 8, 3],
] as const) {
  const one = `${type}>${type}`;
  const two = `${type}${type}>${type}`;
  define(base, base, one, { nan: NAN.pass });
  define(base + 1, base + 1, one);
  define(base + 2, base + 5, one, { weight: 2, nan: NAN.arithmetic });
  define(base + 6, base + 6, one, { weight: root, nan: NAN.arithmetic });
  define(base + 7, base + 9, two, { weight: 2, nan: NAN.arithmetic });
  define(base + 10, base + 10, two, { weight: divide, nan: NAN.arithmetic });
  define(base + 11, base + 12, two, { weight: 18, nan: NAN.arithmetic });
  define(base + 13, base + 13, two, { weight: copysign });
}
define(0xa7, 0xa7, 'l>i');
define(0xa8, 0xa9, 'f>i', { weight: 20, nan: NAN.ignore });
define(0xaa, 0xab, 'd>i', { weight: 20, nan: NAN.ignore });
define(0xac, 0xad, 'i>l');
define(0xae, 0xaf, 'f>l', { weight: 20, nan: NAN.ignore });
define(0xb0, 0xb1, 'd>l', { weight: 20, nan: NAN.ignore });
for (const [base, type] of [
  [0xb2, 'f'],
  [0xb7, 'd'],
] as const) {
  define(base, base, `i>${type}`, { weight: 3, nan: NAN.never });
  define(base + 1, base + 1, `i>${type}`, { weight: 16, nan: NAN.never });
  define(base + 2, base + 2, `l>${type}`, { weight: 3, nan: NAN.never });
  define(base + 3, base + 3, `l>${type}`, { weight: 16, nan: NAN.never });
}
define(0xb6, 0xb6, 'd>f', { nan: NAN.arithmetic });
define(0xbb, 0xbb, 'f>d', { nan: NAN.arithmetic });
define(0xbc, 0xbc, 'f>i');
define(0xbd, 0xbd, 'd>l');
define(0xbe, 0xbe, 'i>f');
define(0xbf, 0xbf, 'l>d');
define(0xc0, 0xc1, 'i>i');
define(0xc2, 0xc4, 'l>l');

// --- 0xFC: saturating conversions, bulk operations ------------------------------------------------------------------
define(FC + 0, FC + 1, 'f>i', { weight: 20, nan: NAN.ignore });
define(FC + 2, FC + 3, 'd>i', { weight: 20, nan: NAN.ignore });
define(FC + 4, FC + 5, 'f>l', { weight: 20, nan: NAN.ignore });
define(FC + 6, FC + 7, 'd>l', { weight: 20, nan: NAN.ignore });
define(FC + 8, FC + 8, 'iii>', { immediate: IMMEDIATE.segmentMemory, weight: 100 });
define(FC + 9, FC + 9, '>', { immediate: IMMEDIATE.index, weight: 300 });
define(FC + 10, FC + 10, 'iii>', { immediate: IMMEDIATE.memoryIndexPair, weight: 100 });
define(FC + 11, FC + 11, 'iii>', { immediate: IMMEDIATE.memoryIndex, weight: 100 });
define(FC + 12, FC + 12, 'iii>', { immediate: IMMEDIATE.indexPair, weight: 100 });
define(FC + 13, FC + 13, '>', { immediate: IMMEDIATE.index, weight: 300 });
define(FC + 14, FC + 14, 'iii>', { immediate: IMMEDIATE.indexPair, weight: 100 });
define(FC + 15, FC + 15, 'ri>i', { immediate: IMMEDIATE.index, weight: 300 });
define(FC + 16, FC + 16, '>i', { immediate: IMMEDIATE.index, weight: 100 });
define(FC + 17, FC + 17, 'iri>', { immediate: IMMEDIATE.index, weight: 100 });

/** Weight of an instruction on a heap of the given width. */
export function instructionWeight(op: number, memory64: boolean): number {
  return memory64 && accessOf[op] === 1 ? 2 : (weightOf[op] as number);
}

// --- 0xFD: vectors --------------------------------------------------------------------------------------------------
const unused = [154, 162, 165, 166, 175, 176, 178, 179, 180, 187, 194, 197, 198, 207, 208, 210, 211, 212, 226, 238];
define(FD + 14, FD + 255, 'vv>v');
refuse(FD + 0x100, FD + 0x1ff, REFUSED.relaxedSimd);
for (const sub of unused) refusedOf[FD + sub] = REFUSED.unknown;
for (let sub = 0; sub <= 10; sub++) access(FD + sub, 'a>v');
access(FD + 11, 'av>', 16);
define(FD + 12, FD + 12, '>v', { immediate: IMMEDIATE.bytes16 });
define(FD + 13, FD + 13, 'vv>v', { immediate: IMMEDIATE.bytes16, weight: 3 });
define(FD + 15, FD + 17, 'i>v');
define(FD + 18, FD + 18, 'l>v');
define(FD + 19, FD + 19, 'f>v');
define(FD + 20, FD + 20, 'd>v');
for (const [sub, signature] of [
  [21, 'v>i'],
  [22, 'v>i'],
  [23, 'vi>v'],
  [24, 'v>i'],
  [25, 'v>i'],
  [26, 'vi>v'],
  [27, 'v>i'],
  [28, 'vi>v'],
  [29, 'v>l'],
  [30, 'vl>v'],
  [31, 'v>f'],
  [32, 'vf>v'],
  [33, 'v>d'],
  [34, 'vd>v'],
] as const) {
  define(FD + sub, FD + sub, signature, { immediate: IMMEDIATE.lane });
}
nanOf[FD + 31] = NAN.extract32;
nanOf[FD + 33] = NAN.extract64;
define(FD + 65, FD + 70, 'vv>v', { nan: NAN.ignore32x4 });
define(FD + 71, FD + 76, 'vv>v', { nan: NAN.ignore64x2 });
define(FD + 77, FD + 77, 'v>v');
define(FD + 82, FD + 82, 'vvv>v');
define(FD + 83, FD + 83, 'v>i');
for (let lane = 0; lane < 4; lane++) {
  access(FD + 84 + lane, 'av>v', 0, true);
  access(FD + 88 + lane, 'av>', 1 << lane, true);
}
access(FD + 92, 'a>v');
access(FD + 93, 'a>v');
define(FD + 94, FD + 94, 'v>v', { nan: NAN.demote });
define(FD + 95, FD + 95, 'v>v', { nan: NAN.promote });
for (const sub of [96, 97, 98, 124, 125, 126, 127, 128, 129, 135, 136, 137, 138, 160, 161, 167, 168, 169, 170]) {
  define(FD + sub, FD + sub, 'v>v');
}
for (const sub of [192, 193, 199, 200, 201, 202]) define(FD + sub, FD + sub, 'v>v');
for (const sub of [99, 100, 131, 132, 163, 164, 195, 196]) define(FD + sub, FD + sub, 'v>i');
for (const sub of [107, 108, 109, 139, 140, 141, 171, 172, 173, 203, 204, 205]) define(FD + sub, FD + sub, 'vi>v');
for (const sub of [103, 104, 105, 106]) define(FD + sub, FD + sub, 'v>v', { nan: NAN.arithmetic32x4 });
for (const sub of [116, 117, 122, 148]) define(FD + sub, FD + sub, 'v>v', { nan: NAN.arithmetic64x2 });
define(FD + 224, FD + 224, 'v>v', { nan: NAN.pass32x4 });
define(FD + 225, FD + 225, 'v>v');
define(FD + 227, FD + 227, 'v>v', { nan: NAN.arithmetic32x4 });
define(FD + 228, FD + 233, 'vv>v', { nan: NAN.arithmetic32x4 });
define(FD + 236, FD + 236, 'v>v', { nan: NAN.pass64x2 });
define(FD + 237, FD + 237, 'v>v');
define(FD + 239, FD + 239, 'v>v', { nan: NAN.arithmetic64x2 });
define(FD + 240, FD + 245, 'vv>v', { nan: NAN.arithmetic64x2 });
define(FD + 248, FD + 249, 'v>v', { nan: NAN.ignore32x4 });
define(FD + 250, FD + 251, 'v>v', { nan: NAN.neverVector });
define(FD + 252, FD + 253, 'v>v', { nan: NAN.ignore64x2 });
define(FD + 254, FD + 255, 'v>v', { nan: NAN.neverVector });

for (const [weight, subs] of [
  [2, [38, 40, 48, 50, 58, 60, 109, 125, 139, 140, 141, 157, 159, 171, 172, 173, 181, 188, 189, 190, 191, 203, 205]],
  [2, [103, 104, 105, 106, 116, 117, 122, 148, 224, 225, 228, 229, 230, 236, 237, 240, 241, 242, 248, 252]],
  [3, [98, 107, 108, 127, 204, 253]],
  [4, [213, 232, 233, 244, 249, 251]],
  [5, [227, 245]],
  [10, [231]],
  [12, [243]],
  [14, [239]],
] as const) {
  for (const sub of subs) weightOf[FD + sub] = weight;
}

for (let op = 0x28; op < 0xd0; op++) {
  if (refusedOf[op] !== REFUSED.none) continue;
  if (op <= 0x35) quickOf[op] = 2;
  // Integer arithmetic and comparisons, conversions between integers, integers as floats' bits.
  else if ((op >= 0x45 && op <= 0x5a) || (op >= 0x67 && op <= 0x8a)) quickOf[op] = 1;
  else if (op === 0xa7 || op === 0xac || op === 0xad || (op >= 0xbe && op <= 0xc4)) quickOf[op] = 1;
}
// Sums with constants are followed.
for (const op of [0x6a, 0x6b, 0x7c, 0x7d]) quickOf[op] = 0;

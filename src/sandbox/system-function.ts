import { contextBits } from './execution-context.ts';
import type { SystemApi } from './system-api.ts';

/** A function of the System API as the table of the specification has it. */
export interface SystemFunction {
  readonly name: string;
  /** Parameters and result; `I` is the module's pointer type. */
  readonly type: SystemFunctionType;
  /** Bits of the contexts that may call it. */
  readonly contexts: number;
  /** Fixed charge; what it moves comes on top. */
  readonly instructions: number;
  /** Only for modules with 32-bit pointers. */
  readonly only32: boolean;
  /** The import for an instance: closures are made once per instance, none per message. */
  bind(api: SystemApi): WebAssembly.ImportValue;
}

type Body<Arguments extends unknown[], Result> = (
  api: SystemApi,
  definition: SystemFunction,
  ...rest: Arguments
) => Result;

/** What the body of a function of each type gets and gives: pointers as unsigned numbers, i64 as unsigned bigints. */
export interface SystemFunctionBodies {
  '->': Body<[], void>;
  '->i32': Body<[], number>;
  '->i64': Body<[], bigint>;
  '->I': Body<[], number>;
  'I->': Body<[number], void>;
  'I->I': Body<[number], number>;
  'I I->': Body<[number, number], void>;
  'I I->i32': Body<[number, number], number>;
  'I I->I': Body<[number, number], number>;
  'I I I->': Body<[number, number, number], void>;
  'I I I I->': Body<[number, number, number, number], void>;
  'I I I I I->': Body<[number, number, number, number, number], void>;
  /** `call_new`: some of its pointers are values of the canister's own, so all stay exact. */
  'I I I I I I I I->': Body<[readonly bigint[]], void>;
  /** `call_on_cleanup`, likewise. */
  'fun env->': Body<[bigint, bigint], void>;
  'I I i32 I->i32': Body<[number, number, number, number], number>;
  'i32->': Body<[number], void>;
  'i32->i32': Body<[number], number>;
  'i32->i64': Body<[number], bigint>;
  'i32 i32 i32->': Body<[number, number, number], void>;
  'i64->': Body<[bigint], void>;
  'i64->i64': Body<[bigint], bigint>;
  'i64 i64->': Body<[bigint, bigint], void>;
  'i64 i64 I->': Body<[bigint, bigint, number], void>;
  /** Offsets and sizes in stable memory. */
  'i64 i64 i64->': Body<[number, number, number], void>;
}
export type SystemFunctionType = keyof SystemFunctionBodies;

type Adapter<B> = (api: SystemApi, definition: SystemFunction, body: B) => WebAssembly.ImportValue;

/** Pointers as WebAssembly passes them, signed and in the width of the module, to plain unsigned numbers. */
function wide(pointer: bigint): number {
  return Number(BigInt.asUintN(64, pointer));
}

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

/**
 * For each type one pair of adapters, for 32-bit and for 64-bit modules. Written out, because a generic adapter would
 * cost more than most functions do.
 */
const ADAPTERS: { readonly [Type in SystemFunctionType]: Adapter<SystemFunctionBodies[Type]> } = {
  '->': (api, f, body) => () => body(api, f),
  '->i32': (api, f, body) => () => body(api, f),
  '->i64': (api, f, body) => () => body(api, f),
  '->I': (api, f, body) => (api.machine.memory64 ? () => BigInt(body(api, f)) : () => body(api, f)),
  'I->': (api, f, body) =>
    api.machine.memory64 ? (a: bigint) => body(api, f, wide(a)) : (a: number) => body(api, f, a >>> 0),
  'I->I': (api, f, body) =>
    api.machine.memory64 ? (a: bigint) => BigInt(body(api, f, wide(a))) : (a: number) => body(api, f, a >>> 0),
  'I I->': (api, f, body) =>
    api.machine.memory64
      ? (a: bigint, b: bigint) => body(api, f, wide(a), wide(b))
      : (a: number, b: number) => body(api, f, a >>> 0, b >>> 0),
  'I I->i32': (api, f, body) =>
    api.machine.memory64
      ? (a: bigint, b: bigint) => body(api, f, wide(a), wide(b))
      : (a: number, b: number) => body(api, f, a >>> 0, b >>> 0),
  'I I->I': (api, f, body) =>
    api.machine.memory64
      ? (a: bigint, b: bigint) => BigInt(body(api, f, wide(a), wide(b)))
      : (a: number, b: number) => body(api, f, a >>> 0, b >>> 0),
  'I I I->': (api, f, body) =>
    api.machine.memory64
      ? (a: bigint, b: bigint, c: bigint) => body(api, f, wide(a), wide(b), wide(c))
      : (a: number, b: number, c: number) => body(api, f, a >>> 0, b >>> 0, c >>> 0),
  'I I I I->': (api, f, body) =>
    api.machine.memory64
      ? (a: bigint, b: bigint, c: bigint, d: bigint) => body(api, f, wide(a), wide(b), wide(c), wide(d))
      : (a: number, b: number, c: number, d: number) => body(api, f, a >>> 0, b >>> 0, c >>> 0, d >>> 0),
  'I I I I I->': (api, f, body) =>
    api.machine.memory64
      ? (a: bigint, b: bigint, c: bigint, d: bigint, e: bigint) =>
          body(api, f, wide(a), wide(b), wide(c), wide(d), wide(e))
      : (a: number, b: number, c: number, d: number, e: number) =>
          body(api, f, a >>> 0, b >>> 0, c >>> 0, d >>> 0, e >>> 0),
  'I I I I I I I I->': (api, f, body) =>
    api.machine.memory64
      ? (...a: bigint[]) => body(api, f, a.map(u64))
      : (...a: number[]) =>
          body(
            api,
            f,
            a.map((value) => BigInt(value >>> 0)),
          ),
  'fun env->': (api, f, body) =>
    api.machine.memory64
      ? (a: bigint, b: bigint) => body(api, f, u64(a), u64(b))
      : (a: number, b: number) => body(api, f, BigInt(a >>> 0), BigInt(b >>> 0)),
  'I I i32 I->i32': (api, f, body) =>
    api.machine.memory64
      ? (a: bigint, b: bigint, c: number, d: bigint) => body(api, f, wide(a), wide(b), c >>> 0, wide(d))
      : (a: number, b: number, c: number, d: number) => body(api, f, a >>> 0, b >>> 0, c >>> 0, d >>> 0),
  'i32->': (api, f, body) => (a: number) => body(api, f, a >>> 0),
  'i32->i32': (api, f, body) => (a: number) => body(api, f, a >>> 0),
  'i32->i64': (api, f, body) => (a: number) => body(api, f, a >>> 0),
  'i32 i32 i32->': (api, f, body) => (a: number, b: number, c: number) => body(api, f, a >>> 0, b >>> 0, c >>> 0),
  'i64->': (api, f, body) => (a: bigint) => body(api, f, u64(a)),
  'i64->i64': (api, f, body) => (a: bigint) => body(api, f, u64(a)),
  'i64 i64->': (api, f, body) => (a: bigint, b: bigint) => body(api, f, u64(a), u64(b)),
  'i64 i64 I->': (api, f, body) =>
    api.machine.memory64
      ? (a: bigint, b: bigint, c: bigint) => body(api, f, u64(a), u64(b), wide(c))
      : (a: bigint, b: bigint, c: number) => body(api, f, u64(a), u64(b), c >>> 0),
  'i64 i64 i64->': (api, f, body) => (a: bigint, b: bigint, c: bigint) => body(api, f, wide(a), wide(b), wide(c)),
};

/**
 * Describes a function of the System API.
 * @param contexts the letters of the specification's table
 */
export function systemFunction<Type extends SystemFunctionType>(
  name: string,
  type: Type,
  contexts: string,
  instructions: number,
  body: SystemFunctionBodies[Type],
  only32 = false,
): SystemFunction {
  const adapt: Adapter<SystemFunctionBodies[Type]> = ADAPTERS[type];
  return {
    name,
    type,
    contexts: contextBits(contexts),
    instructions,
    only32,
    bind(api: SystemApi): WebAssembly.ImportValue {
      return adapt(api, this, body);
    },
  };
}

/**
 * Candid as people write it. Reads .did interface descriptions into types of the IDL library, reads argument lists
 * such as `(1, record { name = "x" })` at those types (or at inferred ones when the interface is unknown) and prints
 * results in the same notation. Encoding and decoding of bytes is left to `@icp-sdk/core/candid`.
 *
 * Limits: no `import` in .did files; values nest at most 500 deep.
 */
import { IDL } from '@icp-sdk/core/candid';
import { CandidSyntaxError } from './candid-syntax-error.ts';
import { printValues, toJson } from './value-printer.ts';
import { parseArguments } from './value-syntax.ts';
import { inferredType, valueAt } from './value-typing.ts';
import { wireTypes } from './wire-types.ts';

export { CandidSyntaxError } from './candid-syntax-error.ts';
export { type InterfaceDescription, parseInterface } from './interface-description.ts';

/**
 * Encodes an argument list given as text.
 * @param types the expected types; undefined infers them from the text.
 * @throws CandidSyntaxError
 */
export function encodeArguments(text: string, types: readonly IDL.Type[] | undefined): Uint8Array {
  const values = parseArguments(text);
  const expected = types ?? values.map(inferredType);
  if (values.length > expected.length)
    throw new CandidSyntaxError(`${values.length} arguments are given, ${signature(expected)} are expected`);
  const converted = expected.map((type, index) =>
    valueAt(type, values[index] ?? missing(expected, index), `argument ${index + 1}`),
  );
  return IDL.encode([...expected], converted);
}

/** A decoded reply, as Candid text and as JSON (see `toJson`). */
export interface Reply {
  readonly text: string;
  readonly json: unknown;
}

/** @param types as in the interface; undefined takes those that the message declares. */
export function decodeReply(bytes: Uint8Array, types: readonly IDL.Type[] | undefined): Reply {
  const own = Uint8Array.from(bytes);
  const expected = types ?? wireTypes(own);
  const values: readonly unknown[] = IDL.decode([...expected], own);
  return { text: printValues(expected, values), json: expected.map((type, index) => toJson(type, values[index])) };
}

/** `(text, opt nat)` */
export function signature(types: readonly IDL.Type[]): string {
  return `(${types.map((type) => type.display()).join(', ')})`;
}

function missing(expected: readonly IDL.Type[], index: number): { readonly kind: 'null' } {
  const type = expected[index];
  if (type instanceof IDL.OptClass || type instanceof IDL.NullClass || type instanceof IDL.ReservedClass)
    return { kind: 'null' };
  throw new CandidSyntaxError(`argument ${index + 1} is missing: expected ${signature(expected)}`);
}

import { IDL } from '@icp-sdk/core/candid';
import type { Principal } from '@icp-sdk/core/principal';
import { unknotted } from './value-typing.ts';

/** Values longer than this go on several lines. */
const LINE_MAX = 100;
const WORD = /^[A-Za-z_][A-Za-z0-9_]*$/;
const KEYWORDS = new Set(
  'type import service func query oneway composite_query blob null bool nat int nat8 nat16 nat32 nat64 int8 int16 int32 int64 float32 float64 text reserved empty opt vec record variant principal true false'.split(
    ' ',
  ),
);

/** Writes the results of a call as Candid text, e.g. `(42 : nat, opt "x")`; what comes out can be read back in. */
export function printValues(types: readonly IDL.Type[], values: readonly unknown[]): string {
  const items = types.map((type, index) => print(type, values[index], '  ', true));
  return block('(', items, ',', ')', '');
}

/**
 * The same values as plain JSON: unbounded and 64-bit numbers as decimal strings, bytes as a hex string, `opt` as the
 * value or null, variants as `{"name": value}`, principals as text.
 */
export function toJson(type: IDL.Type, value: unknown): unknown {
  const plain = unknotted(type);
  if (plain instanceof IDL.OptClass) {
    const [inner] = value as [] | [unknown];
    return (value as unknown[]).length === 0 ? null : toJson(plain._type, inner);
  }
  if (plain instanceof IDL.VecClass) {
    if (isByte(plain._type)) return Buffer.from(value as Uint8Array).toString('hex');
    return Array.from(value as ArrayLike<unknown>, (item) => toJson(plain._type, item));
  }
  if (plain instanceof IDL.TupleClass)
    return plain._fields.map(([, field], index) => toJson(field, (value as unknown[])[index]));
  if (plain instanceof IDL.RecordClass)
    return Object.fromEntries(
      plain._fields.map(([key, field]) => [key, toJson(field, (value as Record<string, unknown>)[key])]),
    );
  if (plain instanceof IDL.VariantClass) {
    const [key, field, inner] = alternative(plain, value);
    return { [key]: toJson(field, inner) };
  }
  if (plain instanceof IDL.FuncClass) {
    const [canister, method] = value as [Principal, string];
    return { canister: canister.toText(), method };
  }
  if (plain instanceof IDL.PrincipalClass || plain instanceof IDL.ServiceClass) return (value as Principal).toText();
  if (plain instanceof IDL.NullClass || plain instanceof IDL.ReservedClass) return null;
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}

function print(type: IDL.Type, value: unknown, indent: string, annotate: boolean): string {
  const plain = unknotted(type);
  const deeper = `${indent}  `;
  if (plain instanceof IDL.TextClass) return quoted(value as string);
  if (plain instanceof IDL.NullClass || plain instanceof IDL.ReservedClass) return 'null';
  if (plain instanceof IDL.BoolClass) return String(value);
  if (plain instanceof IDL.PrincipalClass) return `principal ${quoted((value as Principal).toText())}`;
  if (plain instanceof IDL.ServiceClass) return `service ${quoted((value as Principal).toText())}`;
  if (plain instanceof IDL.FuncClass) {
    const [canister, method] = value as [Principal, string];
    return `func ${quoted(canister.toText())}.${word(method)}`;
  }
  if (plain instanceof IDL.OptClass) {
    const [inner] = value as [] | [unknown];
    if ((value as unknown[]).length === 0) return 'null';
    const text = print(plain._type, inner, indent, annotate);
    return / : [a-z0-9]+$/.test(text) ? `opt (${text})` : `opt ${text}`;
  }
  if (plain instanceof IDL.VecClass) {
    if (isByte(plain._type)) return `blob "${escapedBytes(value as Uint8Array)}"`;
    const items = Array.from(value as ArrayLike<unknown>, (item) => print(plain._type, item, deeper, annotate));
    return block('vec {', items, ';', '}', indent);
  }
  if (plain instanceof IDL.TupleClass) {
    const items = plain._fields.map(([, field], index) => print(field, (value as unknown[])[index], deeper, annotate));
    return block('record {', items, ';', '}', indent);
  }
  if (plain instanceof IDL.RecordClass) {
    const record = value as Record<string, unknown>;
    const items = plain._fields.map(([key, field]) => `${label(key)} = ${print(field, record[key], deeper, annotate)}`);
    return block('record {', items, ';', '}', indent);
  }
  if (plain instanceof IDL.VariantClass) {
    const [key, field, inner] = alternative(plain, value);
    if (unknotted(field) instanceof IDL.NullClass) return `variant { ${label(key)} }`;
    return block('variant {', [`${label(key)} = ${print(field, inner, deeper, annotate)}`], ';', '}', indent);
  }
  if (plain instanceof IDL.FloatClass) return annotated(float(value as number), plain, annotate);
  return annotated(String(value), plain, annotate);
}

function annotated(text: string, type: IDL.Type, annotate: boolean): string {
  // An `int` that is not negative would read back as `nat`, so every number carries its type.
  return annotate ? `${text} : ${type.display()}` : text;
}

function block(open: string, items: readonly string[], separator: string, close: string, indent: string): string {
  if (items.length === 0) return `${open}${close}`;
  const spaced = open.endsWith('{') ? ' ' : '';
  const line = `${open}${spaced}${items.join(`${separator} `)}${spaced}${close}`;
  if (line.length + indent.length <= LINE_MAX && !line.includes('\n')) return line;
  const inner = `${indent}  `;
  return `${open}\n${items.map((item) => `${inner}${item}${separator}\n`).join('')}${indent}${close}`;
}

function alternative(type: IDL.VariantClass, value: unknown): [string, IDL.Type, unknown] {
  const record = value as Record<string, unknown>;
  const found = type._fields.find(([key]) => Object.hasOwn(record, key));
  return found === undefined ? ['', IDL.Null, null] : [found[0], found[1], record[found[0]]];
}

function isByte(type: IDL.Type): boolean {
  const plain = unknotted(type);
  return plain instanceof IDL.FixedNatClass && plain._bits === 8;
}

function float(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function label(key: string): string {
  return /^_(\d+)_$/.exec(key)?.[1] ?? word(key);
}

function word(name: string): string {
  return WORD.test(name) && !KEYWORDS.has(name) ? name : quoted(name);
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '"': '\\"', '\\': '\\\\' };

function quoted(text: string): string {
  let out = '"';
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    out += ESCAPES[character] ?? (point < 32 || point === 127 ? `\\u{${point.toString(16)}}` : character);
  }
  return `${out}"`;
}

function escapedBytes(bytes: Uint8Array): string {
  let out = '';
  for (const byte of Uint8Array.from(bytes)) {
    const printable = byte >= 32 && byte < 127 && byte !== 34 && byte !== 92;
    out += printable ? String.fromCharCode(byte) : `\\${byte.toString(16).padStart(2, '0')}`;
  }
  return out;
}

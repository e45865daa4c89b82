import { IDL } from '@icp-sdk/core/candid';
import { Principal } from '@icp-sdk/core/principal';
import { CandidSyntaxError } from './candid-syntax-error.ts';
import { fieldKey } from './interface-description.ts';
import { utf8 } from './token-stream.ts';
import type { FieldValueSyntax, ValueSyntax } from './value-syntax.ts';

/**
 * The JavaScript value, in the IDL library's conventions, of a written value at an expected type. Where the type is
 * `opt t`, a bare `t` is accepted as `opt`. Absent optional fields of records become `null`.
 * @throws CandidSyntaxError naming the place (`argument 1, field name`) and what was expected.
 */
export function valueAt(type: IDL.Type, syntax: ValueSyntax, place: string): unknown {
  const expected = unknotted(type);
  if (expected instanceof IDL.OptClass) return optionAt(expected, syntax, place);
  const value = syntax.kind === 'annotated' ? syntax.value : syntax;
  if (expected instanceof IDL.ReservedClass) return null;
  if (expected instanceof IDL.NullClass) return value.kind === 'null' ? null : wrong(place, expected, value);
  if (expected instanceof IDL.BoolClass) return value.kind === 'bool' ? value.value : wrong(place, expected, value);
  if (expected instanceof IDL.TextClass)
    return value.kind === 'text' ? utf8(value.bytes) : wrong(place, expected, value);
  if (expected instanceof IDL.FloatClass) return floatAt(expected, value, place);
  if (isInteger(expected)) return integerAt(expected, value, place);
  if (expected instanceof IDL.PrincipalClass)
    return value.kind === 'principal' ? principal(value.bytes, place) : wrong(place, expected, value);
  if (expected instanceof IDL.ServiceClass)
    return value.kind === 'service' ? principal(value.bytes, place) : wrong(place, expected, value);
  if (expected instanceof IDL.FuncClass)
    return value.kind === 'func' ? [principal(value.bytes, place), value.method] : wrong(place, expected, value);
  if (expected instanceof IDL.VecClass) return vectorAt(expected, value, place);
  if (expected instanceof IDL.TupleClass || expected instanceof IDL.RecordClass)
    return recordAt(expected, value, place);
  if (expected instanceof IDL.VariantClass) return variantAt(expected, value, place);
  return wrong(place, expected, value);
}

/** The most natural type of a written value, for canisters whose interface is unknown. @throws CandidSyntaxError */
export function inferredType(syntax: ValueSyntax): IDL.Type {
  switch (syntax.kind) {
    case 'annotated':
      return syntax.type;
    case 'number':
      if (/^[+-]?(0[xX]|[0-9_]+$)/.test(syntax.text)) return syntax.text.startsWith('-') ? IDL.Int : IDL.Nat;
      return IDL.Float64;
    case 'text':
      return IDL.Text;
    case 'blob':
      return IDL.Vec(IDL.Nat8);
    case 'bool':
      return IDL.Bool;
    case 'null':
      return IDL.Null;
    case 'principal':
      return IDL.Principal;
    case 'service':
      return IDL.Service({});
    case 'func':
      return IDL.Func([], [], []);
    case 'opt':
      return IDL.Opt(inferredType(syntax.of));
    case 'vec': {
      const [first] = syntax.items;
      return IDL.Vec(first === undefined ? IDL.Empty : inferredType(first));
    }
    case 'record': {
      const positional = syntax.fields.length > 0 && syntax.fields.every((field, index) => field.label === index);
      if (positional) return IDL.Tuple(...syntax.fields.map((field) => inferredType(field.value)));
      return IDL.Record(Object.fromEntries(syntax.fields.map((f) => [fieldKey(f.label), inferredType(f.value)])));
    }
    case 'variant':
      return IDL.Variant({ [fieldKey(syntax.field.label)]: inferredType(syntax.field.value) });
  }
}

type IntegerType = IDL.NatClass | IDL.IntClass | IDL.FixedNatClass | IDL.FixedIntClass;

function isInteger(type: IDL.Type): type is IntegerType {
  return (
    type instanceof IDL.NatClass ||
    type instanceof IDL.IntClass ||
    type instanceof IDL.FixedNatClass ||
    type instanceof IDL.FixedIntClass
  );
}

function optionAt(type: IDL.OptClass<unknown>, syntax: ValueSyntax, place: string): unknown {
  const value = syntax.kind === 'annotated' ? syntax.value : syntax;
  if (value.kind === 'null') return [];
  if (value.kind === 'opt') return [valueAt(type._type, value.of, place)];
  return [valueAt(type._type, syntax, place)];
}

function integerAt(type: IntegerType, value: ValueSyntax, place: string): unknown {
  if (value.kind !== 'number' || !/^[+-]?(0[xX][0-9a-fA-F_]+|[0-9_]+)$/.test(value.text))
    return wrong(place, type, value);
  const digits = value.text.replaceAll('_', '').replace(/^\+/, '');
  const number = digits.startsWith('-') ? -BigInt(digits.slice(1)) : BigInt(digits);
  if (type instanceof IDL.IntClass) return number;
  if (type instanceof IDL.NatClass) return number >= 0n ? number : outside(place, type, digits);
  const bits = BigInt(type._bits);
  const signed = type instanceof IDL.FixedIntClass;
  const lowest = signed ? -(1n << (bits - 1n)) : 0n;
  const highest = signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n;
  if (number < lowest || number > highest) return outside(place, type, digits);
  return bits === 64n ? number : Number(number);
}

function floatAt(type: IDL.FloatClass, value: ValueSyntax, place: string): unknown {
  if (value.kind !== 'number') return wrong(place, type, value);
  if (value.text === 'inf') return Number.POSITIVE_INFINITY;
  if (value.text === 'nan') return Number.NaN;
  const text = value.text.replaceAll('_', '');
  const number = /^[+-]0[xX]/.test(text) ? Number(text.slice(1)) * (text[0] === '-' ? -1 : 1) : Number(text);
  return Number.isNaN(number) ? wrong(place, type, value) : number;
}

function vectorAt(type: IDL.VecClass<unknown>, value: ValueSyntax, place: string): unknown {
  const element = unknotted(type._type);
  const bytes = element instanceof IDL.FixedNatClass && element._bits === 8;
  if (value.kind === 'blob' && bytes) return value.bytes;
  if (value.kind !== 'vec') return wrong(place, type, value);
  const items = value.items.map((item, index) => valueAt(type._type, item, `${place}, element ${index}`));
  return bytes ? Uint8Array.from(items as number[]) : items;
}

function recordAt(type: IDL.RecordClass, value: ValueSyntax, place: string): unknown {
  if (value.kind !== 'record') return wrong(place, type, value);
  const given = new Map<number, FieldValueSyntax>();
  for (const field of value.fields) {
    const id = fieldId(fieldKey(field.label));
    if (given.has(id)) throw new CandidSyntaxError(`${place}: the field ${field.label} appears twice`);
    given.set(id, field);
  }
  const entries: [string, unknown][] = [];
  for (const [key, fieldType] of type._fields) {
    const id = fieldId(key);
    const field = given.get(id);
    given.delete(id);
    if (field !== undefined) entries.push([key, valueAt(fieldType, field.value, `${place}, field ${shown(key)}`)]);
    else if (unknotted(fieldType) instanceof IDL.OptClass) entries.push([key, []]);
    else if (unknotted(fieldType) instanceof IDL.NullClass || unknotted(fieldType) instanceof IDL.ReservedClass)
      entries.push([key, null]);
    else throw new CandidSyntaxError(`${place}: the field ${shown(key)} : ${fieldType.display()} is missing`);
  }
  const [extra] = given.values();
  if (extra !== undefined) {
    const known = type._fields.map(([key]) => shown(key)).join(', ');
    throw new CandidSyntaxError(`${place}: there is no field ${extra.label}; the fields are ${known || 'none'}`);
  }
  return type instanceof IDL.TupleClass ? entries.map(([, item]) => item) : Object.fromEntries(entries);
}

function variantAt(type: IDL.VariantClass, value: ValueSyntax, place: string): unknown {
  if (value.kind !== 'variant') return wrong(place, type, value);
  const id = fieldId(fieldKey(value.field.label));
  const found = type._fields.find(([key]) => fieldId(key) === id);
  if (found === undefined) {
    const known = type._fields.map(([key]) => shown(key)).join(', ');
    throw new CandidSyntaxError(`${place}: there is no alternative ${value.field.label}; there are ${known}`);
  }
  return { [found[0]]: valueAt(found[1], value.field.value, `${place}, alternative ${shown(found[0])}`) };
}

function principal(bytes: Uint8Array, place: string): Principal {
  const text = utf8(bytes);
  try {
    return Principal.fromText(text);
  } catch {
    throw new CandidSyntaxError(`${place}: "${text}" is not a principal`);
  }
}

function wrong(place: string, expected: IDL.Type, value: ValueSyntax): never {
  throw new CandidSyntaxError(`${place}: expected ${expected.display()}, found a ${value.kind}`);
}

function outside(place: string, expected: IDL.Type, digits: string): never {
  throw new CandidSyntaxError(`${place}: ${digits} is out of the range of ${expected.display()}`);
}

export function unknotted(type: IDL.Type): IDL.Type {
  return type instanceof IDL.RecClass ? unknotted(type.getType() ?? IDL.Empty) : type;
}

/** Number of a field: its own, or the hash of its name (Candid specification, "Records"). */
export function fieldId(key: string): number {
  const numbered = /^_(\d+)_$/.exec(key)?.[1];
  if (numbered !== undefined) return Number(numbered);
  let hash = 0;
  for (const byte of new TextEncoder().encode(key)) hash = (Math.imul(hash, 223) + byte) >>> 0;
  return hash;
}

function shown(key: string): string {
  return /^_(\d+)_$/.exec(key)?.[1] ?? key;
}

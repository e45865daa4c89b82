import type { IDL } from '@icp-sdk/core/candid';
import { fieldLabel, parseType } from './interface-description.ts';
import { TokenStream } from './token-stream.ts';

/** A value as it is written, before its type is known (Candid specification, "Textual format of values"). */
export type ValueSyntax =
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  | { readonly kind: 'blob'; readonly bytes: Uint8Array }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'null' }
  | { readonly kind: 'opt'; readonly of: ValueSyntax }
  | { readonly kind: 'vec'; readonly items: readonly ValueSyntax[] }
  | { readonly kind: 'record'; readonly fields: readonly FieldValueSyntax[] }
  | { readonly kind: 'variant'; readonly field: FieldValueSyntax }
  | { readonly kind: 'principal' | 'service'; readonly bytes: Uint8Array }
  | { readonly kind: 'func'; readonly bytes: Uint8Array; readonly method: string }
  | { readonly kind: 'annotated'; readonly value: ValueSyntax; readonly type: IDL.Type };

export interface FieldValueSyntax {
  readonly label: string | number;
  readonly value: ValueSyntax;
}

/** Nesting deeper than this is refused, so that hostile text cannot exhaust the stack. */
const DEPTH_MAX = 500;

/**
 * Reads the arguments of a call: `(1, "two", record { x = 3 })`. A single value may go without parentheses.
 * @throws CandidSyntaxError
 */
export function parseArguments(text: string): ValueSyntax[] {
  const stream = new TokenStream(text);
  const values: ValueSyntax[] = [];
  if (stream.peek().kind === 'end') return values;
  if (stream.take('(')) {
    while (!stream.take(')')) {
      values.push(annotated(stream, 0));
      if (!stream.take(',') && !stream.at(')')) stream.fail('"," or ")"');
    }
  } else values.push(annotated(stream, 0));
  if (stream.peek().kind !== 'end') stream.fail('the end of the arguments');
  return values;
}

function annotated(stream: TokenStream, depth: number): ValueSyntax {
  const value = plain(stream, depth);
  if (!stream.take(':')) return value;
  return { kind: 'annotated', value, type: parseType(stream) };
}

function plain(stream: TokenStream, depth: number): ValueSyntax {
  if (depth > DEPTH_MAX) stream.fail(`at most ${DEPTH_MAX} levels of nesting`);
  const token = stream.next();
  if (token.kind === 'number') return { kind: 'number', text: token.text };
  if (token.kind === 'text') return { kind: 'text', bytes: token.bytes };
  if (token.kind === 'symbol' && token.text === '(') {
    const value = annotated(stream, depth + 1);
    stream.expect(')');
    return value;
  }
  if (token.kind !== 'word') return stream.fail('a value', token);
  switch (token.text) {
    case 'true':
    case 'false':
      return { kind: 'bool', value: token.text === 'true' };
    case 'null':
      return { kind: 'null' };
    case 'inf':
    case 'nan':
      return { kind: 'number', text: token.text };
    case 'blob':
      return { kind: 'blob', bytes: stream.textBytes() };
    case 'opt':
      return { kind: 'opt', of: plain(stream, depth + 1) };
    case 'vec':
      return { kind: 'vec', items: items(stream, depth + 1) };
    case 'record':
      return { kind: 'record', fields: recordFields(stream, depth + 1) };
    case 'variant': {
      stream.expect('{');
      const label = fieldLabel(stream);
      const value: ValueSyntax = stream.take('=') ? annotated(stream, depth + 1) : { kind: 'null' };
      stream.take(';');
      stream.expect('}');
      return { kind: 'variant', field: { label, value } };
    }
    case 'principal':
    case 'service':
      return { kind: token.text, bytes: stream.textBytes() };
    case 'func': {
      const bytes = stream.textBytes();
      stream.expect('.');
      return { kind: 'func', bytes, method: stream.name() };
    }
    default:
      return stream.fail('a value', token);
  }
}

function items(stream: TokenStream, depth: number): ValueSyntax[] {
  const values: ValueSyntax[] = [];
  stream.expect('{');
  while (!stream.take('}')) {
    values.push(annotated(stream, depth));
    if (!stream.take(';') && !stream.at('}')) stream.fail('";" or "}"');
  }
  return values;
}

function recordFields(stream: TokenStream, depth: number): FieldValueSyntax[] {
  const fields: FieldValueSyntax[] = [];
  let nextPosition = 0;
  stream.expect('{');
  while (!stream.take('}')) {
    if (stream.at('=', 1)) {
      const label = fieldLabel(stream);
      stream.expect('=');
      fields.push({ label, value: annotated(stream, depth) });
      if (typeof label === 'number') nextPosition = label + 1;
    } else fields.push({ label: nextPosition++, value: annotated(stream, depth) });
    if (!stream.take(';') && !stream.at('}')) stream.fail('";" or "}"');
  }
  return fields;
}

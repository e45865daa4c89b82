import { CandidSyntaxError } from './candid-syntax-error.ts';

/**
 * The words of Candid text, of types and of values alike (Candid specification, "Core grammar" and "Textual format").
 * Text literals are kept as bytes, because `blob "\ff"` need not be UTF-8.
 */
export type Token =
  | { readonly kind: 'word'; readonly text: string; readonly at: number }
  | { readonly kind: 'number'; readonly text: string; readonly at: number }
  | { readonly kind: 'text'; readonly bytes: Uint8Array; readonly at: number }
  | { readonly kind: 'symbol'; readonly text: string; readonly at: number }
  | { readonly kind: 'end'; readonly at: number };

const SPACE_OR_COMMENT = /(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /[+-]?(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]+)?)/y;
const SYMBOL = /->|[(){}:;,=.]/y;

/** Reads a text token by token, with one token of look-ahead. */
export class TokenStream {
  readonly #source: string;
  readonly #tokens: Token[];
  #next = 0;

  /** @throws CandidSyntaxError at the first character that starts no token. */
  constructor(source: string) {
    this.#source = source;
    this.#tokens = tokens(source);
  }

  peek(ahead = 0): Token {
    const token = this.#tokens[Math.min(this.#next + ahead, this.#tokens.length - 1)];
    return token ?? { kind: 'end', at: this.#source.length };
  }

  next(): Token {
    const token = this.peek();
    this.#next++;
    return token;
  }

  /** Takes the next token when it is this symbol or word. */
  take(text: string): boolean {
    if (!this.at(text)) return false;
    this.#next++;
    return true;
  }

  at(text: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return (token.kind === 'symbol' || token.kind === 'word') && token.text === text;
  }

  expect(text: string): void {
    if (!this.take(text)) this.fail(`"${text}"`);
  }

  /** A name: a word or a quoted text. */
  name(): string {
    const token = this.next();
    if (token.kind === 'word') return token.text;
    if (token.kind === 'text') return utf8(token.bytes);
    return this.fail('a name', token);
  }

  /** A text literal, as bytes. */
  textBytes(): Uint8Array {
    const token = this.next();
    return token.kind === 'text' ? token.bytes : this.fail('a text in double quotes', token);
  }

  fail(expected: string, token: Token = this.peek()): never {
    const before = this.#source.slice(0, token.at);
    const line = before.split('\n').length;
    const column = token.at - before.lastIndexOf('\n');
    throw new CandidSyntaxError(
      `at line ${line}, column ${column}: expected ${expected}, found ${this.#describe(token)}`,
    );
  }

  #describe(token: Token): string {
    if (token.kind === 'end') return 'the end of the text';
    if (token.kind === 'text') return 'a text literal';
    return `"${token.text}"`;
  }
}

/** Decodes a text literal's bytes. @throws CandidSyntaxError when they are not UTF-8. */
export function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CandidSyntaxError('a text literal is not UTF-8 (use blob "…" for bytes)');
  }
}

function tokens(source: string): Token[] {
  const out: Token[] = [];
  let at = 0;
  for (;;) {
    at += match(SPACE_OR_COMMENT, source, at).length;
    if (at >= source.length) break;
    const word = match(WORD, source, at);
    const number = match(NUMBER, source, at);
    const symbol = match(SYMBOL, source, at);
    if (word !== '') out.push({ kind: 'word', text: word, at });
    else if (number !== '') out.push({ kind: 'number', text: number, at });
    else if (symbol !== '') out.push({ kind: 'symbol', text: symbol, at });
    else if (source[at] === '"') {
      const { bytes, end } = textLiteral(source, at);
      out.push({ kind: 'text', bytes, at });
      at = end;
      continue;
    } else throw new CandidSyntaxError(`unexpected character "${source[at]}" at position ${at + 1}`);
    at += word.length || number.length || symbol.length;
  }
  out.push({ kind: 'end', at: source.length });
  return out;
}

function match(pattern: RegExp, source: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0] ?? '';
}

const ESCAPES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, '\\': 92, '"': 34, "'": 39 };

function textLiteral(source: string, start: number): { bytes: Uint8Array; end: number } {
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  let i = start + 1;
  for (;;) {
    const point = source.codePointAt(i);
    if (point === undefined) throw new CandidSyntaxError(`the text that starts at position ${start + 1} does not end`);
    const character = String.fromCodePoint(point);
    if (character === '"') return { bytes: Uint8Array.from(bytes), end: i + 1 };
    if (character !== '\\') {
      bytes.push(...encoder.encode(character));
      i += character.length;
      continue;
    }
    const rest = source.slice(i + 1, i + 12);
    const unicode = /^u\{([0-9a-fA-F_]+)\}/.exec(rest);
    const hex = /^[0-9a-fA-F]{2}/.exec(rest);
    const simple = ESCAPES[rest[0] ?? ''];
    if (unicode?.[1] !== undefined) {
      const value = Number.parseInt(unicode[1].replaceAll('_', ''), 16);
      if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        throw new CandidSyntaxError(`"\\u{${unicode[1]}}" is no Unicode scalar value`);
      bytes.push(...encoder.encode(String.fromCodePoint(value)));
      i += 1 + unicode[0].length;
    } else if (hex !== null) {
      bytes.push(Number.parseInt(hex[0], 16));
      i += 3;
    } else if (simple !== undefined) {
      bytes.push(simple);
      i += 2;
    } else throw new CandidSyntaxError(`unknown escape "\\${rest[0] ?? ''}" at position ${i + 1}`);
  }
}

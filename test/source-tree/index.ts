/**
 * Reads our own sources for the tests that judge them (architecture, tidy): which files there are, what they import.
 * A scanner, not a parser: it blanks out comments and the insides of strings, then looks for import clauses, which is
 * exact for the code that our formatter produces.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** The text with comments blanked out, line numbers kept. */
  readonly code: string;
  /** Specifiers of static imports, re-exports and dynamic imports of literals, with the line of each. */
  readonly imports: readonly { readonly specifier: string; readonly line: number }[];
}

/** Every file below a folder, sorted; skips dependencies and build output. */
export function filesBelow(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, '/'))
    .filter((file) => !/(^|\/)(node_modules|dist|\.cache)\//.test(file))
    .sort();
}

export function readSources(folder: string): SourceFile[] {
  return filesBelow(folder)
    .filter((file) => /\.(ts|mts|mjs)$/.test(file) && !file.endsWith('.d.ts'))
    .map(readSource);
}

function readSource(file: string): SourceFile {
  const text = readFileSync(path.join(ROOT, file), 'utf8');
  const code = withoutComments(text);
  const imports: { specifier: string; line: number }[] = [];
  const clause =
    /(?:^|[\n;}])\s*(?:import|export)\b(?:[^'";]*?\bfrom)?\s*(['"])([^'"\n]+)\1|\bimport\(\s*(['"])([^'"\n]+)\3/g;
  for (const match of code.matchAll(clause)) {
    const specifier = match[2] ?? match[4];
    if (specifier === undefined) continue;
    imports.push({ specifier, line: code.slice(0, match.index + match[0].length).split('\n').length });
  }
  return { path: file, text, code, imports };
}

/** Blanks out comments, minding strings, templates and regular expressions well enough for our own code. */
export function withoutComments(text: string): string {
  let out = '';
  let i = 0;
  let lastSignificant = '';
  while (i < text.length) {
    const character = text[i] ?? '';
    const next = text[i + 1];
    if (character === '/' && next === '/') {
      while (i < text.length && text[i] !== '\n') i++;
    } else if (character === '/' && next === '*') {
      const end = text.indexOf('*/', i + 2);
      const comment = text.slice(i, end < 0 ? text.length : end + 2);
      out += comment.replace(/[^\n]/g, ' ');
      i += comment.length;
    } else if (character === "'" || character === '"' || character === '`' || startsRegExp(text, i, lastSignificant)) {
      const end = literalEnd(text, i);
      out += text.slice(i, end);
      i = end;
      lastSignificant = character;
    } else {
      out += character;
      if (/\S/.test(character)) lastSignificant = character;
      i++;
    }
  }
  return out;
}

function startsRegExp(text: string, i: number, lastSignificant: string): boolean {
  return text[i] === '/' && (lastSignificant === '' || '(,=:[!&|?{};+'.includes(lastSignificant));
}

/** Index after the string, template or regular expression that starts at `start`. */
function literalEnd(text: string, start: number): number {
  const quote = text[start];
  let inClass = false;
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (quote === '/' && text[i] === '[') inClass = true;
    else if (quote === '/' && text[i] === ']') inClass = false;
    else if (text[i] === quote && !inClass) return i + 1;
    else if (text[i] === '\n' && quote !== '`') return i;
  }
  return text.length;
}

/**
 * Reads what strace saw of a process with several threads (`-f -y -xx`, all strings in hexadecimal). The order of lines is
 * the order of events: a thread does not go on before strace has written the line about it.
 */
import { spawnSync } from 'node:child_process';

export interface SystemCall {
  readonly name: string;
  /** What its first argument refers to: path of a file, or what strace says about a socket. */
  readonly target: string;
  /** Its first string argument, as far as strace shows it. */
  readonly data: Buffer;
  /** The last number of the arguments: the offset of pwrite64. */
  readonly lastArgument: number;
  readonly result: number;
  /** Line at which it began. */
  readonly begin: number;
  /** Line at which it had returned; infinite when it never did. */
  readonly end: number;
}

/** Whether strace is installed and allowed to trace. */
export function canTrace(): boolean {
  const { status } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'], { stdio: 'ignore' });
  return status === 0;
}

/** Program and arguments that run a command and write a trace of these calls into a file. */
export function traced(calls: readonly string[], file: string, shownBytes: number): readonly string[] {
  return ['strace', '-f', '-y', '-xx', '-s', String(shownBytes), '-e', `trace=${calls.join(',')}`, '-o', file];
}

export function parseTrace(text: string): SystemCall[] {
  const calls: SystemCall[] = [];
  /** By thread: the call that it is in. */
  const unfinished = new Map<string, { readonly begin: number; readonly text: string }>();
  for (const [line, content] of text.split('\n').entries()) {
    const [, thread = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(content) ?? [];
    const opening = /^(\w+\(.*?),? *<unfinished \.\.\.>$/.exec(rest);
    if (opening !== null) {
      unfinished.set(thread, { begin: line, text: opening[1] ?? '' });
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const before = unfinished.get(thread);
    if (resumed !== null && before === undefined) continue;
    unfinished.delete(thread);
    const call = parseCall(resumed === null ? rest : `${before?.text ?? ''}${resumed[1] ?? ''}`);
    if (call !== undefined)
      calls.push({ ...call, begin: resumed === null ? line : (before?.begin ?? line), end: line });
  }
  for (const { begin, text: started } of unfinished.values()) {
    const call = parseCall(`${started}) = 0`);
    if (call !== undefined) calls.push({ ...call, begin, end: Number.POSITIVE_INFINITY });
  }
  return calls.sort((a, b) => a.begin - b.begin);
}

function parseCall(text: string): Omit<SystemCall, 'begin' | 'end'> | undefined {
  const match = /^(\w+)\(\d+<(.*?)>(?=[,) ])(.*)\)\s+= (-?\d+)/.exec(text);
  if (match === null) return undefined;
  const [, name = '', target = '', rest = '', result = ''] = match;
  const data = /"((?:\\x[0-9a-f]{2})*)"/.exec(rest)?.[1] ?? '';
  return {
    name,
    target: readable(target),
    data: Buffer.from(data.replaceAll('\\x', ''), 'hex'),
    lastArgument: Number(/(\d+)$/.exec(rest)?.[1] ?? 0),
    result: Number(result),
  };
}

/** Names may be in hexadecimal too. */
function readable(name: string): string {
  return name.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

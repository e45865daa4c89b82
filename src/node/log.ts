/** Severities, most important first. */
const LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LEVELS)[number];

type Details = Readonly<Record<string, unknown>>;

/** The node's log: one line a record on stderr, for people, or as JSON for machines. */
export class Log {
  readonly #write: (line: string) => void;
  readonly #level: number;
  readonly #json: boolean;

  constructor(options: { readonly write: (line: string) => void; readonly level: LogLevel; readonly json: boolean }) {
    this.#write = options.write;
    this.#level = LEVELS.indexOf(options.level);
    this.#json = options.json;
  }

  error(text: string, details?: Details): void {
    this.#record('error', text, details);
  }

  warn(text: string, details?: Details): void {
    this.#record('warn', text, details);
  }

  info(text: string, details?: Details): void {
    this.#record('info', text, details);
  }

  debug(text: string, details?: Details): void {
    this.#record('debug', text, details);
  }

  #record(level: LogLevel, text: string, details: Details = {}): void {
    if (LEVELS.indexOf(level) > this.#level) return;
    const time = new Date().toISOString();
    if (this.#json) {
      const plain = Object.fromEntries(Object.entries(details).map(([name, value]) => [name, forJson(value)]));
      this.#write(JSON.stringify({ time, level, text, ...plain }));
      return;
    }
    const parts = Object.entries(details).map(([name, value]) => `${name}=${forPeople(value)}`);
    const mark = level === 'error' ? 'ERROR ' : level === 'warn' ? 'WARN  ' : '';
    this.#write(`${time.slice(11, 23)} ${mark}${text}${parts.length > 0 ? `  ${parts.join(' ')}` : ''}`);
  }
}

function forJson(value: unknown): unknown {
  if (value instanceof Error) return whole(value);
  if (typeof value === 'bigint') return value.toString();
  return typeof value === 'object' && value !== null ? String(value) : value;
}

function forPeople(value: unknown): string {
  if (value instanceof Error) return whole(value);
  return typeof value === 'string' && /\s/.test(value) ? JSON.stringify(value) : String(value);
}

/** With what caused it: the file that is damaged, say, is at the end of that chain. */
function whole(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${whole(error.cause)}` : own;
}

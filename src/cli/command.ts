import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { usageError } from './cli-error.ts';
import type { Terminal } from './terminal.ts';

/** An option of a command: how it is written and what it means. */
export interface Option {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** What stands for the value in the help, e.g. `URL`. */
  readonly placeholder?: string;
  readonly help: string;
  readonly multiple?: boolean;
}

/** A command as it is listed, before its code is loaded. */
export interface CommandEntry {
  /** The words that name it: `canister list`. */
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}

export interface Command {
  /** Positional arguments as the help shows them, e.g. `<canister> <method> [arguments]`. */
  readonly usage: string;
  readonly positionalsMin: number;
  readonly positionalsMax: number;
  readonly options: Readonly<Record<string, Option>>;
  readonly examples: readonly string[];
  run(invocation: Invocation): Promise<void>;
}

/** A command line after parsing. */
export class Invocation {
  readonly terminal: Terminal;
  readonly positionals: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(terminal: Terminal, positionals: readonly string[], values: Readonly<Record<string, unknown>>) {
    this.terminal = terminal;
    this.positionals = positionals;
    this.#values = values;
  }

  text(option: string): string | undefined {
    const value = this.#values[option];
    return typeof value === 'string' ? value : undefined;
  }

  flag(option: string): boolean {
    return this.#values[option] === true;
  }

  /** @throws CliError when the value is not a whole number within the bounds. */
  integer(option: string, min: number, max: number): number | undefined {
    const text = this.text(option);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw usageError(`--${option} ${text} is not a number from ${min} to ${max}`, `give e.g. --${option} ${min}`);
    return value;
  }

  /** @throws CliError when the value is none of the choices. */
  choice<T extends string>(option: string, choices: readonly T[]): T | undefined {
    const text = this.text(option);
    if (text === undefined) return undefined;
    const found = choices.find((choice) => choice === text);
    if (found === undefined)
      throw usageError(`--${option} ${text} is not known`, `choose one of ${choices.join(', ')}`);
    return found;
  }
}

/** Options that every command has. */
export const COMMON_OPTIONS: Readonly<Record<string, Option>> = {
  json: { type: 'boolean', help: 'print the result as JSON, one value a line' },
  help: { type: 'boolean', short: 'h', help: 'print this help' },
};

/** Options of every command that talks to a network. */
export const NETWORK_OPTIONS: Readonly<Record<string, Option>> = {
  network: {
    type: 'string',
    short: 'n',
    placeholder: 'URL',
    help: 'the network (default: PERDURE_NETWORK, else http://127.0.0.1:8000)',
  },
  'root-key': {
    type: 'string',
    placeholder: 'HEX',
    help: 'public key of the network (default: ask the network itself; give it for networks you do not run)',
  },
  identity: { type: 'string', short: 'i', placeholder: 'NAME', help: 'who calls (default: `perdure identity use`)' },
};

/** @throws CliError when the arguments do not fit the command. */
export function parseCommandLine(
  entry: CommandEntry,
  command: Command,
  args: readonly string[],
  terminal: Terminal,
): Invocation {
  const options: ParseArgsOptionsConfig = {};
  for (const [name, option] of Object.entries({ ...COMMON_OPTIONS, ...command.options })) {
    options[name] = { type: option.type, multiple: option.multiple ?? false };
    if (option.short !== undefined) options[name] = { ...options[name], short: option.short };
  }
  const fix = `see "perdure ${entry.name} --help"`;
  let parsed: { readonly values: Readonly<Record<string, unknown>>; readonly positionals: readonly string[] };
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw usageError(message.replace(/\. To specify a positional.*$/s, ''), fix);
  }
  const count = parsed.positionals.length;
  if (count < command.positionalsMin || count > command.positionalsMax)
    throw usageError(
      count < command.positionalsMin
        ? `perdure ${entry.name} needs ${command.usage}`
        : `perdure ${entry.name} does not take "${parsed.positionals[command.positionalsMax]}"`,
      fix,
    );
  return new Invocation(terminal, parsed.positionals, parsed.values);
}

export function helpText(entry: CommandEntry, command: Command): string {
  const lines = [
    `perdure ${entry.name}: ${entry.summary}`,
    '',
    `Usage: perdure ${entry.name} ${command.usage} [options]`,
  ];
  const options = Object.entries({ ...command.options, ...COMMON_OPTIONS }).map(([name, option]) => {
    const short = option.short === undefined ? '    ' : `-${option.short}, `;
    const placeholder = option.placeholder === undefined ? '' : ` ${option.placeholder}`;
    return [`  ${short}--${name}${placeholder}`, option.help] as const;
  });
  const width = Math.max(...options.map(([left]) => left.length)) + 2;
  lines.push('', 'Options:', ...options.map(([left, help]) => `${left.padEnd(width)}${help}`));
  if (command.examples.length > 0) lines.push('', 'Examples:', ...command.examples.map((example) => `  ${example}`));
  return lines.join('\n');
}

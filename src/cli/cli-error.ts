/**
 * How the process ends. Documented in docs/reference/cli.md.
 * Refused: the network or a canister said no. Usage: the command line is wrong. Input: a file or project is missing or
 * wrong. Environment: the network cannot be reached, a port or folder is taken. Bug: our fault.
 */
export const ExitCode = { Success: 0, Refused: 1, Usage: 2, Input: 3, Environment: 4, Bug: 70 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** A failure that the user can act on: what happened, why, and how to fix it. */
export class CliError extends Error {
  /** Stable, for scripts: e.g. `network_unreachable`. */
  readonly code: string;
  readonly exitCode: ExitCode;
  readonly why: string | undefined;
  readonly fix: string | undefined;
  /** Further fields of the JSON form. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    exitCode: ExitCode,
    what: string,
    more: { why?: string; fix?: string; details?: Readonly<Record<string, unknown>>; cause?: unknown } = {},
  ) {
    super(what, { cause: more.cause });
    this.name = 'CliError';
    this.code = code;
    this.exitCode = exitCode;
    this.why = more.why;
    this.fix = more.fix;
    this.details = more.details ?? {};
  }
}

export function usageError(what: string, fix: string): CliError {
  return new CliError('usage', ExitCode.Usage, what, { fix });
}

import { CliError, ExitCode } from './cli-error.ts';

/** Where a command writes: data to stdout, everything else to stderr. With `--json` data is one JSON value a line. */
export class Terminal {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** The command's result: `text` for people, `data` for `--json`. */
  result(text: string, data: unknown): void {
    const line = this.json ? JSON.stringify(data) : text;
    if (line !== '') process.stdout.write(`${line}\n`);
  }

  /** Progress and remarks for people. */
  note(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** Reports a failure. @returns the exit code. */
  failure(error: unknown): ExitCode {
    if (!(error instanceof CliError)) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (this.json) process.stderr.write(`${JSON.stringify({ error: { code: 'bug', what: text } })}\n`);
      else process.stderr.write(`Error: this is a bug in perdure, please report it.\n${text}\n`);
      return ExitCode.Bug;
    }
    if (this.json) {
      const { code, message: what, why, fix, details } = error;
      process.stderr.write(`${JSON.stringify({ error: { code, what, why, fix, ...details } })}\n`);
    } else {
      process.stderr.write(`Error: ${error.message}\n`);
      if (error.why !== undefined) process.stderr.write(`  Why: ${error.why}\n`);
      if (error.fix !== undefined) process.stderr.write(`  Fix: ${error.fix}\n`);
    }
    return error.exitCode;
  }
}

/** Columns aligned under their headings. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [headings, ...rows].map(line).join('\n');
}

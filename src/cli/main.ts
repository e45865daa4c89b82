import { ExitCode, usageError } from './cli-error.ts';
import { type CommandEntry, helpText, parseCommandLine } from './command.ts';
import { COMMANDS } from './commands/index.ts';
import { Terminal } from './terminal.ts';

/**
 * Runs one command line and sets the exit code. Nothing is loaded but what the command needs: a start of the network
 * shall not pay for the client's libraries.
 */
export async function main(args: readonly string[]): Promise<void> {
  const terminal = new Terminal(args.includes('--json'));
  // A reader that went away (`perdure … | head`) ends us quietly.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(ExitCode.Success);
  });
  try {
    await dispatch(args, terminal);
  } catch (error) {
    process.exitCode = terminal.failure(error);
  }
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<void> {
  const [first] = args;
  if (first === '--version' || first === '-V') {
    const { version } = await import('./version.ts');
    terminal.result(version(), { version: version() });
    return;
  }
  const entry = COMMANDS.find((candidate) => candidate.name.split(' ').every((word, index) => word === args[index]));
  if (entry === undefined) {
    if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
      terminal.result(
        overview(COMMANDS),
        COMMANDS.map(({ name, summary }) => ({ name, summary })),
      );
      return;
    }
    const group = COMMANDS.filter((candidate) => candidate.name.startsWith(`${first} `));
    if (group.length > 0 && (args[1] === undefined || args[1] === '--help' || args[1] === '-h')) {
      terminal.result(
        overview(group),
        group.map(({ name, summary }) => ({ name, summary })),
      );
      return;
    }
    throw unknownCommand(args, group);
  }
  const command = await entry.load();
  const rest = args.slice(entry.name.split(' ').length);
  if (rest.includes('--help') || rest.includes('-h')) {
    terminal.result(helpText(entry, command), { name: entry.name, summary: entry.summary, usage: command.usage });
    return;
  }
  await command.run(parseCommandLine(entry, command, rest, terminal));
}

function unknownCommand(args: readonly string[], group: readonly CommandEntry[]): Error {
  const words = args.filter((word) => !word.startsWith('-')).slice(0, 2);
  if (group.length === 0) return usageError(`there is no command "${words[0] ?? args[0]}"`, 'see "perdure --help"');
  return usageError(
    `there is no command "${words.join(' ')}"`,
    `choose one of: ${group.map((entry) => entry.name).join(', ')}`,
  );
}

function overview(entries: readonly CommandEntry[]): string {
  const width = Math.max(...entries.map((entry) => entry.name.length)) + 2;
  return [
    'perdure: a network for canisters, on your machine',
    '',
    ...entries.map((entry) => `  ${entry.name.padEnd(width)}${entry.summary}`),
    '',
    'perdure <command> --help explains a command.',
  ].join('\n');
}

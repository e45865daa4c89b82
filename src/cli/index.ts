/**
 * The command line: `perdure <noun> <verb>`. Thin on purpose: it reads arguments, calls the node (for `start`) or a
 * network over HTTP with the official client library (for everything else), and prints.
 *
 * Data goes to stdout, everything else to stderr; `--json` gives one JSON value a line. Flags are checked before
 * anything is touched. Every failure says what happened, why, and how to fix it, and has an exit code
 * (docs/reference/cli.md).
 */
export { main } from './main.ts';

/**
 * Writes the pages of docs/reference that follow from the code: the command line, the limits, the error codes.
 * `npm run docs` writes them; a test holds the written ones against what the code says now.
 */
import { helpText } from '../../src/cli/command.ts';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { DEFAULT_LIMITS, ErrorCode, rejectCodeOf } from '../../src/model/index.ts';
import { ERROR_MEANINGS } from './error-meanings.ts';

/** The pages by path. */
export async function referencePages(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ['docs/reference/cli.md', await commandLinePage()],
    ['docs/reference/limits.md', limitsPage()],
    ['docs/reference/error-codes.md', errorCodesPage()],
  ]);
}

async function commandLinePage(): Promise<string> {
  const commands = await Promise.all(
    COMMANDS.map(
      async (entry) => `### perdure ${entry.name}\n\n\`\`\`\n${helpText(entry, await entry.load())}\n\`\`\``,
    ),
  );
  return `# Command line

Data goes to stdout, progress and errors to stderr. With \`--json\` every result is one JSON value a line, and an error is
one line \`{"error":{"code","what","why","fix"}}\` on stderr. This page is written by \`npm run docs\`.

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | the network or a canister said no: a reject, a trap, a method that does not exist |
| 2 | the command line is wrong |
| 3 | a file, project or identity is missing or wrong; a program does not compile |
| 4 | the network cannot be reached; a port or state directory is taken; the disk failed |
| 69 | this Node is too old |
| 70 | a bug of perdure |

## Environment

| variable | meaning |
|---|---|
| \`PERDURE_NETWORK\` | URL that \`--network\` defaults to |
| \`PERDURE_CONFIG_DIR\` | where identities are kept (default: \`$XDG_CONFIG_HOME/perdure\`, else \`~/.config/perdure\`) |

## Files

- \`.perdure/\`: the state of the network that \`perdure start\` runs ([data layout](../internals/data-layout.md)).
- \`.perdure-canisters.json\`: which canister a name means, for each network by its public key. \`perdure deploy\` writes it
  into the project folder (for a single file: the current folder); the other commands look for it in the current folder,
  then in the project folders above. It holds no secrets. Networks know ids only, so \`perdure canister list\` lists what is written here.
- \`identity/NAME.pem\`: an Ed25519 key (PKCS#8), readable by its owner only. Whoever has it controls what it deployed.
- \`perdure.json\`: a project:

\`\`\`json
{
  "canisters": {
    "backend": { "source": "src/main.mo", "argument": "(1)" },
    "token": { "source": "token.wasm.gz", "candid": "token.did" }
  },
  "packages": { "name": "folder of a Motoko package" }
}
\`\`\`

Without one, \`dfx.json\` (Motoko and custom canisters) and \`icp.yaml\` (pre-built and Motoko canisters) are understood.

## Candid in JSON

With \`--json\`, \`call\` and \`query\` print \`{"candid": "(…)", "value": […], "hex": "…"}\`. In \`value\`, numbers of 64 bits and more are
decimal texts, bytes are hexadecimal text, \`opt\` is the value or null, a variant is \`{"name": value}\`, a principal is text.

## Commands

${commands.join('\n\n')}
`;
}

function limitsPage(): string {
  const rows = Object.entries(DEFAULT_LIMITS).map(
    ([name, value]) => `| \`${name}\` | ${String(value).replace(/\B(?=(\d{3})+$)/g, ' ')} |`,
  );
  return `# Limits

Every bound of the system, with its default: that of the real network's application subnets where it has one. The unit is
in the name; sizes are bytes unless it says otherwise. \`perdure limits\` prints them. This page is written by
\`npm run docs\`.

| limit | value |
|---|---|
${rows.join('\n')}
`;
}

function errorCodesPage(): string {
  const rows = Object.entries(ErrorCode).map(
    ([name, code]) => `| ${code} | ${rejectCodeOf(code)} | ${name} | ${ERROR_MEANINGS[name] ?? ''} |`,
  );
  return `# Error codes

What a call can fail with. The codes and the texts that come with them are those of the real network; the digit after
\`IC0\` is the reject code. This page is written by \`npm run docs\`.

| reject code | meaning |
|---|---|
| 1 | fatal error of the system; trying again does not help |
| 2 | transient error of the system; trying again may help |
| 3 | the destination does not exist, or does not take this |
| 4 | the canister rejected the call itself |
| 5 | the canister failed: it trapped, did not reply, or lacks cycles |
| 6 | the outcome is unknown: the caller stopped waiting (best-effort calls) |

| error code | reject code | name | meaning |
|---|---|---|---|
${rows.join('\n')}
`;
}

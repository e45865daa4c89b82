import { readFileSync } from 'node:fs';
import type { Principal } from '@icp-sdk/core/principal';
import {
  CandidSyntaxError,
  decodeReply,
  encodeArguments,
  type InterfaceDescription,
  parseInterface,
  signature,
} from '../candid-text/index.ts';
import { CanisterBook } from '../canister-book.ts';
import { CliError, ExitCode, usageError } from '../cli-error.ts';
import { type Command, type Invocation, NETWORK_OPTIONS, type Option } from '../command.ts';
import { NetworkClient } from '../network-client.ts';

const OPTIONS: Readonly<Record<string, Option>> = {
  ...NETWORK_OPTIONS,
  candid: { type: 'string', placeholder: 'FILE', help: 'interface of the canister (default: the one it carries)' },
  'argument-hex': { type: 'string', placeholder: 'HEX', help: 'the argument as bytes, instead of Candid text' },
  raw: { type: 'boolean', help: 'print the reply as hexadecimal bytes' },
};

export const call: Command = {
  usage: '<canister> [<method> [<arguments>]]',
  positionalsMin: 1,
  positionalsMax: 3,
  options: OPTIONS,
  examples: [
    "perdure call counter increment '()'",
    `perdure call directory put '("ada", record { born = 1815 })'`,
    'perdure call counter                  # lists the methods',
  ],
  run: async (invocation) => run(invocation, 'update'),
};

export const query: Command = {
  ...call,
  examples: ["perdure query counter get '()'", 'perdure query counter              # lists the methods'],
  run: async (invocation) => run(invocation, 'query'),
};

async function run(invocation: Invocation, kind: 'update' | 'query'): Promise<void> {
  const { terminal, positionals } = invocation;
  const [target = '', method, text = '()'] = positionals;
  const hex = invocation.text('argument-hex');
  if (hex !== undefined && !/^([0-9a-fA-F]{2})*$/.test(hex))
    throw usageError('--argument-hex is not hexadecimal', 'give an even number of the digits 0-9 and a-f');
  if (hex !== undefined && positionals.length > 2)
    throw usageError('the argument is given twice', 'leave out --argument-hex or the Candid text');
  const network = await NetworkClient.connect(invocation);
  const canisterId = CanisterBook.open(network).resolve(target);
  const description = await interfaceOf(network, canisterId, invocation.text('candid'));
  if (method === undefined) {
    if (description === undefined) throw noInterface(target);
    const methods = [...description.methods].map(([name, type]) => ({ name, type: type.display() }));
    terminal.result(methods.map(({ name, type }) => `${name} : ${type}`).join('\n'), methods);
    return;
  }
  const type = description?.methods.get(method);
  if (description !== undefined && type === undefined)
    throw new CliError('no_such_method', ExitCode.Input, `${target} has no method ${method}`, {
      why: `its interface has ${[...description.methods.keys()].join(', ')}`,
      fix: 'check the name; --candid FILE gives another interface',
    });
  const arg = hex === undefined ? encode(text, type?.argTypes, method) : Uint8Array.from(Buffer.from(hex, 'hex'));
  const reply = await network[kind](canisterId, method, arg);
  const bytes = Buffer.from(reply).toString('hex');
  if (invocation.flag('raw')) {
    terminal.result(bytes, { hex: bytes });
    return;
  }
  try {
    const decoded = decodeReply(reply, type?.retTypes);
    terminal.result(decoded.text, { candid: decoded.text, value: decoded.json, hex: bytes });
  } catch (error) {
    throw new CliError('reply_unreadable', ExitCode.Refused, 'the reply is not what the interface says', {
      why: error instanceof Error ? error.message : String(error),
      fix: 'use --raw to see its bytes, or --candid FILE to give the right interface',
      details: { hex: bytes },
    });
  }
}

function encode(text: string, types: Parameters<typeof encodeArguments>[1], method: string): Uint8Array {
  try {
    return encodeArguments(text, types);
  } catch (error) {
    if (!(error instanceof CandidSyntaxError)) throw error;
    throw new CliError('arguments', ExitCode.Usage, `the arguments of ${method} are not understood`, {
      why: error.message,
      fix: types === undefined ? `write them as Candid text, e.g. '(1, "two")'` : `${method} takes ${signature(types)}`,
    });
  }
}

async function interfaceOf(
  network: NetworkClient,
  canisterId: Principal,
  file: string | undefined,
): Promise<InterfaceDescription | undefined> {
  const own = file === undefined ? await network.metadata(canisterId, 'candid:service') : undefined;
  try {
    if (file !== undefined) return parseInterface(readFileSync(file, 'utf8'));
    return own === undefined ? undefined : parseInterface(new TextDecoder().decode(own));
  } catch (error) {
    // An interface that the canister itself carries may use what we do not read: call without it.
    if (file === undefined) return undefined;
    throw new CliError('candid', ExitCode.Input, `${file} cannot be used`, {
      why: error instanceof Error ? error.message : String(error),
    });
  }
}

function noInterface(target: string): CliError {
  return new CliError('no_interface', ExitCode.Input, `${target} does not say what methods it has`, {
    why: 'its module has no public "candid:service" section, or no code is installed',
    fix: 'give the interface with --candid FILE, or name the method',
  });
}

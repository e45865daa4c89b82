import {
  AgentError,
  CertifiedRejectErrorCode,
  HttpAgent,
  HttpErrorCode,
  HttpFetchErrorCode,
  type Identity,
  UncertifiedRejectErrorCode,
  UncertifiedRejectUpdateErrorCode,
} from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Principal } from '@icp-sdk/core/principal';
import { CliError, ExitCode, usageError } from './cli-error.ts';
import type { Invocation } from './command.ts';
import { loadIdentity } from './identity-store.ts';
import { MANAGEMENT } from './management-canister.ts';

const DEFAULT_URL = 'http://127.0.0.1:8000';
const MANAGEMENT_ID = Principal.fromHex('');

/** A network and who we are to it. All calls verify certificates and signatures. */
export class NetworkClient {
  readonly url: string;
  readonly rootKey: Uint8Array;
  readonly identity: Identity;
  readonly #agent: HttpAgent;

  private constructor(url: string, agent: HttpAgent, identity: Identity, rootKey: Uint8Array) {
    this.url = url;
    this.#agent = agent;
    this.identity = identity;
    this.rootKey = rootKey;
  }

  /** Connects as the options of NETWORK_OPTIONS say. @throws CliError when nobody answers. */
  static async connect(invocation: Invocation): Promise<NetworkClient> {
    const fromEnvironment = process.env['PERDURE_NETWORK'];
    const url = invocation.text('network') ?? (fromEnvironment ? fromEnvironment : DEFAULT_URL);
    if (!URL.canParse(url) || !/^https?:/.test(url))
      throw usageError(`"${url}" is not the URL of a network`, `give e.g. --network ${DEFAULT_URL}`);
    const hex = invocation.text('root-key');
    if (hex !== undefined && !/^([0-9a-fA-F]{2})+$/.test(hex))
      throw usageError('--root-key is not hexadecimal', 'copy "rootKey" of "perdure start --json"');
    const identity = await loadIdentity(invocation.text('identity'));
    try {
      const agent = HttpAgent.createSync({ host: url, identity, retryTimes: 1 });
      let rootKey: Uint8Array;
      if (hex === undefined) rootKey = await agent.fetchRootKey();
      else {
        rootKey = Uint8Array.from(Buffer.from(hex, 'hex'));
        agent.rootKey = rootKey;
      }
      return new NetworkClient(url, agent, identity, rootKey);
    } catch (error) {
      throw unreachable(url, error);
    }
  }

  /** Key of this network in files that hold one entry a network: 16 hex digits of its public key's end. */
  get networkId(): string {
    return Buffer.from(this.rootKey.slice(-8)).toString('hex');
  }

  async update(
    canisterId: Principal,
    method: string,
    arg: Uint8Array,
    effectiveId: Principal = canisterId,
  ): Promise<Uint8Array> {
    try {
      const result = await this.#agent.update(canisterId, {
        methodName: method,
        arg,
        effectiveTarget: { canisterId: effectiveId },
      });
      return result.reply;
    } catch (error) {
      throw this.#explained(error);
    }
  }

  async query(
    canisterId: Principal,
    method: string,
    arg: Uint8Array,
    effectiveId: Principal = canisterId,
  ): Promise<Uint8Array> {
    let response: Awaited<ReturnType<HttpAgent['query']>>;
    try {
      response = await this.#agent.query(canisterId, {
        methodName: method,
        arg,
        effectiveTarget: { canisterId: effectiveId },
      });
    } catch (error) {
      throw this.#explained(error);
    }
    if ('reply' in response) return response.reply.arg;
    throw rejected(response.reject_code, response.reject_message, response.error_code);
  }

  /** Calls a method of the management canister, about a canister. @returns its result, undefined when it has none. */
  async manage(method: string, about: Principal, argument: unknown): Promise<unknown> {
    const type = MANAGEMENT[method];
    if (type === undefined) throw new Error(`no type is known for ${method}`);
    const arg = IDL.encode(type.argTypes, [argument]);
    const call = type.annotations.includes('query') ? this.query.bind(this) : this.update.bind(this);
    const reply = await call(MANAGEMENT_ID, method, arg, about);
    return IDL.decode(type.retTypes, Uint8Array.from(reply))[0];
  }

  /** A value of the certified state tree; undefined when it is absent or not ours to read. */
  async read(canisterId: Principal, path: readonly (string | Uint8Array)[]): Promise<Uint8Array | undefined> {
    const labels = path.map((label) => (typeof label === 'string' ? new TextEncoder().encode(label) : label));
    try {
      const answer = await this.#agent.readState({ canisterId }, { paths: [labels] });
      const found = answer.verifiedCertificate.lookup_path(labels);
      return 'value' in found && found.value instanceof Uint8Array ? found.value : undefined;
    } catch (error) {
      if (error instanceof AgentError && error.hasCode(HttpErrorCode)) return undefined;
      throw this.#explained(error);
    }
  }

  /** Section of the installed module, e.g. `candid:service`. */
  async metadata(canisterId: Principal, name: string): Promise<Uint8Array | undefined> {
    return this.read(canisterId, ['canister', canisterId.toUint8Array(), 'metadata', name]);
  }

  /** SHA-256 of the installed module; undefined when there is no such canister or no code in it. */
  async moduleHash(canisterId: Principal): Promise<Uint8Array | undefined> {
    return this.read(canisterId, ['canister', canisterId.toUint8Array(), 'module_hash']);
  }

  async exists(canisterId: Principal): Promise<boolean> {
    return (await this.read(canisterId, ['canister', canisterId.toUint8Array(), 'controllers'])) !== undefined;
  }

  #explained(error: unknown): unknown {
    if (!(error instanceof AgentError)) return error;
    const { code } = error;
    if (
      code instanceof CertifiedRejectErrorCode ||
      code instanceof UncertifiedRejectErrorCode ||
      code instanceof UncertifiedRejectUpdateErrorCode
    )
      return rejected(code.rejectCode, code.rejectMessage, code.rejectErrorCode);
    if (code instanceof HttpFetchErrorCode) return unreachable(this.url, error);
    if (code instanceof HttpErrorCode)
      return new CliError('http', ExitCode.Refused, `the network answered ${code.status} ${code.statusText}`, {
        ...(code.bodyText === undefined ? {} : { why: code.bodyText }),
        cause: error,
      });
    return new CliError('protocol', ExitCode.Environment, 'the answer of the network was not accepted', {
      why: error.message.split('\n')[0] ?? '',
      fix: 'check the clock of this machine, and --root-key if you gave it',
      cause: error,
    });
  }
}

/** What the network says when it refuses a call; `IC0…` codes are explained in docs/reference/error-codes.md. */
function rejected(rejectCode: number, message: string, errorCode: string | undefined): CliError {
  const hints: Readonly<Record<string, string>> = {
    IC0301: 'check the id, or deploy the canister first',
    IC0302: 'deploy code into it first',
    IC0508: 'start it with "perdure canister start"',
    IC0512: 'use the identity that deployed it (--identity)',
    IC0536: 'check the method name; "perdure call CANISTER --help" shows how to list methods',
    IC0537: 'install code with "perdure deploy"',
  };
  const hint = errorCode === undefined ? undefined : hints[errorCode];
  return new CliError('rejected', ExitCode.Refused, message, {
    why: `reject code ${rejectCode}${errorCode === undefined ? '' : `, error code ${errorCode}`}`,
    ...(hint === undefined ? {} : { fix: hint }),
    details: { rejectCode, errorCode },
  });
}

function unreachable(url: string, error: unknown): CliError {
  return new CliError('network_unreachable', ExitCode.Environment, `no network answers at ${url}`, {
    why: rootCause(error),
    fix: 'start one with "perdure start", or name another with --network URL',
    cause: error,
  });
}

function rootCause(error: unknown): string {
  let current: unknown = error;
  for (let depth = 0; depth < 8; depth++) {
    if (current instanceof AgentError && current.code instanceof HttpFetchErrorCode) current = current.code.error;
    else if (current instanceof Error && current.cause instanceof Error) current = current.cause;
    else break;
  }
  if (current instanceof AggregateError && current.errors[0] instanceof Error) current = current.errors[0];
  return current instanceof Error ? (current.message.split('\n')[0] ?? current.name) : String(current);
}

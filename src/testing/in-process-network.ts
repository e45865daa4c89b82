import { IDL } from '@icp-sdk/core/candid';
import { Principal as ClientPrincipal } from '@icp-sdk/core/principal';
import { encodeCertificate, pathOf } from '../certification/index.ts';
import { sha256, toHex } from '../codec/index.ts';
import {
  ANONYMOUS,
  canisterIdFromNumber,
  DEFAULT_LIMITS,
  type Ingress,
  type Limits,
  MANAGEMENT_CANISTER,
  Principal,
  type Response,
  rejectOf,
} from '../model/index.ts';
import { Log, openNode, type PerdureNode } from '../node/index.ts';
import { nodePlatform, type Platform, SimulatedPlatform } from '../platform/index.ts';
import { CallRejected } from './call-rejected.ts';
import { inProcessFetch } from './in-process-fetch.ts';
import { CanisterArgument, CreateArgument, InstallArgument, LogsReply } from './management.ts';

export interface NetworkOptions {
  /** Keep state in this folder; default: nowhere. */
  readonly stateDir?: string;
  /** What time it is at the beginning; default: the machine's time. */
  readonly startTime?: Date;
  /** Decides all randomness; default: 1. Networks with the same seed and inputs do the same. */
  readonly seed?: number;
  /** `free`: nothing costs cycles. Default: `normal`, the real network's prices. */
  readonly costSchedule?: 'normal' | 'free';
  /** Certificates that verify (a millisecond for each round); default: true. */
  readonly certificates?: boolean;
  /** Gets the lines that canisters print, traps included; default: they are dropped (see `logs`). */
  readonly onPrint?: (line: string) => void;
  readonly limits?: Partial<Limits>;
}

/** A canister or user: an id in text, or a principal of `@icp-sdk/core`. */
export type PrincipalLike = string | { toUint8Array(): Uint8Array };

export interface CallOptions {
  /** Who calls; default: anonymous. Taken at its word. */
  readonly sender?: PrincipalLike;
}

export interface InstallOptions extends CallOptions {
  /** Candid bytes; default: no arguments. */
  readonly arg?: Uint8Array;
  /** Of a new canister; default: 100 T. */
  readonly cycles?: bigint;
  /** Of a new canister; default: the sender. */
  readonly controllers?: readonly PrincipalLike[];
  /** Id of a new canister; default: the next free one. */
  readonly id?: PrincipalLike;
}

/** A span of time; what is given is added up. */
export interface Duration {
  readonly days?: number;
  readonly hours?: number;
  readonly minutes?: number;
  readonly seconds?: number;
  readonly milliseconds?: number;
}

export interface LogRecord {
  readonly index: bigint;
  readonly time: Date;
  readonly text: string;
}

const EMPTY_ARGUMENT = IDL.encode([], []);
const DEFAULT_CYCLES = 100_000_000_000_000n;
/** Ends when the network does; a call that waits for time to pass waits until the test moves the clock. */
const PATIENCE_MS = 2 ** 31 - 1;

/** Starts a network for a test. Close it with `await using` or `close`. */
export async function createNetwork(options: NetworkOptions = {}): Promise<InProcessNetwork> {
  return InProcessNetwork.create(options);
}

/** A network in this process. Made by `createNetwork`. */
export class InProcessNetwork implements AsyncDisposable {
  readonly #node: PerdureNode;
  readonly #machine: SimulatedPlatform;
  readonly #limits: Limits;
  #calls = 0n;

  private constructor(node: PerdureNode, machine: SimulatedPlatform, limits: Limits) {
    this.#node = node;
    this.#machine = machine;
    this.#limits = limits;
  }

  /** See `createNetwork`. */
  static async create(options: NetworkOptions): Promise<InProcessNetwork> {
    const machine = new SimulatedPlatform(options.seed ?? 1);
    const start = options.startTime ?? new Date();
    machine.clock.step(BigInt(start.getTime()) * 1_000_000n - machine.clock.now());
    const platform: Platform = {
      clock: machine.clock,
      entropy: machine.entropy,
      disk: nodePlatform.disk,
      threads: nodePlatform.threads,
    };
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const write = options.onPrint ?? ((): void => {});
    const node = await openNode({
      ...(options.stateDir === undefined ? {} : { stateDir: options.stateDir }),
      platform,
      limits,
      costSchedule: options.costSchedule ?? 'normal',
      signing: options.certificates === false ? 'none' : 'here',
      log: new Log({ write, level: 'info', json: false }),
      implementationVersion: 'perdure/testing',
    });
    return new InProcessNetwork(node, machine, limits);
  }

  /** The network's public key, DER, 133 bytes: what agents verify against. */
  get rootKey(): Uint8Array {
    return this.#node.rootKey;
  }

  /** Answers like the `fetch` that agents use, without any socket: `HttpAgent.create({ host, fetch: network.fetch })`. */
  get fetch(): typeof fetch {
    return inProcessFetch(this.#node.gateway);
  }

  /** What time it is in the network. */
  get time(): Date {
    return new Date(Number(this.#machine.clock.now() / 1_000_000n));
  }

  /** Creates an empty canister. @throws CallRejected */
  async createCanister(options: Omit<InstallOptions, 'arg'> = {}): Promise<ClientPrincipal> {
    const controllers = options.controllers?.map(clientPrincipal);
    const arg = IDL.encode(
      [CreateArgument],
      [
        {
          amount: [options.cycles ?? DEFAULT_CYCLES],
          specified_id: options.id === undefined ? [] : [clientPrincipal(options.id)],
          settings: controllers === undefined ? [] : [{ controllers: [controllers] }],
        },
      ],
    );
    const effective = options.id === undefined ? canisterIdFromNumber(0n) : principalOf(options.id);
    const reply = await this.#manage('provisional_create_canister_with_cycles', arg, effective, options);
    const [made] = IDL.decode([CanisterArgument], reply) as unknown as [{ readonly canister_id: ClientPrincipal }];
    return made.canister_id;
  }

  /** Creates a canister and installs a module, gzip or plain. @throws CallRejected */
  async install(wasm: Uint8Array, options: InstallOptions = {}): Promise<ClientPrincipal> {
    const canister = await this.createCanister(options);
    await this.#installCode(canister, wasm, { install: null }, options);
    return canister;
  }

  /**
   * Replaces the module and keeps the data: stable memory, and main memory where the present module says that it
   * keeps its data there (Motoko's enhanced persistence). @throws CallRejected
   */
  async upgrade(
    canister: PrincipalLike,
    wasm: Uint8Array,
    options: Pick<InstallOptions, 'arg' | 'sender'> = {},
  ): Promise<void> {
    const state = this.#node.consensus.replica.state.canisters.get(principalOf(canister).key);
    const keeps = state?.code?.customSections.some(({ name }) => name === 'enhanced-orthogonal-persistence') === true;
    const upgrade = keeps ? [{ skip_pre_upgrade: [], wasm_memory_persistence: [{ keep: null }] }] : [];
    await this.#installCode(canister, wasm, { upgrade }, options);
  }

  /** Replaces the module and throws all data away. @throws CallRejected */
  async reinstall(
    canister: PrincipalLike,
    wasm: Uint8Array,
    options: Pick<InstallOptions, 'arg' | 'sender'> = {},
  ): Promise<void> {
    await this.#installCode(canister, wasm, { reinstall: null }, options);
  }

  /**
   * Calls an update method and waits for the reply, Candid bytes. A call that waits for time to pass waits until the test
   * moves the clock: do not await it before. @throws CallRejected
   */
  async update(
    canister: PrincipalLike,
    method: string,
    arg: Uint8Array = EMPTY_ARGUMENT,
    options: CallOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    const canisterId = principalOf(canister);
    return this.#call(canisterId, method, arg, canisterId, options);
  }

  /** Queries; what it changes is thrown away. @throws CallRejected */
  async query(
    canister: PrincipalLike,
    method: string,
    arg: Uint8Array = EMPTY_ARGUMENT,
    options: CallOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    const canisterId = principalOf(canister);
    return this.#query(canisterId, method, arg, canisterId, options);
  }

  /** An object with a method for each of the interface's; values instead of bytes. */
  actor<T>(canister: PrincipalLike, factory: IDL.InterfaceFactory, options: CallOptions = {}): T {
    const methods = factory({ IDL: IDL as unknown as Parameters<IDL.InterfaceFactory>[0]['IDL'] })._fields.map(
      ([name, type]) => {
        const kind = type.annotations.some((word) => word === 'query' || word === 'composite_query')
          ? 'query'
          : 'update';
        const call = async (...args: unknown[]): Promise<unknown> => {
          const reply = await this[kind](canister, name, IDL.encode(type.argTypes, args), options);
          const values: unknown[] = IDL.decode(type.retTypes, reply);
          return values.length > 1 ? values : values[0];
        };
        return [name, call] as const;
      },
    );
    return Object.fromEntries(methods) as T;
  }

  /** Moves the clock and lets happen what is due then: what would have happened on the way, timers above all, happens once. */
  async advanceTime(duration: Duration): Promise<void> {
    const { days = 0, hours = 0, minutes = 0, seconds = 0, milliseconds = 0 } = duration;
    const total = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + milliseconds;
    if (!(total >= 0)) throw new RangeError('time does not go backwards');
    this.#machine.clock.step(BigInt(Math.round(total * 1e6)));
    await this.tick();
  }

  /** Runs rounds even though nothing is due, and until nothing is left to do. */
  async tick(rounds = 1): Promise<void> {
    const { consensus } = this.#node;
    for (let round = 0; round < rounds; round++) await consensus.tick();
    while (consensus.replica.busy) await consensus.tick();
  }

  /** What the canister printed, and its traps: the newest ones. */
  async logs(canister: PrincipalLike): Promise<LogRecord[]> {
    const id = principalOf(canister);
    const state = this.#node.consensus.replica.state.canisters.get(id.key);
    const sender = state?.settings.controllers[0];
    const arg = IDL.encode([CanisterArgument], [{ canister_id: clientPrincipal(canister) }]);
    const options = sender === undefined ? {} : { sender: sender.toText() };
    const reply = await this.#query(MANAGEMENT_CANISTER, 'fetch_canister_logs', arg, id, options);
    const [{ canister_log_records: records }] = IDL.decode([LogsReply], reply) as unknown as [
      { canister_log_records: { idx: bigint; timestamp_nanos: bigint; content: Uint8Array }[] },
    ];
    return records.map((record) => ({
      index: record.idx,
      time: new Date(Number(record.timestamp_nanos / 1_000_000n)),
      text: new TextDecoder().decode(Uint8Array.from(record.content)),
    }));
  }

  /** Cycles that the canister has. */
  cycles(canister: PrincipalLike): bigint {
    return this.#node.consensus.replica.state.canisters.get(principalOf(canister).key)?.balance ?? 0n;
  }

  /** Hash over everything that has happened: equal hashes, equal histories. 64 hex digits. */
  get stateHash(): string {
    return toHex(this.#node.consensus.replica.state.stateHash);
  }

  async close(): Promise<void> {
    await this.#node.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #installCode(canister: PrincipalLike, wasm: Uint8Array, mode: object, options: InstallOptions): Promise<void> {
    const arg = IDL.encode(
      [InstallArgument],
      [{ mode, canister_id: clientPrincipal(canister), wasm_module: wasm, arg: options.arg ?? EMPTY_ARGUMENT }],
    );
    await this.#manage('install_code', arg, principalOf(canister), options);
  }

  #manage(method: string, arg: Uint8Array, about: Principal, options: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    return this.#call(MANAGEMENT_CANISTER, method, arg, about, options);
  }

  async #call(
    canisterId: Principal,
    methodName: string,
    arg: Uint8Array,
    effectiveCanisterId: Principal,
    options: CallOptions,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { consensus } = this.#node;
    const number = new Uint8Array(8);
    new DataView(number.buffer).setBigUint64(0, this.#calls++);
    const ingress: Ingress = {
      requestId: sha256(new TextEncoder().encode('perdure/testing'), number),
      sender: options.sender === undefined ? ANONYMOUS : principalOf(options.sender),
      canisterId,
      methodName,
      arg: Uint8Array.from(arg),
      ingressExpiry: this.#machine.clock.now() + this.#limits.ingressTtlNanos,
      effectiveCanisterId,
      sizeBytes: arg.length + 200,
    };
    const refusal = await consensus.replica.inspectIngress(ingress);
    if (refusal !== undefined) throw new CallRejected(rejectOf(refusal));
    const requestId = toHex(ingress.requestId);
    const completion = consensus.completion(requestId, PATIENCE_MS);
    if (!consensus.submit(ingress))
      throw new Error('the network is closed, or has more calls waiting than it can take');
    await completion;
    const status = consensus.replica.state.ingressHistory.get(requestId)?.status;
    if (status?.status === 'replied') return Uint8Array.from(status.reply);
    if (status?.status === 'rejected') throw new CallRejected(status.reject);
    throw new Error('the call expired before it was executed');
  }

  async #query(
    canisterId: Principal,
    method: string,
    arg: Uint8Array,
    effectiveCanisterId: Principal,
    options: CallOptions,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const sender = options.sender === undefined ? ANONYMOUS : principalOf(options.sender);
    const dataCertificate = this.#dataCertificate(canisterId);
    const outcome = await this.#node.consensus.replica.query({
      sender,
      canisterId,
      effectiveCanisterId,
      method,
      arg: Uint8Array.from(arg),
      ...(dataCertificate === undefined ? {} : { dataCertificate }),
    });
    return replyOf(outcome.response);
  }

  /** What `ic0.data_certificate` shows to a query: the canister's certified data under the newest signature. */
  #dataCertificate(canisterId: Principal): Uint8Array | undefined {
    const certified = this.#node.consensus.certified();
    if (certified === undefined) return undefined;
    const tree = certified.tree.witness([pathOf('time'), pathOf('canister', canisterId.bytes, 'certified_data')]);
    return encodeCertificate({ tree, signature: certified.signature, delegation: certified.delegation });
  }
}

function replyOf(response: Response): Uint8Array<ArrayBuffer> {
  if (response.kind === 'reject') throw new CallRejected(response.reject);
  return Uint8Array.from(response.data);
}

function principalOf(like: PrincipalLike): Principal {
  return typeof like === 'string' ? Principal.fromText(like) : Principal.fromBytes(like.toUint8Array());
}

function clientPrincipal(like: PrincipalLike): ClientPrincipal {
  return ClientPrincipal.fromUint8Array(principalOf(like).bytes.slice());
}

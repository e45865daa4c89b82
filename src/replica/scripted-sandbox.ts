import { sha256, textOf, toHex, utf8 } from '../codec/index.ts';
import {
  type Cycles,
  callCost,
  DEFAULT_LIMITS,
  ErrorCode,
  type Limits,
  PAGE_BYTES,
  type PageStore,
  type Principal,
  type Time,
  type UserError,
} from '../model/index.ts';
import {
  type CanisterImage,
  type EntryPoint,
  type ExecutionEnvironment,
  type ExecutionResult,
  ModuleRefused,
  type OutgoingCall,
  type PausedExecution,
  type PreparedModule,
  type QuerySession,
  type Sandbox,
  type Step,
} from '../sandbox/index.ts';
import { smallest } from './resources.ts';

/**
 * A sandbox for tests of the round: a module is the name of a script, a script is TypeScript functions. Its state is a
 * JSON value in the first heap page. What a message does is decided when it starts and takes effect when it ends, after
 * as many slices as the instructions that it claims.
 */
export interface Script {
  readonly update?: Record<string, Behaviour>;
  readonly query?: Record<string, Behaviour>;
  readonly compositeQuery?: Record<string, Behaviour>;
  /** By name; `OutgoingScriptCall` names them. */
  readonly callbacks?: Record<string, Behaviour>;
  /** By the name of the entry point, e.g. `canister_heartbeat`. */
  readonly hooks?: Record<string, Behaviour>;
}

export type Behaviour = (api: ScriptApi) => void;

export interface ScriptCall {
  readonly callee: Principal;
  readonly method: string;
  readonly arg?: Uint8Array;
  readonly cycles?: Cycles;
  readonly onReply?: string;
  readonly onReject?: string;
  readonly onCleanup?: string;
  readonly timeoutSeconds?: number;
}

class Trap extends Error {}

/** What a script may do, in place of the System API. */
export class ScriptApi {
  readonly environment: ExecutionEnvironment;
  readonly arg: Uint8Array;
  /** Of a reject callback. */
  readonly rejectCode: number;
  readonly rejectMessage: string;
  /** Environment value of the callback. */
  readonly callbackEnv: bigint;
  response: ExecutionResult['response'];
  readonly calls: OutgoingCall[] = [];
  accepted = 0n;
  burned = 0n;
  timer: Time | undefined;
  certifiedData: Uint8Array | undefined;
  readonly logs: Uint8Array[] = [];
  messageAccepted = false;
  instructions = 1_000n;
  wasmPages: number;
  balance: Cycles;
  json: unknown;
  readonly #callbacks: readonly string[];
  readonly #limits: Limits;
  readonly #queued: Map<string, number> = new Map();

  constructor(parts: {
    readonly environment: ExecutionEnvironment;
    readonly entry: EntryPoint;
    readonly json: unknown;
    readonly wasmPages: number;
    readonly callbacks: readonly string[];
    readonly limits: Limits;
  }) {
    const { environment, entry } = parts;
    this.environment = environment;
    this.arg = 'arg' in entry ? entry.arg : 'data' in entry ? entry.data : new Uint8Array(0);
    this.rejectCode = entry.kind === 'reject_callback' ? entry.reject.rejectCode : 0;
    this.rejectMessage = entry.kind === 'reject_callback' ? entry.reject.message : '';
    this.callbackEnv = 'callback' in entry ? entry.callback.env : 0n;
    this.json = parts.json;
    this.wasmPages = parts.wasmPages;
    this.balance = environment.balance;
    this.#callbacks = parts.callbacks;
    this.#limits = parts.limits;
  }

  reply(data: Uint8Array | string = new Uint8Array(0)): void {
    this.#respond({ kind: 'reply', data: typeof data === 'string' ? utf8(data) : data });
  }

  reject(message: string): void {
    this.#respond({ kind: 'reject', message });
  }

  trap(message = 'scripted trap'): never {
    this.logs.push(utf8(`[TRAP]: ${message}`));
    throw new Trap(message);
  }

  print(text: string): void {
    this.logs.push(utf8(text));
  }

  accept(cycles: Cycles): Cycles {
    const left = this.environment.cyclesAvailable - this.accepted;
    const taken = cycles < left ? cycles : left;
    this.accepted += taken;
    this.balance += taken;
    return taken;
  }

  /** @returns what `ic0.call_perform` would: 0, or 2 when there is no room or not enough cycles. */
  call(call: ScriptCall, env = 0n): number {
    const method = utf8(call.method).length;
    const arg = call.arg ?? new Uint8Array(0);
    const prepaidFee = callCost(this.environment, this.#limits, method + arg.length, false);
    const cycles = call.cycles ?? 0n;
    const queued = this.#queued.get(call.callee.key) ?? 0;
    if (queued >= this.environment.queueCapacity(call.callee)) return 2;
    if (this.balance - cycles - prepaidFee < this.environment.freezingThresholdCycles) return 2;
    this.#queued.set(call.callee.key, queued + 1);
    this.balance -= cycles + prepaidFee;
    const closure = (name: string | undefined): { fun: bigint; env: bigint } => ({
      fun: name === undefined ? 0xffff_ffffn : BigInt(this.#callbacks.indexOf(name)),
      env,
    });
    this.calls.push({
      callee: call.callee,
      method: call.method,
      arg,
      cycles,
      prepaidFee,
      onReply: closure(call.onReply),
      onReject: closure(call.onReject),
      ...(call.onCleanup === undefined ? {} : { onCleanup: closure(call.onCleanup) }),
      ...(call.timeoutSeconds === undefined ? {} : { timeoutSeconds: call.timeoutSeconds }),
    });
    return 0;
  }

  #respond(response: NonNullable<ExecutionResult['response']>): void {
    if (this.response !== undefined || this.environment.responded) this.trap('already responded');
    this.response = response;
  }
}

/** What happened, for tests that look at order: one entry for each execution that ended. */
export interface ScriptEvent {
  readonly canister: string;
  readonly entry: EntryPoint;
  readonly environment: ExecutionEnvironment;
  readonly failed: boolean;
}

export class ScriptedSandbox implements Sandbox {
  readonly events: ScriptEvent[] = [];
  /** Live stacks that were neither finished nor aborted. */
  livePauses = 0;
  readonly #scripts: ReadonlyMap<string, Script>;
  readonly #limits: Limits;

  constructor(scripts: Record<string, Script>, limits: Limits = DEFAULT_LIMITS) {
    this.#scripts = new Map(Object.entries(scripts));
    this.#limits = limits;
  }

  prepare(uploaded: Uint8Array): PreparedModule {
    const name = textOf(uploaded) ?? '';
    const script = this.#scripts.get(name);
    if (script === undefined)
      throw new ModuleRefused({ code: ErrorCode.CanisterInvalidWasm, message: 'no such script' });
    return {
      hash: toHex(sha256(uploaded)),
      uploadedBytes: uploaded.length,
      memory64: false,
      updateMethods: new Set(Object.keys(script.update ?? {})),
      queryMethods: new Set(Object.keys(script.query ?? {})),
      compositeQueryMethods: new Set(Object.keys(script.compositeQuery ?? {})),
      entryPoints: new Set(Object.keys(script.hooks ?? {})),
      customSections: [],
      compileInstructions: 0n,
    };
  }

  async execute(
    image: CanisterImage,
    entry: EntryPoint,
    environment: ExecutionEnvironment,
    sliceInstructions: bigint,
  ): Promise<Step> {
    const run = this.#run(image, entry, environment, readJson(image.heap), image.heap.wasmPages);
    return this.#step(run, sliceInstructions, sliceInstructions);
  }

  openQuery(image: CanisterImage): QuerySession {
    let json = readJson(image.heap);
    const { wasmPages } = image.heap;
    return {
      execute: async (entry, environment, sliceInstructions): Promise<Step> => {
        const run = this.#run(image, entry, environment, json, wasmPages);
        return this.#queryStep(run, sliceInstructions, () => {
          json = run.api.json;
        });
      },
      close: (): void => undefined,
    };
  }

  #queryStep(run: Run, upTo: bigint, keep: () => void): Step {
    if (smallest(run.api.instructions, run.environment.totalInstructions) > upTo) {
      this.livePauses += 1;
      const settle = (): void => {
        this.livePauses -= 1;
      };
      return {
        done: false,
        paused: {
          instructions: upTo,
          resume: async (more) => {
            settle();
            return this.#queryStep(run, upTo + more, keep);
          },
          abort: async () => settle(),
        },
      };
    }
    if (run.error === undefined) keep();
    return { done: true, result: resultOf(run, run.error, run.image) };
  }

  evict(): void {}

  #run(
    image: CanisterImage,
    entry: EntryPoint,
    environment: ExecutionEnvironment,
    json: unknown,
    wasmPages: number,
  ): Run {
    const script = this.#scriptOf(image.module.hash);
    const callbacks = Object.keys(script.callbacks ?? {});
    const api = new ScriptApi({ environment, entry, json, wasmPages, callbacks, limits: this.#limits });
    const behaviour = behaviourOf(script, entry);
    let error: UserError | undefined;
    try {
      behaviour?.(api);
    } catch (thrown) {
      if (!(thrown instanceof Trap)) throw thrown;
      error = {
        code: ErrorCode.CanisterCalledTrap,
        message: `Canister called \`ic0.trap\` with message: '${thrown.message}'`,
      };
    }
    if (api.instructions > environment.totalInstructions) error = OUT_OF_INSTRUCTIONS;
    return { image, entry, environment, api, error };
  }

  #step(run: Run, upTo: bigint, slice: bigint): Step {
    if (run.api.instructions > upTo) {
      this.livePauses += 1;
      const paused: PausedExecution = {
        instructions: upTo,
        resume: async (more) => {
          this.livePauses -= 1;
          return this.#step(run, upTo + more, slice);
        },
        abort: async () => {
          this.livePauses -= 1;
        },
      };
      return { done: false, paused };
    }
    const { api, image } = run;
    const error =
      run.error ??
      run.environment.approve?.({
        heapWasmPages: api.wasmPages,
        stableWasmPages: image.stable.wasmPages,
        balance: api.balance,
      });
    this.events.push({
      canister: image.id.key,
      entry: run.entry,
      environment: run.environment,
      failed: error !== undefined,
    });
    const result = resultOf(run, error, image);
    if (error === undefined && run.entry.kind !== 'replicated_query') {
      if (api.wasmPages !== image.heap.wasmPages) image.heap.resize(api.wasmPages);
      writeJson(image.heap, api.json);
    }
    return { done: true, result };
  }

  #scriptOf(hash: string): Script {
    for (const [name, script] of this.#scripts) if (toHex(sha256(utf8(name))) === hash) return script;
    throw new Error('the script is gone');
  }
}

interface Run {
  readonly image: CanisterImage;
  readonly entry: EntryPoint;
  readonly environment: ExecutionEnvironment;
  readonly api: ScriptApi;
  readonly error: UserError | undefined;
}

const OUT_OF_INSTRUCTIONS: UserError = {
  code: ErrorCode.CanisterInstructionLimitExceeded,
  message: 'Canister exceeded the instruction limit',
};

function behaviourOf(script: Script, entry: EntryPoint): Behaviour | undefined {
  switch (entry.kind) {
    case 'update':
      return script.update?.[entry.method];
    case 'query':
    case 'replicated_query':
      return script.query?.[entry.method];
    case 'composite_query':
      return script.compositeQuery?.[entry.method];
    case 'reply_callback':
    case 'reject_callback':
    case 'cleanup_callback':
      return Object.values(script.callbacks ?? {})[Number(entry.callback.fun)];
    case 'install':
      return script.hooks?.[entry.hook];
    case 'pre_upgrade':
      return script.hooks?.['canister_pre_upgrade'];
    default:
      return script.hooks?.[`canister_${entry.kind}`];
  }
}

function resultOf(run: Run, error: UserError | undefined, image: CanisterImage): ExecutionResult {
  const { api } = run;
  const limited = smallest(api.instructions, run.environment.totalInstructions);
  const base = {
    instructions: limited,
    logs: api.logs,
    heapWasmPages: image.heap.wasmPages,
    stableWasmPages: image.stable.wasmPages,
    peakHeapBytes: 0n,
  };
  if (error !== undefined)
    return {
      ...base,
      error,
      calls: [],
      cyclesAccepted: 0n,
      cyclesBurned: 0n,
      messageAccepted: false,
      dirtyHeapPages: [],
      dirtyStablePages: [],
    };
  return {
    ...base,
    ...(api.response === undefined ? {} : { response: api.response }),
    calls: api.calls,
    cyclesAccepted: api.accepted,
    cyclesBurned: api.burned,
    ...(api.timer === undefined ? {} : { timer: api.timer }),
    ...(api.certifiedData === undefined ? {} : { certifiedData: api.certifiedData }),
    messageAccepted: api.messageAccepted,
    dirtyHeapPages: [0],
    dirtyStablePages: [],
    wasmState: { globals: new Uint8Array(8), tables: [], droppedSegments: new Uint8Array(0) },
  };
}

function readJson(store: PageStore): unknown {
  const page = store.view(0);
  if (page === undefined) return undefined;
  const end = page.indexOf(0);
  return JSON.parse(new TextDecoder().decode(page.subarray(0, end < 0 ? PAGE_BYTES : end)));
}

function writeJson(store: PageStore, json: unknown): void {
  if (json === undefined) return;
  if (store.wasmPages === 0) store.resize(1);
  const page = new Uint8Array(PAGE_BYTES);
  const bytes = utf8(JSON.stringify(json));
  if (bytes.length >= PAGE_BYTES) throw new Error('a script keeps at most a page');
  page.set(bytes);
  store.write(0, page, 0);
}

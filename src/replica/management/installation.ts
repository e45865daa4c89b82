import {
  type Cycles,
  executionFee,
  freezingThresholdCycles,
  type Principal,
  type Time,
  type UserError,
} from '../../model/index.ts';
import {
  type CanisterImage,
  type EntryPoint,
  type ExecutionEnvironment,
  type ExecutionResult,
  HostFault,
  ModuleRefused,
  type PausedExecution,
  type PreparedModule,
} from '../../sandbox/index.ts';
import { type CanisterCode, type CanisterState, PageMap } from '../../state/index.ts';
import { charge, controlledCanister, recordChange, releaseModules, type Task } from './canister-record.ts';
import { joinChunks } from './chunk-store.ts';
import type { ManagementHost, ManagementOutcome } from './contract.ts';
import { decode, encodeNothing, given, principalOf, type WireInstallMode } from './interface.ts';
import { reject, reply } from './outcome.ts';
import * as refusal from './refusal.ts';

/**
 * Installing code: `install`, `reinstall` and `upgrade`. Everything happens on forks of the canister's memories and is
 * put in place at the end, so a failure leaves the canister as it was but for the cycles that the instructions cost and
 * the lines it logged. One that outlives a slice is pending; the canister runs no message until it is over. What has to
 * be known to execute it again from the beginning is in the call's progress.
 */

/** The custom section by which a module says that its main memory may survive an upgrade. */
const ENHANCED_PERSISTENCE = 'enhanced-orthogonal-persistence';
/** By how much a round lowers a canister's debt of installing instructions. */
export const INSTALL_CREDIT_PER_ROUND = 2_000_000_000n;

/** What the call asks for. */
interface Plan {
  readonly canister: CanisterState;
  readonly mode: 'install' | 'reinstall' | 'upgrade';
  readonly skipPreUpgrade: boolean;
  readonly keepMemory: boolean;
  readonly module: PreparedModule;
  readonly uploaded: Uint8Array;
  readonly arg: Uint8Array;
  readonly senderVersion: bigint | undefined;
}

/** Plain data: what a pending installation needs besides its call to be executed again. */
interface InstallProgress {
  readonly kind: 'install';
  /** Times that it was given a slice. */
  readonly slices: number;
  readonly startedAt: Time;
  readonly balance: Cycles;
  readonly freezingThreshold: Cycles;
  readonly growableBytes: bigint;
  /** Module bytes when they came from a chunk store, which may change meanwhile. */
  readonly chunks: Uint8Array | undefined;
}

/** All installations of a management canister. Those that are pending keep their live stacks here, as a cache. */
export class Installations {
  readonly #live: Map<bigint, Installation> = new Map();

  /** @throws Refusal, PayloadRefused before anything has been executed */
  async execute(task: Task): Promise<ManagementOutcome> {
    const { call, host } = task;
    let installation = this.#live.get(call.id);
    if (installation === undefined) {
      const before = call.progress as InstallProgress | undefined;
      installation = begin(task, before);
      for (let slice = 0; slice < (before?.slices ?? 0); slice++) {
        if (!(await installation.advance(host))) continue;
        throw new HostFault(`re-execution of an installation ended ${(before?.slices ?? 0) - slice} slices early`);
      }
    }
    const before = installation.instructions;
    const done = await installation.advance(host);
    if (!done) {
      this.#live.set(call.id, installation);
      call.progress = installation.progress;
      return {
        kind: 'pending',
        wakeAt: 0n,
        occupies: installation.canisterId,
        instructions: installation.instructions - before,
      };
    }
    this.#live.delete(call.id);
    return installation.finish(task, before);
  }

  /** Settles every live stack; the calls stay pending in the state. */
  async close(): Promise<void> {
    for (const installation of this.#live.values()) await installation.abort();
    this.#live.clear();
  }
}

/** Reads the call, checks it and prepares the module. */
function begin(task: Task, before: InstallProgress | undefined): Installation {
  const { call, host } = task;
  const chunked = call.method === 'install_chunked_code';
  const request = chunked ? chunkedRequest(task, before?.chunks) : plainRequest(task);
  const { canister, mode } = request;
  if (before === undefined) {
    if (mode.kind === 'install' && canister.code !== undefined) throw refusal.notEmpty(canister.id);
    if (mode.kind === 'upgrade' && canister.code === undefined) throw refusal.noModule(canister.id);
    if (canister.installDebit > 0n && !host.state.network.provisional) throw refusal.installRateLimited(canister.id);
  }
  const module = prepare(host, canister.id, request.uploaded);
  checkPersistence(canister, mode, module);
  const prepaid = executionFee(host.fees, host.limits.installInstructions, module.memory64);
  if (before === undefined) {
    const missing = host.freezingThreshold(canister) + prepaid - canister.balance;
    if (missing > 0n) throw refusal.installOutOfCycles(canister.id, missing);
  }
  const plan: Plan = {
    canister,
    mode: mode.kind,
    skipPreUpgrade: mode.skipPreUpgrade,
    keepMemory: mode.persistence === 'keep',
    module,
    uploaded: request.uploaded,
    arg: request.arg,
    senderVersion: request.senderVersion,
  };
  const progress: InstallProgress = before ?? {
    kind: 'install',
    slices: 0,
    startedAt: host.state.time,
    balance: canister.balance - prepaid,
    freezingThreshold: host.freezingThreshold(canister),
    growableBytes: host.environment(canister, { caller: call.caller, totalInstructions: 0n }).growableBytes,
    chunks: chunked ? request.uploaded : undefined,
  };
  return new Installation(plan, call.caller, host, { ...progress, slices: 0 });
}

interface Mode {
  readonly kind: Plan['mode'];
  readonly skipPreUpgrade: boolean;
  readonly persistence: 'keep' | 'replace' | undefined;
}

interface InstallRequest {
  readonly canister: CanisterState;
  readonly mode: Mode;
  readonly uploaded: Uint8Array;
  readonly arg: Uint8Array;
  readonly senderVersion: bigint | undefined;
}

function plainRequest(task: Task): InstallRequest {
  const args = decode('install_code', task.call.arg);
  return {
    canister: controlledCanister(task, principalOf(args.canister_id)),
    mode: modeOf(args.mode),
    uploaded: args.wasm_module,
    arg: args.arg,
    senderVersion: given(args.sender_canister_version),
  };
}

function chunkedRequest(task: Task, joined: Uint8Array | undefined): InstallRequest {
  const args = decode('install_chunked_code', task.call.arg);
  const canister = controlledCanister(task, principalOf(args.target_canister));
  const store = given(args.store_canister);
  return {
    canister,
    mode: modeOf(args.mode),
    uploaded:
      joined ??
      joinChunks(
        task,
        store === undefined ? canister.id : principalOf(store),
        args.chunk_hashes_list.map(({ hash }) => hash),
        args.wasm_module_hash,
      ),
    arg: args.arg,
    senderVersion: given(args.sender_canister_version),
  };
}

function modeOf(wire: WireInstallMode): Mode {
  if ('install' in wire) return { kind: 'install', skipPreUpgrade: false, persistence: undefined };
  if ('reinstall' in wire) return { kind: 'reinstall', skipPreUpgrade: false, persistence: undefined };
  const options = given(wire.upgrade);
  const persistence = options === undefined ? undefined : given(options.wasm_memory_persistence);
  return {
    kind: 'upgrade',
    skipPreUpgrade: options !== undefined && given(options.skip_pre_upgrade) === true,
    persistence: persistence === undefined ? undefined : 'keep' in persistence ? 'keep' : 'replace',
  };
}

function prepare(host: ManagementHost, canisterId: Principal, uploaded: Uint8Array): PreparedModule {
  try {
    return host.sandbox.prepare(uploaded);
  } catch (error) {
    if (error instanceof ModuleRefused)
      throw new refusal.Refusal(error.userError.code, fromCanister(canisterId, error.userError).message);
    throw error;
  }
}

/** Interface spec, "Code upgrade": memory that the old module keeps alive is given up only when the caller says so. */
function checkPersistence(canister: CanisterState, mode: Mode, module: PreparedModule): void {
  if (mode.kind !== 'upgrade') return;
  if (mode.persistence === undefined && declaresPersistence(canister.code?.customSections ?? []))
    throw refusal.persistenceOptionMissing();
  if (mode.persistence === 'keep' && !declaresPersistence(module.customSections))
    throw refusal.persistenceNotSupported();
}

function declaresPersistence(sections: CanisterCode['customSections']): boolean {
  return sections.some(({ name, visibility }) => name === ENHANCED_PERSISTENCE && visibility === 'private');
}

function fromCanister(canisterId: Principal, error: UserError): UserError {
  return { code: error.code, message: `Error from Canister ${canisterId}: ${error.message}` };
}

/** One installation from its first slice to its end. */
class Installation {
  readonly #plan: Plan;
  readonly #environment: ExecutionEnvironment;
  readonly #limit: bigint;
  readonly #sliceInstructions: bigint;
  #progress: InstallProgress;
  #stage: 'pre_upgrade' | 'new_code' | 'done';
  #heap: PageMap;
  readonly #stable: PageMap;
  #wasmState: CanisterState['wasmState'];
  #generation: number;
  #paused: PausedExecution | undefined;
  /** Of the stages that are over, and of the compilation. */
  #instructions = 0n;
  readonly #logs: Uint8Array[] = [];
  #certifiedData: Uint8Array | undefined;
  #timer: Time = 0n;
  #cyclesBurned: Cycles = 0n;
  #error: UserError | undefined;

  constructor(plan: Plan, caller: Principal, host: ManagementHost, progress: InstallProgress) {
    const { canister } = plan;
    this.#plan = plan;
    this.#progress = progress;
    this.#limit = host.limits.installInstructions;
    this.#sliceInstructions = host.limits.sliceInstructions;
    this.#environment = {
      ...host.environment(canister, { caller, totalInstructions: this.#limit }),
      time: progress.startedAt,
      balance: progress.balance,
      freezingThresholdCycles: progress.freezingThreshold,
      growableBytes: progress.growableBytes,
    };
    const upgrade = plan.mode === 'upgrade';
    this.#heap = upgrade ? canister.heap.fork() : new PageMap();
    this.#stable = upgrade ? canister.stable.fork() : new PageMap();
    this.#wasmState = upgrade ? canister.wasmState : undefined;
    this.#generation = canister.generation + 1;
    const old = upgrade ? host.image(canister)?.module : undefined;
    this.#stage =
      old?.entryPoints.has('canister_pre_upgrade') === true && !plan.skipPreUpgrade ? 'pre_upgrade' : 'new_code';
  }

  get canisterId(): Principal {
    return this.#plan.canister.id;
  }

  get instructions(): bigint {
    return this.#instructions + (this.#paused?.instructions ?? 0n);
  }

  get progress(): InstallProgress {
    return this.#progress;
  }

  /** Runs for one slice. @returns true when it is over, well or badly. */
  async advance(host: ManagementHost): Promise<boolean> {
    this.#progress = { ...this.#progress, slices: this.#progress.slices + 1 };
    const step =
      this.#paused === undefined ? await this.#begin(host) : await this.#paused.resume(this.#sliceInstructions);
    this.#paused = undefined;
    if (!step.done) {
      this.#paused = step.paused;
      return false;
    }
    this.#settle(step.result);
    if (this.#stage === 'done') return true;
    // The next stage gets a slice of its own only if this one was used up: an upgrade of two short hooks is one step.
    if (step.result.instructions >= this.#sliceInstructions) return false;
    return this.#stageAfterAnother(host);
  }

  async abort(): Promise<void> {
    await this.#paused?.abort();
    this.#paused = undefined;
  }

  async #stageAfterAnother(host: ManagementHost): Promise<boolean> {
    const step = await this.#begin(host);
    if (!step.done) {
      this.#paused = step.paused;
      return false;
    }
    this.#settle(step.result);
    return true;
  }

  #begin(host: ManagementHost): ReturnType<ManagementHost['sandbox']['execute']> {
    const { canister, module, mode, arg, keepMemory } = this.#plan;
    if (this.#stage === 'pre_upgrade') {
      const old = host.image(canister)?.module;
      if (old === undefined) throw new HostFault(`the code of canister ${canister.id} is gone during its upgrade`);
      return this.#run(host, old, { kind: 'pre_upgrade' });
    }
    this.#instructions += module.compileInstructions;
    if (mode === 'upgrade') {
      if (!keepMemory) this.#heap = new PageMap();
      this.#wasmState = undefined;
      this.#generation += 1;
    }
    return this.#run(host, module, {
      kind: 'install',
      hook: mode === 'upgrade' ? 'canister_post_upgrade' : 'canister_init',
      arg,
      heapKept: mode === 'upgrade' && keepMemory,
    });
  }

  #run(
    host: ManagementHost,
    module: PreparedModule,
    entry: EntryPoint,
  ): ReturnType<ManagementHost['sandbox']['execute']> {
    const { canister } = this.#plan;
    // What was kept hot for the canister belongs to another image of it.
    host.sandbox.evict(canister.id);
    const image: CanisterImage = {
      id: canister.id,
      module,
      heap: this.#heap,
      stable: this.#stable,
      wasmState: this.#wasmState,
      generation: this.#generation,
    };
    const left = this.#limit - this.#instructions;
    return host.sandbox.execute(
      image,
      entry,
      {
        ...this.#environment,
        canisterVersion: entry.kind === 'pre_upgrade' ? canister.version : canister.version + 1n,
        balance: this.#progress.balance - this.#cyclesBurned,
        totalInstructions: left > 0n ? left : 0n,
      },
      this.#sliceInstructions,
    );
  }

  #settle(result: ExecutionResult): void {
    this.#instructions += result.instructions;
    this.#logs.push(...result.logs);
    if (result.error !== undefined) {
      this.#error = fromCanister(this.canisterId, result.error);
      this.#stage = 'done';
      return;
    }
    this.#wasmState = result.wasmState ?? this.#wasmState;
    this.#certifiedData = result.certifiedData ?? this.#certifiedData;
    this.#cyclesBurned += result.cyclesBurned;
    this.#timer = this.#stage === 'new_code' ? (result.timer ?? 0n) : 0n;
    this.#stage = this.#stage === 'pre_upgrade' ? 'new_code' : 'done';
  }

  /** Puts the new code in place, or reports why not. @param spentBefore instructions that earlier rounds counted */
  finish(task: Task, spentBefore: bigint): ManagementOutcome {
    const { host } = task;
    const { canister, module, mode } = this.#plan;
    host.sandbox.evict(canister.id);
    const fee = executionFee(host.fees, this.#instructions, module.memory64);
    charge(host, canister, fee);
    // Development networks do not limit the rate: nothing to pay off, nothing that changes in idle rounds.
    if (!host.state.network.provisional) canister.installDebit += this.#instructions;
    const error = this.#error ?? this.#frozenAfterwards(task);
    if (error !== undefined) {
      for (const line of this.#logs) host.log(canister, line);
      host.changed(canister.id);
      return withInstructions(reject(error), this.#instructions - spentBefore);
    }
    charge(host, canister, this.#cyclesBurned);
    if (mode !== 'upgrade') {
      canister.logs.length = 0;
      canister.certifiedData = new Uint8Array();
      canister.lowMemoryHook = 'condition_not_satisfied';
    }
    for (const line of this.#logs) host.log(canister, line);
    if (!host.state.modules.has(module.hash)) host.state.modules.set(module.hash, this.#plan.uploaded.slice());
    const replaced = canister.code?.moduleHash;
    canister.code = {
      moduleHash: module.hash,
      installedAt: host.state.time,
      customSections: module.customSections.map(({ name, visibility, content }) => ({ name, visibility, content })),
    };
    releaseModules(host.state, replaced);
    canister.heap = this.#heap;
    canister.stable = this.#stable;
    canister.wasmState = this.#wasmState;
    canister.generation = this.#generation;
    canister.certifiedData = this.#certifiedData ?? canister.certifiedData;
    canister.globalTimer = this.#timer;
    canister.version += 1n;
    recordChange(task, canister, { kind: 'code_deployment', mode, moduleHash: module.hash }, this.#plan.senderVersion);
    host.changed(canister.id, 'all');
    return withInstructions(reply(encodeNothing()), this.#instructions - spentBefore);
  }

  /** An installation that would leave the canister frozen, or the subnet without memory, does not happen. */
  #frozenAfterwards({ host }: Task): UserError | undefined {
    const { canister, uploaded } = this.#plan;
    const use = host.memoryUse(canister);
    const before = use.heap + use.stable + use.binary;
    const after = wasmBytes(this.#heap) + wasmBytes(this.#stable) + BigInt(uploaded.length);
    const grown = after > before ? after - before : 0n;
    if (grown > 0n && host.subnetMemoryUse() + grown > host.limits.subnetMemoryBytes)
      return refusal.memoryOversubscribed(grown, host.limits.subnetMemoryBytes - host.subnetMemoryUse()).userError;
    const threshold = freezingThresholdCycles(host.fees, {
      ...host.idleUse(canister),
      memoryBytes: use.total - before + after,
      freezingThresholdSeconds: canister.settings.freezingThresholdSeconds,
      reservedBalance: canister.reservedBalance,
    });
    const balance = canister.balance - this.#cyclesBurned;
    return balance < threshold ? refusal.noCyclesToGrow(grown, threshold - balance).userError : undefined;
  }
}

function wasmBytes(memory: PageMap): bigint {
  return BigInt(memory.wasmPages) * 65_536n;
}

function withInstructions(outcome: ManagementOutcome, instructions: bigint): ManagementOutcome {
  return outcome.kind === 'response' ? { ...outcome, instructions } : outcome;
}

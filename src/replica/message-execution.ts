import {
  type Cycles,
  executionFee,
  MANAGEMENT_CANISTER,
  type Principal,
  type Time,
  type UserError,
  WASM_PAGE_BYTES,
} from '../model/index.ts';
import {
  type EntryPoint,
  type ExecutionEnvironment,
  type ExecutionResult,
  HostFault,
  type MemoryUsage,
  type PausedExecution,
  type PreparedModule,
  type Step,
} from '../sandbox/index.ts';
import type { Callback, CallContext, CanisterInput, CanisterState, Origin, PausedMessage } from '../state/index.ts';
import { answer, closeIfDone, openContext, respond, send, settleTransmission, takeCallback } from './calls.ts';
import {
  COMPOSITE_QUERY_IN_REPLICATED_MODE,
  cannotGrowMemory,
  didNotReply,
  errorFromCanister,
  failureOfCleanup,
  noMethod,
  notRunning,
  noWasmModule,
  outOfCycles,
  tooFewCycles,
} from './canister-error.ts';
import { appendLog } from './canister-log.ts';
import { environmentOf, imageOf } from './environment.ts';
import { markProcessing } from './ingress-history.ts';
import { freezingThresholdOf, largest, memoryUseOf, smallest } from './resources.ts';
import type { Round } from './round.ts';

/** Part of a callback's instructions that is kept for its cleanup, in hundredths. */
const CLEANUP_SHARE = 5n;
/** What every message counts in the round's budget besides its instructions, so that empty ones cannot stretch it. */
const MESSAGE_OVERHEAD = 10_000n;

/**
 * What a message found when it began and is not in the present state any more: recorded with a paused message, so that
 * it can be executed again to the same instruction (plain data).
 */
interface MessageRecord {
  readonly contextId: bigint;
  readonly callback: Callback | undefined;
  /** The callback failed and its cleanup runs: why (without the canister's name), and what the callback used. */
  readonly failure: UserError | undefined;
  readonly spent: bigint;
  readonly limit: bigint;
  readonly time: Time;
  readonly canisterVersion: bigint;
  readonly balance: Cycles;
  readonly freezingThreshold: Cycles;
  readonly growableBytes: bigint;
  readonly cyclesAvailable: Cycles;
  readonly callContextInstructions: bigint;
  readonly globalTimer: Time;
}

/** A message in execution. */
interface Job {
  readonly canister: CanisterState;
  readonly module: PreparedModule;
  readonly input: CanisterInput;
  readonly entry: EntryPoint;
  readonly record: MessageRecord;
  readonly prepaid: Cycles;
  readonly startedAt: Time;
}

/**
 * Runs the messages of canisters, one slice at a time. Live stacks of paused messages are kept here; they are a cache:
 * without one, a message is executed again to the instruction where it stood.
 */
export class MessageExecution {
  readonly #live: Map<string, PausedExecution> = new Map();

  /** Lets a canister run: its paused message, else its next one, for one slice at most. */
  async run(round: Round, canister: CanisterState): Promise<void> {
    const before = round.instructions;
    const message = canister.paused?.input ?? canister.input[0];
    try {
      if (canister.paused !== undefined) await this.#resume(round, canister, canister.paused);
      else await this.#start(round, canister);
    } catch (cause) {
      throw hostFault(round, canister, message, cause);
    }
    if (round.instructions === before) round.instructions += MESSAGE_OVERHEAD;
    round.touch(canister.id.key);
    round.agenda.refresh(canister);
  }

  /** Gives up a canister's paused or next message by an operator's decision: who waits for it gets `error`. */
  async passOver(round: Round, canister: CanisterState, error: UserError): Promise<void> {
    const { paused } = canister;
    await this.#live.get(canister.id.key)?.abort();
    this.#live.delete(canister.id.key);
    canister.paused = undefined;
    const job = paused === undefined ? beginNext(round, canister) : this.#jobOf(round, canister, paused);
    if (job !== undefined) this.#settleFailure(round, job, error, paused?.instructions ?? 0n);
    round.touch(canister.id.key);
    round.agenda.refresh(canister);
  }

  /** Settles every live stack; the messages stay paused in the state. */
  async close(): Promise<void> {
    for (const paused of this.#live.values()) await paused.abort();
    this.#live.clear();
  }

  async #start(round: Round, canister: CanisterState): Promise<void> {
    const job = beginNext(round, canister);
    if (job !== undefined) await this.#execute(round, job);
  }

  async #execute(round: Round, job: Job): Promise<void> {
    const step = await round.sandbox.execute(
      imageOf(job.canister, job.module),
      job.entry,
      environmentFor(round, job),
      round.limits.sliceInstructions,
    );
    await this.#after(round, job, step, 0n);
  }

  async #resume(round: Round, canister: CanisterState, paused: PausedMessage): Promise<void> {
    const job = this.#jobOf(round, canister, paused);
    if (job === undefined) throw new HostFault('a paused message has lost its canister’s code');
    const key = canister.id.key;
    const live = this.#live.get(key) ?? (await this.#catchUp(round, job, paused));
    this.#live.delete(key);
    const step = await live.resume(round.limits.sliceInstructions);
    canister.paused = undefined;
    await this.#after(round, job, step, paused.instructions);
  }

  /** Executes a paused message again, slice by slice as the first time, to exactly where it stood. */
  async #catchUp(round: Round, job: Job, paused: PausedMessage): Promise<PausedExecution> {
    const slice = round.limits.sliceInstructions;
    let step = await round.sandbox.execute(
      imageOf(job.canister, job.module),
      job.entry,
      environmentFor(round, job),
      slice,
    );
    while (!step.done && step.paused.instructions < paused.instructions) step = await step.paused.resume(slice);
    if (step.done || step.paused.instructions !== paused.instructions)
      throw new HostFault(
        `re-execution of a paused message stood at ${step.done ? 'its end' : step.paused.instructions} instead of ${paused.instructions} instructions`,
      );
    return step.paused;
  }

  #jobOf(round: Round, canister: CanisterState, paused: PausedMessage): Job | undefined {
    const module = round.moduleOf(canister);
    if (module === undefined) return undefined;
    const record = paused.environment as MessageRecord;
    const entry = entryOf(module, paused.input, record);
    if (entry === undefined) return undefined;
    return {
      canister,
      module,
      input: paused.input,
      entry,
      record,
      prepaid: paused.prepaid,
      startedAt: paused.startedAt,
    };
  }

  async #after(round: Round, job: Job, step: Step, before: bigint): Promise<void> {
    const { canister, record } = job;
    const now = step.done ? step.result.instructions : step.paused.instructions;
    round.instructions += now - before;
    if (!step.done) {
      this.#live.set(canister.id.key, step.paused);
      canister.paused = {
        input: job.input,
        startedAt: job.startedAt,
        instructions: now,
        environment: record,
        prepaid: job.prepaid,
      };
      const context = canister.callContexts.get(String(record.contextId));
      if (context?.origin.kind === 'ingress') markProcessing(round, context.origin.requestId);
      return;
    }
    round.instructions += MESSAGE_OVERHEAD;
    round.executedMessages += 1;
    const { result } = step;
    for (const line of result.logs) appendLog(round, canister, line);
    if (result.error === undefined) {
      if (record.failure === undefined) applySuccess(round, job, result);
      else applyCleanup(round, job, result);
      return;
    }
    const cleanup = record.failure === undefined ? cleanupJob(round, job, result.error, now) : undefined;
    if (cleanup !== undefined) await this.#execute(round, cleanup);
    else this.#settleFailure(round, job, result.error, now);
  }

  #settleFailure(round: Round, job: Job, error: UserError, instructions: bigint): void {
    const { canister, record } = job;
    refundExecution(round, job, instructions);
    const context = canister.callContexts.get(String(record.contextId));
    if (context === undefined) return;
    context.instructions += record.spent + instructions;
    const failure = record.failure === undefined ? error : failureOfCleanup(record.failure, error);
    closeIfDone(round, canister, context, errorFromCanister(canister.id, failure));
  }
}

/** Names what the host could not execute: an operator may decide to pass over it. */
function hostFault(
  round: Round,
  canister: CanisterState,
  message: CanisterInput | undefined,
  cause: unknown,
): HostFault {
  const what = cause instanceof Error ? cause.message : String(cause);
  const which =
    message === undefined
      ? 'nothing'
      : message.kind === 'request'
        ? `'${message.method}'`
        : message.kind === 'response'
          ? `the response to call ${message.callbackId}`
          : message.task;
  return new HostFault(`height ${round.state.height}, canister ${canister.id.toText()}, message ${which}: ${what}`, {
    cause,
  });
}

/** Takes the next message out of the queue. @returns undefined when it ends without an execution. */
function beginNext(round: Round, canister: CanisterState): Job | undefined {
  const input = canister.input.shift();
  switch (input?.kind) {
    case undefined:
      return undefined;
    case 'request':
      return beginRequest(round, canister, input);
    case 'response':
      return beginResponse(round, canister, input);
    case 'task':
      return beginTask(round, canister, input);
  }
}

function beginRequest(
  round: Round,
  canister: CanisterState,
  input: Extract<CanisterInput, { kind: 'request' }>,
): Job | undefined {
  const fail = (error: UserError): undefined => {
    respond(round, input.origin, { kind: 'error', error }, input.cycles);
    return undefined;
  };
  const { kind: status } = canister.status;
  if (status !== 'running') return fail(notRunning(canister.id, status));
  const least = canister.settings.minimumIncomingCanisterCallCycles;
  if (input.origin.kind === 'canister' && !input.caller.equals(canister.id) && input.cycles < least)
    return fail(tooFewCycles(canister.id, least, input.cycles));
  const module = round.moduleOf(canister);
  if (module === undefined) return fail(noWasmModule(canister.id));
  if (module.compositeQueryMethods.has(input.method)) return fail(COMPOSITE_QUERY_IN_REPLICATED_MODE);
  if (!module.updateMethods.has(input.method) && !module.queryMethods.has(input.method))
    return fail(noMethod(canister.id, 'update', input.method));
  const limit = round.limits.updateInstructions;
  const prepaid = executionFee(round.fees, limit, module.memory64);
  const missing = freezingThresholdOf(round.state, canister) + prepaid - canister.balance;
  if (missing > 0n) {
    const isController = canister.settings.controllers.some((controller) => controller.equals(input.caller));
    return fail(outOfCycles(canister.id, isController ? missing : undefined));
  }
  canister.balance -= prepaid;
  const context = openContext(round, canister, {
    origin: input.origin,
    method: input.method,
    cycles: input.cycles,
    deadline: input.deadline,
    senderInfo: input.senderInfo,
  });
  return newJob(round, canister, module, input, context, undefined, prepaid, limit);
}

function beginResponse(
  round: Round,
  canister: CanisterState,
  input: Extract<CanisterInput, { kind: 'response' }>,
): Job | undefined {
  const callback = takeCallback(round, canister, input.callbackId);
  canister.balance += input.refund;
  if (callback === undefined) return undefined;
  const prepaid = settleTransmission(round, canister, callback, input.response);
  const context = canister.callContexts.get(String(callback.callContextId));
  const module = round.moduleOf(canister);
  if (context === undefined || context.deleted || module === undefined) {
    canister.balance += prepaid;
    if (context !== undefined) closeIfDone(round, canister, context);
    return undefined;
  }
  const total = round.limits.updateInstructions;
  const limit = callback.onCleanup === undefined ? total : total - (total * CLEANUP_SHARE) / 100n;
  return newJob(round, canister, module, input, context, callback, prepaid, limit);
}

function beginTask(
  round: Round,
  canister: CanisterState,
  input: Extract<CanisterInput, { kind: 'task' }>,
): Job | undefined {
  const module = round.moduleOf(canister);
  const entryPoint = `canister_${input.task}`;
  if (input.task === 'global_timer') {
    // A message that ran since it was due may have set it anew.
    if (canister.globalTimer === 0n || canister.globalTimer > round.state.time) return undefined;
    canister.globalTimer = 0n;
  }
  if (module === undefined || canister.status.kind !== 'running' || !module.entryPoints.has(entryPoint))
    return undefined;
  const limit = round.limits.updateInstructions;
  const prepaid = executionFee(round.fees, limit, module.memory64);
  if (canister.balance < freezingThresholdOf(round.state, canister) + prepaid) {
    if (input.task === 'on_low_wasm_memory') canister.lowMemoryHook = 'ready';
    return undefined;
  }
  canister.balance -= prepaid;
  const context = openContext(round, canister, {
    origin: { kind: 'system' },
    method: entryPoint,
    cycles: 0n,
    deadline: 0n,
  });
  return newJob(round, canister, module, input, context, undefined, prepaid, limit);
}

function newJob(
  round: Round,
  canister: CanisterState,
  module: PreparedModule,
  input: CanisterInput,
  context: CallContext,
  callback: Callback | undefined,
  prepaid: Cycles,
  limit: bigint,
): Job | undefined {
  const record: MessageRecord = {
    contextId: context.id,
    callback,
    failure: undefined,
    spent: 0n,
    limit,
    time: round.state.time,
    canisterVersion: canister.version,
    balance: canister.balance,
    freezingThreshold: freezingThresholdOf(round.state, canister),
    growableBytes: growableBytesOf(round, canister),
    cyclesAvailable: context.cyclesAvailable,
    callContextInstructions: context.instructions,
    globalTimer: canister.globalTimer,
  };
  const entry = entryOf(module, input, record);
  if (entry === undefined) throw new HostFault('a message has no entry point');
  return { canister, module, input, entry, record, prepaid, startedAt: round.state.time };
}

/** The cleanup that follows a failed callback, when it has one and the call context still lives. */
function cleanupJob(round: Round, job: Job, failure: UserError, spent: bigint): Job | undefined {
  const { canister, input, record, module } = job;
  if (input.kind !== 'response' || record.callback?.onCleanup === undefined) return undefined;
  const left = round.limits.updateInstructions - spent;
  const next: MessageRecord = {
    ...record,
    failure,
    spent,
    limit: left,
    callContextInstructions: record.callContextInstructions + spent,
  };
  const entry = entryOf(module, input, next);
  return entry === undefined ? undefined : { ...job, canister, entry, record: next };
}

function entryOf(module: PreparedModule, input: CanisterInput, record: MessageRecord): EntryPoint | undefined {
  switch (input.kind) {
    case 'request':
      return {
        kind: module.updateMethods.has(input.method) ? 'update' : 'replicated_query',
        method: input.method,
        arg: input.arg,
      };
    case 'response': {
      const { callback } = record;
      if (callback === undefined) return undefined;
      const { response } = input;
      if (record.failure !== undefined)
        return callback.onCleanup === undefined
          ? undefined
          : {
              kind: 'cleanup_callback',
              callback: callback.onCleanup,
              rejectCode: response.kind === 'reply' ? 0 : response.reject.rejectCode,
              composite: false,
            };
      return response.kind === 'reply'
        ? { kind: 'reply_callback', callback: callback.onReply, data: response.data, composite: false }
        : { kind: 'reject_callback', callback: callback.onReject, reject: response.reject, composite: false };
    }
    case 'task':
      return { kind: input.task };
  }
}

/** Who is named as the caller in a call context, callbacks included. */
export function callerOf(origin: Origin): Principal {
  if (origin.kind === 'ingress') return origin.sender;
  if (origin.kind === 'canister') return origin.canister;
  return MANAGEMENT_CANISTER;
}

function environmentFor(round: Round, job: Job): ExecutionEnvironment {
  const { canister, input, record, prepaid } = job;
  const context = canister.callContexts.get(String(record.contextId));
  if (context === undefined) throw new HostFault('a message has lost its call context');
  return {
    ...environmentOf(round.state, canister),
    time: record.time,
    caller: callerOf(context.origin),
    senderInfo: context.senderInfo,
    deadline: context.deadline,
    canisterVersion: record.canisterVersion,
    replicated: true,
    balance: record.balance,
    freezingThresholdCycles: record.freezingThreshold,
    cyclesAvailable: record.cyclesAvailable,
    cyclesRefunded: input.kind === 'response' ? input.refund : 0n,
    responded: context.responded,
    wasmMemoryLimitBytes: input.kind === 'request' ? canister.settings.wasmMemoryLimit : 0n,
    growableBytes: record.growableBytes,
    queueCapacity: (callee) => round.limits.queueCapacity - (canister.outstanding.get(callee.key) ?? 0),
    totalInstructions: record.limit,
    callContextInstructions: record.callContextInstructions,
    globalTimer: record.globalTimer,
    approve: (usage) => approve(round, canister, record, prepaid, input.kind !== 'response', usage),
  };
}

/** The last word before a message commits: it must leave its canister able to pay for the memory that it has taken. */
function approve(
  round: Round,
  canister: CanisterState,
  record: MessageRecord,
  prepaid: Cycles,
  enforceThreshold: boolean,
  usage: MemoryUsage,
): UserError | undefined {
  const pages = BigInt(usage.heapWasmPages + usage.stableWasmPages);
  const before = BigInt(canister.heap.wasmPages + canister.stable.wasmPages);
  const more = (pages - before) * BigInt(WASM_PAGE_BYTES);
  const balance = canister.balance + usage.balance - record.balance;
  // Storage may have been charged since a long message began.
  if (balance < 0n) return outOfCycles(canister.id);
  if (more <= 0n || !enforceThreshold) return undefined;
  const threshold = freezingThresholdOf(round.state, canister, more);
  return balance + prepaid >= threshold ? undefined : cannotGrowMemory(more);
}

function growableBytesOf(round: Round, canister: CanisterState): bigint {
  const free = round.limits.subnetMemoryBytes - round.agenda.memory.total;
  const own = canister.settings.memoryAllocation - memoryUseOf(round.state, canister).total;
  return largest(0n, free + largest(0n, own));
}

/** Gives back what was prepaid for instructions that were not executed. */
function refundExecution(round: Round, job: Job, instructions: bigint): void {
  const { canister, module, prepaid, record } = job;
  const fee = executionFee(round.fees, record.spent + instructions, module.memory64);
  const paid = smallest(fee, prepaid);
  canister.balance += prepaid - paid;
  round.burn(paid);
}

function applySuccess(round: Round, job: Job, result: ExecutionResult): void {
  const { canister, input, entry, record } = job;
  const context = canister.callContexts.get(String(record.contextId));
  if (context === undefined) throw new HostFault('a message has lost its call context');
  refundExecution(round, job, result.instructions);
  context.instructions += result.instructions;
  if (entry.kind === 'replicated_query') {
    // Nothing of it stays but its answer and the cycles that it accepted.
    canister.balance += result.cyclesAccepted;
    context.cyclesAvailable -= result.cyclesAccepted;
    answer(round, context, result.response ?? { kind: 'error', error: didNotReply(canister.id) });
    canister.callContexts.delete(String(context.id));
    return;
  }
  commit(round, job, result);
  context.cyclesAvailable -= result.cyclesAccepted;
  const { response } = result;
  if (response !== undefined) answer(round, context, response);
  for (const call of result.calls) send(round, canister, context, call);
  closeIfDone(round, canister, context);
  if (canister.callContexts.has(String(context.id)) && !context.responded && context.origin.kind === 'ingress')
    markProcessing(round, context.origin.requestId);
  if (input.kind !== 'task' || input.task !== 'on_low_wasm_memory') watchMemory(round, canister, job.module);
}

/** A cleanup changes the canister but answers nothing: the callback's failure does. */
function applyCleanup(round: Round, job: Job, result: ExecutionResult): void {
  const { canister, record } = job;
  refundExecution(round, job, result.instructions);
  commit(round, job, result);
  const context = canister.callContexts.get(String(record.contextId));
  if (context === undefined) return;
  context.instructions += record.spent + result.instructions;
  for (const call of result.calls) send(round, canister, context, call);
  const { failure } = record;
  closeIfDone(round, canister, context, failure === undefined ? undefined : errorFromCanister(canister.id, failure));
}

/** What a successful message changes in its canister; its pages are written by the sandbox already. */
function commit(round: Round, job: Job, result: ExecutionResult): void {
  const { canister } = job;
  const key = canister.id.key;
  let sent = 0n;
  for (const call of result.calls) sent += call.cycles + call.prepaidFee;
  canister.balance += result.cyclesAccepted - result.cyclesBurned - sent;
  round.burn(result.cyclesBurned);
  if (canister.balance < 0n) throw new HostFault(`the balance fell to ${canister.balance}`);
  canister.version += 1n;
  if (result.timer !== undefined) canister.globalTimer = result.timer;
  if (result.certifiedData !== undefined) canister.certifiedData = result.certifiedData;
  if (result.wasmState !== undefined) canister.wasmState = result.wasmState;
  round.touchPages(key, result.dirtyHeapPages, result.dirtyStablePages);
}

/** Schedules `canister_on_low_wasm_memory` before the next message when the remaining memory falls below the threshold. */
export function watchMemory(round: Round, canister: CanisterState, module: PreparedModule): void {
  const { wasmMemoryLimit, wasmMemoryThreshold } = canister.settings;
  const whole = module.memory64 ? round.limits.wasm64MemoryBytes : round.limits.wasm32MemoryBytes;
  const limit = wasmMemoryLimit === 0n ? whole : wasmMemoryLimit;
  const used = BigInt(canister.heap.wasmPages) * BigInt(WASM_PAGE_BYTES);
  if (limit >= used + wasmMemoryThreshold) {
    canister.lowMemoryHook = 'condition_not_satisfied';
    return;
  }
  if (canister.lowMemoryHook === 'executed') return;
  canister.lowMemoryHook = 'ready';
  if (!module.entryPoints.has('canister_on_low_wasm_memory') || canister.status.kind !== 'running') return;
  canister.lowMemoryHook = 'executed';
  canister.input.unshift({ kind: 'task', task: 'on_low_wasm_memory' });
  round.agenda.refresh(canister);
}

import { type Cycles, canisterIdFromNumber, creationFee, type Principal } from '../../model/index.ts';
import { type CanisterState, PageMap } from '../../state/index.ts';
import {
  burn,
  canisterOf,
  controlledCanister,
  emptyCanister,
  mint,
  modulesOf,
  recordChange,
  releaseModules,
  type Task,
} from './canister-record.ts';
import type { ManagementHost, ManagementOutcome } from './contract.ts';
import { decode, encode, encodeNothing, given, principalOf, type WireSettings, wireOf } from './interface.ts';
import { reject, reply } from './outcome.ts';
import * as refusal from './refusal.ts';
import { checkSettings, defaultSettings, environmentVariablesHash, readSettings } from './settings.ts';
import { hasOpenCalls, release, type StopProgress, settleStopping } from './stopping.ts';

/** Balance of a canister created out of thin air when the call names none: the real network's test default. */
const PROVISIONAL_CYCLES = 100_000_000_000_000n;

// --- creation and cycles ------------------------------------------------------------------------------------------

/** The attached cycles become the new canister's, less the fee. @throws Refusal IC0403 and those of settings */
export function createCanister(task: Task): Uint8Array {
  const { call, host } = task;
  const args = decode('create_canister', call.arg);
  const fee = creationFee(host.fees);
  if (call.cycles < fee) throw refusal.creationFeeMissing(fee, call.cycles);
  const id = create(task, given(args.settings), given(args.sender_canister_version), call.cycles - fee, undefined);
  burn(host.state, fee);
  call.cycles = 0n;
  return id;
}

/** @throws Refusal IC0536 on networks that have no provisional methods, IC0405, IC0538 for a bad `specified_id` */
export function provisionalCreateCanister(task: Task): Uint8Array {
  const { call, host } = task;
  const args = decode('provisional_create_canister_with_cycles', call.arg);
  if (!host.state.network.provisional) throw refusal.provisionalNotAllowed();
  const amount = atMost(given(args.amount) ?? PROVISIONAL_CYCLES, CYCLES_MAX);
  const specified = given(args.specified_id);
  const reply = create(
    task,
    given(args.settings),
    given(args.sender_canister_version),
    amount,
    specified === undefined ? undefined : principalOf(specified),
  );
  mint(host.state, amount);
  return reply;
}

export function provisionalTopUp(task: Task): Uint8Array {
  const { call, host } = task;
  const args = decode('provisional_top_up_canister', call.arg);
  if (!host.state.network.provisional) throw refusal.provisionalNotAllowed();
  const canister = canisterOf(task, principalOf(args.canister_id));
  const amount = atMost(args.amount, CYCLES_MAX - canister.balance);
  canister.balance += amount;
  mint(host.state, amount);
  host.changed(canister.id);
  return encodeNothing();
}

/** The attached cycles go to the canister, whoever sends them. */
export function depositCycles(task: Task): Uint8Array {
  const { call, host } = task;
  const canister = canisterOf(task, principalOf(decode('canister_id', call.arg).canister_id));
  canister.balance += call.cycles;
  call.cycles = 0n;
  host.changed(canister.id);
  return encodeNothing();
}

/** Cycles are 128-bit numbers; what would be more is cut off. */
const CYCLES_MAX: Cycles = (1n << 128n) - 1n;

function atMost(amount: Cycles, max: Cycles): Cycles {
  return amount < max ? amount : max;
}

function create(
  task: Task,
  wire: WireSettings | undefined,
  senderVersion: bigint | undefined,
  balance: Cycles,
  specified: Principal | undefined,
): Uint8Array {
  const { call, host } = task;
  const { state, limits } = host;
  const change = wire === undefined ? {} : readSettings(wire, limits);
  const defaults = defaultSettings(call.caller, limits);
  checkSettings(host, defaults, change, { balance, reservedBalance: 0n, memoryBytes: 0n });
  if (state.canisters.size >= limits.canisters)
    throw refusal.tooManyCanisters(state.network.subnetId, limits.canisters);
  const id = specified === undefined ? nextId(host) : checkedId(host, specified);
  const canister = emptyCanister(id, state.time, { ...defaults, ...change }, balance);
  state.canisters.set(id.key, canister);
  recordChange(
    task,
    canister,
    {
      kind: 'creation',
      controllers: canister.settings.controllers,
      environmentVariablesHash:
        change.environmentVariables === undefined ? undefined : environmentVariablesHash(change.environmentVariables),
    },
    senderVersion,
  );
  host.changed(id);
  return encode('canister_id', { canister_id: wireOf(id) });
}

/** The next id that no canister has; ids that were given by name are passed over. */
function nextId({ state }: ManagementHost): Principal {
  for (;;) {
    const id = canisterIdFromNumber(state.nextCanisterNumber);
    if (!hosts(state.network.canisterRanges, id)) throw refusal.outOfCanisterIds();
    state.nextCanisterNumber += 1n;
    if (!state.canisters.has(id.key)) return id;
  }
}

function checkedId({ state }: ManagementHost, id: Principal): Principal {
  if (state.canisters.has(id.key)) throw refusal.alreadyInstalled(id);
  if (!hosts(state.network.canisterRanges, id)) throw refusal.notHosted(id, state.network.subnetId);
  return id;
}

function hosts(ranges: readonly { readonly start: Principal; readonly end: Principal }[], id: Principal): boolean {
  // Canister ids all have ten bytes, so their hex keys order as they do; shorter or longer ids lie in no range.
  return ranges.some(
    ({ start, end }) => id.bytes.length === start.bytes.length && start.key <= id.key && id.key <= end.key,
  );
}

// --- start, stop, delete ------------------------------------------------------------------------------------------

/** Answers when the canister has no open calls any more, is started again, or the time is over. */
export function stopCanister(task: Task): ManagementOutcome {
  const { call, host } = task;
  const progress = call.progress as StopProgress | undefined;
  if (progress === undefined) return beginStop(task);
  const canister = host.state.canisters.get(progress.canisterKey);
  if (canister === undefined) return reply(encodeNothing());
  settleStopping(host, canister);
  return stopOutcome(task, canister, call.progress as StopProgress);
}

function beginStop(task: Task): ManagementOutcome {
  const { call, host } = task;
  const canister = controlledCanister(task, principalOf(decode('canister_id', call.arg).canister_id));
  canister.version += 1n;
  if (canister.status.kind === 'stopped') {
    host.changed(canister.id);
    return reply(encodeNothing());
  }
  const deadline = host.state.time + host.limits.stopCanisterTimeoutNanos;
  const earlier = canister.status.kind === 'stopping' ? canister.status.waiting : [];
  canister.status = { kind: 'stopping', waiting: [...earlier, { managementCallId: call.id, deadline }] };
  call.progress = { kind: 'stop', canisterKey: canister.id.key, deadline, outcome: 'waiting' } satisfies StopProgress;
  host.changed(canister.id);
  settleStopping(host, canister);
  return stopOutcome(task, canister, call.progress as StopProgress);
}

function stopOutcome(task: Task, canister: CanisterState, progress: StopProgress): ManagementOutcome {
  const { call, host } = task;
  if (progress.outcome === 'stopped') return reply(encodeNothing());
  if (progress.outcome === 'cancelled') return reject(refusal.stopCancelled(canister.id).userError);
  if (host.state.time < progress.deadline) return { kind: 'pending', wakeAt: progress.deadline };
  if (canister.status.kind === 'stopping')
    canister.status = {
      kind: 'stopping',
      waiting: canister.status.waiting.filter(({ managementCallId }) => managementCallId !== call.id),
    };
  host.changed(canister.id);
  return reject(refusal.stopTimedOut().userError);
}

export function startCanister(task: Task): Uint8Array {
  const canister = controlledCanister(task, principalOf(decode('canister_id', task.call.arg).canister_id));
  release(task.host, canister, 'cancelled');
  canister.status = { kind: 'running' };
  canister.version += 1n;
  task.host.changed(canister.id);
  return encodeNothing();
}

/** @throws Refusal IC0510 unless stopped, IC0203 while responses are on their way, IC0512 for itself */
export function deleteCanister(task: Task): Uint8Array {
  const { call, host } = task;
  const id = principalOf(decode('canister_id', call.arg).canister_id);
  if (call.caller.equals(id)) throw refusal.deleteSelf(id);
  const canister = controlledCanister(task, id);
  if (canister.status.kind !== 'stopped') throw refusal.deleteNotStopped(id);
  if (canister.input.length > 0 || hasOpenCalls(canister)) throw refusal.deleteQueueNotEmpty(id);
  burn(host.state, canister.balance + canister.reservedBalance);
  host.state.canisters.delete(id.key);
  releaseModules(host.state, ...modulesOf(canister));
  host.sandbox.evict(id);
  host.changed(id, 'all');
  return encodeNothing();
}

// --- settings and code --------------------------------------------------------------------------------------------

export function updateSettings(task: Task): Uint8Array {
  const { call, host } = task;
  const args = decode('update_settings', call.arg);
  const canister = controlledCanister(task, principalOf(args.canister_id));
  const change = readSettings(args.settings, host.limits);
  checkSettings(host, canister.settings, change, {
    balance: canister.balance,
    reservedBalance: canister.reservedBalance,
    memoryBytes: host.memoryUse(canister).total,
  });
  canister.settings = { ...canister.settings, ...change };
  canister.version += 1n;
  if (change.controllers !== undefined)
    recordChange(
      task,
      canister,
      { kind: 'controllers_change', controllers: change.controllers },
      given(args.sender_canister_version),
    );
  host.changed(canister.id);
  return encodeNothing();
}

export function uninstallCode(task: Task): Uint8Array {
  const args = decode('uninstall_code', task.call.arg);
  const canister = controlledCanister(task, principalOf(args.canister_id));
  empty(task, canister, given(args.sender_canister_version));
  return encodeNothing();
}

/** Takes code, memories, chunks and logs from a canister; who waits for its answers is rejected. */
export function empty(task: Task, canister: CanisterState, senderVersion: bigint | undefined): void {
  dropCode(task.host, canister);
  recordChange(task, canister, { kind: 'code_uninstall' }, senderVersion);
  announceDrop(task.host, canister);
}

/** A canister that cannot pay any more: emptied, without history, allocations and snapshots. */
export function exhaust(host: ManagementHost, canister: CanisterState): void {
  const modules = modulesOf(canister);
  dropCode(host, canister);
  // The specification keeps their number: the canister was changed, although nobody can be named.
  canister.history.length = 0;
  canister.snapshots.clear();
  releaseModules(host.state, ...modules);
  canister.settings = { ...canister.settings, computeAllocation: 0n, memoryAllocation: 0n };
  announceDrop(host, canister);
}

function dropCode(host: ManagementHost, canister: CanisterState): void {
  const module = canister.code?.moduleHash;
  canister.code = undefined;
  releaseModules(host.state, module);
  canister.heap = new PageMap();
  canister.stable = new PageMap();
  canister.wasmState = undefined;
  canister.generation += 1;
  canister.certifiedData = new Uint8Array();
  canister.chunkStore.clear();
  canister.logs.length = 0;
  canister.globalTimer = 0n;
  canister.lowMemoryHook = 'condition_not_satisfied';
  canister.version += 1n;
}

function announceDrop(host: ManagementHost, canister: CanisterState): void {
  host.rejectOpenCalls(canister, refusal.uninstalled().userError);
  host.sandbox.evict(canister.id);
  host.changed(canister.id, 'all');
}

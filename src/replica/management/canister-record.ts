import type { Cycles, Principal, Time } from '../../model/index.ts';
import type { ManagementCall, SubnetState } from '../../state/index.ts';
import {
  type CanisterChange,
  type CanisterCode,
  type CanisterSettings,
  type CanisterState,
  PageMap,
} from '../../state/index.ts';
import type { ManagementHost } from './contract.ts';
import * as refusal from './refusal.ts';
import { isController } from './settings.ts';
import { settleStopping } from './stopping.ts';

/** A call to the management canister in execution, and what the round lends to it. */
export interface Task {
  readonly call: ManagementCall;
  readonly host: ManagementHost;
}

/** A new canister: empty, running, version 0. */
export function emptyCanister(id: Principal, now: Time, settings: CanisterSettings, balance: Cycles): CanisterState {
  return {
    id,
    version: 0n,
    createdAt: now,
    settings,
    status: { kind: 'running' },
    balance,
    reservedBalance: 0n,
    code: undefined,
    heap: new PageMap(),
    stable: new PageMap(),
    wasmState: undefined,
    generation: 0,
    certifiedData: new Uint8Array(),
    globalTimer: 0n,
    lastHeartbeat: 0n,
    lowMemoryHook: 'condition_not_satisfied',
    input: [],
    callContexts: new Map(),
    callbacks: new Map(),
    outstanding: new Map(),
    paused: undefined,
    history: [],
    totalChanges: 0n,
    chunkStore: new Map(),
    logs: [],
    nextLogIndex: 0n,
    snapshots: new Map(),
    queryStats: { calls: 0n, instructions: 0n, requestBytes: 0n, responseBytes: 0n },
    installDebit: 0n,
  };
}

/** @throws Refusal IC0301 */
export function canisterOf(task: Task, id: Principal): CanisterState {
  const canister = task.host.state.canisters.get(id.key);
  if (canister === undefined) throw refusal.canisterNotFound(id);
  settleStopping(task.host, canister);
  return canister;
}

/** @throws Refusal IC0301, IC0512 */
export function controlledCanister(task: Task, id: Principal): CanisterState {
  const canister = canisterOf(task, id);
  requireController(task, canister);
  return canister;
}

/** For methods that a canister may also use on itself. @throws Refusal IC0301, IC0512 */
export function controlledOrOwnCanister(task: Task, id: Principal): CanisterState {
  const canister = canisterOf(task, id);
  if (!task.call.caller.equals(id)) requireController(task, canister);
  return canister;
}

/** @throws Refusal IC0512 */
export function requireController(task: Task, canister: CanisterState): void {
  const { caller } = task.call;
  if (!isController(canister, caller)) throw refusal.notAController(canister.id, canister.settings.controllers, caller);
}

/** Records a change, made by the caller of `task`, under the canister's present version. */
export function recordChange(
  task: Task,
  canister: CanisterState,
  details: CanisterChange['details'],
  senderVersion: bigint | undefined,
): void {
  const { call, host } = task;
  canister.history.push({
    time: host.state.time,
    version: canister.version,
    origin:
      call.origin.kind === 'ingress'
        ? { kind: 'from_user', userId: call.caller }
        : { kind: 'from_canister', canisterId: call.caller, canisterVersion: senderVersion },
    details,
  });
  canister.totalChanges += 1n;
  while (canister.history.length > host.limits.canisterHistoryEntries) canister.history.shift();
}

/** Takes cycles out of existence: a fee, a deleted balance. */
export function burn(state: SubnetState, cycles: Cycles): void {
  state.cyclesBurned += cycles;
}

/** Makes cycles out of nothing: provisional methods only. */
export function mint(state: SubnetState, cycles: Cycles): void {
  state.cyclesMinted += cycles;
}

/** What the canister pays for work done on it: all of its balance at most. */
export function charge(host: ManagementHost, canister: CanisterState, fee: Cycles): void {
  const paid = fee < canister.balance ? fee : canister.balance;
  canister.balance -= paid;
  burn(host.state, paid);
}

/** Forgets the bytes of modules that no canister runs and no snapshot holds any more. */
export function releaseModules(state: SubnetState, ...hashes: readonly (string | undefined)[]): void {
  const unused = new Set(hashes.filter((hash) => hash !== undefined));
  if (unused.size === 0) return;
  for (const canister of state.canisters.values())
    for (const hash of modulesOf(canister)) if (hash !== undefined) unused.delete(hash);
  for (const hash of unused) state.modules.delete(hash);
}

/** Hashes of the modules that a canister and its snapshots need. */
export function modulesOf(canister: CanisterState): (string | undefined)[] {
  const snapshots = [...canister.snapshots.values()] as readonly { readonly code: CanisterCode }[];
  return [canister.code?.moduleHash, ...snapshots.map(({ code }) => code.moduleHash)];
}

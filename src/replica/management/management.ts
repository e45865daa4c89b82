import { ErrorCode, type Ingress, type Principal, type Response, rejectOf } from '../../model/index.ts';
import type { CanisterState, ManagementCall } from '../../state/index.ts';
import { admit, METHODS, targetOf } from './admission.ts';
import { fetchCanisterLogs } from './canister-logs.ts';
import type { Task } from './canister-record.ts';
import { canisterInfo, canisterMetadata, canisterStatus, encodeInfo, encodeStatus } from './canister-status.ts';
import { clearChunkStore, storedChunks, uploadChunk } from './chunk-store.ts';
import type { Management, ManagementHost, ManagementOutcome, ManagementQuery } from './contract.ts';
import { Installations } from './installation.ts';
import { decode, PayloadRefused, principalOf, type WirePrincipal } from './interface.ts';
import {
  createCanister,
  deleteCanister,
  depositCycles,
  exhaust,
  provisionalCreateCanister,
  provisionalTopUp,
  startCanister,
  stopCanister,
  uninstallCode,
  updateSettings,
} from './life-cycle.ts';
import { reject, reply } from './outcome.ts';
import * as refusal from './refusal.ts';
import { mayView } from './settings.ts';
import {
  deleteSnapshot,
  listSnapshots,
  loadSnapshot,
  readSnapshotData,
  readSnapshotMetadata,
  takeSnapshot,
} from './snapshots.ts';
import { nodeMetricsHistory, rawRand, subnetInfo, subnetMetrics } from './subnet.ts';

/** Methods that answer at once; a Refusal or PayloadRefused is their reject. */
const IMMEDIATE: ReadonlyMap<string, (task: Task) => Uint8Array> = new Map([
  ['create_canister', createCanister],
  ['provisional_create_canister_with_cycles', provisionalCreateCanister],
  ['provisional_top_up_canister', provisionalTopUp],
  ['update_settings', updateSettings],
  ['upload_chunk', uploadChunk],
  ['clear_chunk_store', clearChunkStore],
  ['stored_chunks', storedChunks],
  ['uninstall_code', uninstallCode],
  ['start_canister', startCanister],
  ['delete_canister', deleteCanister],
  ['canister_status', canisterStatus],
  ['canister_info', canisterInfo],
  ['canister_metadata', canisterMetadata],
  ['deposit_cycles', depositCycles],
  ['take_canister_snapshot', takeSnapshot],
  ['load_canister_snapshot', loadSnapshot],
  ['list_canister_snapshots', listSnapshots],
  ['delete_canister_snapshot', deleteSnapshot],
  ['read_canister_snapshot_metadata', readSnapshotMetadata],
  ['read_canister_snapshot_data', readSnapshotData],
  ['node_metrics_history', nodeMetricsHistory],
  ['subnet_info', subnetInfo],
  ['subnet_metrics', subnetMetrics],
]);

/** The management canister of one subnet. Its only state of its own is a cache of live stacks of installations. */
export class ManagementCanister implements Management {
  readonly #installations: Installations = new Installations();
  /** Which call is in the middle of changing a canister, by the canister's key; an index into the pending calls. */
  #occupied: Map<string, bigint> | undefined;

  async execute(call: ManagementCall, host: ManagementHost): Promise<ManagementOutcome> {
    this.#occupied ??= occupiedIn(host.state.managementCalls);
    const outcome = await this.#answer({ call, host });
    if (outcome.kind === 'pending' && outcome.occupies !== undefined) this.#occupied.set(outcome.occupies.key, call.id);
    else for (const [key, id] of this.#occupied) if (id === call.id) this.#occupied.delete(key);
    return outcome;
  }

  async #answer(task: Task): Promise<ManagementOutcome> {
    try {
      return await this.#dispatch(task);
    } catch (error) {
      if (error instanceof refusal.Refusal || error instanceof PayloadRefused) return reject(error.userError);
      throw error;
    }
  }

  inspect(ingress: Ingress, host: ManagementHost): ReturnType<Management['inspect']> {
    return admit(ingress, host);
  }

  query(query: ManagementQuery, host: ManagementHost): Response {
    try {
      return { kind: 'reply', data: answerQuery(query, host) };
    } catch (error) {
      if (error instanceof refusal.Refusal || error instanceof PayloadRefused)
        return { kind: 'reject', reject: rejectOf(error.userError) };
      throw error;
    }
  }

  outOfCycles(canister: CanisterState, host: ManagementHost): void {
    exhaust(host, canister);
  }

  target(method: string, arg: Uint8Array): Principal | undefined {
    return targetOf(method, arg);
  }

  close(): Promise<void> {
    return this.#installations.close();
  }

  /** Whether another call is in the middle of changing the canister that this one is about. */
  #isHeldBack(call: ManagementCall): boolean {
    if (this.#occupied === undefined || this.#occupied.size === 0) return false;
    const by = this.#occupied.get(targetOf(call.method, call.arg)?.key ?? '');
    return by !== undefined && by !== call.id;
  }

  async #dispatch(task: Task): Promise<ManagementOutcome> {
    const { call } = task;
    const method = METHODS.get(call.method);
    if (method === undefined) throw refusal.noSuchMethod(call.method);
    if (this.#isHeldBack(call)) return { kind: 'pending', wakeAt: 0n };
    if (method.access === 'query') throw refusal.notAccessibleInReplicatedMode(call.method);
    // The door keeps users out of these; a message that was let in before an upgrade may still come this far.
    if (method.access === 'canisters' && call.origin.kind === 'ingress')
      throw refusal.cannotBeCalledByUser(call.method);
    switch (call.method) {
      case 'install_code':
      case 'install_chunked_code':
        return this.#installations.execute(task);
      case 'stop_canister':
        return stopCanister(task);
      case 'raw_rand':
        return rawRand(task);
    }
    const handler = IMMEDIATE.get(call.method);
    if (handler === undefined) throw refusal.notAvailable(call.method);
    return reply(handler(task));
  }
}

function occupiedIn(calls: readonly ManagementCall[]): Map<string, bigint> {
  return new Map(calls.flatMap(({ id, occupies }) => (occupies === undefined ? [] : [[occupies, id]])));
}

function answerQuery(query: ManagementQuery, host: ManagementHost): Uint8Array {
  const { method, arg, sender } = query;
  switch (method) {
    case 'fetch_canister_logs':
      return fetchCanisterLogs(host, sender, arg);
    case 'canister_info': {
      // For canisters, from composite queries.
      if (!host.state.canisters.has(sender.key)) throw refusal.onlyCanistersCanCall(method);
      const args = decode('canister_info', arg);
      return encodeInfo(queriedCanister(host, args.canister_id), args);
    }
    case 'canister_status': {
      const canister = queriedCanister(host, decode('canister_id', arg).canister_id);
      const { id } = canister;
      if (!sender.equals(id) && !mayView(canister, canister.settings.statusVisibility, sender))
        throw refusal.onlyControllersCanCall(id, method);
      return encodeStatus(host, canister);
    }
    case 'list_canisters':
      // For subnet administrators; this network has none.
      throw refusal.callerNotAuthorized();
    default:
      throw new refusal.Refusal(ErrorCode.CanisterMethodNotFound, `Query method ${method} not found.`);
  }
}

function queriedCanister(host: ManagementHost, wire: WirePrincipal): CanisterState {
  const id = principalOf(wire);
  const canister = host.state.canisters.get(id.key);
  if (canister === undefined) throw refusal.canisterNotFoundAtTheDoor(id);
  return canister;
}

import { fromHex } from '../../codec/index.ts';
import { idleCyclesPerDay } from '../../model/index.ts';
import type { CanisterChange, CanisterState, Visibility } from '../../state/index.ts';
import { canisterOf, type Task } from './canister-record.ts';
import type { ManagementHost } from './contract.ts';
import { type Arguments, decode, encode, given, optional, principalOf, wireOf } from './interface.ts';
import * as refusal from './refusal.ts';
import { isController, mayView } from './settings.ts';

/** What can be asked about a canister: status, history, metadata. */

/** @throws Refusal IC0301, IC0512 for whom the status is not visible to */
export function canisterStatus(task: Task): Uint8Array {
  const { call, host } = task;
  const canister = canisterOf(task, principalOf(decode('canister_id', call.arg).canister_id));
  if (!call.caller.equals(canister.id) && !mayView(canister, canister.settings.statusVisibility, call.caller))
    throw refusal.notAController(canister.id, canister.settings.controllers, call.caller);
  return encodeStatus(host, canister);
}

/** The record of `canister_status`, with every field that clients of any age ask for. */
export function encodeStatus(host: ManagementHost, canister: CanisterState): Uint8Array {
  const use = host.memoryUse(canister);
  const { settings, queryStats } = canister;
  return encode('canister_status', {
    status: { [canister.status.kind]: null },
    ready_for_migration: canister.status.kind === 'stopped' && canister.input.length === 0,
    version: canister.version,
    settings: {
      controllers: settings.controllers.map(wireOf),
      compute_allocation: settings.computeAllocation,
      memory_allocation: settings.memoryAllocation,
      freezing_threshold: settings.freezingThresholdSeconds,
      reserved_cycles_limit: settings.reservedCyclesLimit,
      minimum_incoming_canister_call_cycles: settings.minimumIncomingCanisterCallCycles,
      log_visibility: wireVisibility(settings.logVisibility),
      log_memory_limit: settings.logMemoryLimit,
      snapshot_visibility: wireVisibility(settings.snapshotVisibility),
      status_visibility: wireVisibility(settings.statusVisibility),
      wasm_memory_limit: settings.wasmMemoryLimit,
      wasm_memory_threshold: settings.wasmMemoryThreshold,
      environment_variables: settings.environmentVariables,
    },
    module_hash: moduleHash(canister),
    memory_size: use.total,
    memory_metrics: {
      wasm_memory_size: use.heap,
      stable_memory_size: use.stable,
      global_memory_size: use.globals,
      wasm_binary_size: use.binary,
      custom_sections_size: use.customSections,
      canister_history_size: use.history,
      wasm_chunk_store_size: use.chunkStore,
      snapshots_size: use.snapshots,
      log_memory_store_size: use.logs,
    },
    cycles: canister.balance,
    reserved_cycles: canister.reservedBalance,
    idle_cycles_burned_per_day: idleCyclesPerDay(host.fees, host.idleUse(canister)),
    query_stats: {
      num_calls_total: queryStats.calls,
      num_instructions_total: queryStats.instructions,
      request_payload_bytes_total: queryStats.requestBytes,
      response_payload_bytes_total: queryStats.responseBytes,
    },
  });
}

/** For canisters only; each may ask about each. */
export function canisterInfo(task: Task): Uint8Array {
  const args = decode('canister_info', task.call.arg);
  return encodeInfo(canisterOf(task, principalOf(args.canister_id)), args);
}

export function encodeInfo(canister: CanisterState, args: Arguments['canister_info']): Uint8Array {
  const requested = given(args.num_requested_changes) ?? 0n;
  const { length } = canister.history;
  const count = requested < BigInt(length) ? Number(requested) : length;
  return encode('canister_info', {
    total_num_changes: canister.totalChanges,
    recent_changes: canister.history.slice(length - count).map(wireChange),
    module_hash: moduleHash(canister),
    controllers: canister.settings.controllers.map(wireOf),
  });
}

/** For canisters only; private sections for controllers. @throws Refusal IC0406 when there is no such section */
export function canisterMetadata(task: Task): Uint8Array {
  const { call } = task;
  const args = decode('canister_metadata', call.arg);
  const canister = canisterOf(task, principalOf(args.canister_id));
  if (canister.code === undefined) throw refusal.metadataNoModule(canister.id);
  const section = canister.code.customSections.find(({ name }) => name === args.name);
  if (section === undefined || (section.visibility === 'private' && !isController(canister, call.caller)))
    throw refusal.metadataNotFound(canister.id, args.name);
  return encode('canister_metadata', { value: section.content });
}

function moduleHash(canister: CanisterState): readonly [] | readonly [Uint8Array] {
  return canister.code === undefined ? [] : [fromHex(canister.code.moduleHash)];
}

function wireVisibility(visibility: Visibility): unknown {
  return visibility.kind === 'allowed_viewers'
    ? { allowed_viewers: visibility.viewers.map(wireOf) }
    : { [visibility.kind]: null };
}

function wireChange(change: CanisterChange): unknown {
  const { origin } = change;
  return {
    timestamp_nanos: change.time,
    canister_version: change.version,
    origin:
      origin.kind === 'from_user'
        ? { from_user: { user_id: wireOf(origin.userId) } }
        : {
            from_canister: {
              canister_id: wireOf(origin.canisterId),
              canister_version: optional(origin.canisterVersion),
            },
          },
    details: wireDetails(change.details),
  };
}

function wireDetails(details: CanisterChange['details']): unknown {
  switch (details.kind) {
    case 'creation':
      return {
        creation: {
          controllers: details.controllers.map(wireOf),
          environment_variables_hash: optional(details.environmentVariablesHash),
        },
      };
    case 'code_uninstall':
      return { code_uninstall: null };
    case 'code_deployment':
      return { code_deployment: { mode: { [details.mode]: null }, module_hash: fromHex(details.moduleHash) } };
    case 'load_snapshot':
      return {
        load_snapshot: {
          from_canister_id: optional(details.fromCanisterId === undefined ? undefined : wireOf(details.fromCanisterId)),
          snapshot_id: details.snapshotId,
          canister_version: details.version,
          taken_at_timestamp: details.takenAt,
          source: { taken_from_canister: null },
        },
      };
    case 'controllers_change':
      return { controllers_change: { controllers: details.controllers.map(wireOf) } };
    case 'settings_change':
      return {
        settings_change: {
          controllers: optional(details.controllers?.map(wireOf)),
          environment_variables_hash: optional(details.environmentVariablesHash),
        },
      };
  }
}

import { sha256, toHex } from '../../codec/index.ts';
import {
  type Cycles,
  freezingThresholdCycles,
  instructionsFee,
  PAGE_BYTES,
  Principal,
  type Time,
  WASM_PAGE_BYTES,
} from '../../model/index.ts';
import type { CanisterCode, CanisterState, PageMap } from '../../state/index.ts';
import { canisterOf, charge, controlledCanister, recordChange, releaseModules, type Task } from './canister-record.ts';
import type { ManagementHost } from './contract.ts';
import { type Arguments, decode, encode, encodeNothing, given, principalOf } from './interface.ts';
import { empty } from './life-cycle.ts';
import * as refusal from './refusal.ts';
import { isController, mayView } from './settings.ts';

/**
 * Snapshots: forks of everything that makes a canister's state, kept in the canister. Taking and loading one copies no
 * page. An id is 8 bytes of a number and then the canister's id, so that a snapshot can be found by its id alone.
 */

/** One snapshot in `CanisterState.snapshots`, by the hex of its id. Plain data and page maps. */
interface Snapshot {
  readonly id: Uint8Array;
  readonly takenAt: Time;
  readonly sizeBytes: bigint;
  readonly canisterVersion: bigint;
  /** Its module stays in `SubnetState.modules` as long as the snapshot is there. */
  readonly code: CanisterCode;
  readonly heap: PageMap;
  readonly stable: PageMap;
  readonly wasmState: CanisterState['wasmState'];
  readonly chunkStore: ReadonlyMap<string, Uint8Array>;
  readonly certifiedData: Uint8Array;
  readonly globalTimer: Time;
  readonly lowMemoryHook: CanisterState['lowMemoryHook'];
}

/** Instructions that a snapshot operation costs besides one for each byte: the real network's constant. */
const BASELINE_INSTRUCTIONS = 2_000_000_000n;
const SLICE_BYTES_MAX = 2_000_000n;

/** @throws Refusal IC0406 for an empty canister or too many snapshots, IC0305, IC0532 */
export function takeSnapshot(task: Task): Uint8Array {
  const { call, host } = task;
  const args = decode('take_canister_snapshot', call.arg);
  const canister = controlledCanister(task, principalOf(args.canister_id));
  const replaced = given(args.replace_snapshot);
  const old = replaced === undefined ? undefined : ownSnapshot(host, canister, replaced);
  if (old === undefined && canister.snapshots.size >= host.limits.snapshots)
    throw refusal.snapshotLimit(canister.id, host.limits.snapshots);
  if (canister.code === undefined) throw refusal.snapshotOfEmpty(canister.id);

  const use = host.memoryUse(canister);
  const sizeBytes =
    use.heap + use.stable + use.globals + use.binary + use.chunkStore + BigInt(canister.certifiedData.length);
  const uninstalls = given(args.uninstall_code) === true;
  const freed = uninstalls ? use.total - use.snapshots - use.history : 0n;
  pay(host, canister, BASELINE_INSTRUCTIONS + sizeBytes, sizeBytes - (old?.sizeBytes ?? 0n) - freed);

  const id = new Uint8Array(8 + canister.id.bytes.length);
  new DataView(id.buffer).setBigUint64(0, host.state.nextId);
  host.state.nextId += 1n;
  id.set(canister.id.bytes, 8);
  const snapshot: Snapshot = {
    id,
    takenAt: host.state.time,
    sizeBytes,
    canisterVersion: canister.version,
    code: canister.code,
    heap: canister.heap.fork(),
    stable: canister.stable.fork(),
    wasmState: canister.wasmState,
    chunkStore: new Map(canister.chunkStore),
    certifiedData: canister.certifiedData,
    globalTimer: canister.globalTimer,
    lowMemoryHook: canister.lowMemoryHook,
  };
  if (old !== undefined) remove(host, canister, old);
  canister.snapshots.set(toHex(id), snapshot);
  if (uninstalls) empty(task, canister, given(args.sender_canister_version));
  else host.changed(canister.id);
  return encode('take_canister_snapshot', wireSnapshot(snapshot));
}

/** @throws Refusal IC0305, IC0406 when the caller does not control the canister that it was taken from */
export function loadSnapshot(task: Task): Uint8Array {
  const { call, host } = task;
  const args = decode('load_canister_snapshot', call.arg);
  const canister = controlledCanister(task, principalOf(args.canister_id));
  const source = sourceOf(host, canister, args.snapshot_id);
  const snapshot = source.snapshots.get(toHex(args.snapshot_id)) as Snapshot;
  if (!source.id.equals(canister.id) && !isController(source, call.caller))
    throw refusal.snapshotNotController(call.caller, canister.id, toHex(args.snapshot_id));
  const use = host.memoryUse(canister);
  const kept = use.total - use.snapshots - use.history - use.logs;
  pay(host, canister, BASELINE_INSTRUCTIONS + snapshot.sizeBytes, snapshot.sizeBytes - kept);

  const replaced = canister.code?.moduleHash;
  canister.code = { ...snapshot.code, installedAt: host.state.time };
  releaseModules(host.state, replaced);
  canister.heap = snapshot.heap.fork();
  canister.stable = snapshot.stable.fork();
  canister.wasmState = snapshot.wasmState;
  canister.generation += 1;
  canister.certifiedData = snapshot.certifiedData;
  canister.chunkStore.clear();
  for (const [hash, chunk] of snapshot.chunkStore) canister.chunkStore.set(hash, chunk);
  canister.version += 1n;
  recordChange(
    task,
    canister,
    {
      kind: 'load_snapshot',
      fromCanisterId: source.id.equals(canister.id) ? undefined : source.id,
      version: snapshot.canisterVersion,
      snapshotId: snapshot.id,
      takenAt: snapshot.takenAt,
    },
    given(args.sender_canister_version),
  );
  host.sandbox.evict(canister.id);
  host.changed(canister.id, 'all');
  return encodeNothing();
}

export function listSnapshots(task: Task): Uint8Array {
  const canister = viewedCanister(task, decode('canister_id', task.call.arg).canister_id);
  return encode('list_canister_snapshots', snapshotsOf(canister).map(wireSnapshot));
}

export function deleteSnapshot(task: Task): Uint8Array {
  const args = decode('snapshot', task.call.arg);
  const canister = controlledCanister(task, principalOf(args.canister_id));
  remove(task.host, canister, ownSnapshot(task.host, canister, args.snapshot_id));
  task.host.changed(canister.id);
  return encodeNothing();
}

function remove(host: ManagementHost, canister: CanisterState, snapshot: Snapshot): void {
  canister.snapshots.delete(toHex(snapshot.id));
  releaseModules(host.state, snapshot.code.moduleHash);
}

/** The module as uploaded. */
function moduleOf(host: ManagementHost, snapshot: Snapshot): Uint8Array {
  return host.state.modules.get(snapshot.code.moduleHash) ?? new Uint8Array();
}

export function readSnapshotMetadata(task: Task): Uint8Array {
  const args = decode('snapshot', task.call.arg);
  const canister = viewedCanister(task, args.canister_id);
  const snapshot = ownSnapshot(task.host, canister, args.snapshot_id);
  return encode('read_canister_snapshot_metadata', {
    source: { taken_from_canister: null },
    taken_at_timestamp: snapshot.takenAt,
    wasm_module_size: BigInt(moduleOf(task.host, snapshot).length),
    globals: [],
    wasm_memory_size: memoryBytes(snapshot.heap),
    stable_memory_size: memoryBytes(snapshot.stable),
    wasm_chunk_store: [...snapshot.chunkStore]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, chunk]) => ({ hash: sha256(chunk) })),
    canister_version: snapshot.canisterVersion,
    certified_data: snapshot.certifiedData,
    global_timer: [snapshot.globalTimer === 0n ? { inactive: null } : { active: snapshot.globalTimer }],
    on_low_wasm_memory_hook_status: [{ [snapshot.lowMemoryHook]: null }],
  });
}

/** @throws Refusal IC0408 for a part that is not there or too long, IC0504 for an unknown chunk */
export function readSnapshotData(task: Task): Uint8Array {
  const { call, host } = task;
  const args = decode('read_canister_snapshot_data', call.arg);
  const canister = viewedCanister(task, args.canister_id);
  const snapshot = ownSnapshot(host, canister, args.snapshot_id);
  return encode('read_canister_snapshot_data', { chunk: partOf(snapshot, moduleOf(host, snapshot), args.kind) });
}

type Kind = Arguments['read_canister_snapshot_data']['kind'];

function partOf(snapshot: Snapshot, module: Uint8Array, kind: Kind): Uint8Array {
  if ('wasm_chunk' in kind) {
    const hash = toHex(kind.wasm_chunk.hash);
    const chunk = snapshot.chunkStore.get(hash);
    if (chunk === undefined) throw refusal.chunkStore(`WasmChunkHash ${hash} not found`);
    return chunk;
  }
  if ('wasm_module' in kind) {
    const { offset, size } = checkedSlice(kind.wasm_module, BigInt(module.length));
    return module.slice(offset, offset + size);
  }
  const memory = 'wasm_memory' in kind ? snapshot.heap : snapshot.stable;
  const { offset, size } = checkedSlice(
    'wasm_memory' in kind ? kind.wasm_memory : kind.stable_memory,
    memoryBytes(memory),
  );
  return readMemory(memory, offset, size);
}

function checkedSlice(
  slice: { readonly offset: bigint; readonly size: bigint },
  length: bigint,
): { readonly offset: number; readonly size: number } {
  if (slice.size > SLICE_BYTES_MAX) throw refusal.sliceTooLarge(slice.size, SLICE_BYTES_MAX);
  if (slice.offset + slice.size > length) throw refusal.sliceInvalid(slice.offset, slice.size);
  return { offset: Number(slice.offset), size: Number(slice.size) };
}

function readMemory(memory: PageMap, offset: number, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const page = Math.floor((offset + at) / PAGE_BYTES);
    const within = (offset + at) % PAGE_BYTES;
    const length = Math.min(PAGE_BYTES - within, size - at);
    const bytes = memory.view(page);
    if (bytes !== undefined) out.set(bytes.subarray(within, within + length), at);
    at += length;
  }
  return out;
}

function viewedCanister(task: Task, wire: { toUint8Array(): Uint8Array }): CanisterState {
  const canister = canisterOf(task, principalOf(wire));
  if (!mayView(canister, canister.settings.snapshotVisibility, task.call.caller))
    throw refusal.notAController(canister.id, canister.settings.controllers, task.call.caller);
  return canister;
}

/** By id, which is the order in which they were taken. */
function snapshotsOf(canister: CanisterState): Snapshot[] {
  return [...canister.snapshots].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, snapshot]) => snapshot as Snapshot);
}

/** @throws Refusal IC0305 unknown, IC0406 of another canister */
function ownSnapshot(host: ManagementHost, canister: CanisterState, id: Uint8Array): Snapshot {
  const source = sourceOf(host, canister, id);
  if (!source.id.equals(canister.id)) throw refusal.snapshotOfAnother(canister.id, toHex(id));
  return source.snapshots.get(toHex(id)) as Snapshot;
}

/** The canister that has the snapshot. @throws Refusal IC0305 */
function sourceOf(host: ManagementHost, canister: CanisterState, id: Uint8Array): CanisterState {
  const key = toHex(id);
  if (id.length <= 8 || id.length > 37) throw refusal.snapshotNotFound(canister.id, key);
  const source = host.state.canisters.get(Principal.fromBytes(id.subarray(8)).key);
  if (source === undefined || !source.snapshots.has(key)) throw refusal.snapshotNotFound(canister.id, key);
  return source;
}

/** Charges the work and makes sure that the canister is not frozen with so many bytes more. @throws Refusal IC0532, IC0101 */
function pay(host: ManagementHost, canister: CanisterState, instructions: bigint, moreBytes: bigint): void {
  const grown = moreBytes > 0n ? moreBytes : 0n;
  const free = host.limits.subnetMemoryBytes - host.subnetMemoryUse();
  if (grown > free) throw refusal.memoryOversubscribed(grown, free);
  const fee: Cycles = instructionsFee(host.fees, instructions, false);
  const use = host.idleUse(canister);
  const threshold = freezingThresholdCycles(host.fees, {
    ...use,
    memoryBytes: use.memoryBytes + moreBytes,
    freezingThresholdSeconds: canister.settings.freezingThresholdSeconds,
    reservedBalance: canister.reservedBalance,
  });
  if (canister.balance < threshold + fee) throw refusal.noCyclesToGrow(grown, threshold + fee - canister.balance);
  charge(host, canister, fee);
}

function memoryBytes(memory: PageMap): bigint {
  return BigInt(memory.wasmPages) * BigInt(WASM_PAGE_BYTES);
}

function wireSnapshot(snapshot: Snapshot): unknown {
  return { id: snapshot.id, taken_at_timestamp: snapshot.takenAt, total_size: snapshot.sizeBytes };
}

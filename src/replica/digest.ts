import { encodeState, sha256 } from '../codec/index.ts';
import { PAGE_BYTES, type PageStore, Principal } from '../model/index.ts';
import type { Callback, CallContext, CanisterState, Origin } from '../state/index.ts';
import { DigestWriter } from './digest-writer.ts';
import type { PageChanges, Round } from './round.ts';

/**
 * Digests that make two executions comparable (ARCHITECTURE section 2, 3).
 *
 *   canister digest = H(everything of the canister but its memories, H(heap), H(stable memory))
 *   H(memory)       = H(size u32, (index u32, SHA-256 of the page)*)      changed pages, ascending
 *   round digest    = H((id, canister digest)* ascending, what the subnet itself keeps)
 *   state hash      = H(state hash before, round digest, certified root)
 *
 * A digest covers what a round may have changed; that the rest is equal follows from the rounds before.
 */
const ZERO_PAGE = new Uint8Array(PAGE_BYTES);
const NOTHING = new Uint8Array(0);

/** The digest of every canister that the round changed, by key, ascending. A canister that is gone has an empty one. */
export function canisterDigests(round: Round): (readonly [string, Uint8Array])[] {
  return [...round.changed.keys()].sort().map((key) => {
    const canister = round.state.canisters.get(key);
    const changes = round.changed.get(key);
    return [key, canister === undefined || changes === undefined ? NOTHING : digestOf(canister, changes)] as const;
  });
}

export function roundDigest(round: Round, canisters: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const { state } = round;
  const out = new DigestWriter();
  out.count(canisters.length);
  for (const [key, digest] of canisters) out.bytes(Principal.fromKey(key).bytes).bytes(digest);
  out
    .count(state.height)
    .integer(state.time)
    .count(state.protocolVersion)
    .count(state.registryVersion)
    .integer(state.nextCanisterNumber)
    .integer(state.nextId)
    .bytes(state.randomness)
    .integer(state.lastChargeTime)
    .integer(state.cyclesMinted)
    .integer(state.cyclesBurned)
    .text(state.scheduleCursor ?? '')
    .count(state.managementCalls.length);
  for (const call of state.managementCalls)
    out.bytes(digestOnce(call.arg, () => sha256(call.arg))).bytes(encodeState({ ...call, arg: undefined }));
  return out.digest();
}

export function nextStateHash(before: Uint8Array, digest: Uint8Array, certifiedRoot: Uint8Array): Uint8Array {
  return sha256(before, digest, certifiedRoot);
}

const writer = new DigestWriter();

function digestOf(canister: CanisterState, changes: PageChanges): Uint8Array {
  const heap = pagesDigest(canister.heap, changes.heap);
  const stable = pagesDigest(canister.stable, changes.stable);
  const { code, wasmState, status, paused, history } = canister;
  const out = writer.clear().bytes(heap).bytes(stable);
  out
    .integer(canister.version)
    .integer(canister.createdAt)
    .integer(canister.balance)
    .integer(canister.reservedBalance)
    .integer(canister.globalTimer)
    .integer(canister.lastHeartbeat)
    .integer(canister.totalChanges)
    .integer(canister.nextLogIndex)
    .integer(canister.installDebit)
    .count(canister.generation)
    .bytes(canister.certifiedData)
    .text(canister.lowMemoryHook)
    .bytes(plainDigest(canister.settings))
    .bytes(code === undefined ? NOTHING : plainDigest(code))
    .bytes(wasmState?.globals ?? NOTHING)
    .bytes(wasmState?.droppedSegments ?? NOTHING)
    .count(wasmState?.tables.length ?? 0);
  for (const table of wasmState?.tables ?? []) out.bytes(bytesDigest(table));
  out.text(status.kind);
  if (status.kind === 'stopping')
    for (const { managementCallId, deadline } of status.waiting) out.integer(managementCallId).integer(deadline);
  out.count(canister.input.length);
  for (const input of canister.input) out.bytes(plainDigest(input));
  writeContexts(out, canister);
  out.count(paused === undefined ? 0 : 1);
  if (paused !== undefined) out.bytes(plainDigest(paused.input)).bytes(encodeState({ ...paused, input: undefined }));
  const lastChange = history.at(-1);
  out.bytes(lastChange === undefined ? NOTHING : plainDigest(lastChange)).count(canister.logs.length);
  for (const record of canister.logs) out.bytes(plainDigest(record));
  for (const hash of [...canister.chunkStore.keys()].sort()) out.text(hash);
  for (const id of [...canister.snapshots.keys()].sort()) out.text(id);
  return out.digest();
}

function writeContexts(out: DigestWriter, canister: CanisterState): void {
  const byId = (a: { readonly id: bigint }, b: { readonly id: bigint }): number => (a.id < b.id ? -1 : 1);
  const contexts = [...canister.callContexts.values()].sort(byId);
  out.count(contexts.length);
  for (const context of contexts) writeContext(out, context);
  const callbacks = [...canister.callbacks.values()].sort(byId);
  out.count(callbacks.length);
  for (const callback of callbacks) writeCallback(out, callback);
}

function writeContext(out: DigestWriter, context: CallContext): void {
  out
    .integer(context.id)
    .text(context.method)
    .integer(context.deadline)
    .count((context.responded ? 1 : 0) + (context.deleted ? 2 : 0))
    .integer(context.cyclesAvailable)
    .count(context.openCallbacks)
    .integer(context.instructions);
  writeOrigin(out, context.origin);
}

function writeOrigin(out: DigestWriter, origin: Origin): void {
  out.text(origin.kind);
  if (origin.kind === 'ingress') out.text(origin.requestId).bytes(origin.sender.bytes);
  if (origin.kind === 'canister') out.bytes(origin.canister.bytes).integer(origin.callbackId).integer(origin.deadline);
}

function writeCallback(out: DigestWriter, callback: Callback): void {
  out
    .integer(callback.id)
    .integer(callback.callContextId)
    .bytes(callback.callee.bytes)
    .integer(callback.cyclesSent)
    .integer(callback.prepaid)
    .integer(callback.deadline);
  for (const closure of [callback.onReply, callback.onReject, callback.onCleanup])
    out.integer(closure?.fun ?? 0n).integer(closure?.env ?? 0n);
}

/**
 * Digests of objects that are replaced, never changed in place (settings, code, messages, history and log records), and
 * of tables: they stay for many rounds and are hashed once.
 */
const known: WeakMap<object, Uint8Array> = new WeakMap();

function plainDigest(value: object): Uint8Array {
  return digestOnce(value, () => sha256(encodeState(value)));
}

function bytesDigest(bytes: Uint8Array): Uint8Array {
  return digestOnce(bytes, () => sha256(bytes));
}

function digestOnce(value: object, digest: () => Uint8Array): Uint8Array {
  let result = known.get(value);
  if (result === undefined) {
    result = digest();
    known.set(value, result);
  }
  return result;
}

function pagesDigest(store: PageStore, changed: Set<number> | 'all'): Uint8Array {
  const pages = changed === 'all' ? [...store.pages()] : [...changed].sort((a, b) => a - b);
  const bytes = new Uint8Array(4 + 36 * pages.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, store.wasmPages);
  let at = 4;
  for (const page of pages) {
    view.setUint32(at, page);
    bytes.set(sha256(store.view(page) ?? ZERO_PAGE), at + 4);
    at += 36;
  }
  return sha256(bytes);
}

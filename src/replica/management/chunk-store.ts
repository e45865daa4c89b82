import { concatBytes, equalBytes, sha256, toHex } from '../../codec/index.ts';
import { type Cycles, freezingThresholdCycles, instructionsFee, type Principal } from '../../model/index.ts';
import type { CanisterState } from '../../state/index.ts';
import { canisterOf, charge, controlledOrOwnCanister, requireController, type Task } from './canister-record.ts';
import { decode, encode, encodeNothing, principalOf } from './interface.ts';
import * as refusal from './refusal.ts';

/** The chunk store of a canister: pieces of modules too large for one message, by hash. */

/** What storing a chunk costs, in instructions: the real network's constant. */
const UPLOAD_INSTRUCTIONS = 500_000_000n;

/** @throws Refusal IC0504 for a chunk that is too large, or one too many */
export function uploadChunk(task: Task): Uint8Array {
  const { call, host } = task;
  const { limits } = host;
  const args = decode('upload_chunk', call.arg);
  const canister = controlledOrOwnCanister(task, principalOf(args.canister_id));
  if (args.chunk.length > limits.chunkBytes)
    throw refusal.chunkStore(
      `Wasm chunk size ${args.chunk.length} exceeds the maximum chunk size of ${limits.chunkBytes}`,
    );
  const fee: Cycles = instructionsFee(host.fees, UPLOAD_INSTRUCTIONS, false);
  const threshold = host.freezingThreshold(canister);
  if (canister.balance < threshold + fee)
    throw refusal.chunkStore(
      `Error charging for 'upload_chunk': Canister ${canister.id} is out of cycles: please top up the canister with at least ${threshold + fee - canister.balance} additional cycles`,
    );
  const hash = sha256(args.chunk);
  const key = toHex(hash);
  const isNew = !canister.chunkStore.has(key);
  const refused = isNew ? refusalOfOneMore(task, canister, fee) : undefined;
  // The work of hashing is paid for, whether the chunk is kept or not.
  charge(host, canister, fee);
  if (isNew && refused === undefined) canister.chunkStore.set(key, args.chunk.slice());
  host.changed(canister.id);
  if (refused !== undefined) throw refused;
  return encode('upload_chunk', { hash });
}

/** Why a canister cannot have another chunk: each counts as one of the largest size. */
function refusalOfOneMore(task: Task, canister: CanisterState, fee: Cycles): refusal.Refusal | undefined {
  const { host } = task;
  const { chunkBytes, chunkStoreChunks, subnetMemoryBytes } = host.limits;
  if (canister.chunkStore.size >= chunkStoreChunks)
    return refusal.chunkStore(
      `Wasm chunk store has already reached maximum capacity of ${chunkStoreChunks * chunkBytes} bytes or the maximum number of entries, ${chunkStoreChunks}`,
    );
  const bytes = BigInt(chunkBytes);
  const free = subnetMemoryBytes - host.subnetMemoryUse();
  if (bytes > free) return refusal.memoryOversubscribed(bytes, free);
  const use = host.idleUse(canister);
  const threshold = freezingThresholdCycles(host.fees, {
    ...use,
    memoryBytes: use.memoryBytes + bytes,
    freezingThresholdSeconds: canister.settings.freezingThresholdSeconds,
    reservedBalance: canister.reservedBalance,
  });
  const balance = canister.balance - fee;
  return balance < threshold ? refusal.noCyclesToGrow(bytes, threshold - balance) : undefined;
}

export function clearChunkStore(task: Task): Uint8Array {
  const args = decode('canister_id', task.call.arg);
  const canister = controlledOrOwnCanister(task, principalOf(args.canister_id));
  canister.chunkStore.clear();
  task.host.changed(canister.id);
  return encodeNothing();
}

export function storedChunks(task: Task): Uint8Array {
  const args = decode('canister_id', task.call.arg);
  const canister = controlledOrOwnCanister(task, principalOf(args.canister_id));
  const hashes = [...canister.chunkStore].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, chunk]) => sha256(chunk));
  return encode(
    'stored_chunks',
    hashes.map((hash) => ({ hash })),
  );
}

/** The module that chunks of a store make up. @throws Refusal IC0504 when one is missing or the hash differs */
export function joinChunks(
  task: Task,
  storeId: Principal,
  hashes: readonly Uint8Array[],
  moduleHash: Uint8Array,
): Uint8Array {
  const { limits } = task.host;
  const store = canisterOf(task, storeId);
  if (!task.call.caller.equals(storeId)) requireController(task, store);
  if (hashes.length > limits.chunkStoreChunks)
    throw refusal.chunkStore(
      `Number of chunks ${hashes.length} exceeds the maximum number of chunks ${limits.chunkStoreChunks}`,
    );
  const chunks = hashes.map((hash) => {
    const chunk = store.chunkStore.get(toHex(hash));
    if (chunk === undefined) throw refusal.chunkStore(`Chunk hash ${toHex(hash)} was not found`);
    return chunk;
  });
  const module = concatBytes(...chunks);
  const actual = sha256(module);
  if (!equalBytes(actual, moduleHash))
    throw refusal.chunkStore(`Wasm module hash ${toHex(actual)} does not match given hash ${toHex(moduleHash)}`);
  return module;
}

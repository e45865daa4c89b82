import {
  type Cycles,
  type FeeContext,
  freezingThresholdCycles,
  type IdleUse,
  idleCyclesPerDay,
  type Time,
  WASM_PAGE_BYTES,
} from '../model/index.ts';
import type { CanisterState, SubnetState } from '../state/index.ts';
import type { MemoryUse } from './management/index.ts';

const BYTES_PER_WASM_PAGE = BigInt(WASM_PAGE_BYTES);
/** What an entry of the canister's history is counted as, besides its controllers. */
const HISTORY_ENTRY_BYTES = 100n;
const PRINCIPAL_BYTES = 29n;
/** What a chunk of a module counts as, however short it is (management canister, `upload_chunk`). */
const CHUNK_BYTES = 1n << 20n;
const SECONDS_PER_DAY = 86_400n;
const NANOS_PER_SECOND = 1_000_000_000n;

/** Which prices apply on a subnet: system subnets run free, as on the real network. */
export function feesOf(state: SubnetState): FeeContext {
  const { subnetType, costSchedule, feeSubnetSize } = state.network;
  return {
    subnetSize: feeSubnetSize,
    costSchedule: subnetType === 'system' ? 'free' : costSchedule,
  };
}

/** Bytes that a canister uses, by part. */
export function memoryUseOf(state: SubnetState, canister: CanisterState): MemoryUse {
  const heap = BigInt(canister.heap.wasmPages) * BYTES_PER_WASM_PAGE;
  const stable = BigInt(canister.stable.wasmPages) * BYTES_PER_WASM_PAGE;
  const globals = BigInt(canister.wasmState?.globals.length ?? 0);
  const code = canister.code;
  const binary = code === undefined ? 0n : BigInt(state.modules.get(code.moduleHash)?.length ?? 0);
  let customSections = 0n;
  for (const section of code?.customSections ?? [])
    customSections += BigInt(section.name.length + section.content.length);
  let history = 0n;
  for (const change of canister.history) {
    history += HISTORY_ENTRY_BYTES;
    if ('controllers' in change.details) history += PRINCIPAL_BYTES * BigInt(change.details.controllers?.length ?? 0);
  }
  const chunkStore = BigInt(canister.chunkStore.size) * CHUNK_BYTES;
  let logs = 0n;
  for (const record of canister.logs) logs += BigInt(record.content.length);
  let snapshots = 0n;
  for (const snapshot of canister.snapshots.values()) {
    const { sizeBytes } = snapshot as { readonly sizeBytes?: bigint };
    snapshots += sizeBytes ?? 0n;
  }
  const total = heap + stable + globals + binary + customSections + history + chunkStore + logs + snapshots;
  return { heap, stable, globals, binary, customSections, history, chunkStore, snapshots, logs, total };
}

export function idleUseOf(state: SubnetState, canister: CanisterState): IdleUse {
  return {
    memoryBytes: memoryUseOf(state, canister).total,
    memoryAllocation: canister.settings.memoryAllocation,
    computeAllocation: canister.settings.computeAllocation,
  };
}

/** Balance below which the canister is frozen. @param moreBytes memory about to be added. */
export function freezingThresholdOf(state: SubnetState, canister: CanisterState, moreBytes = 0n): Cycles {
  const use = idleUseOf(state, canister);
  return freezingThresholdCycles(feesOf(state), {
    ...use,
    memoryBytes: use.memoryBytes + moreBytes,
    freezingThresholdSeconds: canister.settings.freezingThresholdSeconds,
    reservedBalance: canister.reservedBalance,
  });
}

/** When the balance will be used up by memory and allocations alone; undefined when they cost nothing. */
export function exhaustionOf(state: SubnetState, canister: CanisterState): Time | undefined {
  const perDay = idleCyclesPerDay(feesOf(state), idleUseOf(state, canister));
  if (perDay === 0n) return undefined;
  const seconds = ((canister.balance + canister.reservedBalance) * SECONDS_PER_DAY) / perDay;
  return state.lastChargeTime + (seconds + 1n) * NANOS_PER_SECOND;
}

/** Memory that counts against the subnet's capacity: what is used or what is guaranteed, the larger. */
export function countedMemory(state: SubnetState, canister: CanisterState): bigint {
  const used = memoryUseOf(state, canister).total;
  const allocated = canister.settings.memoryAllocation;
  return largest(used, allocated);
}

/** `Math.max` of bigints. */
export function largest(a: bigint, b: bigint): bigint {
  return a < b ? b : a;
}

/** `Math.min` of bigints. */
export function smallest(a: bigint, b: bigint): bigint {
  return b < a ? b : a;
}

/** Total of `countedMemory` over a subnet, kept up to date canister by canister. */
export class SubnetMemory {
  readonly #bytes: Map<string, bigint> = new Map();
  #total = 0n;

  get total(): bigint {
    return this.#total;
  }

  update(key: string, bytes: bigint): void {
    this.#total += bytes - (this.#bytes.get(key) ?? 0n);
    if (bytes === 0n) this.#bytes.delete(key);
    else this.#bytes.set(key, bytes);
  }
}

import { compareBytes, hashOfMap, utf8 } from '../../codec/index.ts';
import {
  type Cycles,
  comparePrincipals,
  freezingThresholdCycles,
  type Limits,
  type Principal,
} from '../../model/index.ts';
import type { CanisterSettings, CanisterState, SubnetState, Visibility } from '../../state/index.ts';
import type { ManagementHost } from './contract.ts';
import { given, PayloadRefused, principalOf, type WireSettings, type WireVisibility } from './interface.ts';
import * as refusal from './refusal.ts';

/** Per cent of one core that canisters of a subnet may be allocated together: three cores, less one per cent. */
const COMPUTE_CAPACITY = 299n;
const VIEWERS_MAX = 10;
const LOG_MEMORY_MAX_BYTES = 2n << 20n;
const DEFAULT_FREEZING_THRESHOLD_SECONDS = 2_592_000n;
const DEFAULT_RESERVED_CYCLES_LIMIT = 5_000_000_000_000n;

/** A settings record of a call, in our nouns; what is absent stays as it is (or gets its default at creation). */
export type SettingsChange = Partial<CanisterSettings>;

/** The settings of a canister that was created with nothing but its creator. */
export function defaultSettings(creator: Principal, limits: Limits): CanisterSettings {
  return {
    controllers: [creator],
    computeAllocation: 0n,
    memoryAllocation: 0n,
    freezingThresholdSeconds: DEFAULT_FREEZING_THRESHOLD_SECONDS,
    reservedCyclesLimit: DEFAULT_RESERVED_CYCLES_LIMIT,
    minimumIncomingCanisterCallCycles: 0n,
    logVisibility: { kind: 'controllers' },
    snapshotVisibility: { kind: 'controllers' },
    statusVisibility: { kind: 'controllers' },
    wasmMemoryLimit: 0n,
    wasmMemoryThreshold: 0n,
    logMemoryLimit: BigInt(limits.logBytes),
    environmentVariables: [],
  };
}

/**
 * Reads a settings record and checks each field on its own.
 * @throws Refusal (IC0504, IC0408) for a number out of range, too many controllers or variables.
 * @throws PayloadRefused (IC0408) for too many viewers.
 */
export function readSettings(wire: WireSettings, limits: Limits): SettingsChange {
  const change: { -readonly [Key in keyof CanisterSettings]?: CanisterSettings[Key] } = {};

  const compute = given(wire.compute_allocation);
  if (compute !== undefined) {
    if (compute > 100n) throw outOfRange('ComputeAllocation', 'in the range [0..100]', compute);
    change.computeAllocation = compute;
  }
  const memory = given(wire.memory_allocation);
  if (memory !== undefined) {
    if (memory > MAX_64) throw outOfRange('MemoryAllocation', `in the range [0..${MAX_64}]`, memory);
    change.memoryAllocation = memory;
  }
  const freezing = given(wire.freezing_threshold);
  if (freezing !== undefined) {
    if (freezing > MAX_64) throw outOfRange('Freezing threshold', 'in the range of [0..2^64-1]', freezing);
    change.freezingThresholdSeconds = freezing;
  }
  const reserved = given(wire.reserved_cycles_limit);
  if (reserved !== undefined) {
    if (reserved > MAX_128) throw outOfRange('Reserved cycles limit', 'in the range of [0..2^128-1]', reserved);
    change.reservedCyclesLimit = reserved;
  }
  const minimum = given(wire.minimum_incoming_canister_call_cycles);
  if (minimum !== undefined) {
    if (minimum > MAX_128)
      throw outOfRange('Minimum incoming canister call cycles', 'in the range of [0..2^128-1]', minimum);
    change.minimumIncomingCanisterCallCycles = minimum;
  }
  const wasmLimit = given(wire.wasm_memory_limit);
  if (wasmLimit !== undefined) {
    if (wasmLimit > MAX_WASM_MEMORY) throw outOfRange('Wasm memory limit', 'in the range of [0..2^48]', wasmLimit);
    change.wasmMemoryLimit = wasmLimit;
  }
  const threshold = given(wire.wasm_memory_threshold);
  if (threshold !== undefined) {
    if (threshold > MAX_WASM_MEMORY) throw outOfRange('Wasm memory threshold', 'in the range of [0..2^48]', threshold);
    change.wasmMemoryThreshold = threshold;
  }
  const logMemory = given(wire.log_memory_limit);
  if (logMemory !== undefined) {
    if (logMemory > LOG_MEMORY_MAX_BYTES) throw refusal.logMemoryLimitTooHigh(logMemory, LOG_MEMORY_MAX_BYTES);
    change.logMemoryLimit = logMemory;
  }
  const logs = given(wire.log_visibility);
  if (logs !== undefined) change.logVisibility = readVisibility(logs);
  const snapshots = given(wire.snapshot_visibility);
  if (snapshots !== undefined) change.snapshotVisibility = readVisibility(snapshots);
  const status = given(wire.status_visibility);
  if (status !== undefined) change.statusVisibility = readVisibility(status);

  const variables = given(wire.environment_variables);
  if (variables !== undefined) change.environmentVariables = readEnvironmentVariables(variables, limits);

  const controllers = given(wire.controllers);
  if (controllers !== undefined) {
    if (controllers.length > limits.controllers)
      throw refusal.settingsInvalid(
        `Invalid settings: 'controllers' length exceeds maximum size allowed of ${limits.controllers}.`,
      );
    change.controllers = canonical(controllers.map(principalOf));
  }
  return change;
}

/**
 * Whether the subnet and the canister's cycles can bear the new settings.
 * @throws Refusal IC0101, IC0530, IC0531, IC0540
 */
export function checkSettings(
  host: ManagementHost,
  now: CanisterSettings,
  change: SettingsChange,
  canister: { readonly balance: Cycles; readonly reservedBalance: Cycles; readonly memoryBytes: bigint },
): void {
  const next = { ...now, ...change };
  const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

  const oldBytes = larger(now.memoryAllocation, canister.memoryBytes);
  const newBytes = larger(next.memoryAllocation, canister.memoryBytes);
  if (newBytes > oldBytes) {
    const free = larger(host.limits.subnetMemoryBytes - host.subnetMemoryUse(), 0n) + oldBytes;
    if (newBytes > free) throw refusal.memoryOversubscribed(newBytes, free);
  }
  if (next.computeAllocation > now.computeAllocation) {
    const available = larger(COMPUTE_CAPACITY - computeAllocated(host.state), 0n) + now.computeAllocation;
    if (next.computeAllocation > available) throw refusal.computeOversubscribed(next.computeAllocation, available);
  }

  const threshold = freezingThresholdCycles(host.fees, {
    memoryBytes: canister.memoryBytes,
    memoryAllocation: next.memoryAllocation,
    computeAllocation: next.computeAllocation,
    freezingThresholdSeconds: next.freezingThresholdSeconds,
    reservedBalance: canister.reservedBalance,
  });
  if (canister.balance < threshold) {
    // Only a larger allocation is refused: one may freeze a canister on purpose by its threshold.
    if (next.computeAllocation > now.computeAllocation)
      throw refusal.noCyclesForCompute(next.computeAllocation, threshold - canister.balance);
    if (next.memoryAllocation > now.memoryAllocation)
      throw refusal.noCyclesForMemory(next.memoryAllocation, threshold - canister.balance);
  }
  if (canister.reservedBalance > next.reservedCyclesLimit)
    throw refusal.reservedLimitTooLow(next.reservedCyclesLimit, canister.reservedBalance);
}

/** Bytes that are hashed into the history of a creation: the representation-independent hash of the variables. */
export function environmentVariablesHash(variables: CanisterSettings['environmentVariables']): Uint8Array {
  return hashOfMap(new Map(variables.map(({ name, value }) => [name, value])));
}

export function isController(canister: CanisterState, principal: Principal): boolean {
  return canister.settings.controllers.some((controller) => controller.equals(principal));
}

/** Whether a visibility setting lets `principal` read; controllers always may. */
export function mayView(canister: CanisterState, visibility: Visibility, principal: Principal): boolean {
  if (visibility.kind === 'public' || isController(canister, principal)) return true;
  return visibility.kind === 'allowed_viewers' && visibility.viewers.some((viewer) => viewer.equals(principal));
}

const MAX_64 = (1n << 64n) - 1n;
const MAX_128 = (1n << 128n) - 1n;
const MAX_WASM_MEMORY = 1n << 48n;

function computeAllocated(state: SubnetState): bigint {
  let total = 0n;
  for (const canister of state.canisters.values()) total += canister.settings.computeAllocation;
  return total;
}

function readVisibility(wire: WireVisibility): Visibility {
  if ('public' in wire) return { kind: 'public' };
  if ('controllers' in wire) return { kind: 'controllers' };
  if (wire.allowed_viewers.length > VIEWERS_MAX)
    throw new PayloadRefused(`Deserialize error: The number of elements exceeds maximum allowed ${VIEWERS_MAX}`);
  return { kind: 'allowed_viewers', viewers: canonical(wire.allowed_viewers.map(principalOf)) };
}

function readEnvironmentVariables(
  variables: readonly { readonly name: string; readonly value: string }[],
  limits: Limits,
): CanisterSettings['environmentVariables'] {
  if (variables.length > limits.environmentVariables)
    throw refusal.tooManyEnvironmentVariables(variables.length, limits.environmentVariables);
  const max = limits.environmentVariableBytes;
  const seen = new Set<string>();
  for (const { name, value } of variables) {
    if (utf8(name).length > max) throw refusal.environmentVariableTooLong('name', name, max);
    if (utf8(value).length > max) throw refusal.environmentVariableTooLong('value', value, max);
    if (seen.has(name)) throw new PayloadRefused('duplicate environment variables are not allowed');
    seen.add(name);
  }
  return variables.map(({ name, value }) => ({ name, value })).sort((a, b) => compareBytes(utf8(a.name), utf8(b.name)));
}

/** Sorted and without repetition, so that the order in a call has no effect. */
function canonical(principals: readonly Principal[]): Principal[] {
  const sorted = [...principals].sort(comparePrincipals);
  return sorted.filter((principal, index) => index === 0 || !principal.equals(sorted[index - 1] ?? principal));
}

function outOfRange(what: string, range: string, value: bigint): refusal.Refusal {
  return refusal.settingOutOfRange(`${what} expected to be ${range}, got ${grouped(value)}`);
}

/** A Candid number as the replica prints it: `1_000`. */
function grouped(value: bigint): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, '_');
}

import { computeAllocationFee, storageFee } from '../model/index.ts';
import type { CanisterState } from '../state/index.ts';
import { idleUseOf, largest, smallest } from './resources.ts';
import type { Round } from './round.ts';

const NANOS_PER_SECOND = 1_000_000_000n;

/**
 * Takes what canisters owe for memory and allocations since the last time, every charging period. Whoever cannot pay
 * loses its code (`uninstall`).
 */
export function charge(round: Round, uninstall: (canister: CanisterState) => void): void {
  const { state } = round;
  const seconds = (state.time - state.lastChargeTime) / NANOS_PER_SECOND;
  if (seconds * NANOS_PER_SECOND < round.limits.chargingPeriodNanos) return;
  state.lastChargeTime += seconds * NANOS_PER_SECOND;
  if (round.fees.costSchedule === 'free') return;
  for (const key of [...state.canisters.keys()].sort()) {
    const canister = state.canisters.get(key);
    if (canister !== undefined && !pay(round, canister, seconds) && canister.paused === undefined) {
      uninstall(canister);
      round.touchAllPages(key);
    }
  }
}

/** @returns false when the canister could not pay all. */
function pay(round: Round, canister: CanisterState, seconds: bigint): boolean {
  const age = (round.state.time - canister.createdAt) / NANOS_PER_SECOND;
  const charged = largest(0n, smallest(seconds, age));
  const use = idleUseOf(round.state, canister);
  const storage = storageFee(round.fees, largest(use.memoryBytes, use.memoryAllocation), charged);
  const compute = computeAllocationFee(round.fees, use.computeAllocation, charged);
  if (storage + compute === 0n) return true;
  const fromReserve = smallest(storage, canister.reservedBalance);
  const owed = storage + compute - fromReserve;
  const paid = smallest(owed, canister.balance);
  canister.reservedBalance -= fromReserve;
  canister.balance -= paid;
  round.burn(fromReserve + paid);
  round.touch(canister.id.key);
  round.agenda.refresh(canister);
  return paid === owed;
}

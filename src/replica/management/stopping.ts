import type { Time } from '../../model/index.ts';
import type { CanisterState } from '../../state/index.ts';
import type { ManagementHost } from './contract.ts';

/** What a waiting `stop_canister` remembers between rounds. */
export interface StopProgress {
  readonly kind: 'stop';
  readonly canisterKey: string;
  readonly deadline: Time;
  readonly outcome: 'waiting' | 'stopped' | 'cancelled';
}

/** Makes a stopping canister stopped when nothing is open any more, and lets those who wait for it know. */
export function settleStopping(host: ManagementHost, canister: CanisterState): void {
  if (canister.status.kind !== 'stopping' || hasOpenCalls(canister)) return;
  release(host, canister, 'stopped');
  canister.status = { kind: 'stopped' };
  canister.version += 1n;
  host.changed(canister.id);
}

/** Whether anything is still to be answered: a stop waits for it. */
export function hasOpenCalls(canister: CanisterState): boolean {
  return (
    canister.callContexts.size > 0 ||
    canister.callbacks.size > 0 ||
    canister.paused !== undefined ||
    canister.input.some((message) => message.kind === 'response')
  );
}

/** Tells the `stop_canister` calls that wait for a canister how they end. */
export function release(host: ManagementHost, canister: CanisterState, outcome: 'stopped' | 'cancelled'): void {
  if (canister.status.kind !== 'stopping') return;
  const ids = new Set(canister.status.waiting.map(({ managementCallId }) => managementCallId));
  for (const call of host.state.managementCalls)
    if (ids.has(call.id)) call.progress = { ...(call.progress as StopProgress), outcome };
}

import { toHex } from '../codec/index.ts';
import { ErrorCode, type Ingress, ingressFee, type Reject, rejectOf, type UserError } from '../model/index.ts';
import type { CanisterState, IngressRecord } from '../state/index.ts';
import { canisterNotFound, canisterStopped, canisterStopping, ingressTimedOut, outOfCycles } from './canister-error.ts';
import type { Outcome } from './outcome.ts';
import { freezingThresholdOf, largest } from './resources.ts';
import type { Round } from './round.ts';

/**
 * Ingress messages from the batch to their answer. A request id is known from induction until its record is dropped,
 * never before the message's own expiry has passed, so nothing runs twice (interface spec, "Request status").
 */

/** Takes an ingress message into the subnet: a queue or the management calls; its record says how it went. */
export function induct(round: Round, ingress: Ingress, refused: UserError | undefined): void {
  const { state, limits } = round;
  const requestId = toHex(ingress.requestId);
  if (state.ingressHistory.has(requestId)) return;
  if (ingress.ingressExpiry < state.time) return;
  if (ingress.ingressExpiry > state.time + limits.ingressTtlNanos + limits.ingressDriftNanos) return;
  if (state.ingressHistory.size >= limits.ingressHistoryEntries) return;
  state.ingressHistory.set(requestId, {
    sender: ingress.sender,
    canisterId: ingress.canisterId,
    effectiveCanisterId: ingress.effectiveCanisterId,
    expiry: ingress.ingressExpiry,
    status: { status: 'received' },
  });
  round.agenda.ingressExpiry(requestId, ingress.ingressExpiry);
  round.changedIngress.add(requestId);
  const error = refused ?? admit(round, ingress, requestId);
  if (error !== undefined) complete(round, requestId, { kind: 'error', error });
}

function admit(round: Round, ingress: Ingress, requestId: string): UserError | undefined {
  const { state } = round;
  const origin = { kind: 'ingress', requestId, sender: ingress.sender } as const;
  if (ingress.canisterId.isManagementCanister || ingress.canisterId.equals(state.network.subnetId)) {
    const payer = state.canisters.get(ingress.effectiveCanisterId.key);
    if (payer !== undefined && !mayAskWhileFrozen(ingress)) {
      const error = chargeIngress(round, payer, ingress);
      if (error !== undefined) return error;
    }
    state.managementCalls.push({
      id: round.newId(),
      origin,
      caller: ingress.sender,
      method: ingress.methodName,
      arg: ingress.arg,
      cycles: 0n,
      receivedAt: state.time,
      progress: undefined,
    });
    return undefined;
  }
  const canister = state.canisters.get(ingress.canisterId.key);
  if (canister === undefined) return canisterNotFound(ingress.canisterId);
  if (canister.status.kind === 'stopped') return canisterStopped(canister.id);
  if (canister.status.kind === 'stopping') return canisterStopping(canister.id);
  const error = chargeIngress(round, canister, ingress);
  if (error !== undefined) return error;
  canister.input.push({
    kind: 'request',
    origin,
    caller: ingress.sender,
    method: ingress.methodName,
    arg: ingress.arg,
    cycles: 0n,
    deadline: 0n,
    senderInfo: ingress.senderInfo,
  });
  round.touch(canister.id.key);
  round.agenda.refresh(canister);
  return undefined;
}

/** Small settings changes are induced for nothing, so that a frozen canister's threshold can be lowered. */
export function mayAskWhileFrozen(ingress: Ingress): boolean {
  return ingress.methodName === 'update_settings' && ingress.arg.length <= 267;
}

/** Bytes of an ingress message that are paid for. */
export function ingressPayloadBytes(ingress: Ingress): number {
  return ingress.arg.length + ingress.methodName.length + (ingress.nonce?.length ?? 0);
}

/** Whether a canister can pay for an ingress message; the error is the caller's. */
export function ingressUnaffordable(round: Round, canister: CanisterState, ingress: Ingress): UserError | undefined {
  const fee = ingressFee(round.fees, ingressPayloadBytes(ingress));
  const missing = freezingThresholdOf(round.state, canister) + fee - canister.balance;
  if (missing <= 0n) return undefined;
  const isController = canister.settings.controllers.some((controller) => controller.equals(ingress.sender));
  return outOfCycles(canister.id, isController ? missing : undefined);
}

function chargeIngress(round: Round, canister: CanisterState, ingress: Ingress): UserError | undefined {
  const error = ingressUnaffordable(round, canister, ingress);
  if (error !== undefined) return error;
  const fee = ingressFee(round.fees, ingressPayloadBytes(ingress));
  canister.balance -= fee;
  round.burn(fee);
  round.touch(canister.id.key);
  return undefined;
}

export function markProcessing(round: Round, requestId: string): void {
  const record = round.state.ingressHistory.get(requestId);
  if (record === undefined || record.status.status !== 'received') return;
  record.status = { status: 'processing' };
  round.changedIngress.add(requestId);
}

/** The final answer. The record is kept for as long as a client may ask, and past the message's own expiry. */
export function complete(round: Round, requestId: string, outcome: Outcome): void {
  const { state, limits } = round;
  const record = state.ingressHistory.get(requestId);
  if (record === undefined) return;
  const keepUntil = state.time + limits.ingressTtlNanos + limits.ingressDriftNanos;
  const expiry = largest(keepUntil, record.expiry);
  const answered: IngressRecord = {
    ...record,
    expiry,
    status:
      outcome.kind === 'reply'
        ? { status: 'replied', reply: outcome.data }
        : { status: 'rejected', reject: rejectForUser(outcome) },
  };
  state.ingressHistory.set(requestId, answered);
  round.agenda.ingressExpiry(requestId, expiry);
  round.agenda.answers.add(requestId, answered);
  round.changedIngress.add(requestId);
  round.completed.push(requestId);
  makeRoom(round);
}

/** Reduces the oldest answers to `done` while all of them are too large together. Their requests stay known. */
function makeRoom(round: Round): void {
  const { answers } = round.agenda;
  while (answers.bytes > round.limits.ingressHistoryBytes) {
    const requestId = answers.oldest();
    const record = requestId === undefined ? undefined : round.state.ingressHistory.get(requestId);
    if (requestId === undefined || record === undefined) return;
    answers.remove(record);
    record.status = { status: 'done' };
    round.changedIngress.add(requestId);
  }
}

function rejectForUser(outcome: Exclude<Outcome, { kind: 'reply' }>): Reject {
  if (outcome.kind === 'error') return rejectOf(outcome.error);
  return rejectOf({ code: ErrorCode.CanisterRejectedMessage, message: outcome.message });
}

/** Forgets answered messages whose time is over; those still waiting to start are rejected. */
export function expire(round: Round): void {
  const { state } = round;
  const waiting = new Set<string>();
  for (const requestId of round.agenda.dueIngress(state.time - 1n)) {
    const record = state.ingressHistory.get(requestId);
    if (record === undefined || record.expiry >= state.time) continue;
    if (record.status.status === 'received') waiting.add(requestId);
    else if (record.status.status !== 'processing') {
      round.agenda.answers.remove(record);
      state.ingressHistory.delete(requestId);
      round.changedIngress.add(requestId);
    }
  }
  if (waiting.size > 0) rejectWaiting(round, waiting);
}

function rejectWaiting(round: Round, requestIds: ReadonlySet<string>): void {
  for (const key of round.agenda.ready()) {
    const canister = round.state.canisters.get(key);
    if (canister === undefined) continue;
    const kept = canister.input.filter((input) => {
      if (input.kind !== 'request' || input.origin.kind !== 'ingress' || !requestIds.has(input.origin.requestId))
        return true;
      complete(round, input.origin.requestId, { kind: 'error', error: ingressTimedOut(input.origin.requestId) });
      return false;
    });
    if (kept.length === canister.input.length) continue;
    canister.input.splice(0, canister.input.length, ...kept);
    round.touch(key);
    round.agenda.refresh(canister);
  }
}

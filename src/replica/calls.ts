import {
  type Cycles,
  type Principal,
  RejectCode,
  responsePrepayment,
  responseTransmissionFee,
  type SenderInfo,
  type Time,
  type UserError,
} from '../model/index.ts';
import type { OutgoingCall } from '../sandbox/index.ts';
import type { Callback, CallContext, CallResponse, CanisterState, Origin } from '../state/index.ts';
import {
  canisterNotFound,
  canisterStopped,
  canisterStopping,
  DEADLINE_EXPIRED,
  didNotReply,
} from './canister-error.ts';
import { complete } from './ingress-history.ts';
import { type Outcome, responseForCanister } from './outcome.ts';
import { smallest } from './resources.ts';
import type { Round } from './round.ts';

/**
 * Calls between canisters: call contexts, callbacks, requests and responses (interface spec, "Inter-canister calls").
 * A callback is the reservation for its response: it is made with the request and ends with exactly one response, so a
 * response always finds its place. What cycles a request carries are at every moment in one of: the caller's balance,
 * the delivery, the callee's queue, the callee's call context, the response.
 */

const NANOS_PER_SECOND = 1_000_000_000n;

export function openContext(
  round: Round,
  canister: CanisterState,
  opening: {
    readonly origin: Origin;
    readonly method: string;
    readonly cycles: Cycles;
    readonly deadline: Time;
    readonly senderInfo?: SenderInfo | undefined;
  },
): CallContext {
  const context: CallContext = {
    id: round.newId(),
    origin: opening.origin,
    method: opening.method,
    deadline: opening.deadline,
    responded: opening.origin.kind === 'system',
    deleted: false,
    cyclesAvailable: opening.cycles,
    openCallbacks: 0,
    instructions: 0n,
    senderInfo: opening.senderInfo,
  };
  canister.callContexts.set(String(context.id), context);
  round.touch(canister.id.key);
  return context;
}

/** Answers a call context: its origin gets the outcome and the cycles that were not accepted. */
export function answer(round: Round, context: CallContext, outcome: Outcome): void {
  const refund = context.cyclesAvailable;
  context.responded = true;
  context.cyclesAvailable = 0n;
  respond(round, context.origin, outcome, refund);
}

/** Ends a call context that nothing can answer any more: with a reject when it was not answered. */
export function closeIfDone(
  round: Round,
  canister: CanisterState,
  context: CallContext,
  failure?: UserError | undefined,
): void {
  if (context.openCallbacks > 0) return;
  if (!context.responded) answer(round, context, { kind: 'error', error: failure ?? didNotReply(canister.id) });
  canister.callContexts.delete(String(context.id));
}

/** Sends a response to where the call came from. */
export function respond(round: Round, origin: Origin, outcome: Outcome, refund: Cycles): void {
  switch (origin.kind) {
    case 'ingress':
      complete(round, origin.requestId, outcome);
      // Users attach no cycles; what a management call leaves over has no owner.
      round.burn(refund);
      return;
    case 'canister':
      round.outbox.push({
        kind: 'response',
        originator: origin.canister,
        callbackId: origin.callbackId,
        response: responseForCanister(outcome),
        refund,
      });
      return;
    case 'system':
      round.burn(refund);
  }
}

/** Withdraws nothing (the message's result has): makes the callback and puts the request on its way. */
export function send(round: Round, canister: CanisterState, context: CallContext, call: OutgoingCall): void {
  const { state, limits } = round;
  const id = round.newId();
  const module = round.moduleOf(canister);
  const reserved = responsePrepayment(round.fees, limits, module?.memory64 ?? false);
  // What exceeds the reservation for the response is the fee of the request itself.
  const prepaid = smallest(call.prepaidFee, reserved);
  round.burn(call.prepaidFee - prepaid);
  const deadline =
    call.timeoutSeconds === undefined
      ? 0n
      : (state.time / NANOS_PER_SECOND + BigInt(Math.min(call.timeoutSeconds, limits.bestEffortTimeoutSeconds))) *
        NANOS_PER_SECOND;
  const callback: Callback = {
    id,
    callContextId: context.id,
    callee: call.callee,
    cyclesSent: call.cycles,
    prepaid,
    onReply: call.onReply,
    onReject: call.onReject,
    onCleanup: call.onCleanup,
    deadline,
  };
  canister.callbacks.set(String(id), callback);
  context.openCallbacks += 1;
  canister.outstanding.set(call.callee.key, (canister.outstanding.get(call.callee.key) ?? 0) + 1);
  if (deadline > 0n) round.agenda.callDeadline(canister.id.key, id, deadline);
  round.outbox.push({
    kind: 'request',
    origin: { kind: 'canister', canister: canister.id, callbackId: id, deadline },
    callee: call.callee,
    method: call.method,
    arg: call.arg,
    cycles: call.cycles,
  });
}

/** Takes a callback out when its response is processed: its slot is free, its call context has one less to wait for. */
export function takeCallback(round: Round, canister: CanisterState, callbackId: bigint): Callback | undefined {
  const callback = canister.callbacks.get(String(callbackId));
  if (callback === undefined) return undefined;
  canister.callbacks.delete(String(callbackId));
  const left = (canister.outstanding.get(callback.callee.key) ?? 1) - 1;
  if (left === 0) canister.outstanding.delete(callback.callee.key);
  else canister.outstanding.set(callback.callee.key, left);
  const context = canister.callContexts.get(String(callback.callContextId));
  if (context !== undefined) context.openCallbacks -= 1;
  round.touch(canister.id.key);
  return callback;
}

/**
 * Returns what was prepaid for the transmission of the largest response and is not needed for this one.
 * @returns the part of the prepayment that pays for executing the callback.
 */
export function settleTransmission(
  round: Round,
  canister: CanisterState,
  callback: Callback,
  response: CallResponse,
): Cycles {
  const bytes =
    response.kind === 'reply' ? response.data.length : new TextEncoder().encode(response.reject.message).length;
  const most = responseTransmissionFee(round.fees, round.limits.responsePayloadBytes);
  const transmission = smallest(callback.prepaid, most);
  const actual = responseTransmissionFee(round.fees, bytes);
  const paid = smallest(actual, transmission);
  canister.balance += transmission - paid;
  round.burn(paid);
  return callback.prepaid - transmission;
}

/** Delivers everything that was sent since the last time, in order. @returns whether there was anything. */
export function induct(round: Round): boolean {
  if (round.outbox.length === 0) return false;
  // Rejects of undeliverable requests are appended while this runs, and are delivered with the rest.
  for (let i = 0; i < round.outbox.length; i++) {
    const delivery = round.outbox[i];
    if (delivery === undefined) break;
    if (delivery.kind === 'request') deliverRequest(round, delivery);
    else deliverResponse(round, delivery.originator, delivery.callbackId, delivery.response, delivery.refund);
  }
  round.outbox = [];
  return true;
}

function deliverRequest(round: Round, request: Extract<Round['outbox'][number], { kind: 'request' }>): void {
  const { state } = round;
  const { callee, origin } = request;
  if (callee.isManagementCanister || callee.equals(state.network.subnetId)) {
    state.managementCalls.push({
      id: round.newId(),
      origin,
      caller: origin.canister,
      method: request.method,
      arg: request.arg,
      cycles: request.cycles,
      receivedAt: state.time,
      progress: undefined,
    });
    return;
  }
  const canister = state.canisters.get(callee.key);
  const error =
    canister === undefined
      ? canisterNotFound(callee)
      : canister.status.kind === 'stopped'
        ? canisterStopped(callee)
        : canister.status.kind === 'stopping'
          ? canisterStopping(callee)
          : undefined;
  if (canister === undefined || error !== undefined) {
    const outcome = { kind: 'error', error: error ?? canisterNotFound(callee), bare: true } as const;
    respond(round, origin, outcome, request.cycles);
    return;
  }
  canister.input.push({
    kind: 'request',
    origin,
    caller: origin.canister,
    method: request.method,
    arg: request.arg,
    cycles: request.cycles,
    deadline: origin.deadline,
  });
  round.touch(callee.key);
  round.agenda.refresh(canister);
}

function deliverResponse(
  round: Round,
  originator: Principal,
  callbackId: bigint,
  response: CallResponse,
  refund: Cycles,
): void {
  const canister = round.state.canisters.get(originator.key);
  if (canister === undefined) {
    round.burn(refund);
    return;
  }
  round.touch(originator.key);
  const callback = canister.callbacks.get(String(callbackId));
  if (callback === undefined || (callback.deadline > 0n && isAnswered(canister, callbackId))) {
    // A best-effort call that was answered with SYS_UNKNOWN already: only the cycles come back.
    canister.balance += refund;
    return;
  }
  canister.input.push({ kind: 'response', callbackId, response, refund });
  round.agenda.refresh(canister);
}

/** Whether a response to this callback waits in the queue. (One that runs has taken its callback out.) */
function isAnswered(canister: CanisterState, callbackId: bigint): boolean {
  return canister.input.some((input) => input.kind === 'response' && input.callbackId === callbackId);
}

/**
 * Answers best-effort calls whose deadline has passed with SYS_UNKNOWN; a request that waits in its callee's queue is
 * taken out, one that runs goes on and its response comes too late.
 */
export function expireCalls(round: Round): void {
  for (const due of round.agenda.dueCalls(round.state.time - 1n)) {
    const slash = due.indexOf('/');
    const caller = round.state.canisters.get(due.slice(0, slash));
    const callback = caller?.callbacks.get(due.slice(slash + 1));
    // An index that was built anew names calls again whose rejects still wait in the queue.
    if (caller === undefined || callback === undefined || isAnswered(caller, callback.id)) continue;
    const refund = withdrawRequest(round, caller, callback);
    const response: CallResponse = {
      kind: 'reject',
      reject: {
        rejectCode: RejectCode.SysUnknown,
        message: DEADLINE_EXPIRED.message,
        errorCode: DEADLINE_EXPIRED.code,
      },
    };
    deliverResponse(round, caller.id, callback.id, response, refund);
  }
}

function withdrawRequest(round: Round, caller: CanisterState, callback: Callback): Cycles {
  const callee = round.state.canisters.get(callback.callee.key);
  if (callee === undefined) return 0n;
  const at = callee.input.findIndex(
    (input) =>
      input.kind === 'request' &&
      input.origin.kind === 'canister' &&
      input.origin.canister.equals(caller.id) &&
      input.origin.callbackId === callback.id,
  );
  const input = callee.input[at];
  if (input?.kind !== 'request') return 0n;
  callee.input.splice(at, 1);
  round.touch(callee.id.key);
  round.agenda.refresh(callee);
  return input.cycles;
}

/** Call contexts in order of id. */
function contextsOf(canister: CanisterState): readonly CallContext[] {
  return [...canister.callContexts.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** A canister lost its code: its open calls are rejected, responses to its own calls will run no callback. */
export function rejectOpenCalls(round: Round, canister: CanisterState, reason: UserError): void {
  for (const context of contextsOf(canister)) {
    if (!context.responded) answer(round, context, { kind: 'error', error: reason, bare: true });
    context.deleted = true;
    if (context.openCallbacks === 0) canister.callContexts.delete(String(context.id));
  }
  round.touch(canister.id.key);
}

/** A canister is gone from the state: requests in its queue are rejected, and no cycles are left behind. */
export function rejectQueue(round: Round, canister: CanisterState): void {
  for (const input of canister.input.splice(0)) {
    if (input.kind === 'request') {
      const outcome = { kind: 'error', error: canisterNotFound(canister.id), bare: true } as const;
      respond(round, input.origin, outcome, input.cycles);
    } else if (input.kind === 'response') round.burn(input.refund);
  }
}

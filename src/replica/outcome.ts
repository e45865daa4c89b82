import {
  ErrorCode,
  type Reject,
  RejectCode,
  type Response,
  rejectCodeOf,
  rejectOf,
  type UserError,
} from '../model/index.ts';
import type { CallResponse } from '../state/index.ts';

/** How a call ended: answered, rejected by the canister in its own words, or failed. */
export type Outcome =
  | { readonly kind: 'reply'; readonly data: Uint8Array }
  | { readonly kind: 'reject'; readonly message: string }
  /** `bare`: found by routing, not by an execution; callers see the text without its code. */
  | { readonly kind: 'error'; readonly error: UserError; readonly bare?: boolean };

/** The outcome as a calling canister gets it: failures carry their code in the text, as on the real network. */
export function responseForCanister(outcome: Outcome): CallResponse {
  if (outcome.kind === 'reply') return outcome;
  return { kind: 'reject', reject: rejectForCanister(outcome) };
}

function rejectForCanister(outcome: Exclude<Outcome, { kind: 'reply' }>): Reject {
  if (outcome.kind === 'reject')
    return {
      rejectCode: RejectCode.CanisterReject,
      message: outcome.message,
      errorCode: ErrorCode.CanisterRejectedMessage,
    };
  const { code, message } = outcome.error;
  return {
    rejectCode: rejectCodeOf(code),
    message: outcome.bare === true ? message : `${code}: ${message}`,
    errorCode: code,
  };
}

/** The outcome as a user gets it from a query. */
export function responseForUser(outcome: Outcome): Response {
  if (outcome.kind === 'reply') return outcome;
  const error =
    outcome.kind === 'error' ? outcome.error : { code: ErrorCode.CanisterRejectedMessage, message: outcome.message };
  return { kind: 'reject', reject: rejectOf(error) };
}

/** The management canister's response as an outcome. */
export function outcomeOf(response: Response): Outcome {
  if (response.kind === 'reply') return response;
  const { errorCode, message } = response.reject;
  return { kind: 'error', error: { code: errorCode ?? ErrorCode.CanisterRejectedMessage, message } };
}

import type { UserError } from '../model/index.ts';

/** Why a request was refused: the label of `perdure_http_refusals_total`. */
export type RefusalReason =
  /** Not CBOR, or not of the form that the specification gives. */
  | 'malformed'
  /** The URL names no principal, or one that does not fit the request. */
  | 'effective_id'
  | 'expiry'
  | 'authentication'
  | 'too_large'
  /** A path that may not be read, or not by this sender. */
  | 'path'
  | 'overloaded'
  /** No certified state yet. */
  | 'not_ready';

/** The request gets this HTTP status and text instead of an answer. Thrown by the steps of a request, caught once. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly reason: RefusalReason;

  constructor(status: number, reason: RefusalReason, text: string) {
    super(text);
    this.status = status;
    this.reason = reason;
  }
}

/** An update call that the subnet will not take on: told to the caller without a certificate (HTTP 200). */
export class NotAccepted extends Error {
  override readonly name = 'NotAccepted';
  readonly error: UserError;

  constructor(error: UserError) {
    super(error.message);
    this.error = error;
  }
}

/** Reject codes of the interface specification ("Reject codes"). */
export const RejectCode = {
  /** Fatal system error, retry unlikely to be useful. */
  SysFatal: 1,
  /** Transient system error, retry might be possible. */
  SysTransient: 2,
  /** Invalid destination: canister or account does not exist. */
  DestinationInvalid: 3,
  /** Explicit reject by the canister. */
  CanisterReject: 4,
  /** Canister error: trap, no response, out of cycles. */
  CanisterError: 5,
  /** Response unknown: the system stopped waiting for it (best-effort calls). */
  SysUnknown: 6,
} as const;
export type RejectCode = (typeof RejectCode)[keyof typeof RejectCode];

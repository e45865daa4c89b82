import type { RejectCode } from './reject-code.ts';

/**
 * User-facing error codes of the real replica. A code is written `IC0` + three digits; the first digit is the reject
 * code it comes with. Names are the replica's own.
 */
export const ErrorCode = {
  SubnetOversubscribed: 'IC0101',
  MaxNumberOfCanistersReached: 'IC0102',
  CanisterQueueFull: 'IC0201',
  IngressMessageTimeout: 'IC0202',
  CanisterQueueNotEmpty: 'IC0203',
  IngressHistoryFull: 'IC0204',
  CanisterIdAlreadyExists: 'IC0205',
  StopCanisterRequestTimeout: 'IC0206',
  CanisterOutOfCycles: 'IC0207',
  CertifiedStateUnavailable: 'IC0208',
  CanisterInstallCodeRateLimited: 'IC0209',
  CanisterHeapDeltaRateLimited: 'IC0210',
  CanisterNotFound: 'IC0301',
  CanisterSnapshotNotFound: 'IC0305',
  InsufficientMemoryAllocation: 'IC0402',
  InsufficientCyclesForCreateCanister: 'IC0403',
  SubnetNotFound: 'IC0404',
  CanisterNotHostedBySubnet: 'IC0405',
  CanisterRejectedMessage: 'IC0406',
  UnknownManagementMessage: 'IC0407',
  InvalidManagementPayload: 'IC0408',
  CanisterSnapshotImmutable: 'IC0409',
  CanisterTrapped: 'IC0502',
  CanisterCalledTrap: 'IC0503',
  CanisterContractViolation: 'IC0504',
  CanisterInvalidWasm: 'IC0505',
  CanisterDidNotReply: 'IC0506',
  CanisterOutOfMemory: 'IC0507',
  CanisterStopped: 'IC0508',
  CanisterStopping: 'IC0509',
  CanisterNotStopped: 'IC0510',
  CanisterStoppingCancelled: 'IC0511',
  CanisterInvalidController: 'IC0512',
  CanisterFunctionNotFound: 'IC0513',
  CanisterNonEmpty: 'IC0514',
  QueryCallGraphLoopDetected: 'IC0517',
  InsufficientCyclesInCall: 'IC0520',
  CanisterWasmEngineError: 'IC0521',
  CanisterInstructionLimitExceeded: 'IC0522',
  CanisterMemoryAccessLimitExceeded: 'IC0524',
  QueryCallGraphTooDeep: 'IC0525',
  QueryCallGraphTotalInstructionLimitExceeded: 'IC0526',
  CompositeQueryCalledInReplicatedMode: 'IC0527',
  QueryTimeLimitExceeded: 'IC0528',
  QueryCallGraphInternal: 'IC0529',
  InsufficientCyclesInComputeAllocation: 'IC0530',
  InsufficientCyclesInMemoryAllocation: 'IC0531',
  InsufficientCyclesInMemoryGrow: 'IC0532',
  ReservedCyclesLimitExceededInMemoryAllocation: 'IC0533',
  ReservedCyclesLimitExceededInMemoryGrow: 'IC0534',
  InsufficientCyclesInMessageMemoryGrow: 'IC0535',
  CanisterMethodNotFound: 'IC0536',
  CanisterWasmModuleNotFound: 'IC0537',
  CanisterAlreadyInstalled: 'IC0538',
  CanisterWasmMemoryLimitExceeded: 'IC0539',
  ReservedCyclesLimitIsTooLow: 'IC0540',
  CanisterInvalidControllerOrSubnetAdmin: 'IC0541',
  CanisterStatusAccessDenied: 'IC0542',
  DeadlineExpired: 'IC0601',
  ResponseDropped: 'IC0602',
} as const;
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** The reject code that belongs to an error code: its hundreds digit. */
export function rejectCodeOf(code: ErrorCode): RejectCode {
  return Number(code[3]) as RejectCode;
}

/** A failure as it is reported to a caller: reject code, text, and the replica's error code. */
export interface UserError {
  readonly code: ErrorCode;
  readonly message: string;
}

/** A reject as data (interface spec, "Reject codes"). */
export interface Reject {
  readonly rejectCode: RejectCode;
  readonly message: string;
  /** Absent for an explicit reject by a canister in older replicas; ours always sends it. */
  readonly errorCode?: ErrorCode;
}

export function rejectOf(error: UserError): Reject {
  return { rejectCode: rejectCodeOf(error.code), message: error.message, errorCode: error.code };
}

/**
 * The nouns: principals, messages, batches, limits and error codes. Data and pure functions over it, nothing else:
 * no I/O, no dependency, safe in a browser. Every other module may import from here; this one imports nothing.
 */
export { type Batch, type OperatorDecision, PROTOCOL_VERSION } from './batch.ts';
export { ErrorCode, type Reject, rejectCodeOf, rejectOf, type UserError } from './error-code.ts';
export {
  callCost,
  callFee,
  computeAllocationFee,
  creationFee,
  executionFee,
  type FeeContext,
  freezingThresholdCycles,
  httpRequestFee,
  type IdleUse,
  idleCyclesPerDay,
  ingressFee,
  instructionsFee,
  PRICES,
  responsePrepayment,
  responseTransmissionFee,
  signatureFee,
  storageFee,
  vetkdFee,
} from './fees.ts';
export { DEFAULT_LIMITS, type Limits } from './limits.ts';
export type { Cycles, Height, Ingress, IngressStatus, Response, SenderInfo, Time } from './message.ts';
export { PAGE_BYTES, type PageStore, WASM_PAGE_BYTES } from './page-store.ts';
export {
  ANONYMOUS,
  canisterIdFromNumber,
  canisterIdToNumber,
  comparePrincipals,
  MANAGEMENT_CANISTER,
  Principal,
} from './principal.ts';
export { RejectCode } from './reject-code.ts';

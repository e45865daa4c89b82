import { rejectOf, type UserError } from '../../model/index.ts';
import type { ManagementOutcome } from './contract.ts';

/** The outcome of a call that succeeded, with its Candid reply. */
export function reply(data: Uint8Array): ManagementOutcome {
  return { kind: 'response', response: { kind: 'reply', data } };
}

/** The outcome of a call that failed. */
export function reject(error: UserError): ManagementOutcome {
  return { kind: 'response', response: { kind: 'reject', reject: rejectOf(error) } };
}

import type { Limits, Principal, SenderInfo, Time } from '../model/index.ts';
import type { SubnetPort } from './contract.ts';
import type { CallRequest, RequestBase } from './envelope.ts';
import { Refusal } from './refusal.ts';

/** Who sent a request, and whether they may. All methods throw a Refusal (400) with the reason. */
export interface Authenticator {
  /** @returns the verified `sender_info`, if the call has one. */
  call(request: CallRequest): SenderInfo | undefined;
  query(request: CallRequest): SenderInfo | undefined;
  /** @returns which canisters' requests the sender's delegations reach. */
  readState(request: RequestBase): (canisterId: Principal) => boolean;
}

/**
 * Refuses a request that has expired or expires too late (interface spec, "Authentication", `ingress_expiry`). Clients
 * recognise the beginning of the text and correct their clocks by it.
 */
export function checkExpiry(expiry: Time, now: Time, limits: Limits): void {
  const latest = now + limits.ingressTtlNanos + limits.ingressDriftNanos;
  if (expiry >= now && expiry <= latest) return;
  throw new Refusal(
    400,
    'expiry',
    `Invalid request expiry: Specified ingress_expiry not within expected range: ` +
      `Minimum allowed expiry: ${timeText(now)}, Maximum allowed expiry: ${timeText(latest)}, ` +
      `Provided expiry:        ${timeText(expiry)}`,
  );
}

/** `2026-11-21 21:13:06.005285297 UTC`; far-off times, which have no date, as nanoseconds. */
function timeText(time: Time): string {
  const milliseconds = Number(time / 1_000_000n);
  if (milliseconds > 8.64e15) return `${time} ns`;
  const nanos = (time % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  const seconds = new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ');
  return `${seconds}${nanos === '' ? '' : `.${nanos}`} UTC`;
}

export function createAuthenticator(subnet: Pick<SubnetPort, 'now' | 'rootKey'>, limits: Limits): Authenticator {
  return {
    call(request) {
      checkExpiry(request.ingressExpiry, subnet.now(), limits);
      return undefined;
    },
    query(request) {
      if (!request.sender.isAnonymous) checkExpiry(request.ingressExpiry, subnet.now(), limits);
      return undefined;
    },
    readState(request) {
      if (!request.sender.isAnonymous) checkExpiry(request.ingressExpiry, subnet.now(), limits);
      return () => true;
    },
  };
}

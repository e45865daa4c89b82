import {
  createPlainVerifier,
  loadBlsVerifier,
  RequestAuthenticator,
  type RequestKind,
  type VerifyBls,
  type VerifyPlain,
  verifyBls,
} from '../certification/index.ts';
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
export function checkExpiry(
  expiry: Time,
  now: Time,
  limits: Pick<Limits, 'ingressTtlNanos' | 'ingressDriftNanos'>,
): void {
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

/** Delegations that were found to be signed; a session shows the same ones with every request. */
const DELEGATIONS_MAX = 4_096;
/** Length and first byte of what a delegation's signature signs: `\x1Aic-request-auth-delegation`, then a hash. */
const DELEGATION_MARK = 0x1a;

/** The authenticator of a real network: verifies signatures, delegations, expiry and `sender_info`. */
export async function createAuthenticator(
  subnet: Pick<SubnetPort, 'now' | 'rootKey'>,
  limits: Limits,
): Promise<Authenticator> {
  const requests = new RequestAuthenticator({
    rootPublicKey: subnet.rootKey,
    limits,
    verifyPlain: rememberingDelegations(await createPlainVerifier()),
    verifyBls: fastOnceNeeded(),
  });
  const accept = (request: RequestBase, kind: RequestKind, target?: Principal): ReadonlySet<string> | undefined => {
    const now = subnet.now();
    if (kind === 'call' || !request.sender.isAnonymous) checkExpiry(request.ingressExpiry, now, limits);
    const verdict = requests.authenticate(request, kind, now, target);
    if (!verdict.accepted) throw new Refusal(400, 'authentication', verdict.reason);
    return verdict.targets;
  };
  const acceptInfo = (request: CallRequest): SenderInfo | undefined => {
    if (request.senderInfo === undefined) return undefined;
    const refused = requests.checkSenderInfo(request, request.senderInfo);
    if (refused !== undefined) throw new Refusal(400, 'authentication', refused.reason);
    return { info: request.senderInfo.info, signer: request.senderInfo.signer };
  };
  return {
    call(request) {
      accept(request, 'call', request.canisterId);
      return acceptInfo(request);
    },
    query(request) {
      accept(request, 'query', request.canisterId);
      return acceptInfo(request);
    },
    readState(request) {
      const targets = accept(request, 'read_state');
      return (canisterId) => targets === undefined || targets.has(canisterId.key);
    },
  };
}

/** Verifies the same delegation once; signatures of requests are all different and are not remembered. */
function rememberingDelegations(verify: VerifyPlain): VerifyPlain {
  const known = new Set<string>();
  return (key, message, signature) => {
    if (message[0] !== DELEGATION_MARK) return verify(key, message, signature);
    const bytes = key.scheme === 'ed25519' ? key.key : key.point;
    // Lengths are fixed for each scheme, so that no two triples give the same name.
    const name = key.scheme + String.fromCharCode(...bytes, ...signature, ...message);
    if (known.has(name)) return true;
    if (!verify(key, message, signature)) return false;
    const [oldest] = known;
    if (oldest !== undefined && known.size >= DELEGATIONS_MAX) known.delete(oldest);
    known.add(name);
    return true;
  };
}

/** Canister signatures are rare: the fast verifier is loaded when the first one comes, which the portable one checks. */
function fastOnceNeeded(): VerifyBls {
  let fast: VerifyBls | undefined;
  let asked = false;
  return (publicKey, signature, message) => {
    if (fast !== undefined) return fast(publicKey, signature, message);
    if (!asked) {
      asked = true;
      loadBlsVerifier().then(
        (loaded) => {
          fast = loaded;
        },
        () => {
          // Where it cannot be loaded the portable one goes on.
        },
      );
    }
    return verifyBls(publicKey, signature, message);
  };
}

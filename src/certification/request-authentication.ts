import { CodecError, sha256, toHex } from '../codec/index.ts';
import type { Limits, Principal, SenderInfo, Time } from '../model/index.ts';
import { blsVerifierOnDemand, type VerifyBls } from './bls.ts';
import { verifyCanisterSignature } from './canister-signature.ts';
import { CertificationError } from './certification-error.ts';
import { createPlainVerifier, type VerifyPlain } from './plain-signature.ts';
import { type PublicKey, publicKeyFromDer, selfAuthenticatingId } from './public-key.ts';
import { delegationPayload, requestPayload, senderInfoPayload } from './signed-payload.ts';
import { verifyWebAuthn } from './web-authentication.ts';

/** The kinds of requests, which a delegation may tell apart. */
export type RequestKind = 'call' | 'query' | 'read_state';

/** The parts of a request that say who sent it (interface spec, "Authentication"). */
export interface SignedRequest {
  readonly requestId: Uint8Array;
  readonly sender: Principal;
  readonly authentication: {
    readonly senderPubkey: Uint8Array | undefined;
    readonly senderSig: Uint8Array | undefined;
    readonly senderDelegation: readonly SignedDelegation[] | undefined;
  };
}

/** A link in the chain from the sender's key to the key that signed the request. */
export interface SignedDelegation {
  readonly delegation: {
    readonly pubkey: Uint8Array;
    readonly expiration: Time;
    readonly targets: readonly Principal[] | undefined;
    readonly permissions: string | undefined;
  };
  readonly signature: Uint8Array;
}

/** `sender_info` as sent. */
export interface SignedSenderInfo extends SenderInfo {
  readonly sig: Uint8Array;
}

export type RefusedAuthenticationCode =
  /** Key and signature must both be there, or neither. */
  | 'missing_signature'
  | 'anonymous_signature'
  /** The sender is not the self-authenticating id of the key. */
  | 'wrong_sender'
  | 'bad_signature'
  | 'bad_delegation'
  | 'expired_delegation'
  /** The canister is not among the targets of the delegations. */
  | 'wrong_target'
  /** A delegation that only permits queries. */
  | 'not_permitted'
  | 'bad_sender_info';

/** Whether a request is what it says to be from. Always the user's fault when not. */
export type AuthenticationVerdict =
  | {
      readonly accepted: true;
      /** Keys of the canisters that all delegations reach; undefined when they reach every canister. */
      readonly targets: ReadonlySet<string> | undefined;
    }
  | Refused;

interface Refused {
  readonly accepted: false;
  readonly code: RefusedAuthenticationCode;
  /** In the words of the real replica where it has any. */
  readonly reason: string;
}

export interface RequestAuthenticatorOptions {
  /** Root of trust of canister signatures, DER. */
  readonly rootPublicKey: Uint8Array;
  readonly limits: Pick<Limits, 'delegations' | 'delegationTargets'>;
  readonly verifyPlain: VerifyPlain;
  readonly verifyBls: VerifyBls;
}

/** Canister signatures that were found valid: a session shows the same one with every request, and each costs milliseconds. */
const REMEMBERED_MAX = 4096;

/**
 * Says who sent a request: checks its signature, the chain of delegations, and that the key belongs to the sender
 * (interface spec, "Authentication", "Signatures"). It does not look at `ingress_expiry`, and reads no clock.
 */
export class RequestAuthenticator {
  readonly #options: RequestAuthenticatorOptions;
  readonly #remembered = new Set<string>();

  constructor(options: RequestAuthenticatorOptions) {
    this.#options = options;
  }

  /** @param target the canister that a call or query addresses */
  authenticate(request: SignedRequest, kind: RequestKind, now: Time, target?: Principal): AuthenticationVerdict {
    const { sender, authentication } = request;
    const { senderPubkey, senderSig, senderDelegation } = authentication;
    try {
      if (senderPubkey === undefined || senderSig === undefined) {
        if (senderPubkey !== undefined || senderSig !== undefined || senderDelegation !== undefined)
          throw refused('missing_signature', 'Missing sender_pubkey or sender_sig');
        if (sender.isAnonymous) return { accepted: true, targets: undefined };
        throw refused('missing_signature', `Missing signature from user: ${sender.toText()}`);
      }
      if (sender.isAnonymous) throw refused('anonymous_signature', 'Signature is not allowed for the anonymous user');
      if (!selfAuthenticatingId(senderPubkey).equals(sender))
        throw refused(
          'wrong_sender',
          `The user id ${sender.toText()} does not match the public key ${brief(senderPubkey)}`,
        );
      const chain = senderDelegation ?? [];
      this.#checkForm(chain, senderPubkey, now);
      const signer = this.#followChain(chain, senderPubkey);
      this.#verify(signer, requestPayload(request.requestId), senderSig, 'bad_signature', 'Invalid signature: ');
      return this.#checkScope(chain, kind, target);
    } catch (error) {
      if (error instanceof RefusedError) return error.refused;
      throw error;
    }
  }

  /**
   * Checks the `sender_info` of an authenticated request (interface spec, "Request: Call"): signed by the very
   * canister key that is the sender's. @returns undefined when it is right
   */
  checkSenderInfo(request: SignedRequest, info: SignedSenderInfo): Refused | undefined {
    const der = request.authentication.senderPubkey;
    try {
      const key = der === undefined ? undefined : parse(der, 'bad_sender_info', 'Invalid sender info: ');
      if (der === undefined || key?.scheme !== 'canister')
        throw refused('bad_sender_info', 'Invalid sender info: the sender must use a canister signature');
      if (!key.canisterId.equals(info.signer))
        throw refused('bad_sender_info', 'Invalid sender info: the signer does not match the public key');
      this.#verify(der, senderInfoPayload(info.info), info.sig, 'bad_sender_info', 'Invalid sender info: ');
      return undefined;
    } catch (error) {
      if (error instanceof RefusedError) return error.refused;
      throw error;
    }
  }

  /** What can be said before any signature is verified. */
  #checkForm(chain: readonly SignedDelegation[], senderPubkey: Uint8Array, now: Time): void {
    const { delegations, delegationTargets } = this.#options.limits;
    if (chain.length > delegations)
      throw refused(
        'bad_delegation',
        `Invalid delegation: Chain of delegations is too long: got ${chain.length} delegations, but at most ${delegations} are allowed`,
      );
    const seen = new Set([toHex(senderPubkey)]);
    for (const { delegation } of chain) {
      if (delegation.expiration < now)
        throw refused(
          'expired_delegation',
          `Invalid delegation expiry: Specified sender delegation has expired:\n` +
            `Provided expiry:    ${timeText(delegation.expiration)}\nLocal replica time: ${timeText(now)}`,
        );
      const key = toHex(delegation.pubkey);
      if (seen.has(key))
        throw refused(
          'bad_delegation',
          `Invalid delegation: Chain of delegations contains at least one cycle: first repeating public key encountered ${brief(delegation.pubkey)}`,
        );
      seen.add(key);
      const targets = delegation.targets?.length ?? 0;
      if (targets > delegationTargets)
        throw refused(
          'bad_delegation',
          `Invalid delegation: expected at most ${delegationTargets} targets per delegation, but got ${targets}`,
        );
      const { permissions } = delegation;
      if (permissions !== undefined && permissions !== 'queries' && permissions !== 'all')
        throw refused('bad_delegation', 'Invalid delegation: unsupported permissions, expected "queries" or "all"');
    }
  }

  /** Verifies that each key delegates to the next. @returns the last one */
  #followChain(chain: readonly SignedDelegation[], senderPubkey: Uint8Array): Uint8Array {
    let signer = senderPubkey;
    for (const { delegation, signature } of chain) {
      const { pubkey, expiration, targets, permissions } = delegation;
      const payload = delegationPayload({ pubkey, expiration, targets, permissions });
      this.#verify(signer, payload, signature, 'bad_delegation', 'Invalid delegation: ');
      signer = delegation.pubkey;
    }
    return signer;
  }

  #checkScope(
    chain: readonly SignedDelegation[],
    kind: RequestKind,
    target: Principal | undefined,
  ): AuthenticationVerdict {
    let targets: ReadonlySet<string> | undefined;
    for (const { delegation } of chain) {
      if (kind === 'call' && delegation.permissions === 'queries')
        throw refused('not_permitted', 'The delegation only permits queries and read_state requests');
      if (delegation.targets === undefined) continue;
      const own = new Set(delegation.targets.map((id) => id.key));
      targets = targets === undefined ? own : targets.intersection(own);
    }
    if (target !== undefined && targets !== undefined && !targets.has(target.key))
      throw refused('wrong_target', `Canister ${target.toText()} is not one of the delegation targets`);
    return { accepted: true, targets };
  }

  #verify(
    der: Uint8Array,
    payload: Uint8Array,
    signature: Uint8Array,
    code: RefusedAuthenticationCode,
    where: string,
  ): void {
    const key = parse(der, code, where);
    const { verifyPlain } = this.#options;
    switch (key.scheme) {
      case 'webauthn':
        try {
          verifyWebAuthn(key, payload, signature, verifyPlain);
        } catch (error) {
          throw refused(code, `${where}WebAuthn signature verification failed: ${messageOf(error)}`);
        }
        return;
      case 'canister':
        this.#verifyCanister(key, der, payload, signature, code, where);
        return;
      default:
        if (!verifyPlain(key, payload, signature))
          throw refused(
            code,
            `${where}Invalid basic signature: ${ALGORITHM[key.scheme]} signature could not be verified: ` +
              `public key ${brief(der)}, signature ${brief(signature)}`,
          );
    }
  }

  #verifyCanister(
    key: Extract<PublicKey, { scheme: 'canister' }>,
    der: Uint8Array,
    payload: Uint8Array,
    signature: Uint8Array,
    code: RefusedAuthenticationCode,
    where: string,
  ): void {
    // Hashes of fixed length, so that no two triples are alike.
    const name = toHex(sha256(sha256(der), sha256(payload), sha256(signature)));
    if (this.#remembered.has(name)) return;
    try {
      verifyCanisterSignature(key, payload, signature, this.#options.rootPublicKey, this.#options.verifyBls);
    } catch (error) {
      throw refused(
        code,
        `${where}Invalid canister signature: IcCanisterSignature signature could not be verified: ` +
          `public key ${brief(der)}, signature ${brief(signature)}, error: ${messageOf(error)}`,
      );
    }
    const [oldest] = this.#remembered;
    if (oldest !== undefined && this.#remembered.size >= REMEMBERED_MAX) this.#remembered.delete(oldest);
    this.#remembered.add(name);
  }
}

/** An authenticator with the fastest verifiers of this host. */
export async function createRequestAuthenticator(
  rootPublicKey: Uint8Array,
  limits: Pick<Limits, 'delegations' | 'delegationTargets'>,
): Promise<RequestAuthenticator> {
  const verifyPlain = await createPlainVerifier();
  return new RequestAuthenticator({ rootPublicKey, limits, verifyPlain, verifyBls: blsVerifierOnDemand() });
}

const ALGORITHM = { ed25519: 'Ed25519', ecdsa_p256: 'EcdsaP256', ecdsa_secp256k1: 'EcdsaSecp256k1' } as const;

/** Carries a refusal out of the steps of a check; never leaves this file. */
class RefusedError extends Error {
  readonly refused: Refused;

  constructor(refused: Refused) {
    super(refused.reason);
    this.refused = refused;
  }
}

function refused(code: RefusedAuthenticationCode, reason: string): RefusedError {
  return new RefusedError({ accepted: false, code, reason });
}

function parse(der: Uint8Array, code: RefusedAuthenticationCode, where: string): PublicKey {
  try {
    return publicKeyFromDer(der);
  } catch (error) {
    throw refused(code, `${where}Invalid public key: Malformed public key: ${brief(der)}, error: ${messageOf(error)}`);
  }
}

/** The message of an error that evidence can cause; any other is a bug and goes on. */
function messageOf(error: unknown): string {
  if (error instanceof CertificationError || error instanceof CodecError) return error.message;
  throw error;
}

/** Hex of the bytes, cut where a hostile request would make the answer long. */
function brief(bytes: Uint8Array): string {
  return bytes.length <= 256 ? toHex(bytes) : `${toHex(bytes.subarray(0, 256))}…`;
}

/** `2026-11-21 21:13:06.005285297 UTC`; times that have no date as nanoseconds. */
function timeText(time: Time): string {
  const milliseconds = Number(time / 1_000_000n);
  if (milliseconds > 8.64e15) return `${time} ns`;
  const date = new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ');
  return `${date}.${(time % 1_000_000_000n).toString().padStart(9, '0')} UTC`;
}

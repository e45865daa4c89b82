import type { Reject } from './error-code.ts';
import type { Principal } from './principal.ts';

/** Cycles: 128-bit unsigned in the specification, bigint here. */
export type Cycles = bigint;
/** Nanoseconds since 1970-01-01. */
export type Time = bigint;
export type Height = number;

/** An authenticated update call of a user (interface spec, "Request: Call"). */
export interface Ingress {
  /** Representation-independent hash of the content, 32 bytes. */
  readonly requestId: Uint8Array;
  readonly sender: Principal;
  readonly canisterId: Principal;
  readonly methodName: string;
  readonly arg: Uint8Array;
  readonly ingressExpiry: Time;
  readonly nonce?: Uint8Array;
  /** The canister id of the URL: where `canister_id` is the management canister, the target that routes the message. */
  readonly effectiveCanisterId: Principal;
  /** `sender_info` of canister-signature senders, when present and verified. */
  readonly senderInfo?: SenderInfo;
  /** Size on the wire, for the ingress fee. */
  readonly sizeBytes: number;
}

export interface SenderInfo {
  readonly info: Uint8Array;
  readonly signer: Principal;
}

/** The outcome of a call as data. */
export type Response =
  | { readonly kind: 'reply'; readonly data: Uint8Array }
  | { readonly kind: 'reject'; readonly reject: Reject };

/** State of one ingress message in the ingress history (interface spec, "Request status"). */
export type IngressStatus =
  | { readonly status: 'received' }
  | { readonly status: 'processing' }
  | { readonly status: 'replied'; readonly reply: Uint8Array }
  | { readonly status: 'rejected'; readonly reject: Reject }
  | { readonly status: 'done' };

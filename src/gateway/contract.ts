import type { LabelledTree } from '../certification/index.ts';
import type { Height, Ingress, Principal, Time } from '../model/index.ts';
import type { Replica } from '../replica/index.ts';

/** What the HTTP gateway needs of the subnet it fronts; `node` wires it to a consensus engine. */
export interface SubnetPort {
  readonly replica: Replica;
  readonly rootKey: Uint8Array;
  readonly subnetId: Principal;
  readonly nodeId: Principal;
  /** Ed25519 signature of this node over a message (domain separator included by the caller), 64 bytes. */
  signAsNode(message: Uint8Array): Uint8Array;
  /**
   * Hands an authenticated, inspected message to consensus. A message that is already pending or known is accepted and
   * ignored. @returns false when the pool is full (HTTP 503).
   */
  submit(ingress: Ingress): boolean;
  /** The newest certified and durable state; undefined until the first one. */
  certified(): CertifiedState | undefined;
  /** A certified state not older than `maxAgeMs` by this node's clock: the present one, or after a tick. */
  refresh(maxAgeMs: number): Promise<CertifiedState>;
  /**
   * Resolves when the request is completed in a certified durable state (at once when it already is), or with undefined
   * after `timeoutMs`. May be asked before the request is submitted, and by several at once.
   */
  completion(requestIdHex: string, timeoutMs: number): Promise<CertifiedState | undefined>;
  /** The newest certified and durable state once it is at `height` or above: at once when it already is. */
  certifiedSince(height: Height): Promise<CertifiedState>;
  /** Resolves when `height` is durable. */
  durable(height: Height): Promise<void>;
  /** This node's clock, nanoseconds. */
  now(): Time;
}

/** A state tree with the subnet's signature on its root. */
export interface CertifiedState {
  readonly height: Height;
  readonly time: Time;
  readonly tree: LabelledTree;
  /** BLS signature, 48 bytes. */
  readonly signature: Uint8Array;
  /** CBOR-ready delegation when this subnet is not the root. */
  readonly delegation?: { readonly subnetId: Uint8Array; readonly certificate: Uint8Array };
}

/** Where the gateway reports what an operator should know. `details` are plain values and errors. */
export interface GatewayLog {
  warn(text: string, details?: Readonly<Record<string, unknown>>): void;
  error(text: string, details?: Readonly<Record<string, unknown>>): void;
}

import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { delegationPayload, requestPayload } from '../certification/index.ts';
import { type CborInput, type CborMap, decodeCbor, encodeSelfDescribedCbor, requestId, utf8 } from '../codec/index.ts';
import { ANONYMOUS, type Principal } from '../model/index.ts';
import type { Gateway } from './gateway.ts';
import { selfAuthenticating } from './test-subnet.ts';

/** A sender of requests: a key, perhaps with delegations from others. */
export interface Identity {
  readonly principal: Principal;
  readonly der: Uint8Array;
  readonly sign: (message: Uint8Array) => Uint8Array;
  /** Signs with the key at the beginning of the chain's next link. */
  readonly delegations: readonly { delegation: Record<string, CborInput>; signature: Uint8Array }[];
}

export type KeyKind = 'ed25519' | 'p256' | 'secp256k1';

export function newIdentity(kind: KeyKind = 'ed25519'): Identity {
  const pair: { publicKey: KeyObject; privateKey: KeyObject } =
    kind === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: kind === 'p256' ? 'P-256' : 'secp256k1' });
  const der = new Uint8Array(pair.publicKey.export({ format: 'der', type: 'spki' }));
  return {
    principal: selfAuthenticating(der),
    der,
    sign: (message) =>
      new Uint8Array(
        kind === 'ed25519'
          ? sign(null, message, pair.privateKey)
          : sign('sha256', message, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' }),
      ),
    delegations: [],
  };
}

/** `from` lets `to` act for it. */
export function delegate(from: Identity, to: Identity, fields: Record<string, CborInput> = {}): Identity {
  const delegation = {
    pubkey: to.der,
    expiration: BigInt(Date.now() + 600_000) * 1_000_000n,
    ...fields,
  };
  const signature = from.sign(delegationPayload(delegation as never));
  return {
    principal: from.principal,
    der: from.der,
    sign: to.sign,
    delegations: [...from.delegations, { delegation, signature }],
  };
}

export function expiry(fromNowMs = 240_000): bigint {
  return BigInt(Date.now() + fromNowMs) * 1_000_000n;
}

export type Content = Record<string, CborInput | undefined>;

export function callContent(canisterId: Principal, method: string, sender?: Identity, fields: Content = {}): Content {
  return {
    request_type: 'call',
    canister_id: canisterId,
    method_name: method,
    arg: utf8('hello'),
    sender: sender?.principal ?? ANONYMOUS,
    ingress_expiry: expiry(),
    nonce: new Uint8Array(randomBytes(16)),
    ...fields,
  };
}

export function queryContent(canisterId: Principal, method: string, sender?: Identity, fields: Content = {}): Content {
  return callContent(canisterId, method, sender, { request_type: 'query', nonce: undefined, ...fields });
}

export function readContent(
  paths: readonly (readonly (string | Uint8Array)[])[],
  sender?: Identity,
  fields: Content = {},
): Content {
  return {
    request_type: 'read_state',
    sender: sender?.principal ?? ANONYMOUS,
    ingress_expiry: expiry(),
    paths: paths.map((path) => path.map((label) => (typeof label === 'string' ? utf8(label) : label))),
    ...fields,
  };
}

export function idOf(content: Content): Uint8Array {
  return requestId(content as never);
}

/** The body of a request: the content with the sender's signature, unless the sender is anonymous. */
export function envelope(content: Content, sender?: Identity, fields: Content = {}): Uint8Array {
  return encodeSelfDescribedCbor({
    content,
    ...(sender === undefined
      ? {}
      : {
          sender_pubkey: sender.der,
          sender_sig: sender.sign(requestPayload(idOf(content))),
          ...(sender.delegations.length === 0 ? {} : { sender_delegation: sender.delegations }),
        }),
    ...fields,
  } as CborInput);
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly body: Uint8Array;
  /** The body as a CBOR map. */
  readonly map: CborMap;
  readonly headers: ReadonlyMap<string, string>;
}

export async function send(
  gateway: Gateway,
  url: string,
  body: Uint8Array = new Uint8Array(0),
  method = 'POST',
): Promise<Answer> {
  const response = await gateway.handle({ method, url, host: '', body, receivedAt: performance.now() });
  const bytes = typeof response.body === 'string' ? utf8(response.body) : response.body;
  const headers = new Map<string, string>();
  for (let i = 0; i < response.headers.length; i += 2)
    headers.set(response.headers[i] as string, response.headers[i + 1] as string);
  return {
    status: response.status,
    text: new TextDecoder().decode(bytes),
    body: bytes,
    get map() {
      const value = decodeCbor(bytes);
      if (!(value instanceof Map)) throw new Error('the body is no map');
      return value;
    },
    headers,
  };
}

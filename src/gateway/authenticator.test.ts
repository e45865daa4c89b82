/** Who may send what: keys, signatures, delegations and `sender_info`, through all kinds of requests. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import {
  canisterPublicKeyToDer,
  encodeCanisterSignature,
  LabelledTree,
  pathOf,
  requestPayload,
  senderInfoPayload,
} from '../certification/index.ts';
import { type CborInput, concatBytes, sha256, utf8 } from '../codec/index.ts';
import { ANONYMOUS, canisterIdFromNumber, MANAGEMENT_CANISTER, type Principal } from '../model/index.ts';
import { checkExpiry } from './authenticator.ts';
import { certificateOf } from './certificate.ts';
import type { Gateway } from './gateway.ts';
import {
  type Answer,
  type Content,
  callContent,
  delegate,
  envelope,
  expiry,
  type Identity,
  idOf,
  newIdentity,
  queryContent,
  readContent,
  send,
} from './test-client.ts';
import { testGateway } from './test-gateway.ts';
import { selfAuthenticating, TestSubnet } from './test-subnet.ts';

let subnet: TestSubnet;
let gateway: Gateway;
let canister: Principal;
const OTHER_CANISTER = canisterIdFromNumber(9n);

before(async () => {
  subnet = await TestSubnet.create();
  gateway = await testGateway(subnet);
  canister = subnet.addCanister(1n);
});

type Kind = 'call' | 'query' | 'read_state';
const KINDS: readonly Kind[] = ['call', 'query', 'read_state'];

interface Change {
  readonly content?: Content;
  readonly envelope?: (kind: Kind) => Content;
  readonly id?: () => Principal;
}

function post(kind: Kind, sender: Identity | undefined, change: Change = {}): Promise<Answer> {
  const id = change.id?.() ?? canister;
  const content =
    kind === 'call'
      ? callContent(id, 'who', sender, change.content)
      : kind === 'query'
        ? queryContent(id, 'who', sender, change.content)
        : readContent([['time']], sender, change.content);
  return send(gateway, `/api/v3/canister/${id}/${kind}`, envelope(content, sender, change.envelope?.(kind)));
}

async function accepted(sender: Identity, change?: Change, kinds = KINDS): Promise<void> {
  for (const kind of kinds) {
    const answer = await post(kind, sender, change);
    assert.equal(answer.status, 200, `${kind}: ${answer.text}`);
    if (kind === 'call') assert.equal(subnet.executed.at(-1)?.sender.key, sender.principal.key);
    if (kind === 'query') assert.equal(subnet.queries.at(-1)?.sender.key, sender.principal.key);
  }
}

async function refused(text: RegExp, sender: Identity | undefined, change?: Change, kinds = KINDS): Promise<void> {
  const executed = subnet.executed.length;
  for (const kind of kinds) {
    const answer = await post(kind, sender, change);
    assert.equal(answer.status, 400, kind);
    assert.match(answer.text, text);
  }
  assert.equal(subnet.executed.length, executed);
}

function flipped(bytes: Uint8Array, at = 7): Uint8Array {
  return bytes.with(at, (bytes[at] as number) ^ 0xff);
}

describe('signatures', () => {
  for (const kind of ['ed25519', 'p256', 'secp256k1'] as const) {
    test(`${kind} keys`, () => accepted(newIdentity(kind)));
    test(`${kind}, signature corrupted`, () => {
      const id = newIdentity(kind);
      return refused(/^Invalid signature: /, { ...id, sign: (message) => flipped(id.sign(message)) });
    });
    test(`${kind}, signature of another key`, () =>
      refused(/^Invalid signature: /, { ...newIdentity(kind), sign: newIdentity(kind).sign }));
    test(`${kind}, signature of the wrong length`, () => {
      const id = newIdentity(kind);
      return refused(/^Invalid signature: /, { ...id, sign: (message) => id.sign(message).slice(1) });
    });
  }

  test('of another request', async () => {
    const id = newIdentity();
    const signature = id.sign(requestPayload(idOf(callContent(canister, 'other', id))));
    await refused(/^Invalid signature: /, { ...id, sign: () => signature });
  });

  test('without the domain separator', () => {
    const id = newIdentity();
    return refused(/^Invalid signature: /, { ...id, sign: (message) => id.sign(message.slice(11)) });
  });

  test('a sender that is not the key’s', () =>
    refused(/does not match the public key/, newIdentity(), { content: { sender: newIdentity().principal } }));
  test('a canister as sender', () =>
    refused(/does not match the public key/, newIdentity(), { content: { sender: OTHER_CANISTER } }));
  test('the anonymous sender with a signature', () =>
    refused(/not allowed for the anonymous user/, newIdentity(), { content: { sender: ANONYMOUS } }));
  test('a sender without a signature', () =>
    refused(/^Missing signature from user/, undefined, { content: { sender: newIdentity().principal } }));
  test('a key without a signature', () =>
    refused(/^Missing sender_pubkey or sender_sig$/, undefined, {
      envelope: () => ({ sender_pubkey: newIdentity().der }),
    }));
  test('a signature without a key', () =>
    refused(/^Missing sender_pubkey or sender_sig$/, undefined, {
      envelope: () => ({ sender_sig: new Uint8Array(64) }),
    }));
  test('a key that is not DER', () => {
    const der = utf8('not a key');
    return refused(/Malformed public key/, { ...newIdentity(), der, principal: selfAuthenticating(der) });
  });
  test('anonymous requests need nothing', async () => {
    for (const kind of KINDS) assert.equal((await post(kind, undefined)).status, 200);
  });
});

describe('delegations', () => {
  const a = newIdentity('secp256k1');
  const b = newIdentity();
  const past = BigInt(Date.now() - 120_000) * 1_000_000n;
  const chainOf = (length: number): Identity => {
    let id: Identity = a;
    for (let i = 0; i < length; i++) id = delegate(id, newIdentity());
    return id;
  };

  test('one, and once more from memory', async () => {
    const id = delegate(a, b);
    await accepted(id);
    await accepted(id);
  });
  test('20 are accepted, 21 are refused', async () => {
    await accepted(chainOf(20), undefined, ['query']);
    await refused(/Chain of delegations is too long: got 21 delegations, but at most 20/, chainOf(21), undefined, [
      'query',
    ]);
  });
  test('expired', () => refused(/^Invalid delegation expiry: /, delegate(a, b, { expiration: past })));
  test('expired in the middle', () =>
    refused(/^Invalid delegation expiry: /, delegate(delegate(a, newIdentity(), { expiration: past }), b)));
  test('signed wrongly, also after the right one was seen', async () => {
    const id = delegate(a, b);
    await accepted(id);
    const [link] = id.delegations;
    assert.ok(link !== undefined);
    const forged = { ...id, delegations: [{ ...link, signature: flipped(link.signature) }] };
    await refused(/^Invalid delegation: /, forged);
    const moved = {
      ...id,
      delegations: [{ ...link, delegation: { ...link.delegation, expiration: expiry(900_000) } }],
    };
    await refused(/^Invalid delegation: /, moved);
  });
  test('the last key of the chain must sign', () =>
    refused(/^Invalid signature: /, { ...delegate(a, b), sign: a.sign }));
  test('a key that delegates to itself', () => refused(/contains at least one cycle/, delegate(a, a)));
  test('a cycle', () => refused(/contains at least one cycle/, delegate(delegate(delegate(a, b), a), b)));
  test('targets that hold the canister', () => accepted(delegate(a, b, { targets: [OTHER_CANISTER, canister] })));
  test('targets that do not', () =>
    refused(/is not one of the delegation targets/, delegate(a, b, { targets: [OTHER_CANISTER] }), undefined, [
      'call',
      'query',
    ]));
  test('targets that only together would', () => {
    const id = delegate(delegate(a, newIdentity(), { targets: [canister] }), b, { targets: [OTHER_CANISTER] });
    return refused(/is not one of the delegation targets/, id, undefined, ['call', 'query']);
  });
  test('the management canister is a target like any other', async () => {
    const change: Change = { id: () => MANAGEMENT_CANISTER };
    await refused(/is not one of the delegation targets/, delegate(a, b, { targets: [canister] }), change, ['call']);
    await accepted(delegate(a, b, { targets: [MANAGEMENT_CANISTER] }), change, ['call']);
  });
  test('1000 targets are accepted, 1001 are refused', async () => {
    const targets = (count: number): Principal[] => [
      canister,
      ...Array.from({ length: count - 1 }, (_, i) => canisterIdFromNumber(BigInt(i + 1_000))),
    ];
    await accepted(delegate(a, b, { targets: targets(1_000) }), undefined, ['query']);
    await refused(/expected at most 1000 targets/, delegate(a, b, { targets: targets(1_001) }), undefined, ['query']);
  });
  test('queries only', async () => {
    const id = delegate(delegate(a, newIdentity(), { permissions: 'queries' }), b, { permissions: 'all' });
    await accepted(id, undefined, ['query', 'read_state']);
    await refused(/only permits queries/, id, undefined, ['call']);
    await accepted(delegate(a, b, { permissions: 'all' }));
  });
  test('other permissions', () => refused(/unsupported permissions/, delegate(a, b, { permissions: 'sometimes' })));
  test('a status is read with the delegations that could have sent the call', async () => {
    const content = callContent(canister, 'who', a);
    await send(gateway, `/api/v4/canister/${canister}/call`, envelope(content, a));
    const status = (sender: Identity): Promise<Answer> =>
      send(
        gateway,
        `/api/v3/canister/${canister}/read_state`,
        envelope(readContent([['request_status', idOf(content)]], sender), sender),
      );
    assert.equal((await status(delegate(a, b, { targets: [canister] }))).status, 200);
    const answer = await status(delegate(a, b, { targets: [OTHER_CANISTER] }));
    assert.equal(answer.status, 403);
    assert.match(answer.text, /not belonging to sender delegation targets\.$/);
  });
});

describe('canister signatures', () => {
  const seed = utf8('seed');
  let signer: Principal;
  let identity: Identity;

  /** A signature by the canister: what it signs must be in its certified data. */
  const signatureOf = (payloads: readonly Uint8Array[], payload: Uint8Array): Uint8Array => {
    let tree = LabelledTree.empty;
    for (const each of payloads) tree = tree.set(pathOf('sig', sha256(seed), sha256(each)), new Uint8Array(0));
    subnet.setCertifiedData(signer, tree.rootHash);
    subnet.certify();
    const certified = subnet.certified();
    assert.ok(certified !== undefined);
    const certificate = certificateOf(certified, [pathOf('canister', signer.bytes, 'certified_data')]);
    return encodeCanisterSignature(certificate, tree.witness([pathOf('sig', sha256(seed), sha256(payload))]));
  };

  before(() => {
    signer = subnet.addCanister(5n);
    const der = canisterPublicKeyToDer(signer, seed);
    identity = {
      principal: selfAuthenticating(der),
      der,
      sign: (message) => signatureOf([message], message),
      delegations: [],
    };
  });

  test('authenticate a sender, directly and through a delegation', async () => {
    await accepted(identity, undefined, ['query']);
    await accepted(delegate(identity, newIdentity()));
  });

  test('sender_info is verified and handed on', async () => {
    const info = utf8('who I am');
    const session = delegate(identity, newIdentity());
    const sig = signatureOf([senderInfoPayload(info)], senderInfoPayload(info));
    const change = { content: { sender_info: { info, signer, sig } as CborInput } };
    await accepted(session, change, ['call', 'query']);
    assert.deepEqual(subnet.executed.at(-1)?.senderInfo?.info, info);
    assert.equal(subnet.queries.at(-1)?.senderInfo?.signer.key, signer.key);
    const wrong = { content: { sender_info: { info: concatBytes(info, info), signer, sig } as CborInput } };
    await refused(/^Invalid sender info: /, session, wrong, ['call', 'query']);
    const foreign = { content: { sender_info: { info, signer: canister, sig } as CborInput } };
    await refused(/signer does not match/, session, foreign, ['call']);
    await refused(/must use a canister signature/, newIdentity(), change, ['call']);
  });
});

test('the text of a refused expiry', () => {
  const limits = { ingressTtlNanos: 300_000_000_000n, ingressDriftNanos: 30_000_000_000n };
  const now = 1_746_143_718_005_285_297n;
  assert.throws(() => checkExpiry(1_746_103_080_000_000_000n, now, limits), {
    message:
      'Invalid request expiry: Specified ingress_expiry not within expected range: ' +
      'Minimum allowed expiry: 2025-05-01 23:55:18.005285297 UTC, ' +
      'Maximum allowed expiry: 2025-05-02 00:00:48.005285297 UTC, ' +
      'Provided expiry:        2025-05-01 12:38:00 UTC',
  });
  assert.throws(() => checkExpiry((1n << 64n) - 1n, now, limits), /Provided expiry: +2554-07-21/);
  checkExpiry(now, now, limits);
  checkExpiry(now + 330_000_000_000n, now, limits);
  assert.throws(() => checkExpiry(now + 330_000_000_001n, now, limits));
  assert.throws(() => checkExpiry(now - 1n, now, limits));
});

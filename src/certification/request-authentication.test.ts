import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { DelegationChain, ECDSAKeyIdentity, Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Secp256k1KeyIdentity } from '@icp-sdk/core/identity/secp256k1';
import {
  concatBytes,
  encodeCbor,
  encodeSelfDescribedCbor,
  fromHex,
  type HashableMap,
  sha256,
  toHex,
  utf8,
} from '../codec/index.ts';
import { ANONYMOUS, canisterIdFromNumber, DEFAULT_LIMITS, Principal } from '../model/index.ts';
import {
  blsSecretKeyFromSeed,
  canisterPublicKeyToDer,
  createBlsSigner,
  createPlainVerifier,
  delegationPayload,
  encodeCanisterRanges,
  encodeCanisterSignature,
  encodeCertificate,
  LabelledTree,
  loadBlsVerifier,
  pathOf,
  plainPublicKeyToDer,
  publicKeyFromDer,
  RequestAuthenticator,
  type RequestKind,
  requestPayload,
  type SignedDelegation,
  type SignedRequest,
  type SubnetDelegation,
  selfAuthenticatingId,
  senderInfoPayload,
  stateRootPayload,
} from './index.ts';

interface Signer {
  readonly der: Uint8Array;
  sign(payload: Uint8Array): Uint8Array;
}

const root = await createBlsSigner(blsSecretKeyFromSeed(new Uint8Array(32).fill(1)));
const subnet = await createBlsSigner(blsSecretKeyFromSeed(new Uint8Array(32).fill(2)));
const verifyBls = await loadBlsVerifier();
const native = await createPlainVerifier();
const portable = await createPlainVerifier('portable');
const limits = DEFAULT_LIMITS;
const authenticator = new RequestAuthenticator({
  rootPublicKey: root.publicKeyDer,
  limits,
  verifyPlain: native,
  verifyBls,
});
const requestId = sha256(utf8('a request'));
const now = 1_000_000n;
const canister = canisterIdFromNumber(5n);
const other = canisterIdFromNumber(6n);

// --- keys of every scheme -------------------------------------------------------------------------------------------

function plainSigner(kind: 'ed25519' | 'P-256' | 'secp256k1'): Signer {
  const pair: { publicKey: KeyObject; privateKey: KeyObject } =
    kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: kind });
  return {
    der: new Uint8Array(pair.publicKey.export({ format: 'der', type: 'spki' })),
    sign: (payload) =>
      new Uint8Array(
        kind === 'ed25519'
          ? sign(null, payload, pair.privateKey)
          : sign('sha256', payload, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' }),
      ),
  };
}

/** SubjectPublicKeyInfo of a COSE key, lengths up to 64 KiB. */
function coseDer(cose: Uint8Array): Uint8Array {
  const item = (tag: number, content: Uint8Array): Uint8Array =>
    concatBytes(
      content.length < 128
        ? Uint8Array.of(tag, content.length)
        : content.length < 256
          ? Uint8Array.of(tag, 0x81, content.length)
          : Uint8Array.of(tag, 0x82, content.length >> 8, content.length & 255),
      content,
    );
  return item(0x30, concatBytes(fromHex('300c060a2b0601040183b8430101'), item(3, concatBytes(Uint8Array.of(0), cose))));
}

function webAuthnSigner(kind: 'es256' | 'rs256' | 'eddsa', change: (json: string) => string = (json) => json): Signer {
  const pair: { publicKey: KeyObject; privateKey: KeyObject } =
    kind === 'es256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : kind === 'rs256'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : generateKeyPairSync('ed25519');
  const jwk = pair.publicKey.export({ format: 'jwk' });
  const part = (text: string | undefined): Uint8Array => new Uint8Array(Buffer.from(text ?? '', 'base64url'));
  const cose =
    kind === 'es256'
      ? new Map<bigint, bigint | Uint8Array>([
          [1n, 2n],
          [3n, -7n],
          [-1n, 1n],
          [-2n, part(jwk.x)],
          [-3n, part(jwk.y)],
        ])
      : kind === 'rs256'
        ? new Map<bigint, bigint | Uint8Array>([
            [1n, 3n],
            [3n, -257n],
            [-1n, part(jwk.n)],
            [-2n, part(jwk.e)],
          ])
        : new Map<bigint, bigint | Uint8Array>([
            [1n, 1n],
            [3n, -8n],
            [-1n, 6n],
            [-2n, part(jwk.x)],
          ]);
  return {
    der: coseDer(encodeCbor(cose)),
    sign: (payload) => {
      const challenge = Buffer.from(payload).toString('base64url');
      const json = change(JSON.stringify({ type: 'webauthn.get', challenge, origin: 'https://example.org' }));
      const authenticatorData = new Uint8Array(37).fill(3);
      const message = concatBytes(authenticatorData, sha256(utf8(json)));
      const signature = new Uint8Array(sign(kind === 'eddsa' ? null : 'sha256', message, pair.privateKey));
      return encodeSelfDescribedCbor({ authenticator_data: authenticatorData, client_data_json: json, signature });
    },
  };
}

interface CanisterSignerOptions {
  readonly delegated?: { readonly type: string };
  readonly signedBy?: typeof root;
  readonly certifiedBy?: Principal;
}

function canisterSigner(id: Principal, options: CanisterSignerOptions = {}): Signer {
  const seed = utf8('seed');
  const subnetId = new Uint8Array(29).fill(4);
  const delegation = (type: string): SubnetDelegation => {
    const tree = LabelledTree.empty
      .set(pathOf('subnet', subnetId, 'public_key'), subnet.publicKeyDer)
      .set(pathOf('subnet', subnetId, 'type'), utf8(type))
      .set(
        pathOf('canister_ranges', subnetId, canister.bytes),
        encodeCanisterRanges([{ start: canister, end: canister }]),
      );
    const signature = root.sign(stateRootPayload(tree.rootHash));
    return { subnetId, certificate: encodeCertificate({ tree: tree.witness([[]]), signature }) };
  };
  return {
    der: canisterPublicKeyToDer(id, seed),
    sign: (payload) => {
      const path = pathOf('sig', sha256(seed), sha256(payload));
      const tree = LabelledTree.empty
        .set(path, new Uint8Array(0))
        .set(pathOf('sig', sha256(utf8('x')), sha256(seed)), new Uint8Array(0));
      const state = LabelledTree.empty.set(
        pathOf('canister', (options.certifiedBy ?? id).bytes, 'certified_data'),
        tree.rootHash,
      );
      const signer = options.signedBy ?? (options.delegated === undefined ? root : subnet);
      const certificate = encodeCertificate({
        tree: state.witness([[]]),
        signature: signer.sign(stateRootPayload(state.rootHash)),
        delegation: options.delegated === undefined ? undefined : delegation(options.delegated.type),
      });
      return encodeCanisterSignature(certificate, tree.witness([path]));
    },
  };
}

// --- requests -------------------------------------------------------------------------------------------------------

type Fields = { expiration?: bigint; targets?: readonly Principal[]; permissions?: string };

function link(from: Signer, to: Signer, fields: Fields = {}): SignedDelegation {
  const delegation = { pubkey: to.der, expiration: now, targets: undefined, permissions: undefined, ...fields };
  return { delegation, signature: from.sign(delegationPayload(delegation as HashableMap)) };
}

function request(sender: Signer, signer: Signer = sender, senderDelegation?: SignedDelegation[]): SignedRequest {
  return {
    requestId,
    sender: selfAuthenticatingId(sender.der),
    authentication: {
      senderPubkey: sender.der,
      senderSig: signer.sign(requestPayload(requestId)),
      senderDelegation,
    },
  };
}

function verdict(of: SignedRequest, kind: RequestKind = 'call', target = canister): string {
  const given = authenticator.authenticate(of, kind, now, target);
  return given.accepted ? 'accepted' : given.code;
}

function reason(of: SignedRequest): string {
  const given = authenticator.authenticate(of, 'call', now, canister);
  return given.accepted ? '' : given.reason;
}

const damaged = (bytes: Uint8Array, at = bytes.length - 3): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
};

const everyScheme: [string, () => Signer][] = [
  ['Ed25519', () => plainSigner('ed25519')],
  ['ECDSA P-256', () => plainSigner('P-256')],
  ['ECDSA secp256k1', () => plainSigner('secp256k1')],
  ['WebAuthn ES256', () => webAuthnSigner('es256')],
  ['WebAuthn RS256', () => webAuthnSigner('rs256')],
  ['WebAuthn EdDSA', () => webAuthnSigner('eddsa')],
  ['canister signature', () => canisterSigner(canister)],
  ['canister signature of a delegated subnet', () => canisterSigner(canister, { delegated: { type: 'application' } })],
];

describe('request authentication', () => {
  for (const [scheme, make] of everyScheme)
    it(`accepts ${scheme} for requests and delegations, and nothing that was changed`, () => {
      const key = make();
      const session = plainSigner('ed25519');
      assert.equal(verdict(request(key)), 'accepted');
      assert.equal(verdict(request(key, session, [link(key, session)])), 'accepted');
      assert.equal(verdict(request(session, key, [link(session, key)])), 'accepted');
      const sound = request(key);
      const { senderSig = new Uint8Array(0) } = sound.authentication;
      assert.equal(verdict({ ...sound, requestId: sha256(requestId) }), 'bad_signature');
      for (const senderSig2 of [damaged(senderSig), senderSig.subarray(1), new Uint8Array(0), new Uint8Array(64)])
        assert.equal(
          verdict({ ...sound, authentication: { ...sound.authentication, senderSig: senderSig2 } }),
          'bad_signature',
        );
      assert.equal(verdict(request(key, make())), scheme.startsWith('canister') ? 'accepted' : 'bad_signature');
      const bad = link(key, session);
      assert.equal(verdict(request(key, session, [{ ...bad, signature: damaged(bad.signature) }])), 'bad_delegation');
    });

  it('agrees with the identities of the official client', async () => {
    const identities = [
      Ed25519KeyIdentity.generate(),
      Secp256k1KeyIdentity.generate(),
      await ECDSAKeyIdentity.generate(),
    ];
    for (const identity of identities) {
      const senderPubkey = new Uint8Array(identity.getPublicKey().toDer());
      const sender = Principal.fromBytes(identity.getPrincipal().toUint8Array());
      const senderSig = new Uint8Array(await identity.sign(requestPayload(requestId)));
      assert.equal(
        verdict({ requestId, sender, authentication: { senderPubkey, senderSig, senderDelegation: undefined } }),
        'accepted',
      );
      const session = Ed25519KeyIdentity.generate();
      const chain = await DelegationChain.create(identity, session.getPublicKey(), new Date(Date.now() + 60_000));
      const senderDelegation = chain.delegations.map(({ delegation, signature }) => ({
        delegation: {
          pubkey: new Uint8Array(delegation.pubkey),
          expiration: delegation.expiration,
          targets: undefined,
          permissions: undefined,
        },
        signature: new Uint8Array(signature),
      }));
      const sessionSig = new Uint8Array(await session.sign(requestPayload(requestId)));
      assert.equal(
        verdict({ requestId, sender, authentication: { senderPubkey, senderSig: sessionSig, senderDelegation } }),
        'accepted',
      );
    }
  });

  it('knows the anonymous sender and its rules', () => {
    const key = plainSigner('ed25519');
    const signed = request(key).authentication;
    const bare = { senderPubkey: undefined, senderSig: undefined, senderDelegation: undefined };
    const anonymous = (authentication: SignedRequest['authentication']): SignedRequest => ({
      requestId,
      sender: ANONYMOUS,
      authentication,
    });
    assert.equal(verdict(anonymous(bare)), 'accepted');
    assert.equal(verdict(anonymous(signed)), 'anonymous_signature');
    assert.equal(verdict(anonymous({ ...bare, senderPubkey: key.der })), 'missing_signature');
    assert.equal(verdict(anonymous({ ...bare, senderDelegation: [] })), 'missing_signature');
    assert.equal(verdict({ ...request(key), authentication: bare }), 'missing_signature');
    assert.equal(
      verdict({ ...request(key), authentication: { ...signed, senderSig: undefined } }),
      'missing_signature',
    );
    assert.equal(
      verdict({ ...request(key), authentication: { ...signed, senderPubkey: undefined } }),
      'missing_signature',
    );
    const stranger = { ...request(key), sender: selfAuthenticatingId(plainSigner('ed25519').der) };
    assert.equal(verdict(stranger), 'wrong_sender');
    assert.equal(
      reason(stranger),
      `The user id ${stranger.sender.toText()} does not match the public key ${toHex(key.der)}`,
    );
    assert.equal(verdict({ ...request(key), sender: canister }), 'wrong_sender');
  });

  it('bounds chains of delegations, and refuses cycles', () => {
    const keys = Array.from({ length: 22 }, () => plainSigner('ed25519'));
    const chainOf = (length: number): SignedRequest => {
      const chain: SignedDelegation[] = [];
      for (let i = 0; i < length; i++) chain.push(link(keys[i] as Signer, keys[i + 1] as Signer));
      return request(keys[0] as Signer, keys[length] as Signer, chain);
    };
    assert.equal(verdict(chainOf(20)), 'accepted');
    assert.equal(verdict(chainOf(21)), 'bad_delegation');
    assert.match(
      reason(chainOf(21)),
      /^Invalid delegation: Chain of delegations is too long: got 21 delegations, but at most 20 are allowed$/,
    );
    const [a, b] = keys as [Signer, Signer];
    assert.equal(verdict(request(a, a, [link(a, a)])), 'bad_delegation');
    assert.equal(verdict(request(a, a, [link(a, b), link(b, a)])), 'bad_delegation');
    assert.match(
      reason(request(a, a, [link(a, a)])),
      /contains at least one cycle: first repeating public key encountered/,
    );
    assert.equal(verdict(request(a, b, [link(b, b)])), 'bad_delegation');
    assert.equal(verdict(request(a, b, [])), 'bad_signature');
    assert.equal(verdict(request(a, a, [])), 'accepted');
  });

  it('heeds expiry, targets and permissions of every delegation', () => {
    const [a, b, c] = [plainSigner('ed25519'), plainSigner('P-256'), plainSigner('ed25519')] as const;
    const two = (first: Fields, second: Fields): SignedRequest =>
      request(a, c, [link(a, b, first), link(b, c, second)]);
    assert.equal(verdict(two({ expiration: now - 1n }, {})), 'expired_delegation');
    assert.equal(verdict(two({}, { expiration: now - 1n })), 'expired_delegation');
    assert.match(
      reason(two({ expiration: 0n }, {})),
      /^Invalid delegation expiry: Specified sender delegation has expired:/,
    );
    assert.equal(verdict(two({ targets: [other, canister] }, { targets: [canister] })), 'accepted');
    assert.equal(verdict(two({ targets: [other] }, { targets: [canister] })), 'wrong_target');
    assert.equal(verdict(two({ targets: [canister] }, { targets: [] })), 'wrong_target');
    assert.equal(
      reason(two({ targets: [other] }, {})),
      `Canister ${canister.toText()} is not one of the delegation targets`,
    );
    const many = (count: number): Principal[] =>
      Array.from({ length: count }, (_, n) => canisterIdFromNumber(BigInt(n)));
    assert.equal(verdict(two({ targets: many(1000) }, {})), 'accepted');
    assert.equal(verdict(two({ targets: many(1001) }, {})), 'bad_delegation');
    assert.equal(verdict(two({ permissions: 'all' }, {})), 'accepted');
    assert.equal(verdict(two({ permissions: 'queries' }, { permissions: 'all' })), 'not_permitted');
    assert.equal(verdict(two({ permissions: 'queries' }, {}), 'query'), 'accepted');
    assert.equal(verdict(two({ permissions: 'queries' }, {}), 'read_state'), 'accepted');
    assert.equal(verdict(two({ permissions: 'sometimes' }, {}), 'query'), 'bad_delegation');
    const read = authenticator.authenticate(
      two({ targets: [other, canister] }, { targets: [canister] }),
      'read_state',
      now,
    );
    assert.deepEqual(read, { accepted: true, targets: new Set([canister.key]) });
    // What a delegation says is part of what is signed.
    const signed = link(a, b, { targets: [other] });
    assert.equal(
      verdict(request(a, b, [{ ...signed, delegation: { ...signed.delegation, targets: undefined } }])),
      'bad_delegation',
    );
  });

  it('accepts canister signatures only from canisters that certify them and subnets that may', () => {
    assert.equal(verdict(request(canisterSigner(canister, { signedBy: subnet }))), 'bad_signature');
    assert.equal(verdict(request(canisterSigner(canister, { certifiedBy: other }))), 'bad_signature');
    assert.equal(verdict(request(canisterSigner(other, { delegated: { type: 'application' } }))), 'bad_signature');
    assert.equal(verdict(request(canisterSigner(canister, { delegated: { type: 'cloud_engine' } }))), 'bad_signature');
    assert.match(
      reason(request(canisterSigner(canister, { signedBy: subnet }))),
      /^Invalid signature: Invalid canister signature: IcCanisterSignature signature could not be verified/,
    );
  });

  it('accepts an authenticator’s assertion only for the very challenge', () => {
    assert.equal(
      verdict(request(webAuthnSigner('es256', (json) => json.replace('"challenge":"', '"challenge":"A')))),
      'bad_signature',
    );
    assert.equal(verdict(request(webAuthnSigner('es256', () => '{}'))), 'bad_signature');
    assert.equal(verdict(request(webAuthnSigner('es256', () => 'null'))), 'bad_signature');
    assert.equal(verdict(request(webAuthnSigner('es256', () => '{'))), 'bad_signature');
  });

  it('verifies sender_info by the sender’s canister key', () => {
    const key = canisterSigner(canister);
    const info = utf8('who');
    const sig = key.sign(senderInfoPayload(info));
    const check = (of: SignedRequest, changes: object = {}): string | undefined =>
      authenticator.checkSenderInfo(of, { info, signer: canister, sig, ...changes })?.code;
    assert.equal(check(request(key)), undefined);
    assert.equal(check(request(key), { signer: other }), 'bad_sender_info');
    assert.equal(check(request(key), { info: utf8('else') }), 'bad_sender_info');
    assert.equal(check(request(key), { sig: damaged(sig) }), 'bad_sender_info');
    assert.equal(check(request(plainSigner('ed25519'))), 'bad_sender_info');
    const anonymous = { senderPubkey: undefined, senderSig: undefined, senderDelegation: undefined };
    assert.equal(check({ requestId, sender: ANONYMOUS, authentication: anonymous }), 'bad_sender_info');
  });

  it('never throws over what a request contains', () => {
    const key = plainSigner('ed25519');
    for (const pubkey of [
      new Uint8Array(0),
      utf8('not a key'),
      key.der.subarray(0, 40),
      damaged(key.der, 9),
      new Uint8Array(5000).fill(0x30),
    ]) {
      const of: SignedRequest = {
        requestId,
        sender: selfAuthenticatingId(pubkey),
        authentication: { senderPubkey: pubkey, senderSig: new Uint8Array(64), senderDelegation: undefined },
      };
      assert.equal(verdict(of), 'bad_signature');
      assert.ok(reason(of).length < 2000);
    }
  });
});

describe('public keys', () => {
  it('are read strictly', () => {
    for (const [, make] of everyScheme) {
      const { der } = make();
      publicKeyFromDer(der);
      for (let length = 0; length < der.length; length++)
        assert.throws(() => publicKeyFromDer(der.subarray(0, length)), { code: 'bad_key' });
      assert.throws(() => publicKeyFromDer(concatBytes(der, Uint8Array.of(0))), { code: 'bad_key' });
    }
    // The lengths in non-shortest form; a compressed point; another curve.
    const p256 = plainSigner('P-256').der;
    assert.throws(() => publicKeyFromDer(concatBytes(fromHex('308159'), p256.subarray(2))), { code: 'bad_key' });
    const compressed = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
    const x = Buffer.from(compressed.export({ format: 'jwk' }).x ?? '', 'base64url');
    assert.throws(
      () => publicKeyFromDer(concatBytes(fromHex('3039301306072a8648ce3d020106082a8648ce3d03010703220002'), x)),
      { code: 'bad_key' },
    );
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'der', type: 'spki' });
    assert.throws(() => publicKeyFromDer(p384), { code: 'bad_key' });
  });

  it('of the specification’s example are read', () => {
    const der = fromHex(
      '305e300c060a2b0601040183b8430101034e00a50102032620012158207ffd83632072fd1bfeaf3fbaa43146e0ef95c3f55e3994a41bbf2b5174d771da225820' +
        '32497eed0a7f6f000928765b8318162cfd80a94e525a6a368c2363063d04e6ed',
    );
    const key = publicKeyFromDer(der);
    assert.ok(key.scheme === 'webauthn' && key.cose.scheme === 'ecdsa_p256');
    assert.equal(toHex(key.cose.point.subarray(1, 5)), '7ffd8363');
  });

  it('authenticate the principals derived from them', () => {
    const { der } = plainSigner('ed25519');
    const digest = createHash('sha224').update(der).digest();
    assert.equal(selfAuthenticatingId(der).key, `${digest.toString('hex')}02`);
  });
});

describe('plain signatures', () => {
  it('are judged alike by the host’s library and the portable one', () => {
    const message = utf8('message');
    for (const kind of ['ed25519', 'P-256', 'secp256k1'] as const)
      for (let i = 0; i < 4; i++) {
        const signer = plainSigner(kind);
        const key = publicKeyFromDer(signer.der);
        assert.ok(key.scheme !== 'webauthn' && key.scheme !== 'canister');
        assert.equal(toHex(plainPublicKeyToDer(key)), toHex(signer.der));
        const signature = signer.sign(message);
        const offCurve = {
          ...key,
          ...(key.scheme === 'ed25519' ? { key: new Uint8Array(32).fill(2) } : { point: damaged(key.point) }),
        };
        for (const verify of [native, portable]) {
          assert.ok(verify(key, message, signature));
          assert.ok(!verify(key, utf8('another'), signature));
          assert.ok(!verify(offCurve as typeof key, message, signature));
          for (const bad of [damaged(signature), new Uint8Array(64), new Uint8Array(64).fill(255), new Uint8Array(0)])
            assert.ok(!verify(key, message, bad));
        }
      }
  });
});

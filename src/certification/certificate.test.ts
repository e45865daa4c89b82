import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Certificate as ClientCertificate } from '@icp-sdk/core/agent';
import { Principal as ClientPrincipal } from '@icp-sdk/core/principal';
import { encodeUleb128, toHex, utf8 } from '../codec/index.ts';
import { canisterIdFromNumber, type Principal } from '../model/index.ts';
import {
  blsSecretKeyFromSeed,
  createBlsSigner,
  decodeCertificate,
  encodeCanisterRanges,
  encodeCertificate,
  LabelledTree,
  loadBlsVerifier,
  lookupPath,
  pathOf,
  type SubnetDelegation,
  stateRootPayload,
  verifyCertificate,
} from './index.ts';

const root = await createBlsSigner(blsSecretKeyFromSeed(new Uint8Array(32).fill(1)));
const subnet = await createBlsSigner(blsSecretKeyFromSeed(new Uint8Array(32).fill(2)));
const verify = await loadBlsVerifier();
const subnetId = new Uint8Array(29).fill(9);
const inside = canisterIdFromNumber(5n);
const outside = canisterIdFromNumber(11n);
const now = BigInt(Date.now()) * 1_000_000n;

function delegationTree(type = 'application'): LabelledTree {
  const ranges = encodeCanisterRanges([{ start: canisterIdFromNumber(0n), end: canisterIdFromNumber(10n) }]);
  return LabelledTree.empty
    .set(pathOf('time'), encodeUleb128(now))
    .set(pathOf('subnet', subnetId, 'public_key'), subnet.publicKeyDer)
    .set(pathOf('subnet', subnetId, 'type'), utf8(type))
    .set(pathOf('canister'), LabelledTree.empty)
    .set(pathOf('canister_ranges', subnetId, canisterIdFromNumber(0n).bytes), ranges);
}

function delegation(tree: LabelledTree, nested?: SubnetDelegation): SubnetDelegation {
  const paths = [pathOf('time'), pathOf('subnet', subnetId), pathOf('canister_ranges', subnetId)];
  const signature = root.sign(stateRootPayload(tree.rootHash));
  return { subnetId, certificate: encodeCertificate({ tree: tree.witness(paths), signature, delegation: nested }) };
}

const data = LabelledTree.empty.set(pathOf('time'), encodeUleb128(now)).set(pathOf('a', 'b'), utf8('value'));

function certify(signer: typeof root, delegated?: SubnetDelegation): Uint8Array {
  return encodeCertificate({
    tree: data.witness([pathOf('time'), pathOf('a', 'b')]),
    signature: signer.sign(stateRootPayload(data.rootHash)),
    delegation: delegated,
  });
}

async function acceptedByClient(certificate: Uint8Array, canister: Principal): Promise<boolean> {
  try {
    await ClientCertificate.create({
      certificate,
      rootKey: root.publicKeyDer,
      principal: { canisterId: ClientPrincipal.fromUint8Array(canister.bytes) },
    });
    return true;
  } catch {
    return false;
  }
}

describe('certificate', () => {
  it('of the root subnet is accepted here and by the official client', async () => {
    const bytes = certify(root);
    const certificate = verifyCertificate(bytes, root.publicKeyDer);
    assert.equal(certificate.time, now);
    assert.deepEqual(certificate.rootHash, data.rootHash);
    assert.deepEqual(lookupPath(pathOf('a', 'b'), certificate.tree), { kind: 'found', value: utf8('value') });
    assert.ok(await acceptedByClient(bytes, inside));
    assert.equal(toHex(encodeCertificate(decodeCertificate(bytes))), toHex(bytes));
  });

  it('of another subnet needs its delegation, and reaches as far as its canister ranges', async () => {
    const bytes = certify(subnet, delegation(delegationTree()));
    verifyCertificate(bytes, root.publicKeyDer, { canisterId: inside, verify });
    assert.ok(await acceptedByClient(bytes, inside));
    assert.throws(() => verifyCertificate(bytes, root.publicKeyDer, { canisterId: outside, verify }), {
      code: 'out_of_range',
    });
    assert.ok(!(await acceptedByClient(bytes, outside)));
    verifyCertificate(bytes, root.publicKeyDer, { forbiddenSubnetType: 'cloud_engine', verify });
    const engine = certify(subnet, delegation(delegationTree('cloud_engine')));
    assert.throws(() => verifyCertificate(engine, root.publicKeyDer, { forbiddenSubnetType: 'cloud_engine', verify }), {
      code: 'bad_delegation',
    });
  });

  it('is refused when anything in it is changed', () => {
    const check = (bytes: Uint8Array, key = root.publicKeyDer): unknown => verifyCertificate(bytes, key, { verify });
    assert.throws(() => check(certify(subnet)), { code: 'bad_signature' });
    assert.throws(() => check(certify(root), subnet.publicKeyDer), { code: 'bad_signature' });
    const sound = decodeCertificate(certify(root));
    const tree = data.set(pathOf('a', 'b'), utf8('other')).witness([[]]);
    assert.throws(() => check(encodeCertificate({ ...sound, tree })), { code: 'bad_signature' });
    assert.throws(() => check(encodeCertificate({ ...sound, tree: [1, [2, utf8('b'), [0]], [2, utf8('a'), [0]]] })), {
      code: 'malformed',
    });
    assert.throws(() => check(certify(root).subarray(0, 100)), { code: 'truncated' });
    assert.throws(() => check(Uint8Array.of(0xa0)), { code: 'malformed' });
    const nested = delegation(delegationTree(), delegation(delegationTree()));
    assert.throws(() => check(certify(subnet, nested)), { code: 'bad_delegation' });
    const foreign = { ...delegation(delegationTree()), subnetId: new Uint8Array(29).fill(8) };
    assert.throws(() => check(certify(subnet, foreign)), { code: 'bad_delegation' });
  });
});

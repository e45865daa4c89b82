import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromHex, toHex, utf8 } from '../codec/index.ts';
import {
  blsPublicKeyDer,
  blsPublicKeyFromDer,
  blsPublicKeyToDer,
  blsSecretKeyFromSeed,
  createBlsSigner,
  loadBlsVerifier,
  signBls,
  verifyBls,
} from './index.ts';

const secretKey = blsSecretKeyFromSeed(new Uint8Array(32).fill(7));
const CURVE_ORDER = fromHex('73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001');

/** x = 4 lies on the curve, but not in the subgroup that signatures belong to. */
function pointOutsideSubgroup(): Uint8Array {
  const point = new Uint8Array(48);
  point[0] = 0x80;
  point[47] = 4;
  return point;
}

describe('BLS', () => {
  it('gives the same bytes fast and portable', async () => {
    const signer = await createBlsSigner(secretKey);
    assert.equal(toHex(signer.publicKeyDer), toHex(blsPublicKeyDer(secretKey)));
    assert.equal(signer.publicKeyDer.length, 133);
    for (const message of [new Uint8Array(0), utf8('\x0Dic-state-root'), new Uint8Array(1000).fill(3)]) {
      const signature = signer.sign(message);
      assert.equal(signature.length, 48);
      assert.equal(toHex(signature), toHex(signBls(secretKey, message)));
    }
  });

  it('verifies what fits and nothing else, in both implementations alike', async () => {
    const other = blsPublicKeyDer(blsSecretKeyFromSeed(new Uint8Array(32).fill(8)));
    const key = blsPublicKeyDer(secretKey);
    const message = utf8('message');
    const signature = signBls(secretKey, message);
    const changed = Uint8Array.from(signature);
    changed[20] = (changed[20] ?? 0) ^ 1;
    const infinity = new Uint8Array(48);
    infinity[0] = 0xc0;
    const infiniteKey = new Uint8Array(96);
    infiniteKey[0] = 0xc0;
    for (const verify of [verifyBls, await loadBlsVerifier()]) {
      assert.ok(verify(key, signature, message));
      assert.ok(!verify(key, signature, utf8('another')));
      assert.ok(!verify(other, signature, message));
      for (const bad of [changed, infinity, pointOutsideSubgroup(), new Uint8Array(48), new Uint8Array(0), key])
        assert.ok(!verify(key, bad, message));
      for (const bad of [new Uint8Array(0), new Uint8Array(133), key.subarray(1), blsPublicKeyToDer(infiniteKey)]) {
        assert.ok(!verify(bad, signature, message));
        assert.ok(!verify(bad, infinity, message));
      }
    }
  });

  it('verifies a certificate signature of the public network', async () => {
    // The example of the BLS signatures in the JavaScript agent's own tests: key, signature and message as published.
    const key = blsPublicKeyToDer(
      fromHex(
        'a7623a93cdb56c4d23d99c14216afaab3dfd6d4f9eb3db23d038280b6d5cb2caaee2a19dd92c9df7001dede23bf036bc0f33982dfb41e8fa9b8e96b5dc3e83d55ca4dd146c7eb2e8b6859cb5a5db815db86810b8d12cee1588b5dbf34a4dc9a5',
      ),
    );
    const signature = fromHex(
      'b89e13a212c830586eaa9ad53946cd968718ebecc27eda849d9232673dcd4f440e8b5df39bf14a88048c15e16cbcaabe',
    );
    for (const verify of [verifyBls, await loadBlsVerifier()]) {
      assert.ok(verify(key, signature, utf8('hello')));
      assert.ok(!verify(key, signature, utf8('hallo')));
    }
  });

  it('derives keys deterministically and checks them', async () => {
    assert.equal(toHex(blsSecretKeyFromSeed(new Uint8Array(32).fill(7))), toHex(secretKey));
    assert.notEqual(toHex(blsSecretKeyFromSeed(new Uint8Array(32).fill(8))), toHex(secretKey));
    assert.throws(() => blsSecretKeyFromSeed(new Uint8Array(31)), { code: 'bad_key' });
    for (const bad of [new Uint8Array(32), new Uint8Array(31).fill(1), CURVE_ORDER]) {
      assert.throws(() => blsPublicKeyDer(bad), { code: 'bad_key' });
      await assert.rejects(createBlsSigner(bad), { code: 'bad_key' });
    }
    assert.throws(() => blsPublicKeyFromDer(new Uint8Array(133)), { code: 'bad_key' });
    assert.throws(() => blsPublicKeyToDer(new Uint8Array(95)), { code: 'bad_key' });
  });
});

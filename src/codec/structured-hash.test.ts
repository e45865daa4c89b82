import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requestIdOf } from '@icp-sdk/core/agent';
import { Principal as ClientPrincipal } from '@icp-sdk/core/principal';
import fc from 'fast-check';
import {
  CodecError,
  decodeCbor,
  encodeCbor,
  fromHex,
  type HashableMap,
  hashOfMap,
  requestId,
  toHex,
  utf8,
} from './index.ts';

describe('representation-independent hash', () => {
  it('gives the request id of the specification’s example', () => {
    const content = {
      request_type: 'call',
      sender: Uint8Array.of(4),
      ingress_expiry: 1685570400000000000n,
      canister_id: fromHex('00000000000004D2'),
      method_name: 'hello',
      arg: Uint8Array.of(0x44, 0x49, 0x44, 0x4c, 0x00, 0xfd, 0x2a),
    };
    const expected = '1d1091364d6bb8a6c16b203ee75467d59ead468f523eb058880ae8ec80e2b101';
    assert.equal(toHex(requestId(content)), expected);
    assert.equal(toHex(requestId({ ...content, nonce: undefined })), expected);
    assert.equal(toHex(requestId(decodeCbor(encodeCbor(content)) as HashableMap)), expected);
  });

  it('agrees with the official client', () => {
    fc.assert(
      fc.property(
        fc.record({
          arg: fc.uint8Array({ maxLength: 1000 }),
          method: fc.string({ unit: 'grapheme' }),
          expiry: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          paths: fc.array(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }), { maxLength: 4 }),
        }),
        ({ arg, method, expiry, paths }) => {
          const content = {
            request_type: 'read_state',
            sender: Uint8Array.of(4),
            ingress_expiry: expiry,
            method_name: method,
            arg,
            paths,
          };
          const theirs = requestIdOf({ ...content, sender: ClientPrincipal.anonymous() });
          assert.equal(toHex(requestId(content)), toHex(theirs));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('hashes nested maps by their hash, and refuses what has none', () => {
    const inner = hashOfMap({ arg: utf8('DIDL\0\0') });
    assert.notDeepEqual(inner, hashOfMap({ arg: utf8('DIDL') }));
    for (const value of [true, null]) assert.throws(() => hashOfMap({ value } as unknown as HashableMap), CodecError);
    let deep: HashableMap = {};
    for (let i = 0; i < 1000; i++) deep = { deep };
    assert.throws(() => hashOfMap(deep), CodecError);
  });
});

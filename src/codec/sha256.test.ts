import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { sha256, toHex } from './index.ts';

describe('sha256', () => {
  it('equals the host’s digest at every length around the block edges, in one part or several', () => {
    for (let length = 0; length < 400; length++) {
      const data = Uint8Array.from(randomBytes(length));
      const expected = createHash('sha256').update(data).digest('hex');
      assert.equal(toHex(sha256(data)), expected, `length ${length}`);
      const cut = length >> 1;
      assert.equal(toHex(sha256(data.subarray(0, cut), data.subarray(cut))), expected, `length ${length} in two`);
    }
    assert.equal(toHex(sha256()), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  it('hashes without the host’s library, as in a browser', async () => {
    const process = globalThis.process;
    const data = Uint8Array.from({ length: 5000 }, (_, i) => i);
    const expected = toHex(sha256(data));
    let portable: typeof import('./sha256.ts');
    try {
      Object.defineProperty(globalThis, 'process', { value: undefined, configurable: true, writable: true });
      // A second instance of the module, made while there is no process.
      const second: string = './sha256.ts?portable';
      portable = (await import(second)) as typeof portable;
    } finally {
      Object.defineProperty(globalThis, 'process', { value: process, configurable: true, writable: true });
    }
    assert.equal(toHex(portable.sha256(data)), expected);
  });
});

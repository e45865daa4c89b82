import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { needsChunks, prepareModule } from './canister-module.ts';

const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

test('the interface becomes a public section, once', () => {
  const first = prepareModule(EMPTY, 'a.wasm', 'service : {}');
  const [section] = WebAssembly.Module.customSections(
    new WebAssembly.Module(Uint8Array.from(first.bytes)),
    'icp:public candid:service',
  );
  assert.equal(Buffer.from(section ?? new ArrayBuffer(0)).toString(), 'service : {}');
  assert.equal(first.hash, createHash('sha256').update(first.bytes).digest('hex'));
  const second = prepareModule(first.bytes, 'a.wasm', 'service : { other : () -> () }');
  assert.deepEqual(second.bytes, first.bytes);
  assert.deepEqual(second.sections, ['icp:public candid:service']);
});

test('gzip is sent as it is, large modules are compressed, chunks are for what is still large', () => {
  const gzip = Uint8Array.from(gzipSync(EMPTY));
  assert.deepEqual(prepareModule(gzip, 'a.wasm.gz', 'service : {}').bytes, gzip);
  const large = prepareModule(Uint8Array.from([...EMPTY, ...new Uint8Array(2_000_000)]), 'a.wasm', undefined);
  assert.ok(large.bytes.length < 10_000);
  assert.equal(gunzipSync(large.bytes).length, 2_000_008);
  assert.equal(needsChunks(large, 0), false);
  assert.equal(needsChunks(large, 2_000_000), true);
});

test('what is no module is refused', () => {
  assert.throws(
    () => prepareModule(Uint8Array.of(1, 2, 3, 4, 5), 'x.wasm', undefined),
    /x.wasm is not a WebAssembly module/,
  );
});

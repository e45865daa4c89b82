import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { DEFAULT_LIMITS } from '../model/index.ts';
import { ModuleRefused } from './contract.ts';
import { createSandbox } from './sandbox.ts';
import { canisterOf, replyOf, TestCanister, testSandbox, wasmOf } from './test-canister.ts';

const WAT = canisterOf(`(func (export "canister_update f") (call $reply (i32.const 0) (i32.const 1)))
  (func (export "canister_query g")) (func (export "canister_composite_query h")) (func (export "canister_init"))`);

function refusal(bytes: Uint8Array, sandbox = testSandbox()): string {
  try {
    sandbox.prepare(bytes);
  } catch (error) {
    assert.ok(error instanceof ModuleRefused);
    return `${error.userError.code}: ${error.userError.message.split('\n')[0]}`;
  }
  return 'accepted';
}

test('a module is prepared once, by the hash of what was uploaded', async () => {
  const sandbox = testSandbox();
  const plain = wasmOf(WAT);
  const compressed = new Uint8Array(gzipSync(plain));
  const prepared = sandbox.prepare(plain);
  assert.equal(sandbox.prepare(plain.slice()), prepared);
  assert.equal(prepared.hash, createHash('sha256').update(plain).digest('hex'));
  assert.deepEqual([...prepared.updateMethods], ['f']);
  assert.deepEqual([...prepared.queryMethods], ['g']);
  assert.deepEqual([...prepared.compositeQueryMethods], ['h']);
  assert.deepEqual([...prepared.entryPoints], ['canister_init']);
  const other = sandbox.prepare(compressed);
  assert.notEqual(other, prepared);
  assert.equal(other.hash, createHash('sha256').update(compressed).digest('hex'));
  assert.equal(other.uploadedBytes, compressed.length);
  const canister = new TestCanister(sandbox);
  assert.equal((await canister.install(compressed)).error, undefined);
  assert.equal(replyOf(await canister.update('f')).length, 1);
});

test('what is no canister is refused with the code of the real replica', () => {
  assert.match(refusal(new Uint8Array(0)), /^IC0505: Canister's Wasm module is not valid: /);
  assert.match(refusal(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 9)), /^IC0505: /);
  const cut = new Uint8Array(gzipSync(wasmOf(WAT))).subarray(0, 40);
  assert.match(refusal(cut), /^IC0505: .*failed to decode compressed Wasm module/);
  const imports = wasmOf('(module (import "env" "f" (func)))');
  assert.match(refusal(imports), /^IC0505: .*import/);
});

test('a compressed module may not be larger than an uncompressed one', () => {
  const limits = { ...DEFAULT_LIMITS, moduleBytes: 100_000 };
  const bomb = new Uint8Array(gzipSync(new Uint8Array(50_000_000)));
  assert.match(
    refusal(bomb, createSandbox({ limits })),
    /^IC0505: .*Wasm module size of 50000000 exceeds the maximum allowed size of 100000/,
  );
});

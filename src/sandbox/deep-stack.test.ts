import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../model/index.ts';
import type { ExecutionResult } from './contract.ts';
import { createSandbox } from './sandbox.ts';
import { canisterOf, replyOf, TestCanister } from './test-canister.ts';

test('recursion that the native stack is too short for runs again on a larger one', async () => {
  const deep = `(func $down (param $n i32) (result i32) (if (result i32) (local.get $n)
      (then (i32.add (i32.const 1) (call $down (i32.sub (local.get $n) (i32.const 1))))) (else (i32.const 0))))
    (func (export "canister_update down")
      (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 4))
      (i32.store (i32.const 0) (call $down (i32.load (i32.const 0)))) (call $reply (i32.const 0) (i32.const 4)))`;
  const stackBytes = 8 << 20;
  const canister = new TestCanister(createSandbox({ limits: { ...DEFAULT_LIMITS, stackBytes } }));
  await canister.install(canisterOf(deep));
  const depth = (n: number): Promise<ExecutionResult> =>
    canister.update('down', new Uint8Array(Uint32Array.of(n).buffer));
  const reached = async (n: number): Promise<number> => new DataView(replyOf(await depth(n)).buffer).getUint32(0, true);
  assert.equal(await reached(20_000), 20_000);
  const endless = await depth(0xffff_ffff);
  assert.match(endless.error?.message ?? '', /^Canister trapped: stack overflow\./);
  assert.equal(await reached(20_000), 20_000);
});

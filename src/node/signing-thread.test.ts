import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blsPublicKeyDer, blsSecretKeyFromSeed, verifyBls } from '../certification/index.ts';
import { nodePlatform, type Thread, type Threads } from '../platform/index.ts';
import { SigningThread } from './signing-thread.ts';

test('signs on a thread of its own, and is gone when it was stopped', async () => {
  const seed = new Uint8Array(32).fill(7);
  const thread = new SigningThread(nodePlatform.threads);
  thread.use(seed);
  const publicKey = await thread.publicKey();
  assert.deepEqual(publicKey, blsPublicKeyDer(blsSecretKeyFromSeed(seed)));
  const messages = ['one', 'two'].map((text) => new TextEncoder().encode(text));
  const signatures = await Promise.all(messages.map((message) => thread.sign(message)));
  for (const [index, message] of messages.entries())
    assert.ok(verifyBls(publicKey, signatures[index] ?? new Uint8Array(48), message));
  await thread.stop();
  await assert.rejects(thread.sign(new Uint8Array(1)), /stopped/);
});

test('while it is being stopped it holds the process, whatever still arrives', async () => {
  const holds: boolean[] = [];
  let deliver: (message: unknown) => void = () => {};
  const thread: Thread = {
    post: () => {},
    listen: (onMessage) => {
      deliver = onMessage;
    },
    hold: (keepAlive) => void holds.push(keepAlive),
    stop: async () => deliver({ ready: true, publicKey: new Uint8Array(133) }),
  };
  const threads: Threads = { start: () => thread };
  await new SigningThread(threads).stop();
  assert.deepEqual(holds, [true]);
});

/**
 * The thread that signs state roots, so that a millisecond of elliptic curves never delays a request. Posted to it:
 * `{ id, message }`; it answers `{ ready, publicKey }` once, then `{ id, signature }` for each. See signing-thread.ts.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { blsSecretKeyFromSeed, createBlsSigner } from '../certification/index.ts';

const port = parentPort;
if (port === null) throw new Error('signing-worker runs as a thread only');

const { seed } = workerData as { readonly seed: Uint8Array };
const signer = await createBlsSigner(blsSecretKeyFromSeed(seed));
port.on('message', ({ id, message }: { readonly id: number; readonly message: Uint8Array }) => {
  port.postMessage({ id, signature: signer.sign(message) });
});
port.postMessage({ ready: true, publicKey: signer.publicKeyDer });

/**
 * The thread that signs state roots, so that a millisecond of elliptic curves never delays a request. Posted to it:
 * `{ seed }` first, then `{ id, message }`; it answers `{ ready, publicKey }` once, then `{ id, signature }` for each.
 * See signing-thread.ts.
 */
import { parentPort } from 'node:worker_threads';
import { type BlsSigner, blsSecretKeyFromSeed, createBlsSigner, loadBls } from '../certification/index.ts';

const port = parentPort;
if (port === null) throw new Error('signing-worker runs as a thread only');

type Order = { readonly seed: Uint8Array } | { readonly id: number; readonly message: Uint8Array };

const seeded = Promise.withResolvers<Uint8Array>();
const early: { readonly id: number; readonly message: Uint8Array }[] = [];
let signer: BlsSigner | undefined;
port.on('message', (order: Order) => {
  if ('seed' in order) seeded.resolve(order.seed);
  else if (signer === undefined) early.push(order);
  else port.postMessage({ id: order.id, signature: signer.sign(order.message) });
});
// The key comes when the state directory is open; what takes long is done by then.
await loadBls();
const { publicKeyDer, sign } = await createBlsSigner(blsSecretKeyFromSeed(await seeded.promise));
signer = { publicKeyDer, sign };
port.postMessage({ ready: true, publicKey: publicKeyDer });
for (const { id, message } of early) port.postMessage({ id, signature: sign(message) });

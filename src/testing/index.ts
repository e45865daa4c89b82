/**
 * Networks for tests: a whole network in the caller's process, without a port, and without a disk unless it is asked for.
 * Time stands still until the test moves it, randomness comes from a seed, rounds happen at once: the same test gives
 * the same results every time. It is the very network that `perdure start` runs, so what works here works there.
 *
 *     import { createNetwork } from 'perdure/testing';
 *
 *     await using network = await createNetwork();
 *     const canister = await network.install(wasm);
 *     await network.update(canister, 'increment');
 *     await network.advanceTime({ days: 1 });
 *
 * Any number of networks may live side by side. Senders are taken at their word (`sender`), signatures are not needed;
 * official agents work too, through `network.fetch`.
 */
export { CallRejected } from './call-rejected.ts';
export {
  type CallOptions,
  createNetwork,
  type Duration,
  InProcessNetwork,
  type InstallOptions,
  type LogRecord,
  type NetworkOptions,
  type PrincipalLike,
} from './in-process-network.ts';

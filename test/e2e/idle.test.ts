/** A silent subnet stays silent: ten idle minutes on a simulated clock, then timers and clients find it awake at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpAgent } from '@icp-sdk/core/agent';
import { Log, openNode, type PerdureNode } from '../../src/node/index.ts';
import { nodePlatform, SimulatedPlatform } from '../../src/platform/index.ts';
import { inProcessFetch } from '../../src/testing/in-process-fetch.ts';
import { assembled, deployed, query, update } from '../canisters/index.ts';

const TEN_MINUTES_MS = 600_000;

function agentOf(node: PerdureNode): HttpAgent {
  return HttpAgent.createSync({
    host: 'http://network.test',
    fetch: inProcessFetch(node.gateway),
    rootKey: Uint8Array.from(node.rootKey),
    retryTimes: 0,
  });
}

test('ten idle minutes make no rounds; a timer of five seconds fires; an agent reads and updates at once', async () => {
  const machine = new SimulatedPlatform(7);
  // At the end of the test the network's time is the machine's, which is what agents have.
  machine.clock.step((BigInt(Date.now()) - BigInt(2 * TEN_MINUTES_MS + 10_000)) * 1_000_000n - machine.clock.now());
  const node = await openNode({
    platform: { clock: machine.clock, entropy: machine.entropy, disk: machine.disk, threads: nodePlatform.threads },
    stateDir: '/state',
    signing: 'here',
    log: new Log({ write: () => {}, level: 'error', json: false }),
    implementationVersion: 'test',
  });
  try {
    const height = (): number => node.consensus.replica.state.height;
    const canister = await deployed(await agentAt(node), await assembled('alarm'));
    const fired = async (): Promise<number> =>
      new DataView((await query(await agentAt(node), canister, 'fired')).buffer).getUint8(0);

    const before = height();
    await machine.clock.advance(TEN_MINUTES_MS);
    assert.equal(height(), before);

    await update(await agentAt(node), canister, 'arm');
    await machine.clock.advance(4_900);
    assert.equal(await fired(), 0);
    await machine.clock.advance(200);
    assert.equal(await fired(), 1);

    const after = height();
    await machine.clock.advance(TEN_MINUTES_MS);
    assert.equal(height(), after);

    // Unmodified, on its own clock: reads what is certified (a fresh certificate is made for it) and updates.
    const agent = agentOf(node);
    const labels = ['canister', canister.toUint8Array(), 'module_hash'].map((label) =>
      typeof label === 'string' ? new TextEncoder().encode(label) : label,
    );
    await agent.readState({ canisterId: canister }, { paths: [labels] });
    assert.equal((await update(agent, canister, 'down')).length, 8);
  } finally {
    await node.stop();
  }
});

/** An agent that has asked the network for its time. */
async function agentAt(node: PerdureNode): Promise<HttpAgent> {
  const agent = agentOf(node);
  await agent.syncTime();
  return agent;
}

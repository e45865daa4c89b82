/**
 * Ten idle minutes, on a clock that the test moves: no rounds, a timer that is due fires on time, and then official agents
 * are served at once, over a real port.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CanisterStatus, HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import type { Principal as ClientPrincipal } from '@icp-sdk/core/principal';
import { sha256, toHex } from '../../src/codec/index.ts';
import { ANONYMOUS, type Ingress, Principal } from '../../src/model/index.ts';
import { Log, openNode, type PerdureNode } from '../../src/node/index.ts';
import { nodePlatform, SimulatedPlatform } from '../../src/platform/index.ts';
import { createNetwork } from '../../src/testing/index.ts';
import { assembled, decodedNumber, query, TALLY, update } from '../canisters/index.ts';

const MINUTE_MS = 60_000;
const TIMER_MS = 5_000;

interface Installed {
  readonly tally: ClientPrincipal;
  readonly steps: ClientPrincipal;
}

/** A network with two canisters that did all this an hour ago. */
async function prepared(stateDir: string): Promise<Installed> {
  await using network = await createNetwork({
    stateDir,
    startTime: new Date(Date.now() - 60 * MINUTE_MS),
    certificates: false,
  });
  const tally = await network.install(TALLY);
  const steps = await network.install(await assembled('steps'));
  await network.advanceTime({ minutes: 10 });
  return { tally, steps };
}

/** Hands a message to the engine as the gateway does. */
async function submit(
  node: PerdureNode,
  canister: ClientPrincipal,
  methodName: string,
  arg: Uint8Array,
): Promise<void> {
  const canisterId = Principal.fromBytes(canister.toUint8Array());
  const ingress: Ingress = {
    requestId: sha256(arg),
    sender: ANONYMOUS,
    canisterId,
    effectiveCanisterId: canisterId,
    methodName,
    arg,
    ingressExpiry: node.consensus.now() + 240_000_000_000n,
    sizeBytes: arg.length + 200,
  };
  assert.ok(node.consensus.submit(ingress));
  const requestId = toHex(ingress.requestId);
  await node.consensus.completion(requestId, MINUTE_MS);
  assert.equal(node.consensus.replica.state.ingressHistory.get(requestId)?.status.status, 'replied');
}

test('ten idle minutes, a timer, and an agent', async () => {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'perdure-idle-'));
  const { tally, steps } = await prepared(stateDir);
  const machine = new SimulatedPlatform(1);
  const { clock } = machine;
  // When all the idling is over, this clock says what the agent's clock says.
  clock.step(BigInt(Date.now() - 21 * MINUTE_MS) * 1_000_000n - clock.now());
  const node = await openNode({
    stateDir,
    platform: { clock, entropy: machine.entropy, disk: nodePlatform.disk, threads: nodePlatform.threads },
    listen: { host: '127.0.0.1', port: 0 },
    signing: 'here',
    log: new Log({ write: () => {}, level: 'error', json: false }),
    implementationVersion: 'test',
  });
  const { state } = node.consensus.replica;
  try {
    const ready = state.height;
    await clock.advance(10 * MINUTE_MS);
    assert.equal(state.height, ready, 'ten minutes without a round');

    // An operation of steps.wat: set the timer in so many milliseconds.
    const arg = new Uint8Array(24);
    arg[16] = 6;
    new DataView(arg.buffer).setUint32(20, TIMER_MS, true);
    await submit(node, steps, 'run', arg);
    const set = state.height;
    const setAt = state.time;
    await clock.advance(TIMER_MS - 100);
    assert.equal(state.height, set, 'not before it is due');
    await clock.advance(200);
    while (node.consensus.replica.busy) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(state.height > set, 'on time');
    assert.ok(state.time - setAt >= BigInt(TIMER_MS) * 1_000_000n);
    const fired = state.height;
    const timer = state.canisters.get(Principal.fromBytes(steps.toUint8Array()).key)?.globalTimer;
    assert.equal(timer, 0n, 'it has fired');
    await clock.advance(10 * MINUTE_MS);
    assert.equal(state.height, fired, 'ten more minutes without a round');

    clock.step(BigInt(Date.now()) * 1_000_000n - clock.now());
    const idle = state.height;
    const agent = HttpAgent.createSync({ host: node.url ?? '', rootKey: Uint8Array.from(node.rootKey) });
    const paths: CanisterStatus.Path[] = ['module_hash'];
    const status = await CanisterStatus.request({ canisterId: tally, agent, paths });
    assert.equal(status.get('module_hash'), Buffer.from(sha256(TALLY)).toString('hex'));
    assert.equal(state.height, idle + 1, 'one round for a certificate that is not stale');
    assert.equal(decodedNumber(await update(agent, tally, 'increment')), 1n);
    assert.equal(state.height, idle + 2);
    assert.equal(decodedNumber(await query(agent, tally, 'get')), 1n);
    await update(agent, tally, 'set', IDL.encode([IDL.Nat64], [41n]));
    assert.equal(decodedNumber(await query(agent, tally, 'get')), 41n);
  } finally {
    await node.stop();
    rmSync(stateDir, { recursive: true });
  }
});

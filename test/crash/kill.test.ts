/**
 * kill -9 at random moments of a write-heavy run: nothing acknowledged is missing, nothing is applied twice, and the log
 * executed again without interruption gives the same state hashes. PERDURE_CRASHES sets how often (default 20).
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpAgent } from '@icp-sdk/core/agent';
import type { Principal } from '@icp-sdk/core/principal';
import { assembled, deployed, EMPTY_ARGUMENT, query } from '../canisters/index.ts';
import { NetworkProcess } from '../network-process/index.ts';

const CRASHES = Number(process.env['PERDURE_CRASHES'] ?? 20);
const CLIENTS = 6;
/** Longest time under load before a kill. */
const LOAD_MS = 600;

/** What the clients did: which records they sent, and which of these were acknowledged. */
interface Ledger {
  readonly sent: Set<bigint>;
  readonly acknowledged: Set<bigint>;
  next: bigint;
}

async function crashes(count: number, args: readonly string[]): Promise<{ stateDir: string; ledger: Ledger }> {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'perdure-crash-'));
  const ledger: Ledger = { sent: new Set(), acknowledged: new Set(), next: 1n };
  let journal: Principal | undefined;
  for (let crash = 0; crash <= count; crash++) {
    await using network = await NetworkProcess.start({ stateDir, args });
    journal ??= await deployed(network.agent(), await assembled('journal'));
    check(await records(network, journal), ledger, crash);
    if (crash === count) {
      assert.equal(await network.stop(), 0);
      break;
    }
    const clients = Array.from({ length: CLIENTS }, () => load(network, journal as Principal, ledger));
    await sleep(Math.random() * LOAD_MS);
    await network.kill();
    await Promise.all(clients);
  }
  return { stateDir, ledger };
}

/** Verifying takes the clients longer than the network takes to answer; other tests do it. */
const trusting = (): Promise<boolean> => Promise.resolve(true);

/** Appends records one after the other until the network is gone. */
async function load(network: NetworkProcess, journal: Principal, ledger: Ledger): Promise<void> {
  const agent = HttpAgent.createSync({
    host: network.url,
    rootKey: Uint8Array.from(Buffer.from(network.ready.rootKey, 'hex')),
    // A request that was sent again would be another request, and rightly applied twice.
    retryTimes: 0,
  });
  for (;;) {
    const record = ledger.next++;
    ledger.sent.add(record);
    const arg = new Uint8Array(8);
    new DataView(arg.buffer).setBigUint64(0, record, true);
    try {
      await agent.update(journal, { methodName: 'append', arg }, { blsVerify: trusting });
      ledger.acknowledged.add(record);
    } catch {
      return;
    }
  }
}

async function records(network: NetworkProcess, journal: Principal): Promise<bigint[]> {
  const bytes = await query(network.agent(), journal, 'read', EMPTY_ARGUMENT);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 8 }, (_, index) => view.getBigUint64(index * 8, true));
}

function check(found: readonly bigint[], ledger: Ledger, crash: number): void {
  const present = new Set(found);
  assert.equal(present.size, found.length, `after crash ${crash} a record is there twice`);
  const missing = [...ledger.acknowledged].filter((record) => !present.has(record));
  assert.deepEqual(missing, [], `after crash ${crash} acknowledged records are missing`);
  const strange = found.filter((record) => !ledger.sent.has(record));
  assert.deepEqual(strange, [], `after crash ${crash} there are records that nobody sent`);
}

test(`${CRASHES} kills: nothing acknowledged is lost, nothing is applied twice`, async (t) => {
  const { stateDir, ledger } = await crashes(CRASHES, ['--checkpoint-rounds', '40']);
  t.diagnostic(`${ledger.acknowledged.size} acknowledged of ${ledger.sent.size} sent`);
  assert.ok(ledger.acknowledged.size > CRASHES);
  rmSync(stateDir, { recursive: true });
});

test('the whole log, executed again in one go, gives the same state hashes', async (t) => {
  // Without checkpoints the log reaches back to the genesis; opening compares the hash of every round.
  const { stateDir, ledger } = await crashes(Math.ceil(CRASHES / 5), ['--checkpoint-rounds', '1000000000']);
  t.diagnostic(`${ledger.acknowledged.size} acknowledged of ${ledger.sent.size} sent`);
  rmSync(stateDir, { recursive: true });
});

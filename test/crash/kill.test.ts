/**
 * kill -9 at random moments of a write-heavy run: nothing acknowledged is missing, nothing is applied twice, and the log of
 * all that, executed again without interruption, gives the same state hashes. PERDURE_CRASHES sets how often (default 20).
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpAgent } from '@icp-sdk/core/agent';
import type { Principal } from '@icp-sdk/core/principal';
import { assembled, deployed, EMPTY_ARGUMENT, query } from '../canisters/index.ts';
import { NetworkProcess, PERDURE } from '../network-process/index.ts';
import { finalState, firstDifference, GENESIS, readHistory, replay } from '../replay/index.ts';

const CRASHES = Number(process.env['PERDURE_CRASHES'] ?? 20);
const CLIENTS = 6;
/** Longest time under load before a kill. */
const LOAD_MS = 600;
/** One in so many starts is itself killed first, at a random moment of its first half second. */
const KILLED_STARTS = 4;
const STARTING_MS = 500;

/** What the clients did: which records they sent, and which of these were acknowledged. */
interface Ledger {
  readonly sent: Set<bigint>;
  readonly acknowledged: Set<bigint>;
  next: bigint;
}

/**
 * Keeps what the node removes from its state directory when it has a checkpoint: the genesis and all segments of the log.
 * A segment is the same file under a second name, so what is done to it at recovery is seen too.
 */
class Archive {
  readonly folder: string;
  readonly #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.folder = `${stateDir}-archive`;
  }

  /** To be called while the directory has its genesis still. */
  begin(): void {
    for (const name of ['PERDURE', 'node.key', 'subnet.key', path.join('checkpoints', GENESIS)])
      cpSync(path.join(this.#stateDir, name), path.join(this.folder, name));
    mkdirSync(path.join(this.folder, 'log'));
  }

  collect(): void {
    for (const name of readdirSync(path.join(this.#stateDir, 'log'))) {
      const copy = path.join(this.folder, 'log', name);
      if (name.endsWith('.log') && !existsSync(copy)) linkSync(path.join(this.#stateDir, 'log', name), copy);
    }
  }
}

interface Survived {
  readonly ledger: Ledger;
  readonly kills: number;
  readonly killedStarts: number;
}

async function survive(stateDir: string, archive: Archive): Promise<Survived> {
  const ledger: Ledger = { sent: new Set(), acknowledged: new Set(), next: 1n };
  const args = ['--checkpoint-rounds', '40'];
  let journal: Principal | undefined;
  let killedStarts = 0;
  for (let crash = 0; crash <= CRASHES; crash++) {
    if (crash > 0 && Math.random() * KILLED_STARTS < 1) {
      await killedStart(stateDir, args);
      killedStarts++;
    }
    await using network = await NetworkProcess.start({ stateDir, args });
    if (crash === 0) archive.begin();
    journal ??= await deployed(network.agent(), await assembled('journal'));
    check(await records(network, journal), ledger, crash);
    archive.collect();
    if (crash === CRASHES) {
      assert.equal(await network.stop(), 0);
      archive.collect();
      break;
    }
    const clients = Array.from({ length: CLIENTS }, () => load(network, journal as Principal, ledger));
    // Checkpoints keep a distance of seconds: no segment comes and goes unseen.
    const collecting = setInterval(() => archive.collect(), 100);
    await sleep(Math.random() * LOAD_MS);
    await network.kill();
    clearInterval(collecting);
    archive.collect();
    await Promise.all(clients);
  }
  return { ledger, kills: CRASHES, killedStarts };
}

/** Kills a process while it starts: recovery itself is interrupted. */
async function killedStart(stateDir: string, args: readonly string[]): Promise<void> {
  const command = [PERDURE, 'start', '--json', '--port', '0', '--state-dir', stateDir, ...args];
  const child = spawn(process.execPath, command, { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await sleep(Math.random() * STARTING_MS);
  child.kill('SIGKILL');
  await ended;
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

test(`${CRASHES} kills: nothing acknowledged is lost, nothing applied twice, and one run of the whole log ends the same`, async (t) => {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'perdure-crash-'));
  const archive = new Archive(stateDir);
  const { ledger, kills, killedStarts } = await survive(stateDir, archive);
  t.diagnostic(`${kills} kills under load, ${killedStarts} during a start`);
  t.diagnostic(`${ledger.acknowledged.size} acknowledged of ${ledger.sent.size} sent; none lost, none applied twice`);
  assert.ok(ledger.acknowledged.size > CRASHES);

  const history = await readHistory(archive.folder);
  const uninterrupted = await replay(history);
  const end = await finalState(stateDir);
  assert.equal(history.batches.length, end.height);
  assert.equal(uninterrupted.at(-1), end.hash, 'the interrupted and the uninterrupted run end in the same state');
  assert.equal(firstDifference(history.hashes, uninterrupted), undefined);
  t.diagnostic(
    `${end.height} rounds executed again from the genesis without interruption: the same state hash ${end.hash}`,
  );
  rmSync(stateDir, { recursive: true });
  rmSync(archive.folder, { recursive: true });
});

/** Files of a state directory that were damaged: the process says which and what to do, or goes on with what is whole. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Principal } from '@icp-sdk/core/principal';
import { decodedNumber, deployed, query, TALLY, update } from '../canisters/index.ts';
import { NetworkProcess, runCli } from '../network-process/index.ts';

/** What was acknowledged before the process was killed. */
const UPDATES = 12n;

let folder: string;
let original: string;
let tally: Principal;
let copies = 0;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'perdure-damage-'));
  original = path.join(folder, 'original');
  {
    await using network = await NetworkProcess.start({ stateDir: original });
    tally = await deployed(network.agent(), TALLY);
    for (let n = 0n; n < UPDATES / 2n; n++) await update(network.agent(), tally, 'increment');
    assert.equal(await network.stop(), 0);
  }
  await using network = await NetworkProcess.start({ stateDir: original });
  for (let n = UPDATES / 2n; n < UPDATES; n++) await update(network.agent(), tally, 'increment');
  await network.kill();
});
after(() => rmSync(folder, { recursive: true }));

type Damage = (file: string) => void;

const altered =
  (at: (size: number) => number): Damage =>
  (file) => {
    const bytes = readFileSync(file);
    const place = at(bytes.length);
    bytes[place] = (bytes[place] ?? 0) ^ 0x55;
    writeFileSync(file, bytes);
  };
const half = (size: number): number => Math.floor(size / 2);
const cut = (file: string): void => truncateSync(file, half(statSync(file).size));
const gone = (file: string): void => rmSync(file);

/** A copy of the state directory with the newest file of a folder damaged. */
function damagedCopy(
  damage: Damage,
  ...place: readonly string[]
): { readonly stateDir: string; readonly file: string } {
  const stateDir = path.join(folder, `copy-${copies++}`);
  cpSync(original, stateDir, { recursive: true });
  let file = path.join(stateDir, ...place);
  if (statSync(file).isDirectory()) file = path.join(file, readdirSync(file).sort().at(-1) ?? '');
  damage(file);
  return { stateDir, file };
}

function filesOf(stateDir: string): string[] {
  const names = readdirSync(stateDir, { recursive: true }) as string[];
  return names.filter((name) => !name.startsWith('lock')).sort();
}

async function refused(stateDir: string, named: string): Promise<string> {
  const before = filesOf(stateDir);
  const { code, stderr, stdout } = await runCli(['start', '--port', '0', '--state-dir', stateDir, '--json']);
  assert.equal(code, 4, stderr);
  assert.equal(stdout, '');
  const { error } = JSON.parse(stderr.trim().split('\n').at(-1) ?? '') as {
    readonly error: { readonly code: string; readonly what: string; readonly fix?: string };
  };
  assert.equal(error.code, 'state_unreadable');
  assert.ok(error.what.includes(named), `${error.what} does not name ${named}`);
  assert.match(error.fix ?? '', /restore the state directory/);
  assert.deepEqual(filesOf(stateDir), before, 'nothing was removed or made');
  return error.what;
}

for (const name of ['PERDURE', 'node.key', 'subnet.key'])
  test(`${name}: altered, cut short, gone`, async () => {
    for (const damage of [altered(half), cut, gone]) {
      const { stateDir, file } = damagedCopy(damage, name);
      await refused(stateDir, file);
    }
  });

test('the log: altered in the middle, cut short, gone', async () => {
  const inRecords = damagedCopy(
    altered(() => 400),
    'log',
  );
  assert.match(
    await refused(inRecords.stateDir, inRecords.file),
    /at offset \d+ is damaged.*breaks off after height \d+/,
  );
  const inHeader = damagedCopy(
    altered(() => 30),
    'log',
  );
  await refused(inHeader.stateDir, inHeader.file);
  const short = damagedCopy((file) => truncateSync(file, 700), 'log');
  assert.match(await refused(short.stateDir, short.file), /cut short to 700 bytes/);
  const missing = damagedCopy(gone, 'log');
  await refused(missing.stateDir, path.join(missing.stateDir, 'log'));
});

test('the newest checkpoint or what it needs: the one before and the log have everything still', async () => {
  for (const [place, damage] of [
    ['checkpoints', altered(half)],
    ['checkpoints', cut],
    ['modules', altered(half)],
    ['modules', gone],
    ['pages', cut],
    ['pages', gone],
  ] as const) {
    const { stateDir, file } = damagedCopy(damage, place);
    await using network = await NetworkProcess.start({ stateDir });
    assert.match(network.log, /is not used/);
    assert.ok(network.log.includes(file), `${network.log} does not name ${file}`);
    assert.equal(decodedNumber(await query(network.agent(), tally, 'get')), UPDATES);
    assert.equal(decodedNumber(await update(network.agent(), tally, 'increment')), UPDATES + 1n);
    assert.equal(await network.stop(), 0);
  }
});

test('all checkpoints', async () => {
  const { stateDir } = damagedCopy(altered(half), 'checkpoints');
  for (const name of readdirSync(path.join(stateDir, 'checkpoints')).slice(0, -1))
    cut(path.join(stateDir, 'checkpoints', name));
  await refused(stateDir, stateDir);
});

test('a page, which is read when it is needed: the error names the file all the same', async () => {
  // Pages begin at the first multiple of 4096.
  const damage = altered(() => 4096 + 10);
  const atStart = damagedCopy(damage, 'pages');
  await refused(atStart.stateDir, atStart.file);

  const later = damagedCopy(() => {}, 'pages');
  const clean = await NetworkProcess.start({ stateDir: later.stateDir });
  await clean.stop();
  const file = path.join(later.stateDir, 'pages', readdirSync(path.join(later.stateDir, 'pages')).sort().at(-1) ?? '');
  damage(file);
  await using network = await NetworkProcess.start({ stateDir: later.stateDir });
  await assert.rejects(update(network.agent(), tally, 'increment'));
  assert.equal(await network.ended, 4, 'it does not go on without the page');
  assert.ok(network.log.trim().split('\n').at(-1)?.includes(file));
});

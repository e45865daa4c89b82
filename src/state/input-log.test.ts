import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ANONYMOUS, type Batch, canisterIdFromNumber, MANAGEMENT_CANISTER } from '../model/index.ts';
import { SimulatedPlatform } from '../platform/index.ts';
import { ByteWriter } from './byte-cursor.ts';
import { InputLog, type OpenedLog } from './input-log.ts';
import { decodeBatch, decodeOutcome, encodeBatch, encodeOutcome, type Outcome } from './log-record.ts';
import { StateError } from './state-error.ts';

const NETWORK = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const OPTIONS = { aheadBytes: 1024, segmentBytes: 4096 };
const PLAIN = { noNullPrototype: true } as const;
const FOLDER = 'state/log';

function batch(height: number, argBytes = 10): Batch {
  return {
    height,
    protocolVersion: 1,
    registryVersion: 1,
    time: BigInt(height) * 1000n,
    randomness: new Uint8Array(32).fill(height),
    checkpoint: false,
    ingress: [
      {
        requestId: new Uint8Array(32).fill(height),
        sender: ANONYMOUS,
        canisterId: canisterIdFromNumber(BigInt(height)),
        effectiveCanisterId: canisterIdFromNumber(BigInt(height)),
        methodName: 'go',
        arg: new Uint8Array(argBytes).fill(0xaa),
        ingressExpiry: 5n,
        sizeBytes: 100,
      },
    ],
    operatorDecisions: [],
  };
}

function outcome(height: number): Outcome {
  return {
    height,
    stateHash: new Uint8Array(32).fill(height),
    canisterDigests: [['00000000000000010101', new Uint8Array(32).fill(height + 1)]],
  };
}

async function fresh(): Promise<{ platform: SimulatedPlatform; log: InputLog }> {
  const platform = new SimulatedPlatform(1);
  platform.disk.makeFolder(FOLDER);
  return { platform, log: await InputLog.create(platform.disk, FOLDER, NETWORK, 1, OPTIONS) };
}

function open(platform: SimulatedPlatform, after = 0): Promise<OpenedLog> {
  return InputLog.open(platform.disk, FOLDER, NETWORK, after, OPTIONS);
}

async function write(log: InputLog, from: number, to: number, sync = true): Promise<void> {
  for (let height = from; height <= to; height++) {
    log.appendBatch(batch(height));
    if (sync) await log.sync();
    log.appendOutcome(outcome(height));
  }
}

const heights = (opened: OpenedLog): number[] => opened.rounds.map((round) => round.batch.height);

function damaged(text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StateError && error.code === 'corrupt_file', String(error));
    assert.match(error.message, text);
    return true;
  };
}

describe('records', () => {
  test('batches and outcomes come back as they were', () => {
    const bytes = (max: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: max });
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const ingress = fc.record(
      {
        requestId: hash,
        sender: fc.constantFrom(ANONYMOUS, MANAGEMENT_CANISTER, canisterIdFromNumber(7n)),
        canisterId: fc.constantFrom(MANAGEMENT_CANISTER, canisterIdFromNumber(7n)),
        effectiveCanisterId: fc.constantFrom(canisterIdFromNumber(7n), canisterIdFromNumber(8n)),
        methodName: fc.string(),
        arg: bytes(100),
        ingressExpiry: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        sizeBytes: fc.nat(),
        nonce: bytes(32),
        senderInfo: fc.record({ info: bytes(20), signer: fc.constant(canisterIdFromNumber(9n)) }, PLAIN),
      },
      {
        noNullPrototype: true,
        requiredKeys: [
          'requestId',
          'sender',
          'canisterId',
          'effectiveCanisterId',
          'methodName',
          'arg',
          'ingressExpiry',
          'sizeBytes',
        ],
      },
    );
    const decision = fc.oneof(
      fc.record({ kind: fc.constant('skip_message' as const), canisterKey: fc.string(), reason: fc.string() }, PLAIN),
      fc.record(
        {
          kind: fc.constant('set_time_offset' as const),
          nanos: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        },
        PLAIN,
      ),
    );
    const batches = fc.record(
      {
        height: fc.nat(),
        protocolVersion: fc.nat(),
        registryVersion: fc.nat(),
        time: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        randomness: hash,
        checkpoint: fc.boolean(),
        ingress: fc.array(ingress, { maxLength: 4 }),
        operatorDecisions: fc.array(decision, { maxLength: 3 }),
      },
      PLAIN,
    );
    fc.assert(
      fc.property(batches, (original) => {
        const to = new ByteWriter(1);
        encodeBatch(original as Batch, to);
        assert.deepEqual(decodeBatch(original.height, to.bytes().slice()), original);
      }),
      { numRuns: 200 },
    );
    const to = new ByteWriter();
    encodeOutcome(outcome(4), to);
    assert.deepEqual(decodeOutcome(4, to.bytes()), outcome(4));
  });
});

describe('input log', () => {
  test('rounds come back in order, those above the height asked for', async () => {
    const { platform, log } = await fresh();
    await write(log, 1, 5);
    log.appendBatch(batch(6));
    await log.close();
    const opened = await open(platform, 2);
    assert.deepEqual(heights(opened), [3, 4, 5, 6]);
    assert.deepEqual(opened.rounds[0]?.batch, batch(3));
    assert.deepEqual(opened.rounds[2]?.outcome, outcome(5));
    assert.equal(opened.rounds[3]?.outcome, undefined);
    assert.equal(opened.tornBytes, 0);
    opened.log.appendOutcome(outcome(6));
    await write(opened.log, 7, 8);
    await opened.log.close();
    assert.deepEqual(heights(await open(platform, 2)), [3, 4, 5, 6, 7, 8]);
  });

  test('many appends share a sync, and a sync covers what was appended before it was asked for', async () => {
    const { platform, log } = await fresh();
    const before = platform.disk.operations;
    const syncs: Promise<void>[] = [];
    for (let height = 1; height <= 20; height++) {
      log.appendBatch(batch(height, 1));
      syncs.push(log.sync());
      log.appendOutcome(outcome(height));
    }
    await Promise.all(syncs);
    const writes = 40;
    assert.ok(platform.disk.operations - before - writes < 10, `${platform.disk.operations - before} operations`);
    platform.cutPower();
    assert.ok(heights(await open(platform)).length >= 20);
  });

  test('heights must follow each other', async () => {
    const { log } = await fresh();
    log.appendBatch(batch(1));
    assert.throws(() => log.appendBatch(batch(3)), /expects height 2/);
    assert.throws(() => log.appendOutcome(outcome(2)), /expects an outcome of height 1/);
  });

  test('segments follow each other; cutting keeps what is above the height', async () => {
    const { platform, log } = await fresh();
    for (let height = 1; height <= 60; height++) {
      await write(log, height, height);
      if (log.full) await log.rotate();
    }
    await log.rotate();
    const names = platform.disk.list(FOLDER) ?? [];
    assert.ok(names.length >= 3, names.join());
    log.cut(30);
    await log.close();
    await assert.rejects(open(platform, 5), damaged(/the log begins at height \d+, but the state is at height 5/));
    const opened = await open(platform, 30);
    assert.deepEqual(
      heights(opened),
      Array.from({ length: 30 }, (_, index) => 31 + index),
    );
    assert.ok((platform.disk.list(FOLDER) ?? []).length < names.length);
    opened.log.cut(60);
    assert.deepEqual(platform.disk.list(FOLDER)?.length, 1);
    assert.equal(opened.log.bytes, 0);
    await assert.rejects(open(platform, 61), damaged(/ends at height 60, before the checkpoint of height 61/));
  });

  test('a torn tail is cut off, whatever the power cut left of it', async () => {
    let torn = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const platform = new SimulatedPlatform(seed);
      platform.disk.makeFolder(FOLDER);
      const log = await InputLog.create(platform.disk, FOLDER, NETWORK, 1, OPTIONS);
      await write(log, 1, 3);
      await log.sync();
      for (let height = 4; height <= 6; height++) {
        log.appendBatch(batch(height, 600));
        log.appendOutcome(outcome(height));
      }
      platform.cutPower();
      const opened = await open(platform);
      assert.deepEqual(heights(opened).slice(0, 3), [1, 2, 3]);
      if (opened.tornBytes > 0) torn++;
      const next = heights(opened).length + 1;
      assert.equal(opened.log.lastHeight, next - 1);
      if (opened.rounds.at(-1)?.outcome === undefined) opened.log.appendOutcome(outcome(next - 1));
      await write(opened.log, next, next + 2);
      await opened.log.close();
      platform.cutPower();
      const again = await open(platform);
      assert.equal(again.tornBytes, 0);
      assert.equal(heights(again).length, next + 2);
    }
    assert.ok(torn > 10, `${torn} of 60 were torn`);
  });

  test('a changed byte anywhere is found: damage is named, a last record is cut, padding does not matter', async () => {
    const { platform, log } = await fresh();
    await write(log, 1, 6);
    await log.close();
    const path = `${FOLDER}/000000000001.log`;
    const content = platform.disk.read(path);
    const lastBatch = (await open(platform)).rounds.at(-1)?.place.match(/\d+$/)?.[0];
    const last = Number(lastBatch);
    let cut = 0;
    let named = 0;
    let harmless = 0;
    for (let at = 0; at < last + 340; at += 3) {
      platform.disk.damage(path, 0, content);
      platform.disk.damage(path, at, Uint8Array.of((content[at] ?? 0) ^ 0x41));
      try {
        const opened = await open(platform);
        if (opened.tornBytes > 0) {
          assert.ok(at >= last, `offset ${at} is not at the end, but was cut off`);
          assert.ok(heights(opened).length >= 5);
          cut++;
        } else harmless++;
        // Only padding, and what no checksum covers because it is behind the end.
        if (opened.tornBytes === 0) assert.deepEqual(heights(opened), [1, 2, 3, 4, 5, 6]);
      } catch (error) {
        assert.ok(error instanceof StateError, String(error));
        assert.ok(error.code === 'corrupt_file', error.message);
        assert.ok(error.message.includes(path), error.message);
        named++;
      }
    }
    assert.ok(named > 100 && cut > 10, `${named} named, ${cut} cut, ${harmless} harmless`);
    assert.ok(harmless < 30, `${harmless} harmless`);
  });

  test('cut short or missing segments are named', async () => {
    const { platform, log } = await fresh();
    for (let height = 1; height <= 60; height++) {
      await write(log, height, height);
      if (log.full) await log.rotate();
    }
    await log.close();
    const names = platform.disk.list(FOLDER) ?? [];
    const [first = '', second = '', third = ''] = names;
    const keep = platform.disk.read(`${FOLDER}/${first}`);
    for (const size of [0, 10, 64, 1000]) {
      platform.disk.cut(`${FOLDER}/${first}`, size);
      await assert.rejects(open(platform), damaged(/cut short/));
      platform.disk.damage(`${FOLDER}/${first}`, 0, keep);
    }
    platform.disk.cut(`${FOLDER}/${first}`, 2000);
    await assert.rejects(open(platform), damaged(/is damaged; the log breaks off/));
    platform.disk.damage(`${FOLDER}/${first}`, 0, keep);
    assert.equal(heights(await open(platform)).length, 60);
    platform.disk.remove(`${FOLDER}/${second}`);
    await assert.rejects(open(platform), damaged(new RegExp(`${third}.*a segment is missing`)));
    for (const name of names.slice(2)) platform.disk.remove(`${FOLDER}/${name}`);
    await assert.rejects(open(platform), damaged(new RegExp(`${first} says that another segment follows`)));
    platform.disk.remove(`${FOLDER}/${first}`);
    await assert.rejects(open(platform, 20), damaged(/the log is missing/));
  });

  test('segments of another network or layout are refused', async () => {
    const { platform, log } = await fresh();
    await log.close();
    await assert.rejects(
      InputLog.open(platform.disk, FOLDER, new Uint8Array(8), 0, OPTIONS),
      (error) => error instanceof StateError && error.code === 'not_a_state_directory',
    );
    const path = `${FOLDER}/000000000001.log`;
    const content = platform.disk.read(path);
    const view = new DataView(content.buffer);
    view.setUint32(8, 2, true);
    view.setUint32(60, platform.disk.crc32(content.subarray(0, 60)), true);
    platform.disk.damage(path, 0, content);
    await assert.rejects(open(platform), (error) => error instanceof StateError && error.code === 'wrong_version');
  });

  test('a message that looks like a record cannot turn a torn tail into damage', async () => {
    const { platform, log } = await fresh();
    await write(log, 1, 2);
    await log.close();
    const path = `${FOLDER}/000000000001.log`;
    const records = platform.disk.read(path).slice(64, 600);
    const other = new SimulatedPlatform(1);
    other.disk.makeFolder(FOLDER);
    const log2 = await InputLog.create(other.disk, FOLDER, Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9), 1, OPTIONS);
    const hostile = batch(1);
    log2.appendBatch({ ...hostile, ingress: [{ ...(hostile.ingress[0] as Batch['ingress'][0]), arg: records }] });
    await log2.close();
    // The beginning of the record is lost, the hostile bytes are there.
    other.disk.damage(path, 70, Uint8Array.of(0xff));
    const opened = await InputLog.open(other.disk, FOLDER, Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9), 0, OPTIONS);
    assert.ok(opened.tornBytes > 0);
    assert.equal(opened.rounds.length, 0);
  });

  test('after a failed sync every call fails', async () => {
    const { platform, log } = await fresh();
    log.appendBatch(batch(1));
    platform.disk.failSyncs = true;
    const failed = (error: unknown): boolean => error instanceof StateError && error.code === 'disk_failed';
    await assert.rejects(log.sync(), failed);
    platform.disk.failSyncs = false;
    await assert.rejects(log.sync(), failed);
    assert.throws(() => log.appendBatch(batch(2)), failed);
  });

  test('a full disk is said to be full', async () => {
    const { platform, log } = await fresh();
    platform.disk.full = true;
    assert.throws(
      () => log.appendBatch(batch(1)),
      (error) => error instanceof StateError && error.code === 'disk_failed' && /the disk is full/.test(error.message),
    );
  });
});

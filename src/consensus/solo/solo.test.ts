import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canisterIdFromNumber, type Ingress } from '../../model/index.ts';
import { SimulatedPlatform } from '../../platform/index.ts';
import { StateError } from '../../state/index.ts';
import { ConsensusError } from '../contract.ts';
import { idOf, MINUTE, message, open, ordeal, type Setting, settle } from './test-ordeal.ts';
import { CountingReplica } from './test-replica.ts';

describe('solo', () => {
  test('what arrives together shares a round; each is certified and completed', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica } = await open(platform, { ephemeral: true });
    const messages = Array.from({ length: 10 }, (_, number) => message(platform, number));
    const completions = messages.map((ingress) => {
      assert.equal(solo.submit(ingress), true);
      return solo.completion(idOf(ingress), 1000);
    });
    for (const completion of completions) assert.equal((await completion)?.height, 1);
    assert.equal(replica.batches.length, 1);
    assert.deepEqual(replica.applied(), messages.map(idOf));
    assert.equal((await solo.completion(idOf(messages[3] as Ingress), 1000))?.height, 1, 'asked for afterwards');
    await solo.stop();
  });

  test('no work, no rounds; a deadline is met on time', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica } = await open(platform, { ephemeral: true });
    await platform.clock.advance(600_000);
    assert.equal(replica.batches.length, 0);
    replica.deadline = platform.clock.now() + 5_000_000_000n;
    solo.wake();
    await platform.clock.advance(4_990);
    assert.equal(replica.batches.length, 0);
    await platform.clock.advance(20);
    assert.equal(replica.batches.length, 1);
    await platform.clock.advance(600_000);
    assert.equal(replica.batches.length, 1);
    await solo.stop();
  });

  test('while messages wait in the replica, rounds go on', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica } = await open(platform, { ephemeral: true });
    replica.busy = true;
    solo.wake();
    await settle();
    assert.ok(replica.batches.length > 3);
    replica.busy = false;
    await settle();
    const { length } = replica.batches;
    await settle();
    assert.equal(replica.batches.length, length);
    await solo.stop();
  });

  test('a message is taken once, wherever its first copy is', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica } = await open(platform, { ephemeral: true });
    const one = message(platform, 1);
    for (let copy = 0; copy < 3; copy++) assert.equal(solo.submit(one), true);
    await settle();
    assert.equal(solo.submit(one), true);
    const gate = Promise.withResolvers<void>();
    replica.gate = gate.promise;
    const two = message(platform, 2);
    solo.submit(two);
    await settle();
    assert.equal(solo.submit(two), true, 'during its round');
    gate.resolve();
    await settle();
    assert.deepEqual(replica.applied(), [idOf(one), idOf(two)]);
    await solo.stop();
  });

  test('the pool is bounded; a batch too; what has expired is not executed', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica } = await open(platform, { ephemeral: true, limits: { ingressPerBatch: 2 } });
    const gate = Promise.withResolvers<void>();
    replica.gate = gate.promise;
    solo.submit(message(platform, 0));
    await settle();
    let taken = 0;
    while (solo.submit(message(platform, 1 + taken))) taken++;
    assert.equal(taken, 32);
    platform.clock.step(6n * MINUTE);
    gate.resolve();
    await settle();
    assert.deepEqual(
      replica.batches.map((batch) => batch.ingress.length),
      [1, 0],
    );
    solo.submit(message(platform, 100));
    solo.submit(message(platform, 101));
    solo.submit(message(platform, 102));
    await settle();
    assert.deepEqual(
      replica.batches.slice(2).map((batch) => batch.ingress.length),
      [2, 1],
    );
    await solo.stop();
  });

  test('time rises even when the clock steps back, and follows it when it steps forward', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica } = await open(platform, { ephemeral: true });
    await solo.tick();
    platform.clock.step(-60n * MINUTE);
    await solo.tick();
    await solo.tick();
    platform.clock.step(120n * MINUTE);
    await solo.tick();
    const times = replica.batches.map((batch) => batch.time);
    const [first = 0n] = times;
    assert.deepEqual(
      times.map((time) => time - first),
      [0n, 1n, 2n, 60n * MINUTE],
    );
    await solo.stop();
  });

  test('one signature at a time, of the newest state', async () => {
    const platform = new SimulatedPlatform(1);
    const signing: PromiseWithResolvers<Uint8Array>[] = [];
    const { solo, replica } = await open(platform, {
      ephemeral: true,
      sign: () => {
        const next = Promise.withResolvers<Uint8Array>();
        signing.push(next);
        return next.promise;
      },
    });
    const messages = Array.from({ length: 5 }, (_, number) => message(platform, number));
    const completions: Promise<unknown>[] = [];
    for (const ingress of messages) {
      solo.submit(ingress);
      completions.push(solo.completion(idOf(ingress), 60_000));
      await settle();
    }
    assert.equal(replica.batches.length, 5);
    assert.equal(signing.length, 1);
    assert.equal(solo.certified(), undefined);
    signing[0]?.resolve(new Uint8Array(48));
    await settle();
    assert.equal(solo.certified()?.height, 0);
    assert.equal(signing.length, 2);
    signing[1]?.resolve(new Uint8Array(48));
    await Promise.all(completions);
    assert.equal(solo.certified()?.height, 5);
    await solo.stop();
  });

  test('a completion that does not come gives undefined after its time', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo } = await open(platform, { ephemeral: true });
    const waiting = solo.completion('00'.repeat(32), 10_000);
    await platform.clock.advance(10_000);
    assert.equal(await waiting, undefined);
    await solo.stop();
  });

  test('a read refreshes a certificate that is too old, with one tick for all who ask', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica } = await open(platform, { ephemeral: true });
    await solo.tick();
    const present = await solo.refresh(60_000);
    assert.equal(present.height, 1);
    await platform.clock.advance(61_000);
    const [a, b] = await Promise.all([solo.refresh(60_000), solo.refresh(60_000)]);
    assert.equal(a.height, 2);
    assert.equal(b.height, 2);
    assert.equal(replica.batches.length, 2);
    assert.equal((await solo.refresh(60_000)).height, 2);
    await solo.stop();
  });

  test('nothing is acknowledged before it is durable', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica } = await open(platform);
    await settle();
    platform.disk.holdSyncs = true;
    const ingress = message(platform, 1);
    solo.submit(ingress);
    let certified = false;
    let durable = false;
    const completion = solo.completion(idOf(ingress), 60_000).then(() => {
      certified = true;
    });
    const reached = solo.durable(1).then(() => {
      durable = true;
    });
    await settle();
    assert.equal(replica.batches.length, 1, 'executed beside the sync');
    assert.equal(certified || durable, false);
    assert.equal(solo.certified()?.height, 0);
    platform.disk.holdSyncs = false;
    await Promise.all([completion, reached]);
    await solo.stop();
  });

  test('rounds do not run away from the disk', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica } = await open(platform);
    await settle();
    platform.disk.holdSyncs = true;
    for (let number = 0; number < 6; number++) {
      solo.submit(message(platform, number));
      await settle();
    }
    assert.equal(replica.batches.length, 2);
    platform.disk.holdSyncs = false;
    await settle();
    assert.equal(replica.applied().length, 6);
    assert.equal(replica.batches.length, 3);
    await solo.stop();
  });

  test('a failing sync ends the engine: nothing is acknowledged, everybody is told, nothing is taken', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, faults } = await open(platform);
    await settle();
    platform.disk.failSyncs = true;
    const ingress = message(platform, 1);
    solo.submit(ingress);
    const failed = (error: unknown): boolean => error instanceof StateError && error.code === 'disk_failed';
    await Promise.all([
      assert.rejects(solo.completion(idOf(ingress), 60_000), failed),
      assert.rejects(solo.durable(1), failed),
      assert.rejects(solo.tick(), failed),
    ]);
    assert.equal(faults.length, 1);
    assert.equal(solo.submit(message(platform, 2)), false);
    await assert.rejects(solo.refresh(0), failed);
    await assert.rejects(solo.stop(), failed);
    assert.equal(solo.certified()?.height, 0);
  });

  test('a host fault ends the engine with height and reason', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo, replica, faults } = await open(platform, { ephemeral: true });
    replica.execute = () => Promise.reject(new Error('V8 refused'));
    await assert.rejects(
      solo.tick(),
      (error) =>
        error instanceof ConsensusError && error.code === 'host_fault' && /height 1.*V8 refused/.test(error.message),
    );
    assert.equal(faults.length, 1);
  });

  test('stopping answers those who wait, then refuses', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo } = await open(platform);
    const ingress = message(platform, 1);
    solo.submit(ingress);
    const completion = solo.completion(idOf(ingress), 60_000);
    await new Promise((done) => setImmediate(done));
    const stopped = solo.stop();
    assert.equal(solo.submit(message(platform, 2)), false);
    assert.equal((await completion)?.height, 1);
    await stopped;
    await assert.rejects(solo.tick(), (error) => error instanceof ConsensusError && error.code === 'stopped');
  });
});

describe('solo, opened again', () => {
  test('after a clean stop nothing is executed again', async () => {
    const platform = new SimulatedPlatform(1);
    const first = await open(platform);
    for (let number = 0; number < 20; number++) {
      first.solo.submit(message(platform, number));
      await settle();
    }
    await first.solo.stop();
    const second = await open(platform);
    assert.equal(second.replayed, 0);
    assert.deepEqual(second.replica.state.stateHash, first.replica.state.stateHash);
    assert.deepEqual(second.replica.applied(), first.replica.applied());
    const done = await second.solo.completion(idOf(message(platform, 3)), 1000);
    assert.equal(done?.height, first.replica.state.height);
    await second.solo.stop();
    await (await open(platform)).solo.stop();
  });

  test('after a kill the log is executed again', async () => {
    const platform = new SimulatedPlatform(1);
    const first = await open(platform, { limits: { checkpointRounds: 7 } });
    for (let number = 0; number < 20; number++) {
      first.solo.submit(message(platform, number));
      await settle();
    }
    platform.kill();
    const second = await open(platform);
    assert.equal(second.replayed, 6);
    assert.deepEqual(second.replica.state.stateHash, first.replica.state.stateHash);
    assert.deepEqual(second.replica.applied(), first.replica.applied());
    await second.solo.stop();
  });

  test('checkpoints keep their distance, unless the log grows long', async () => {
    const checkpoints = async (setting: Setting): Promise<number> => {
      const platform = new SimulatedPlatform(1);
      const { solo, replica } = await open(platform, setting);
      for (let number = 0; number < 40; number++) {
        solo.submit(message(platform, number));
        await settle();
        await platform.clock.advance(10);
      }
      await solo.stop();
      return replica.batches.filter((batch) => batch.checkpoint).length;
    };
    const limits = { checkpointRounds: 5 };
    assert.equal(await checkpoints({ limits }), 8);
    assert.equal(await checkpoints({ limits, checkpointSpacingMs: 200 }), 2);
    const short = await checkpoints({ limits: { ...limits, checkpointLogBytes: 2000 }, checkpointSpacingMs: 200 });
    assert.ok(short > 4, `${short}`);
  });

  test('when the newest checkpoint is damaged, the one before and the log give the same state', async () => {
    const platform = new SimulatedPlatform(1);
    const first = await open(platform, { limits: { checkpointRounds: 5 } });
    for (let number = 0; number < 18; number++) {
      first.solo.submit(message(platform, number));
      await settle();
    }
    await first.solo.stop();
    platform.disk.damage('state/checkpoints/000000000018.checkpoint', 80, Uint8Array.of(1, 2, 3));
    const second = await open(platform);
    assert.match(second.notices[0] ?? '', /height 18 is not used/);
    assert.equal(second.replayed, 3);
    assert.deepEqual(second.replica.state.stateHash, first.replica.state.stateHash);
    assert.deepEqual(second.replica.applied(), first.replica.applied());
    await second.solo.stop();
    const third = await open(platform);
    assert.deepEqual([third.replayed, third.notices], [0, []]);
    await third.solo.stop();
  });

  test('a checkpoint that cannot be written ends the engine; what was acknowledged is there afterwards', async () => {
    const platform = new SimulatedPlatform(1);
    const first = await open(platform, { limits: { checkpointRounds: 5 } });
    const ingress = message(platform, 1);
    first.solo.submit(ingress);
    assert.equal((await first.solo.completion(idOf(ingress), 1000))?.height, 1);
    platform.disk.full = true;
    const second = message(platform, 2);
    first.solo.submit(second);
    await first.solo.completion(idOf(second), 1000).catch(() => undefined);
    await assert.rejects(
      first.solo.stop(),
      (error) => error instanceof StateError && error.code === 'disk_failed' && /full|space/.test(error.message),
    );
    assert.equal(first.faults.length, 1);
    platform.disk.full = false;
    const again = await open(platform);
    assert.ok(again.replica.applied().includes(idOf(ingress)));
    await again.solo.stop();
  });

  test('a second process is told who is there', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo } = await open(platform);
    await assert.rejects(
      open(platform),
      (error) => error instanceof StateError && error.code === 'in_use' && /process 1 /.test(error.message),
    );
    await solo.stop();
  });

  test('a different outcome is reported with height and canister', async () => {
    const platform = new SimulatedPlatform(1);
    const { solo } = await open(platform);
    for (let number = 0; number < 3; number++) {
      solo.submit(message(platform, number));
      await settle();
    }
    platform.kill();
    const original = CountingReplica.prototype.execute;
    try {
      CountingReplica.prototype.execute = async function (batch) {
        const outcome = await original.call(this, batch);
        if (batch.height !== 2) return outcome;
        return {
          ...outcome,
          stateHash: new Uint8Array(32),
          canisterDigests: outcome.canisterDigests.map(([key]) => [key, new Uint8Array(32)] as const),
        };
      };
      await assert.rejects(
        open(platform),
        (error) =>
          error instanceof StateError &&
          error.code === 'diverged' &&
          error.height === 2 &&
          error.message.includes(canisterIdFromNumber(1n).key),
      );
    } finally {
      CountingReplica.prototype.execute = original;
    }
    const again = await open(platform);
    assert.equal(again.replayed, 3);
    await again.solo.stop();
  });
});

describe('solo under power cuts', () => {
  test('at every operation of a run', async () => {
    const operations = await ordeal(1, []);
    assert.ok(operations > 60, `${operations} operations`);
    for (let crashAt = 1; crashAt <= operations; crashAt += 1) await ordeal(crashAt, [crashAt]);
  });

  test('several times in a row, also while recovering', async () => {
    for (let seed = 1; seed <= 25; seed++)
      await ordeal(seed, [10 + ((seed * 37) % 80), 1 + ((seed * 11) % 40), 1 + ((seed * 53) % 90)]);
  });
});

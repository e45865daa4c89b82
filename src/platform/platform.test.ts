/** One suite for all platforms, then what only the simulated one promises. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, describe, test } from 'node:test';
import { DiskError, nodePlatform, type Platform, SimulatedCrash, SimulatedPlatform } from './index.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content);

const temporary = mkdtempSync(`${tmpdir()}/perdure-platform-`);
after(() => rmSync(temporary, { recursive: true }));

comply('node', () => ({
  platform: nodePlatform,
  root: temporary,
  wait: (ms) => new Promise((done) => setTimeout(done, ms)),
}));
comply('simulated', () => {
  const platform = new SimulatedPlatform(1);
  platform.disk.makeFolder('root');
  return { platform, root: 'root', wait: (ms) => platform.clock.advance(ms) };
});

function comply(
  name: string,
  make: () => { platform: Platform; root: string; wait: (ms: number) => Promise<void> },
): void {
  describe(`platform ${name}`, () => {
    const { platform, root, wait } = make();
    const { disk, clock } = platform;

    test('files: create, write, read, truncate, sync', async () => {
      const folder = `${root}/files/deep`;
      disk.makeFolder(folder);
      disk.makeFolder(folder);
      const file = disk.create(`${folder}/a`);
      assert.equal(file.sizeBytes(), 0);
      file.write(3, bytes('hello'));
      await file.sync();
      assert.equal(file.sizeBytes(), 8);
      assert.deepEqual(disk.read(`${folder}/a`), Uint8Array.of(0, 0, 0, ...bytes('hello')));
      const into = new Uint8Array(4);
      assert.equal(file.readInto(4, into), true);
      assert.equal(text(into), 'ello');
      assert.equal(file.readInto(5, into), false);
      file.truncate(4);
      file.truncate(6);
      assert.deepEqual(disk.read(`${folder}/a`), Uint8Array.of(0, 0, 0, 0x68, 0, 0));
      file.close();
      const reader = disk.open(`${folder}/a`, 'read');
      assert.throws(() => reader.write(0, bytes('x')), DiskError);
      reader.close();
      const writer = disk.open(`${folder}/a`, 'write');
      writer.write(0, bytes('abc'));
      writer.close();
      assert.equal(text(disk.read(`${folder}/a`).subarray(0, 3)), 'abc');
      await disk.syncFolder(folder);
    });

    test('names: list, rename over, remove, errors with codes', () => {
      const folder = `${root}/names`;
      assert.equal(disk.list(folder), undefined);
      disk.makeFolder(folder);
      assert.deepEqual(disk.list(folder), []);
      for (const name of ['b', 'a', 'c']) {
        const file = disk.create(`${folder}/${name}`);
        file.write(0, bytes(name));
        file.close();
      }
      assert.deepEqual(disk.list(folder), ['a', 'b', 'c']);
      disk.rename(`${folder}/a`, `${folder}/c`);
      assert.equal(text(disk.read(`${folder}/c`)), 'a');
      disk.remove(`${folder}/b`);
      disk.remove(`${folder}/b`);
      assert.deepEqual(disk.list(folder), ['c']);
      const code = (action: () => unknown): string => {
        try {
          action();
        } catch (error) {
          if (error instanceof DiskError) return error.code;
          throw error;
        }
        return 'none';
      };
      assert.equal(
        code(() => disk.open(`${folder}/b`, 'read')),
        'not_found',
      );
      assert.equal(
        code(() => disk.read(`${folder}/b`)),
        'not_found',
      );
      assert.equal(
        code(() => disk.create(`${folder}/c`)),
        'exists',
      );
      assert.equal(
        code(() => disk.create(`${folder}/nowhere/c`)),
        'not_found',
      );
      assert.equal(
        code(() => disk.makeFolder(`${folder}/c`)),
        'exists',
      );
      assert.equal(
        code(() => disk.makeFolder(`${folder}/c/d`)),
        'not_found',
      );
    });

    test('an open file survives its removal', () => {
      disk.makeFolder(`${root}/removed`);
      const file = disk.create(`${root}/removed/a`);
      file.write(0, bytes('kept'));
      disk.remove(`${root}/removed/a`);
      const into = new Uint8Array(4);
      assert.equal(file.readInto(0, into), true);
      assert.equal(text(into), 'kept');
      file.close();
    });

    test('secret files are for the owner only', () => {
      disk.makeFolder(`${root}/secrets`);
      disk.create(`${root}/secrets/key`, { secret: true }).close();
      disk.create(`${root}/secrets/note`).close();
      assert.equal(disk.exposed(`${root}/secrets/key`), false);
      assert.equal(disk.exposed(`${root}/secrets/note`), true);
      assert.ok(disk.freeBytes(root) > 0);
    });

    test('a folder has one owner at a time, and names it to others', () => {
      const folder = `${root}/locked`;
      disk.makeFolder(folder);
      const lock = disk.lock(folder, 'process 17');
      assert.throws(
        () => disk.lock(folder, 'process 18'),
        (error) => error instanceof DiskError && error.code === 'locked' && error.owner === 'process 17',
      );
      lock.release();
      disk.lock(folder, 'process 18').release();
    });

    test('clock: now is plausible, monotonic time passes, timers fire once or never', async () => {
      assert.ok(clock.now() > 1_700_000_000_000_000_000n);
      const before = clock.monotonicMs();
      const fired: string[] = [];
      clock.after(20, () => fired.push('late'));
      clock.after(1, () => fired.push('early'));
      clock.after(2, () => fired.push('never')).cancel();
      clock.soon(() => fired.push('soon'));
      await wait(60);
      assert.deepEqual(fired, ['soon', 'early', 'late']);
      assert.ok(clock.monotonicMs() - before >= 20);
    });

    test('entropy differs; checksums are those of zlib', () => {
      assert.notDeepEqual(platform.entropy.bytes(32), platform.entropy.bytes(32));
      assert.equal(disk.crc32(bytes('123456789')), 0xcbf43926);
      assert.equal(disk.crc32(bytes('6789'), disk.crc32(bytes('12345'))), 0xcbf43926);
    });
  });
}

test('the lock of a process that was killed is free', async () => {
  const folder = `${temporary}/killed`;
  nodePlatform.disk.makeFolder(folder);
  const program = `import { nodePlatform } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    nodePlatform.disk.lock(${JSON.stringify(folder)}, 'process ' + process.pid);
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  assert.throws(
    () => nodePlatform.disk.lock(folder, 'me'),
    (error) => error instanceof DiskError && error.code === 'locked' && error.owner === `process ${child.pid}`,
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  nodePlatform.disk.lock(folder, 'me').release();
});

describe('threads', () => {
  const module = (source: string): URL => new URL(`data:text/javascript,${encodeURIComponent(source)}`);

  test('a thread gets its data, answers, and ends when told to', async () => {
    const thread = nodePlatform.threads.start(
      module(`import { parentPort, workerData } from 'node:worker_threads';
        parentPort.on('message', (number) => parentPort.postMessage(number * workerData.factor));`),
      { data: { factor: 7 }, name: 'multiplier', stackMiB: 8 },
    );
    const answer = Promise.withResolvers<unknown>();
    thread.listen(answer.resolve, answer.reject);
    thread.post(6);
    assert.equal(await answer.promise, 42);
    await thread.stop();
  });

  test('what a thread throws is told', async () => {
    const thread = nodePlatform.threads.start(module('throw new Error("no thread today")'));
    const failed = Promise.withResolvers<Error>();
    thread.listen(() => undefined, failed.resolve);
    assert.match((await failed.promise).message, /no thread today/);
    await thread.stop();
  });
});

describe('simulated faults', () => {
  test('a power cut keeps what was synced and any part of the rest, by sectors', async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 40; seed++) {
      const platform = new SimulatedPlatform(seed);
      platform.disk.makeFolder('d');
      const file = platform.disk.create('d/a');
      file.write(0, bytes('sure'));
      await file.sync();
      await platform.disk.syncFolder('d');
      file.write(512, new Uint8Array(1024).fill(1));
      platform.disk.create('d/b');
      platform.cutPower();
      const left = platform.disk.read('d/a');
      assert.equal(text(left.subarray(0, 4)), 'sure');
      seen.add(`${left.length} ${left[512]} ${left[1024]} ${platform.disk.list('d')?.join()}`);
      assert.throws(() => file.write(0, bytes('x')), SimulatedCrash);
    }
    assert.ok(seen.size > 4, [...seen].join('; '));
  });

  test('a killed process loses nothing that it wrote', () => {
    const platform = new SimulatedPlatform(1);
    platform.disk.makeFolder('d');
    platform.disk.create('d/a').write(0, bytes('unsynced'));
    platform.disk.rename('d/a', 'd/b');
    platform.kill();
    assert.equal(text(platform.disk.read('d/b')), 'unsynced');
  });

  test('a crash can be placed at every operation; the same seed leaves the same disk', async () => {
    const run = async (crashAt: number): Promise<{ done: number; left: string }> => {
      const platform = new SimulatedPlatform(7);
      platform.disk.crashAt = crashAt;
      try {
        platform.disk.makeFolder('d');
        const file = platform.disk.create('d/a');
        file.write(0, new Uint8Array(4096).fill(7));
        await file.sync();
        await platform.disk.syncFolder('d');
      } catch (error) {
        assert.ok(error instanceof SimulatedCrash);
      }
      const done = platform.disk.operations;
      platform.cutPower();
      const names = platform.disk.list('d') ?? [];
      return { done, left: names.map((name) => `${name} ${platform.disk.read(`d/${name}`)}`).join() };
    };
    for (let crashAt = 1; crashAt <= 5; crashAt++) {
      const first = await run(crashAt);
      assert.equal(first.done, crashAt);
      assert.deepEqual(await run(crashAt), first);
    }
    assert.equal((await run(6)).left.startsWith('a 7,7'), true);
  });

  test('syncs fail, hang and go on when told to; a full disk refuses writes', async () => {
    const { disk } = new SimulatedPlatform(1);
    disk.makeFolder('d');
    const file = disk.create('d/a');
    disk.failSyncs = true;
    await assert.rejects(file.sync(), (error) => error instanceof DiskError && error.code === 'io');
    disk.failSyncs = false;
    disk.holdSyncs = true;
    let done = false;
    const syncing = file.sync().then(() => {
      done = true;
    });
    await new Promise((turn) => setImmediate(turn));
    assert.equal(done, false);
    disk.holdSyncs = false;
    await syncing;
    disk.full = true;
    assert.throws(
      () => file.write(0, bytes('x')),
      (error) => error instanceof DiskError && error.code === 'full',
    );
  });

  test('the clock steps either way while monotonic time does not', async () => {
    const { clock } = new SimulatedPlatform(1);
    const before = clock.now();
    clock.step(-5_000_000_000n);
    assert.equal(clock.now(), before - 5_000_000_000n);
    assert.equal(clock.monotonicMs(), 0);
    await clock.advance(1.5);
    assert.equal(clock.now(), before - 4_998_500_000n);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SimulatedPlatform } from '../platform/index.ts';
import { StateDirectory } from './state-directory.ts';
import { StateError, type StateErrorCode } from './state-error.ts';

const encoder = new TextEncoder();

function open(platform: SimulatedPlatform, notices: string[] = [], path = 'state'): Promise<StateDirectory> {
  return StateDirectory.open({
    disk: platform.disk,
    entropy: platform.entropy,
    path,
    owner: '{"pid":4711}',
    pause: () => Promise.resolve(),
    notice: (text) => notices.push(text),
  });
}

function fails(code: StateErrorCode, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StateError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, text);
    return true;
  };
}

describe('state directory', () => {
  test('is created, recognised again, and kept by its owner', async () => {
    const platform = new SimulatedPlatform(1);
    const first = await open(platform);
    const { network } = first;
    await assert.rejects(open(platform), fails('in_use', /in use by process 4711 .*--state-dir/));
    first.close();
    platform.cutPower();
    const second = await open(platform);
    assert.deepEqual(second.network, network);
    assert.deepEqual(platform.disk.list('state'), ['PERDURE', 'checkpoints', 'log', 'modules', 'pages']);
  });

  test('keys are made once, secret and checked', async () => {
    const platform = new SimulatedPlatform(1);
    const directory = await open(platform);
    const node = await directory.key('node');
    const subnet = await directory.key('subnet');
    assert.equal(node.length, 32);
    assert.notDeepEqual(node, subnet);
    directory.close();
    platform.cutPower();
    const notices: string[] = [];
    const again = await open(platform, notices);
    assert.deepEqual(await again.key('node'), node);
    assert.deepEqual(await again.key('subnet'), subnet);
    assert.deepEqual(notices, []);
    const path = 'state/node.key';
    const text = platform.disk.read(path);
    for (const at of [3, 15, 40, 90]) {
      platform.disk.damage(path, at, Uint8Array.of((text[at] ?? 0) ^ 1));
      await assert.rejects(again.key('node'), fails('corrupt_file', /node\.key: it is damaged/));
      platform.disk.damage(path, 0, text);
    }
    platform.disk.remove(path);
    const open_ = platform.disk.create(path);
    open_.write(0, text);
    assert.deepEqual(await again.key('node'), node);
    assert.match(notices[0] ?? '', /node\.key can be read by others.*chmod 600/);
  });

  test('a lost key of a network that lives is not replaced in silence', async () => {
    const platform = new SimulatedPlatform(1);
    const directory = await open(platform);
    await directory.key('subnet');
    platform.disk.create('state/checkpoints/000000000000.checkpoint');
    platform.disk.remove('state/subnet.key');
    await assert.rejects(directory.key('subnet'), fails('corrupt_file', /subnet\.key: it is missing/));
  });

  test('a newer layout, damage, and a folder of something else are refused', async () => {
    const platform = new SimulatedPlatform(1);
    (await open(platform)).close();
    const path = 'state/PERDURE';
    const text = platform.disk.read(path);
    platform.disk.damage(path, 0, encoder.encode('perdure-state-directory\nlayout 7\n'));
    await assert.rejects(open(platform), fails('wrong_version', /newer release.*layout 7.*--state-dir/));
    platform.disk.damage(path, 0, text);
    platform.disk.damage(path, 45, Uint8Array.of(0x30, 0x30, 0x30));
    await assert.rejects(open(platform), fails('corrupt_file', /PERDURE: it is damaged/));
    platform.disk.damage(path, 0, text);
    (await open(platform)).close();
    const file = new SimulatedPlatform(1);
    file.disk.makeFolder('home');
    file.disk.create('home/state');
    await assert.rejects(open(file, [], 'home/state'), fails('not_a_state_directory', /is a file.*--state-dir/));
    const other = new SimulatedPlatform(1);
    other.disk.makeFolder('state');
    other.disk.create('state/thesis.tex');
    await assert.rejects(open(other), fails('not_a_state_directory', /not empty.*--state-dir/));
  });

  test('what was begun and never finished is removed', async () => {
    const platform = new SimulatedPlatform(1);
    (await open(platform)).close();
    for (const name of ['node.key', 'log/000000000001.log', 'pages/000000000001.pages'])
      platform.disk.create(`state/${name}.temporary`);
    (await open(platform)).close();
    assert.deepEqual(platform.disk.list('state/log'), []);
    assert.deepEqual(platform.disk.list('state/pages'), []);
    assert.equal(platform.disk.list('state')?.includes('node.key.temporary'), false);
  });

  test('a failing device is reported as such', async () => {
    const platform = new SimulatedPlatform(1);
    platform.disk.failSyncs = true;
    await assert.rejects(open(platform), fails('disk_failed', /Check the device/));
    platform.disk.failSyncs = false;
    (await open(platform)).close();
  });
});

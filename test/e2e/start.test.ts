/** The process that users start: ready line, clean stop, and what it says when it cannot start. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { decodedNumber, deployed, query, TALLY, update } from '../canisters/index.ts';
import { NetworkProcess, runCli } from '../network-process/index.ts';

test('the ready line says where, with which key, and who', async () => {
  await using network = await NetworkProcess.start();
  assert.deepEqual(Object.keys(network.ready).sort(), ['event', 'pid', 'rootKey', 'url']);
  assert.match(network.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(network.ready.rootKey.length, 266);
  assert.equal(network.ready.pid, network.child.pid);
  assert.equal((await fetch(`${network.url}/health`)).status, 200);
  assert.match(await (await fetch(`${network.url}/metrics`)).text(), /^perdure_height /m);
});

test('Ctrl-C and SIGTERM stop cleanly, and what was there is there again', async () => {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'perdure-stop-'));
  try {
    const first = await NetworkProcess.start({ stateDir });
    const tally = await deployed(first.agent(), TALLY);
    await update(first.agent(), tally, 'increment');
    assert.equal(await first.stop('SIGINT'), 0);
    const second = await NetworkProcess.start({ stateDir });
    assert.equal(second.ready.rootKey, first.ready.rootKey);
    assert.equal(decodedNumber(await query(second.agent(), tally, 'get')), 1n);
    assert.equal(await second.stop('SIGTERM'), 0);
    for (const file of readdirSync(stateDir).filter((name) => name.endsWith('.key')))
      assert.equal(statSync(path.join(stateDir, file)).mode & 0o077, 0, file);
  } finally {
    rmSync(stateDir, { recursive: true });
  }
});

test('an ephemeral network writes nothing', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'perdure-ephemeral-'));
  try {
    const started = await runCli(['start', '--ephemeral', '--state-dir', 'x'], { cwd: folder });
    assert.equal(started.code, 2);
    assert.match(started.stderr, /--ephemeral and --state-dir exclude each other/);
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a port in use, a state directory in use: the error names who and what to do', async () => {
  await using network = await NetworkProcess.start();
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.on('listening', resolve));
  try {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? String(address.port) : '';
    const taken = await runCli(['start', '--ephemeral', '--port', port, '--json']);
    assert.equal(taken.code, 4);
    assert.equal(taken.stdout, '');
    const { error } = JSON.parse(taken.stderr.trim().split('\n').at(-1) ?? '') as {
      readonly error: Readonly<Record<string, string>>;
    };
    assert.equal(error['code'], 'port_in_use');
    assert.match(error['what'] ?? '', new RegExp(port));
    assert.match(error['fix'] ?? '', /--port/);
  } finally {
    server.close();
  }
  const inUse = await runCli(['start', '--port', '0', '--state-dir', network.stateDir]);
  assert.equal(inUse.code, 4);
  assert.match(inUse.stderr, new RegExp(`\\b${network.ready.pid}\\b`));
  assert.match(inUse.stderr, /--state-dir/);
});

test('a state directory of a newer version is refused untouched', async () => {
  const network = await NetworkProcess.start({ stateDir: mkdtempSync(path.join(tmpdir(), 'perdure-newer-')) });
  const { stateDir } = network;
  try {
    await network.stop();
    const file = path.join(stateDir, 'PERDURE');
    const newer = readFileSync(file, 'utf8').replace(/^layout 1$/m, 'layout 99');
    writeFileSync(file, newer);
    const started = await runCli(['start', '--port', '0', '--state-dir', stateDir]);
    assert.equal(started.code, 4);
    assert.match(started.stderr, /newer release/);
    assert.equal(readFileSync(file, 'utf8'), newer);
  } finally {
    rmSync(stateDir, { recursive: true });
  }
});

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CliError } from './cli-error.ts';
import { createIdentity, currentIdentityName, identityNames, loadIdentity, useIdentity } from './identity-store.ts';

const previous = process.env['PERDURE_CONFIG_DIR'];
let folder = '';
before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'perdure-identity-'));
  process.env['PERDURE_CONFIG_DIR'] = folder;
});
after(() => {
  if (previous === undefined) delete process.env['PERDURE_CONFIG_DIR'];
  else process.env['PERDURE_CONFIG_DIR'] = previous;
  rmSync(folder, { recursive: true });
});

test('the default identity appears when it is needed, and stays the same', async () => {
  assert.deepEqual(identityNames(), ['anonymous']);
  const first = (await loadIdentity(undefined)).getPrincipal().toText();
  assert.equal((await loadIdentity('default')).getPrincipal().toText(), first);
  assert.deepEqual(identityNames(), ['anonymous', 'default']);
  const file = path.join(folder, 'identity', 'default.pem');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, 'utf8'), /^-----BEGIN PRIVATE KEY-----/);
});

test('identities are made, chosen and not overwritten', async () => {
  createIdentity('alice');
  useIdentity('alice');
  assert.equal(currentIdentityName(), 'alice');
  assert.notEqual(
    (await loadIdentity(undefined)).getPrincipal().toText(),
    (await loadIdentity('default')).getPrincipal().toText(),
  );
  assert.equal((await loadIdentity('anonymous')).getPrincipal().toText(), '2vxsx-fae');
  for (const [action, code] of [
    [() => createIdentity('alice'), 'identity_exists'],
    [() => createIdentity('../evil'), 'identity_name'],
    [() => createIdentity('anonymous'), 'identity_name'],
    [() => useIdentity('nobody'), 'identity_unknown'],
  ] as const)
    assert.throws(action, (error) => error instanceof CliError && error.code === code);
  await assert.rejects(
    loadIdentity('nobody'),
    (error) => error instanceof CliError && error.code === 'identity_unknown',
  );
});

test('a file that holds no Ed25519 key is explained', async () => {
  const file = path.join(folder, 'identity', 'broken.pem');
  writeFileSync(file, 'nonsense');
  chmodSync(file, 0o600);
  await assert.rejects(
    loadIdentity('broken'),
    (error) => error instanceof CliError && error.code === 'identity_unreadable' && error.message.includes(file),
  );
});

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CliError } from './cli-error.ts';
import { isFolder, readProject, singleFile } from './project.ts';

function folderWith(files: Readonly<Record<string, string>>): { folder: string; [Symbol.dispose](): void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'perdure-project-'));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

test('perdure.json names sources, interfaces, arguments and packages', () => {
  using project = folderWith({
    'perdure.json': JSON.stringify({
      canisters: { a: { source: 'src/a.mo', argument: '(1)' }, b: { source: 'b.wasm.gz', candid: 'x.did' } },
      packages: { extra: 'vendor/extra' },
    }),
    'dfx.json': '{ "canisters": {} }',
  });
  const packages = { extra: path.join(project.folder, 'vendor/extra') };
  assert.deepEqual(readProject(project.folder), [
    { name: 'a', source: path.join(project.folder, 'src/a.mo'), candid: undefined, argument: '(1)', packages },
    {
      name: 'b',
      source: path.join(project.folder, 'b.wasm.gz'),
      candid: path.join(project.folder, 'x.did'),
      argument: undefined,
      packages,
    },
  ]);
});

test('dfx.json: Motoko and custom canisters, others are left out', () => {
  using project = folderWith({
    'dfx.json': JSON.stringify({
      canisters: {
        back: { main: 'src/main.mo', type: 'motoko' },
        token: { type: 'custom', wasm: 'token.wasm', candid: 'token.did', init_arg: '(7)' },
        site: { type: 'assets', source: ['dist'] },
      },
    }),
  });
  assert.deepEqual(
    readProject(project.folder).map(({ name, argument }) => [name, argument]),
    [
      ['back', undefined],
      ['token', '(7)'],
    ],
  );
});

test('icp.yaml: pre-built and Motoko canisters', () => {
  using project = folderWith({
    'icp.yaml': `# comment
canisters:
  - name: counter   # one
    build:
      steps:
        - type: pre-built
          path: dist/counter.wasm
  - { name: other, recipe: { configuration: { main: "src/other.mo" } } }
networks:
  - name: somewhere
    path: not/a/canister.wasm
`,
  });
  assert.deepEqual(
    readProject(project.folder).map(({ name, source }) => [name, path.relative(project.folder, source)]),
    [
      ['counter', 'dist/counter.wasm'],
      ['other', 'src/other.mo'],
    ],
  );
});

test('a folder with one source is a project; a file is named after itself, main.mo after its folder', () => {
  using project = folderWith({ 'Tally.wasm': '', 'Tally.did': '', 'notes.txt': '' });
  const [only] = readProject(project.folder);
  assert.equal(only?.name, 'tally');
  assert.equal(only?.candid, path.join(project.folder, 'Tally.did'));
  assert.equal(singleFile('/somewhere/wallet/main.mo').name, 'wallet');
  assert.equal(singleFile('/somewhere/wallet/a.wasm.gz').name, 'a');
});

test('what cannot be deployed is explained', () => {
  using project = folderWith({
    'perdure.json': '{ "canisters": { "a": {} } }',
    'broken/perdure.json': '{',
    'empty/notes.txt': '',
    'several/a.wasm': '',
    'several/b.wasm': '',
    'none/dfx.json': '{ "canisters": { "a": { "type": "assets" } } }',
  });
  const failing = (action: () => unknown): string => {
    try {
      action();
    } catch (error) {
      assert.ok(error instanceof CliError);
      return `${error.message}: ${error.why}`;
    }
    return assert.fail('nothing was thrown');
  };
  assert.match(
    failing(() => readProject(project.folder)),
    /"canisters.a.source" is not a text/,
  );
  assert.match(
    failing(() => readProject(path.join(project.folder, 'broken'))),
    /JSON/,
  );
  assert.match(
    failing(() => readProject(path.join(project.folder, 'empty'))),
    /neither perdure.json/,
  );
  assert.match(
    failing(() => readProject(path.join(project.folder, 'several'))),
    /a.wasm, b.wasm/,
  );
  assert.match(
    failing(() => readProject(path.join(project.folder, 'none'))),
    /names no canister/,
  );
  assert.match(
    failing(() => isFolder(path.join(project.folder, 'missing'))),
    /does not exist/,
  );
});

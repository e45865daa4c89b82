/** The reference pages say what the code says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ErrorCode } from '../src/model/index.ts';
import { ERROR_MEANINGS } from './reference/error-meanings.ts';
import { referencePages } from './reference/index.ts';
import { ROOT } from './source-tree/index.ts';

test('the pages are up to date (else: npm run docs)', async () => {
  for (const [file, content] of await referencePages())
    assert.equal(readFileSync(path.join(ROOT, file), 'utf8'), content, file);
});

test('every error code is explained', () => {
  assert.deepEqual(Object.keys(ERROR_MEANINGS).sort(), Object.keys(ErrorCode).sort());
});

/** docs/man/bulla.1 says what the commands say. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { manPage } from '../scripts/man.ts';

const path = new URL('../docs/man/bulla.1', import.meta.url);

test('the committed man page is current', async () => {
  assert.ok(readFileSync(path, 'utf8') === (await manPage()), 'run: node scripts/man.ts');
});

const hasGroff = spawnSync('groff', ['--version']).error === undefined;
test('groff takes it without a warning', { skip: !hasGroff && 'groff is not installed' }, () => {
  const { status, stdout, stderr } = spawnSync('groff', ['-ww', '-man', '-Tutf8', path.pathname], {
    encoding: 'utf8',
  });
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /standalone-verify/);
  assert.doesNotMatch(stdout, /\\[a-zA-Z(&]/);
});

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { isBullaError } from '../../base/errors.ts';
import { freeKeyFiles, writeKeyFiles } from './key-files.ts';
import { makeKeyPair } from './private-key.ts';

const folder = await mkdtemp(join(tmpdir(), 'bulla-key-files-'));
after(() => rm(folder, { recursive: true, force: true }));

test('a file that appears after the check is not overwritten, and no half of a pair stays', async () => {
  const pair = makeKeyPair('ed25519');
  for (const taken of ['private', 'public'] as const) {
    const files = await freeKeyFiles(join(folder, taken));
    await writeFile(files[taken], 'mine');
    await assert.rejects(writeKeyFiles(files, pair, ''), (error) => isBullaError(error, 'key.exists'));
    await assert.rejects(freeKeyFiles(join(folder, taken)), (error) => isBullaError(error, 'key.exists'));
    assert.equal(await readFile(files[taken], 'utf8'), 'mine');
  }
  assert.deepEqual((await readdir(folder)).sort(), ['private.private', 'public.pub']);
});

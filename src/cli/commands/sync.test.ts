/** `bulla sync` as a program: what it says of failures, and the flags that it has not. */
import { equal, match } from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { runBulla } from '../../../test/support/fake-terminal.ts';
import { serveAnswers } from '../../../test/support/registry-faults.ts';

test('why an image failed is said once, with --json too', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bulla-sync-'));
  try {
    await using site = await serveAnswers((_request, response) => {
      response.writeHead(404).end();
    });
    await writeFile(join(folder, 'sync.yaml'), `${site.host}:\n  images: { app: ["1"], none: [] }\n`);
    const from = ['sync', '--insecure-policy', '--tls-verify=false', '--src', 'yaml', '--dest', 'dir'];
    for (const more of [[], ['--json'], ['--check']]) {
      const args = [...from, '--keep-going', ...more, join(folder, 'sync.yaml'), join(folder, 'out')];
      const { exit, err } = await runBulla(folder, args);
      equal(exit, 3, err);
      equal(err.split(`bulla: docker://${site.host}/app:1: `).length, 2, err);
      equal(err.split(`bulla: docker://${site.host}/none: `).length, 2, err);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('flags of transports that a sync has not are unknown', async () => {
  for (const flag of ['--src-shared-blob-dir', '--dest-shared-blob-dir', '--src-daemon-host'])
    match((await runBulla(tmpdir(), ['sync', flag, 'x', 'a', 'b'])).err, /unknown option/);
});

/** Signing where there is no room and where nothing may be written: on real file systems of that kind. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { parseDigest } from '../../src/base/digest.ts';
import { type ErrorCode, isBullaError } from '../../src/base/errors.ts';
import { parseReference } from '../../src/base/reference.ts';
import { openLookaside } from '../../src/stores/lookaside.ts';

const mayMount = process.getuid?.() === 0;
const options = mayMount ? {} : { skip: 'only root can mount a file system for the test' };
const image = {
  reference: parseReference('registry.example.com/ns/app:1'),
  digest: parseDigest(`sha256:${'d'.repeat(64)}`),
};

/** Mounts a file system of its own for one test. */
function mounted(t: TestContext, ...mountOptions: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'bulla-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', mountOptions.join(','), 'tmpfs', folder]);
  t.after(() => {
    execFileSync('umount', [folder]);
    rmSync(folder, { recursive: true });
  });
  return folder;
}

async function addRefused(folder: string, code: ErrorCode): Promise<void> {
  const store = openLookaside(
    { url: `file://${folder}`, from: { kind: 'built-in' } },
    {
      http: () => {
        throw new Error('no HTTP here');
      },
    },
  );
  const signature = { format: 'simple', blob: new Uint8Array(200_000).fill(0xa3) } as const;
  await assert.rejects(store.add(image, signature), (error) => isBullaError(error, code));
}

/** Every file below a folder. */
function filesIn(folder: string): readonly string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

test('a full disk is said to be full, and holds no part of a signature', options, async (t) => {
  const folder = mounted(t, 'size=128k');
  await addRefused(folder, 'io.no-space');
  assert.deepEqual(filesIn(folder), []);
});

test('a read-only file system is said to be one', options, async (t) => {
  await addRefused(mounted(t, 'ro'), 'io.read-only');
});

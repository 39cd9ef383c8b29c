import { deepEqual, equal, rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import type { Descriptor } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { feedBlobFile, takeBlobFile } from './blob-file.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bulla-blob-file-'));
});
after(async () => rm(folder, { recursive: true }));

const bytes = new Uint8Array(randomBytes(1_000_001));
const blob: Descriptor = { mediaType: 'x', digest: digestOf(bytes), size: bytes.length };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a feed’s chunk is its consumer’s own until that is done with it', async () => {
  const path = join(folder, 'source');
  await writeFile(path, bytes);
  const seen: Uint8Array[] = [];
  await feedBlobFile(path, blob, async (chunk) => {
    const before = new Uint8Array(chunk);
    for (let n = 0; n < 20; n += 1) await turn();
    deepEqual(new Uint8Array(chunk), before);
    seen.push(before);
  });
  deepEqual(new Uint8Array(Buffer.concat(seen)), bytes);
});

test('a feed of a file that is not the blob, or is gone, fails; so does one whose consumer fails', async () => {
  const path = join(folder, 'other');
  for (const wrong of [bytes.subarray(1), new Uint8Array([...bytes, 0]), bytes.map((each) => each ^ 1)]) {
    await writeFile(path, wrong);
    await rejects(
      feedBlobFile(path, blob, () => undefined),
      (error: unknown) => isBullaError(error, 'blob.digest-mismatch'),
    );
  }
  await rejects(
    feedBlobFile(join(folder, 'none'), blob, () => undefined),
    (error: unknown) => isBullaError(error, 'image.not-found'),
  );
  await writeFile(path, bytes);
  await rejects(
    feedBlobFile(path, blob, async () => {
      await turn();
      throw new Error('full');
    }),
    /full/,
  );
});

test('chunks that come at once are written one behind the other', async () => {
  const path = join(folder, 'taken');
  await takeBlobFile(path, async (consume) => {
    const under: Promise<void>[] = [];
    for (let at = 0; at < bytes.length; at += 100_000)
      under.push(consume(bytes.subarray(at, at + 100_000)) ?? Promise.resolve());
    await Promise.all(under);
  });
  deepEqual(new Uint8Array(await readFile(path)), bytes);
});

test('of a feed that fails nothing is there, and what was under way is no failure of its own', async () => {
  const path = join(folder, 'failed');
  await rejects(
    takeBlobFile(path, async (consume) => {
      void consume(bytes);
      throw new Error('broken');
    }),
    /broken/,
  );
  equal((await readdir(folder)).filter((each) => each === 'failed' || each.startsWith('.')).length, 0);
});

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { digestOf, hexOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { dirFileName, openDirImage, openDirSink } from './dir.ts';
import { putSample, sampleImage, streamOf, testImageContract } from './image-contract.ts';

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-dir-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

testImageContract('dir:', async () => {
  const folder = temporaryFolder();
  const path = join(folder.path, 'deep', 'image');
  return {
    image: () => openDirImage(path),
    sink: () => openDirSink(path),
    dispose: async () => folder[Symbol.dispose](),
  };
});

async function put(folder: string, text: string): Promise<void> {
  await using sink = await openDirSink(folder);
  await putSample(sink, sampleImage(text));
}

function namesOf(text: string): readonly string[] {
  const { blobs } = sampleImage(text);
  return [...blobs.map(([{ digest }]) => hexOf(digest)), 'manifest.json', 'version'].sort();
}

test('files are named as skopeo names them', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a');
  deepEqual(readdirSync(folder.path).sort(), namesOf('a'));
  equal(readFileSync(join(folder.path, 'version'), 'utf8'), 'Directory Transport Version: 1.1\n');
  const sha512 = digestOf(utf8('x'), 'sha512');
  equal(dirFileName(sha512), `sha512-${hexOf(sha512)}`);
});

test('a new image replaces the old one and its signatures; the same image keeps them; other files stay', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a');
  const own = [
    'signature-1',
    'signature-2',
    `${'ab'.repeat(32)}.signature-1`,
    `${'ab'.repeat(32)}.manifest.json`,
  ];
  for (const name of [...own, 'notes.txt']) writeFileSync(join(folder.path, name), 'x');
  await put(folder.path, 'a');
  ok(readdirSync(folder.path).includes('signature-2'));
  await put(folder.path, 'bb');
  deepEqual(readdirSync(folder.path).sort(), [...namesOf('bb'), 'notes.txt'].sort());
});

test('a copy that fails before its manifest leaves the old image whole', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a');
  const [blob] = sampleImage('bb').blobs;
  ok(blob !== undefined);
  const sink = await openDirSink(folder.path);
  await sink.putBlob(blob[0], streamOf(blob[1]));
  const image = await openDirImage(folder.path);
  equal((await image.manifest()).digest, sampleImage('a').manifest.digest);
});

test('a folder of something else is left alone', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'precious'), 'x');
  await rejects(openDirSink(folder.path), (error: unknown) => isBullaError(error, 'image.occupied'));
  writeFileSync(join(folder.path, 'version'), 'Directory Transport Version: 2.0\n');
  await rejects(openDirSink(folder.path), (error: unknown) => isBullaError(error, 'image.unsupported'));
  await rejects(openDirImage(folder.path), (error: unknown) => isBullaError(error, 'image.unsupported'));
  equal(readFileSync(join(folder.path, 'precious'), 'utf8'), 'x');
});

test('an instance that does not have its digest is refused; so is a manifest over 4 MiB', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a');
  const image = await openDirImage(folder.path);
  const digest = digestOf(utf8('an instance'));
  writeFileSync(
    join(folder.path, `${hexOf(digest)}.manifest.json`),
    '{"schemaVersion":2,"config":{},"layers":[]}',
  );
  await rejects(image.manifest(digest), (error: unknown) => isBullaError(error, 'manifest.digest-mismatch'));
  writeFileSync(join(folder.path, 'manifest.json'), ' '.repeat(4_194_305));
  await rejects(openDirImage(folder.path), (error: unknown) => isBullaError(error, 'manifest.too-large'));
});

test('a version file that is missing is no obstacle to reading, as for containers/image', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a');
  rmSync(join(folder.path, 'version'));
  equal((await (await openDirImage(folder.path)).manifest()).digest, sampleImage('a').manifest.digest);
});

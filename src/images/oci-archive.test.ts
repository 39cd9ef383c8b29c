import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { forgeTar } from '../../test/support/tar-forge.ts';
import { isBullaError } from '../base/errors.ts';
import { hexOf } from '../base/digest.ts';
import { bytesOf, putSample, sampleImage, testImageContract } from './image-contract.ts';
import { openOciArchiveImage, openOciArchiveSink } from './oci-archive.ts';

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-oci-archive-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

for (const name of ['v1', undefined]) {
  testImageContract(name === undefined ? 'oci-archive: without a name' : 'oci-archive:', async () => {
    const folder = temporaryFolder();
    const path = join(folder.path, 'app.tar');
    return {
      image: () => openOciArchiveImage(path, name),
      sink: () => openOciArchiveSink(path, name),
      dispose: async () => folder[Symbol.dispose](),
    };
  });
}

test('the same image gives the same bytes, and nothing else stays', async () => {
  using folder = temporaryFolder();
  for (const file of ['a.tar', 'b.tar']) {
    await using sink = await openOciArchiveSink(join(folder.path, file), 'v1');
    await putSample(sink, sampleImage('same'));
  }
  deepEqual(readdirSync(folder.path), ['a.tar', 'b.tar']);
  deepEqual(readFileSync(join(folder.path, 'a.tar')), readFileSync(join(folder.path, 'b.tar')));
});

test('what was begun and not ended leaves what was there', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.tar');
  writeFileSync(path, 'mine');
  {
    await using sink = await openOciArchiveSink(path, 'v1');
    const [blob] = sampleImage('x').blobs;
    if (blob === undefined) throw new Error('a sample has blobs');
    await sink.putBlob(blob[0], new Blob([new Uint8Array(blob[1])]).stream());
  }
  equal(readFileSync(path, 'utf8'), 'mine');
  deepEqual(readdirSync(folder.path), ['a.tar']);
});

test('a blob that is not what its name says is refused; so is a layout inside that is none', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.tar');
  const { manifest, blobs } = sampleImage('x');
  const [config] = blobs;
  if (config === undefined) throw new Error('a sample has blobs');
  const layout = { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' };
  const index = {
    name: 'index.json',
    content: JSON.stringify({
      schemaVersion: 2,
      manifests: [{ mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length }],
    }),
  };
  const top = { name: `blobs/sha256/${hexOf(manifest.digest)}`, content: manifest.bytes };
  const evil = {
    name: `blobs/sha256/${hexOf(config[0].digest)}`,
    content: config[1].map((byte) => byte ^ 1),
  };
  writeFileSync(path, gzipSync(forgeTar(layout, index, top, evil)));
  await using image = await openOciArchiveImage(path);
  deepEqual(await image.manifest(), manifest);
  await rejects(
    async () => bytesOf(await image.blob(config[0])),
    (error: unknown) => isBullaError(error, 'blob.digest-mismatch'),
  );
  for (const [entries, code] of [
    [[index, top], 'image.not-found'],
    [[layout, top], 'image.not-found'],
    [[layout, index, { ...top, content: 'x' }], 'manifest.digest-mismatch'],
    [[layout, index], 'image.not-found'],
  ] as const) {
    writeFileSync(path, forgeTar(...entries));
    await rejects(
      async () => {
        await using opened = await openOciArchiveImage(path);
        await opened.manifest();
      },
      (error: unknown) => isBullaError(error) && error.code === code,
    );
  }
});

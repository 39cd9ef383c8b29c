import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { dockerLayer as layerType, dockerSample } from '../../test/support/docker-sample.ts';
import { type ForgedEntry, forgeTar } from '../../test/support/tar-forge.ts';
import { utf8 } from '../base/bytes.ts';
import { digestOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { openDockerArchiveImage } from './docker-archive.ts';
import { openDockerArchiveSink } from './docker-archive-sink.ts';
import { bytesOf, descriptorOf, putSample, testImageContract } from './image-contract.ts';

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-docker-archive-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

for (const name of ['registry.example.com/ns/app:1', undefined]) {
  testImageContract(
    name === undefined ? 'docker-archive: without a name' : 'docker-archive:',
    async () => {
      const folder = temporaryFolder();
      const path = join(folder.path, 'app.tar');
      return {
        image: () => openDockerArchiveImage(path, name),
        sink: () => openDockerArchiveSink(path, name),
        dispose: async () => folder[Symbol.dispose](),
      };
    },
    { sample: dockerSample, again: 'refused', indexes: false },
  );
}

test('compressed layers are unpacked when it is written', async () => {
  for (const pack of [gzipSync, zstdCompressSync]) {
    using folder = temporaryFolder();
    const path = join(folder.path, 'a.tar');
    {
      await using sink = await openDockerArchiveSink(path, 'app');
      await putSample(
        sink,
        dockerSample('text', (bytes) => new Uint8Array(pack(bytes))),
      );
    }
    await using image = await openDockerArchiveImage(path, 'docker.io/library/app:latest');
    deepEqual(await image.manifest(), dockerSample('text').manifest);
    deepEqual(readdirSync(folder.path), ['a.tar']);
  }
});

test('a layer that does not unpack to what the configuration says is refused', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.tar');
  const other = gzipSync(new Uint8Array(10));
  for (const pack of [() => new Uint8Array(other), () => utf8('not packed')]) {
    await using sink = await openDockerArchiveSink(path, 'app');
    await rejects(putSample(sink, dockerSample('text', pack)), (error: unknown) =>
      isBullaError(error, 'blob.digest-mismatch'),
    );
  }
  deepEqual(readdirSync(folder.path), []);
});

test('an empty file may be written over, any other not, and its name needs a repository', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.tar');
  writeFileSync(path, '');
  {
    await using sink = await openDockerArchiveSink(path);
    await putSample(sink, dockerSample('x'));
  }
  await rejects(openDockerArchiveSink(path), (error: unknown) => isBullaError(error, 'image.occupied'));
  for (const name of ['Upper:1', 'app@sha256:x', '@0', `app@${digestOf(utf8(''))}`])
    await rejects(openDockerArchiveSink(join(folder.path, 'new'), name), (error: unknown) =>
      isBullaError(error, 'image-name.malformed'),
    );
});

const layer = utf8('a layer');
const config = utf8(JSON.stringify({ rootfs: { diff_ids: [digestOf(layer)] } }));
const configFile = { name: 'c.json', content: config };
const layerFile = { name: 'l/layer.tar', content: layer };
const item = { Config: 'c.json', RepoTags: ['app:1', 'app:2'], Layers: ['l/layer.tar'] };

function list(...items: readonly unknown[]): ForgedEntry {
  return { name: 'manifest.json', content: JSON.stringify(items) };
}

async function open(bytes: Uint8Array, name?: string): Promise<string> {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.tar');
  writeFileSync(path, bytes);
  await using image = await openDockerArchiveImage(path, name);
  const manifest = await image.manifest();
  for (const each of [descriptorOf(layer, layerType)])
    deepEqual(await bytesOf(await image.blob(each)), layer);
  return manifest.digest;
}

test('an image is found by its tags, by its place, or as the only one', async () => {
  const one = forgeTar(list(item), configFile, layerFile);
  const digest = await open(one);
  for (const name of ['app:1', 'docker.io/library/app:2', '@0']) equal(await open(one, name), digest);
  const two = forgeTar(list(item, { ...item, RepoTags: null }), configFile, layerFile);
  equal(await open(two, 'app:1'), digest);
  equal(await open(two, '@1'), digest);
  for (const [bytes, name, code] of [
    [one, 'app', 'image.not-found'],
    [one, '@1', 'image.not-found'],
    [two, undefined, 'image.ambiguous'],
    [forgeTar(list(item, item), configFile, layerFile), 'app:1', 'image.ambiguous'],
    [forgeTar(list(), configFile, layerFile), undefined, 'image.not-found'],
  ] as const)
    await rejects(open(bytes, name), (error: unknown) => isBullaError(error) && error.code === code, name);
});

test('compressed layers inside, and layers behind a link, are read as what they unpack to', async () => {
  const digest = await open(forgeTar(list(item), configFile, layerFile));
  equal(await open(forgeTar(list(item), configFile, { ...layerFile, content: gzipSync(layer) })), digest);
  const link = { name: 'l/layer.tar', type: '2', link: '../k/layer.tar' };
  equal(await open(forgeTar(list(item), configFile, { name: 'k/layer.tar', content: layer }, link)), digest);
});

test('an archive that contradicts itself is refused', async () => {
  const cases: readonly (readonly [string, readonly ForgedEntry[], string])[] = [
    ['no manifest.json', [configFile, layerFile], 'image.malformed'],
    ['no JSON', [{ name: 'manifest.json', content: '[' }, configFile, layerFile], 'image.malformed'],
    ['no list', [{ name: 'manifest.json', content: '{}' }, configFile, layerFile], 'image.malformed'],
    ['no configuration', [list(item), layerFile], 'image.malformed'],
    ['no layer', [list(item), configFile], 'image.malformed'],
    ['an outside layer', [list({ ...item, Layers: ['../../etc/passwd'] }), configFile], 'image.malformed'],
    [
      'more layers than said',
      [list({ ...item, Layers: [...item.Layers, ...item.Layers] }), configFile, layerFile],
      'image.malformed',
    ],
    ['layers that are no list', [list({ ...item, Layers: 'l' }), configFile, layerFile], 'image.malformed'],
    ['no rootfs', [list(item), { ...configFile, content: '{}' }, layerFile], 'image.malformed'],
    ['another layer', [list(item), configFile, { ...layerFile, content: 'a lAyer' }], 'blob.digest-mismatch'],
    [
      'links that lead to links',
      [
        list(item),
        configFile,
        { name: 'l/layer.tar', type: '2', link: 'b' },
        { name: 'l/b', type: '2', link: 'layer.tar' },
      ],
      'image.malformed',
    ],
  ];
  for (const [what, entries, code] of cases)
    await rejects(
      open(forgeTar(...entries)),
      (error: unknown) => isBullaError(error) && error.code === code,
      what,
    );
});

test('a compressed layer that stands for a thousand is unpacked once', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.tar');
  const packed = gzipSync(Buffer.alloc(67_108_864));
  const ids = Array.from({ length: 1000 }, (_, n) => digestOf(utf8(`${n}`)));
  const bomb = {
    name: 'c.json',
    content: JSON.stringify({ rootfs: { diff_ids: ids } }),
  };
  const layers = ids.map(() => 'l/layer.tar');
  writeFileSync(path, forgeTar(list({ ...item, Layers: layers }), bomb, { ...layerFile, content: packed }));
  // 64 GB otherwise: past the limit, minutes later
  await using image = await openDockerArchiveImage(path);
  equal((await image.manifest()).mediaType, 'application/vnd.docker.distribution.manifest.v2+json');
});

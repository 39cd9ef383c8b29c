import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { mediaTypes } from '../base/descriptor.ts';
import { digestOf, hexOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { bytesOf, descriptorOf, putSample, sampleImage, testImageContract } from './image-contract.ts';
import { openOciImage, openOciSink } from './oci.ts';

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-oci-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

for (const name of ['v1', undefined]) {
  testImageContract(name === undefined ? 'oci: without a name' : 'oci:', async () => {
    const folder = temporaryFolder();
    const path = join(folder.path, 'deep', 'layout');
    // without a name an image is found only while it is the only one
    const fresh = async (): Promise<void> =>
      name === undefined ? rmSync(join(path, 'index.json'), { force: true }) : undefined;
    return {
      image: () => openOciImage(path, name),
      sink: async () => (await fresh(), openOciSink(path, name)),
      dispose: async () => folder[Symbol.dispose](),
    };
  });
}

type Index = { manifests: { digest: string; annotations?: Record<string, string> }[] } & Record<
  string,
  unknown
>;

function indexOf(folder: string): Index {
  return JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as Index;
}

async function put(folder: string, text: string, name?: string): Promise<void> {
  await using sink = await openOciSink(folder, name);
  await putSample(sink, sampleImage(text));
}

test('other images and members of index.json stay; an image whose name is taken keeps its entry without it', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a', 'v1');
  const index = indexOf(folder.path);
  const first = index.manifests[0];
  ok(first !== undefined);
  first.annotations = { ...first.annotations, kept: 'yes' };
  writeFileSync(
    join(folder.path, 'index.json'),
    JSON.stringify({ ...index, annotations: { of: 'the index' } }),
  );
  await put(folder.path, 'bb', 'v2');
  await put(folder.path, 'ccc', 'v1');
  const after = indexOf(folder.path);
  deepEqual(after['annotations'], { of: 'the index' });
  const refName = 'org.opencontainers.image.ref.name';
  deepEqual(
    after.manifests.map(({ digest, annotations }) => [digest, annotations]),
    [
      [sampleImage('a').manifest.digest, { kept: 'yes' }],
      [sampleImage('bb').manifest.digest, { [refName]: 'v2' }],
      [sampleImage('ccc').manifest.digest, { [refName]: 'v1' }],
    ],
  );
  equal(readFileSync(join(folder.path, 'oci-layout'), 'utf8'), '{"imageLayoutVersion":"1.0.0"}');
});

test('a name finds its image; no name wants a single one; two of one name are refused', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a', 'v1');
  equal((await (await openOciImage(folder.path)).manifest()).digest, sampleImage('a').manifest.digest);
  await put(folder.path, 'bb', 'v2');
  equal((await (await openOciImage(folder.path, 'v2')).manifest()).digest, sampleImage('bb').manifest.digest);
  await rejects(openOciImage(folder.path), (error: unknown) => isBullaError(error, 'image.ambiguous'));
  await rejects(
    openOciImage(folder.path, 'v3'),
    (error: unknown) => isBullaError(error, 'image.not-found') && (error.hint ?? '').includes('v1, v2'),
  );
  const index = indexOf(folder.path);
  for (const each of index.manifests) each.annotations = { 'org.opencontainers.image.ref.name': 'same' };
  writeFileSync(join(folder.path, 'index.json'), JSON.stringify(index));
  await rejects(openOciImage(folder.path, 'same'), (error: unknown) =>
    isBullaError(error, 'image.ambiguous'),
  );
});

test('what is no layout of this version is refused', async () => {
  const cases: readonly (readonly [string, string | undefined, string | undefined, string])[] = [
    ['no folder', undefined, undefined, 'image.not-found'],
    ['no index.json', '{"imageLayoutVersion":"1.0.0"}', undefined, 'image.not-found'],
    ['no oci-layout', undefined, '{"manifests":[]}', 'image.not-found'],
    ['version 2', '{"imageLayoutVersion":"2.0.0"}', '{"manifests":[]}', 'image.unsupported'],
    ['oci-layout is no JSON', 'x', '{"manifests":[]}', 'image.malformed'],
    ['oci-layout is a list', '[]', '{"manifests":[]}', 'image.malformed'],
    ['index.json is no JSON', '{"imageLayoutVersion":"1.0.0"}', '{', 'manifest.malformed'],
    [
      'index.json is an image',
      '{"imageLayoutVersion":"1.0.0"}',
      '{"schemaVersion":2,"config":{},"layers":[]}',
      'manifest.malformed',
    ],
    ['empty', '{"imageLayoutVersion":"1.0.0"}', '{"manifests":[]}', 'image.not-found'],
  ];
  for (const [what, layout, index, code] of cases) {
    using folder = temporaryFolder();
    if (layout !== undefined) writeFileSync(join(folder.path, 'oci-layout'), layout);
    if (index !== undefined) writeFileSync(join(folder.path, 'index.json'), index);
    await rejects(
      async () => (await openOciImage(folder.path)).manifest(),
      (error: unknown) => isBullaError(error) && error.code === code,
      what,
    );
  }
});

test('a manifest or blob that was tampered with is refused', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a', 'v1');
  const { manifest, blobs } = sampleImage('a');
  const path = join(folder.path, 'blobs/sha256', hexOf(manifest.digest));
  const changed = Buffer.from(manifest.bytes).toString('utf8').replace('700000', '700001');
  writeFileSync(path, changed);
  const isMismatch = (error: unknown): boolean => isBullaError(error, 'manifest.digest-mismatch');
  await rejects(async () => (await openOciImage(folder.path, 'v1')).manifest(), isMismatch);
  writeFileSync(path, `${changed} `);
  await rejects(async () => (await openOciImage(folder.path, 'v1')).manifest(), isMismatch);
  writeFileSync(path, manifest.bytes);
  const image = await openOciImage(folder.path, 'v1');
  const [, layer] = blobs;
  ok(layer !== undefined);
  const file = join(folder.path, 'blobs/sha256', hexOf(layer[0].digest));
  for (const bytes of [
    layer[1].subarray(1),
    new Uint8Array([...layer[1], 0]),
    layer[1].map((each) => each + 1),
  ]) {
    writeFileSync(file, bytes);
    await rejects(
      async () => bytesOf(await image.blob(layer[0])),
      (error: unknown) => isBullaError(error, 'blob.digest-mismatch'),
    );
    const sink = await openOciSink(folder.path, 'v1');
    equal(await sink.hasBlob(layer[0]), false);
  }
});

test('a manifest over 4 MiB is refused', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a', 'v1');
  const bytes = utf8(`{"layers":[],"config":"${'x'.repeat(4_194_304)}"}`);
  writeFileSync(join(folder.path, 'blobs/sha256', hexOf(digestOf(bytes))), bytes);
  const entry = descriptorOf(bytes, mediaTypes.ociManifest);
  writeFileSync(join(folder.path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  await rejects(
    async () => (await openOciImage(folder.path)).manifest(),
    (error: unknown) => isBullaError(error, 'manifest.too-large'),
  );
});

test('a folder of something else is left alone', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'index.json'), '{"mine":true}');
  await rejects(openOciSink(folder.path, 'v1'), (error: unknown) => isBullaError(error, 'image.occupied'));
  deepEqual(readdirSync(folder.path), ['index.json']);
  using other = temporaryFolder();
  mkdirSync(join(other.path, 'x'));
  await openOciSink(join(other.path, 'x'), 'v1');
  deepEqual(readdirSync(join(other.path, 'x')), [], 'opening a sink writes nothing');
});

test('no temporary files stay', async () => {
  using folder = temporaryFolder();
  await put(folder.path, 'a', 'v1');
  const names = readdirSync(folder.path, { recursive: true }).map(String);
  deepEqual(
    names.filter((name) => name.includes('tmp')),
    [],
  );
});

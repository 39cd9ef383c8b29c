import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { hexOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import type { Signature } from '../formats/signature.ts';
import type { ImageSink } from '../images/image.ts';
import { putSample, sampleImage } from '../images/image-contract.ts';
import { openOciArchiveSink } from '../images/oci-archive.ts';
import { openOciImage, openOciSink } from '../images/oci.ts';
import { openOciArchiveStore, openOciStore } from './layout.ts';
import type { SignatureStore } from './store.ts';
import { listAll, simpleSignature, testStoreContract } from './store-contract.ts';

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-layout-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const [one, two] = [sampleImage('one'), sampleImage('three')];

async function fill(sink: ImageSink): Promise<void> {
  for (const [blob, bytes] of two.blobs) await sink.putBlob(blob, new Blob([new Uint8Array(bytes)]).stream());
  await sink.putManifest(two.manifest, { instance: true });
  await putSample(sink, one);
}

const cosign = (text: string): Signature => ({
  format: 'cosign',
  mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
  payload: utf8(text),
  annotations: { 'dev.cosignproject.cosign/signature': 'AAAA', z: '1', a: '2' },
});
const bundle = (text: string): Signature => ({
  format: 'bundle',
  mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  json: utf8(JSON.stringify({ messageSignature: text })),
});
const attestation = (text: string): Signature => ({
  format: 'attestation',
  mediaType: 'application/vnd.dsse.envelope.v1+json',
  envelope: utf8(text),
  annotations: { predicateType: 'x' },
});
const notary = (text: string): Signature => ({
  format: 'notary',
  mediaType: 'application/jose+json',
  envelope: utf8(text),
});

const formats = { simple: simpleSignature, cosign, bundle, attestation, notary };

for (const [format, signature] of Object.entries(formats)) {
  testStoreContract(`oci: ${format}`, async () => {
    const folder = temporaryFolder();
    await fill(await openOciSink(folder.path, 'v1'));
    return {
      store: openOciStore(folder.path),
      digests: [one.manifest.digest, two.manifest.digest],
      signature,
      dispose: async () => folder[Symbol.dispose](),
    };
  });
}

testStoreContract('oci-archive:', async () => {
  const folder = temporaryFolder();
  const path = join(folder.path, 'a.tar');
  {
    await using sink = await openOciArchiveSink(path, 'v1');
    await fill(sink);
  }
  return {
    store: openOciArchiveStore(path),
    digests: [one.manifest.digest, two.manifest.digest],
    dispose: async () => folder[Symbol.dispose](),
  };
});

async function layout(): Promise<{ path: string; store: SignatureStore } & Disposable> {
  const folder = temporaryFolder();
  await putSample(await openOciSink(folder.path, 'v1'), one);
  return {
    path: folder.path,
    store: openOciStore(folder.path),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

const image = { reference: undefined, digest: one.manifest.digest };

test('all formats stand beside each other; signatures of one payload are not taken for each other', async () => {
  using folder = await layout();
  const signatures = [
    ...Object.values(formats).map((each) => each('text')),
    { ...cosign('text'), annotations: { 'dev.cosignproject.cosign/signature': 'BBBB' } } as Signature,
  ];
  for (const each of signatures) equal((await folder.store.add(image, each)).added, true);
  deepEqual(
    (await listAll(folder.store, image)).map(({ signature }) => signature),
    signatures,
  );
});

test('a signature is no image: without a name the image is still the only one', async () => {
  using folder = await layout();
  await folder.store.add(image, simpleSignature('x'));
  await using opened = await openOciImage(folder.path);
  deepEqual(await opened.manifest(), one.manifest);
});

test('an image that is not in the layout cannot be signed there', async () => {
  using folder = await layout();
  await rejects(
    folder.store.add({ ...image, digest: two.manifest.digest }, simpleSignature('x')),
    (error: unknown) => isBullaError(error, 'image.not-found'),
  );
});

test('the same signature gives the same bytes', async () => {
  using a = await layout();
  using b = await layout();
  for (const make of Object.values(formats))
    equal(
      (await a.store.add(image, make('same'))).location.split('@')[1],
      (await b.store.add(image, make('same'))).location.split('@')[1],
    );
});

type Entry = { digest: string; size: number; artifactType?: string };

function index(path: string, change: (entries: Entry[]) => void): void {
  const file = join(path, 'index.json');
  const value = JSON.parse(readFileSync(file, 'utf8')) as { manifests: Entry[] };
  change(value.manifests);
  writeFileSync(file, JSON.stringify(value));
}

async function codesIn(store: SignatureStore): Promise<readonly string[]> {
  return (await listAll(store, image)).map(({ signature }) =>
    signature.format === 'unreadable' ? signature.code : signature.format,
  );
}

test('what is listed and damaged stands as such among the others', async () => {
  using folder = await layout();
  await folder.store.add(image, simpleSignature('good'));
  const { location } = await folder.store.add(image, simpleSignature('bad'));
  const hex = location.split(':').at(-1) ?? '';
  const path = join(folder.path, 'blobs/sha256', hex);
  const manifest = readFileSync(path, 'utf8');
  const layer = (JSON.parse(manifest) as { layers: [Entry] }).layers[0];
  const blob = join(folder.path, 'blobs/sha256', hexOf(layer.digest as typeof image.digest));
  const content = readFileSync(blob);
  writeFileSync(
    blob,
    content.map((byte) => byte ^ 1),
  );
  deepEqual(await codesIn(folder.store), ['simple', 'blob.digest-mismatch']);
  writeFileSync(blob, content);
  writeFileSync(path, manifest.replace('"schemaVersion":2', '"schemaVersion":3'));
  deepEqual(await codesIn(folder.store), ['simple', 'manifest.digest-mismatch']);
  rmSync(path);
  deepEqual(await codesIn(folder.store), ['simple', 'signature.not-found']);
  index(folder.path, (entries) => entries.forEach((each) => delete each.artifactType));
  deepEqual(
    await codesIn(folder.store),
    ['simple'],
    'what does not say that it is a signature may be an image',
  );
});

test('a layout whose index cannot be read is no layout without signatures', async () => {
  using folder = await layout();
  writeFileSync(join(folder.path, 'index.json'), '{');
  await rejects(listAll(folder.store, image), (error: unknown) => isBullaError(error, 'store.unreadable'));
});

test('whatever stands in the index stays there', async () => {
  using folder = await layout();
  index(folder.path, (entries) =>
    entries.push({ digest: `sha256:${'0'.repeat(64)}`, size: 3, mediaType: 'x/y' } as Entry),
  );
  await folder.store.add(image, bundle('x'));
  index(folder.path, (entries) => {
    equal(entries.length, 3);
    ok(entries.some((each) => each.digest.endsWith('000')));
  });
});

test('a layout that is yet to be made holds no signatures, and takes none', async () => {
  for (const store of [openOciStore('/nowhere/layout'), openOciArchiveStore('/nowhere/a.tar')]) {
    deepEqual(await listAll(store, image), []);
    await rejects(store.add(image, simpleSignature('x')), (error: unknown) =>
      isBullaError(error, 'image.not-found'),
    );
  }
});

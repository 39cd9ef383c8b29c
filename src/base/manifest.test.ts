import assert from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from './bytes.ts';
import { mediaTypes } from './descriptor.ts';
import { digestOf } from './digest.ts';
import { isBullaError } from './errors.ts';
import { limits } from './limits.ts';
import { parseManifest, takeManifest } from './manifest.ts';

const digest = `sha256:${'c'.repeat(64)}`;
const image = { schemaVersion: 2, config: { mediaType: mediaTypes.ociConfig, digest, size: 2 }, layers: [] };
const bytesOf = (value: unknown): Uint8Array => utf8(JSON.stringify(value));

test('an image manifest: its digest is of the bytes as received', () => {
  const bytes = utf8(`${JSON.stringify(image, undefined, 3)}\n`);
  const manifest = takeManifest(bytes, mediaTypes.ociManifest);
  assert.equal(manifest.digest, digestOf(bytes));
  const parsed = parseManifest(manifest);
  assert.equal(parsed.kind, 'image');
});

test('an index, its instances and their platforms', () => {
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [
      {
        mediaType: mediaTypes.ociManifest,
        digest,
        size: 7,
        platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
      },
    ],
  };
  const parsed = parseManifest(takeManifest(bytesOf(index)));
  assert.equal(parsed.kind, 'index');
  if (parsed.kind === 'index')
    assert.deepEqual(parsed.manifests[0]?.platform, { os: 'linux', architecture: 'arm64', variant: 'v8' });
});

test('a signed schema 1 manifest is hashed without its signatures', () => {
  // libtrust: formatLength bytes of the document, then formatTail
  const payload = '{\n   "schemaVersion": 1,\n   "name": "x"\n}';
  const header = Buffer.from(
    JSON.stringify({
      formatLength: payload.length - 2,
      formatTail: Buffer.from('\n}').toString('base64url'),
    }),
  ).toString('base64url');
  const signed = `${payload.slice(0, -2)},\n   "signatures": [{"protected": "${header}"}]\n}`;
  const manifest = takeManifest(utf8(signed), 'application/json');
  assert.equal(manifest.mediaType, mediaTypes.dockerSchema1Signed);
  assert.equal(manifest.digest, digestOf(utf8(payload)));
  assert.equal(parseManifest(manifest).kind, 'schema1');
});

const refused: readonly (readonly [string, unknown])[] = [
  ['a document that is image and index at once', { ...image, manifests: [] }],
  ['an index that says it is an image', { mediaType: mediaTypes.ociManifest, manifests: [] }],
  ['an image that says it is an index', { ...image, mediaType: mediaTypes.ociIndex }],
  ['a mediaType that is no text', { ...image, mediaType: 3 }],
  ['a list', []],
  ['a descriptor without digest', { ...image, config: { mediaType: 'x', size: 1 } }],
  ['a negative size', { ...image, config: { mediaType: 'x', digest, size: -1 } }],
  ['a broken layer list', { ...image, layers: {} }],
  ['annotations that are no texts', { ...image, annotations: { a: 1 } }],
];
for (const [name, value] of refused) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => parseManifest(takeManifest(bytesOf(value))),
      (error) => isBullaError(error, 'manifest.malformed'),
    );
  });
}

test('refused: over 4 MiB, no JSON, no UTF-8', () => {
  assert.throws(
    () => takeManifest(new Uint8Array(limits.manifestBytes + 1)),
    (error) => isBullaError(error, 'manifest.too-large'),
  );
  assert.throws(
    () => takeManifest(utf8('<html>')),
    (error) => isBullaError(error, 'manifest.malformed'),
  );
  assert.throws(
    () => takeManifest(Uint8Array.of(0xff, 0xfe)),
    (error) => isBullaError(error, 'manifest.malformed'),
  );
});

test('an unknown media type that the carrier claims does not win over the shape', () => {
  assert.equal(takeManifest(bytesOf(image), 'text/html').mediaType, mediaTypes.ociManifest);
  assert.equal(
    takeManifest(bytesOf({ manifests: [] }), mediaTypes.ociManifest).mediaType,
    mediaTypes.ociIndex,
  );
});

import { deepEqual, equal } from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { digestOf, hexOf } from '../base/digest.ts';
import { takeManifest } from '../base/manifest.ts';
import { openDirStore } from './dir.ts';
import { listAll, simpleSignature, testDigests, testStoreContract } from './store-contract.ts';

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-dir-store-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const manifest = utf8('{"schemaVersion":2,"config":{},"layers":[]}');

for (const which of ['manifest', 'instance'] as const) {
  testStoreContract(`dir: store, its ${which}`, async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder.path, 'manifest.json'), manifest);
    const top = takeManifest(manifest).digest;
    const [one, other] = testDigests();
    const digests = which === 'manifest' ? ([top, other] as const) : ([one, top] as const);
    return { store: openDirStore(folder.path), digests, dispose: async () => folder[Symbol.dispose]() };
  });
}

test('files are named as skopeo names them', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'manifest.json'), manifest);
  const store = openDirStore(folder.path);
  const instance = digestOf(utf8('instance'));
  const sha512 = digestOf(utf8('instance'), 'sha512');
  for (const digest of [takeManifest(manifest).digest, instance, sha512]) {
    await store.add({ reference: undefined, digest }, simpleSignature('a'));
  }
  const expected = [
    'manifest.json',
    'signature-1',
    `${hexOf(instance)}.signature-1`,
    `sha512-${hexOf(sha512)}.signature-1`,
  ];
  deepEqual(readdirSync(folder.path).sort(), expected.sort());
});

test('sigstore signatures are kept beside simple ones', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'manifest.json'), manifest);
  const image = { reference: undefined, digest: takeManifest(manifest).digest };
  const cosign = {
    format: 'cosign',
    mediaType: 'x/y',
    payload: utf8('{}'),
    annotations: { a: 'b' },
  } as const;
  const store = openDirStore(folder.path);
  await store.add(image, simpleSignature('a'));
  await store.add(image, cosign);
  deepEqual(
    (await listAll(store, image)).map(({ signature }) => signature),
    [simpleSignature('a'), cosign],
  );
  writeFileSync(join(folder.path, 'signature-3'), '');
  deepEqual(
    (await listAll(store, image)).map(({ signature }) => signature.format),
    ['simple', 'cosign', 'unreadable'],
  );
});

test('a folder whose manifest is broken still lists by digest', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'manifest.json'), 'x');
  equal(
    (await listAll(openDirStore(folder.path), { reference: undefined, digest: digestOf(manifest) })).length,
    0,
  );
});

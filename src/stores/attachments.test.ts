import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { textOf, utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { type Digest, digestOf } from '../base/digest.ts';
import { BullaError, type ErrorCode, isBullaError } from '../base/errors.ts';
import { type Manifest, takeManifest } from '../base/manifest.ts';
import { parseReference } from '../base/reference.ts';
import { cosignAttachment } from '../formats/cosign.ts';
import type { Signature } from '../formats/signature.ts';
import { type AttachmentRegistry, openAttachments } from './attachments.ts';
import { listAll, rejectsList, simpleSignature, testDigests, testStoreContract } from './store-contract.ts';

const digest = digestOf(utf8('an image'));
const image = { reference: parseReference('registry.example.com/ns/app:1'), digest };
const tag = `sha256-${digest.slice(7)}.sig`;

type Memory = AttachmentRegistry & {
  readonly tags: Map<string, Uint8Array>;
  readonly blobs: Map<string, Uint8Array>;
  /** `GET tag`, `GET blob`, `PUT blob`, `PUT tag`. */
  readonly requests: string[];
};

function fail(): never {
  throw new Error('unreachable');
}

const missing = (): BullaError => new BullaError('image.not-found', 'MANIFEST_UNKNOWN');

/** A registry in memory, which checks what real ones check: a manifest's blobs have to be there. */
function memory(): Memory {
  const tags = new Map<string, Uint8Array>();
  const blobs = new Map<string, Uint8Array>();
  const requests: string[] = [];
  return {
    domain: 'registry.example.com',
    tags,
    blobs,
    requests,
    manifest: async (path, name) => {
      requests.push('GET tag');
      const bytes = tags.get(`${path}:${name}`);
      if (bytes === undefined) throw missing();
      return takeManifest(bytes);
    },
    blob: async (path, { digest: wanted }) => {
      requests.push('GET blob');
      const bytes = blobs.get(`${path}@${wanted}`);
      if (bytes === undefined) throw missing();
      if (digestOf(bytes) !== wanted) throw new BullaError('blob.digest-mismatch', 'other bytes');
      return new Blob([new Uint8Array(bytes)]).stream();
    },
    putBlob: async (path, { digest: named }, content) => {
      requests.push('PUT blob');
      ok(content instanceof Uint8Array && digestOf(content) === named);
      blobs.set(`${path}@${named}`, content);
    },
    putManifest: async (path, name, { bytes }) => {
      requests.push('PUT tag');
      for (const { digest: named } of [configOf(bytes), ...layersOf(bytes)])
        ok(blobs.has(`${path}@${named}`), `MANIFEST_BLOB_UNKNOWN ${named}`);
      tags.set(`${path}:${name}`, bytes);
    },
  };
}

type Json = Readonly<Record<string, unknown>>;

function jsonOf(bytes: Uint8Array | undefined): Json {
  return JSON.parse(textOf(bytes ?? new Uint8Array()) ?? '') as Json;
}

function layersOf(bytes: Uint8Array | undefined): readonly Descriptor[] {
  return jsonOf(bytes)['layers'] as readonly Descriptor[];
}

function configOf(bytes: Uint8Array | undefined): Descriptor {
  return jsonOf(bytes)['config'] as Descriptor;
}

function put(registry: Memory, path: string, content: Uint8Array): Digest {
  const named = digestOf(content);
  registry.blobs.set(`${path}@${named}`, content);
  return named;
}

/** Lays out a `.sig` as others may. */
function lay(registry: Memory, manifest: object): void {
  registry.tags.set(`ns/app:${tag}`, utf8(JSON.stringify(manifest)));
}

const cosign = (text: string): Signature => cosignAttachment(utf8(text), utf8(`signature of ${text}`));

function layerFor(registry: Memory, text: string, more: object = {}): object {
  const named = put(registry, 'ns/app', utf8(text));
  return { mediaType: 'application/x', digest: named, size: utf8(text).length, ...more };
}

function listOf(registry: Memory, layers: readonly object[], more: object = {}): object {
  const content = utf8('{"rootfs":{"type":"layers","diff_ids":[]}}');
  const config = {
    mediaType: mediaTypes.ociConfig,
    digest: put(registry, 'ns/app', content),
    size: content.length,
  };
  return { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers, ...more };
}

const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

/** Without turns and pauses: what the registry itself guarantees. */
const hasty = { inTurn: <T>(_: string, work: () => Promise<T>) => work(), pause: async () => undefined };

testStoreContract('attachments', async () => ({
  store: openAttachments(memory()),
  digests: testDigests(),
  signature: cosign,
  dispose: async () => undefined,
}));

test('a first signature is the manifest that containers/image writes', async () => {
  const registry = memory();
  const added = await openAttachments(registry).add(image, cosign('payload'));
  deepEqual(added, { location: `registry.example.com/ns/app:${tag} layer 1`, added: true });
  deepEqual([...registry.tags.keys()], [`ns/app:${tag}`]);
  const written = registry.tags.get(`ns/app:${tag}`);
  const config = configOf(written);
  const payload = digestOf(utf8('payload'));
  deepEqual(jsonOf(written), {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      size: config.size,
      digest: config.digest,
    },
    layers: [
      {
        mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
        size: 7,
        digest: payload,
        annotations: { 'dev.cosignproject.cosign/signature': 'c2lnbmF0dXJlIG9mIHBheWxvYWQ=' },
      },
    ],
  });
  const stored = registry.blobs.get(`ns/app@${config.digest}`);
  equal(stored?.length, config.size);
  deepEqual(jsonOf(stored), {
    architecture: '',
    os: '',
    config: {},
    rootfs: { type: 'layers', diff_ids: [payload] },
  });
});

test('what others put there is kept: foreign layers, annotations, members of the configuration', async () => {
  const registry = memory();
  const foreign = [
    layerFor(registry, 'an attestation', {
      annotations: { predicateType: 'x' },
      urls: ['https://h.example'],
    }),
    layerFor(registry, 'bare'),
  ];
  const content = utf8(
    '{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{}],"rootfs":{"type":"layers","diff_ids":["sha256:aa"]}}',
  );
  const config = {
    mediaType: 'x/y',
    digest: put(registry, 'ns/app', content),
    size: content.length,
    data: 'e30=',
  };
  lay(registry, { ...listOf(registry, foreign), config, annotations: { a: 'b' }, subject: undefined });
  await openAttachments(registry).add(image, cosign('mine'));
  const written = registry.tags.get(`ns/app:${tag}`);
  deepEqual(layersOf(written).slice(0, 2), foreign);
  equal(layersOf(written).length, 3);
  deepEqual(jsonOf(written)['annotations'], { a: 'b' });
  // inline data of the old configuration would contradict the new digest
  deepEqual(Object.keys(configOf(written)), ['mediaType', 'size', 'digest']);
  equal(configOf(written).mediaType, 'x/y');
  const newConfig = jsonOf(registry.blobs.get(`ns/app@${configOf(written).digest}`));
  deepEqual(newConfig['history'], [{}]);
  deepEqual(newConfig['rootfs'], { type: 'layers', diff_ids: ['sha256:aa', digestOf(utf8('mine'))] });
});

test('every layer is listed, one payload that several sign is read once, in order and side by side', async () => {
  const registry = memory();
  const layers = Array.from({ length: 30 }, (_, n) =>
    layerFor(registry, `payload ${n % 3}`, { annotations: { 'dev.cosignproject.cosign/signature': `${n}` } }),
  );
  lay(registry, listOf(registry, layers));
  const found = await listAll(openAttachments(registry), image);
  deepEqual(
    found.map(({ signature }) => signature.format === 'cosign' && Object.values(signature.annotations)[0]),
    layers.map((_, n) => `${n}`),
  );
  equal(new Set(found.map(({ location }) => location)).size, 30);
  deepEqual(registry.requests.toSorted(), ['GET blob', 'GET blob', 'GET blob', 'GET tag']);
});

test('who stops reading early leaves nothing behind', async () => {
  const registry = memory();
  const bad = { mediaType: 'x', digest: digestOf(utf8('not there')), size: 9 };
  lay(registry, listOf(registry, [layerFor(registry, 'good'), bad]));
  for await (const { signature } of openAttachments(registry).list(image)) {
    equal(signature.format, 'cosign');
    break;
  }
  // a failed read ahead that nobody awaits would end the process here
  await new Promise((resolve) => setImmediate(resolve));
  await rejectsList(openAttachments(registry), image, 'store.unreadable');
});

test('what is no list of signatures is named, and nothing is written over it', async () => {
  const bad = [
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] },
    { schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config: {}, layers: [] },
    { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: {}, layers: [] },
    [],
  ];
  for (const manifest of bad) {
    const registry = memory();
    lay(registry, manifest);
    const store = openAttachments(registry);
    const [only, ...more] = await listAll(store, image);
    deepEqual(more, []);
    equal(only?.location, `registry.example.com/ns/app:${tag}`);
    equal(only.signature.format === 'unreadable' && only.signature.code, 'signature.malformed');
    await rejects(store.add(image, cosign('mine')), code('signature.malformed'));
    equal(registry.requests.includes('PUT tag'), false);
  }
});

test('a payload that is too large or has another digest is no signature; the others are', async () => {
  const registry = memory();
  const large = { mediaType: 'x', digest: digestOf(utf8('large')), size: 4_194_305 };
  const lying = layerFor(registry, 'lying') as Descriptor;
  registry.blobs.set(`ns/app@${lying.digest}`, utf8('other'));
  lay(registry, listOf(registry, [large, lying, layerFor(registry, 'good')]));
  const found = await listAll(openAttachments(registry), image);
  deepEqual(
    found.map(({ signature }) => (signature.format === 'unreadable' ? signature.code : signature.format)),
    ['signature.too-large', 'blob.digest-mismatch', 'cosign'],
  );
});

test('1000 layers are read; more of them, or of their bytes, are not, and none is added', async () => {
  const registry = memory();
  const layer = layerFor(registry, 'one');
  lay(
    registry,
    listOf(
      registry,
      Array.from({ length: 1000 }, () => layer),
    ),
  );
  equal((await listAll(openAttachments(registry), image)).length, 1000);
  await rejects(openAttachments(registry).add(image, cosign('mine')), code('store.too-many-signatures'));
  lay(
    registry,
    listOf(
      registry,
      Array.from({ length: 1001 }, () => layer),
    ),
  );
  await rejectsList(openAttachments(registry), image, 'store.too-many-signatures');
  const large = { ...layer, size: 4_000_000 };
  lay(
    registry,
    listOf(
      registry,
      Array.from({ length: 17 }, () => large),
    ),
  );
  await rejectsList(openAttachments(registry), image, 'store.too-many-signatures');
});

test('a list that no reader would take is not written', async () => {
  const registry = memory();
  const long = { annotations: { note: 'x'.repeat(4_193_700) } };
  lay(registry, listOf(registry, [layerFor(registry, 'one', long)]));
  await rejects(openAttachments(registry).add(image, cosign('mine')), code('store.too-many-signatures'));
  equal(registry.requests.includes('PUT tag'), false);
});

test('a registry that does not answer as it should is an error, for reading and for adding', async () => {
  const failures: readonly ErrorCode[] = [
    'registry.denied',
    'registry.unauthorized',
    'registry.failed',
    'http.failed',
  ];
  for (const failure of failures) {
    const manifest = async (): Promise<Manifest> => {
      throw new BullaError(failure, 'no', { hint: 'log in' });
    };
    const store = openAttachments({ ...memory(), manifest });
    await rejectsList(store, image, 'store.unreadable');
    await rejects(
      store.add(image, cosign('mine')),
      (error: unknown) => isBullaError(error, 'store.unreadable') && error.hint === 'log in',
    );
  }
});

test('GPG signatures have no place here', async () => {
  await rejects(openAttachments(memory()).add(image, simpleSignature('a')), code('store.unsupported'));
});

test('a writer that put its list over ours is seen, and both signatures are there in the end', async () => {
  const registry = memory();
  let spoiled = 0;
  const foreign = layerFor(registry, 'foreign');
  const putManifest: Memory['putManifest'] = async (path, name, manifest) => {
    await registry.putManifest(path, name, manifest);
    // right after ours: it had read before we wrote
    if ((spoiled += 1) <= 2) lay(registry, listOf(registry, [foreign]));
  };
  const added = await openAttachments({ ...registry, putManifest }, hasty).add(image, cosign('mine'));
  deepEqual(added, { location: `registry.example.com/ns/app:${tag} layer 2`, added: true });
  const written = registry.tags.get(`ns/app:${tag}`);
  deepEqual(layersOf(written)[0], foreign);
  equal(layersOf(written).length, 2);
});

test('who signs while we upload is not put away', async () => {
  const registry = memory();
  const foreign = layerFor(registry, 'foreign');
  let blobs = 0;
  const putBlob: Memory['putBlob'] = async (path, descriptor, content) => {
    await registry.putBlob(path, descriptor, content);
    if ((blobs += 1) === 2) lay(registry, listOf(registry, [foreign]));
  };
  await openAttachments({ ...registry, putBlob }, hasty).add(image, cosign('mine'));
  equal(layersOf(registry.tags.get(`ns/app:${tag}`)).length, 2);
  equal(registry.requests.filter((each) => each === 'PUT tag').length, 1);
});

test('what was prepared is used once, and is looked at again', async () => {
  const registry = memory();
  const begun: boolean[] = [];
  const places = [new URL('http://r/up/1'), new URL('http://r/up/2')];
  const preparing: AttachmentRegistry = {
    ...registry,
    beginUpload: async () => places[registry.requests.push('POST') % 2] ?? fail(),
    putBlob: async (path, descriptor, content, options) => {
      begun.push(options?.begun !== undefined);
      await registry.putBlob(path, descriptor, content);
    },
  };
  const store = openAttachments(preparing, hasty);
  store.prepare?.(image);
  equal(registry.requests.filter((each) => each === 'POST').length, 2);
  // somebody signs between the first look and ours
  await openAttachments(registry, hasty).add(image, cosign('theirs'));
  await store.add(image, cosign('ours'));
  equal(begun.filter((each) => each).length >= 2, true);
  begun.splice(0);
  await store.add(image, cosign('more'));
  deepEqual(begun, [false, false]);
  const found = await listAll(store, image);
  equal(found.length, 3);
});

test('what could not be prepared is done when it is needed', async () => {
  const registry = memory();
  let works = false;
  const failing: AttachmentRegistry = {
    ...registry,
    manifest: (path, name) =>
      works ? registry.manifest(path, name) : Promise.reject(new BullaError('registry.failed', 'not yet')),
    beginUpload: () => Promise.reject(new BullaError('registry.failed', 'not yet')),
  };
  const store = openAttachments(failing, hasty);
  store.prepare?.(image);
  // long enough for an unhandled rejection to end the process
  await new Promise((resolve) => setImmediate(resolve));
  works = true;
  equal((await store.add(image, cosign('a'))).added, true);
});

test('one that replaces ours every time is named after a bounded number of tries', async () => {
  const registry = memory();
  const putManifest = async (): Promise<void> => lay(registry, listOf(registry, []));
  const store = openAttachments({ ...registry, putManifest }, hasty);
  await rejects(store.add(image, cosign('mine')), code('store.contended'));
  match(tag, /^sha256-[0-9a-f]{64}\.sig$/);
});

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { textOf, utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { type Digest, digestOf } from '../base/digest.ts';
import { BullaError, type ErrorCode, isBullaError } from '../base/errors.ts';
import { parseManifest, takeManifest } from '../base/manifest.ts';
import { parseReference } from '../base/reference.ts';
import type { Signature } from '../formats/signature.ts';
import { fallbackTag } from '../registry/referrers.ts';
import { openReferrers, type ReferrerRegistry } from './referrers.ts';
import { listAll, rejectsList, simpleSignature, testStoreContract } from './store-contract.ts';

const imageBytes = utf8('{"schemaVersion":2,"manifests":[],"annotations":{"n":"one"}}');
const otherBytes = utf8('{"schemaVersion":2,"manifests":[],"annotations":{"n":"two"}}');
const digest = digestOf(imageBytes);
const other = digestOf(otherBytes);
const reference = parseReference('registry.example.com/ns/app:1');
const image = { reference, digest };
const path = 'ns/app';
const tag = fallbackTag(digest);
const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const emptyType = 'application/vnd.oci.empty.v1+json';

type Memory = ReferrerRegistry & {
  readonly manifests: Map<string, Uint8Array>;
  readonly blobs: Map<string, Uint8Array>;
  readonly requests: string[];
};

const missing = (): BullaError => new BullaError('image.not-found', 'MANIFEST_UNKNOWN');

/** A registry in memory, which checks what real ones check: a manifest's blobs have to be there. */
function memory({ hasApi = false, hasEtags = false } = {}): Memory {
  const manifests = new Map<string, Uint8Array>([
    [digest, imageBytes],
    [other, otherBytes],
  ]);
  const blobs = new Map<string, Uint8Array>();
  const requests: string[] = [];
  const get = (name: string): Uint8Array => {
    requests.push(`GET ${name}`);
    const bytes = manifests.get(name);
    if (bytes === undefined) throw missing();
    return bytes;
  };
  const byApi = (subject: Digest): readonly Descriptor[] | undefined => {
    requests.push('GET referrers');
    if (!hasApi) return undefined;
    return [...manifests].flatMap(([name, bytes]): Descriptor[] => {
      const parsed = parseManifest(takeManifest(bytes));
      if (parsed.kind !== 'image' || parsed.subject?.digest !== subject) return [];
      const { artifactType = '', annotations = {} } = parsed;
      const size = bytes.length;
      return [{ mediaType: mediaTypes.ociManifest, digest: name as Digest, size, artifactType, annotations }];
    });
  };
  const etagOf = (bytes: Uint8Array): { readonly etag?: string } =>
    hasEtags ? { etag: `"${digestOf(bytes)}"` } : {};
  return {
    domain: 'registry.example.com',
    manifests,
    blobs,
    requests,
    manifest: async (_path, name) => takeManifest(get(name)),
    taggedManifest: async (_path, name) => {
      const bytes = get(name);
      return { manifest: takeManifest(bytes), ...etagOf(bytes) };
    },
    hasBlob: async (_path, named) => blobs.has(named),
    blob: async (_path, { digest: named, size }) => {
      requests.push(`GET blob ${named}`);
      const bytes = blobs.get(named);
      if (bytes === undefined) throw missing();
      if (digestOf(bytes) !== named || bytes.length !== size)
        throw new BullaError('blob.digest-mismatch', 'other bytes');
      return new Blob([new Uint8Array(bytes)]).stream();
    },
    putBlob: async (_path, { digest: named }, content) => {
      ok(content instanceof Uint8Array && digestOf(content) === named);
      blobs.set(named, content);
    },
    putManifest: async (_path, name, { bytes }, options = {}) => {
      requests.push(`PUT ${name}`);
      const parsed = parseManifest(takeManifest(bytes));
      if (parsed.kind === 'image')
        for (const each of [parsed.config, ...parsed.layers]) ok(blobs.has(each.digest), 'BLOB_UNKNOWN');
      const there = manifests.get(name);
      if (options.ifMatch !== undefined && there !== undefined && etagOf(there).etag !== options.ifMatch)
        throw new BullaError('registry.changed', '412');
      manifests.set(name, bytes);
    },
    referrersByApi: async (_path, subject) => byApi(subject),
    referrers: async (_path, subject) => {
      const listed = byApi(subject);
      if (listed !== undefined && listed.length > 0) return { source: 'api', manifests: listed };
      const bytes = manifests.get(fallbackTag(subject));
      if (bytes === undefined) return { source: 'tag', manifests: [] };
      const parsed = parseManifest(takeManifest(get(fallbackTag(subject))));
      return { source: 'tag', manifests: parsed.kind === 'index' ? parsed.manifests : [] };
    },
  };
}

function bundle(text: string, predicateType = 'https://sigstore.dev/cosign/sign/v1'): Signature {
  const payload = Buffer.from(JSON.stringify({ predicateType, text })).toString('base64');
  const json = utf8(JSON.stringify({ mediaType: bundleType, dsseEnvelope: { payload } }));
  return { format: 'bundle', mediaType: bundleType, json };
}

/** Without turns and pauses: what the registry itself guarantees. */
const hasty = { inTurn: <T>(_: string, work: () => Promise<T>) => work(), pause: async () => undefined };

for (const [what, registry] of [
  ['with the API', () => memory({ hasApi: true })],
  ['with entity tags', () => memory({ hasEtags: true })],
  ['with nothing', () => memory()],
] as const) {
  testStoreContract(`referrers ${what}`, async () => ({
    store: openReferrers(registry()),
    digests: [digest, other],
    signature: bundle,
    dispose: async () => undefined,
  }));
}

type Json = Readonly<Record<string, unknown>>;

function jsonOf(bytes: Uint8Array | undefined): Json {
  return JSON.parse(textOf(bytes ?? new Uint8Array()) ?? '') as Json;
}

const now = (): Date => new Date('2026-11-22T10:52:27.345Z');

test('a bundle is written as cosign 3.1 writes it, and listed as the specification wants it', async () => {
  const registry = memory();
  const made = bundle('one');
  ok(made.format === 'bundle');
  const { location, added } = await openReferrers(registry, { now }).add(image, made);
  equal(added, true);
  const name = location.slice(location.indexOf('@') + 1);
  const layer = { mediaType: bundleType, size: made.json.length, digest: digestOf(made.json) };
  const annotations = {
    'dev.sigstore.bundle.content': 'dsse-envelope',
    'dev.sigstore.bundle.predicateType': 'https://sigstore.dev/cosign/sign/v1',
    'org.opencontainers.image.created': '2026-11-22T10:52:27Z',
  };
  // the sample of cosign 3.1.1 has these members and no others
  deepEqual(jsonOf(registry.manifests.get(name)), {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: {
      mediaType: emptyType,
      size: 2,
      digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
      artifactType: bundleType,
    },
    layers: [layer],
    annotations,
    subject: { mediaType: mediaTypes.ociIndex, size: imageBytes.length, digest },
    artifactType: bundleType,
  });
  deepEqual(jsonOf(registry.manifests.get(tag)), {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [
      {
        mediaType: mediaTypes.ociManifest,
        size: registry.manifests.get(name)?.length,
        digest: name,
        annotations,
        artifactType: bundleType,
      },
    ],
  });
});

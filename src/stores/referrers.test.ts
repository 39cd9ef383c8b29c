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
    headManifest: async (_path, name) => (manifests.has(name) ? {} : undefined),
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

const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

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

/** Lays out a referrer as others may, and lists it in the fallback tag. */
type Laid = {
  readonly manifest?: object;
  readonly layer?: object;
  readonly entry?: object;
  readonly content?: string;
};

function lay(registry: Memory, many: readonly Laid[]): void {
  const entries = many.map(({ manifest = {}, layer = {}, entry = {}, content = 'a bundle' }) => {
    const blob = utf8(content);
    registry.blobs.set(digestOf(blob), blob);
    const bytes = utf8(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: { mediaType: emptyType, size: 2, digest: digestOf(utf8('{}')) },
        layers: [{ mediaType: bundleType, size: blob.length, digest: digestOf(blob), ...layer }],
        subject: { mediaType: mediaTypes.ociIndex, size: imageBytes.length, digest },
        ...manifest,
      }),
    );
    registry.manifests.set(digestOf(bytes), bytes);
    return { mediaType: mediaTypes.ociManifest, size: bytes.length, digest: digestOf(bytes), ...entry };
  });
  registry.manifests.set(tag, utf8(JSON.stringify({ schemaVersion: 2, manifests: entries })));
}

/** Formats as listed; of what cannot be read its code. */
async function formats(registry: Memory): Promise<readonly string[]> {
  const found = await listAll(openReferrers(registry), image);
  return found.map(({ signature }) =>
    signature.format === 'unreadable' ? signature.code : signature.format,
  );
}

test('an entry that says nothing of its kind is read, one that says it is something else is not', async () => {
  const registry = memory();
  lay(registry, [
    { content: '1', entry: { artifactType: emptyType } },
    { content: '2' },
    { content: '3', entry: { artifactType: 'application/vnd.oci.image.config.v1+json' } },
    { content: '4', entry: { artifactType: 'application/spdx+json' } },
    { content: '5', entry: { artifactType: bundleType } },
    { content: '6', entry: { mediaType: mediaTypes.ociIndex } },
    { content: '7', layer: { mediaType: 'text/spdx' } },
  ]);
  deepEqual(await formats(registry), ['bundle', 'bundle', 'bundle', 'bundle']);
  // the tag, five manifests, four bundles
  equal(registry.requests.filter((each) => each.startsWith('GET sha256:')).length, 5);
  equal(registry.requests.filter((each) => each.startsWith('GET blob')).length, 4);
});

test('Notary signatures and cosign’s experimental referrers, by artifactType or by the configuration’s type', async () => {
  const notary = 'application/vnd.cncf.notary.signature';
  const cosign = 'application/vnd.dev.cosign.artifact.sig.v1+json';
  const config = { size: 2, digest: digestOf(utf8('{}')) };
  const registry = memory();
  lay(registry, [
    {
      content: '1',
      manifest: { artifactType: notary },
      layer: { mediaType: 'application/jose+json' },
      entry: { artifactType: notary },
    },
    {
      content: '2',
      manifest: { config: { ...config, mediaType: notary } },
      layer: { mediaType: 'application/cose' },
    },
    { content: '3', manifest: { artifactType: notary }, layer: { mediaType: 'text/plain' } },
    {
      content: '4',
      manifest: { config: { ...config, mediaType: cosign } },
      layer: { mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json', annotations: { a: 'b' } },
      entry: { artifactType: cosign },
    },
  ]);
  deepEqual(await formats(registry), ['notary', 'notary', 'signature.malformed', 'cosign']);
  const last = (await listAll(openReferrers(registry), image)).at(-1);
  deepEqual(last?.signature.format === 'cosign' && last.signature.annotations, { a: 'b' });
  ok(last?.location.endsWith(' layer 1'));
});

test('what is wrong with one entry has its own code, and leaves the others', async () => {
  const registry = memory();
  const subject = { mediaType: mediaTypes.ociIndex, size: 1, digest: other };
  const two = { mediaType: bundleType, size: 1, digest: digestOf(utf8('1')) };
  lay(registry, [
    { content: 'another image’s', manifest: { subject } },
    { content: 'nobody’s', manifest: { subject: undefined } },
    { content: 'lies about the manifest', entry: { size: 7 } },
    { content: 'lies about a large one', entry: { size: 4_194_305 } },
    { content: 'lies about the blob', layer: { size: 3 } },
    { content: 'huge', layer: { size: 16_777_217 } },
    { content: 'gone', entry: { digest: digestOf(utf8('gone')) } },
    { content: 'two layers', manifest: { layers: [two, two] } },
    { content: 'no layer', manifest: { layers: [], artifactType: bundleType } },
    { content: 'no layers', manifest: { layers: {}, artifactType: bundleType } },
    { content: 'good' },
  ]);
  deepEqual(await formats(registry), [
    'signature.wrong-subject',
    'signature.wrong-subject',
    'signature.wrong-size',
    'manifest.too-large',
    'blob.digest-mismatch',
    'signature.too-large',
    'signature.not-found',
    'signature.malformed',
    'signature.malformed',
    'manifest.malformed',
    'bundle',
  ]);
  // neither the manifest that is said to be large nor the huge bundle was asked for
  equal(registry.requests.filter((each) => each.startsWith('GET blob')).length, 2);
});

test('a list that is none stands as one signature that cannot be read; one that is too long is refused', async () => {
  const registry = memory();
  registry.manifests.set(tag, utf8('{"schemaVersion":2,"manifests":[{"digest":"?"}]}'));
  deepEqual(await formats(registry), ['signature.malformed']);
  await rejects(openReferrers(registry).add(image, bundle('x')), code('signature.malformed'));
  equal(
    registry.requests.some((each) => each === `PUT ${tag}`),
    false,
  );
  const long = async (): Promise<never> => {
    throw new BullaError('registry.too-many-referrers', '10,000');
  };
  await rejectsList(openReferrers({ ...registry, referrers: long }), image, 'registry.too-many-referrers');
});

test('a list as long as is read takes no more', async () => {
  const registry = memory();
  lay(
    registry,
    Array.from({ length: 1000 }, () => ({ content: 'same' })),
  );
  await rejects(openReferrers(registry).add(image, bundle('x')), code('registry.too-many-referrers'));
});

test('a registry that does not answer as it should is an error', async () => {
  for (const failure of ['registry.denied', 'registry.failed', 'http.timeout'] as const) {
    const fail = async (): Promise<never> => {
      throw new BullaError(failure, 'no');
    };
    const registry = memory();
    lay(registry, [{}]);
    for (const broken of [{ referrers: fail }, { manifest: fail }, { blob: fail }])
      await rejectsList(openReferrers({ ...registry, ...broken }), image, 'store.unreadable');
    await rejects(openReferrers({ ...registry, taggedManifest: fail }).add(image, bundle('x')), isBullaError);
  }
});

test('what says it is wanted comes first, the newest of it before the rest, and nothing is asked for in vain', async () => {
  const registry = memory();
  const wanted = 'https://example.com/wanted';
  const said = (type: string, created: string): object => ({
    annotations: {
      'dev.sigstore.bundle.predicateType': type,
      'org.opencontainers.image.created': created,
    },
  });
  lay(registry, [
    { content: 'other', entry: said('https://example.com/other', '2026-01-09T00:00:00Z') },
    { content: 'silent' },
    { content: 'old', entry: said(wanted, '2026-01-01T00:00:00Z') },
    { content: 'new', entry: said(wanted, '2026-01-02T00:00:00Z') },
  ]);
  const texts: string[] = [];
  for await (const { signature } of openReferrers(registry).list(image, { predicateType: wanted })) {
    texts.push(signature.format === 'bundle' ? (textOf(signature.json) ?? '') : signature.format);
    if (texts.length > 1) continue;
    deepEqual(
      registry.requests.map((each) => each.replace(/sha256[:-].*/, '…')),
      ['GET referrers', 'GET …', 'GET …', 'GET blob …'],
    );
  }
  deepEqual(texts, ['new', 'old', 'silent', 'other']);
});

test('who stops reading early leaves nothing behind', async () => {
  const registry = memory();
  lay(registry, [{ content: 'good' }, { content: 'bad' }, { content: 'bad too' }]);
  const blob: Memory['blob'] = async (path, each) => {
    if (each.size > 4) return registry.blob(path, { ...each, digest: other });
    return registry.blob(path, each);
  };
  for await (const { signature } of openReferrers({ ...registry, blob }).list(image, { everything: true })) {
    equal(signature.format, 'bundle');
    break;
  }
  await new Promise((resolve) => setImmediate(resolve));
});

test('entries of others stay as they are, members unknown here included', async () => {
  const registry = memory();
  const foreign = {
    mediaType: 'x/y',
    digest: other,
    size: 3,
    annotations: { a: 'b' },
    urls: ['https://h.example'],
    data: 'e30=',
  };
  const list = { schemaVersion: 2, manifests: [foreign], annotations: { c: 'd' } };
  registry.manifests.set(tag, utf8(JSON.stringify(list)));
  await openReferrers(registry).add(image, bundle('mine'));
  const written = jsonOf(registry.manifests.get(tag));
  deepEqual((written['manifests'] as readonly unknown[])[0], foreign);
  equal((written['manifests'] as readonly unknown[]).length, 2);
  deepEqual(written['annotations'], { c: 'd' });
  equal(written['mediaType'], mediaTypes.ociIndex);
});

test('a writer that put its list over ours is seen, and both entries are there in the end', async () => {
  for (const hasEtags of [false, true]) {
    const registry = memory({ hasEtags });
    const foreign = { mediaType: 'x/y', digest: other, size: 3 };
    let spoiled = 0;
    const putManifest: Memory['putManifest'] = async (path, name, manifest, options) => {
      const spoil = name === tag && (spoiled += 1) <= 2;
      const theirs = utf8(JSON.stringify({ schemaVersion: 2, manifests: [foreign], n: spoiled }));
      // right before ours, which an entity tag tells; right after ours, which only a further look does
      if (spoil && hasEtags) registry.manifests.set(tag, theirs);
      await registry.putManifest(path, name, manifest, options);
      if (spoil && !hasEtags) registry.manifests.set(tag, theirs);
    };
    registry.manifests.set(tag, utf8('{"schemaVersion":2,"manifests":[]}'));
    await openReferrers({ ...registry, putManifest }, hasty).add(image, bundle('mine'));
    const written = jsonOf(registry.manifests.get(tag))['manifests'] as readonly unknown[];
    deepEqual(written[0], foreign);
    equal(written.length, 2);
  }
});

test('one that replaces ours every time is named after a bounded number of tries', async () => {
  const registry = memory();
  const putManifest: Memory['putManifest'] = async (path, name, manifest) => {
    if (name !== tag) await registry.putManifest(path, name, manifest);
  };
  await rejects(
    openReferrers({ ...registry, putManifest }, hasty).add(image, bundle('mine')),
    code('store.contended'),
  );
});

test('a registry with the API that forgets the subject gets the tag as well', async () => {
  const registry = memory({ hasApi: true });
  const forgets = { ...registry, referrersByApi: async () => [] };
  await openReferrers(forgets).add(image, bundle('mine'));
  equal((jsonOf(registry.manifests.get(tag))['manifests'] as readonly unknown[]).length, 1);
});

test('only bundles are added, and none that nobody would read', async () => {
  const store = openReferrers(memory());
  await rejects(store.add(image, simpleSignature('a')), code('store.unsupported'));
  const json = new Uint8Array(16_777_217);
  await rejects(
    store.add(image, { format: 'bundle', mediaType: bundleType, json }),
    code('signature.too-large'),
  );
  const gone = { reference, digest: digestOf(utf8('no such image')) };
  await rejects(store.add(gone, bundle('a')), code('image.not-found'));
});

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { utf8 } from '../../base/bytes.ts';
import { digestOf } from '../../base/digest.ts';
import { folderStorage } from './folder-storage.ts';
import { memoryStorage } from './memory-storage.ts';
import { createRegistry, type Handler, isRepository, type RegistryOptions } from './registry.ts';
import type { RegistryStorage } from './storage.ts';

const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const emptyConfig = utf8('{}');

/** A client of one registry, in process: no port, no socket. */
function clientOf(handler: Handler) {
  const ask = (method: string, path: string, init: RequestInit = {}): Promise<Response> =>
    handler(new Request(`http://registry${path}`, { method, duplex: 'half', ...init }));
  const pushBlob = async (repository: string, bytes: Uint8Array): Promise<string> => {
    const digest = digestOf(bytes);
    const body = Buffer.from(bytes);
    const response = await ask('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body });
    assert.equal(response.status, 201);
    return digest;
  };
  const pushManifest = (repository: string, reference: string, value: object): Promise<Response> =>
    ask('PUT', `/v2/${repository}/manifests/${reference}`, {
      body: JSON.stringify(value),
      headers: { 'content-type': ociManifest },
    });
  return { ask, pushBlob, pushManifest };
}

function imageManifest(extra: object = {}): object {
  const digest = digestOf(emptyConfig);
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: emptyConfig.length };
  return { schemaVersion: 2, mediaType: ociManifest, config, layers: [], ...extra };
}

async function codeOf(response: Response): Promise<string> {
  const body = (await response.json()) as { errors: { code: string }[] };
  return body.errors[0]?.code ?? '';
}

/** Runs a test on both storages. */
function onEachStorage(name: string, run: (storage: RegistryStorage) => Promise<void>): void {
  test(`${name} (in memory)`, () => run(memoryStorage(10_000_000)));
  test(`${name} (in a folder)`, async () => {
    const root = await mkdtemp(join(tmpdir(), 'bulla-registry-'));
    try {
      await run(folderStorage(root));
    } finally {
      await rm(root, { recursive: true });
    }
  });
}

onEachStorage('a blob comes back as it went in, whole and in ranges', async (storage) => {
  const { ask, pushBlob } = clientOf(createRegistry({ storage }));
  const bytes = utf8('0123456789');
  const path = `/v2/ns/app/blobs/${await pushBlob('ns/app', bytes)}`;
  const whole = await ask('GET', path);
  assert.equal(whole.headers.get('content-length'), '10');
  assert.equal(await whole.text(), '0123456789');
  const head = await ask('HEAD', path);
  assert.equal(head.headers.get('content-length'), '10');
  assert.equal(await head.text(), '');
  for (const [range, status, text] of [
    ['bytes=2-4', 206, '234'],
    ['bytes=7-', 206, '789'],
    ['bytes=-2', 206, '89'],
    ['bytes=8-99', 206, '89'],
    ['bytes=10-', 416, ''],
    ['bytes=4-2', 416, ''],
    ['lines=1-2', 200, '0123456789'],
  ] as const) {
    const part = await ask('GET', path, { headers: { range } });
    assert.equal(part.status, status, range);
    assert.equal(await part.text(), text, range);
  }
  assert.equal((await ask('GET', path.replace('ns/app', 'ns/other'))).status, 404);
});

onEachStorage('a chunked upload goes on only where it stands', async (storage) => {
  const { ask } = clientOf(createRegistry({ storage }));
  const started = await ask('POST', '/v2/app/blobs/uploads/');
  assert.equal(started.status, 202);
  const location = started.headers.get('location') ?? '';
  const patch = (body: string, range: string): Promise<Response> =>
    ask('PATCH', location, { body, headers: { 'content-range': range } });
  assert.equal((await patch('hello ', '0-5')).headers.get('range'), '0-5');
  assert.equal((await patch('world', '3-7')).status, 416);
  const status = await ask('GET', location);
  assert.deepEqual([status.status, status.headers.get('range')], [204, '0-5']);
  const digest = digestOf(utf8('hello world'));
  const done = await ask('PUT', `${location}?digest=${digest}`, { body: 'world' });
  assert.equal(done.status, 201);
  assert.equal(done.headers.get('docker-content-digest'), digest);
  assert.equal(await (await ask('GET', done.headers.get('location') ?? '')).text(), 'hello world');
  assert.equal(await codeOf(await ask('GET', location)), 'BLOB_UPLOAD_UNKNOWN');
});

onEachStorage('content with another digest is not kept', async (storage) => {
  const { ask } = clientOf(createRegistry({ storage }));
  const digest = digestOf(utf8('expected'));
  const lied = await ask('POST', `/v2/app/blobs/uploads/?digest=${digest}`, { body: 'other' });
  assert.equal(lied.status, 400);
  assert.equal(await codeOf(lied), 'DIGEST_INVALID');
  assert.equal((await ask('HEAD', `/v2/app/blobs/${digest}`)).status, 404);
  assert.deepEqual(await storage.list('uploads'), []);
});

onEachStorage('a cancelled upload leaves nothing', async (storage) => {
  const { ask } = clientOf(createRegistry({ storage }));
  const location = (await ask('POST', '/v2/app/blobs/uploads')).headers.get('location') ?? '';
  await ask('PATCH', location, { body: 'data' });
  assert.equal((await ask('DELETE', location)).status, 204);
  assert.equal((await ask('GET', location)).status, 404);
  assert.deepEqual(await storage.list('uploads'), []);
});

onEachStorage('a blob is mounted from a repository that has it', async (storage) => {
  const { ask, pushBlob } = clientOf(createRegistry({ storage }));
  const digest = await pushBlob('a', utf8('shared'));
  const mount = (from: string): Promise<Response> =>
    ask('POST', `/v2/b/blobs/uploads/?mount=${digest}&from=${from}`);
  assert.equal((await mount('c')).status, 202);
  assert.equal((await ask('HEAD', `/v2/b/blobs/${digest}`)).status, 404);
  assert.equal((await mount('a')).status, 201);
  assert.equal((await ask('HEAD', `/v2/b/blobs/${digest}`)).status, 200);
});

onEachStorage('a manifest is found by tag and digest until it is deleted', async (storage) => {
  const { ask, pushBlob, pushManifest } = clientOf(createRegistry({ storage }));
  await pushBlob('ns/app', emptyConfig);
  const pushed = await pushManifest('ns/app', 'v1', imageManifest());
  assert.equal(pushed.status, 201);
  const digest = pushed.headers.get('docker-content-digest') ?? '';
  for (const reference of ['v1', digest]) {
    const found = await ask('GET', `/v2/ns/app/manifests/${reference}`);
    assert.equal(found.headers.get('content-type'), ociManifest);
    assert.equal(found.headers.get('docker-content-digest'), digest);
    assert.equal(digestOf(new Uint8Array(await found.arrayBuffer())), digest);
  }
  await pushManifest('ns/app', 'v2', imageManifest());
  assert.equal((await ask('DELETE', '/v2/ns/app/manifests/v2')).status, 202);
  assert.equal((await ask('GET', `/v2/ns/app/manifests/${digest}`)).status, 200);
  assert.equal((await ask('DELETE', `/v2/ns/app/manifests/${digest}`)).status, 202);
  for (const reference of ['v1', 'v2', digest]) {
    assert.equal(await codeOf(await ask('GET', `/v2/ns/app/manifests/${reference}`)), 'MANIFEST_UNKNOWN');
  }
});

test('a manifest is refused when it is not what it says', async () => {
  const { ask, pushBlob, pushManifest } = clientOf(createRegistry());
  assert.equal(await codeOf(await pushManifest('app', 'v1', imageManifest())), 'MANIFEST_BLOB_UNKNOWN');
  await pushBlob('app', emptyConfig);
  const wrongDigest = digestOf(utf8('other'));
  const put = (reference: string, body: string, type = ociManifest): Promise<Response> =>
    ask('PUT', `/v2/app/manifests/${reference}`, { body, headers: { 'content-type': type } });
  const good = JSON.stringify(imageManifest());
  assert.equal(await codeOf(await put(wrongDigest, good)), 'DIGEST_INVALID');
  assert.equal(await codeOf(await put('v1', 'no json')), 'MANIFEST_INVALID');
  assert.equal(await codeOf(await put('-v1', good)), 'MANIFEST_INVALID');
  const dockerType = 'application/vnd.docker.distribution.manifest.v2+json';
  assert.equal(await codeOf(await put('v1', good, dockerType)), 'MANIFEST_INVALID');
  const tooLarge = await put('v1', `${good}${' '.repeat(4 * 1024 * 1024)}`);
  assert.equal(tooLarge.status, 413);
  assert.equal((await ask('GET', '/v2/app/manifests/v1')).status, 404);
});

test('tags are listed in pages', async () => {
  const { ask, pushBlob, pushManifest } = clientOf(createRegistry());
  assert.equal(await codeOf(await ask('GET', '/v2/app/tags/list')), 'NAME_UNKNOWN');
  await pushBlob('app', emptyConfig);
  for (const tag of ['c', 'a', 'b']) await pushManifest('app', tag, imageManifest());
  const first = await ask('GET', '/v2/app/tags/list?n=2');
  assert.deepEqual(await first.json(), { name: 'app', tags: ['a', 'b'] });
  assert.equal(first.headers.get('link'), '</v2/app/tags/list?n=2&last=b>; rel="next"');
  const second = await ask('GET', '/v2/app/tags/list?n=2&last=b');
  assert.deepEqual(await second.json(), { name: 'app', tags: ['c'] });
  assert.equal(second.headers.get('link'), null);
  assert.equal((await ask('GET', '/v2/app/tags/list?n=-1')).status, 400);
});

onEachStorage('repositories are listed in pages, however deep they lie', async (storage) => {
  const { ask, pushBlob, pushManifest } = clientOf(createRegistry({ storage }));
  assert.deepEqual(await (await ask('GET', '/v2/_catalog')).json(), { repositories: [] });
  for (const name of ['ns/app/deep', 'ns/app', 'other']) {
    await pushBlob(name, emptyConfig);
    await pushManifest(name, '1', imageManifest());
  }
  const first = await ask('GET', '/v2/_catalog?n=2');
  assert.deepEqual(await first.json(), { repositories: ['ns/app', 'ns/app/deep'] });
  assert.equal(first.headers.get('link'), '</v2/_catalog?n=2&last=ns%2Fapp%2Fdeep>; rel="next"');
  const second = await ask('GET', '/v2/_catalog?n=2&last=ns%2Fapp%2Fdeep');
  assert.deepEqual(await second.json(), { repositories: ['other'] });
});

onEachStorage('referrers of a subject are listed, filtered and removed', async (storage) => {
  const { ask, pushBlob, pushManifest } = clientOf(createRegistry({ storage }));
  await pushBlob('app', emptyConfig);
  const subjectDigest = digestOf(utf8('a subject that need not be there'));
  const subject = { mediaType: ociManifest, digest: subjectDigest, size: 1 };
  const annotations = { who: 'a' };
  const a = await pushManifest('app', 'a', imageManifest({ subject, artifactType: 'type/a', annotations }));
  assert.equal(a.headers.get('oci-subject'), subjectDigest);
  await pushManifest('app', 'b', imageManifest({ subject }));
  const list = async (
    query: string,
  ): Promise<{ artifactType: string; annotations?: object; digest: string }[]> => {
    const response = await ask('GET', `/v2/app/referrers/${subjectDigest}${query}`);
    assert.equal(response.headers.get('content-type'), 'application/vnd.oci.image.index.v1+json');
    return ((await response.json()) as { manifests: { artifactType: string; digest: string }[] }).manifests;
  };
  const types = (await list('')).map(({ artifactType }) => artifactType).toSorted();
  assert.deepEqual(types, ['application/vnd.oci.image.config.v1+json', 'type/a']);
  const [onlyA] = await list('?artifactType=type/a');
  assert.deepEqual(onlyA?.annotations, annotations);
  await ask('DELETE', `/v2/app/manifests/${onlyA?.digest}`);
  assert.equal((await list('')).length, 1);
});

test('without the referrers API there is none, and no claim of it', async () => {
  const { ask, pushBlob, pushManifest } = clientOf(createRegistry({ referrers: false }));
  await pushBlob('app', emptyConfig);
  const subject = { mediaType: ociManifest, digest: digestOf(emptyConfig), size: 2 };
  const pushed = await pushManifest('app', 'a', imageManifest({ subject }));
  assert.deepEqual([pushed.status, pushed.headers.get('oci-subject')], [201, null]);
  assert.equal((await ask('GET', `/v2/app/referrers/${subject.digest}`)).status, 404);
});

test('limits and switches hold', async () => {
  const options: RegistryOptions = { storage: memoryStorage(1000), mostBlobBytes: 100, deletes: false };
  const { ask, pushBlob } = clientOf(createRegistry(options));
  const push = (size: number): Promise<Response> => {
    const body = Buffer.alloc(size, 1);
    return ask('POST', `/v2/app/blobs/uploads/?digest=${digestOf(body)}`, { body });
  };
  assert.equal((await push(101)).status, 413);
  const digest = await pushBlob('app', utf8('x'));
  assert.equal((await ask('DELETE', `/v2/app/blobs/${digest}`)).status, 405);
  const full = clientOf(createRegistry({ storage: memoryStorage(50) }));
  const body = Buffer.alloc(60);
  assert.equal(
    (await full.ask('POST', `/v2/app/blobs/uploads/?digest=${digestOf(body)}`, { body })).status,
    507,
  );
});

test('names that could leave the folder are no names', async () => {
  const { ask } = clientOf(createRegistry());
  for (const name of ['..', 'a/../b', 'A', '_tags', 'a/_tags/b', 'a//b', '-a', 'a'.repeat(256), 'a%2f..']) {
    assert.equal(isRepository(name), false, name);
  }
  for (const name of ['a', 'a/b/c', 'a.b', 'a__b', 'a--b', '0/1'])
    assert.equal(isRepository(name), true, name);
  assert.equal(await codeOf(await ask('GET', '/v2/UPPER/tags/list')), 'NAME_INVALID');
  assert.equal((await ask('GET', '/v2/app/manifests/..%2f..%2fx')).status, 404);
  assert.equal((await ask('GET', '/v2/')).headers.get('docker-distribution-api-version'), 'registry/2.0');
});

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { type Answer, serveAnswers } from '../../test/support/registry-faults.ts';
import { digestOf } from '../base/digest.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { takeManifest } from '../base/manifest.ts';
import { formatReference, parseReference, withDigest } from '../base/reference.ts';
import type { Credentials } from '../registry/credentials.ts';
import { openRegistries, type Registries } from '../registry/registries.ts';
import { openDockerImage, openDockerSink } from './docker.ts';

const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const manifest = Buffer.from(`{"schemaVersion":2,"mediaType":"${ociManifest}","layers":[]}`);
const digest = digestOf(manifest);

function code(expected: ErrorCode, text = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    assert.match(error.message, text);
    return true;
  };
}

const serveManifest: Answer = (_request, response) =>
  response.setHeader('content-type', ociManifest).end(manifest);

async function withRegistries(
  conf: string,
  run: (registries: Registries) => Promise<void>,
  credentials?: Credentials,
): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'bulla-docker-'));
  try {
    const registriesConf = join(path, 'registries.conf');
    await writeFile(registriesConf, conf);
    await using registries = openRegistries({
      environment: { env: {}, home: path, uid: 1, etc: join(path, 'etc'), share: join(path, 'share') },
      registriesConf,
      tlsVerify: false,
      retryTimes: 0,
      ...(credentials !== undefined && { credentials }),
    });
    await run(registries);
  } finally {
    await rm(path, { recursive: true });
  }
}

test('the top manifest is fetched once, also when asked for by its digest', async () => {
  await using site = await serveAnswers(serveManifest);
  await withRegistries('', async (registries) => {
    const reference = parseReference(`${site.host}/ns/app:1`);
    await using image = await openDockerImage(reference, registries);
    assert.equal((await image.manifest()).digest, digest);
    assert.equal(await image.manifest(digest), await image.manifest());
    assert.equal(image.physical, reference);
    assert.deepEqual(site.lines, ['GET /v2/ns/app/manifests/1']);
    await image.manifest(digestOf(Buffer.from('other'))).catch(() => undefined);
    assert.equal(site.lines.length, 2);
  });
});

test('who will ask for signatures has the ping go out beside the manifest, once', async () => {
  // the manifest is held back until the ping has come: one after the other would wait for ever
  const pinged = Promise.withResolvers<void>();
  await using site = await serveAnswers((request, response) => {
    if (request.url !== '/v2/') void pinged.promise.then(() => serveManifest(request, response));
    else {
      pinged.resolve();
      response.end();
    }
  });
  await withRegistries('', async (registries) => {
    const reference = parseReference(`${site.host}/ns/app:1`);
    const image = await openDockerImage(reference, registries, { stores: true });
    assert.deepEqual(await image.registry.ping(), { supportsSignatures: false });
    assert.deepEqual([...site.lines].sort(), ['GET /v2/', 'GET /v2/ns/app/manifests/1']);
  });
});

test('a reference by digest is asked for by digest and its bytes must have it', async () => {
  await using site = await serveAnswers(serveManifest);
  await withRegistries('', async (registries) => {
    const reference = parseReference(`${site.host}/ns/app:1`);
    const image = await openDockerImage(withDigest(reference, digest), registries);
    assert.equal((await image.manifest()).digest, digest);
    assert.deepEqual(site.lines, [`GET /v2/ns/app/manifests/${digest}`]);
    const other = withDigest(reference, digestOf(Buffer.from('other')));
    await assert.rejects(openDockerImage(other, registries), code('manifest.digest-mismatch'));
  });
});

test('the first mirror whose manifest loads is the image’s place for all else, without the primary’s credentials', async () => {
  await using broken = await serveAnswers((_request, response) => response.writeHead(500).end());
  await using mirror = await serveAnswers(serveManifest);
  await using primary = await serveAnswers(serveManifest);
  const conf = `
    [[registry]]
    location = "${primary.host}"
    [[registry.mirror]]
    location = "${broken.host}"
    [[registry.mirror]]
    location = "${mirror.host}/deep"
  `;
  const credentials: Credentials = { kind: 'registry-token', token: 'rt' };
  await withRegistries(
    conf,
    async (registries) => {
      const reference = parseReference(`${primary.host}/ns/app:1`);
      const image = await openDockerImage(reference, registries);
      assert.equal(formatReference(image.physical), `${mirror.host}/deep/ns/app:1`);
      await image.blob({ digest, size: manifest.length, mediaType: 'x' });
      assert.deepEqual(mirror.lines, [
        'GET /v2/deep/ns/app/manifests/1',
        `GET /v2/deep/ns/app/blobs/${digest}`,
      ]);
      assert.equal(primary.requests.length, 0);
      for (const each of [...broken.requests, ...mirror.requests]) {
        assert.equal(each.headers.authorization, undefined);
      }
      const own = await openDockerImage(reference, registries, { mirrors: false });
      assert.equal(own.physical, reference);
      assert.equal(primary.requests[0]?.headers.authorization, 'Bearer rt');
    },
    credentials,
  );
});

test('where all fail the primary’s error counts and the mirrors are named', async () => {
  await using mirror = await serveAnswers((_request, response) => response.writeHead(403).end());
  await using primary = await serveAnswers((_request, response) => response.writeHead(404).end('{}'));
  const conf = `[[registry]]\nlocation = "${primary.host}"\n[[registry.mirror]]\nlocation = "${mirror.host}"`;
  await withRegistries(conf, async (registries) => {
    const opening = openDockerImage(parseReference(`${primary.host}/app:1`), registries);
    await assert.rejects(opening, code('image.not-found', /mirrors failed too: .*403/));
  });
});

test('a blocked registry is not contacted', async () => {
  await using site = await serveAnswers(serveManifest);
  await withRegistries(`[[registry]]\nlocation = "${site.host}"\nblocked = true`, async (registries) => {
    const reference = parseReference(`${site.host}/app:1`);
    await assert.rejects(openDockerImage(reference, registries), code('registry.blocked'));
    await assert.rejects(openDockerSink(reference, registries), code('registry.blocked'));
    assert.equal(site.requests.length, 0);
  });
});

test('a sink looks before it uploads and writes manifests by digest and by name', async () => {
  await using site = await serveAnswers((request, response) => {
    const there = request.method === 'HEAD' && request.url.includes(digest);
    if (request.method === 'POST') response.writeHead(202, { location: '/up' }).end();
    else
      response
        .writeHead(request.method === 'PUT' ? 201 : there ? 200 : request.method === 'HEAD' ? 404 : 200)
        .end();
  });
  await withRegistries('', async (registries) => {
    const sink = await openDockerSink(parseReference(`${site.host}/app:1`), registries);
    const bytes = Buffer.from('blob');
    const missing = { digest: digestOf(bytes), size: 4, mediaType: 'x' };
    await sink.putBlob({ digest, size: 3, mediaType: 'x' }, new Blob(['new']).stream());
    await sink.putBlob(missing, new Blob([bytes]).stream());
    await sink.putManifest(takeManifest(manifest), { instance: true });
    await sink.putManifest(takeManifest(manifest));
    assert.deepEqual(site.lines, [
      `HEAD /v2/app/blobs/${digest}`,
      `HEAD /v2/app/blobs/${missing.digest}`,
      'GET /v2/',
      'POST /v2/app/blobs/uploads/',
      `PUT /up?digest=${encodeURIComponent(missing.digest)}`,
      `PUT /v2/app/manifests/${digest}`,
      'PUT /v2/app/manifests/1',
    ]);
    const wrong = withDigest(parseReference(`${site.host}/app`), missing.digest);
    const pinned = await openDockerSink(wrong, registries);
    await assert.rejects(pinned.putManifest(takeManifest(manifest)), code('manifest.digest-mismatch'));
  });
});

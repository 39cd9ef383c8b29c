/** Manifests, read and written, and what a registry says in place of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  code,
  digest,
  manifest,
  ociIndex,
  ociManifest,
  open,
  serveManifest,
} from '../../test/support/registry-client.ts';
import { serveAnswers } from '../../test/support/registry-faults.ts';
import { digestOf } from '../base/digest.ts';
import { limits } from '../base/limits.ts';
import { isBullaError } from '../base/errors.ts';

test('a manifest asked for by digest has it or is refused', async () => {
  await using site = await serveAnswers((_request, response) =>
    response.setHeader('docker-content-digest', digest).end(`${manifest.toString()} `),
  );
  await using registry = open(site.host);
  await assert.rejects(registry.manifest('a', digest), code('manifest.digest-mismatch'));
});

test('a tag’s digest is that of the bytes, whatever the header says', async () => {
  await using site = await serveAnswers((request, response) => {
    response.setHeader('docker-content-digest', digestOf(Buffer.from('other')));
    serveManifest(request, response);
  });
  await using registry = open(site.host);
  assert.equal((await registry.manifest('a', '1')).digest, digest);
});

test('a manifest over 4 MiB is refused', async () => {
  await using site = await serveAnswers((_request, response) =>
    response.end(Buffer.alloc(limits.manifestBytes + 1, ' ')),
  );
  await using registry = open(site.host);
  await assert.rejects(registry.manifest('a', '1'), code('manifest.too-large'));
});

test('a web page is named as what it is', async () => {
  let status = 200;
  await using site = await serveAnswers((_request, response) =>
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' }).end('<html>'),
  );
  await using registry = open(site.host);
  await assert.rejects(registry.manifest('a', '1'), code('registry.not-a-registry'));
  await assert.rejects(registry.ping(), code('registry.not-a-registry'));
  status = 404;
  await assert.rejects(registry.manifest('a', '1'), code('registry.not-a-registry'));
});

test('refusals have their codes, and what a registry says is made printable', async () => {
  let status = 404;
  let body = '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no\\u001b[31m such thing"}]}';
  await using site = await serveAnswers((_request, response) => response.writeHead(status).end(body));
  await using registry = open(site.host);
  await assert.rejects(registry.manifest('a', '1'), code('image.not-found', /no\\u001b\[31m such thing/));
  status = 403;
  await assert.rejects(registry.manifest('a', '1'), code('registry.denied'));
  status = 429;
  await assert.rejects(registry.manifest('a', '1'), code('registry.rate-limited'));
  status = 500;
  await assert.rejects(registry.manifest('a', '1'), code('registry.failed'));
  status = 400;
  body = '{"errors":[{"code":"NAME_UNKNOWN"}]}';
  await assert.rejects(registry.manifest('a', '1'), code('image.not-found', /NAME_UNKNOWN/));
  // registry.redhat.io, Harbor
  body = '{"errors":[{"code":"UNKNOWN","message":"artifact ns/app:1 Not Found"}]}';
  await assert.rejects(registry.manifest('a', '1'), code('image.not-found', /Not Found/));
  body = '{"errors":[{"code":"UNKNOWN","message":"no such user"}]}';
  await assert.rejects(registry.manifest('a', '1'), code('registry.failed'));
  body = '{"errors":"x"}';
  await assert.rejects(registry.manifest('a', '1'), code('registry.failed'));
});

test('a manifest whose blobs another writer is just uploading is sent again, for a while', async () => {
  let refusals = 3;
  const missing = JSON.stringify({
    errors: [
      { code: 'DIGEST_INVALID' },
      { code: 'MANIFEST_BLOB_UNKNOWN', message: 'blob unknown to registry' },
    ],
  });
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'PUT') refusals -= 1;
    if (request.method !== 'PUT') response.writeHead(200).end('{}');
    else if (refusals >= 0) response.writeHead(400, { 'content-type': 'application/json' }).end(missing);
    else response.writeHead(201).end();
  });
  await using registry = open(site.host);
  const put = (): Promise<void> =>
    registry.putManifest('a', '1', { bytes: manifest, mediaType: ociManifest });
  const puts = (): number => site.requests.filter(({ method }) => method === 'PUT').length;
  await put();
  assert.equal(puts(), 4);
  refusals = Infinity;
  await assert.rejects(put(), (error) => isBullaError(error, 'registry.failed'));
  assert.equal(puts(), 9);
});

test('a manifest that came back changed is reported', async () => {
  let claimed = digest;
  await using site = await serveAnswers((request, response) =>
    response.writeHead(request.method === 'PUT' ? 201 : 200, { 'docker-content-digest': claimed }).end(),
  );
  await using registry = open(site.host);
  await registry.putManifest('a', '1', { bytes: manifest, mediaType: ociManifest });
  assert.equal(site.requests.at(-1)?.headers['content-type'], ociManifest);
  assert.deepEqual(site.requests.at(-1)?.body, manifest);
  claimed = digestOf(Buffer.from('changed'));
  await assert.rejects(
    registry.putManifest('a', '1', { bytes: manifest, mediaType: ociManifest }),
    code('manifest.digest-mismatch'),
  );
});

test('HEAD tells whether a manifest is there, and its digest where the registry says it', async () => {
  await using site = await serveAnswers((request, response) => {
    if (request.url.endsWith('/1')) response.setHeader('docker-content-digest', digest);
    response.writeHead(request.url.endsWith('/3') ? 404 : 200).end();
  });
  await using registry = open(site.host);
  assert.deepEqual(await registry.headManifest('a', '1'), { digest });
  assert.deepEqual(await registry.headManifest('a', '2'), {});
  assert.equal(await registry.headManifest('a', '3'), undefined);
});

const emptyIndex = JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: [] });

test('an entity tag goes with a write, and a registry that honours it is believed', async () => {
  let etag = '"one"';
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': ociIndex, etag }).end(emptyIndex);
      return;
    }
    response.writeHead(request.headers['if-match'] === '"two"' ? 412 : 201).end();
  });
  await using registry = open(site.host);
  const manifest = { bytes: Buffer.from(emptyIndex), mediaType: ociIndex };
  const first = await registry.taggedManifest('r', 't');
  assert.equal(first.etag, '"one"');
  await registry.putManifest('r', 't', manifest, { ifMatch: '"one"' });
  assert.equal(site.requests.at(-1)?.headers['if-match'], '"one"');
  await assert.rejects(
    registry.putManifest('r', 't', manifest, { ifMatch: '"two"' }),
    code('registry.changed'),
  );
  // a weak one compares unequal in If-Match, so it is of no use
  etag = 'W/"weak"';
  assert.equal((await registry.taggedManifest('r', 't')).etag, undefined);
});

/** What refers to an image, by the API and by the fallback tag. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { code, digest, manifest, ociIndex, ociManifest, open } from '../../test/support/registry-client.ts';
import { serveAnswers } from '../../test/support/registry-faults.ts';

function indexOf(...artifactTypes: readonly string[]): string {
  const manifests = artifactTypes.map((artifactType) => ({
    mediaType: ociManifest,
    digest,
    size: manifest.length,
    artifactType,
  }));
  return JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests });
}

test('referrers by the API, page by page', async () => {
  await using site = await serveAnswers((request, response) => {
    response.setHeader('content-type', ociIndex);
    if (request.url.includes('?')) response.end(indexOf('c'));
    else {
      response.setHeader('link', `<${request.url}?n=2>; rel="next"`);
      response.end(indexOf('a', 'b'));
    }
  });
  await using registry = open(site.host);
  const { source, manifests } = await registry.referrers('r', digest);
  assert.equal(source, 'api');
  assert.deepEqual(
    manifests.map((each) => each.artifactType),
    ['a', 'b', 'c'],
  );
});

test('referrers by the fallback tag where there is no API', async () => {
  let status = 404;
  const tag = digest.replace(':', '-');
  await using site = await serveAnswers((request, response) => {
    if (request.url === `/v2/r/manifests/${tag}`) {
      response.setHeader('content-type', ociIndex).end(indexOf('a'));
    } else response.writeHead(status, { 'content-type': 'text/plain' }).end('{}');
  });
  await using registry = open(site.host);
  for (status of [404, 400, 406, 303, 200]) {
    const { source, manifests } = await registry.referrers('r', digest);
    assert.equal(source, 'tag');
    assert.equal(manifests.length, 1);
  }
  for (status of [500, 403, 401]) await assert.rejects(registry.referrers('r', digest));
});

test('an index of 10,000 referrers is refused, from the API, from its pages and from the fallback tag', async () => {
  const tag = digest.replace(':', '-');
  const many = indexOf(...Array.from({ length: 10_000 }, () => 'a'));
  const some = indexOf(...Array.from({ length: 500 }, () => 'a'));
  for (const kind of ['api', 'pages', 'tag'] as const) {
    let asked = 0;
    await using site = await serveAnswers((request, response) => {
      asked += 1;
      response.setHeader('content-type', ociIndex);
      const isTag = request.url === `/v2/r/manifests/${tag}`;
      if (kind === 'pages') response.setHeader('link', `</v2/r/referrers/${digest}?n=${asked}>; rel="next"`);
      if (kind === 'tag' && !isTag) response.writeHead(404).end();
      else response.end(kind === 'pages' ? some : many);
    });
    await using registry = open(site.host);
    await assert.rejects(registry.referrers('r', digest), code('registry.too-many-referrers'), kind);
    assert.ok(asked < 10, `${kind}: ${asked}`);
  }
});

test('more referrers than an image can have are refused', async () => {
  await using site = await serveAnswers((_request, response) =>
    response.setHeader('content-type', ociIndex).end(indexOf(...Array.from({ length: 1001 }, () => 'a'))),
  );
  await using registry = open(site.host);
  await assert.rejects(registry.referrers('r', digest), code('registry.too-many-referrers'));
});

test('a web site in place of the referrers API: a redirect elsewhere, a rate limit; nobody waits for either', async () => {
  const tag = digest.replace(':', '-');
  let answer: 'elsewhere' | 'limited' | 'here' = 'elsewhere';
  await using site = await serveAnswers((request, response) => {
    if (request.url === `/v2/r/manifests/${tag}`)
      response.setHeader('content-type', ociIndex).end(indexOf('a'));
    else if (request.url === '/here') response.setHeader('content-type', ociIndex).end(indexOf('a', 'b'));
    else if (answer === 'limited') response.writeHead(429, { 'retry-after': '3600' }).end();
    else {
      const location = answer === 'here' ? '/here' : 'http://127.0.0.1:1/login';
      response.writeHead(303, { location }).end();
    }
  });
  await using registry = open(site.host);
  for (answer of ['elsewhere', 'limited'] as const) {
    const { source, manifests } = await registry.referrers('r', digest);
    assert.equal(source, 'tag');
    assert.equal(manifests.length, 1);
    assert.equal(await registry.referrersByApi('r', digest), undefined);
  }
  answer = 'here';
  const { source, manifests } = await registry.referrers('r', digest);
  assert.equal(source, 'api');
  assert.equal(manifests.length, 2);
});

test('where the API knows of nothing the tag is read too; asked for both, what they have together', async () => {
  const tag = digest.replace(':', '-');
  let listed = indexOf();
  await using site = await serveAnswers((request, response) => {
    const isTag = request.url === `/v2/r/manifests/${tag}`;
    response.setHeader('content-type', ociIndex).end(isTag ? indexOf('a', 'b') : listed);
  });
  await using registry = open(site.host);
  assert.equal((await registry.referrers('r', digest)).manifests.length, 2);
  listed = indexOf('a');
  assert.equal((await registry.referrers('r', digest)).manifests.length, 1);
  const both = await registry.referrers('r', digest, { both: true });
  assert.equal(both.source, 'api');
  // the same digest in both lists is one referrer
  assert.deepEqual(new Set(both.manifests.map((each) => each.digest)).size, both.manifests.length);
});

/** Blobs, read, uploaded and mounted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { code, digest, manifest, open } from '../../test/support/registry-client.ts';
import { serveAnswers } from '../../test/support/registry-faults.ts';
import { digestOf } from '../base/digest.ts';

test('a blob’s redirect to another origin carries no credentials', async () => {
  await using storage = await serveAnswers((_request, response) => response.end(manifest));
  await using site = await serveAnswers((_request, response) =>
    response.writeHead(307, { location: `http://${storage.host}/blob?sig=1` }).end(),
  );
  await using registry = open(site.host, { credentials: { kind: 'registry-token', token: 'rt' } });
  const descriptor = { digest, size: manifest.length, mediaType: 'x' };
  const blob = await registry.blob('a', descriptor);
  assert.deepEqual(Buffer.from(await new Response(blob).bytes()), manifest);
  assert.equal(site.requests[0]?.headers.authorization, 'Bearer rt');
  assert.equal(storage.requests[0]?.headers.authorization, undefined);
});

test('a blob with other bytes, too few or too many fails at its end or before', async () => {
  let body = Buffer.from('x'.repeat(10));
  await using site = await serveAnswers((_request, response) => response.end(body));
  await using registry = open(site.host);
  const descriptor = { digest: digestOf(Buffer.from('y'.repeat(10))), size: 10, mediaType: 'x' };
  for (const length of [10, 9, 11]) {
    body = Buffer.from('x'.repeat(length));
    await assert.rejects(
      new Response(await registry.blob('a', descriptor)).bytes(),
      code('blob.digest-mismatch'),
    );
    await assert.rejects(registry.wholeBlob('a', descriptor), code('blob.digest-mismatch'));
  }
  body = Buffer.from('x'.repeat(2_000_000));
  await assert.rejects(registry.wholeBlob('a', descriptor), code('blob.digest-mismatch'));
  body = Buffer.from('y'.repeat(10));
  assert.deepEqual(Buffer.from(await registry.wholeBlob('a', descriptor)), body);
});

const blob = Buffer.from('0123456789');
const blobDescriptor = { digest: digestOf(blob), size: 10 };

test('a blob is uploaded in one piece, the Location’s query kept', async () => {
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'POST') response.writeHead(202, { location: '/up/1?_state=a%2Bb' }).end();
    else response.writeHead(request.method === 'PUT' ? 201 : 200).end();
  });
  await using registry = open(site.host);
  await registry.putBlob('a', blobDescriptor, new Blob([blob]).stream());
  const put = site.requests.at(-1);
  assert.equal(put?.body.toString(), '0123456789');
  assert.equal(put.headers['content-length'], '10');
  const url = new URL(put.url, 'http://x');
  assert.equal(url.searchParams.get('_state'), 'a+b');
  assert.equal(url.searchParams.get('digest'), blobDescriptor.digest);
});

test('a blob that is not what it should be is not finished', async () => {
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'POST') response.writeHead(202, { location: '/up/1' }).end();
    else response.writeHead(request.method === 'PUT' ? 201 : 200).end();
  });
  await using registry = open(site.host);
  const upload = registry.putBlob('a', blobDescriptor, new Blob(['x123456789']).stream());
  await assert.rejects(upload, code('blob.digest-mismatch'));
  assert.ok(!site.lines.some((line) => line.startsWith('PUT')));
});

test('chunks are as large as the registry wants them and continue where the last one ended', async () => {
  const ranges: (string | undefined)[] = [];
  let held = 0;
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'POST') {
      response.writeHead(202, { location: '/up/0', 'oci-chunk-min-length': '4' }).end();
    } else if (request.method === 'PATCH') {
      ranges.push(request.headers['content-range']);
      held += request.body.length;
      response.writeHead(202, { location: `/up/${held}`, range: `0-${held - 1}` }).end();
    } else response.writeHead(request.method === 'PUT' ? 201 : 200).end();
  });
  await using registry = open(site.host);
  await registry.putBlob('a', blobDescriptor, new Blob([blob]).stream(), { chunkBytes: 3 });
  assert.deepEqual(ranges, ['0-3', '4-7', '8-9']);
  assert.match(site.lines.at(-1) ?? '', /^PUT \/up\/10\?digest=/);
});

test('a registry that lost a chunk is found out', async () => {
  await using site = await serveAnswers((request, response) => {
    const status = request.method === 'GET' ? 200 : 202;
    response.writeHead(status, { location: '/up/0', range: '0-1' }).end();
  });
  await using registry = open(site.host);
  await assert.rejects(
    registry.putBlob('a', blobDescriptor, blob, { chunkBytes: 3 }),
    code('registry.failed', /has 2 bytes of the 3 sent/),
  );
});

test('an upload that continues at another origin gets the bytes but no credentials', async () => {
  await using storage = await serveAnswers((_request, response) => response.writeHead(201).end());
  await using site = await serveAnswers((request, response) => {
    if (request.method !== 'POST') response.end();
    else response.writeHead(202, { location: `http://${storage.host}/up` }).end();
  });
  await using registry = open(site.host, { credentials: { kind: 'registry-token', token: 'rt' } });
  await registry.putBlob('a', blobDescriptor, blob);
  assert.equal(site.requests.at(-1)?.headers.authorization, 'Bearer rt');
  assert.equal(storage.requests[0]?.headers.authorization, undefined);
});

test('a blob is mounted, or it is said that it was not', async () => {
  let status = 201;
  await using site = await serveAnswers((request, response) =>
    response.writeHead(request.method === 'POST' ? status : 200, { location: '/up/1' }).end(),
  );
  await using registry = open(site.host);
  assert.equal(await registry.mountBlob('a', digest, 'b/c'), true);
  status = 202;
  assert.equal(await registry.mountBlob('a', digest, 'b/c'), false);
  assert.equal(site.lines.at(-1), `POST /v2/a/blobs/uploads/?mount=${encodeURIComponent(digest)}&from=b%2Fc`);
});

test('mounting asks for a token with both repositories', async () => {
  await using site = await serveAnswers((request, response) => {
    if (request.url.startsWith('/token')) response.end('{"token":"t"}');
    else if (request.headers.authorization === undefined) {
      response
        .writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` })
        .end();
    } else response.writeHead(201).end();
  });
  await using registry = open(site.host);
  await registry.mountBlob('a', digest, 'b');
  const url = new URL(site.lines.find((line) => line.includes('/token'))?.split(' ')[1] ?? '', 'http://x');
  assert.deepEqual(url.searchParams.getAll('scope'), ['repository:a:pull,push', 'repository:b:pull']);
});

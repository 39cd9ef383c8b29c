import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';

import { serveAnswers, testClock, type Answer } from '../../test/support/registry-faults.ts';
import { digestOf } from '../base/digest.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { openHttp } from '../io/http.ts';
import type { Credentials } from './credentials.ts';
import { probe } from './probe.ts';
import { openRegistry, type Registry, type RegistryOptions } from './registry.ts';
import { openTokens } from './token.ts';

const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const ociIndex = 'application/vnd.oci.image.index.v1+json';
const manifest = Buffer.from(`{"schemaVersion":2,"mediaType":"${ociManifest}","layers":[]}`);
const digest = digestOf(manifest);
const anna: Credentials = { kind: 'password', username: 'anna', password: 'hunter2' };

function open(host: string, options: Partial<RegistryOptions> = {}): Registry {
  return openRegistry(host, {
    credentials: { kind: 'none' },
    tls: {},
    insecure: true,
    userAgent: 'bulla/test',
    retryTimes: 0,
    env: {},
    ...options,
  });
}

function code(expected: ErrorCode, text?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    if (text !== undefined) assert.match(error.message, text);
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  };
}

/** Answers everything with the manifest. */
const serveManifest: Answer = (_request, response) =>
  response.setHeader('content-type', ociManifest).end(manifest);

/** A registry and its token server in one; `accepts` judges the Authorization header. */
function bearer(accepts: (authorization: string | undefined) => boolean, tokenBody: () => unknown): Answer {
  return (request, response) => {
    if (request.url.startsWith('/token')) {
      response.end(JSON.stringify(tokenBody()));
      return;
    }
    if (accepts(request.headers.authorization)) {
      serveManifest(request, response);
      return;
    }
    const realm = `http://${request.headers.host}/token?x=1`;
    response
      .writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="the, registry"` })
      .end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}');
  };
}

test('an anonymous read of an open registry is one request', async () => {
  await using site = await serveAnswers(serveManifest);
  await using registry = open(site.host);
  assert.equal((await registry.manifest('ns/app', '1')).digest, digest);
  assert.deepEqual(site.lines, ['GET /v2/ns/app/manifests/1']);
  assert.match(site.requests[0]?.headers.accept ?? '', /oci\.image\.manifest.*docker.*manifest\.list/);
});

test('callers at once share one ping, and it tells the signature extension', async () => {
  await using site = await serveAnswers((_request, response) =>
    response.setHeader('X-Registry-Supports-Signatures', '1').end('{}'),
  );
  await using registry = open(site.host);
  const pings = await Promise.all([registry.ping(), registry.ping(), registry.ping()]);
  assert.deepEqual(pings[0], { supportsSignatures: true });
  assert.deepEqual(site.lines, ['GET /v2/']);
});

test('a ping that fails is tried again by the next caller', async () => {
  let status = 500;
  await using site = await serveAnswers((_request, response) => response.writeHead(status).end());
  await using registry = open(site.host);
  await assert.rejects(registry.ping(), code('registry.failed'));
  status = 401;
  assert.deepEqual(await registry.ping(), { supportsSignatures: false });
});

test('a token is fetched on a 401, kept, and shared by callers at once', async () => {
  await using site = await serveAnswers(
    bearer(
      (shown) => shown === 'Bearer t1',
      () => ({ token: 't1' }),
    ),
  );
  await using registry = open(site.host);
  await Promise.all([registry.manifest('ns/app', '1'), registry.manifest('ns/app', '2')]);
  await registry.manifest('ns/app', '3');
  const tokens = site.lines.filter((line) => line.includes('/token'));
  assert.deepEqual(tokens, ['GET /token?x=1&service=the%2C+registry&scope=repository%3Ans%2Fapp%3Apull']);
  assert.equal(site.requests.find((each) => each.url.startsWith('/token'))?.headers.authorization, undefined);
  assert.equal(site.lines.length, 6);
});

test('with credentials the challenge is asked for first and the password goes to the realm only', async () => {
  await using site = await serveAnswers(
    bearer(
      (shown) => shown === 'Bearer t1',
      () => ({ access_token: 't1', expires_in: 300 }),
    ),
  );
  await using registry = open(site.host, { credentials: anna });
  await registry.manifest('ns/app', '1');
  assert.deepEqual(
    site.requests.map((each) => [each.url.split('?')[0], each.headers.authorization]),
    [
      ['/v2/', undefined],
      ['/token', `Basic ${Buffer.from('anna:hunter2').toString('base64')}`],
      ['/v2/ns/app/manifests/1', 'Bearer t1'],
    ],
  );
  assert.match(site.requests[1]?.url ?? '', /account=anna/);
});

test('a token is fetched anew when it expires, not before, and lives a minute at least', async () => {
  let count = 0;
  const clock = testClock();
  await using site = await serveAnswers(
    bearer(
      (shown) => shown !== undefined,
      () => ({ token: `t${(count += 1)}`, expires_in: 1 }),
    ),
  );
  await using registry = open(site.host, { clock });
  await registry.manifest('a', '1');
  clock.time += 50_000;
  await registry.manifest('a', '1');
  assert.equal(count, 1);
  clock.time += 10_000;
  await registry.manifest('a', '1');
  assert.equal(count, 2);
});

test('a token that is refused is fetched anew once, not for ever', async () => {
  let count = 0;
  let accepted = 'Bearer t1';
  await using site = await serveAnswers(
    bearer(
      (shown) => shown === accepted,
      () => ({ token: `t${(count += 1)}` }),
    ),
  );
  await using registry = open(site.host);
  await registry.manifest('a', '1');
  accepted = 'Bearer t2';
  await registry.manifest('a', '1');
  assert.equal(count, 2);
  accepted = 'Bearer never';
  await assert.rejects(registry.manifest('a', '1'), code('registry.unauthorized', /authentication required/));
  assert.equal(count, 3);
});

test('an identity token is exchanged by POST and never shown to the registry', async () => {
  await using site = await serveAnswers(
    bearer(
      (shown) => shown === 'Bearer t1',
      () => ({ access_token: 't1' }),
    ),
  );
  const credentials: Credentials = { kind: 'identity-token', username: 'anna', token: 'hunter2' };
  await using registry = open(site.host, { credentials });
  await registry.manifest('a', '1');
  const exchange = site.requests.find((each) => each.method === 'POST');
  assert.equal(
    exchange?.body.toString(),
    'grant_type=refresh_token&client_id=bulla&refresh_token=hunter2&service=the%2C+registry&scope=repository%3Aa%3Apull',
  );
  assert.ok(site.requests.every((each) => !JSON.stringify(each.headers).includes('hunter2')));
});

test('a registry token is sent at once', async () => {
  await using site = await serveAnswers(serveManifest);
  await using registry = open(site.host, { credentials: { kind: 'registry-token', token: 'rt' } });
  await registry.manifest('a', '1');
  assert.deepEqual(
    site.requests.map((each) => each.headers.authorization),
    ['Bearer rt'],
  );
});

test('a password is shown when Basic is asked for, and not twice', async () => {
  await using site = await serveAnswers((request, response) => {
    if (request.headers.authorization === `Basic ${Buffer.from('anna:hunter2').toString('base64')}`) {
      serveManifest(request, response);
    } else response.writeHead(401, { 'www-authenticate': 'Negotiate, Basic realm="x"' }).end();
  });
  await using registry = open(site.host, { credentials: anna });
  await registry.manifest('a', '1');
  assert.deepEqual(site.lines, ['GET /v2/', 'GET /v2/a/manifests/1']);
  await using wrong = open(site.host, { credentials: { ...anna, password: 'hunter3' } });
  await assert.rejects(wrong.manifest('a', '1'), code('registry.unauthorized'));
  assert.equal(site.lines.length, 4);
});

test('a realm that is plain http, too long, or no URL gets nothing from an https registry', async () => {
  await using http = openHttp();
  const retry = { times: 0, clock: testClock() };
  const tokens = openTokens({ http, credentials: anna, retry, deadlineMs: 1000, idleMs: 1000 });
  const root = new URL('https://registry.test/');
  for (const realm of [
    'http://registry.test/token',
    `https://registry.test/${'x'.repeat(3000)}`,
    '/token',
    'file:///etc/passwd',
    'https://u:p@registry.test/',
    '',
  ]) {
    const challenge = { scheme: 'bearer', parameters: new Map([['realm', realm]]) };
    await assert.rejects(tokens.get(root, challenge, []), code('registry.challenge-refused'));
  }
});

test('token answers that are huge, broken or could end a header are refused', async () => {
  for (const body of [
    { token: 'x'.repeat(200_000) },
    { token: 'x'.repeat(2_000_000) },
    { token: 'a\r\nX-Evil: 1' },
    { token: 7 },
    {},
    [],
    null,
  ]) {
    await using site = await serveAnswers(
      bearer(
        () => false,
        () => body,
      ),
    );
    await using registry = open(site.host);
    await assert.rejects(
      registry.manifest('a', '1'),
      code(JSON.stringify(body).length > 1_048_576 ? 'http.too-large' : 'registry.failed'),
    );
  }
});

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

test('Retry-After is obeyed, in seconds and as a date, and bounded', async () => {
  const clock = testClock();
  const waits = ['7', new Date(clock.time + 7000 + 20_000).toUTCString(), '86400'];
  await using site = await serveAnswers((request, response) => {
    const wait = waits.shift();
    if (wait === undefined) serveManifest(request, response);
    else response.writeHead(429, { 'retry-after': wait }).end();
  });
  await using registry = open(site.host, { retryTimes: 3, clock });
  assert.equal((await registry.manifest('a', '1')).digest, digest);
  assert.deepEqual(clock.slept, [7000, 20_000, 60_000]);
});

test('a failing registry and a dropped connection are tried again, longer apart each time', async () => {
  const clock = testClock();
  let count = 0;
  await using site = await serveAnswers((request, response) => {
    count += 1;
    if (count === 1) response.writeHead(502).end();
    else if (count === 2) response.destroy();
    else serveManifest(request, response);
  });
  await using registry = open(site.host, { retryTimes: 2, clock });
  assert.equal((await registry.manifest('a', '1')).digest, digest);
  assert.deepEqual(clock.slept, [500, 1000]);
  count = -10;
  await using impatient = open(site.host, { retryTimes: 0, clock });
  await impatient.manifest('a', '1');
  count = 0;
  await assert.rejects(impatient.manifest('a', '1'), code('registry.failed'));
});

test('an upload is not begun twice because the first answer was an error', async () => {
  await using site = await serveAnswers((request, response) =>
    response.writeHead(request.method === 'POST' ? 500 : 200).end(),
  );
  await using registry = open(site.host, { retryTimes: 3, clock: testClock() });
  await assert.rejects(registry.putBlob('a', { digest, size: 1 }, Buffer.from('x')), code('registry.failed'));
  assert.equal(site.requests.filter((each) => each.method === 'POST').length, 1);
});

test('an upload that was put off is begun again', async () => {
  let count = 0;
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'GET') response.end('{}');
    else if (request.method === 'PUT') response.writeHead(201).end();
    else response.writeHead((count += 1) === 1 ? 429 : 202, { location: '/up' }).end();
  });
  await using registry = open(site.host, { retryTimes: 1, clock: testClock() });
  await registry.putBlob('a', { digest: digestOf(Buffer.from('x')), size: 1 }, Buffer.from('x'));
  assert.equal(count, 2);
});

test('a registry that stalls is given up', async () => {
  await using site = await serveAnswers(() => undefined);
  await using registry = open(site.host, { idleMs: 30 });
  await assert.rejects(registry.manifest('a', '1'), code('http.timeout'));
});

test('endless redirects end', async () => {
  await using site = await serveAnswers((request, response) =>
    response.writeHead(307, { location: `${request.url}x` }).end(),
  );
  await using registry = open(site.host);
  await assert.rejects(registry.manifest('a', '1'), code('http.redirect-refused'));
  assert.equal(site.requests.length, 11);
});

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

test('tags come in pages; a circle and a next page elsewhere are refused', async () => {
  let links: Readonly<Record<string, string>> = {
    '/v2/a/tags/list': '</v2/a/tags/list?last=1>; rel="next"',
    '/v2/a/tags/list?last=1': '<tags/list?last=2>; title=x; rel=next',
  };
  await using site = await serveAnswers((request, response) => {
    const link = links[request.url];
    if (link !== undefined) response.setHeader('link', link);
    response.end('{"name":"a","tags":["1"]}');
  });
  await using registry = open(site.host);
  // the second link is relative to /v2/a/tags/, so its target is a third page
  assert.deepEqual(await registry.tags('a'), ['1', '1', '1']);
  links = { '/v2/a/tags/list': '</v2/a/tags/list>; rel="next"' };
  await assert.rejects(registry.tags('a'), code('registry.failed', /do not end/));
  links = { '/v2/a/tags/list': '<http://other.invalid/>; rel="next"' };
  await assert.rejects(registry.tags('a'), code('registry.failed', /another server/));
});

test('tag lists: null is empty, what is no tag is refused', async () => {
  let body = '{"tags":null}';
  await using site = await serveAnswers((_request, response) => response.end(body));
  await using registry = open(site.host);
  assert.deepEqual(await registry.tags('a'), []);
  for (body of ['{"tags":["a b"]}', '{"tags":[1]}', '{}', 'x']) {
    await assert.rejects(registry.tags('a'), code('registry.failed'));
  }
});

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

test('the signature extension: bytes both ways', async () => {
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'PUT') response.writeHead(request.url.includes('/bad/') ? 400 : 201).end();
    else response.end('{"signatures":[]}');
  });
  await using registry = open(site.host);
  const list = await registry.getSignatureList('ns/a', digest);
  assert.equal(Buffer.from(list).toString(), '{"signatures":[]}');
  assert.equal(site.lines[0], `GET /extensions/v2/ns/a/signatures/${digest}`);
  assert.equal(await registry.putSignature('ns/a', digest, Buffer.from('{}')), 201);
  await assert.rejects(registry.putSignature('bad/a', digest, Buffer.from('{}')), code('registry.failed'));
});

test('a guard that forbids the host lets no request out', async () => {
  await using site = await serveAnswers(serveManifest);
  await using registry = open(site.host, {
    guard: () => {
      throw new Error('offline');
    },
  });
  await assert.rejects(registry.manifest('a', '1'), /offline/);
  assert.equal(site.requests.length, 0);
});

test('the probe tells TLS from plain HTTP', async () => {
  const answers = new Map([
    [Buffer.from([22, 3, 3, 0, 1]), 'tls'],
    [Buffer.from([21, 3, 3, 0, 2, 2, 40]), 'tls'],
    [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'plain'],
    [Buffer.from('SSH-2.0\r\n'), 'unclear'],
  ]);
  for (const [bytes, expected] of answers) {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(bytes));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    assert.equal(await probe('127.0.0.1', port, 1000), expected);
    await new Promise((done) => server.close(done));
    assert.equal(await probe('127.0.0.1', port, 1000), 'unclear');
  }
});

test('without --tls-verify=false a host that speaks plain HTTP is not spoken to', async () => {
  await using site = await serveAnswers(serveManifest);
  await using registry = open(site.host, { insecure: false });
  await assert.rejects(registry.manifest('a', '1'), code('http.failed', /does not speak TLS/));
  assert.equal(site.requests.length, 0);
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

test('an entity tag goes with a write, and a registry that honours it is believed', async () => {
  let etag = '"one"';
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': ociIndex, etag }).end(indexOf());
      return;
    }
    response.writeHead(request.headers['if-match'] === '"two"' ? 412 : 201).end();
  });
  await using registry = open(site.host);
  const manifest = { bytes: Buffer.from(indexOf()), mediaType: ociIndex };
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

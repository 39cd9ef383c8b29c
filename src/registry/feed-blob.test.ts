/** A blob from one registry to another where both, and what lies between them, misbehave. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  type Answer,
  type FaultyRegistry,
  serveAnswers,
  testClock,
} from '../../test/support/registry-faults.ts';
import { digestOf } from '../base/digest.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { noCredentials } from './credentials.ts';
import { openRegistry, type Registry } from './registry.ts';

const bytes = Buffer.alloc(300_000, 'blob ');
const descriptor = { digest: digestOf(bytes), size: bytes.length, mediaType: 'application/octet-stream' };

function open(site: FaultyRegistry): Registry {
  return openRegistry(site.host, {
    credentials: noCredentials,
    tls: {},
    insecure: true,
    userAgent: 'bulla-test',
    clock: testClock(),
  });
}

function code(expected: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    return true;
  };
}

async function read(registry: Registry): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  await registry.feedBlob('app', descriptor, (chunk) => {
    chunks.push(new Uint8Array(chunk));
    // every other chunk is taken slowly
    return chunks.length % 2 === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined;
  });
  return Buffer.concat(chunks);
}

/** Serves from the byte that is asked for, and breaks off after so many. */
function breaking(after: number): Answer {
  return (request, response) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const rest = bytes.subarray(from);
    response.writeHead(from === 0 ? 200 : 206, {
      'content-length': rest.length,
      ...(from > 0 && { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    });
    if (rest.length <= after) response.end(rest);
    else response.write(rest.subarray(0, after), () => response.destroy());
  };
}

test('a download goes on where the connection broke, as long as it gets any further', async () => {
  await using site = await serveAnswers(breaking(70_000));
  await using registry = open(site);
  assert.ok(bytes.equals(await read(registry)));
  const ranges = site.requests.map(({ headers }) => headers.range);
  assert.equal(ranges[0], undefined);
  assert.ok(ranges.length >= 5 && ranges.slice(1).every((each) => /^bytes=[1-9]/.test(each ?? '')));
});

test('a server that knows no ranges is read anew, without a byte given twice', async () => {
  let asked = 0;
  await using site = await serveAnswers((_request, response) => {
    asked += 1;
    response.writeHead(200, { 'content-length': bytes.length });
    if (asked > 1) response.end(bytes);
    else response.write(bytes.subarray(0, 100_000), () => response.destroy());
  });
  await using registry = open(site);
  assert.ok(bytes.equals(await read(registry)));
});

test('a range that begins elsewhere is no continuation', async () => {
  await using site = await serveAnswers((request, response) => {
    if (request.headers.range === undefined) {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 100_000), () => response.destroy());
      return;
    }
    response.writeHead(206, { 'content-range': `bytes 0-9/${bytes.length}` }).end(bytes.subarray(0, 10));
  });
  await using registry = open(site);
  await assert.rejects(read(registry), code('blob.digest-mismatch'));
});

test('a connection that brings nothing is given up', async () => {
  await using site = await serveAnswers((_request, response) => {
    response.writeHead(200, { 'content-length': bytes.length });
    response.flushHeaders();
    response.destroy();
  });
  await using registry = open(site);
  await assert.rejects(read(registry), code('http.failed'));
  assert.ok(site.requests.length <= 20, `${site.requests.length} requests`);
});

for (const [what, content] of [
  ['shorter', bytes.subarray(1)],
  ['longer', Buffer.concat([bytes, Buffer.from('!')])],
  ['another', Buffer.alloc(bytes.length)],
] as const) {
  test(`a blob that is ${what} than its manifest says is refused, and nothing of it stays at the destination`, async () => {
    await using source = await serveAnswers((_request, response) => response.writeHead(200).end(content));
    let stored = 0;
    await using destination = await serveAnswers((request, response) => {
      if (request.method === 'POST') response.writeHead(202, { location: '/up' }).end();
      else if (request.method === 'PUT') {
        // as a registry does: bytes that do not have the digest are not taken
        const isIt = digestOf(request.body) === descriptor.digest;
        stored += Number(isIt);
        response.writeHead(isIt ? 201 : 400).end('{}');
      } else response.end();
    });
    await using from = open(source);
    await using to = open(destination);
    await assert.rejects(
      to.sendBlob('app', descriptor, (consume) => from.feedBlob('app', descriptor, consume)),
      code('blob.digest-mismatch'),
    );
    assert.equal(stored, 0);
  });
}

/** Takes uploads as `put` says, and says of what is there what `status` says. */
async function upload(
  put: Answer,
  status: Answer = (_request, response) => response.end(),
): Promise<{ readonly tries: number; readonly error: unknown }> {
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'POST') response.writeHead(202, { location: '/up?state=1' }).end();
    else if (request.method === 'PUT') put(request, response);
    else if (request.url.startsWith('/up')) status(request, response);
    else response.end();
  });
  await using registry = open(site);
  const error = await registry
    .sendBlob('app', descriptor, async (consume) => {
      for (let at = 0; at < bytes.length; at += 50_000) await consume(bytes.subarray(at, at + 50_000));
    })
    .then(
      () => undefined,
      (why: unknown) => why,
    );
  return { tries: site.lines.filter((line) => line.startsWith('PUT')).length, error };
}

test('an upload that is dropped, put off or failed is begun anew, whole', async () => {
  let count = 0;
  let last: Buffer | undefined;
  const { tries, error } = await upload((request, response) => {
    count += 1;
    if (count === 1) response.destroy();
    else if (count === 2) response.writeHead(429, { 'retry-after': '1' }).end();
    else if (count === 3) response.writeHead(502).end();
    else {
      last = request.body;
      response.writeHead(201).end();
    }
  });
  assert.equal(error, undefined);
  assert.equal(tries, 4);
  assert.ok(last !== undefined && bytes.equals(last));
});

test('an upload goes on from what the registry has of it; where that is refused it is begun anew', async () => {
  for (const [takes, sizes] of [
    [true, [300_000, 200_000]],
    [false, [300_000, 200_000, 300_000]],
  ] as const) {
    const seen: { readonly size: number; readonly range: string | undefined }[] = [];
    const parts: Buffer[] = [];
    const { error } = await upload(
      (request, response) => {
        seen.push({ size: request.body.length, range: request.headers['content-range'] });
        parts.push(request.body);
        if (seen.length === 1) response.destroy();
        else response.writeHead(takes || seen.length === 3 ? 201 : 416).end();
      },
      (_request, response) => response.writeHead(204, { range: '0-99999', location: '/up?state=2' }).end(),
    );
    assert.equal(error, undefined);
    assert.deepEqual(
      seen.map(({ size }) => size),
      sizes,
    );
    assert.deepEqual(
      seen.map(({ range }) => range),
      [undefined, '100000-299999', undefined].slice(0, sizes.length),
    );
    assert.ok(bytes.subarray(100_000).equals(parts[1] ?? Buffer.alloc(0)));
  }
});

test('what a registry says of a broken upload counts only where it can be so', async () => {
  const said: readonly (readonly [number, Readonly<Record<string, string>>])[] = [
    [204, { range: '0-0' }],
    [204, { range: '0-300000' }],
    [204, { range: '5-99999' }],
    [204, {}],
    [200, { range: '0-99999' }],
    [404, {}],
    [204, { range: '0-99999', location: 'ftp://elsewhere/' }],
  ];
  for (const [status, headers] of said) {
    const sizes: number[] = [];
    const { error } = await upload(
      (request, response) => {
        sizes.push(request.body.length);
        if (sizes.length === 1) response.destroy();
        else response.writeHead(201).end();
      },
      (_request, response) => response.writeHead(status, headers).end(),
    );
    assert.equal(error, undefined);
    assert.deepEqual(sizes, [300_000, 300_000], JSON.stringify(headers));
  }
});

test('a registry that goes on failing, refuses, or says it stored something else is named', async () => {
  const failing = await upload((_request, response) => response.writeHead(500).end());
  assert.ok(isBullaError(failing.error, 'registry.failed'));
  assert.equal(failing.tries, 4);
  const denied = await upload((_request, response) => response.writeHead(403).end());
  assert.ok(isBullaError(denied.error, 'registry.denied'));
  assert.equal(denied.tries, 1);
  const other = digestOf(Buffer.from('other'));
  const lying = await upload((_request, response) =>
    response.writeHead(201, { 'docker-content-digest': other }).end(),
  );
  assert.ok(isBullaError(lying.error, 'blob.digest-mismatch'));
});

test('a blob of the same registry is mounted; where it cannot be, the upload that was begun instead is used', async () => {
  for (const mounts of [true, false]) {
    await using site = await serveAnswers((request, response) => {
      if (request.method !== 'POST') response.writeHead(request.method === 'PUT' ? 201 : 200).end();
      else response.writeHead(mounts ? 201 : 202, { location: '/up' }).end();
    });
    await using registry = open(site);
    const sent = await registry.sendBlob('app', descriptor, async (consume) => consume(bytes), {
      from: 'base',
    });
    assert.equal(sent, mounts ? 'mounted' : 'uploaded');
    const posts = site.lines.filter((line) => line.startsWith('POST'));
    assert.deepEqual(posts, [
      `POST /v2/app/blobs/uploads/?mount=${encodeURIComponent(descriptor.digest)}&from=base`,
    ]);
  }
});

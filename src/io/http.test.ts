import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';

import { isBullaError, type ErrorCode } from '../base/errors.ts';
import { openHttp } from './http.ts';
import { proxyFor } from './http-proxy.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(handler: Handler): Promise<{ url: URL; server: Server } & AsyncDisposable> {
  const server = createServer(handler);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    server,
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

function code(expected: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    return true;
  };
}

const maxBytes = 1000;

test('gives status, headers and bytes, and asks for no encoding', async () => {
  let seen: IncomingMessage['headers'] = {};
  await using site = await serve((request, response) => {
    seen = request.headers;
    response.setHeader('X-Thing', 'yes').end('hello');
  });
  await using client = openHttp({ userAgent: 'bulla/test' });
  const response = await client.request({ url: site.url, maxBytes });
  assert.equal(response.status, 200);
  assert.equal(response.headers['x-thing'], 'yes');
  assert.equal(Buffer.from(await response.bytes()).toString(), 'hello');
  assert.equal(seen['accept-encoding'], 'identity');
  assert.equal(seen['user-agent'], 'bulla/test');
});

test('sends bytes with their length and streams', async () => {
  const bodies: [string | undefined, string][] = [];
  await using site = await serve((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      bodies.push([request.headers['content-length'], body]);
      response.end();
    });
  });
  await using client = openHttp();
  const put = { method: 'PUT', url: site.url, maxBytes } as const;
  await (await client.request({ ...put, body: Buffer.from('abc') })).bytes();
  const stream = new Blob(['de', 'f']).stream();
  await (await client.request({ ...put, body: stream, headers: { 'content-length': '3' } })).bytes();
  assert.deepEqual(bodies, [
    ['3', 'abc'],
    ['3', 'def'],
  ]);
});

test('streams a body and stops at its limit', async () => {
  await using site = await serve((_request, response) => {
    response.write('x'.repeat(600));
    response.end('y'.repeat(600));
  });
  await using client = openHttp();
  const whole = await client.request({ url: site.url, maxBytes: 1200 });
  assert.equal((await new Response(whole.stream()).bytes()).length, 1200);
  const tooBig = await client.request({ url: site.url, maxBytes });
  await assert.rejects(new Response(tooBig.stream()).bytes(), code('http.too-large'));
  const again = await client.request({ url: site.url, maxBytes });
  await assert.rejects(again.bytes(), code('http.too-large'));
});

test('refuses by Content-Length before reading', async () => {
  await using site = await serve((_request, response) => {
    response.writeHead(200, { 'content-length': '1001' });
    response.write('x');
  });
  await using client = openHttp();
  await assert.rejects((await client.request({ url: site.url, maxBytes })).bytes(), code('http.too-large'));
});

test('a body cut short is an error, not a short body', async () => {
  await using site = await serve((_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('x'.repeat(10));
    setImmediate(() => response.destroy());
  });
  await using client = openHttp();
  await assert.rejects((await client.request({ url: site.url, maxBytes })).bytes(), code('http.failed'));
  const streamed = await client.request({ url: site.url, maxBytes });
  await assert.rejects(new Response(streamed.stream()).bytes(), code('http.failed'));
});

test('no answer and a stalled body end by the idle limit, a slow drip by the deadline', async () => {
  await using site = await serve((request, response) => {
    if (request.url === '/none') return;
    response.write('x');
    if (request.url === '/stall') return;
    const drip = setInterval(() => response.write('x'), 5);
    response.on('close', () => clearInterval(drip));
  });
  await using client = openHttp();
  const at = (path: string): URL => new URL(path, site.url);
  await assert.rejects(client.request({ url: at('/none'), maxBytes, idleMs: 30 }), code('http.timeout'));
  const stalled = await client.request({ url: at('/stall'), maxBytes, idleMs: 30 });
  await assert.rejects(stalled.bytes(), code('http.timeout'));
  const slow = await client.request({ url: at('/drip'), maxBytes, idleMs: 1000, deadlineMs: 60 });
  await assert.rejects(slow.bytes(), code('http.timeout'));
});

test('a reader that is slow itself is not taken for a stalled server', async () => {
  await using site = await serve((_request, response) => {
    response.end(Buffer.alloc(1_000_000));
  });
  await using client = openHttp();
  const response = await client.request({ url: site.url, maxBytes: 1_000_000, idleMs: 40 });
  const reader = response.stream().getReader();
  let length = (await reader.read()).value?.length ?? 0;
  await new Promise((done) => setTimeout(done, 80));
  for (let next = await reader.read(); !next.done; next = await reader.read()) length += next.value.length;
  assert.equal(length, 1_000_000);
});

test('an aborted signal ends the request', async () => {
  await using site = await serve(() => undefined);
  await using client = openHttp();
  const controller = new AbortController();
  site.server.once('request', () => controller.abort());
  await assert.rejects(
    client.request({ url: site.url, maxBytes, signal: controller.signal }),
    code('http.failed'),
  );
  await assert.rejects(
    client.request({ url: site.url, maxBytes, signal: AbortSignal.abort() }),
    code('http.failed'),
  );
});

test('Authorization follows within an origin, never to another', async () => {
  const seen: (string | undefined)[] = [];
  await using other = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.end('other');
  });
  await using site = await serve((request, response) => {
    if (request.url === '/a') response.writeHead(307, { location: '/b' }).end();
    else {
      seen.push(request.headers.authorization);
      response.writeHead(302, { location: `${other.url.href}?X-Amz-Signature=secret` }).end();
    }
  });
  await using client = openHttp();
  const headers = { authorization: 'Bearer secret' };
  const response = await client.request({
    url: new URL('/a', site.url),
    maxBytes,
    headers,
    redirects: 'follow',
  });
  assert.equal(Buffer.from(await response.bytes()).toString(), 'other');
  assert.deepEqual(seen, ['Bearer secret', undefined]);
  const unfollowed = await client.request({ url: site.url, maxBytes, headers });
  assert.equal(unfollowed.status, 302);
  unfollowed.discard();
});

test('endless redirects, foreign schemes and user names in URLs are refused', async () => {
  let location = '/again';
  await using site = await serve((_request, response) => response.writeHead(302, { location }).end());
  await using client = openHttp();
  const follow = { url: site.url, maxBytes, redirects: 'follow' } as const;
  await assert.rejects(client.request(follow), code('http.redirect-refused'));
  location = 'file:///etc/passwd';
  await assert.rejects(client.request(follow), code('http.redirect-refused'));
  location = `http://user:hunter2@${site.url.host}/`;
  await assert.rejects(client.request(follow), (error) => {
    assert.ok(isBullaError(error, 'http.url-refused'));
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  });
});

test('errors name the URL without its query', async () => {
  await using site = await serve((request) => request.socket.destroy());
  await using client = openHttp();
  const url = new URL('/x?token=secret', site.url);
  await assert.rejects(client.request({ url, maxBytes }), (error) => {
    assert.ok(isBullaError(error, 'http.failed'));
    assert.match(error.message, /\/x: the connection was dropped/);
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
});

test('a GET on a kept-alive connection that the server closed is sent on a fresh one', async () => {
  let requests = 0;
  await using site = await serve((request, response) => {
    requests += 1;
    if (requests === 2) request.socket.resetAndDestroy();
    else response.end('ok');
  });
  await using client = openHttp();
  for (let each = 0; each < 2; each += 1) {
    const response = await client.request({ url: site.url, maxBytes });
    assert.equal(Buffer.from(await response.bytes()).toString(), 'ok');
  }
  assert.equal(requests, 3);
});

test('response headers are bounded', async () => {
  await using site = await serve((_request, response) => {
    response.writeHead(200, { 'x-big': 'x'.repeat(100_000) }).end();
  });
  await using client = openHttp();
  await assert.rejects(client.request({ url: site.url, maxBytes }), code('http.failed'));
});

test('the guard forbids a connection before it is made, redirects included', async () => {
  await using site = await serve((_request, response) => {
    response.writeHead(302, { location: 'http://forbidden.invalid/' }).end();
  });
  await using client = openHttp({
    guard: (url) => {
      if (url.hostname === 'forbidden.invalid') throw new Error('forbidden');
    },
  });
  await assert.rejects(client.request({ url: site.url, maxBytes, redirects: 'follow' }), /forbidden/);
});

test('requests go through the proxy named by the environment, loopback never', async () => {
  const seen: string[] = [];
  await using proxy = await serve((request, response) => {
    seen.push(request.url ?? '');
    response.end('proxied');
  });
  await using client = openHttp({ env: { HTTP_PROXY: proxy.url.href } });
  const response = await client.request({ url: new URL('http://registry.invalid/v2/'), maxBytes });
  assert.equal(Buffer.from(await response.bytes()).toString(), 'proxied');
  assert.deepEqual(seen, ['http://registry.invalid/v2/']);
});

function proxied(host: string, list: string): boolean {
  const env = { HTTP_PROXY: 'proxy.test:3128', NO_PROXY: list };
  return proxyFor(new URL(`http://${host}/`), env) !== undefined;
}

test('NO_PROXY is read as Go reads it', () => {
  assert.equal(proxied('a.test', ''), true);
  for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '[::1]']) assert.equal(proxied(host, ''), false);
  assert.equal(proxied('a.test', '*'), false);
  assert.equal(proxied('a.test', 'x, A.test'), false);
  assert.equal(proxied('sub.a.test', 'a.test'), false);
  assert.equal(proxied('xa.test', 'a.test'), true);
  assert.equal(proxied('a.test', '.a.test'), true);
  assert.equal(proxied('sub.a.test', '*.a.test'), false);
  assert.equal(proxied('a.test:81', 'a.test:80'), true);
  assert.equal(proxied('a.test', 'a.test:80'), false);
  assert.equal(proxied('10.1.2.3', '10.0.0.0/8'), false);
  assert.equal(proxied('11.1.2.3', '10.0.0.0/8'), true);
  assert.equal(proxied('[fd00::1]', 'fd00::/8'), false);
  assert.throws(
    () => proxyFor(new URL('http://a.test/'), { HTTP_PROXY: 'socks5://u:p@x' }),
    code('usage.unsupported'),
  );
  assert.equal(proxyFor(new URL('https://a.test/'), { HTTP_PROXY: 'p:1' }), undefined);
  assert.equal(proxyFor(new URL('https://a.test/'), { https_proxy: 'p:1' }), 'http://p:1/');
});

test('disposing ends what is under way, so that nothing holds the process', async () => {
  await using site = await serve((request, response) => {
    if (request.url === '/answered') response.end('nobody reads this');
  });
  const client = openHttp();
  await client.request({ url: new URL('/answered', site.url), maxBytes });
  const waiting = client.request({ url: new URL('/waiting', site.url), maxBytes });
  await client[Symbol.asyncDispose]();
  await assert.rejects(waiting, code('http.failed'));
  assert.deepEqual(
    process.getActiveResourcesInfo().filter((each) => each === 'Timeout'),
    [],
  );
});

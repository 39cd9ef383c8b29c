/** Bodies over sockets of their own: as Node's client reads them, over TLS with the same checks, and each asked for once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { directly, outcomeOf, serveRaw } from '../../test/support/raw-server.ts';
import { isBullaError } from '../base/errors.ts';
import { openHttp } from './http.ts';

test('what is ended before its body is read is an error, and nobody waits for it', async () => {
  await using site = await serveRaw((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nthe start');
  });
  await using http = openHttp({ env: {} });
  const request = { ...directly, url: site.url };
  const ending = new AbortController();
  const ended = await http.request({ ...request, signal: ending.signal });
  ending.abort();
  // a whole exchange later the socket is closed
  (await http.request(request)).discard();
  await assert.rejects(
    ended.each(() => undefined),
    (error) => isBullaError(error),
  );
  const broken = await http.request(request);
  for (const socket of site.sockets) socket.resetAndDestroy();
  await assert.rejects(
    broken.each(() => undefined),
    (error) => isBullaError(error, 'http.failed'),
  );
});

const names = [
  ...['Content-Type', 'content-length', 'Content-Length', 'Transfer-Encoding', 'Set-Cookie', 'Vary', 'ETag'],
  ...[
    'Docker-Content-Digest',
    'Upgrade',
    'Connection',
    'Trailer',
    'X-A',
    'x-a',
    '__proto__',
    'Age',
    'Cookie',
  ],
  ...['Keep-Alive', 'Proxy-Connection', 'Content-Encoding', 'Www-Authenticate', 'Link', 'constructor'],
];
const values = [
  ...['', 'a', ' a ', '\ta\t', 'a b', '\xe9', '\x7f', '\x00', '\x01', 'a\rb', 'a\nb', 'a\r\n b', 'chunked'],
  ...['Chunked', 'identity', 'close', 'keep-alive', 'upgrade', 'gzip', 'a, b', '"a"'],
];
const lengths = [
  '5',
  '5',
  '5',
  '05',
  '0',
  '3',
  '9',
  '+5',
  '-5',
  '5 ',
  ' 5',
  '5,5',
  '5, 5',
  '0x5',
  '5.0',
  '',
  '99999999999999999999',
];
const ends = fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\r\n', '\r\n ');
const colons = fc.constantFrom(': ', ': ', ': ', ':', ':\t', ' : ', ' ', '::');
const line = fc
  .tuple(fc.constantFrom(...names), colons, fc.constantFrom(...values), ends)
  .map((each) => each.join(''));
const lengthLine = fc
  .tuple(fc.constantFrom('Content-Length', 'content-length'), fc.constantFrom(...lengths), ends)
  .map(([name, value, end]) => `${name}: ${value}${end}`);
const statusLine = fc
  .tuple(
    fc.constantFrom(
      'HTTP/1.1',
      'HTTP/1.1',
      'HTTP/1.1',
      'HTTP/1.1',
      'HTTP/1.0',
      'HTTP/2.0',
      'http/1.1',
      'ICY',
      '\r\nHTTP/1.1',
    ),
    fc.constantFrom(' ', ' ', ' ', ' ', '  ', '\t', ''),
    fc.constantFrom(
      '200',
      '200',
      '200',
      '206',
      '401',
      '404',
      '500',
      '204',
      '304',
      '100',
      '103',
      '099',
      '600',
      '2000',
      '20',
      'abc',
    ),
    fc.constantFrom(' OK', ' OK', ' OK', ' ', '', ' \xe9', ' a\x01', ' a\x00', '\t', 'OK', ' Not Found'),
    ends,
  )
  .map((each) => each.join(''));
const bodies = fc.constantFrom(
  'hello',
  'hello',
  'hello',
  'hell',
  'hello more',
  '',
  '5\r\nhello\r\n0\r\n\r\n',
  '\r\nhello',
);
/** Half of them plain but for one thing, the others anything. */
const answers = fc.oneof(
  fc
    .tuple(fc.array(line, { maxLength: 2 }), fc.array(line, { maxLength: 1 }), bodies)
    .map(
      ([before, after, body]) =>
        `HTTP/1.1 200 OK\r\n${before.join('')}Content-Length: 5\r\n${after.join('')}\r\n${body}`,
    ),
  fc
    .tuple(statusLine, fc.array(fc.oneof(line, lengthLine), { maxLength: 4 }), bodies)
    .map(([first, lines, body]) => `${first}${lines.join('')}\r\n${body}`),
);

test('whatever a server answers comes to the same as by Node’s client', async () => {
  let answer = '';
  let cut = 0;
  await using site = await serveRaw((socket) => {
    const bytes = Buffer.from(answer, 'latin1');
    socket.write(bytes.subarray(0, cut));
    setImmediate(() => socket.end(bytes.subarray(cut)));
  });
  let direct = 0;
  await fc.assert(
    fc.asyncProperty(answers, fc.nat(200), async (raw, at) => {
      [answer, cut] = [raw, at];
      // its own each time: one that met an odd answer goes the usual way from then on
      await using http = openHttp({ env: {} });
      const usual = await outcomeOf(http, { ...directly, url: site.url, direct: false });
      const before = site.asked.length;
      assert.deepEqual(await outcomeOf(http, { ...directly, url: site.url }), usual);
      if (site.asked.length === before + 1) direct += 1;
    }),
    { numRuns: 500 },
  );
  assert.ok(direct > 50, `only ${direct} answers came directly`);
});

test('what was given back is passed on, and nothing is asked for twice', async () => {
  await using storage = await serveRaw((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\nvary: a\r\nvary: b\r\n\r\nhello');
  });
  const plain = 'content-length: 0\r\n';
  for (const framing of [plain, '', 'transfer-encoding: chunked\r\n']) {
    await using registry = await serveRaw((socket) => {
      socket.write(`HTTP/1.1 307 Temporary Redirect\r\nlocation: ${storage.url.href}\r\n${framing}\r\n`);
    });
    await using http = openHttp({ env: {} });
    const headers = { authorization: 'Basic c2VjcmV0', range: 'bytes=0-' };
    const request = { ...directly, url: registry.url, headers, redirects: 'follow' } as const;
    storage.asked.length = 0;
    assert.deepEqual(await outcomeOf(http, request), {
      status: 200,
      headers: { 'content-length': '5', vary: 'a, b' },
      body: 'hello',
    });
    assert.equal(registry.asked.length, 1);
    assert.match(registry.asked[0] ?? '', /^authorization: Basic c2VjcmV0\r$/m);
    // another origin learns nothing of who asks
    assert.equal(storage.asked.length, 1);
    assert.doesNotMatch(storage.asked[0] ?? '', /authorization|c2VjcmV0/i);
    assert.match(storage.asked[0] ?? '', /^range: bytes=0-\r$/m);
  }
});

test('an error is passed on with its body, and a body that is too large is refused, by one request', async () => {
  await using site = await serveRaw((socket) => {
    socket.write('HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\ndenied');
  });
  await using http = openHttp({ env: {} });
  const response = await http.request({ ...directly, url: site.url });
  assert.equal(response.status, 403);
  assert.equal(Buffer.from(await response.bytes()).toString(), 'denied');
  assert.equal(await outcomeOf(http, { ...directly, url: site.url, maxBytes: 5 }), 'http.too-large');
  assert.equal(site.asked.length, 2);
});

test('an origin with odd answers is asked directly no more', async () => {
  const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
  await using site = await serveRaw((socket) => void socket.write(chunked));
  await using http = openHttp({ env: {} });
  for (const most of [2, 3, 4]) {
    const response = await http.request({ ...directly, url: site.url });
    assert.equal(Buffer.from(await response.bytes()).toString(), 'hello');
    assert.equal(site.asked.length, most);
  }
});

test('headers without end, and more of them than Node takes, are refused as ever', async () => {
  for (const raw of ['x'.repeat(200_000), `x: ${'y'.repeat(100)}\r\n`.repeat(2000)]) {
    await using site = await serveRaw((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 5\r\n${raw}`);
    });
    await using http = openHttp({ env: {} });
    const request = { ...directly, url: site.url, idleMs: 2000 };
    assert.equal(await outcomeOf(http, request), 'http.failed');
  }
});

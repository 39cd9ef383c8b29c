/** One host: its ping, its challenge, tokens, and what is shown to whom. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';

import { anna, bearer, code, digest, open, serveManifest } from '../../test/support/registry-client.ts';
import { serveAnswers, testClock } from '../../test/support/registry-faults.ts';
import { openHttp } from '../io/http.ts';
import { probe } from './probe.ts';
import { openTokens } from './token.ts';
import type { Credentials } from './credentials.ts';

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

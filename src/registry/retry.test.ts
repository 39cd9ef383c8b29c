/** What is tried again, when, and what is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { code, digest, open, serveManifest } from '../../test/support/registry-client.ts';
import { serveAnswers, testClock } from '../../test/support/registry-faults.ts';
import { digestOf } from '../base/digest.ts';

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

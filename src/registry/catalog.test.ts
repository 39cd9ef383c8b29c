/** Catalogs that end, and those that do not, lie, or are none. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { type Answer, serveAnswers, testClock } from '../../test/support/registry-faults.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { noCredentials } from './credentials.ts';
import { openRegistry, type Registry } from './registry.ts';

async function withRegistry(
  answer: Answer,
  run: (registry: Registry, lines: () => readonly string[]) => Promise<void>,
): Promise<void> {
  await using server = await serveAnswers(answer);
  await using registry = openRegistry(server.host, {
    credentials: noCredentials,
    tls: {},
    insecure: true,
    userAgent: 'test',
    clock: testClock(),
    retryTimes: 1,
  });
  await run(registry, () => server.lines);
}

function page(names: readonly unknown[], next?: string): Answer {
  return (_, response) => {
    if (next !== undefined) response.setHeader('link', `<${next}>; rel="next"`);
    response.end(JSON.stringify({ repositories: names }));
  };
}

async function refuses(answer: Answer, code: ErrorCode, about: RegExp): Promise<void> {
  await withRegistry(answer, async (registry) => {
    await rejects(registry.repositories(), (error: unknown) => {
      ok(isBullaError(error, code), String(error));
      ok(about.test(error.message), error.message);
      return true;
    });
  });
}

test('pages are followed, and a name that comes twice is one', async () => {
  const answer: Answer = (request, response) => {
    const isFirst = !request.url.includes('last=');
    page(isFirst ? ['a', 'ns/b'] : ['ns/b', 'c'], isFirst ? '/v2/_catalog?last=b' : undefined)(
      request,
      response,
    );
  };
  await withRegistry(answer, async (registry, lines) => {
    deepEqual(await registry.repositories(), ['a', 'ns/b', 'c']);
    equal(lines().filter((line) => line.includes('_catalog')).length, 2);
  });
  await withRegistry(page([]), async (registry) => deepEqual(await registry.repositories(), []));
  const none: Answer = (_, response) => response.end('{"repositories":null}');
  await withRegistry(none, async (registry) => deepEqual(await registry.repositories(), []));
});

test('a catalog that does not end, goes elsewhere, or names what is no repository is an error', async () => {
  let count = 0;
  const loop: Answer = (request, response) =>
    page(['a'], `/v2/_catalog?last=${(count += 1)}`)(request, response);
  await refuses(loop, 'registry.failed', /repeats itself/);
  ok(count <= 2, 'it was noticed at once');
  const empty: Answer = (request, response) =>
    page([], `/v2/_catalog?last=${(count += 1)}`)(request, response);
  await refuses(empty, 'registry.failed', /do not end/);
  await refuses(page(['a'], 'http://127.0.0.1:1/v2/_catalog'), 'registry.failed', /another server/);
  for (const name of ['../etc', 'UPPER', 'a:tag', 'a@b', '', 'a//b', 7, null]) {
    await refuses(page(['good', name]), 'registry.failed', /no repository/);
  }
  await refuses((_, response) => response.end('<html>'), 'registry.failed', /not JSON/);
  await refuses((_, response) => response.end('{"tags":[]}'), 'registry.failed', /no list/);
});

test('a registry without a catalog says so, with what to do; one that fails, fails', async () => {
  for (const status of [401, 403, 404, 405]) {
    await refuses((_, response) => response.writeHead(status).end('{}'), 'registry.no-catalog', /no catalog/);
  }
  await refuses((_, response) => response.writeHead(500).end('{}'), 'registry.failed', /500/);
  await refuses((_, response) => response.writeHead(429).end('{}'), 'registry.rate-limited', /429/);
});

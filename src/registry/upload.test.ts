import { deepEqual, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { serveAnswers } from '../../test/support/registry-faults.ts';
import { utf8 } from '../base/bytes.ts';
import { digestOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { openRegistry, type Registry } from './registry.ts';

const content = utf8('0123456789');
const descriptor = { digest: digestOf(content), size: content.length };

function open(host: string): Registry {
  const credentials = { kind: 'none' } as const;
  return openRegistry(host, {
    credentials,
    tls: {},
    insecure: true,
    userAgent: 'bulla/test',
    retryTimes: 0,
    env: {},
  });
}

test('a place that was begun before takes the blob; one that has expired is begun anew', async () => {
  let expired = false;
  await using site = await serveAnswers((request, response) => {
    if (request.method === 'POST') response.writeHead(202, { location: '/up/1' }).end();
    else if (request.method === 'GET') response.writeHead(200).end();
    else {
      response.writeHead(expired ? 404 : 201).end();
      expired = false;
    }
  });
  await using registry = open(site.host);
  const lines = (): readonly string[] =>
    site.requests.splice(0).map(({ method, url }) => `${method} ${url.slice(0, 5)}`);
  const first = registry.beginUpload('a');
  await first;
  lines();
  await registry.putBlob('a', descriptor, content, { begun: first });
  deepEqual(lines(), ['PUT /up/1']);
  expired = true;
  await registry.putBlob('a', descriptor, content, { begun: first });
  deepEqual(lines(), ['PUT /up/1', 'POST /v2/a', 'PUT /up/1']);
});

test('a registry that takes nothing is an error, however it was begun', async () => {
  await using site = await serveAnswers((_request, response) => void response.writeHead(403).end());
  await using registry = open(site.host);
  const begun = registry.beginUpload('a');
  begun.catch(() => undefined);
  await rejects(registry.putBlob('a', descriptor, content, { begun }), (error: unknown) =>
    isBullaError(error, 'registry.denied'),
  );
});

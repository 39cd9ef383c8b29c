/** Signatures that a registry keeps itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { code, digest, open } from '../../test/support/registry-client.ts';
import { serveAnswers } from '../../test/support/registry-faults.ts';

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

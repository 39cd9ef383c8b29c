/** The tags of a repository. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { code, open } from '../../test/support/registry-client.ts';
import { serveAnswers } from '../../test/support/registry-faults.ts';

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

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { listen } from './listen.ts';

test('a function answers on a free port until it is closed', async () => {
  const server = await listen(
    async (request) => new Response(`${request.method} ${new URL(request.url).pathname}`),
  );
  assert.match(server.url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  assert.equal(await (await fetch(`${server.url}/path`)).text(), 'GET /path');
  await server.close();
  await assert.rejects(fetch(server.url));
});

test('closing does not wait for those who keep their connection', async () => {
  await using server = await listen(() => new Promise<Response>(() => undefined));
  const pending = fetch(server.url);
  const refused = assert.rejects(pending);
  await server.close();
  await refused;
});

test('a port that is taken, or none, has its own code', async () => {
  await using server = await listen(async () => new Response());
  const port = Number(new URL(server.url).port);
  await assert.rejects(
    listen(async () => new Response(), { port }),
    { code: 'server.cannot-listen' },
  );
  await assert.rejects(
    listen(async () => new Response(), { port: 70_000 }),
    { code: 'usage.invalid' },
  );
});

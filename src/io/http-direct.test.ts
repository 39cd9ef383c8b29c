/** Bodies over sockets of their own: what happens between the head and the body. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';

import { isBullaError } from '../base/errors.ts';
import { openHttp } from './http.ts';

test('what is ended before its body is read is an error, and nobody waits for it', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nthe start'));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/blob`);
  await using http = openHttp({ env: {} });
  const request = { url, maxBytes: 2_000_000, direct: true, deadlineMs: 5000, idleMs: 5000 };
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
  for (const socket of sockets) socket.resetAndDestroy();
  await assert.rejects(
    broken.each(() => undefined),
    (error) => isBullaError(error, 'http.failed'),
  );
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

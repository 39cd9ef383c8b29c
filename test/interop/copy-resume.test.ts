/** Connections that break in the middle of a blob, between Bulla and a real registry. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { startRegistry } from '../support/docker-registry.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';

const launcher = fileURLToPath(new URL('../../bin/bulla.js', import.meta.url));

type Way = 'up' | 'down';

type Cutter = AsyncDisposable & {
  readonly port: number;
  /** Bytes in the direction that is cut, of all connections. */
  carried(): number;
};

/** Lets everything through to a registry, but cuts the first connection that has carried so many bytes in that direction. */
async function openCutter(port: number, way: Way, after: number): Promise<Cutter> {
  let [isCut, carried] = [false, 0];
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    let passed = 0;
    for (const each of [client, upstream]) {
      sockets.add(each);
      each.on('error', () => undefined).on('close', () => sockets.delete(each));
    }
    (way === 'up' ? client : upstream).on('data', (chunk: Buffer) => {
      passed += chunk.length;
      carried += chunk.length;
      if (isCut || passed < after) return;
      isCut = true;
      client.destroy();
      upstream.destroy();
    });
    client.pipe(upstream).on('close', () => client.destroy());
    upstream.pipe(client).on('close', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    carried: () => carried,
    [Symbol.asyncDispose]: async () => {
      for (const each of sockets) each.destroy();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

const layerBytes = 24_000_000;

async function pushLarge(bench: Bench, host: string): Promise<string> {
  const content = randomBytes(layerBytes);
  writeFileSync(bench.path('large.bin'), content);
  const layer = 'large.bin:application/vnd.oci.image.layer.v1.tar';
  await bench.ok('oras', ['push', '--plain-http', `${host}/large:1`, layer]);
  return createHash('sha256').update(content).digest('hex');
}

/** Copies through a cutter; gives how many times the layer's bytes went through it, roughly. */
async function copyThrough(bench: Bench, from: string, to: string, way: Way): Promise<number> {
  const hex = await pushLarge(bench, from);
  const broken = way === 'up' ? to : from;
  await using cutter = await openCutter(Number(broken.split(':')[1]), way, layerBytes / 2);
  const through = `127.0.0.1:${cutter.port}`;
  const copied = await bench.bulla([
    ...['copy', '--insecure-policy', '--tls-verify=false', '--retry-delay', '200ms'],
    `docker://${way === 'down' ? through : from}/large:1`,
    `docker://${way === 'up' ? through : to}/large:1`,
  ]);
  assert.equal(copied.exitCode, 0, copied.stderr);
  await bench.ok('oras', [
    ...['blob', 'fetch', '--plain-http', '--output', bench.path('back')],
    `${to}/large@sha256:${hex}`,
  ]);
  assert.equal(
    createHash('sha256')
      .update(readFileSync(bench.path('back')))
      .digest('hex'),
    hex,
  );
  return cutter.carried() / layerBytes;
}

const peers = needs('oras', 'docker-registry');

test('a download that breaks goes on where it broke', peers, async () => {
  await using bench = await openBench();
  const [from, to] = [await startRegistry(bench), await startRegistry(bench)];
  const times = await copyThrough(bench, from.host, to.host, 'down');
  assert.ok(times < 1.4, `${times} times its bytes`);
  assert.match(from.log(), /GET \/v2\/large\/blobs\/sha256:\S+ HTTP\/1\.1" 206/);
});

test('an upload that breaks goes on where the registry has got to', peers, async () => {
  await using bench = await openBench();
  const from = await startRegistry(bench);
  const serve = [launcher, 'serve', 'registry', '--port', '0', '--root', bench.path('embedded')];
  const running = bench.start(`/${process.execPath.slice(1)}`, serve);
  const to = (await running.waitFor(/127\.0\.0\.1:\d+/))[0];
  const times = await copyThrough(bench, from.host, to, 'up');
  assert.ok(times < 1.4, `${times} times its bytes`);
});

test('docker-registry cannot go on with what came in one request: it gets the blob anew', peers, async () => {
  await using bench = await openBench();
  const [from, to] = [await startRegistry(bench), await startRegistry(bench)];
  const times = await copyThrough(bench, from.host, to.host, 'up');
  assert.ok(times > 1.4, `${times} times its bytes`);
  assert.match(to.log(), /upload resumed at wrong off/);
});

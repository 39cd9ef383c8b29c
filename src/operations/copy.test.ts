/** Copies where the source, the destination or the disk misbehaves: an error with its code, and the name keeps its meaning. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import {
  type Answer,
  type FaultyRegistry,
  type Recorded,
  serveAnswers,
  testClock,
} from '../../test/support/registry-faults.ts';
import { utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { parseImageName } from '../base/image-name.ts';
import { hostPlatform } from '../images/choose-instance.ts';
import { descriptorOf } from '../images/image-contract.ts';
import { copy, type CopyRequest } from './copy.ts';
import { openWorld, type World } from './world.ts';

const config = utf8('{"os":"linux","architecture":"amd64"}');
const layer = new Uint8Array(200_000).fill(7);

function manifestOf(value: object): Uint8Array {
  return utf8(JSON.stringify({ schemaVersion: 2, ...value }));
}

function imageOf(...layers: readonly Uint8Array[]): Uint8Array {
  return manifestOf({
    mediaType: mediaTypes.ociManifest,
    config: descriptorOf(config, mediaTypes.ociConfig),
    layers: layers.map((each) => descriptorOf(each, mediaTypes.ociLayer)),
  });
}

const image = imageOf(layer);

/** A registry in memory; `fault` may answer first. */
async function serve(
  top: Uint8Array,
  contents: readonly Uint8Array[],
  fault: (request: Recorded, response: Parameters<Answer>[1]) => boolean = () => false,
): Promise<FaultyRegistry> {
  const stored = new Map<string, Uint8Array>([top, ...contents].map((each) => [digestOf(each), each]));
  if (top.length > 0) stored.set('1', top);
  return serveAnswers((request, response) => {
    if (fault(request, response)) return;
    const { method, url, body } = request;
    const { pathname, searchParams } = new URL(url, 'http://registry.test');
    const name = decodeURIComponent(pathname.split('/').at(-1) ?? '');
    if (method === 'POST') return void response.writeHead(202, { location: '/v2/up' }).end();
    if (method === 'PUT') {
      const digest = digestOf(body);
      const named = searchParams.get('digest');
      if (named !== null && named !== digest) return void response.writeHead(400).end('{}');
      stored.set(digest, body);
      if (pathname.includes('/manifests/')) stored.set(name, body);
      return void response.writeHead(201, { 'docker-content-digest': digest }).end();
    }
    if (pathname === '/v2/') return void response.end();
    const found = stored.get(name);
    if (found === undefined || pathname.includes('/referrers/'))
      return void response.writeHead(404).end('{}');
    const headers = { 'content-length': found.length, 'docker-content-digest': digestOf(found) };
    response.writeHead(200, headers).end(method === 'HEAD' ? undefined : found);
  });
}

async function inWorld(run: (world: World, folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bulla-copy-'));
  try {
    await writeFile(join(folder, 'none.yaml'), `default-docker: { lookaside: "file://${folder}/sig" }\n`);
    await using world = openWorld({
      environment: { env: {}, home: folder, uid: 1, etc: folder, share: folder },
      registriesDFolder: folder,
      tlsVerify: false,
      clock: testClock(),
    });
    await run(world, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function requestOf(
  source: FaultyRegistry,
  destination: string,
  more: Partial<CopyRequest> = {},
): CopyRequest {
  return {
    source: parseImageName(`docker://${source.host}/app:1`),
    destination: parseImageName(destination),
    by: { kind: 'insecure-accept-anything' },
    ...more,
  };
}

const isManifestPut = (line: string): boolean => /^PUT \S+\/manifests\//.test(line);

async function refuses(
  code: ErrorCode,
  source: FaultyRegistry,
  destination: FaultyRegistry,
  more: Partial<CopyRequest> = {},
): Promise<void> {
  await inWorld(async (world) => {
    const request = requestOf(source, `docker://${destination.host}/app:1`, more);
    await rejects(copy(request, { from: world, to: world }), (error: unknown) => {
      ok(isBullaError(error, code), `expected ${code}, got ${String(error)}`);
      return true;
    });
  });
}

test('what was opened for an image that turns out not to be there is closed again', async () => {
  await inWorld(async (world, folder) => {
    const before = process.env['TMPDIR'];
    process.env['TMPDIR'] = folder;
    const isOpened = async (): Promise<boolean> =>
      (await readdir(folder)).some((name) => name.startsWith('bulla-engine-'));
    const gone = descriptorOf(image, mediaTypes.ociManifest);
    const list = manifestOf({
      mediaType: mediaTypes.ociIndex,
      manifests: [{ ...gone, platform: hostPlatform() }],
    });
    const answer = async (url: string, response: Parameters<Answer>[1]): Promise<void> => {
      if (url.endsWith('/manifests/1')) return void response.end(list);
      // the answer comes once the destination is open
      while (url.includes('/manifests/') && !(await isOpened())) await setImmediate();
      return void response.writeHead(404).end('{}');
    };
    await using source = await serveAnswers(({ url }, response) => void answer(url, response));
    try {
      const request = requestOf(source, 'containers-storage:localhost/ns/app:1');
      await rejects(copy(request, { from: world, to: world }), (error: unknown) =>
        isBullaError(error, 'image.not-found'),
      );
    } finally {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    }
    deepEqual(await readdir(folder), ['none.yaml']);
  });
});

test('an image arrives, its tag last and looked at; a second copy writes nothing', async () => {
  await using source = await serve(image, [config, layer]);
  await using destination = await serve(new Uint8Array(), []);
  await inWorld(async (world) => {
    const request = requestOf(source, `docker://${destination.host}/new/app:1`);
    const copied = await copy(request, { from: world, to: world });
    ok(copied.copied);
    equal(copied.digest, digestOf(image));
    deepEqual(destination.lines.slice(-2), ['PUT /v2/new/app/manifests/1', 'HEAD /v2/new/app/manifests/1']);
    const before = destination.lines.length;
    await copy(request, { from: world, to: world });
    deepEqual(
      destination.lines.slice(before).filter((line) => /^(?:PUT|POST)/.test(line)),
      [],
    );
    ok(destination.lines.length - before <= 2);
  });
});

test('a tag that moves under the copy changes nothing: what was read first is copied', async () => {
  const other = imageOf(utf8('other'));
  let asked = 0;
  await using source = await serve(image, [config, layer], (request, response) => {
    if (!request.url.endsWith('/manifests/1')) return false;
    asked += 1;
    response.end(asked === 1 ? image : other);
    return true;
  });
  await using destination = await serve(new Uint8Array(), []);
  await inWorld(async (world) => {
    const copied = await copy(requestOf(source, `docker://${destination.host}/app:1`), {
      from: world,
      to: world,
    });
    ok(copied.copied && copied.digest === digestOf(image));
    equal(asked, 1);
  });
});

test('a layer that is not what the manifest says leaves the name as it was', async () => {
  for (const wrong of [layer.subarray(1), new Uint8Array([...layer, 1]), new Uint8Array(layer.length)]) {
    await using source = await serve(image, [config], (request, response) => {
      if (!request.url.includes(digestOf(layer))) return false;
      response.end(wrong);
      return true;
    });
    await using destination = await serve(new Uint8Array(), []);
    await refuses('blob.digest-mismatch', source, destination);
    deepEqual(destination.lines.filter(isManifestPut), []);
  }
});

test('a layer that is gone, a destination that denies: each by its code, nothing named', async () => {
  await using incomplete = await serve(image, [config]);
  await using destination = await serve(new Uint8Array(), []);
  await refuses('image.not-found', incomplete, destination);
  await using source = await serve(image, [config, layer]);
  await using full = await serve(new Uint8Array(), [], ({ method }, response) => {
    if (method === 'PUT') response.writeHead(507).end();
    return method === 'PUT';
  });
  await refuses('registry.failed', source, full);
  await using denied = await serve(new Uint8Array(), [], ({ method }, response) => {
    if (method === 'POST') response.writeHead(403).end();
    return method === 'POST';
  });
  await refuses('registry.denied', source, denied);
  for (const each of [destination, full, denied]) deepEqual(each.lines.filter(isManifestPut), []);
});

test('a destination that lies about what it stored, or whose tag means something else afterwards, is found out', async () => {
  await using source = await serve(image, [config, layer]);
  const other = digestOf(utf8('other'));
  for (const which of ['/up', '/manifests/1'] as const) {
    await using liar = await serve(new Uint8Array(), [], ({ method, url }, response) => {
      if (method !== 'PUT' || !url.includes(which)) return false;
      response.writeHead(201, { 'docker-content-digest': other }).end();
      return true;
    });
    await refuses(which === '/up' ? 'blob.digest-mismatch' : 'manifest.digest-mismatch', source, liar);
  }
  let isWritten = false;
  await using raced = await serve(new Uint8Array(), [], ({ method, url }, response) => {
    if (!url.endsWith('/manifests/1')) return false;
    isWritten ||= method === 'PUT';
    if (method !== 'HEAD' || !isWritten) return false;
    response.writeHead(200, { 'docker-content-digest': other }).end();
    return true;
  });
  await refuses('manifest.digest-mismatch', source, raced);
});

function entryOf(bytes: Uint8Array, mediaType: string): Descriptor {
  return { ...descriptorOf(bytes, mediaType), platform: { os: 'linux', architecture: 'amd64' } };
}

test('lists five deep and lists that contain themselves end', async () => {
  const levels = [image];
  for (let n = 0; n < 5; n += 1) {
    const inner = levels.at(-1) ?? image;
    const type = n === 0 ? mediaTypes.ociManifest : mediaTypes.ociIndex;
    levels.push(manifestOf({ mediaType: mediaTypes.ociIndex, manifests: [entryOf(inner, type)] }));
  }
  const top = levels.pop() ?? image;
  await using deep = await serve(top, [...levels, config, layer]);
  await using destination = await serve(new Uint8Array(), []);
  await refuses('image.too-deep', deep, destination, { instances: { kind: 'all' } });
  // the digest of a list cannot be in it: only a registry that gives other bytes than were asked for makes a circle
  const circle = manifestOf({
    mediaType: mediaTypes.ociIndex,
    manifests: [entryOf(image, mediaTypes.ociIndex)],
  });
  await using circular = await serve(circle, [], (request, response) => {
    if (!request.url.includes('/manifests/')) return false;
    response.end(circle);
    return true;
  });
  await refuses('manifest.digest-mismatch', circular, destination, { instances: { kind: 'all' } });
  deepEqual(destination.lines.filter(isManifestPut), []);
});

test('a folder in which the copy was cut off is no image, and a second copy completes it', async () => {
  let isBroken = true;
  await using source = await serve(image, [config, layer], (request, response) => {
    if (!isBroken || !request.url.includes(digestOf(layer))) return false;
    response.writeHead(404).end('{}');
    return true;
  });
  await inWorld(async (world, folder) => {
    const to = join(folder, 'out');
    const request = requestOf(source, `dir:${to}`);
    await rejects(copy(request, { from: world, to: world }));
    ok(!(await readdir(to)).includes('manifest.json'));
    isBroken = false;
    ok((await copy(request, { from: world, to: world })).copied);
    const names = await readdir(to);
    ok(names.includes('manifest.json') && names.every((each) => !each.startsWith('.')));
  });
});

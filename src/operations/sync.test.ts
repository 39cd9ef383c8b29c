/** Syncs where registries misbehave, and what their images share: who is asked, how often, and what becomes of the others. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import {
  type FaultyRegistry,
  type Recorded,
  serveAnswers,
  testClock,
} from '../../test/support/registry-faults.ts';
import { utf8 } from '../base/bytes.ts';
import { mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { BullaError, type ErrorCode, isBullaError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import { descriptorOf } from '../images/image-contract.ts';
import type { Signer } from '../keys/signer.ts';
import { checkSync } from './sync/check.ts';
import { parseSyncFile } from './sync/file.ts';
import { sync, type SyncedImage, type SyncReceipt, type SyncRequest } from './sync.ts';
import { openWorld, type World } from './world.ts';

const config = utf8('{"os":"linux","architecture":"amd64"}');
const layerOf = (text: string): Uint8Array => utf8(`layer ${text} `.repeat(1000));

function imageOf(...layers: readonly Uint8Array[]): Uint8Array {
  return utf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: descriptorOf(config, mediaTypes.ociConfig),
      layers: layers.map((each) => descriptorOf(each, mediaTypes.ociLayer)),
    }),
  );
}

type Fault = (request: Recorded, response: Parameters<Parameters<typeof serveAnswers>[0]>[1]) => boolean;
type Contents = Readonly<Record<string, readonly Uint8Array[]>>;

/** A registry in memory, each repository with its own blobs; `path:tag` to a manifest and blobs. */
async function serve(contents: Contents, fault: Fault = () => false): Promise<FaultyRegistry> {
  const repositories = new Map<string, Map<string, Uint8Array>>();
  const at = (path: string): Map<string, Uint8Array> => {
    const known = repositories.get(path) ?? new Map<string, Uint8Array>();
    repositories.set(path, known);
    return known;
  };
  for (const [name, [manifest = new Uint8Array(), ...blobs]] of Object.entries(contents)) {
    const [path = '', tag = ''] = name.split(':');
    at(path).set(tag, manifest);
    for (const each of [manifest, ...blobs]) at(path).set(digestOf(each), each);
  }
  return serveAnswers((request, response) => {
    if (fault(request, response)) return;
    const { method, url, body } = request;
    const { pathname, searchParams } = new URL(url, 'http://registry.test');
    const [, path = '', kind = '', name = ''] =
      /^\/v2\/(.+)\/(manifests|blobs\/uploads|blobs|tags|referrers)\/(.*)$/.exec(pathname) ?? [];
    if (pathname === '/v2/') return void response.end();
    if (method === 'POST') {
      const [from, mount] = [searchParams.get('from'), searchParams.get('mount') ?? ''];
      const blob = from === null ? undefined : at(from).get(mount);
      if (blob === undefined)
        return void response.writeHead(202, { location: `/v2/${path}/blobs/uploads/1` }).end();
      at(path).set(mount, blob);
      return void response.writeHead(201, { location: `/v2/${path}/blobs/${mount}` }).end();
    }
    if (method === 'PUT') {
      at(path).set(digestOf(body), body);
      if (kind === 'manifests') at(path).set(name, body);
      return void response.writeHead(201, { 'docker-content-digest': digestOf(body) }).end();
    }
    if (kind === 'tags') {
      const tags = [...at(path).keys()].filter((each) => !each.includes(':'));
      return void response.writeHead(tags.length === 0 ? 404 : 200).end(JSON.stringify({ tags }));
    }
    const found = kind === 'referrers' ? undefined : at(path).get(name);
    if (found === undefined) return void response.writeHead(404).end('{}');
    const headers = { 'content-length': found.length, 'docker-content-digest': digestOf(found) };
    response.writeHead(200, headers).end(method === 'HEAD' ? undefined : found);
  });
}

async function inWorld<T>(run: (world: World, folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'bulla-sync-'));
  try {
    await writeFile(join(folder, 'none.yaml'), `default-docker: { lookaside: "file://${folder}/sig" }\n`);
    await using world = openWorld({
      environment: { env: {}, home: folder, uid: 1, etc: folder, share: folder },
      registriesDFolder: folder,
      tlsVerify: false,
      clock: testClock(),
    });
    return await run(world, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What a sync and a check are both asked. */
type Asked = Omit<SyncRequest, 'onImage'>;

function requestOf(source: FaultyRegistry, destination: FaultyRegistry, more: Partial<Asked> = {}): Asked {
  return {
    source: { kind: 'docker', reference: parseReference(`${source.host}/ns/app`) },
    target: { kind: 'docker', place: `${destination.host}/m` },
    by: { kind: 'insecure-accept-anything' },
    ...more,
  };
}

const run = (request: Asked): Promise<SyncReceipt> =>
  inWorld((world) => sync(request, { from: world, to: world }));

/** `1 copied`, `2 failed http.failed` */
function statesOf({ images }: SyncReceipt): readonly string[] {
  return images.map((image: SyncedImage) => {
    const code = image.state === 'failed' ? ` ${image.error.code}` : '';
    return `${image.source.split(':').at(-1)} ${image.state}${code}`;
  });
}

const shared = layerOf('shared');
const own = ['1', '2', '3', '4'].map(layerOf);
const four: Contents = Object.fromEntries(
  own.map((each, index) => [`ns/app:${index + 1}`, [imageOf(shared, each), config, shared, each]]),
);
const counts = (lines: readonly string[], pattern: RegExp): number =>
  lines.filter((line) => pattern.test(line)).length;

test('what images share is asked for once and sent once; a second sync writes nothing', async () => {
  await using source = await serve(four);
  await using destination = await serve({});
  await inWorld(async (world) => {
    const worlds = { from: world, to: world };
    const request = requestOf(source, destination);
    deepEqual(statesOf(await sync(request, worlds)), ['1 copied', '2 copied', '3 copied', '4 copied']);
    for (const blob of [shared, config]) {
      equal(counts(source.lines, new RegExp(`GET .*/blobs/${digestOf(blob)}`)), 1);
      equal(counts(destination.lines, new RegExp(`PUT .*${encodeURIComponent(digestOf(blob))}`)), 1);
    }
    equal(counts(destination.lines, /^GET \/v2\/$/), 1, 'one ping for all');
    equal(counts(destination.lines, /^PUT .*manifests/), 4, 'each manifest once, by its tag');
    equal(counts(destination.lines, /^HEAD .*manifests/), 4, 'looked at when it is there, not before');
    equal(counts(destination.lines, /^HEAD .*blobs/), 6);
    const [before, asked] = [destination.lines.length, source.lines.length];
    deepEqual(statesOf(await sync(request, worlds)), ['1 there', '2 there', '3 there', '4 there']);
    const again = destination.lines.slice(before);
    equal(counts(again, /^(?:PUT|POST|PATCH)/), 0);
    // a list, and of each image what its tag means
    equal(again.length, 5);
    // a list; of each its manifest and its referrers
    equal(source.lines.length - asked, 9);
    const { images } = await checkSync(request, worlds);
    deepEqual(
      images.map(({ state }) => state),
      ['complete', 'complete', 'complete', 'complete'],
    );
  });
});

test('the policy is read once, and it judges every image', async () => {
  await using source = await serve(four);
  await using destination = await serve({});
  await inWorld(async (world, folder) => {
    const file = join(folder, 'policy.json');
    const rejected = { [`${source.host}/ns/app:3`]: [{ type: 'reject' }] };
    const accepting = [{ type: 'insecureAcceptAnything' }];
    await writeFile(file, JSON.stringify({ default: accepting, transports: { docker: rejected } }));
    const request = requestOf(source, destination, { by: { kind: 'policy', file }, keepGoing: true });
    const onImage = (): void => rmSync(file, { force: true });
    const receipt = await sync({ ...request, parallelImages: 1, onImage }, { from: world, to: world });
    deepEqual(statesOf(receipt), ['1 copied', '2 copied', '3 refused', '4 copied']);
    equal(counts(destination.lines, /manifests\/3/), 0);
  });
});

test('one key signs one image after another; a key that does not open ends the sync before anything is moved', async () => {
  await using source = await serve(four);
  await using destination = await serve({});
  await inWorld(async (world, folder) => {
    const worlds = { from: world, to: world };
    let [under, most] = [0, 0];
    const signer: Signer = {
      kind: 'gnupg',
      keyId: 'A'.repeat(40),
      sign: async (message) => {
        under += 1;
        most = Math.max(most, under);
        await new Promise((resolve) => setImmediate(resolve));
        under -= 1;
        return new Uint8Array([0xa3, ...message]);
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
    const identities = [parseReference('prod.example.com/ns')];
    const request = requestOf(source, destination, { identities });
    deepEqual(statesOf(await sync({ ...request, signers: [signer] }, worlds)), [
      ...['1 copied', '2 copied', '3 copied', '4 copied'],
    ]);
    equal(most, 1);
    const [signed = ''] = (await readdir(join(folder, 'sig', 'm'))).toSorted();
    const blob = await readFile(join(folder, 'sig', 'm', signed, 'signature-1'), 'utf8');
    match(blob, /"docker-reference":"prod\.example\.com\/ns\/app:[1-4]"/);
    const before = destination.lines.length;
    const broken = Promise.reject(new BullaError('key.passphrase-wrong', 'no'));
    await rejects(sync({ ...request, signers: broken }, worlds), (error) =>
      isBullaError(error, 'key.passphrase-wrong'),
    );
    equal(counts(destination.lines.slice(before), /^(?:PUT|POST|HEAD)/), 0);
  });
});

test('a blob that another repository of the destination has by now is taken from there', async () => {
  await using source = await serve({
    'ns/app:1': [imageOf(shared), config, shared],
    'ns/other:1': [imageOf(shared, shared), config, shared],
  });
  await using destination = await serve({});
  const file = await parseSyncFile(`${source.host}:\n  images: {ns/app: ["1"], ns/other: ["1"]}\n`, 'f.yml');
  const request = requestOf(source, destination, { source: { kind: 'yaml', file }, parallelImages: 1 });
  deepEqual(statesOf(await run(request)), ['1 copied', '1 copied']);
  equal(counts(destination.lines, /^POST .*\/m\/other\/.*mount=.*from=m%2Fapp/), 2);
  equal(counts(destination.lines, /^PUT .*\/m\/other\/blobs/), 0);
});

test('an image that fails to bring a shared blob keeps nobody else from it', async () => {
  let asked = 0;
  await using source = await serve(four, ({ url }, response) => {
    if (!url.endsWith(digestOf(shared))) return false;
    asked += 1;
    if (asked > 1) return false;
    response.writeHead(404).end('{}');
    return true;
  });
  await using destination = await serve({});
  const states = statesOf(await run(requestOf(source, destination, { keepGoing: true })));
  equal(counts(states, /copied$/), 3, states.join(', '));
  equal(counts(states, /failed image\.not-found$/), 1);
});

test('a tag that vanishes after it was listed fails alone; without keepGoing nothing new is begun', async () => {
  const vanished: Fault = ({ url }, response) => {
    if (!url.endsWith('/manifests/2')) return false;
    response.writeHead(404).end('{}');
    return true;
  };
  await using source = await serve(four, vanished);
  await using destination = await serve({});
  const going = await run(requestOf(source, destination, { keepGoing: true }));
  deepEqual(statesOf(going), ['1 copied', '2 failed image.not-found', '3 copied', '4 copied']);
  await using other = await serve({});
  const stopped = await run(requestOf(source, other, { parallelImages: 1 }));
  deepEqual(statesOf(stopped), ['1 copied', '2 failed image.not-found', '3 left', '4 left']);
  equal(counts(other.lines, /manifests\/[34]/), 0);
});

test('a registry that fails in the middle: each image that it befalls says so', async () => {
  const answers: readonly (readonly [status: number, code: ErrorCode])[] = [
    [401, 'registry.unauthorized'],
    [403, 'registry.denied'],
    [429, 'registry.rate-limited'],
    [503, 'registry.failed'],
  ];
  for (const [status, code] of answers) {
    await using source = await serve(four);
    await using destination = await serve({}, ({ method, url }, response) => {
      if (method !== 'PUT' || !url.includes('/manifests/3')) return false;
      response.writeHead(status).end('{}');
      return true;
    });
    const states = statesOf(await run(requestOf(source, destination, { keepGoing: true })));
    deepEqual(states, ['1 copied', '2 copied', `3 failed ${code}`, '4 copied'], String(status));
  }
});

test('tag lists: ten thousand in pages; those that go in circles, elsewhere, or hold what is no tag', async () => {
  const names = Array.from({ length: 10_000 }, (_, index) => `v${index}`);
  await using large = await serveAnswers(({ url }, response) => {
    const { searchParams } = new URL(url, 'http://registry.test');
    const at = Number(searchParams.get('at') ?? 0);
    const link =
      at + 1000 < names.length ? { link: `</v2/ns/app/tags/list?at=${at + 1000}>; rel="next"` } : {};
    response.writeHead(200, link).end(JSON.stringify({ tags: names.slice(at, at + 1000) }));
  });
  await using destination = await serve({});
  const listed = await run(requestOf(large, destination, { dryRun: true }));
  equal(listed.images.length, 10_000);
  equal(listed.images.at(-1)?.destination, `docker://${destination.host}/m/app:v9999`);
  equal(destination.lines.length, 0, 'a dry run asks the destination nothing');
  const faulty: readonly (readonly [body: string, link: string])[] = [
    ['{"tags":["1"]}', '</v2/ns/app/tags/list>; rel="next"'],
    ['{"tags":["1"]}', '<http://elsewhere.example.com/v2/ns/app/tags/list?last=1>; rel="next"'],
    ['{"tags":["../../etc"]}', ''],
    ['{"tags":"1"}', ''],
    ['[', ''],
  ];
  for (const [body, link] of faulty) {
    await using source = await serveAnswers((_request, response) => {
      response.writeHead(200, link === '' ? {} : { link }).end(body);
    });
    await rejects(
      run(requestOf(source, destination)),
      (error) => isBullaError(error, 'registry.failed'),
      body,
    );
  }
  equal(destination.lines.length, 0);
});

test('a repository that cannot be listed: an error, or with keepGoing a row', async () => {
  await using source = await serve(four);
  await using destination = await serve({});
  const file = await parseSyncFile(`${source.host}:\n  images: {no/such: [], ns/app: []}\n`, 'f.yml');
  const request = requestOf(source, destination, { source: { kind: 'yaml', file } });
  await rejects(run(request), (error) => isBullaError(error, 'image.not-found'));
  equal(destination.lines.length, 0);
  const { images } = await run({ ...request, keepGoing: true });
  deepEqual(
    images.map(({ state, destination: to }) => `${state} ${to === undefined ? 'nowhere' : 'somewhere'}`),
    ['copied somewhere', 'copied somewhere', 'copied somewhere', 'copied somewhere', 'failed nowhere'],
  );
});

test('attachments in a list of tags are no images; what the list does not have is not looked for', async () => {
  const tagged = `sha256-${digestOf(imageOf(shared)).slice(7)}`;
  const sbom = imageOf(layerOf('sbom'));
  await using source = await serve({
    'ns/app:1': [imageOf(shared), config, shared],
    [`ns/app:${tagged}.sbom`]: [sbom, config, layerOf('sbom')],
    [`ns/app:sha256-${'0'.repeat(64)}.sig`]: [imageOf(), config],
    [`ns/app:sha256-${'0'.repeat(64)}`]: [imageOf(), config],
  });
  await using destination = await serve({});
  const receipt = await run(requestOf(source, destination));
  deepEqual(statesOf(receipt), ['1 copied']);
  equal(counts(source.lines, /\.sig|\.att/), 0);
  equal(counts(destination.lines, new RegExp(`^PUT .*/manifests/${tagged}.sbom$`)), 1);
});

test('what others attach at the destination while a sync is under way is not replaced', async () => {
  const tag = `sha256-${digestOf(imageOf(shared, own[0] ?? shared)).slice(7)}.sbom`;
  await using source = await serve({ ...four, [`ns/app:${tag}`]: [imageOf(), config] });
  const theirs = imageOf(layerOf('theirs'));
  let isAttached = false;
  await using destination = await serve({}, ({ method, url }, response) => {
    if (method === 'POST') isAttached = true;
    if (!url.endsWith(tag) || !isAttached || method !== 'HEAD') return false;
    response.writeHead(200, { 'docker-content-digest': digestOf(theirs) }).end();
    return true;
  });
  deepEqual(statesOf(await run(requestOf(source, destination))), [
    ...['1 copied', '2 copied', '3 copied', '4 copied'],
  ]);
  equal(counts(destination.lines, /^HEAD .*\.sbom$/), 1);
  equal(counts(destination.lines, /^PUT .*\.sbom$/), 0);
});

test('credentials of a file go to its registry alone, and stand in no message', async () => {
  const basic = `Basic ${Buffer.from('john:hunter2').toString('base64')}`;
  const guarded: Fault = ({ headers }, response) => {
    if (headers.authorization === basic) return false;
    response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end('{}');
    return true;
  };
  await using source = await serve(four, guarded);
  await using destination = await serve({});
  const file = await parseSyncFile(
    `${source.host}:\n  images: {ns/app: ["1"]}\n  credentials: {username: john, password: hunter2}\n`,
    'f.yml',
  );
  const request = requestOf(source, destination, { source: { kind: 'yaml', file } });
  await inWorld(async (world, folder) => {
    const others: World[] = [];
    const fromWith = (settings: object): World => {
      const other = openWorld({
        environment: world.environment,
        registriesDFolder: folder,
        tlsVerify: false,
        ...settings,
      });
      others.push(other);
      return other;
    };
    const receipt = await sync(request, { from: world, to: world, fromWith });
    deepEqual(statesOf(receipt), ['1 copied']);
    equal(JSON.stringify(receipt).includes('hunter2'), false);
    equal(others.length, 1);
    for (const each of others) await each[Symbol.asyncDispose]();
    ok(destination.requests.every(({ headers }) => headers.authorization === undefined));
    // nobody who opens such a world: refused, not reached without
    await rejects(sync(request, { from: world, to: world }), (error) =>
      isBullaError(error, 'usage.unsupported'),
    );
  });
});

test('into a folder and on: links are not followed, a lost file is written again, and told of before', async () => {
  await using source = await serve(four);
  await using destination = await serve({});
  await inWorld(async (world, folder) => {
    const worlds = { from: world, to: world };
    const tree = join(folder, 'tree');
    const target = { kind: 'dir', place: tree } as const;
    const request = requestOf(source, destination, { target });
    equal(
      (await sync(request, worlds)).images.every(({ state }) => state === 'copied'),
      true,
    );
    equal(
      (await sync(request, worlds)).images.every(({ state }) => state === 'there'),
      true,
    );
    const [blob = ''] = (await readdir(join(tree, 'app:2'))).filter(
      (name) => name === digestOf(shared).slice(7),
    );
    await writeFile(join(tree, 'app:2', blob), 'other bytes');
    const { images } = await checkSync(request, worlds);
    deepEqual(
      images.map((each) => (each.state === 'lacks' ? each.lack.image : each.state)),
      [...['complete', 'partial', 'complete', 'complete']],
    );
    equal(statesOf(await sync(request, worlds))[1], '2 copied');
    // what is no image is no image, and a link leads nowhere
    await mkdir(join(tree, 'empty', 'deep'), { recursive: true });
    await symlink(join(tree, 'app:1'), join(tree, 'empty', 'linked:1'));
    const back = await sync(requestOf(source, destination, { source: { kind: 'dir', path: tree } }), worlds);
    deepEqual(
      back.images.map((each) => `${each.destination?.split('/').at(-1)} ${each.state}`),
      ['app:1 copied', 'app:2 copied', 'app:3 copied', 'app:4 copied'],
    );
    // a folder whose name is none of an image
    await mkdir(join(tree, 'no name'));
    await writeFile(join(tree, 'no name', 'manifest.json'), '{}');
    const before = destination.lines.length;
    await rejects(
      sync(requestOf(source, destination, { source: { kind: 'dir', path: tree } }), worlds),
      (error) => isBullaError(error, 'reference.malformed'),
    );
    equal(destination.lines.length, before);
  });
});

test('a list in a folder lacks what its instances have lost', async () => {
  const instances = own.slice(0, 2).map((each) => imageOf(each));
  const entry = (manifest: Uint8Array, architecture: string): object => ({
    ...descriptorOf(manifest, mediaTypes.ociManifest),
    platform: { os: 'linux', architecture },
  });
  const manifests = instances.map((each, index) => entry(each, ['amd64', 'arm64'][index] ?? ''));
  const list = utf8(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
  await using source = await serve({ 'ns/app:1': [list, config, ...instances, ...own] });
  await using nowhere = await serve({});
  await inWorld(async (world, folder) => {
    const worlds = { from: world, to: world };
    const target = { kind: 'dir', place: join(folder, 'out') } as const;
    const request = requestOf(source, nowhere, { target, instances: { kind: 'all' } });
    const stateOf = async (): Promise<string | undefined> =>
      (await checkSync(request, worlds)).images.map((each) =>
        each.state === 'lacks' ? each.lack.image : each.state,
      )[0];
    equal(await stateOf(), 'absent');
    deepEqual(statesOf(await sync(request, worlds)), ['1 copied']);
    equal(await stateOf(), 'complete');
    deepEqual(statesOf(await sync(request, worlds)), ['1 there']);
    await rm(join(folder, 'out', 'app:1', `${digestOf(instances[1] ?? list).slice(7)}.manifest.json`));
    equal(await stateOf(), 'partial');
    deepEqual(statesOf(await sync(request, worlds)), ['1 copied']);
    equal(await stateOf(), 'complete');
  });
});

test('a check says what could not be looked at, and writes nothing', async () => {
  await using source = await serve(four);
  await using destination = await serve({}, ({ method, url }, response) => {
    if (method !== 'HEAD' || !url.endsWith('/m/app/manifests/2')) return false;
    response.writeHead(500).end();
    return true;
  });
  const { images } = await inWorld((world) =>
    checkSync(requestOf(source, destination), { from: world, to: world }),
  );
  deepEqual(
    images.map((each) => (each.state === 'failed' ? each.error.code : each.state)),
    ['lacks', 'registry.failed', 'lacks', 'lacks'],
  );
  equal(counts(destination.lines, /^(?:PUT|POST|PATCH|DELETE)/), 0);
  match(images.map(({ destination: to }) => to ?? '').join(' '), /app:1 .*app:2/);
});

/** Looking for images: lists in lists, catalogs and tags of registries that fail or change under it. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';

import { type Answer, serveAnswers, testClock } from '../../test/support/registry-faults.ts';
import { utf8 } from '../base/bytes.ts';
import { mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { descriptorOf } from '../images/image-contract.ts';
import { parseDigestRecord } from './resign/digest-record.ts';
import { findImages, type FindRequest, type FoundImages } from './find-images.ts';
import { openPace } from './resign/pace.ts';
import { parseWhere } from './where.ts';
import { openWorld } from './world.ts';

function manifest(value: object): Uint8Array {
  return utf8(JSON.stringify({ schemaVersion: 2, ...value }));
}

function image(content: string): Uint8Array {
  const config = descriptorOf(utf8(content), mediaTypes.ociConfig);
  return manifest({ mediaType: mediaTypes.ociManifest, config, layers: [] });
}

function listOf(...inner: readonly (readonly [Uint8Array, string])[]): Uint8Array {
  const manifests = inner.map(([bytes, type]) => descriptorOf(bytes, type));
  return manifest({ mediaType: mediaTypes.ociIndex, manifests });
}

/** A registry of one repository, `ns/app`; `fault` may answer first. */
function registry(
  tags: Readonly<Record<string, Uint8Array>>,
  more: readonly Uint8Array[],
  fault?: Answer,
): Answer {
  const stored = new Map([
    ...Object.entries(tags),
    ...[...Object.values(tags), ...more].map((each) => [digestOf(each), each] as const),
  ]);
  return (request, response) => {
    fault?.(request, response);
    if (response.writableEnded) return;
    const { pathname } = new URL(request.url, 'http://registry.test');
    if (pathname === '/v2/') return void response.end('{}');
    if (pathname === '/v2/_catalog')
      return void response.end('{"repositories":["ns/app","ns/empty","other/app"]}');
    if (pathname === '/v2/ns/app/tags/list')
      return void response.end(JSON.stringify({ tags: Object.keys(tags) }));
    if (pathname === '/v2/ns/empty/tags/list') return void response.end('{"tags":null}');
    const found = pathname.startsWith('/v2/ns/app/manifests/')
      ? stored.get(pathname.split('/').at(-1) ?? '')
      : undefined;
    if (found === undefined) return void response.writeHead(404).end('{}');
    response.end(found);
  };
}

async function find(
  answer: Answer,
  where: string,
  more: Partial<FindRequest> = {},
): Promise<FoundImages & { readonly lines: readonly string[] }> {
  await using server = await serveAnswers(answer);
  await using world = openWorld({
    environment: { env: {}, home: '/nowhere', uid: 1, etc: '/nowhere', share: '/nowhere' },
    tlsVerify: false,
    clock: testClock(),
    retryTimes: 0,
  });
  const places = [parseWhere(`${server.host}/${where}`)];
  const found = await findImages({ where: places, atOnce: 4, pace: openPace(undefined), ...more }, world);
  return { ...found, lines: server.lines };
}

const one = image('one');
const two = image('two');

test('each manifest once, under all its names; what belongs to an image is none', async () => {
  const list = listOf([one, mediaTypes.ociManifest], [two, mediaTypes.ociManifest]);
  const tags = {
    a: one,
    b: one,
    list,
    [`sha256-${'0'.repeat(64)}.sig`]: image('signatures'),
    [`sha256-${'0'.repeat(64)}`]: list,
  };
  const { images, missed, lines } = await find(registry(tags, [two]), 'ns/');
  deepEqual(
    images.map(({ digest, names, lists, isList }) => [digest, names.map(({ tag }) => tag), lists, isList]),
    [
      [digestOf(one), ['a', 'b', 'list'], [digestOf(list)], false],
      [digestOf(two), ['list'], [digestOf(list)], false],
      [digestOf(list), ['list'], [], true],
    ],
  );
  deepEqual(missed, []);
  equal(lines.filter((line) => line.includes('/manifests/')).length, 3, 'what a list names is not asked for');
});

test('a repository that is none is a namespace; one that is both is the repository', async () => {
  const tags = { a: one };
  equal((await find(registry(tags, []), 'ns')).images.length, 1);
  const { lines } = await find(registry(tags, []), 'ns/app');
  equal(
    lines.some((line) => line.includes('_catalog')),
    false,
  );
  const nowhere = await find(registry(tags, []), 'elsewhere');
  deepEqual(
    nowhere.missed.map(({ error }) => error.code),
    ['image.not-found'],
  );
});

test('lists in lists, four deep and no deeper', async () => {
  const levels = [one];
  for (let n = 0; n < 5; n += 1) {
    levels.push(listOf([levels.at(-1) ?? one, n === 0 ? mediaTypes.ociManifest : mediaTypes.ociIndex]));
  }
  const [, , , , four = one, five = one] = levels;
  const deep = await find(registry({ deep: four }, levels), 'ns/app');
  equal(deep.images.length, 5);
  equal(deep.images[0]?.lists.length, 4, 'a list far above stands for it too');
  const deeper = await find(registry({ deep: five, flat: two }, levels), 'ns/app');
  deepEqual(
    deeper.missed.map(({ error }) => error.code),
    ['image.too-deep'],
  );
  deepEqual(
    deeper.images.map(({ digest }) => digest),
    [digestOf(two)],
    'the others are found all the same',
  );
});

test('other bytes than a digest says, a tag that vanishes, a list of thousands: each is missed by its code', async () => {
  const nested = listOf([two, mediaTypes.ociIndex]);
  const lying: Answer = (request, response) => {
    if (request.url.includes(digestOf(two))) response.end(one);
  };
  const lied = await find(registry({ a: nested }, [], lying), 'ns/app');
  deepEqual([lied.images, lied.missed.map(({ error }) => error.code)], [[], ['manifest.digest-mismatch']]);
  const vanishing: Answer = (request, response) => {
    if (request.url.endsWith('/manifests/b')) response.writeHead(404).end('{}');
  };
  const vanished = await find(registry({ a: one, b: two }, [], vanishing), 'ns/app');
  deepEqual(
    [vanished.images.length, vanished.missed.map(({ error }) => error.code)],
    [1, ['image.not-found']],
  );
  const many = listOf(
    ...Array.from({ length: 2001 }, (_, n) => [utf8(`${n}`), mediaTypes.ociManifest] as const),
  );
  deepEqual(
    (await find(registry({ many }, []), 'ns/app')).missed.map(({ error }) => error.code),
    ['image.unsupported'],
  );
});

test('the record leads to what has no tag, once, and not out of WHERE', async () => {
  const record = (host: string): FindRequest['record'] =>
    parseDigestRecord(
      `${host}/ns/app@${digestOf(two)}\n${host}/other/x@${digestOf(two)}\n${digestOf(one)}\n`,
      'record',
    );
  await using server = await serveAnswers(registry({ a: one }, [two]));
  await using world = openWorld({
    environment: { env: {}, home: '/nowhere', uid: 1, etc: '/nowhere', share: '/nowhere' },
    tlsVerify: false,
  });
  const request = { where: [parseWhere(`${server.host}/ns/app`)], atOnce: 4, pace: openPace(undefined) };
  const named = record(server.host);
  ok(named !== undefined);
  const { images, missed, unseen } = await findImages({ ...request, record: named }, world);
  deepEqual(
    images.map(({ digest }) => digest),
    [digestOf(one), digestOf(two)],
  );
  deepEqual([missed, unseen], [[], []]);
  equal(images[1]?.names[0]?.digest, digestOf(two));
});

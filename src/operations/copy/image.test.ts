import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../../base/descriptor.ts';
import { type Digest, digestOf } from '../../base/digest.ts';
import { BullaError, type ErrorCode, isBullaError } from '../../base/errors.ts';
import { type ImageName, parseImageName } from '../../base/image-name.ts';
import { type Manifest, takeManifest } from '../../base/manifest.ts';
import type { Image, ImageSink } from '../../images/image.ts';
import { bytesOf, descriptorOf, streamOf } from '../../images/image-contract.ts';
import { copyImage, type CopyOptions } from '../../../test/support/copy-image.ts';

/** An image in memory. */
function imageOf(top: Manifest, others: readonly Manifest[], blobs: readonly Uint8Array[]): Image {
  const manifests = new Map([top, ...others].map((each) => [each.digest, each]));
  const contents = new Map(blobs.map((each) => [digestOf(each), each]));
  return {
    name: { transport: 'oci', path: '/source' },
    physical: undefined,
    manifest: async (digest) => {
      const found = digest === undefined ? top : manifests.get(digest);
      if (found === undefined) throw new BullaError('image.not-found', 'no such manifest');
      return found;
    },
    blob: async ({ digest }) => {
      const found = contents.get(digest);
      if (found === undefined) throw new BullaError('image.not-found', 'no such blob');
      return streamOf(found);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

type Log = { readonly sink: ImageSink; readonly log: string[]; most: number };

/** A sink that writes down what it is asked, in words; blobs take a turn of the event loop. */
function sinkOf(name: ImageName, names: ReadonlyMap<Digest, string>, there: readonly Digest[] = []): Log {
  const log: string[] = [];
  const word = (digest: Digest): string => names.get(digest) ?? digest;
  let under = 0;
  const result: Log = {
    log,
    most: 0,
    sink: {
      name,
      hasBlob: async ({ digest }) => there.includes(digest),
      putBlob: async ({ digest }, content) => {
        under += 1;
        result.most = Math.max(result.most, under);
        await bytesOf(content);
        await new Promise((resolve) => setImmediate(resolve));
        under -= 1;
        log.push(`blob ${word(digest)}`);
      },
      putManifest: async ({ digest }, options) => {
        log.push(`${options?.instance === true ? 'instance' : 'manifest'} ${word(digest)}`);
      },
      [Symbol.asyncDispose]: async () => undefined,
    },
  };
  return result;
}

const registry = parseImageName('docker://registry.example.com/app:1');
const config = utf8('{"config":1}');
const layers = Array.from({ length: 10 }, (_, n) => utf8(`layer ${n}`));

function manifestOf(value: object): Manifest {
  return takeManifest(utf8(JSON.stringify({ schemaVersion: 2, ...value })));
}

function singleOf(
  blobs: readonly Uint8Array[],
  more: readonly object[] = [],
  mediaType: string = mediaTypes.ociManifest,
): Manifest {
  const list = blobs.map((each) => descriptorOf(each, mediaTypes.ociLayer));
  return manifestOf({
    mediaType,
    config: descriptorOf(config, mediaTypes.ociConfig),
    layers: [...list, ...more],
  });
}

function entryOf(manifest: Manifest, architecture: string): Descriptor {
  return { ...descriptorOf(manifest.bytes, manifest.mediaType), platform: { os: 'linux', architecture } };
}

function indexOf(manifests: readonly object[]): Manifest {
  return manifestOf({ mediaType: mediaTypes.ociIndex, manifests });
}

async function refuses(
  image: Image,
  name: ImageName,
  code: ErrorCode,
  options: CopyOptions = {},
): Promise<void> {
  const { sink, log } = sinkOf(name, new Map());
  await rejects(
    copyImage(image, sink, options),
    (error: unknown) => isBullaError(error) && error.code === code,
  );
  deepEqual(
    log.filter((each) => each.startsWith('manifest')),
    [],
    'the name keeps its meaning',
  );
}

test('blobs first, each once, six at a time at most, the manifest last', async () => {
  const blobs = [...layers, layers[0] ?? config];
  const manifest = singleOf(blobs);
  const names = new Map([
    [manifest.digest, 'top'],
    ...blobs.map((each) => [digestOf(each), 'layer'] as const),
  ]);
  const target = sinkOf(registry, names);
  const items: string[] = [];
  const receipt = await copyImage(imageOf(manifest, [], [config, ...layers]), target.sink, {
    onItem: ({ kind, sent }) => items.push(`${kind} ${sent}`),
  });
  deepEqual(receipt, {
    digest: manifest.digest,
    mediaType: mediaTypes.ociManifest,
    size: manifest.bytes.length,
  });
  equal(target.log.length, 12);
  equal(target.log.at(-1), 'manifest top');
  ok(target.most > 1 && target.most <= 6, `${target.most} at once`);
  equal(items.length, 12);
});

test('progress counts every byte of every blob, those that are there already too', async () => {
  const manifest = singleOf(layers.slice(0, 3));
  const all = [config, ...layers.slice(0, 3)].reduce((sum, each) => sum + each.length, 0);
  const target = sinkOf(registry, new Map(), [digestOf(config)]);
  const seen: { passed: number; total: number }[] = [];
  await copyImage(imageOf(manifest, [], layers), target.sink, { onProgress: (state) => seen.push(state) });
  deepEqual(seen.at(-1), { passed: all, total: all });
  ok(seen.every(({ passed, total }) => passed <= total));
});

test('what is there already is not read', async () => {
  const manifest = singleOf(layers.slice(0, 2));
  const [first, second] = layers.map((each) => digestOf(each));
  ok(first !== undefined && second !== undefined);
  // the source does not even have the first layer
  const target = sinkOf(registry, new Map([[second, 'second']]), [first]);
  await copyImage(imageOf(manifest, [], [config, ...layers.slice(1)]), target.sink);
  equal(target.log.includes('blob second'), true);
  equal(target.log.length, 3);
});

test('a blob that fails ends the copy before the manifest', async () => {
  await refuses(imageOf(singleOf(layers), [], [config]), registry, 'image.not-found');
});

test('of an index the platform’s instance, or everything from the inside out', async () => {
  const amd64 = singleOf(layers.slice(0, 1));
  const arm64 = singleOf(layers.slice(1, 2));
  const inner = indexOf([entryOf(arm64, 'arm64')]);
  const index = indexOf([entryOf(amd64, 'amd64'), descriptorOf(inner.bytes, inner.mediaType)]);
  const image = imageOf(index, [amd64, arm64, inner], [config, ...layers]);
  const names = new Map([
    [amd64.digest, 'amd64'],
    [arm64.digest, 'arm64'],
    [inner.digest, 'inner'],
    [index.digest, 'index'],
  ]);
  const one = sinkOf(registry, names);
  equal(
    (await copyImage(image, one.sink, { platform: { os: 'linux', architecture: 'amd64' } })).digest,
    amd64.digest,
  );
  deepEqual(
    one.log.filter((each) => !each.startsWith('blob')),
    ['manifest amd64'],
  );
  const all = sinkOf(registry, names);
  equal((await copyImage(image, all.sink, { instances: { kind: 'all' } })).digest, index.digest);
  deepEqual(
    all.log.filter((each) => !each.startsWith('blob')),
    ['instance amd64', 'instance arm64', 'instance inner', 'manifest index'],
  );
});

test('a destination whose digest is another one is refused before anything is sent', async () => {
  const manifest = singleOf(layers.slice(0, 1));
  const image = imageOf(manifest, [], [config, ...layers]);
  await refuses(
    image,
    parseImageName(`docker://r.example.com/app@${digestOf(utf8('other'))}`),
    'manifest.digest-mismatch',
  );
  const right = sinkOf(parseImageName(`docker://r.example.com/app@${manifest.digest}`), new Map());
  await copyImage(image, right.sink);
  equal(right.log.length, 3);
});

test('what cannot be copied unchanged is refused', async () => {
  const docker = singleOf(layers.slice(0, 1), [], mediaTypes.dockerManifest);
  await refuses(imageOf(docker, [], [config, ...layers]), parseImageName('oci:/x:y'), 'image.unsupported');
  const schema1 = takeManifest(utf8('{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[]}'));
  await refuses(imageOf(schema1, [], []), registry, 'image.unsupported');
});

test('an index that lies about an instance is refused', async () => {
  const amd64 = singleOf(layers.slice(0, 1));
  const entry = entryOf(amd64, 'amd64');
  for (const lie of [
    { ...entry, size: entry.size + 1 },
    { ...entry, mediaType: mediaTypes.ociIndex },
  ]) {
    await refuses(imageOf(indexOf([lie]), [amd64], [config, ...layers]), registry, 'manifest.malformed', {
      instances: { kind: 'all' },
    });
  }
});

test('indexes nested without end are refused', async () => {
  const manifests = [singleOf(layers.slice(0, 1))];
  for (let n = 0; n < 10; n += 1) {
    const inner = manifests.at(-1);
    ok(inner !== undefined);
    manifests.push(indexOf([descriptorOf(inner.bytes, inner.mediaType)]));
  }
  const top = manifests.pop();
  ok(top !== undefined);
  await refuses(imageOf(top, manifests, [config, ...layers]), registry, 'image.too-deep', {
    instances: { kind: 'all' },
  });
});

test('layers that may not be distributed stay where they are', async () => {
  const foreign = descriptorOf(utf8('theirs'), 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip');
  const target = sinkOf(registry, new Map());
  await copyImage(imageOf(singleOf(layers.slice(0, 1), [foreign]), [], [config, ...layers]), target.sink);
  equal(target.log.length, 3);
});

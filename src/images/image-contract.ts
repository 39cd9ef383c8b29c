/** What every transport must do, reading and writing. Each adapter's test calls it. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { type Manifest, takeManifest } from '../base/manifest.ts';
import type { Image, ImageSink } from './image.ts';

/** A place for one image, nothing in it yet. `image` and `sink` open it anew each time. */
export type ContractPlace = {
  image(): Promise<Image>;
  sink(): Promise<ImageSink>;
  dispose(): Promise<void>;
};

function isNotFound(error: unknown): boolean {
  return isBullaError(error, 'image.not-found');
}

export function streamOf(...chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const each of chunks) controller.enqueue(each);
      controller.close();
    },
  });
}

export async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const each of stream) chunks.push(each);
  return new Uint8Array(Buffer.concat(chunks));
}

export function descriptorOf(bytes: Uint8Array, mediaType: string): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

export type SampleImage = {
  readonly blobs: readonly (readonly [Descriptor, Uint8Array])[];
  readonly manifest: Manifest;
};

/** An image of a config and one layer; another text gives another image. */
export function sampleImage(text: string): SampleImage {
  const config = utf8(JSON.stringify({ os: 'linux', architecture: 'amd64', text }));
  const layer = new Uint8Array(700_000).fill(text.length);
  const blobs = [
    [descriptorOf(config, mediaTypes.ociConfig), config],
    [descriptorOf(layer, mediaTypes.ociLayer), layer],
  ] as const;
  const value = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: blobs[0][0],
    layers: [blobs[1][0]],
  };
  return { blobs, manifest: takeManifest(utf8(JSON.stringify(value))) };
}

export async function putSample(sink: ImageSink, { blobs, manifest }: SampleImage): Promise<void> {
  for (const [descriptor, bytes] of blobs) await sink.putBlob(descriptor, streamOf(bytes));
  await sink.putManifest(manifest);
}

type Contract = (rule: string, check: (place: ContractPlace) => Promise<void>) => void;

/** Where a transport can do less than others. */
export type ContractTraits = {
  /** What it can keep byte for byte. Default: `sampleImage`. */
  readonly sample?: (text: string) => SampleImage;
  /** `refused`: what is there is never replaced. Default: `replaced`. */
  readonly again?: 'replaced' | 'refused';
  /** False: it refuses lists. Default: true. */
  readonly indexes?: boolean;
};

export function testImageContract(
  what: string,
  open: () => Promise<ContractPlace>,
  traits: ContractTraits = {},
): void {
  const sample = traits.sample ?? sampleImage;
  const contract: Contract = (rule, check) => {
    test(`${what}: ${rule}`, async () => {
      const place = await open();
      try {
        await check(place);
      } finally {
        await place.dispose();
      }
    });
  };
  contractOfContent(contract, sample);
  contractOfRewriting(contract, sample, traits.again ?? 'replaced');
  contractOfBadBlobs(contract);
  if (traits.indexes === false) contractOfNoIndexes(contract, sample);
  else contractOfIndexes(contract);
}

function contractOfContent(contract: Contract, sampleImage: (text: string) => SampleImage): void {
  contract('what was written is read back, byte for byte', async (place) => {
    const sample = sampleImage('first');
    await using sink = await place.sink();
    await putSample(sink, sample);
    await using image = await place.image();
    deepEqual(await image.manifest(), sample.manifest);
    deepEqual(await image.manifest(sample.manifest.digest), sample.manifest);
    for (const [descriptor, bytes] of sample.blobs) {
      deepEqual(await bytesOf(await image.blob(descriptor)), bytes);
    }
  });

  contract('a blob is there once it was put, and not before', async (place) => {
    const [blob] = sampleImage('first').blobs;
    if (blob === undefined) throw new Error('a sample has blobs');
    await using sink = await place.sink();
    equal(await sink.hasBlob(blob[0]), false);
    await sink.putBlob(blob[0], streamOf(blob[1]));
    equal(await sink.hasBlob(blob[0]), true);
  });

  contract('what is not there is not found', async (place) => {
    await rejects(place.image(), isNotFound);
    await using sink = await place.sink();
    await putSample(sink, sampleImage('first'));
    await using image = await place.image();
    const missing = descriptorOf(utf8('missing'), mediaTypes.ociLayer);
    await rejects(image.manifest(missing.digest), isNotFound);
    await rejects(async () => bytesOf(await image.blob(missing)), isNotFound);
  });
}

async function write(place: ContractPlace, sample: SampleImage): Promise<void> {
  await using sink = await place.sink();
  await putSample(sink, sample);
}

function contractOfRewriting(
  contract: Contract,
  sampleImage: (text: string) => SampleImage,
  again: 'replaced' | 'refused',
): void {
  const second = sampleImage('another');
  contract(`written again, what the name means is ${again}`, async (place) => {
    await write(place, sampleImage('first'));
    if (again === 'replaced') await write(place, second);
    else await rejects(write(place, second), (error: unknown) => isBullaError(error, 'image.occupied'));
    await using image = await place.image();
    const { manifest } = again === 'replaced' ? second : sampleImage('first');
    equal((await image.manifest()).digest, manifest.digest);
  });
}

function isUnsupported(error: unknown): boolean {
  return isBullaError(error, 'image.unsupported');
}

function contractOfNoIndexes(contract: Contract, sampleImage: (text: string) => SampleImage): void {
  contract('a list and its instances are refused', async (place) => {
    const { manifest } = sampleImage('one');
    const manifests = [descriptorOf(manifest.bytes, manifest.mediaType)];
    const value = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
    await using sink = await place.sink();
    await rejects(sink.putManifest(manifest, { instance: true }), isUnsupported);
    await rejects(sink.putManifest(takeManifest(utf8(JSON.stringify(value)))), isUnsupported);
    await rejects(place.image(), isNotFound);
  });
}

function contractOfBadBlobs(contract: Contract): void {
  const bytes = utf8('the very bytes');
  const good = descriptorOf(bytes, mediaTypes.ociLayer);
  const wrong: readonly (readonly [string, Descriptor])[] = [
    ['another digest', { ...good, digest: digestOf(utf8('others')) }],
    ['fewer bytes', { ...good, size: bytes.length - 1 }],
    ['more bytes', { ...good, size: bytes.length + 1 }],
  ];
  for (const [why, descriptor] of wrong) {
    contract(`a blob with ${why} than announced is not kept`, async (place) => {
      await using sink = await place.sink();
      await rejects(sink.putBlob(descriptor, streamOf(bytes)));
      equal(await sink.hasBlob(descriptor), false);
    });
  }

  contract('a blob whose source fails is not kept', async (place) => {
    await using sink = await place.sink();
    const failing = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(bytes.subarray(0, 3));
        controller.error(new Error('the source broke'));
      },
    });
    await rejects(sink.putBlob(good, failing));
    equal(await sink.hasBlob(good), false);
  });
}

function contractOfIndexes(contract: Contract): void {
  contract('an index and its instances', async (place) => {
    const instances = [sampleImage('one'), sampleImage('three')];
    const manifests = instances.map(({ manifest }) => descriptorOf(manifest.bytes, mediaTypes.ociManifest));
    const value = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
    const index = takeManifest(utf8(JSON.stringify(value)));
    await using sink = await place.sink();
    for (const { blobs, manifest } of instances) {
      for (const [descriptor, bytes] of blobs) await sink.putBlob(descriptor, streamOf(bytes));
      await sink.putManifest(manifest, { instance: true });
    }
    await sink.putManifest(index, { instance: false });
    await using image = await place.image();
    deepEqual(await image.manifest(), index);
    for (const { manifest } of instances) deepEqual(await image.manifest(manifest.digest), manifest);
  });
}

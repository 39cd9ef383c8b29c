import { deepEqual, equal, rejects } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import { utf8 } from '../../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../../base/descriptor.ts';
import { type Digest, digestOf } from '../../base/digest.ts';
import { BullaError, type ErrorCode, isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { type Manifest, parseManifest, takeManifest } from '../../base/manifest.ts';
import type { Image } from '../../images/image.ts';
import { checkedStream } from '../../images/blob-file.ts';
import { bytesOf, descriptorOf } from '../../images/image-contract.ts';
import { type Packing, withLayers } from './packing.ts';
import { planRepacking, repack } from './repack.ts';

const tars = ['one', 'two', 'three'].map((each) => utf8(each.repeat(50_000)));
const [gzipType, zstdType] = [mediaTypes.ociLayerGzip, `${mediaTypes.ociLayer}+zstd`];

type Sample = { readonly image: Image; readonly manifest: Manifest };

/** @param served what the source gives in place of a blob, whose digest it says is another */
function sampleOf(
  layers: readonly (readonly [Uint8Array, string])[],
  diffIds: readonly Digest[],
  served: ReadonlyMap<Digest, Uint8Array> = new Map(),
  configType: string = mediaTypes.ociConfig,
): Sample {
  const config = utf8(JSON.stringify({ os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } }));
  const blobs = new Map([config, ...layers.map(([bytes]) => bytes)].map((each) => [digestOf(each), each]));
  const manifest = takeManifest(
    utf8(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: descriptorOf(config, configType),
        layers: layers.map(([bytes, type], index) => ({
          ...descriptorOf(bytes, type),
          annotations: { n: `${index}`, 'io.github.containers.zstd-chunked.manifest-checksum': 'x' },
        })),
        annotations: { kept: 'yes' },
      }),
    ),
  );
  const image: Image = {
    name: { transport: 'oci', path: '/source' },
    physical: undefined,
    manifest: async () => manifest,
    blob: async (descriptor) => {
      const bytes = served.get(descriptor.digest) ?? blobs.get(descriptor.digest);
      if (bytes === undefined) throw new BullaError('image.not-found', 'no such blob');
      const pieces = [bytes, new Uint8Array()];
      const read = async (): Promise<Uint8Array> => pieces.shift() ?? new Uint8Array();
      return checkedStream({ read, close: async () => undefined }, descriptor, 'the source');
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  return { image, manifest };
}

const mixed: Sample = sampleOf(
  [
    [tars[0] ?? utf8(''), mediaTypes.ociLayer],
    [gzipSync(tars[1] ?? ''), gzipType],
    [zstdCompressSync(tars[2] ?? ''), zstdType],
  ],
  tars.map((each) => digestOf(each)),
);

async function repackAll(
  { image, manifest }: Sample,
  packing: Packing,
): Promise<{ readonly layers: readonly Descriptor[]; readonly contents: readonly Uint8Array[] }> {
  const plan = await planRepacking(image, [manifest], packing);
  await using repacked = await repack(image, plan, {});
  const parsed = parseManifest(withLayers(manifest, repacked.layers));
  if (parsed.kind !== 'image') throw new Error('no image');
  const contents = await Promise.all(
    parsed.layers.map(async (each) => bytesOf(await repacked.source.blob(each))),
  );
  return { layers: parsed.layers, contents };
}

function unpackedBy(type: string, bytes: Uint8Array): Uint8Array {
  if (type === gzipType) return new Uint8Array(gunzipSync(bytes));
  return type === zstdType ? new Uint8Array(zstdDecompressSync(bytes)) : bytes;
}

const cases: readonly (readonly [Packing, readonly string[], readonly number[]])[] = [
  [{ kind: 'plain' }, [mediaTypes.ociLayer, mediaTypes.ociLayer, mediaTypes.ociLayer], [1, 2]],
  [{ kind: 'packed' }, [gzipType, gzipType, zstdType], [0]],
  [{ kind: 'packed', by: 'gzip' }, [gzipType, gzipType, gzipType], [0, 2]],
  [{ kind: 'packed', by: 'zstd', level: 19 }, [zstdType, zstdType, zstdType], [0, 1]],
];
for (const [packing, types, changed] of cases) {
  test(`${JSON.stringify(packing)}: layers are what they were, packed otherwise; others keep their bytes`, async () => {
    const { layers, contents } = await repackAll(mixed, packing);
    deepEqual(
      layers.map(({ mediaType }) => mediaType),
      types,
    );
    deepEqual(
      contents.map((each, index) => digestOf(unpackedBy(types[index] ?? '', each))),
      tars.map((each) => digestOf(each)),
    );
    const before = parseManifest(mixed.manifest);
    if (before.kind !== 'image') throw new Error('no image');
    deepEqual(
      [0, 1, 2].filter((n) => layers[n]?.digest !== before.layers[n]?.digest),
      changed,
    );
    deepEqual(
      layers.map(({ annotations }) => Object.keys(annotations ?? {}).length),
      [0, 1, 2].map((n) => (changed.includes(n) ? 1 : 2)),
      'what is said of bytes goes with them',
    );
  });
}

test('where nothing is to be packed otherwise the manifest is the very same', async () => {
  const sample = sampleOf([[gzipSync(tars[0] ?? ''), gzipType]], [digestOf(tars[0] ?? utf8(''))]);
  deepEqual(await planRepacking(sample.image, [sample.manifest], { kind: 'packed' }), []);
  equal(withLayers(sample.manifest, new Map()), sample.manifest);
});

test('the first bytes tell how a layer is packed, whatever the manifest says', async () => {
  const sample = sampleOf([[tars[0] ?? utf8(''), gzipType]], [digestOf(tars[0] ?? utf8(''))]);
  const { layers, contents } = await repackAll(sample, { kind: 'packed', by: 'gzip' });
  equal(layers[0]?.mediaType, gzipType);
  deepEqual(new Uint8Array(gunzipSync(contents[0] ?? utf8(''))), tars[0]);
});

test('an artifact’s layers and attestations are left alone', async () => {
  const tar = tars[0] ?? utf8('');
  const artifact = sampleOf([[tar, mediaTypes.ociLayer]], [digestOf(tar)], new Map(), 'application/x.config');
  deepEqual(await planRepacking(artifact.image, [artifact.manifest], { kind: 'packed' }), []);
  const attestation = sampleOf([[tar, 'application/vnd.in-toto+json']], [digestOf(tar)]);
  deepEqual(await planRepacking(attestation.image, [attestation.manifest], { kind: 'packed' }), []);
});

async function refuses(sample: Sample, code: ErrorCode, packing: Packing): Promise<void> {
  await rejects(repackAll(sample, packing), (error: unknown) => {
    equal(isBullaError(error) ? error.code : error, code);
    return true;
  });
}

const plain: Packing = { kind: 'plain' };
const tar = tars[0] ?? utf8('');

test('a layer that is not its own, or does not unpack to what the configuration says, is refused', async () => {
  const packed = gzipSync(tar);
  const other = new Map([[digestOf(packed), new Uint8Array(gzipSync(tar, { level: 1 }))]]);
  await refuses(sampleOf([[packed, gzipType]], [digestOf(tar)], other), 'blob.digest-mismatch', plain);
  const short = new Map([[digestOf(packed), packed.subarray(0, -1)]]);
  await refuses(sampleOf([[packed, gzipType]], [digestOf(tar)], short), 'blob.digest-mismatch', plain);
  await refuses(sampleOf([[packed, gzipType]], [digestOf(utf8('x'))]), 'blob.digest-mismatch', plain);
});

test('a configuration that names no layers, or others, is refused', async () => {
  await refuses(sampleOf([[gzipSync(tar), gzipType]], []), 'image.malformed', plain);
  const two = [digestOf(tar), digestOf(tar)];
  await refuses(sampleOf([[gzipSync(tar), gzipType]], two), 'image.malformed', plain);
});

test('a layer that is cut off, or packed by what nobody here unpacks, is refused', async () => {
  const cut = gzipSync(tar).subarray(0, -20);
  await refuses(sampleOf([[cut, gzipType]], [digestOf(tar)]), 'image.malformed', plain);
  const xz = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 1, 2, 3]);
  await refuses(sampleOf([[xz, gzipType]], [digestOf(tar)]), 'image.unsupported', plain);
});

test('a bomb is refused once it is seen to be one', async () => {
  const member = gzipSync(Buffer.alloc(16_777_216));
  const bomb = Buffer.concat(Array.from({ length: limits.unpackedFreely / 16_777_216 + 1 }, () => member));
  const hash = createHash('sha256');
  for (let n = 0; n <= limits.unpackedFreely / 16_777_216; n += 1) hash.update(Buffer.alloc(16_777_216));
  const diffId = `sha256:${hash.digest('hex')}` as Digest;
  await refuses(sampleOf([[bomb, gzipType]], [diffId]), 'image.too-large', plain);
});

test('many layers that are each in bounds are bounded together', async () => {
  const { image, manifest } = mixed;
  const plan = await planRepacking(image, [manifest], plain);
  const size = plan.length * 250_000;
  await using whole = await repack(image, plan, {}, size);
  equal(whole.layers.size, 2);
  await rejects(repack(image, plan, {}, 300_000), (error: unknown) => isBullaError(error, 'image.too-large'));
});

/**
 * Layers packed anew on their way: read and checked against their digest, unpacked and checked against what the image's
 * configuration says of them, packed into a private file, and served from there under their new digest.
 */
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';

import type { Descriptor } from '../../base/descriptor.ts';
import { algorithmOf, type Digest, parseDigest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { ImageManifest, Manifest } from '../../base/manifest.ts';
import { crypto } from '../../base/node.ts';
import { type ByteSource, checkedStream, feedSource, sourceAt } from '../../images/blob-file.ts';
import { readDiffIds } from '../../images/docker-archive.ts';
import type { Image } from '../../images/image.ts';
import {
  type Compression,
  compressionIn,
  magicBytes,
  openScratch,
  packed,
  unpacked,
  writeAll,
} from '../../images/unpack.ts';
import { fileError } from '../../io/files.ts';
import { type BlobTold, counter, feedOf, streamOf } from './blobs.ts';
import { containerImages, isPackable, type Packing, packingFor, type Repacked } from './packing.ts';
import { inParallel } from '../in-parallel.ts';

/** A layer that is not packed as it is to be. */
export type Repacking = {
  readonly layer: Descriptor;
  /** What it unpacks to, by the configuration. */
  readonly diffId: Digest;
  readonly from: Compression | undefined;
  readonly to: Compression | undefined;
  readonly level?: number;
};

const looksAtOnce = 6;
/** Packing keeps a processor busy; more of them at once would only take more memory. */
const packsAtOnce = 2;

/**
 * Looks which layers are to be packed otherwise. Their first bytes tell how they are packed now: manifests of archives say what is
 * not so. An image whose configuration does not name its layers is left alone unless one of them would have to change.
 * @throws BullaError `image.malformed`, `image.unsupported` (bzip2, xz), `blob.digest-mismatch`, `image.not-found`, `registry.*`, `io.*`
 */
export async function planRepacking(
  source: Image,
  manifests: readonly Manifest[],
  packing: Packing,
): Promise<readonly Repacking[]> {
  const plan = new Map<Digest, Repacking>();
  for (const image of containerImages(manifests)) {
    const layers = image.layers.filter((each) => isPackable(each) && !plan.has(each.digest));
    const found = await inParallel(layers, looksAtOnce, async (layer) => {
      const from = compressionIn(await startOf(source, layer), `the layer ${layer.digest}`);
      return { layer, from, to: packingFor(packing, from) };
    });
    const changing = found.filter(({ from, to }) => from !== to);
    if (changing.length === 0) continue;
    const diffIds = await diffIdsOf(source, image);
    for (const each of changing) {
      const diffId = diffIds[image.layers.findIndex(({ digest }) => digest === each.layer.digest)];
      if (diffId === undefined) throw unnamed(image.config);
      const { level } = packing.kind === 'packed' ? packing : {};
      plan.set(each.layer.digest, { ...each, diffId, ...(level !== undefined && { level }) });
    }
  }
  return [...plan.values()];
}

/** What decides only whether the whole is read: the digest is checked then, or when the layer is copied as it is. */
async function startOf(source: Image, layer: Descriptor): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of await source.blob(layer)) {
    parts.push(chunk);
    length += chunk.length;
    if (length >= magicBytes) break;
  }
  return Buffer.concat(parts);
}

async function diffIdsOf(source: Image, { config, layers }: ImageManifest): Promise<readonly Digest[]> {
  if (config.size > limits.configBytes) throw unnamed(config);
  const parts: Uint8Array[] = [];
  for await (const chunk of await source.blob(config)) parts.push(chunk);
  const diffIds = readDiffIds(new Uint8Array(Buffer.concat(parts)));
  if (diffIds === undefined || diffIds.length !== layers.length) throw unnamed(config);
  return diffIds;
}

function unnamed({ digest }: Descriptor): BullaError {
  return new BullaError(
    'image.malformed',
    `the configuration ${digest} does not name the image’s layers, so none is packed anew`,
  );
}

/** The image with its new layers beside the old ones. Disposing lets go of them. */
export interface RepackedImage extends AsyncDisposable {
  readonly source: Image;
  /** By the digest of the old layer. */
  readonly layers: ReadonlyMap<Digest, Repacked>;
}

/**
 * Packs layers anew, into files without a name in TMPDIR.
 * @param mostTogether bytes that all of them may unpack to
 * @throws BullaError `blob.digest-mismatch` (a layer is not what it should be, or does not unpack to it), `image.too-large` (a bomb),
 *   `image.malformed`, `registry.*`, `http.*`, `io.*`
 */
export async function repack(
  source: Image,
  plan: readonly Repacking[],
  told: BlobTold,
  mostTogether: number = limits.unpackedBytes,
): Promise<RepackedImage> {
  await using opened = new AsyncDisposableStack();
  const free: FileHandle[] = [];
  const packedAt = new Map<Digest, Packed>();
  const layers = new Map<Digest, Repacked>();
  const room = boundedTogether(mostTogether);
  const count = counter(told.onProgress);
  count(
    0,
    plan.reduce((sum, { layer }) => sum + layer.size, 0),
  );
  await inParallel(plan, packsAtOnce, async (each) => {
    const file = free.pop() ?? opened.adopt(await openScratch(), (handle) => handle.close());
    const { descriptor, start } = await packInto(file, source, each, {
      read: (bytes) => count(bytes, 0),
      unpacked: room,
    });
    free.push(file);
    const { digest, size } = descriptor;
    packedAt.set(digest, { file, start });
    layers.set(each.layer.digest, { digest, size, packing: each.to });
    told.onItem?.({ kind: 'packed', digest, size, from: each.layer.digest, sent: false });
  });
  const kept = opened.move();
  return {
    source: servedFrom(source, packedAt),
    layers,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Where a blob's bytes begin in a file. */
type Packed = { readonly file: FileHandle; readonly start: number };

/** Told of bytes that were read, and of what they unpack to. */
type Told = { readonly read: (bytes: number) => void; readonly unpacked: (bytes: number) => void };

/** Each layer is bounded by its own size; a thousand of them are bounded together. */
function boundedTogether(most: number): Told['unpacked'] {
  let together = 0;
  return (bytes) => {
    together += bytes;
    if (together > most)
      throw new BullaError('image.too-large', `the layers unpack to more than ${most} bytes together`);
  };
}

async function packInto(
  file: FileHandle,
  source: Image,
  { layer, diffId, from, to, level }: Repacking,
  { read, unpacked: take }: Told,
): Promise<{ readonly descriptor: Pick<Descriptor, 'digest' | 'size'>; readonly start: number }> {
  const start = (await file.stat()).size;
  const what = `the layer ${layer.digest}`;
  const isWhole = { value: false };
  const content = whole(streamOf(feedOf(source, layer)), isWhole, read);
  const unpackedHash = crypto.createHash(algorithmOf(diffId));
  const loose = from === undefined ? content : unpacked(content, from, layer.size, what);
  const plain = seen(loose, (chunk) => {
    take(chunk.length);
    unpackedHash.update(chunk);
  });
  const hash = crypto.createHash('sha256');
  let size = 0;
  for await (const chunk of to === undefined ? plain : packed(plain, to, level)) {
    hash.update(chunk);
    size += chunk.length;
    await writeAll(file, chunk).catch((error: unknown) => {
      throw fileError(error, tmpdir(), 'write');
    });
  }
  // an unpacker may be done before the layer is, and what comes behind was never looked at
  if (!isWhole.value || `${algorithmOf(diffId)}:${unpackedHash.digest('hex')}` !== diffId) {
    throw new BullaError(
      'blob.digest-mismatch',
      `${what} does not unpack to ${diffId}, which the configuration says`,
    );
  }
  return { descriptor: { digest: parseDigest(`sha256:${hash.digest('hex')}`), size }, start };
}

async function* whole(
  content: AsyncIterable<Uint8Array>,
  isWhole: { value: boolean },
  read: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  yield* seen(content, (chunk) => read(chunk.length));
  isWhole.value = true;
}

async function* seen(
  content: AsyncIterable<Uint8Array>,
  look: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    look(chunk);
    yield chunk;
  }
}

/** The image, with further blobs out of files; they are checked once more as they are read. */
function servedFrom(source: Image, packedAt: ReadonlyMap<Digest, Packed>): Image {
  const open = ({ digest, size }: Descriptor): ByteSource | undefined => {
    const at = packedAt.get(digest);
    return at === undefined ? undefined : sourceAt(at.file, at.start, size);
  };
  return {
    ...source,
    blob: async (each) => {
      const own = open(each);
      return own === undefined ? source.blob(each) : checkedStream(own, each, tmpdir());
    },
    feed: async (each, consume) => {
      const own = open(each);
      await (own === undefined ? feedOf(source, each)(consume) : feedSource(own, each, tmpdir(), consume));
    },
  };
}

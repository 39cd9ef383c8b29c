/** The one way in which image data moves: blobs, then images, then the lists that name them. */
import { type Descriptor, isIndexType, mediaTypes } from '../../base/descriptor.ts';
import type { Digest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import { type ImageManifest, type Manifest, parseManifest } from '../../base/manifest.ts';
import type { Image, ImageSink } from '../../images/image.ts';
import type { BlobMover } from './blobs.ts';
import { inParallel } from '../in-parallel.ts';

/** Indexes within indexes: what builders make is one deep. */
const deepestIndex = 4;
/** Manifests of one image, all platforms and what belongs to them. */
const mostManifests = 2000;
const manifestsAtOnce = 6;

/**
 * Before anything is sent: the name's own digest holds, and the transport takes such manifests.
 * @throws BullaError `manifest.digest-mismatch`, `image.unsupported`
 */
export function checkDestination(manifest: Manifest, name: ImageName): void {
  const wanted = name.transport === 'docker' ? name.reference.digest : undefined;
  if (wanted !== undefined && wanted !== manifest.digest) {
    throw new BullaError(
      'manifest.digest-mismatch',
      `${formatImageName(name)} names another manifest than ${manifest.digest}`,
      { hint: 'leave the digest out of the destination, or give --all where it is that of the whole index' },
    );
  }
  checkType(manifest, name);
}

/** @throws BullaError `image.unsupported` */
export function checkType(manifest: Manifest, name: ImageName): void {
  const oci: readonly string[] = [mediaTypes.ociManifest, mediaTypes.ociIndex];
  if (['oci', 'oci-archive'].includes(name.transport) && !oci.includes(manifest.mediaType)) {
    throw new BullaError(
      'image.unsupported',
      `an OCI layout holds OCI manifests, not ${manifest.mediaType}`,
      {
        hint: 'use dir: to keep the image as it is, or --format oci, which changes the digest',
      },
    );
  }
}

/** What a manifest stands for, from the inside out, itself left out. */
export type Parts = {
  /** Images, each once. */
  readonly images: readonly Manifest[];
  /** Indexes within the index, the innermost first. */
  readonly indexes: readonly Manifest[];
  readonly blobs: readonly Descriptor[];
};

/**
 * Reads all manifests below one, whose digests and sizes are as the index says.
 * @param wanted which entries of the top index count. Default: all
 * @throws BullaError `image.too-deep`, `image.unsupported` (Docker schema 1, too many manifests), `manifest.*`, `image.not-found`
 */
export async function readParts(
  source: Image,
  top: Manifest,
  wanted: (entry: Descriptor) => boolean = () => true,
): Promise<Parts> {
  const found: Found = { images: new Map(), indexes: new Map(), blobs: new Map() };
  await walk({ source, found, wanted }, top, 0);
  const without = (manifests: ReadonlyMap<Digest, Manifest>): readonly Manifest[] =>
    [...manifests.values()].filter(({ digest }) => digest !== top.digest);
  return {
    images: without(found.images),
    indexes: without(found.indexes),
    blobs: [...found.blobs.values()],
  };
}

type Found = {
  readonly images: Map<Digest, Manifest>;
  readonly indexes: Map<Digest, Manifest>;
  readonly blobs: Map<Digest, Descriptor>;
};
type Walk = {
  readonly source: Image;
  readonly found: Found;
  readonly wanted: (entry: Descriptor) => boolean;
};

async function walk(way: Walk, manifest: Manifest, depth: number): Promise<void> {
  const { source, found, wanted } = way;
  const parsed = parseManifest(manifest);
  if (parsed.kind === 'schema1') {
    throw new BullaError('image.unsupported', 'Docker schema 1 images are too old to be copied');
  }
  if (found.images.size + found.indexes.size >= mostManifests) {
    throw new BullaError('image.unsupported', `the image has more than ${mostManifests} manifests`);
  }
  if (parsed.kind === 'image') {
    found.images.set(manifest.digest, manifest);
    for (const blob of blobsOf(parsed)) addBlob(found, blob);
    return;
  }
  if (depth >= deepestIndex) {
    throw new BullaError('image.too-deep', `its indexes are nested more than ${deepestIndex} deep`);
  }
  const entries = depth === 0 ? parsed.manifests.filter(wanted) : parsed.manifests;
  const fresh = [...new Map(entries.map((each) => [each.digest, each])).values()];
  const read = await inParallel(fresh, manifestsAtOnce, async (entry) => {
    const instance = await source.manifest(entry.digest);
    checkInstance(instance, entry);
    return instance;
  });
  for (const instance of read) {
    if (!found.images.has(instance.digest) && !found.indexes.has(instance.digest))
      await walk(way, instance, depth + 1);
  }
  found.indexes.set(manifest.digest, manifest);
}

function addBlob({ blobs }: Found, blob: Descriptor): void {
  const known = blobs.get(blob.digest);
  if (known !== undefined && known.size !== blob.size) {
    throw new BullaError('manifest.malformed', `the manifests give ${blob.digest} two sizes`);
  }
  blobs.set(blob.digest, blob);
}

function checkInstance(instance: Manifest, descriptor: Descriptor): void {
  const isSameKind = isIndexType(instance.mediaType) === isIndexType(descriptor.mediaType);
  if (isSameKind && instance.bytes.length === descriptor.size) return;
  throw new BullaError(
    'manifest.malformed',
    `the index does not describe its manifest ${descriptor.digest} rightly`,
  );
}

/** Layers that may not be distributed stay where they are, as the peers leave them. */
export function blobsOf(manifest: ImageManifest): readonly Descriptor[] {
  const layers = manifest.layers.filter(({ mediaType }) => !/nondistributable|\.foreign\./.test(mediaType));
  return [...layers, manifest.config];
}

/** Brings everything below a manifest to the destination: blobs, images, then the indexes that name them. */
export async function moveParts(mover: BlobMover, sink: ImageSink, parts: Parts): Promise<void> {
  for (const each of [...parts.images, ...parts.indexes]) checkType(each, sink.name);
  await mover.move(parts.blobs);
  await inParallel(parts.images, manifestsAtOnce, (each) => putManifest(mover, sink, each, true));
  for (const each of parts.indexes) await putManifest(mover, sink, each, true);
}

/** @param instance under its digest alone; else under the sink's name too */
export async function putManifest(
  { report }: Pick<BlobMover, 'report'>,
  sink: ImageSink,
  manifest: Manifest,
  instance: boolean,
): Promise<void> {
  const isThere = (await sink.hasManifest?.(manifest, { instance })) === true;
  if (!isThere) await sink.putManifest(manifest, { instance });
  report({ kind: 'manifest', digest: manifest.digest, size: manifest.bytes.length, sent: !isThere });
}

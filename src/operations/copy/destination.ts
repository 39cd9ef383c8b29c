/** Where a copy goes: the sink, the stores beside it, and the names that it gets last of all. */
import type { Digest } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import type { Manifest } from '../../base/manifest.ts';
import type { Reference } from '../../base/reference.ts';
import type { DockerImage, DockerSink } from '../../images/docker.ts';
import type { Image, ImageSink } from '../../images/image.ts';
import { openSink } from '../../images/open.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import { type BlobMover, openBlobMover } from './blobs.ts';
import type { Changed } from './change.ts';
import { moveParts, type Parts, putManifest } from './image.ts';
import { inParallel } from '../in-parallel.ts';
import { putReferrers } from './referrers.ts';
import type { World } from '../world.ts';

export type Destination = AsyncDisposable & {
  readonly name: ImageName;
  readonly sink: ImageSink;
  /** Undefined where it is no registry. */
  readonly registry: DockerSink['registry'] | undefined;
  /**
   * What the name meant when the copy began: asked for while the source is read. Undefined: nothing, or it could not be told.
   */
  readonly meant: Promise<Digest | undefined>;
  /** The place as an image, for its stores. */
  readonly image: Image;
  /** @throws BullaError `registries-d.*`, `store.*`, `registry.*` */
  stores(): Promise<LocatedStores>;
};

/** @throws BullaError `image.unsupported`, `image.occupied`, `registry.*` */
export async function openDestination(name: ImageName, world: World): Promise<Destination> {
  const sink = await openSink(name, world);
  const image = imageOf(sink);
  let located: Promise<LocatedStores> | undefined;
  return {
    name,
    sink,
    image,
    registry: isDocker(sink) ? sink.registry : undefined,
    meant: isDocker(sink) ? meaningOf(sink) : Promise.resolve(undefined),
    stores: () => (located ??= world.stores(image)),
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  };
}

/** Why it cannot be told shows where something is written. */
async function meaningOf({ registry, source: { reference } }: DockerSink): Promise<Digest | undefined> {
  try {
    return (await registry.headManifest(reference.path, wantedOf(reference)))?.digest;
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}

function isDocker(sink: ImageSink): sink is DockerSink {
  return 'send' in sink;
}

function nothing(): never {
  throw new BullaError('internal.bug', 'a destination is not read');
}

/** Nothing is read by it but signatures, whose stores go by its name. */
function imageOf(sink: ImageSink): Image {
  const base = {
    name: sink.name,
    blob: nothing,
    manifest: nothing,
    [Symbol.asyncDispose]: async () => undefined,
  };
  if (!isDocker(sink)) return { ...base, physical: undefined };
  const { registry, source } = sink;
  const image: DockerImage = {
    ...base,
    physical: source.reference,
    source,
    registry,
    isAsked: false,
    feed: nothing,
  };
  return image;
}

/**
 * Brings everything to the destination under its digests; its name means what it meant before. A folder's own manifest is
 * its name, and comes last here.
 * @param byDigest the top manifest too, for what is to hang on it
 */
export async function deliver(
  { source, top, parts, carried }: Changed,
  destination: Destination,
  told: Parameters<typeof openBlobMover>[2] & { readonly byDigest: boolean },
): Promise<BlobMover> {
  const { sink, registry } = destination;
  const mover = openBlobMover(source, sink, told);
  const isThere =
    parts.images.length === 0 ? await hasManifest(top, destination) : await hasList(top, parts, destination);
  if (!isThere) await moveParts(mover, sink, parts);
  else mover.skip(parts.blobs);
  // an archive is written with its name
  if (destination.name.transport === 'oci-archive') await putReferrers(carried, mover, sink);
  if (registry === undefined) await putManifest(mover, sink, top, false);
  else if (told.byDigest && !isThere) await putManifest(mover, sink, top, true);
  return mover;
}

/** A list may be there without some of its images; who asks for it again by its name has most likely all of it. */
async function hasList(top: Manifest, parts: Parts, destination: Destination): Promise<boolean> {
  if ((await destination.meant) !== top.digest) return false;
  const found = await inParallel([...parts.images, ...parts.indexes], manifestsAtOnce, (each) =>
    hasManifest(each, destination),
  );
  return found.every(Boolean);
}

const manifestsAtOnce = 8;

/** A registry takes a manifest only with all that it names. */
async function hasManifest({ digest }: Manifest, { registry, name, meant }: Destination): Promise<boolean> {
  if (registry === undefined) return false;
  if ((await meant) === digest) return true;
  return (await registry.headManifest(pathOf(name), digest)) !== undefined;
}

function pathOf(name: ImageName): string {
  if (name.transport !== 'docker') throw new BullaError('internal.bug', 'only a registry has repositories');
  return name.reference.path;
}

/**
 * Gives the copy its names and looks whether they mean it.
 * @throws BullaError `manifest.digest-mismatch` (the registry says that a name means something else), `registry.*`
 */
export async function nameCopy(
  top: Manifest,
  { sink, registry, name, meant }: Destination,
  { mover, tags }: { readonly mover: BlobMover; readonly tags: readonly string[] },
): Promise<void> {
  if (registry === undefined || name.transport !== 'docker') return;
  const { path } = name.reference;
  for (const tag of tags) await registry.putManifest(path, tag, top);
  // a second copy of the same writes nothing
  const isNamed = (await meant) === top.digest;
  if (!isNamed) await putManifest(mover, sink, top, false);
  for (const each of isNamed ? tags : [...tags, wantedOf(name.reference)]) {
    const found = await registry.headManifest(path, each);
    const digest =
      found === undefined ? undefined : (found.digest ?? (await registry.manifest(path, each)).digest);
    if (digest === top.digest) continue;
    throw new BullaError(
      'manifest.digest-mismatch',
      `${formatImageName(name)}: the registry took ${top.digest}, and ${each} is ${digest ?? 'not there'} now`,
      { hint: 'somebody else may have written the tag at the same time; copy again' },
    );
  }
}

function wantedOf({ digest, tag }: Reference): string {
  return digest ?? tag ?? 'latest';
}

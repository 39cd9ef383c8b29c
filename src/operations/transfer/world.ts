/**
 * The images of a transfer bundle as images in their registries: same names, same places for signatures, read from the file. What
 * judges and copies images judges and copies these, and is told nothing else.
 */
import type { Descriptor } from '../../base/descriptor.ts';
import { type Digest, tryParseDigest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import type { ImageName } from '../../base/image-name.ts';
import type { Manifest } from '../../base/manifest.ts';
import { formatReference, type Reference, repositoryOf } from '../../base/reference.ts';
import type { Image } from '../../images/image.ts';
import type { LayoutFiles } from '../../images/layout-files.ts';
import { readLayoutManifest } from '../../images/oci-layout.ts';
import { openAttachments, openOldAttestations } from '../../stores/attachments.ts';
import { listLayout } from '../../stores/layout-read.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import { openReferrers, type ReferrerRegistry } from '../../stores/referrers.ts';
import type { SignatureStore } from '../../stores/store.ts';
import { referrerEntry } from '../copy/carried.ts';
import { inParallel } from '../in-parallel.ts';
import { encodeLayoutIndex, referenceText, type TransferImage } from './format.ts';
import type { Transfer } from './open.ts';
import type { World } from '../world.ts';

/** The name of an image of a bundle: the one that it had in its registry. */
export function transferName({ reference }: TransferImage): ImageName {
  return { transport: 'docker', reference };
}

/** A world in which the bundle's images are where they were. Other images are there as in the world given. */
export function transferWorld({ index, files }: Transfer, world: World): World {
  const images = new Map(index.images.map((each) => [referenceText(each.reference), each]));
  const found = ({ name }: Pick<Image, 'name'>): TransferImage | undefined =>
    name.transport === 'docker' ? images.get(referenceText(name.reference)) : undefined;
  return {
    ...world,
    known: (name) => {
      const image = found({ name });
      return image === undefined ? undefined : transferImage(image, files);
    },
    stores: async (image) => {
      const known = found(image);
      return known === undefined ? world.stores(image) : storesIn(known, files);
    },
  };
}

/** The parts of a registry that hold what belongs to an image. */
type PackedRegistry = ReferrerRegistry;

type PackedImage = Image & { readonly physical: Reference; readonly registry: PackedRegistry };

function transferImage(image: TransferImage, files: LayoutFiles): PackedImage {
  let top: Promise<Manifest> | undefined;
  const { reference, mediaType, digest, size } = image;
  return {
    name: transferName(image),
    physical: reference,
    registry: registryIn(image, files),
    manifest: (wanted) =>
      wanted === undefined || wanted === digest
        ? (top ??= readLayoutManifest(files, digest, { mediaType, digest, size }))
        : readLayoutManifest(files, wanted),
    blob: (descriptor) => files.blob(descriptor),
    feed: (descriptor, consume) => files.feed(descriptor, consume),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** A thousand of the largest manifests are not held together. */
const readAtOnce = 8;

function registryIn({ reference, attachments }: TransferImage, files: LayoutFiles): PackedRegistry {
  const manifest = async (_path: string, wanted: string): Promise<Manifest> => {
    const tagged = attachments.find(({ tag }) => tag === wanted);
    const digest = tagged?.digest ?? tryParseDigest(wanted);
    if (digest !== undefined) return readLayoutManifest(files, digest, tagged);
    throw new BullaError('image.not-found', `${files.path} has no ${repositoryOf(reference)}:${wanted}`);
  };
  const referring = (of: Digest): Promise<readonly Descriptor[]> =>
    inParallel(
      attachments.filter((each) => each.of === of && each.tag === undefined),
      readAtOnce,
      async (each) => referrerEntry(await readLayoutManifest(files, each.digest, each)),
    );
  return {
    domain: reference.domain,
    manifest,
    taggedManifest: async (path, wanted) => ({ manifest: await manifest(path, wanted) }),
    headManifest: async (_path, wanted) => attachments.find(({ tag }) => tag === wanted),
    blob: (_path, descriptor) => files.blob(descriptor),
    hasBlob: async () => false,
    referrers: async (_path, of) => ({ source: 'api', manifests: await referring(of) }),
    referrersByApi: (_path, of) => referring(of),
    putBlob: readOnly,
    putManifest: readOnly,
  };
}

async function readOnly(): Promise<never> {
  throw new BullaError('store.read-only', 'a transfer bundle is not written to');
}

/** All of them are looked at whatever registries.d says: what came over is there for being read. */
function storesIn(image: TransferImage, files: LayoutFiles): LocatedStores {
  const registry = registryIn(image, files);
  const attachments = inFile(openAttachments(registry), files);
  return {
    readers: [packedSignatures(image, files), attachments],
    attachments,
    referrers: inFile(openReferrers(registry), files),
    oldAttestations: inFile(openOldAttestations(registry), files),
    writerFor: () => {
      throw new BullaError('store.read-only', 'a transfer bundle is not written to');
    },
  };
}

/** Where it was found is the file, not the registry that it came from. */
function inFile(store: SignatureStore, { path }: LayoutFiles): SignatureStore {
  return {
    ...store,
    async *list(image, hint) {
      for await (const each of store.list(image, hint))
        yield { ...each, location: `${path}: ${each.location}` };
    },
  };
}

/** What lookasides and X-R-S-S held, of this image alone: another one with the same digest may have others. */
function packedSignatures(image: TransferImage, files: LayoutFiles): SignatureStore {
  const where = `${files.path}: ${formatReference(image.reference)}`;
  return {
    description: where,
    async *list({ digest }) {
      // of one manifest alone: the check saw to it that they are what `of` says
      const signatures = image.signatures.filter(({ of }) => of === digest);
      const own = encodeLayoutIndex([{ ...image, attachments: [], signatures }]);
      const read: LayoutFiles['read'] = async (name, limit) =>
        name === 'index.json' ? own : files.read(name, limit);
      yield* listLayout({ ...files, read }, where, digest);
    },
    add: readOnly,
  };
}

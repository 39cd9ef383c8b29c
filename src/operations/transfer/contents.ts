/** What is to go into a transfer bundle: found at its sources, held by digest, listed before anything is written. */
import { type Descriptor } from '../../base/descriptor.ts';
import { type Digest, digestOf } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import { limits } from '../../base/limits.ts';
import type { Manifest } from '../../base/manifest.ts';
import type { Reference } from '../../base/reference.ts';
import type { Image } from '../../images/image.ts';
import { blobName } from '../../images/layout-files.ts';
import { layoutVersionBytes } from '../../images/oci-layout.ts';
import { openImage } from '../../images/open.ts';
import type { TarEntry } from '../../images/tar-write.ts';
import type { BodyWriter } from '../../io/http.ts';
import { layoutReferrer } from '../../stores/layout-referrer.ts';
import { emptyConfig } from '../../stores/referrers-manifest.ts';
import { digestsOf } from '../copy/attach.ts';
import { feedOf } from '../copy/blobs.ts';
import { type Carried, findCarried, referrerEntry, type Satellite, satelliteTag } from '../copy/carried.ts';
import type { Parts } from '../copy/image.ts';
import { type Chosen, chooseParts, held } from '../copy/selection.ts';
import { packedInstances } from './check.ts';
import {
  compareText,
  encodeLayoutIndex,
  encodeTransferIndex,
  type ManifestEntry,
  placeInOrder,
  referenceText,
  transferFile,
  type TransferAttachment,
  type TransferImage,
  type TransferSignature,
} from './format.ts';
import { openTally } from './tally.ts';
import type { PackedFile } from './trust.ts';
import type { World } from '../world.ts';

/** Which instances of lists are packed: all, those of platforms as `os/architecture[/variant]`, or one, as the image that it is. */
export type PackedInstances =
  | { readonly kind: 'all' | 'system' }
  | { readonly kind: 'platforms'; readonly platforms: readonly string[] };

/** An image as it will be packed; its top manifest is what goes in. */
export type Packing = {
  readonly name: ImageName;
  readonly reference: Reference;
  readonly image: Image;
  readonly chosen: Chosen;
  readonly platforms?: readonly string[];
};

/**
 * Opens an image and reads its manifests, which are held from now on.
 * @throws BullaError `usage.invalid` (it is in no registry), `image.*`, `manifest.*`, `registry.*`
 */
export async function openPacking(
  name: ImageName,
  instances: PackedInstances,
  system: Parameters<typeof chooseParts>[1]['platform'],
  world: World,
): Promise<Packing> {
  if (name.transport !== 'docker')
    throw new BullaError('usage.invalid', `${formatImageName(name)} is in no registry`, {
      hint: 'a transfer bundle takes images by the names they have in registries; push or copy it to one first',
    });
  const source = held(await openImage(name, world, { stores: true }));
  const platforms = instances.kind === 'platforms' ? instances.platforms : undefined;
  const wanted =
    instances.kind === 'system' ? instances : packedInstances({ ...(platforms && { platforms }) });
  const chosen = await chooseParts(source, { instances: wanted, ...(system && { platform: system }) });
  const { top, isList } = chosen;
  const { reference } = name;
  if (reference.digest !== undefined && reference.digest !== top.digest)
    throw new BullaError(
      'usage.invalid',
      `${formatImageName(name)} names the list, of which one image would go`,
      {
        hint: 'give --multi-arch all, or name the image by its own digest',
      },
    );
  const image = {
    ...source,
    manifest: (digest?: Digest) => (digest === undefined ? Promise.resolve(top) : source.manifest(digest)),
  };
  return { name, reference, image, chosen, ...(isList && platforms !== undefined && { platforms }) };
}

/** Blobs and small files by name in the bundle, each once, shared by all images. */
export type Contents = { readonly images: readonly TransferImage[]; readonly entries: readonly TarEntry[] };

/** @param passed is told of bytes of blobs as they pass */
export async function gatherContents(
  packings: readonly Packing[],
  files: readonly PackedFile[],
  world: World,
  passed: (bytes: number) => void,
): Promise<Contents> {
  const shelf = openShelf(passed);
  const images: TransferImage[] = [];
  for (const packing of packings) images.push(await shelve(packing, shelf, world));
  images.sort((a, b) => compareText(referenceText(a.reference), referenceText(b.reference)));
  for (const { name, content } of files) shelf.file(name, content);
  shelf.file('oci-layout', layoutVersionBytes);
  shelf.file('index.json', bounded(encodeLayoutIndex(images)));
  const members = [...shelf.entries.values()]
    .map(({ entry, digest }) => ({ name: entry.name, digest, size: entry.size }))
    .toSorted((a, b) => compareText(a.name, b.name));
  if (members.length > limits.transferMembers) throw tooLarge(`more than ${limits.transferMembers} files`);
  const index = encodeTransferIndex({ images, members });
  if (index.length > limits.transferIndexBytes) throw tooLarge('more than its list may say');
  shelf.file(transferFile, index);
  return { images, entries: [...shelf.entries.values()].map(({ entry }) => entry) };
}

function bounded(index: Uint8Array): Uint8Array {
  if (index.length <= limits.manifestBytes) return index;
  throw tooLarge('more than an index.json may list');
}

function tooLarge(what: string): BullaError {
  return new BullaError('image.too-large', `the transfer bundle would hold ${what}`, {
    hint: 'make several bundles',
  });
}

type Shelf = {
  readonly entries: ReadonlyMap<string, { readonly entry: TarEntry; readonly digest: Digest }>;
  file(name: string, content: Uint8Array): void;
  manifest(manifest: Manifest): void;
  blob(source: Image, blob: Descriptor): void;
};

function openShelf(passed: (bytes: number) => void): Shelf {
  // what would be refused on the far side is not written
  const tally = openTally(tooLarge);
  const entries = new Map<string, { readonly entry: TarEntry; readonly digest: Digest }>();
  const add = (entry: TarEntry, digest: Digest): void => {
    const there = entries.get(entry.name);
    if (there === undefined) entries.set(entry.name, { entry, digest });
    else if (there.entry.size !== entry.size)
      throw new BullaError('manifest.malformed', `the manifests give ${digest} two sizes`);
  };
  const bytes = (name: string, content: Uint8Array, digest: Digest): void =>
    add({ name, size: content.length, content }, digest);
  return {
    entries,
    file: (name, content) => bytes(name, content, digestOf(content)),
    manifest: (manifest) => {
      tally.add([manifest]);
      bytes(blobName(manifest.digest), manifest.bytes, manifest.digest);
    },
    blob: (source, { digest, size, mediaType }) =>
      add(
        {
          name: blobName(digest),
          size,
          content: told(feedOf(source, { digest, size, mediaType }), passed),
        },
        digest,
      ),
  };
}

/** Its size and digest are checked as it passes; a broken connection is taken up where it broke. */
function told(feed: BodyWriter, passed: (bytes: number) => void): BodyWriter {
  return (write) =>
    feed((chunk) => {
      passed(chunk.length);
      return write(chunk);
    });
}

async function shelve(packing: Packing, shelf: Shelf, world: World): Promise<TransferImage> {
  const { image, reference, chosen, platforms } = packing;
  const { top, parts } = chosen;
  const found = await findCarried(
    image,
    digestsOf(top, parts),
    { removeSignatures: false, attachments: true },
    world,
  ).catch((error: unknown) => {
    throw withoutHint(error);
  });
  shelveParts(image, top, parts, shelf);
  for (const each of found.satellites) shelveParts(image, each.manifest, each.parts, shelf);
  const signatures = await Promise.all(found.signatures.map((each) => shelveSignature(each, image, shelf)));
  return {
    reference,
    ...entryOf(top),
    ...(platforms !== undefined && { platforms }),
    signatures: inOrder(signatures),
    attachments: inOrder(found.satellites.map(attachmentOf)),
  };
}

/** All signatures go, so there is no flag that leaves them behind. */
function withoutHint(error: unknown): unknown {
  if (!isBullaError(error)) return error;
  return new BullaError(error.code, error.message, { cause: error });
}

function shelveParts(source: Image, top: Manifest, { images, indexes, blobs }: Parts, shelf: Shelf): void {
  for (const each of [top, ...images, ...indexes]) shelf.manifest(each);
  for (const each of blobs) shelf.blob(source, each);
}

/** As a layout holds it: the same signature of the same image is the same bytes. */
async function shelveSignature(
  { of, signature }: Carried['signatures'][number],
  image: Image,
  shelf: Shelf,
): Promise<TransferSignature> {
  const subject = entryOf(await image.manifest(of));
  const { manifest, layer, content, artifactType } = layoutReferrer(signature, subject);
  shelf.file(blobName(layer.digest), content);
  shelf.file(blobName(digestOf(emptyConfig)), emptyConfig);
  shelf.manifest(manifest);
  return { of, ...entryOf(manifest), artifactType };
}

function attachmentOf(satellite: Satellite): TransferAttachment {
  const { of, manifest, suffix } = satellite;
  const { artifactType } = referrerEntry(manifest);
  return {
    of,
    ...entryOf(manifest),
    ...(suffix === undefined
      ? artifactType !== undefined && { artifactType }
      : { tag: satelliteTag(satellite) }),
  };
}

function entryOf({ mediaType, digest, bytes }: Manifest): ManifestEntry {
  return { mediaType, digest, size: bytes.length };
}

/** Whatever order the registry gave them in. */
function inOrder<T extends TransferAttachment>(entries: readonly T[]): readonly T[] {
  const known = new Map(entries.map((each) => [placeInOrder(each), each]));
  return [...known.values()].toSorted((a, b) => compareText(placeInOrder(a), placeInOrder(b)));
}

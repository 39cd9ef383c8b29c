/** Whether a transfer bundle is whole: every byte as its list says, everything that its images name there, and nothing else. */
import { printable } from '../../base/bytes.ts';
import type { Descriptor, Platform } from '../../base/descriptor.ts';
import { algorithmOf, type Digest, hexOf } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { type Manifest, parseManifest } from '../../base/manifest.ts';
import { formatReference } from '../../base/reference.ts';
import type { Image } from '../../images/image.ts';
import { blobName } from '../../images/layout-files.ts';
import { openImage } from '../../images/open.ts';
import { referrerEntry } from '../copy/carried.ts';
import { type Parts, readParts } from '../copy/image.ts';
import { chooseParts, type CopiedInstances } from '../copy/selection.ts';
import {
  compareText,
  type ManifestEntry,
  placeInOrder,
  referenceText,
  transferFile,
  type TransferAttachment,
  type TransferImage,
} from './format.ts';
import type { Transfer } from './open.ts';
import { openTally, type Tally } from './tally.ts';
import { transferName, transferWorld } from './world.ts';
import type { World } from '../world.ts';

/** Bytes of the file that were looked at. */
export type TransferProgress = { readonly passed: number; readonly total: number };

/**
 * Checks all of a bundle. Afterwards it is what its maker wrote, whoever that was.
 * @throws BullaError `transfer.*`, `manifest.*`, `image.*`
 */
export async function checkTransfer(
  transfer: Transfer,
  world: World,
  tell: (progress: TransferProgress) => void = () => undefined,
): Promise<void> {
  const { members } = transfer.index;
  checkOrder(transfer);
  const total = members.reduce((sum, { size }) => sum + size, 0);
  let passed = 0;
  for (const member of members) {
    await transfer.check(member, (bytes) => {
      passed += bytes;
      tell({ passed, total });
    });
  }
  const named = await namesInImages(transfer, world);
  const lone = members.find(({ name }) => name.startsWith('blobs/') && !named.has(name));
  if (lone !== undefined)
    throw new BullaError('transfer.extra', `${printable(transfer.path)}: nothing in it names ${lone.name}`);
}

/** The names of all blobs that the images consist of. */
async function namesInImages(transfer: Transfer, world: World): Promise<ReadonlySet<string>> {
  const own = transferWorld(transfer, world);
  const { members, images } = transfer.index;
  const sizes = new Map(members.map(({ name, size }) => [name, size]));
  const named = new Set<string>();
  const tally = openTally((what) => new BullaError('image.too-large', `the bundle has ${what}`));
  for (const image of images) {
    await using opened = await openImage(transferName(image), own);
    const found = await closureOf(image, opened, { transfer, sizes, tally });
    for (const digest of found.all) named.add(blobName(digest));
  }
  return named;
}

/** Each text once, in order. */
function isRising(texts: readonly string[]): boolean {
  return texts.every((text, at) => at === 0 || compareText(texts[at - 1] ?? '', text) < 0);
}

function checkOrder({ index: { images, members }, path }: Transfer): void {
  if (
    isRising(images.map(({ reference }) => referenceText(reference))) &&
    isRising(members.map(({ name }) => name)) &&
    images.every(
      (each) =>
        isRising(each.platforms ?? []) &&
        isRising(each.signatures.map(placeInOrder)) &&
        isRising(each.attachments.map(placeInOrder)),
    )
  )
    return;
  throw new BullaError('transfer.malformed', `${printable(path)}: ${transferFile} is not in order`);
}

/** Which instances of a list are in the bundle. */
export function packedInstances({ platforms }: Pick<TransferImage, 'platforms'>): CopiedInstances {
  if (platforms === undefined) return { kind: 'all' };
  return { kind: 'platforms', platforms: platforms.map(platformOf) };
}

/** @throws BullaError `transfer.malformed`: what is printed of it must not be the file's to choose */
export function platformOf(text: string): Platform {
  const [, os, architecture, variant] = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9.]+))?$/.exec(text) ?? [];
  if (os !== undefined && architecture !== undefined)
    return { os, architecture, ...(variant !== undefined && { variant }) };
  throw new BullaError('transfer.malformed', `"${printable(text)}" is no platform`);
}

type Closing = {
  readonly transfer: Transfer;
  /** Of the bundle's members, by name. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly tally: Tally;
};

/** The digest of everything that an image consists of and that belongs to it; all of it is there, and is what it is said to be. */
async function closureOf(
  image: TransferImage,
  opened: Image,
  { transfer, sizes, tally }: Closing,
): Promise<Found> {
  try {
    const found = new Found(sizes, tally);
    const { top, parts, isList } = await chooseParts(opened, { instances: packedInstances(image) });
    checkEntry(image, top);
    if (!isList && image.platforms !== undefined) throw contradicts(top, 'is no list, and has no platforms');
    found.add(top, parts);
    await addAttachments(image, opened, found);
    for (const entry of image.signatures) {
      const { manifest, subject, artifactType } = await satelliteOf(opened, entry);
      if (subject !== entry.of || artifactType !== entry.artifactType || !found.manifests.has(subject))
        throw contradicts(entry, 'is no signature of what the list says');
      found.add(manifest, await readParts(opened, manifest));
    }
    return found;
  } catch (error) {
    throw isBullaError(error) ? about(image, transfer, error) : error;
  }
}

/** Around the image, then around what was found there: one that hangs on nothing does not belong. */
async function addAttachments(image: TransferImage, opened: Image, found: Found): Promise<void> {
  let left = image.attachments;
  if (left.length > limits.referrers)
    throw new BullaError('image.too-large', `more than ${limits.referrers} manifests hang on it`);
  while (left.length > 0) {
    const [next, later] = [
      left.filter(({ of }) => found.manifests.has(of)),
      left.filter(({ of }) => !found.manifests.has(of)),
    ];
    const [lost] = later;
    if (next.length === 0 && lost !== undefined) throw contradicts(lost, 'hangs on nothing in the bundle');
    for (const entry of next) {
      const { manifest, subject, artifactType } = await satelliteOf(opened, entry);
      const isTrue =
        entry.tag === undefined
          ? subject === entry.of && artifactType === entry.artifactType
          : isTagOf(entry) && entry.artifactType === undefined;
      if (!isTrue) throw contradicts(entry, 'does not hang where the list says');
      found.add(manifest, await readParts(opened, manifest));
    }
    left = later;
  }
}

function isTagOf({ of, tag = '' }: TransferAttachment): boolean {
  return ['.sig', '.att', '.sbom'].some((suffix) => tag === `${algorithmOf(of)}-${hexOf(of)}${suffix}`);
}

type SatelliteManifest = {
  readonly manifest: Manifest;
  readonly subject: Digest | undefined;
  readonly artifactType: string | undefined;
};

async function satelliteOf(opened: Image, entry: ManifestEntry): Promise<SatelliteManifest> {
  const manifest = await opened.manifest(entry.digest);
  checkEntry(entry, manifest);
  const parsed = parseManifest(manifest);
  if (parsed.kind === 'schema1') throw contradicts(entry, 'is no such thing');
  return { manifest, subject: parsed.subject?.digest, artifactType: referrerEntry(manifest).artifactType };
}

function checkEntry({ mediaType, digest, size }: ManifestEntry, manifest: Manifest): void {
  if (manifest.mediaType === mediaType && manifest.digest === digest && manifest.bytes.length === size)
    return;
  throw contradicts({ digest }, 'is not as the list says');
}

/** What belongs to one image: blobs of which the bundle has as many bytes as the manifests say. */
class Found {
  readonly manifests: Set<Digest> = new Set();
  readonly all: Set<Digest> = new Set();
  readonly #sizes: Closing['sizes'];
  readonly #tally: Tally;

  constructor(sizes: Closing['sizes'], tally: Tally) {
    this.#sizes = sizes;
    this.#tally = tally;
  }

  add(top: Manifest, { images, indexes, blobs }: Parts): void {
    this.#tally.add([top, ...images, ...indexes]);
    for (const { digest } of [top, ...images, ...indexes]) {
      this.manifests.add(digest);
      this.all.add(digest);
    }
    for (const { digest, size } of blobs) {
      const there = this.#sizes.get(blobName(digest));
      if (there === undefined) throw new BullaError('transfer.incomplete', `the blob ${digest} is missing`);
      if (there !== size) throw contradicts({ digest }, `has ${there} bytes, not ${size}`);
      this.all.add(digest);
    }
  }
}

function contradicts({ digest }: Pick<Descriptor, 'digest'>, why: string): BullaError {
  return new BullaError('transfer.contradictory', `${digest} ${why}`);
}

function about({ reference }: TransferImage, { path }: Transfer, error: BullaError): BullaError {
  const code = error.code === 'image.not-found' ? 'transfer.incomplete' : error.code;
  return new BullaError(code, `${printable(path)}: ${formatReference(reference)}: ${error.message}`, {
    cause: error,
    ...(error.hint !== undefined && { hint: error.hint }),
  });
}

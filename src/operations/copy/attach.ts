/** Bringing along what goes with an image: nothing that is at the destination already is replaced or lost. */
import { type Digest } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatImageName } from '../../base/image-name.ts';
import type { Manifest } from '../../base/manifest.ts';
import type { Signature } from '../../formats/signature.ts';
import type { Image } from '../../images/image.ts';
import type { Registry } from '../../registry/registry.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import { listReferrer } from '../../stores/referrers-add.ts';
import type { SignatureStore } from '../../stores/store.ts';
import type { BlobMover } from './blobs.ts';
import { type Carried, isNoAttestation, referrerEntry, type Satellite, satelliteTag } from './carried.ts';
import type { Destination } from './destination.ts';
import { checkType, moveParts, putManifest } from './image.ts';
import { isInLayout } from './layout.ts';
import { isReferrer, putReferrers } from './referrers.ts';
import type { World } from '../world.ts';
import { checkSimpleWritable } from '../writable.ts';

/**
 * Looks whether everything has its place, before anything is moved.
 * @throws BullaError `store.none`, `store.read-only`, `store.unsupported`
 */
export async function checkPlaces(carried: Carried, destination: Destination): Promise<void> {
  const { name, registry } = destination;
  if (isInLayout(destination)) {
    for (const { manifest } of carried.satellites.filter(isReferrer)) checkType(manifest, name);
    return;
  }
  if (name.transport !== 'docker' && name.transport !== 'dir') {
    const isSigned =
      carried.signatures.some(isNoAttestation) || carried.satellites.some((each) => each.isSignature);
    if (!isSigned) return;
    throw new BullaError('store.none', `${formatImageName(name)} has no place for the image’s signatures`, {
      hint: '--remove-signatures leaves them behind; oci:, oci-archive: and dir: keep them',
    });
  }
  if (!carried.signatures.some(({ signature }) => signature.format === 'simple')) return;
  if (registry !== undefined) await checkWritable(destination, registry);
}

/** An HTTP lookaside takes no signature: better known before the image is there than after. */
export async function checkWritable(destination: Destination, registry: Registry): Promise<void> {
  await checkSimpleWritable(
    destination.name,
    await destination.stores(),
    registry,
    '; or --remove-signatures',
  );
}

export type Attached = {
  readonly signatures: number;
  readonly attachments: number;
  /** False: all of them were there before. What is sent as blobs and manifests is reported by itself. */
  readonly isNew: boolean;
};

/** @returns how many there are at the destination now */
export async function attachAll(
  carried: Carried,
  places: { readonly source: Image; readonly destination: Destination; readonly mover: BlobMover },
  worlds: { readonly from: World; readonly to: World },
): Promise<Attached> {
  const { source, destination, mover } = places;
  const stores = await destination.stores();
  const signatures = hasPlaceForAttestations(destination)
    ? carried.signatures
    : carried.signatures.filter(isNoAttestation);
  let isNew = false;
  for (const { of, signature } of signatures) {
    const { added } = await storeFor(signature, stores).add(
      worlds.to.imageId(destination.image, of),
      signature,
    );
    isNew ||= added;
  }
  const { satellites } = carried;
  if (destination.registry === undefined) {
    if (destination.name.transport === 'oci') await putReferrers(carried, mover, destination.sink);
    const unkept = carried.signatures.length - signatures.length;
    const kept = await keepInFolder({ satellites, unkept }, source, destination, stores, worlds);
    const attachments = isInLayout(destination) ? satellites.filter(isReferrer).length : 0;
    return { signatures: signatures.length + kept.count, attachments, isNew: isNew || kept.isNew };
  }
  const { registry } = destination;
  for (const each of satellites) {
    if (each.suffix === undefined) await putReferrer(registry, destination, each, mover);
    else if (await putTagged(registry, places, each, { stores, worlds })) isNew = true;
  }
  return { signatures: signatures.length, attachments: satellites.length, isNew };
}

/** Where a carried signature goes: a `.sig` stays one, whatever registries.d says of new ones. */
export function storeFor({ format }: Signature, stores: LocatedStores): SignatureStore {
  return format === 'cosign' ? (stores.attachments ?? stores.writerFor('cosign')) : stores.writerFor(format);
}

/** @returns whether it was not there before */
async function putReferrer(
  registry: Registry,
  { sink, image: { physical } }: Destination,
  { of, manifest, parts }: Satellite,
  mover: BlobMover,
): Promise<void> {
  if (physical === undefined) return;
  const { digest, bytes } = manifest;
  // a registry takes a manifest only with all that it names; a second copy of the same writes nothing
  if ((await registry.headManifest(physical.path, digest)) === undefined) {
    await moveParts(mover, sink, parts);
    await putManifest(mover, sink, manifest, true);
  } else mover.report({ kind: 'manifest', digest, size: bytes.length, sent: false });
  await listReferrer(registry, { reference: physical, digest: of }, referrerEntry(manifest));
}

type Stored = {
  readonly stores: LocatedStores;
  readonly worlds: { readonly from: World; readonly to: World };
};

/**
 * The very manifest where there is none yet; else what it holds is added to what is there.
 * @returns whether anything was added to what was there
 */
async function putTagged(
  registry: Registry,
  {
    source,
    destination,
    mover,
  }: { readonly source: Image; readonly destination: Destination; readonly mover: BlobMover },
  each: Satellite,
  { stores, worlds }: Stored,
): Promise<boolean> {
  const path = destination.image.physical?.path ?? '';
  const tag = satelliteTag(each);
  const there = await digestAt(registry, path, tag);
  if (there === each.manifest.digest) return false;
  if (there !== undefined) return addWhatIsNew(each, { source, destination }, { stores, worlds });
  await moveParts(mover, destination.sink, each.parts);
  await registry.putManifest(path, tag, each.manifest);
  mover.report({
    kind: 'manifest',
    digest: each.manifest.digest,
    size: each.manifest.bytes.length,
    sent: true,
  });
  return false;
}

/** Signatures and attestations are added behind those that are there. */
async function addWhatIsNew(
  each: Satellite,
  { source, destination }: { readonly source: Image; readonly destination: Destination },
  { stores, worlds }: Stored,
): Promise<boolean> {
  const located = await worlds.from.stores(source);
  const [read, write] = storesOfTag(each, located, stores);
  if (read === undefined || write === undefined) {
    worlds.to.warn(`${satelliteTag(each)} is another one at the destination already; that one stays`);
    return false;
  }
  let isNew = false;
  for await (const { signature, location } of read.list(worlds.from.imageId(source, each.of))) {
    if (signature.format === 'unreadable')
      throw new BullaError(signature.code, `${location}: ${signature.message}`);
    const { added } = await write.add(worlds.to.imageId(destination.image, each.of), signature);
    isNew ||= added;
  }
  return isNew;
}

/** What reads a tag's signatures at the source, and what takes them at the destination; of an SBOM there is none. */
export function storesOfTag(
  { suffix }: Satellite,
  from: LocatedStores,
  to: LocatedStores,
): readonly [SignatureStore | undefined, SignatureStore | undefined] {
  if (suffix === '.sig') return [from.attachments, to.attachments];
  return suffix === '.att' ? [from.oldAttestations, to.oldAttestations] : [undefined, undefined];
}

/** What a tag means there, by the registry's word or by the manifest. */
export async function digestAt(registry: Registry, path: string, tag: string): Promise<Digest | undefined> {
  const there = await registry.headManifest(path, tag);
  if (there === undefined || there.digest !== undefined) return there?.digest;
  return (await manifestAt(registry, path, tag))?.digest;
}

async function manifestAt(registry: Registry, path: string, tag: string): Promise<Manifest | undefined> {
  try {
    return await registry.manifest(path, tag);
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    throw error;
  }
}

function hasPlaceForAttestations(destination: Destination): boolean {
  return destination.registry !== undefined || isInLayout(destination);
}

/** A dir: folder holds signatures as containers/image does, and nothing else that hangs on an image; a layout what has a subject. */
async function keepInFolder(
  { satellites, unkept }: { readonly satellites: readonly Satellite[]; readonly unkept: number },
  source: Image,
  destination: Destination,
  { readers: [folder] }: LocatedStores,
  { from, to }: { readonly from: World; readonly to: World },
): Promise<{ readonly count: number; readonly isNew: boolean }> {
  const { attachments, oldAttestations } = await from.stores(source);
  const isLayout = isInLayout(destination);
  // what a tag names has no subject: its signatures are kept, and the manifest is not
  const gone = new Set(satellites.filter((each) => !isLayout || !isReferrer(each)).map(digestOfSatellite));
  const readerOf = ({ suffix, of }: Satellite): SignatureStore | undefined => {
    if (folder === undefined || gone.has(of)) return undefined;
    return suffix === '.sig' ? attachments : suffix === '.att' && isLayout ? oldAttestations : undefined;
  };
  let kept = 0;
  let isNew = false;
  let left = unkept;
  for (const each of satellites) {
    const reader = readerOf(each);
    if (reader === undefined || folder === undefined) {
      if (!isLayout || !isReferrer(each)) left += 1;
      continue;
    }
    for await (const { signature, location } of reader.list(from.imageId(source, each.of))) {
      if (signature.format === 'unreadable')
        throw new BullaError(signature.code, `${location}: ${signature.message}`);
      const { added } = await folder.add(to.imageId(destination.image, each.of), signature);
      isNew ||= added;
      kept += 1;
    }
  }
  const name = formatImageName(destination.name);
  if (left > 0) to.warn(`${left} attachments stay behind: ${name} has no place for them`);
  return { count: kept, isNew };
}

function digestOfSatellite({ manifest }: Satellite): Digest {
  return manifest.digest;
}

/** All manifests that a copy consists of, each of which may have something hanging on it. */
export function digestsOf(
  top: Manifest,
  parts: { readonly images: readonly Manifest[]; readonly indexes: readonly Manifest[] },
): readonly Digest[] {
  return [...parts.images, ...parts.indexes, top].map(({ digest }) => digest);
}

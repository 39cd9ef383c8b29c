/** What a mirror lacks: each image compared with its source as a sync would copy it, and nothing written. */
import type { Digest } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatImageName } from '../../base/image-name.ts';
import type { Signature } from '../../formats/signature.ts';
import { openImage } from '../../images/open.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import type { ImageId, SignatureStore } from '../../stores/store.ts';
import { digestAt, storeFor, storesOfTag } from '../copy/attach.ts';
import { isNoAttestation, type Satellite, satelliteTag } from '../copy/carried.ts';
import { type CopyRequest, type PreparedCopy, prepareCopy } from '../copy.ts';
import { inParallel } from '../in-parallel.ts';
import { openJudge } from '../judge.ts';
import { keepAnswers } from './source.ts';
import { planSync, type SyncItem } from './plan.ts';
import { namesOf, type SyncRequest, type SyncWorlds, worldsFor } from '../sync.ts';
import type { ImageVerdict } from '../verify.ts';

/** What is missing of one image. */
export type Lack = {
  /** What a sync would write there. */
  readonly digest: Digest;
  /** `absent`: the name means nothing. `other`: it means something else. `partial`: not all of it is there. */
  readonly image: 'there' | 'absent' | 'other' | 'partial';
  /** What the name means instead. */
  readonly found?: Digest;
  /** Signatures, and manifests that hang on the image, that are not there. */
  readonly signatures: number;
  readonly attachments: number;
};

export type CheckedImage = { readonly source: string; readonly destination?: string } & (
  | { readonly state: 'complete' | 'lacks'; readonly lack: Lack }
  /** The policy refuses the source, so no sync will bring it. */
  | { readonly state: 'refused'; readonly verdict: ImageVerdict }
  | { readonly state: 'failed'; readonly error: BullaError }
);

export type SyncCheck = { readonly images: readonly CheckedImage[] };

export type CheckRequest = Omit<
  SyncRequest,
  'signers' | 'identities' | 'dryRun' | 'onImage' | 'keepGoing'
> & {
  readonly onImage?: (image: CheckedImage, done: number, of: number) => void;
};

const imagesAtOnce = 8;

/**
 * Compares a mirror with its source. One image that cannot be looked at keeps no other from it.
 * @throws BullaError what `planSync` throws, `policy.*`
 */
export async function checkSync(request: CheckRequest, worlds: SyncWorlds): Promise<SyncCheck> {
  const plan = await planSync({ ...request, keepGoing: true }, worlds.from, worldsFor(worlds));
  const judge = await openJudge(
    request.by ?? { kind: 'policy' },
    request.requireSigned === true,
    worlds.from,
  );
  let done = 0;
  const images = await inParallel(plan.items, request.parallelImages ?? imagesAtOnce, async (item) => {
    const { source, destination } = item;
    const row = await checkOne({ ...request, source, destination, judge }, item, worlds);
    done += 1;
    request.onImage?.(row, done, plan.items.length);
    return row;
  });
  const unlisted = plan.unlisted.map(({ source, error }): CheckedImage => ({
    source,
    state: 'failed',
    error,
  }));
  return { images: [...images, ...unlisted] };
}

async function checkOne(request: CopyRequest, item: SyncItem, { to }: SyncWorlds): Promise<CheckedImage> {
  const names = namesOf(item);
  try {
    const worlds = { from: keepAnswers(item), to };
    await using opened = new AsyncDisposableStack();
    const prepared = await prepareCopy(request, worlds, opened);
    if ('copied' in prepared) return { ...names, state: 'refused', verdict: prepared.verdict };
    const lack = await lackOf(prepared, worlds);
    const isComplete = lack.image === 'there' && lack.signatures + lack.attachments === 0;
    return { ...names, state: isComplete ? 'complete' : 'lacks', lack };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { ...names, state: 'failed', error };
  }
}

async function lackOf(prepared: PreparedCopy, worlds: Pick<SyncWorlds, 'from' | 'to'>): Promise<Lack> {
  const { carried, top } = prepared;
  const found = await meaningOf(prepared, worlds.to);
  const isSame = found === top.digest;
  const image =
    found === undefined ? 'absent' : !isSame ? 'other' : (await isWhole(prepared)) ? 'there' : 'partial';
  const [signatures, [tagged, attachments]] = await Promise.all([
    missingSignatures(prepared, worlds.to),
    missingSatellites(prepared, carried.satellites, worlds),
  ]);
  return {
    digest: top.digest,
    image,
    ...(image === 'other' && found !== undefined && { found }),
    signatures: signatures + tagged,
    attachments,
  };
}

/** What the destination's name means. Unlike a copy, a check says when it cannot be told. */
async function meaningOf({ destination }: PreparedCopy, to: SyncWorlds['to']): Promise<Digest | undefined> {
  const { name, registry } = destination;
  if (registry !== undefined && name.transport === 'docker') {
    const { path, digest, tag = 'latest' } = name.reference;
    return digestAt(registry, path, digest ?? tag);
  }
  try {
    await using image = await openImage(name, to);
    return (await image.manifest()).digest;
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    throw error;
  }
}

/** A registry takes no manifest without what it names; a folder may have lost a file. */
async function isWhole({ parts, destination }: PreparedCopy): Promise<boolean> {
  if (destination.registry !== undefined) return true;
  const { sink } = destination;
  const { blobs, images, indexes } = parts;
  const manifests = await inParallel(
    [...images, ...indexes],
    4,
    async (each) => (await sink.hasManifest?.(each, { instance: true })) ?? true,
  );
  return [...manifests, ...(await inParallel(blobs, 4, (blob) => sink.hasBlob(blob)))].every(Boolean);
}

async function missingSignatures(
  { carried: { signatures }, destination }: PreparedCopy,
  to: SyncWorlds['to'],
): Promise<number> {
  const stores = await destination.stores();
  const isFolder = destination.registry === undefined;
  const wanted = isFolder ? signatures.filter(isNoAttestation) : signatures;
  const missing = await Promise.all(
    wanted.map(async ({ of, signature }) =>
      (await holds(storeFor(signature, stores), to.imageId(destination.image, of), signature)) ? 0 : 1,
    ),
  );
  return missing.reduce<number>((sum, each) => sum + each, 0);
}

async function holds(store: SignatureStore, image: ImageId, wanted: Signature): Promise<boolean> {
  const text = textOf(wanted);
  for await (const { signature } of store.list(image))
    if (signature.format !== 'unreadable' && textOf(signature) === text) return true;
  return false;
}

/** All that a signature is made of, members in one order. */
function textOf(signature: Signature): string {
  const members: readonly (readonly [string, unknown])[] = Object.entries(signature);
  return JSON.stringify(members.toSorted(byKey).map(([key, value]) => [key, plainOf(value)]));
}

/** Text as it is, bytes as text, annotations as pairs. */
function plainOf(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return typeof value === 'object' && value !== null ? Object.entries(value).toSorted(byKey) : value;
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

/** @returns signatures that tags hold, and manifests */
async function missingSatellites(
  prepared: PreparedCopy,
  satellites: readonly Satellite[],
  worlds: Pick<SyncWorlds, 'from' | 'to'>,
): Promise<readonly [number, number]> {
  const from = await worlds.from.stores(prepared.source);
  const to = await prepared.destination.stores();
  let [signatures, attachments] = [0, 0];
  for (const each of satellites) {
    const { registry, image, name } = prepared.destination;
    if (registry === undefined) {
      // a folder holds signatures and nothing else that hangs on an image
      if (name.transport === 'dir' && each.suffix === '.sig' && !isOnSatellite(each, satellites))
        signatures += await missingOfTag(
          each,
          prepared,
          { from, to: { ...to, attachments: firstOf(to) } },
          worlds,
        );
      continue;
    }
    const path = image.physical?.path ?? '';
    if (each.suffix === undefined) {
      const { manifests } = await registry.referrers(path, each.of, { both: true });
      if (!manifests.some(({ digest }) => digest === each.manifest.digest)) attachments += 1;
      continue;
    }
    const there = await digestAt(registry, path, satelliteTag(each));
    if (there === each.manifest.digest) continue;
    // where there is none the whole of it is missing; an SBOM that is another one stays
    const missing = await missingOfTag(each, prepared, { from, to }, worlds);
    if (each.suffix === '.sig') signatures += missing;
    else if (there === undefined || missing > 0) attachments += 1;
  }
  return [signatures, attachments];
}

function isOnSatellite({ of }: Satellite, satellites: readonly Satellite[]): boolean {
  return satellites.some(({ manifest }) => manifest.digest === of);
}

/** The one store of a folder. */
function firstOf({ readers: [store], writerFor }: LocatedStores): SignatureStore {
  return store ?? writerFor('cosign');
}

/** How many of the signatures that a tag holds at the source are not at the destination. */
async function missingOfTag(
  each: Satellite,
  { source, destination }: PreparedCopy,
  stores: { readonly from: LocatedStores; readonly to: LocatedStores },
  worlds: Pick<SyncWorlds, 'from' | 'to'>,
): Promise<number> {
  const [read, write] = storesOfTag(each, stores.from, stores.to);
  if (read === undefined || write === undefined) return 0;
  let missing = 0;
  for await (const { signature, location } of read.list(worlds.from.imageId(source, each.of))) {
    if (signature.format === 'unreadable') {
      const what = `${formatImageName(source.name)}: ${location}: ${signature.message}`;
      throw new BullaError(signature.code, what);
    }
    if (!(await holds(write, worlds.to.imageId(destination.image, each.of), signature))) missing += 1;
  }
  return missing;
}

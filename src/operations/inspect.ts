/** `inspect`: every signature of an image, from every store, side by side; judged where a judge is named. */
import { isIndexType } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { parseManifest } from '../base/manifest.ts';
import type { Image } from '../images/image.ts';
import { openImage } from '../images/open.ts';
import { mapBounded } from '../io/bounded.ts';
import type { ImageId, SignatureStore, StoredSignature } from '../stores/store.ts';
import type { Verdict } from '../trust/verdict.ts';
import { type Judge, type JudgedBy, openJudge } from './judge.ts';
import { type SeenSignature, seenSignature } from './inspect-signature.ts';
import { subjectOf } from './subject.ts';
import type { World } from './world.ts';

export type { SeenSignature } from './inspect-signature.ts';

export type InspectRequest = {
  readonly image: ImageName;
  /** Judges each signature beside showing it. Without it nothing shown was checked. */
  readonly by?: JudgedBy;
};

export type InspectedManifest = {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly platform?: string;
  readonly signatures: readonly SeenSignature[];
  /** What kept a store from being read to its end; there may be more signatures than are listed. */
  readonly problems?: readonly { readonly code: ErrorCode; readonly message: string }[];
  /** The judge's verdict on this manifest; not there for a list, which is never judged, where there are problems, or without a judge. */
  readonly verdict?: Verdict;
};

export type Inspection = {
  readonly image: string;
  readonly digest: Digest;
  /** The manifest itself, then for a list each of its instances. */
  readonly manifests: readonly InspectedManifest[];
};

const atOnce = 8;

/** @throws BullaError `image.*`, `registry.*`, `store.*`, `policy.*`, `key.*` */
export async function inspect(request: InspectRequest, world: World): Promise<Inspection> {
  await using image = await openImage(request.image, world, { stores: true });
  const [top, judge] = await Promise.all([
    image.manifest(),
    request.by === undefined ? undefined : openJudge(request.by, false, world),
  ]);
  const parsed = parseManifest(top);
  const instances =
    parsed.kind !== 'index'
      ? []
      : parsed.manifests.map(({ digest, mediaType, platform }) => ({
          digest,
          mediaType,
          ...(platform !== undefined && { platform: `${platform.os}/${platform.architecture}` }),
        }));
  const manifests = [{ digest: top.digest, mediaType: top.mediaType }, ...instances];
  return {
    image: formatImageName(request.image),
    digest: top.digest,
    manifests: await mapBounded(manifests, atOnce, (each) => inspectManifest(each, image, judge, world)),
  };
}

type Listed = { readonly digest: Digest; readonly mediaType: string; readonly platform?: string };

async function inspectManifest(
  manifest: Listed,
  image: Image,
  judge: Judge | undefined,
  world: World,
): Promise<InspectedManifest> {
  const { readers, attachments } = await world.stores(image);
  const stores = attachments === undefined ? readers : [...new Set([...readers, attachments])];
  const id = world.imageId(image, manifest.digest);
  const lists = await Promise.all(stores.map((store) => readStore(store, id)));
  const problems = lists.flatMap(({ problem }) => problem ?? []);
  const isRead = ({ store }: ReadStore): boolean => readers.includes(store);
  const isJudged = (list: ReadStore): boolean => judge?.looks !== 'as-configured' || isRead(list);
  const judgeThese = (some: readonly StoredSignature[]): Promise<Verdict | undefined> =>
    judged(manifest, some, image, judge, world);
  // one by one: a judge need not look at what comes after the signature that convinced it
  const signatures: SeenSignature[] = [];
  for (const list of lists) {
    for (const each of list.stored) {
      const verdict = isJudged(list) ? await judgeThese([each]) : undefined;
      signatures.push({ ...seenSignature(each, verdict), ...(!isRead(list) && { turnedOff: true }) });
    }
  }
  if (problems.length > 0) return { ...manifest, signatures, problems };
  const verdict = await judgeThese(lists.filter(isJudged).flatMap(({ stored }) => stored));
  return { ...manifest, signatures, ...(verdict !== undefined && { verdict }) };
}

type ReadStore = {
  readonly store: SignatureStore;
  readonly stored: readonly StoredSignature[];
  readonly problem?: { readonly code: ErrorCode; readonly message: string };
};

/** What a store has, up to what cannot be read. */
async function readStore(store: SignatureStore, image: ImageId): Promise<ReadStore> {
  const stored: StoredSignature[] = [];
  try {
    for await (const each of store.list(image)) stored.push(each);
    return { store, stored };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { store, stored, problem: { code: error.code, message: error.message } };
  }
}

async function judged(
  { digest, mediaType }: Listed,
  stored: readonly StoredSignature[],
  image: Image,
  judge: Judge | undefined,
  world: World,
): Promise<Verdict | undefined> {
  if (judge === undefined || isIndexType(mediaType)) return undefined;
  const subject = await subjectOf({ image, digest, as: undefined, looks: judge.looks }, world);
  async function* signatures(): AsyncGenerator<StoredSignature> {
    yield* stored;
  }
  return judge.judge({ ...subject, signatures });
}

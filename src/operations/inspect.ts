/** `inspect`: every signature of an image, from every store, side by side; judged where a judge is named. */
import { isIndexType } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { parseManifest } from '../base/manifest.ts';
import { readUntrustedSimpleSigning } from '../formats/simple-signing.ts';
import type { Image } from '../images/image.ts';
import { openImage } from '../images/open.ts';
import { mapBounded } from '../io/bounded.ts';
import type { StoredSignature } from '../stores/store.ts';
import type { SignatureVerdict, Verdict } from '../trust/verdict.ts';
import { type Judge, type JudgedBy, openJudge } from './judge.ts';
import { subjectOf } from './subject.ts';
import type { World } from './world.ts';

export type InspectRequest = {
  readonly image: ImageName;
  /** Judges each signature beside showing it. Without it nothing shown was checked. */
  readonly by?: JudgedBy;
};

/** A signature as it stands. Everything under `untrusted` is its own word. */
export type SeenSignature = {
  readonly format: string;
  readonly store: string;
  readonly untrusted: {
    /** Fingerprints or key IDs, upper-case hex. */
    readonly keyIds: readonly string[];
    /** RFC 3339. */
    readonly created?: string;
    readonly identity?: string;
    readonly digest?: Digest;
    readonly creator?: string;
  };
  readonly problem?: { readonly code: ErrorCode; readonly message: string };
  /** How the judge found it; not there without a judge. */
  readonly verdict?: SignatureVerdict;
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
  const { readers } = await world.stores(image);
  const id = world.imageId(image, manifest.digest);
  const lists = await Promise.all(readers.map((store) => readStore(store.list(id))));
  const stored = lists.flatMap((each) => each.stored);
  const problems = lists.flatMap(({ problem }) => problem ?? []);
  const judgeThese = (some: readonly StoredSignature[]): Promise<Verdict | undefined> =>
    judged(manifest, some, image, judge, world);
  // one by one: a judge need not look at what comes after the signature that convinced it
  const signatures: SeenSignature[] = [];
  for (const each of stored) signatures.push(seen(each, await judgeThese([each])));
  if (problems.length > 0) return { ...manifest, signatures, problems };
  const verdict = await judgeThese(stored);
  return { ...manifest, signatures, ...(verdict !== undefined && { verdict }) };
}

type ReadStore = {
  readonly stored: readonly StoredSignature[];
  readonly problem?: { readonly code: ErrorCode; readonly message: string };
};

/** What a store has, up to what cannot be read. */
async function readStore(list: AsyncIterable<StoredSignature>): Promise<ReadStore> {
  const stored: StoredSignature[] = [];
  try {
    for await (const each of list) stored.push(each);
    return { stored };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { stored, problem: { code: error.code, message: error.message } };
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
  const subject = await subjectOf({ image, digest, as: undefined }, world);
  async function* signatures(): AsyncGenerator<StoredSignature> {
    yield* stored;
  }
  return judge({ ...subject, signatures });
}

function seen({ signature, location }: StoredSignature, verdict: Verdict | undefined): SeenSignature {
  const verdicts = verdict?.requirements.flatMap((each) => each.signatures) ?? [];
  const here = verdicts.filter((each) => each.store === location);
  // of several requirements it serves those that it satisfies
  const found = here.find((each) => each.accepted) ?? here[0];
  const shared = { store: location, ...(found !== undefined && { verdict: found }) };
  if (signature.format === 'unreadable') {
    const { code, message } = signature;
    return { format: signature.format, untrusted: { keyIds: [] }, problem: { code, message }, ...shared };
  }
  if (signature.format !== 'simple')
    return { format: signature.format, untrusted: { keyIds: [] }, ...shared };
  const { keyIds, created, claim, problem } = readUntrustedSimpleSigning(signature.blob);
  return {
    format: signature.format,
    untrusted: {
      keyIds,
      ...(created !== undefined && { created: created.toISOString() }),
      ...(claim !== undefined && { identity: claim.dockerReference, digest: claim.manifestDigest }),
      ...(claim?.creator !== undefined && { creator: claim.creator }),
    },
    ...(problem !== undefined && { problem }),
    ...shared,
  };
}

/** `inspect`: every signature of an image, from every store, side by side; judged where a judge is named. */
import { isIndexType } from '../base/descriptor.ts';
import { type Digest, tryParseDigest } from '../base/digest.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { parseManifest } from '../base/manifest.ts';
import type { Image } from '../images/image.ts';
import { openImage } from '../images/open.ts';
import { mapBounded } from '../io/bounded.ts';
import type { LocatedStores } from '../stores/locate.ts';
import type { ImageId, StoredSignature } from '../stores/store.ts';
import type { Verdict } from '../trust/verdict.ts';
import { type Judge, type JudgedBy, openJudge } from './judge.ts';
import { type SeenSignature, seenSignature } from './inspect/signature.ts';
import { type FoundSignature, type ReadStore, readStores } from './read-stores.ts';
import { subjectOf } from './subject.ts';
import { filterFor, forTools } from './verify-for.ts';
import type { World } from './world.ts';

export type { SeenSignature } from './inspect/signature.ts';

export type InspectRequest = {
  readonly image: ImageName;
  /** Judges each signature beside showing it. Without it nothing shown was checked. */
  readonly by?: JudgedBy;
};

export type InspectedManifest = {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly platform?: string;
  /** Docker's attestation manifest: the instance that it speaks of. It is unsigned unless a signature is listed for it. */
  readonly attestationOf?: Digest;
  readonly signatures: readonly SeenSignature[];
  /** Where cosign's `.sbom` tag stands, which is no signature and is not read. */
  readonly sbom?: string;
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
      : parsed.manifests.map(({ digest, mediaType, platform, annotations }) => ({
          digest,
          mediaType,
          ...(platform !== undefined && { platform: `${platform.os}/${platform.architecture}` }),
          ...attestationWord(annotations),
        }));
  const manifests = [{ digest: top.digest, mediaType: top.mediaType }, ...instances];
  return {
    image: formatImageName(request.image),
    digest: top.digest,
    manifests: await mapBounded(manifests, atOnce, (each) => inspectManifest(each, image, judge, world)),
  };
}

type Listed = Pick<InspectedManifest, 'digest' | 'mediaType' | 'platform' | 'attestationOf'>;

/** buildx lists provenance and SBOMs as instances, and says so in annotations. */
function attestationWord(
  annotations: Readonly<Record<string, string>> = {},
): Pick<InspectedManifest, 'attestationOf'> {
  if (annotations['vnd.docker.reference.type'] !== 'attestation-manifest') return {};
  const attestationOf = tryParseDigest(annotations['vnd.docker.reference.digest'] ?? '');
  return attestationOf === undefined ? {} : { attestationOf };
}

async function inspectManifest(
  manifest: Listed,
  image: Image,
  judge: Judge | undefined,
  world: World,
): Promise<InspectedManifest> {
  const located = await world.stores(image);
  const id = world.imageId(image, manifest.digest);
  const [stores, sbom] = await Promise.all([readStores(located, id), findSbom(located, id)]);
  const problems = [...stores, sbom].flatMap(({ problem }) => problem ?? []);
  const isJudged = (each: ReadStore): boolean => judge?.looks !== 'as-configured' || each.isConfigured;
  const judgeThese = (some: readonly StoredSignature[]): Promise<Verdict | undefined> =>
    judged(manifest, some, image, judge, world);
  const readersOf = readersAmong(stores, image);
  // one by one: a judge need not look at what comes after the signature that convinced it
  const signatures: SeenSignature[] = [];
  for (const store of stores) {
    const off = store.place === 'attachments' && !store.isConfigured ? { turnedOff: true as const } : {};
    for (const each of store.found) {
      const verdict = isJudged(store) ? await judgeThese([each]) : undefined;
      signatures.push({ ...seenSignature(each, verdict), ...readersOf(each), ...off });
    }
  }
  const listed = { ...manifest, signatures, ...(sbom.name !== undefined && { sbom: sbom.name }) };
  if (problems.length > 0) return { ...listed, problems };
  const verdict = await judgeThese(stores.filter(isJudged).flatMap(({ found }) => found));
  return { ...listed, ...(verdict !== undefined && { verdict }) };
}

type Sbom = { readonly name?: string | undefined; readonly problem?: NonNullable<ReadStore['problem']> };

async function findSbom(located: LocatedStores, id: ImageId): Promise<Sbom> {
  try {
    return { name: await located.sbom?.(id) };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { problem: { code: error.code, message: error.message } };
  }
}

/** What podman and cosign do with each signature, told by all of them together. */
function readersAmong(
  stores: readonly ReadStore[],
  image: Image,
): (found: FoundSignature) => Pick<SeenSignature, 'readBy' | 'notReadBy'> {
  const all = stores.flatMap(({ found }) => found);
  const { name } = image;
  const context = {
    attachmentsOn: stores.some(({ place, isConfigured }) => place === 'attachments' && isConfigured),
    ...(name.transport === 'docker' && { dockerReference: name.reference }),
  };
  const sights = forTools.map((tool) => ({ tool, sights: filterFor(tool, all, context) }));
  return (found) => {
    const index = all.indexOf(found);
    const each = sights.flatMap(({ tool, sights: its }) => {
      const sight = its[index];
      return sight === undefined ? [] : [{ tool, sight }];
    });
    return {
      readBy: each.filter(({ sight }) => sight.reads).map(({ tool }) => tool),
      notReadBy: each.flatMap(({ tool, sight }) =>
        sight.reads ? [] : [{ tool, code: sight.code, message: sight.message }],
      ),
    };
  };
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

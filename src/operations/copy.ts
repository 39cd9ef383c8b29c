/** `copy`: an image from one place to another, judged before, with all that belongs to it, its name last. */
import type { Platform } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import type { Reference } from '../base/reference.ts';
import type { Image } from '../images/image.ts';
import { openImage } from '../images/open.ts';
import type { Signer } from '../keys/signer.ts';
import { attachAll, checkPlaces, checkWritable, digestsOf } from './copy-attach.ts';
import type { BlobTold } from './copy-blobs.ts';
import { type Carried, findCarried } from './copy-carried.ts';
import { deliver, type Destination, nameCopy, openDestination } from './copy-destination.ts';
import { checkDestination } from './copy-image.ts';
import { type Changes, changeManifests } from './copy-change.ts';
import { type Chosen, chooseParts, type CopiedInstances, held } from './copy-selection.ts';
import { inParallel } from './in-parallel.ts';
import { type JudgedBy, openJudge } from './judge.ts';
import { type MadeSignature, signTargets } from './sign.ts';
import { planOf } from './sign-formats.ts';
import { type Place, placesOf } from './sign-places.ts';
import { identitiesOf } from './sign-targets.ts';
import type { SigningPlan } from './signing-plan.ts';
import { subjectOf } from './subject.ts';
import type { ImageVerdict, InstanceVerdict } from './verify.ts';
import type { World } from './world.ts';

export type CopyRequest = BlobTold & {
  readonly source: ImageName;
  readonly destination: ImageName;
  /** What judges the source. Default: the policy that containers/image's search path finds. */
  readonly by?: JudgedBy;
  /** Refuses an image whose policy demands no signature. */
  readonly requireSigned?: boolean;
  /** Of a list. Default: this machine's instance, or `platform`'s. */
  readonly instances?: CopiedInstances;
  readonly platform?: Platform;
  /** Signatures stay behind. */
  readonly removeSignatures?: boolean;
  /** The signatures of the list itself stay behind. */
  readonly removeListSignatures?: boolean;
  /** False: only what skopeo takes along. Default: whatever hangs on the image. */
  readonly attachments?: boolean;
  /** What changes a manifest is refused. */
  readonly preserveDigests?: boolean;
  readonly changes?: Changes;
  /** Further tags of the same repository. */
  readonly additionalTags?: readonly string[];
  /** Keys, opened or on their way, for new signatures. */
  readonly signers?: readonly (Signer | SigningPlan)[] | Promise<readonly (Signer | SigningPlan)[]>;
  /** What is signed for, in place of the destination's reference. */
  readonly identities?: readonly Reference[];
};

export type Copied = {
  readonly copied: true;
  /** What the destination's name means now. */
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes of the manifest. */
  readonly size: number;
  /** Where no manifest is kept: what one gets who reads the copy. Null: nothing that could be told without reading it all. */
  readonly served?: Digest | null;
  /** What was judged and read; another digest where the manifest was changed. */
  readonly sourceDigest: Digest;
  /** Signatures of lookasides and folders, and manifests that hang on the image, that went along. */
  readonly carried: { readonly signatures: number; readonly attachments: number };
  /** New ones. */
  readonly signatures: readonly MadeSignature[];
};

/** The policy refuses; nothing was written. */
export type NotCopied = { readonly copied: false; readonly verdict: ImageVerdict };

/**
 * Copies an image. The source is judged by the policy, each image of a list by its own digest; what was judged is what is
 * copied. Blobs first, then images, lists, what hangs on them, new signatures; the name last, and then looked at.
 * @param worlds how the source and the destination are reached
 * @throws BullaError `copy.*`, `image.*`, `manifest.*`, `blob.*`, `registry.*`, `http.*`, `io.*`, `policy.*`, `store.*`, `signature.*`, `key.*`
 */
export async function copy(
  request: CopyRequest,
  worlds: { readonly from: World; readonly to: World },
): Promise<Copied | NotCopied> {
  const { from, to } = worlds;
  await using source = held(await openImage(request.source, from, { stores: true }));
  // read while the judge reads; what comes of it counts once the source is accepted
  const [chosen, opened] = await Promise.all([
    chooseParts(source, request),
    openDestination(request.destination, to),
  ]);
  await using destination = opened;
  const finding = findCarried(source, digestsOf(chosen.top, chosen.parts), carryOptions(request), from);
  finding.catch(() => undefined);
  const verdict = await judgeChosen(source, chosen, request, from);
  if (!verdict.accepted) return { copied: false, verdict };

  const found = await finding;
  const carried = request.removeListSignatures === true ? withoutThoseOf(chosen.top.digest, found) : found;
  await using changed = await changeManifests({ source, chosen, carried, request });
  checkDestination(changed.top, request.destination);
  await checkPlaces(changed.carried, destination);
  const signing = await planSigning(request, destination, to);

  const hangs =
    signing.places.length + changed.carried.signatures.length + changed.carried.satellites.length > 0;
  const mover = await deliver(changed, destination, { ...request, byDigest: hangs });
  const carriedAlong = await attachAll(changed.carried, { source, destination, mover }, worlds);
  const signatures = await signCopy(changed, destination, signing, to);
  await nameCopy(changed.top, destination, { mover, tags: request.additionalTags ?? [] });
  const { digest, mediaType, bytes } = changed.top;
  return {
    copied: true,
    digest,
    mediaType,
    size: bytes.length,
    ...(await servedAs(request.destination, to)),
    sourceDigest: chosen.top.digest,
    carried: carriedAlong,
    signatures,
  };
}

/** A docker-archive's manifest is made of what is in it, by each reader anew; Docker keeps none. */
async function servedAs(name: ImageName, world: World): Promise<Pick<Copied, 'served'>> {
  if (name.transport === 'docker-daemon') return { served: null };
  if (name.transport !== 'docker-archive') return {};
  await using image = await openImage(name, world);
  return { served: (await image.manifest()).digest };
}

/** Images judged at once. */
const atOnce = 16;

async function judgeChosen(
  source: Image,
  { top, isList, judged }: Chosen,
  request: CopyRequest,
  world: World,
): Promise<ImageVerdict> {
  if (judged.length === 0) throw new BullaError('image.no-such-platform', 'the list is empty');
  const { judge, looks, hint } = await openJudge(
    request.by ?? { kind: 'policy' },
    request.requireSigned === true,
    world,
  );
  const verdicts = await inParallel(judged, atOnce, async (each): Promise<InstanceVerdict> => {
    const wanted = {
      image: source,
      digest: each.digest,
      as: undefined,
      looks,
      ...(hint !== undefined && { hint }),
    };
    return { ...(await judge(await subjectOf(wanted, world))), ...each };
  });
  const [first] = verdicts;
  const shown = verdicts.find(({ accepted }) => !accepted) ?? first;
  if (shown === undefined) throw new BullaError('internal.bug', 'nothing was judged');
  return {
    image: formatImageName(request.source),
    accepted: verdicts.every(({ accepted }) => accepted),
    digest: shown.digest,
    ...(isList && { index: top.digest, instances: verdicts }),
    scope: shown.scope,
    requirements: shown.requirements,
  };
}

function carryOptions({
  removeSignatures = false,
  attachments = true,
}: CopyRequest): Parameters<typeof findCarried>[2] {
  return { removeSignatures, attachments };
}

function withoutThoseOf(digest: Digest, { signatures, satellites }: Carried): Carried {
  return {
    signatures: signatures.filter(({ of }) => of !== digest),
    satellites: satellites.filter(({ of, isSignature }) => of !== digest || !isSignature),
  };
}

type Signing = { readonly places: readonly Place[]; readonly identities: readonly Reference[] };

/** Keys and places, before anything is moved. */
async function planSigning(request: CopyRequest, destination: Destination, world: World): Promise<Signing> {
  const plans = (await (request.signers ?? [])).map(planOf);
  if (plans.length === 0) return { places: [], identities: [] };
  const identities = identitiesOf(request.destination, request.identities ?? []);
  const { image, registry } = destination;
  const places = placesOf(plans, { image, stores: await destination.stores() }, world);
  if (registry !== undefined && places.some(({ format }) => format === 'simple'))
    await checkWritable(destination, registry);
  return { places, identities };
}

/** Each image of a list, then the list, as containers/image does. */
async function signCopy(
  { top, parts }: Pick<Chosen, 'top' | 'parts'> & { readonly carried: Carried },
  destination: Destination,
  { places, identities }: Signing,
  world: World,
): Promise<readonly MadeSignature[]> {
  if (places.length === 0) return [];
  const targets = [...new Set([...parts.images.map(({ digest }) => digest), top.digest])];
  const { image } = destination;
  return signTargets({ image, stores: await destination.stores(), places, targets, identities }, {}, world);
}

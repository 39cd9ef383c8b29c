/** `copy`: an image from one place to another, judged before, with all that belongs to it, its name last. */
import type { Platform } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import type { ImageName } from '../base/image-name.ts';
import type { Reference } from '../base/reference.ts';
import type { Image } from '../images/image.ts';
import { openImage } from '../images/open.ts';
import type { Signer } from '../keys/signer.ts';
import { attachAll, checkPlaces, checkWritable, digestsOf } from './copy/attach.ts';
import type { BlobMover, BlobTold, CopiedItem } from './copy/blobs.ts';
import { type Carried, findCarried } from './copy/carried.ts';
import { deliver, type Destination, nameCopy, openDestination } from './copy/destination.ts';
import { checkDestination } from './copy/image.ts';
import { isReferrer } from './copy/referrers.ts';
import { type Changed, type Changes, changeManifests } from './copy/change.ts';
import { type Chosen, chooseParts, type CopiedInstances, held } from './copy/selection.ts';
import type { Judge, JudgedBy } from './judge.ts';
import { judgeInstances } from './judge/instances.ts';
import { type MadeSignature, type SigningChoices, signTargets } from './sign.ts';
import { planOf } from './sign/formats.ts';
import { type Place, placesOf } from './sign/places.ts';
import { identitiesOf } from './sign/targets.ts';
import type { SigningPlan } from './sign/plan.ts';
import type { ImageVerdict } from './verify.ts';
import type { World } from './world.ts';

export type CopyRequest = BlobTold & {
  readonly source: ImageName;
  readonly destination: ImageName;
  /** What judges the source. Default: the policy that containers/image's search path finds. */
  readonly by?: JudgedBy;
  /** In place of `by` and `requireSigned`: a judge that several copies share. */
  readonly judge?: Judge;
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
  readonly steps?: CopySteps;
};

/** What is about to be written: accepted, found, and with a place for all of it. */
export type PreparedCopy = Changed & {
  readonly isList: boolean;
  /** The images of the copy, as a judge is asked about them at the destination. */
  readonly judged: Chosen['judged'];
  /** Of the list or image that was chosen, as the source has it. */
  readonly sourceDigest: Digest;
  /** The policy's, on the source. */
  readonly verdict: ImageVerdict;
  readonly destination: Destination;
};

/** All that is known of a copy before anything is written. */
export type CopyPlan = PreparedCopy & {
  readonly signing: { readonly places: readonly Place[]; readonly identities: readonly Reference[] };
};

/** What is at the destination now, its name aside; `isNew`: not all of it was there before. */
export type Brought = Pick<Copied, 'signatures' | 'carried'> & { readonly isNew: boolean };

/** Where a caller may look, and stop the copy. What a step throws ends it too. */
export type CopySteps = {
  /** Nothing is written yet. False: nothing is to be. */
  readonly planned?: (plan: CopyPlan) => Promise<boolean>;
  /** Tells of new signatures that need not be made. */
  readonly there?: NonNullable<SigningChoices['there']>;
  /** Everything is at the destination under its digests, signatures included; the name means what it meant. A verdict: it goes on meaning that. */
  readonly arrived?: (done: Brought) => Promise<ImageVerdict | undefined>;
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
  /** False: all of it was there already. */
  readonly written: boolean;
};

/** The policy refuses; nothing was written, unless it was a step that refused, and then not the name. */
export type NotCopied = { readonly copied: false; readonly verdict: ImageVerdict };

/**
 * Copies an image. The source is judged by the policy, each image of a list by its own digest; what was judged is what is
 * copied. Blobs first, then images, lists, what hangs on them, new signatures; the name last, and then looked at.
 * @param worlds how the source and the destination are reached
 * @throws BullaError `copy.*`, `image.*`, `manifest.*`, `blob.*`, `registry.*`, `http.*`, `io.*`, `policy.*`, `store.*`, `signature.*`, `key.*`
 */
export async function copy(request: CopyRequest, worlds: Worlds): Promise<Copied | NotCopied> {
  await using opened = new AsyncDisposableStack();
  const prepared = await prepareCopy(request, worlds, opened);
  if ('copied' in prepared) return prepared;
  const { verdict, destination, top, sourceDigest } = prepared;
  const plan = { ...prepared, signing: await planSigning(request, destination, worlds.to) };
  const { steps = {} } = request;
  if ((await steps.planned?.(plan)) === false) return { copied: false, verdict };
  const { mover, hasSent, ...done } = await bring(plan, request, worlds);
  const refusal = await steps.arrived?.({ ...done, isNew: hasSent() });
  if (refusal !== undefined) return { copied: false, verdict: refusal };
  await nameCopy(top, destination, { mover, tags: request.additionalTags ?? [] });
  return {
    copied: true,
    digest: top.digest,
    mediaType: top.mediaType,
    size: top.bytes.length,
    ...(await servedAs(request.destination, worlds.to)),
    sourceDigest,
    ...done,
    written: hasSent(),
  };
}

export type Worlds = { readonly from: World; readonly to: World };

/**
 * All that comes before anything is written, but the keys.
 * @param opened is given what is to be closed
 * @throws BullaError as `copy`
 */
export async function prepareCopy(
  request: CopyRequest,
  { from, to }: Worlds,
  opened: AsyncDisposableStack,
): Promise<PreparedCopy | NotCopied> {
  const source = held(opened.use(await openImage(request.source, from, { stores: true })));
  const opening = openDestination(request.destination, to);
  // also where the source fails first
  opened.defer(async () => {
    await (await opening.catch(() => undefined))?.[Symbol.asyncDispose]();
  });
  const [chosen, destination] = await Promise.all([chooseParts(source, request), opening]);
  // read while the judge reads; what comes of it counts once the source is accepted
  const finding = findCarried(source, digestsOf(chosen.top, chosen.parts), carryOptions(request), from);
  finding.catch(() => undefined);
  const verdict = await judgeChosen(source, chosen, request, from);
  if (!verdict.accepted) return { copied: false, verdict };

  const found = await finding;
  const carried = request.removeListSignatures === true ? withoutThoseOf(chosen.top.digest, found) : found;
  const changed = opened.use(await changeManifests({ source, chosen, carried, request }));
  checkDestination(changed.top, request.destination);
  await checkPlaces(changed.carried, destination);
  const { isList, top } = chosen;
  const judged = judgedAfter(changed, chosen);
  return { ...changed, isList, judged, sourceDigest: top.digest, verdict, destination };
}

/** Everything but the name. */
async function bring(
  plan: CopyPlan,
  request: CopyRequest,
  worlds: Worlds,
): Promise<
  Pick<Copied, 'carried' | 'signatures'> & { readonly mover: BlobMover; readonly hasSent: () => boolean }
> {
  const { source, destination, carried, signing } = plan;
  // who looks at it before it is named looks by its digest
  const byDigest =
    request.steps?.arrived !== undefined || (await hangsOnManifest(carried, signing.places, destination));
  const sent = noted(request.onItem);
  const mover = await deliver(plan, destination, { ...request, onItem: sent.onItem, byDigest });
  const { isNew, ...along } = await attachAll(carried, { source, destination, mover }, worlds);
  const signatures = await signCopy(plan, request, worlds.to);
  const hasSent = (): boolean => isNew || sent.any || signatures.some(({ added }) => added);
  return { mover, hasSent, carried: along, signatures };
}

/** Whether the registry is to get something that names the manifest, which then has to be there first. */
async function hangsOnManifest(
  { signatures, satellites }: Carried,
  places: readonly Place[],
  { registry }: Destination,
): Promise<boolean> {
  if (satellites.some(isReferrer) || places.some(({ format }) => format !== 'simple')) return true;
  const isSimple = places.length > 0 || signatures.some(({ signature }) => signature.format === 'simple');
  const others = signatures.some(({ signature }) => signature.format !== 'simple');
  return others || (isSimple && registry !== undefined && (await registry.ping()).supportsSignatures);
}

/** Notes whether anything was sent. */
function noted(tell: CopyRequest['onItem']): {
  readonly onItem: (item: CopiedItem) => void;
  readonly any: boolean;
} {
  let any = false;
  return {
    get any() {
      return any;
    },
    onItem: (item) => {
      any ||= item.sent || item.mounted === true;
      tell?.(item);
    },
  };
}

/** A docker-archive's manifest is made of what is in it, by each reader anew; Docker keeps none. */
async function servedAs(name: ImageName, world: World): Promise<Pick<Copied, 'served'>> {
  if (name.transport === 'docker-daemon') return { served: null };
  if (name.transport !== 'docker-archive') return {};
  await using image = await openImage(name, world);
  return { served: (await image.manifest()).digest };
}

async function judgeChosen(
  image: Image,
  { top, isList, judged }: Chosen,
  { by = { kind: 'policy' }, requireSigned = false, judge }: CopyRequest,
  world: World,
): Promise<ImageVerdict> {
  const instances = { image, judged, ...(isList && { list: top.digest }) };
  return judgeInstances(instances, { by, requireSigned, ...(judge !== undefined && { judge }) }, world);
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

/** Keys and places, before anything is moved. */
async function planSigning(
  request: CopyRequest,
  destination: Destination,
  world: World,
): Promise<CopyPlan['signing']> {
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
export function signedDigests({ top, parts }: Pick<CopyPlan, 'top' | 'parts'>): readonly Digest[] {
  return [...new Set([...parts.images.map(({ digest }) => digest), top.digest])];
}

async function signCopy(
  plan: CopyPlan,
  { steps = {} }: CopyRequest,
  world: World,
): Promise<readonly MadeSignature[]> {
  const { destination, signing } = plan;
  if (signing.places.length === 0) return [];
  const { image } = destination;
  const job = { image, stores: await destination.stores(), ...signing, targets: signedDigests(plan) };
  return signTargets(job, steps.there === undefined ? {} : { there: steps.there }, world);
}

/** What is to be judged at the destination: the same, or what the changed manifests are. */
function judgedAfter({ top, parts }: Pick<CopyPlan, 'top' | 'parts'>, chosen: Chosen): CopyPlan['judged'] {
  if (top.digest === chosen.top.digest) return chosen.judged;
  return chosen.isList ? parts.images.map(({ digest }) => ({ digest })) : [{ digest: top.digest }];
}

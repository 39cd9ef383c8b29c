/** `verify`: is this image to be believed, and why. By a policy, or by keys. */
import { isIndexType, type Platform } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { type IndexManifest, type Manifest, parseManifest } from '../base/manifest.ts';
import type { Reference } from '../base/reference.ts';
import { chooseInstance, hostPlatform } from '../images/choose-instance.ts';
import type { Image } from '../images/image.ts';
import { openImage } from '../images/open.ts';
import { mapBounded } from '../io/bounded.ts';
import { type AskedAhead, askAhead } from '../stores/ahead.ts';
import type { Subject, Verdict } from '../trust/verdict.ts';
import type { AttestedInstance } from './judge/docker-attestations.ts';
import { type Judge, openJudge, type JudgedBy } from './judge.ts';
import { judgeListSignature } from './judge/list-signature.ts';
import { subjectOf } from './subject.ts';
import type { ForTool } from './verify-for.ts';
import { openWorld, type World } from './world.ts';

export type VerifyRequest = {
  readonly images: readonly ImageName[];
  /** What judges. Default: the policy that containers/image's search path finds. */
  readonly by?: JudgedBy;
  /** The Docker reference claimed for the images: the identity to match, and what selects the scope. */
  readonly as?: Reference;
  /** Judges each instance of a list; all must pass. Default: the host's, or `platform`'s. */
  readonly all?: boolean;
  /** With `all`: of a list these instances, where others are not there. */
  readonly platforms?: readonly Platform[];
  readonly platform?: Platform;
  /** Refuses an image whose policy demands no signature. */
  readonly requireSigned?: boolean;
  /** Only what this tool looks at counts. `comparesName`: podman's default rule about the name in a `.sig` holds. */
  readonly for?: { readonly tool: ForTool; readonly ignoreLog?: boolean; readonly comparesName: boolean };
};

/** The verdict on one manifest. */
export type InstanceVerdict = Verdict & {
  readonly digest: Digest;
  readonly platform?: Platform;
};

/** The verdict on one image, or why there is none. */
export type ImageVerdict = {
  readonly image: string;
  readonly accepted: boolean;
  /** Of the manifest judged; for a list judged whole, of the first refused instance, else of the first. */
  readonly digest?: Digest;
  /** Of the list, where the image is one. */
  readonly index?: Digest;
  readonly scope: Verdict['scope'];
  readonly requirements: Verdict['requirements'];
  /** Every instance, where each was judged. */
  readonly instances?: readonly InstanceVerdict[];
  /** Nothing was decided; `accepted` is false. */
  readonly error?: BullaError;
};

/** Images judged at once; each waits mostly for its registry. */
const atOnce = 16;

/**
 * Judges images as containers/image does: every instance by its own digest, under the name that was
 * asked for. A refusal is a value, in the verdict; what keeps one image from being judged is its `error`.
 * @throws BullaError `policy.*`, `key.*`, `usage.*`: what keeps all images from being judged
 */
export async function verify(request: VerifyRequest, world?: World): Promise<readonly ImageVerdict[]> {
  if (world === undefined) {
    await using own = openWorld();
    return await verify(request, own);
  }
  const judge = await openJudge(request.by ?? { kind: 'policy' }, request.requireSigned === true, world);
  return await mapBounded(request.images, atOnce, (image) => verifyOne(image, request, judge, world));
}

async function verifyOne(
  name: ImageName,
  request: VerifyRequest,
  judge: Judge,
  world: World,
): Promise<ImageVerdict> {
  try {
    // GPG signatures are come to last or not at all, and asked for where they are then
    const stores = judge.looks === 'as-configured' || judge.looks === 'for-simple';
    const ahead = aheadOf(request, judge);
    await using image = await openImage(name, world, {
      stores,
      ...(ahead !== undefined && { through: ahead.through }),
    });
    const top = await image.manifest();
    const verdicts = await judgeImage(image, top, { request, judge, ahead }, world);
    return summary(name, top, verdicts, request.all === true);
  } catch (error) {
    return undecided(name, error);
  }
}

type Judging = {
  readonly request: VerifyRequest;
  readonly judge: Judge;
  readonly ahead: AskedAhead | undefined;
};

/** Keys and identities look for signatures of any kind. For one manifest the wait counts; of many, each request does. */
function aheadOf({ by, images, all, for: tool }: VerifyRequest, { looks }: Judge): AskedAhead | undefined {
  const isAny = (by?.kind === 'keys' || by?.kind === 'identity') && looks !== 'for-simple';
  if (!isAny || images.length > 1 || all === true || tool !== undefined) return undefined;
  return askAhead({ attachments: looks !== 'for-statements' });
}

/** The manifests to judge, in order, each with its verdict. */
async function judgeImage(
  image: Image,
  top: Manifest,
  { request, judge, ahead }: Judging,
  world: World,
): Promise<readonly InstanceVerdict[]> {
  const { looks, hint } = judge;
  const judgeSubject = async (subject: Subject): Promise<Verdict> =>
    request.for === undefined ? judge.judge(subject) : judgeByTool(request.for, subject, image, judge, world);
  const subjectFor = (digest: Digest): Promise<Subject> =>
    subjectOf({ image, digest, as: request.as, looks, ...(hint !== undefined && { hint }) }, world);
  const judgeDigest = async (digest: Digest): Promise<Verdict> => {
    ahead?.ask(digest);
    const verdict = await judgeSubject(await subjectFor(digest));
    if (looks === 'as-configured') await warnOfUnread(image, verdict, world);
    return verdict;
  };
  if (!isIndexType(top.mediaType)) return [{ ...(await judgeDigest(top.digest)), digest: top.digest }];
  const list = parseManifest(top);
  if (list.kind !== 'index') throw new BullaError('manifest.malformed', 'the list is no list');
  let ofList: Promise<Verdict | undefined> | undefined;
  const byList = async (): Promise<Verdict | undefined> => {
    if (!countsLists(judge, request)) return undefined;
    return (ofList ??= subjectFor(top.digest).then((subject) => judgeListSignature(subject, judgeSubject)));
  };
  return await mapBounded(instancesOf(list, request), atOnce, async ({ digest, platform }) => {
    ahead?.ask(digest);
    // an instance that is not there, or not what its digest says, is no instance; it is judged by
    // the sha256 of its bytes, whatever algorithm the list names it by
    const instance = await image.manifest(digest);
    const verdict = await judgeDigest(instance.digest);
    const other = verdict.accepted
      ? undefined
      : ((await byAttestations(
          { image, list, named: digest, digest: instance.digest },
          request,
          judge,
          world,
        )) ?? (await byList()));
    return { ...(other ?? verdict), digest: instance.digest, ...(platform !== undefined && { platform }) };
  });
}

/** Podman never looks at a list's signatures. */
function countsLists(judge: Judge, { for: tool }: VerifyRequest): boolean {
  return judge.countsLists === true && tool?.tool !== 'podman';
}

async function judgeByTool(
  { tool, ignoreLog = false, comparesName }: NonNullable<VerifyRequest['for']>,
  subject: Subject,
  image: Image,
  judge: Judge,
  world: World,
): Promise<Verdict> {
  const { judgeFor } = await import('./verify-for.ts');
  const { dockerReference } = subject;
  const context = { ignoreLog, ...(comparesName && dockerReference !== undefined && { dockerReference }) };
  const located = await world.stores(image);
  const id = world.imageId(image, subject.manifestDigest);
  return judgeFor(tool, { subject, located, image: id }, context, judge.judge);
}

/** Statements may also stand in the list's attestation manifests, which are signed as such. */
async function byAttestations(
  instance: Omit<AttestedInstance, 'rule' | 'judgeSigned'>,
  { as }: VerifyRequest,
  { judgeSigned, hint }: Judge,
  world: World,
): Promise<Verdict | undefined> {
  if (judgeSigned === undefined || hint?.predicateType === undefined) return undefined;
  const { judgeAttestationManifests } = await import('./judge/docker-attestations.ts');
  const { image } = instance;
  return judgeAttestationManifests({
    ...instance,
    rule: { predicateType: hint.predicateType },
    judgeSigned: async (digest) =>
      judgeSigned(await subjectOf({ image, digest, as, looks: 'for-sigstore' }, world)),
  });
}

/** Where attachments are off, an image that is signed by them is judged as one without a signature. */
export async function warnOfUnread(
  image: Image,
  verdict: Pick<Verdict, 'requirements'>,
  world: World,
): Promise<void> {
  const refusal = verdict.requirements.at(-1);
  if (refusal?.type !== 'sigstoreSigned' || refusal.code !== 'trust.no-signature') return;
  const { readers, attachments } = await world.stores(image);
  if (attachments === undefined || readers.includes(attachments)) return;
  world.warn(
    `${formatImageName(image.name)}: registries.d does not turn sigstore attachments on, so none was looked for (use-sigstore-attachments)`,
  );
}

function instancesOf(
  list: IndexManifest,
  request: VerifyRequest,
): readonly { digest: Digest; platform?: Platform }[] {
  if (request.all !== true) return [chooseInstance(list, request.platform ?? hostPlatform())];
  if (request.platforms !== undefined) return request.platforms.map((each) => chooseInstance(list, each));
  if (list.manifests.length > 0) return list.manifests;
  throw new BullaError('image.no-such-platform', 'the list is empty');
}

function summary(
  name: ImageName,
  top: Manifest,
  verdicts: readonly InstanceVerdict[],
  all: boolean,
): ImageVerdict {
  const shown = verdicts.find((each) => !each.accepted) ?? verdicts[0];
  if (shown === undefined) throw new BullaError('internal.bug', 'nothing was judged');
  return {
    image: formatImageName(name),
    accepted: verdicts.every((each) => each.accepted),
    digest: shown.digest,
    ...(isIndexType(top.mediaType) && { index: top.digest }),
    scope: shown.scope,
    requirements: shown.requirements,
    ...(all && isIndexType(top.mediaType) && { instances: verdicts }),
  };
}

function undecided(name: ImageName, error: unknown): ImageVerdict {
  const known = error instanceof BullaError ? error : bug(error);
  return { image: formatImageName(name), accepted: false, scope: null, requirements: [], error: known };
}

function bug(cause: unknown): BullaError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new BullaError('internal.bug', `unexpected: ${message}`, { cause });
}

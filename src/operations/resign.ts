/** `resign`: new signatures for a rotated key, on what verifies under the old one and the policy, and on nothing else. */
import { BullaError, isBullaError } from '../base/errors.ts';
import { formatReference, repositoryOf } from '../base/reference.ts';
import type { Signer } from '../keys/signer.ts';
import { type DigestRecord, readDigestRecord } from './resign/digest-record.ts';
import { findImages, type FoundImage, type Missed } from './find-images.ts';
import { inParallel } from './in-parallel.ts';
import { openPolicyJudge, type WitnessFiles } from './judge.ts';
import { type Clock, openPace, type Pace, type Rate } from './resign/pace.ts';
import { checkRotation, idsOf, keysOfSigner, type KnownKeys, openKnownKeys } from './resign/keys.ts';
import type { Reason } from './resign/old.ts';
import { type PlannedImage, type PlannedSignature, planImage, type Rotation } from './resign/plan.ts';
import { signPlanned } from './resign/sign.ts';
import { planOf } from './sign/formats.ts';
import { inTurn } from './sign/in-turn.ts';
import type { SigningFormat, SigningPlan } from './sign/plan.ts';
import type { Where } from './where.ts';
import type { World } from './world.ts';

export type ResignRequest = {
  /** The old key: a public key file, a key URI, or what names a key of the keyrings. */
  readonly from: string;
  /** The new key, opened or on its way. Formats are those of the old signatures. */
  readonly to: Signer | SigningPlan | Promise<Signer | SigningPlan>;
  /** The new key's public part, as `from`; needed where a GPG key is in no keyring. Default: the signer's own, or the keyrings'. */
  readonly toPublic?: string;
  readonly where: readonly Where[];
  /** policy.json or trust.yaml. Default: as containers/image searches. It must demand a signature. */
  readonly policy?: string;
  /** A file of digests that are known to be good: see parseDigestRecord. */
  readonly digests?: string;
  /** When the old key was stolen. From there on only the record counts, and trusted times before. */
  readonly compromisedSince?: Date;
  /** By whom trusted times are vouched for. */
  readonly witnesses?: Pick<WitnessFiles, 'trustedRoots' | 'rekorKeys' | 'offline'>;
  /** Plans, and signs nothing. */
  readonly dryRun?: boolean;
  /** Is shown the plan; false: nothing is signed. Not asked where there is nothing to sign. */
  readonly confirm?: (plan: ResignReceipt) => Promise<boolean>;
  /** So many steps in so long: a list of tags, a manifest looked up, judged, or signed. Default: as fast as it goes. */
  readonly rate?: Rate;
  /** The rate's. */
  readonly clock?: Clock;
  /** Steps under way at once. Default: 4. */
  readonly atOnce?: number;
  readonly progress?: (step: 'find' | 'judge' | 'sign', done: number, total: number) => void;
};

export type ResignedSignature = {
  readonly format: SigningFormat;
  /** The reference that is signed for; of a bundle the one that it was found by. */
  readonly identity: string;
  /** Where it is stored; before it is, the store's description. */
  readonly location: string;
  /** `there`: the new key had signed before. */
  readonly state: 'planned' | 'signed' | 'there';
};

export type ResignedImage = {
  /** `docker://` and the repository. */
  readonly image: string;
  readonly digest: string;
  /** Under which it was found, or a list that names it. */
  readonly names: readonly string[];
  readonly isList: boolean;
  /**
   * `planned`: would be signed. `signed`, `there`: the new key vouches for all that the old one did. `not-by-old`: of no concern.
   * `refused`: the old key has signed, and that does not count. `failed`: nothing was decided, or not all is stored.
   */
  readonly state: 'planned' | 'signed' | 'there' | 'not-by-old' | 'refused' | 'failed';
  readonly signatures: readonly ResignedSignature[];
  /** Why not; beside signatures: why not under some of its names. */
  readonly reason?: Reason;
};

export type ResignReceipt = {
  /** Fingerprints, and SHA-256 of sigstore keys. */
  readonly from: readonly string[];
  readonly to: string;
  readonly images: readonly ResignedImage[];
  /** What could not be looked at. */
  readonly missed: readonly Missed[];
  /** Digests of the record that name no repository, and were found nowhere. */
  readonly unseen: readonly string[];
  /** False: a dry run, or it was not confirmed. */
  readonly isDone: boolean;
};

/**
 * Plans everything, then signs. Digests that were decided on are what is signed, whatever a tag means by then; old signatures stay.
 * What was cut off is completed by doing it again: what the new key has signed is read from the stores. One image that fails keeps
 * no other from being signed: its error is in the receipt.
 * @throws BullaError `resign.same-key`, `resign.digests-malformed`, `usage.invalid`, `policy.*`, `key.*`, `io.*`
 */
export async function resign(request: ResignRequest, outer: World): Promise<ResignReceipt> {
  const world = { ...outer, warn: onceEach(outer.warn) };
  const rotation = await openRotation(request, world);
  const pace = openPace(request.rate, request.clock, world.signal);
  const steps: Steps = { request, rotation, pace, atOnce: request.atOnce ?? 4, world };
  const found = await findImages(findRequest(steps), world);
  const planned = await planAll(found.images, steps);
  const receipt = (images: readonly ResignedImage[], isDone: boolean): ResignReceipt => ({
    from: idsOf(rotation.old.names),
    to: rotation.plan.signer.keyId,
    images,
    missed: found.missed,
    unseen: found.unseen,
    isDone,
  });
  const plan = receipt(
    planned.map((each) => describe(each)),
    request.dryRun !== true,
  );
  const isNothing = plan.images.every(({ state }) => state !== 'planned');
  if (request.dryRun === true || isNothing) return plan;
  if (request.confirm !== undefined && !(await request.confirm(plan))) return { ...plan, isDone: false };
  return receipt(await signAll(planned, steps), true);
}

/** What is to be said of every image alike is said once. */
function onceEach(warn: World['warn']): World['warn'] {
  const said = new Set<string>();
  return (message) => {
    if (said.has(message)) return;
    said.add(message);
    warn(message);
  };
}

type Steps = {
  readonly request: ResignRequest;
  readonly rotation: Rotation;
  readonly pace: Pace;
  readonly atOnce: number;
  readonly world: World;
};

async function openRotation(request: ResignRequest, world: World): Promise<Rotation> {
  const { from, toPublic, witnesses = {}, compromisedSince: since } = request;
  const given = planOf(await request.to);
  const plan = { ...given, signer: inTurn(given.signer) };
  const [old, next, policy, record] = await Promise.all([
    openKnownKeys(from, witnesses, world),
    toPublic === undefined ? keysOfSigner(plan, world) : openKnownKeys(toPublic, {}, world),
    openPolicyJudge(policyOf(request), true, world),
    request.digests === undefined ? undefined : readDigestRecord(request.digests),
  ]);
  checkRotation(old.names, next.names);
  if (toPublic !== undefined && !idsOf(next.names).includes(plan.signer.keyId)) {
    throw new BullaError('usage.invalid', `${toPublic} is not the public part of ${plan.signer.keyId}`);
  }
  if (since !== undefined) checkCompromise(since, old, record, world);
  return {
    // by roots, even none, every witness that is there is looked at
    old: since === undefined ? old : { ...old, keys: { roots: [], ...old.keys } },
    next,
    plan,
    policy,
    since: since?.getTime(),
    ...(record !== undefined && { record }),
  };
}

function policyOf({ policy, witnesses }: ResignRequest): { file?: string; offline?: boolean } {
  return {
    ...(policy !== undefined && { file: policy }),
    ...(witnesses?.offline !== undefined && { offline: witnesses.offline }),
  };
}

/** What could let nothing be signed is better said before a registry is asked. */
function checkCompromise(
  since: Date,
  { keys }: KnownKeys,
  record: DigestRecord | undefined,
  world: World,
): void {
  if (!(since.getTime() <= world.now().getTime())) {
    throw new BullaError('usage.invalid', 'the old key cannot have been compromised in the future');
  }
  const hasWitnesses = (keys.roots?.length ?? 0) + (keys.rekorKeys?.length ?? 0) > 0;
  if (record !== undefined || (hasWitnesses && keys.keyring === undefined)) return;
  const what =
    keys.keyring === undefined
      ? 'nothing is named that could tell when a signature was made'
      : 'nothing but the signer tells when a GPG signature was made';
  throw new BullaError('usage.invalid', `${what}, so a compromised key’s signatures all may be the thief’s`, {
    hint:
      keys.keyring === undefined
        ? 'give --rekor-key or --trusted-root for trusted times, or --digests with what you know to be good'
        : 'give --digests with what you know to be good',
  });
}

function findRequest({ request, rotation, pace, atOnce }: Steps): Parameters<typeof findImages>[0] {
  const { record } = rotation;
  return {
    where: request.where,
    atOnce,
    pace,
    progress: (done, total) => request.progress?.('find', done, total),
    ...(record !== undefined && { record }),
  };
}

/** What was decided of an image, or why nothing could be. */
type Planned = { readonly found: FoundImage; readonly plan: PlannedImage | BullaError };

async function planAll(images: readonly FoundImage[], steps: Steps): Promise<readonly Planned[]> {
  return eachInTurn(images, 'judge', steps, async (found) => ({
    found,
    plan: await orError(() => planImage(found, steps.rotation, steps.world)),
  }));
}

async function signAll(planned: readonly Planned[], steps: Steps): Promise<readonly ResignedImage[]> {
  const isToSign = ({ plan }: Planned): boolean =>
    !(plan instanceof BullaError) && plan.signatures.some(({ isThere }) => !isThere);
  const signed = await eachInTurn(planned.filter(isToSign), 'sign', steps, async (each) => {
    if (each.plan instanceof BullaError) return [each, describe(each)] as const;
    return [each, await signOne(each.plan, steps)] as const;
  });
  const results = new Map(signed);
  return planned.map((each) => results.get(each) ?? describe(each));
}

async function signOne(plan: PlannedImage, { rotation, world }: Steps): Promise<ResignedImage> {
  const done = new Map<PlannedSignature, string>();
  const result = await orError(() => signPlanned(plan, rotation.plan, done, world));
  const described = describe({ found: plan, plan }, done);
  if (!(result instanceof BullaError)) return { ...described, state: 'signed' };
  return { ...described, state: 'failed', reason: reasonOf(result) };
}

/** Bounded in number and in rate, with its progress told. */
async function eachInTurn<T, R>(
  items: readonly T[],
  step: 'judge' | 'sign',
  { request, pace, atOnce }: Steps,
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  let done = 0;
  return inParallel(items, atOnce, async (item) => {
    await pace();
    const result = await work(item);
    done += 1;
    request.progress?.(step, done, items.length);
    return result;
  });
}

async function orError<T>(work: () => Promise<T>): Promise<T | BullaError> {
  try {
    return await work();
  } catch (error) {
    if (isBullaError(error)) return error;
    throw error;
  }
}

function reasonOf({ code, message, hint }: BullaError): Reason {
  return { code, message, ...(hint !== undefined && { hint }) };
}

/** @param done what is stored by now, and where */
function describe(
  { found, plan }: Planned,
  done: ReadonlyMap<PlannedSignature, string> = new Map(),
): ResignedImage {
  const base = {
    image: `docker://${repositoryOf(found.repository)}`,
    digest: found.digest,
    names: found.names.map(formatReference),
    isList: found.isList,
  };
  if (plan instanceof BullaError) return { ...base, state: 'failed', signatures: [], reason: reasonOf(plan) };
  const signatures = plan.signatures.map((each): ResignedSignature => {
    const { format, identity, store, isThere } = each;
    const location = done.get(each);
    const state = isThere ? 'there' : location === undefined ? 'planned' : 'signed';
    return { format, identity: formatReference(identity), location: location ?? store, state };
  });
  const reason = plan.reason === undefined ? {} : { reason: plan.reason };
  return { ...base, state: stateOf(plan), signatures, ...reason };
}

function stateOf({ signatures, isByOld }: PlannedImage): ResignedImage['state'] {
  if (signatures.length === 0) return isByOld ? 'refused' : 'not-by-old';
  return signatures.every(({ isThere }) => isThere) ? 'there' : 'planned';
}

/** `key impact`: what would no longer be accepted if a key were gone. Nothing is written, and no file is edited for it. */
import { BullaError, isBullaError } from '../base/errors.ts';
import { formatReference, repositoryOf } from '../base/reference.ts';
import { openDockerDigest } from '../images/docker.ts';
import { withoutKeys } from '../trust/key-view.ts';
import type { Verdict } from '../trust/verdict.ts';
import { findImages, type FoundImage, type Missed } from './find-images.ts';
import { inParallel } from './in-parallel.ts';
import { openPolicyJudge, type PolicyJudge } from './judge.ts';
import { believes, findImpactKey, type PolicyScope, scopesWithKeys } from './resign/impact-key.ts';
import { type Clock, openPace, type Rate } from './resign/pace.ts';
import { rememberSignatures } from './resign/remember-signatures.ts';
import { idsOf } from './resign/keys.ts';
import type { Reason } from './resign/old.ts';
import { subjectOf } from './subject.ts';
import { parseWhere, type Where } from './where.ts';
import type { World } from './world.ts';

export type KeyImpactRequest = {
  /** A file, a key URI, a fingerprint, long ID, mail or user ID, or the SHA-256 of a sigstore key. */
  readonly key: string;
  /** Default: the registries, namespaces and images that the policy names where it believes the key. */
  readonly where?: readonly Where[];
  /** policy.json or trust.yaml. Default: as containers/image searches. */
  readonly policy?: string;
  readonly offline?: boolean;
  /** So many manifests looked up and images judged in so long. Default: as fast as it goes. */
  readonly rate?: Rate;
  readonly clock?: Clock;
  /** Default: 4. */
  readonly atOnce?: number;
  readonly progress?: (step: 'find' | 'judge', done: number, total: number) => void;
};

export type ImageImpact = {
  /** `docker://` and the repository. */
  readonly image: string;
  readonly digest: string;
  /** Under which it is accepted now, and would not be without the key. */
  readonly lost: readonly string[];
  /** Under which it would still be accepted. */
  readonly kept: readonly string[];
  /** Under which it is not accepted now. */
  readonly refused: readonly string[];
  /** Why it would not be accepted; with an error's code where nothing was decided. */
  readonly reason?: Reason;
  readonly isDecided: boolean;
};

export type KeyImpact = {
  /** Fingerprints, and SHA-256 of sigstore keys. */
  readonly keys: readonly string[];
  /** Whether the policy believes any of them anywhere. */
  readonly isBelieved: boolean;
  /** Every manifest that a policy judges: of a list its instances. */
  readonly images: readonly ImageImpact[];
  /** What could not be looked at. */
  readonly missed: readonly Missed[];
};

/**
 * Judges each image twice, by the policy as it is and without the key, wherever the key stands: in keyrings, among several keys, as
 * one of a signer's. A registry is asked once.
 * @throws BullaError `key.*`, `policy.*`, `trust.key-unavailable`, `usage.invalid`, `io.*`
 */
export async function keyImpact(request: KeyImpactRequest, world: World): Promise<KeyImpact> {
  const { policy: file, offline } = request;
  const policy = await openPolicyJudge(
    { ...(file !== undefined && { file }), ...(offline !== undefined && { offline }) },
    false,
    world,
  );
  const scopes = await scopesWithKeys(policy.policy);
  const names = await findImpactKey(request.key, scopes, world);
  const named = scopes.filter(({ keys }) => believes(keys, names));
  const { where, missed } =
    request.where === undefined ? whereOf(named) : { where: request.where, missed: [] };
  const atOnce = request.atOnce ?? 4;
  const pace = openPace(request.rate, request.clock, world.signal);
  const progress = (done: number, total: number): void => request.progress?.('find', done, total);
  const found = await findImages({ where, atOnce, pace, progress }, world);
  const manifests = found.images.filter(({ isList }) => !isList);
  const without = withoutKeys(names);
  let done = 0;
  const images = await inParallel(manifests, atOnce, async (image) => {
    await pace();
    const impact = await impactOn(image, policy, without, world);
    request.progress?.('judge', (done += 1), manifests.length);
    return impact;
  });
  return { keys: idsOf(names), isBelieved: named.length > 0, images, missed: [...missed, ...found.missed] };
}

/** What the policy names is looked at; what it says of everything cannot be. */
function whereOf(scopes: readonly PolicyScope[]): {
  readonly where: readonly Where[];
  readonly missed: readonly Missed[];
} {
  const [where, missed]: [Where[], Missed[]] = [[], []];
  for (const { transport, name } of scopes) {
    if (transport === 'docker' && name !== '' && !name.startsWith('*.')) {
      where.push(parseWhere(name.includes('/') ? name : `${name}/`));
      continue;
    }
    const scope =
      name === ''
        ? `the default${transport === '' ? '' : ` of ${transport}`}`
        : `the scope ${transport} ${name}`;
    const message = `the policy believes the key in ${scope}, which names no registry to look into`;
    const error = new BullaError('registry.no-catalog', message, {
      hint: 'name registries, namespaces or images',
    });
    missed.push({ what: scope, error });
  }
  return { where, missed };
}

async function impactOn(
  { repository, digest, names }: FoundImage,
  policy: PolicyJudge,
  without: ReturnType<typeof withoutKeys>,
  outer: World,
): Promise<ImageImpact> {
  await using world = rememberSignatures(outer);
  const base = { image: `docker://${repositoryOf(repository)}`, digest };
  const [lost, kept, refused]: [string[], string[], string[]] = [[], [], []];
  let reason: Reason | undefined;
  try {
    for (const name of names) {
      const image = await openDockerDigest(name, digest, world.registries);
      const subject = await subjectOf({ image, digest, as: undefined, looks: policy.looks }, world);
      const text = formatReference(name);
      if (!(await policy.judge(subject)).accepted) {
        refused.push(text);
        continue;
      }
      const verdict = await policy.judge(subject, { view: without });
      (verdict.accepted ? kept : lost).push(text);
      if (!verdict.accepted) reason ??= refusalOf(verdict);
    }
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return {
      ...base,
      lost,
      kept,
      refused,
      isDecided: false,
      reason: { code: error.code, message: error.message },
    };
  }
  return { ...base, lost, kept, refused, isDecided: true, ...(reason !== undefined && { reason }) };
}

function refusalOf({ requirements }: Verdict): Reason {
  const { code, message } = requirements.at(-1) ?? {};
  return { code: code ?? 'trust.not-accepted', message: message ?? 'the policy refuses it' };
}

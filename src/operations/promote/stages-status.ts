/** `promote status`: what each tag stands for in each stage, who signed it there, and what keeps it from the next. */
import type { Digest } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import { openDockerSink } from '../../images/docker.ts';
import { isAttachmentTag } from '../../registry/referrers.ts';
import { inParallel } from '../in-parallel.ts';
import { instancesOf, type LineageSigner, signersOf } from './lineage.ts';
import { readingWritten } from './stores.ts';
import { referenceIn, type Stage, type StagedName, type Stages, worldOf } from '../stages.ts';
import { type ImageVerdict, verify } from '../verify.ts';
import type { World } from '../world.ts';

/** Why something is not so; `code` where it is an error's or a verdict's. */
export type StatusReason = { readonly code?: string; readonly message: string };

export type StageStatus = {
  readonly stage: string;
  /** With its transport. */
  readonly image: string;
  /** Null: there is no such tag, or it could not be told (`error`). */
  readonly digest: Digest | null;
  /** The stage's policy's verdict on every instance; null where there is none. */
  readonly accepted: boolean | null;
  readonly signers: readonly LineageSigner[];
  /** Why the policy refuses. */
  readonly reasons: readonly StatusReason[];
  /** Nothing could be decided. */
  readonly error?: { readonly code: string; readonly message: string };
  /** What keeps it from the next stage; empty: it is there, and accepted there. Not there for the last stage. */
  readonly next?: { readonly stage: string; readonly missing: readonly StatusReason[] };
};

export type TagStatus = { readonly tag: string; readonly stages: readonly StageStatus[] };

export type StagesStatus = {
  readonly app: string;
  readonly tags: readonly TagStatus[];
  /** Stages whose tags could not be listed. */
  readonly unlisted: readonly { readonly stage: string; readonly code: string; readonly message: string }[];
};

/**
 * Looks at an image in all stages; nothing is written. Without a tag, at every tag that any of them has.
 * @throws BullaError `usage.invalid` (too many tags), `policy.*`, `registries-d.*`, `reference.malformed`
 */
export async function stagesStatus(stages: Stages, name: StagedName, world: World): Promise<StagesStatus> {
  const { path, tag } = name;
  const listed = tag === undefined ? await listTags(stages, path, world) : { tags: [tag], unlisted: [] };
  const tags = await inParallel(listed.tags, tagsAtOnce, async (each): Promise<TagStatus> => {
    const looks = await inParallel(stages.stages, stagesAtOnce, (stage) =>
      lookAt(stage, { path, tag: each }, world),
    );
    return {
      tag: each,
      stages: looks.map((look, index) => statusOf(look, looks[index + 1], { path, tag: each })),
    };
  });
  return { app: path, tags, unlisted: listed.unlisted };
}

const tagsAtOnce = 4;
const stagesAtOnce = 4;
/** More would be hours of asking. */
const mostTags = 500;

type Listed = { readonly tags: readonly string[]; readonly unlisted: StagesStatus['unlisted'] };

async function listTags({ stages }: Stages, path: string, world: World): Promise<Listed> {
  const found = await inParallel(stages, stagesAtOnce, async (stage) => {
    try {
      return { tags: await tagsIn(stage, path, world) };
    } catch (error) {
      if (!isBullaError(error)) throw error;
      return { tags: [], failure: { stage: stage.name, code: error.code, message: error.message } };
    }
  });
  const tags = [...new Set(found.flatMap((each) => each.tags))].toSorted();
  if (tags.length > mostTags) {
    throw new BullaError('usage.invalid', `${path} has ${tags.length} tags`, {
      hint: `name one: ${path}:TAG`,
    });
  }
  return { tags, unlisted: found.flatMap(({ failure }) => failure ?? []) };
}

/** Tags that people gave: not those of cosign's signatures and of the list of referrers. */
async function tagsIn(stage: Stage, path: string, world: World): Promise<readonly string[]> {
  const reference = referenceIn(stage, { path, tag: 'latest' });
  const { registry } = await openDockerSink(reference, world.registries);
  try {
    const tags = await registry.tags(reference.path);
    return tags.filter((each) => !isAttachmentTag(each));
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return [];
    throw error;
  }
}

type Look = {
  readonly stage: Stage;
  readonly image: ImageName;
  readonly verdict: ImageVerdict;
  /** It would be accepted once its signatures are published. */
  readonly isWaiting: boolean;
};

async function lookAt(stage: Stage, name: Required<StagedName>, world: World): Promise<Look> {
  const image: ImageName = { transport: 'docker', reference: referenceIn(stage, name) };
  const own = await worldOf(stage, world);
  const request = { images: [image], by: stage.by, all: true, requireSigned: true };
  const judge = async (by: World): Promise<ImageVerdict> => {
    const [verdict] = await verify(request, by);
    if (verdict === undefined) throw new BullaError('internal.bug', 'no verdict');
    return verdict;
  };
  const verdict = await judge(own);
  const isRefused = !verdict.accepted && verdict.error === undefined;
  const isWaiting = isRefused && (await judge(readingWritten(own))).accepted;
  return { stage, image, verdict, isWaiting };
}

/** Of the list where it is one. */
function digestOf({ index, digest }: ImageVerdict): Digest | undefined {
  return index ?? digest;
}

function isAbsent({ error }: ImageVerdict): boolean {
  return error?.code === 'image.not-found';
}

function statusOf(look: Look, next: Look | undefined, name: Required<StagedName>): StageStatus {
  const { stage, image, verdict } = look;
  const { error } = verdict;
  const digest = digestOf(verdict);
  return {
    stage: stage.name,
    image: formatImageName(image),
    digest: digest ?? null,
    accepted: error === undefined ? verdict.accepted : null,
    signers: signersOf(verdict),
    reasons: reasonsOf(look),
    ...(error !== undefined && !isAbsent(verdict) && { error: { code: error.code, message: error.message } }),
    ...(next !== undefined && { next: { stage: next.stage.name, missing: missingFor(look, next, name) } }),
  };
}

/** The refusing requirement of every instance that is refused, once each. */
function reasonsOf({ verdict, isWaiting }: Pick<Look, 'verdict' | 'isWaiting'>): readonly StatusReason[] {
  if (verdict.accepted || verdict.error !== undefined) return [];
  if (isWaiting) return [{ message: 'its signatures wait to be published' }];
  const reasons = instancesOf(verdict)
    .filter((each) => !each.accepted)
    .map(({ requirements }) => requirements.at(-1))
    .filter((each) => each !== undefined)
    .map(({ code, message = 'the policy refuses it' }) => ({ ...(code !== undefined && { code }), message }));
  return [...new Map(reasons.map((each) => [`${each.code} ${each.message}`, each])).values()].slice(
    0,
    mostReasons,
  );
}

const mostReasons = 10;

function missingFor(here: Look, next: Look, { path, tag }: Required<StagedName>): readonly StatusReason[] {
  const promote = `bulla promote ${path}:${tag} --to ${next.stage.name}`;
  const { name } = here.stage;
  if (here.verdict.error !== undefined && !isAbsent(here.verdict))
    return [{ code: here.verdict.error.code, message: `${name} could not be read` }];
  if (isAbsent(here.verdict)) return [{ message: `it is not in ${name}` }];
  if (!here.verdict.accepted) return [{ message: `${name}’s own policy refuses it` }, ...reasonsOf(here)];
  if (next.verdict.error !== undefined && !isAbsent(next.verdict))
    return [{ code: next.verdict.error.code, message: `${next.stage.name} could not be read` }];
  if (isAbsent(next.verdict)) return [{ message: `not promoted yet: ${promote}` }];
  if (digestOf(next.verdict) !== digestOf(here.verdict))
    return [{ message: `another image has this tag there: ${promote}` }];
  if (next.verdict.accepted) return [];
  return next.isWaiting
    ? reasonsOf(next)
    : [{ message: `${next.stage.name}’s policy refuses it: ${promote}` }, ...reasonsOf(next)];
}

/** The verdict on all images that a copy consists of, each by its own digest. */
import type { Platform } from '../../base/descriptor.ts';
import type { Digest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName } from '../../base/image-name.ts';
import type { Image } from '../../images/image.ts';
import { inParallel } from '../in-parallel.ts';
import { type Judge, type JudgedBy, openJudge } from '../judge.ts';
import { subjectOf } from '../subject.ts';
import type { ImageVerdict, InstanceVerdict } from '../verify.ts';
import type { World } from '../world.ts';

export type JudgedInstances = {
  /** Its name is what is judged, and its stores have the signatures. */
  readonly image: Image;
  readonly judged: readonly { readonly digest: Digest; readonly platform?: Platform }[];
  /** Of the list, where it is one. */
  readonly list?: Digest;
};

/** Images judged at once. */
const atOnce = 16;

/**
 * Judges them all; one refusal refuses the whole.
 * @throws BullaError `image.no-such-platform` for an empty list, `policy.*`, `store.*`, `registry.*`, `trust.key-unavailable`
 */
export async function judgeInstances(
  { image, judged, list }: JudgedInstances,
  {
    by,
    requireSigned,
    judge: opened,
  }: { readonly by: JudgedBy; readonly requireSigned: boolean; readonly judge?: Judge },
  world: World,
): Promise<ImageVerdict> {
  if (judged.length === 0) throw new BullaError('image.no-such-platform', 'the list is empty');
  const { judge, looks, hint } = opened ?? (await openJudge(by, requireSigned, world));
  const verdicts = await inParallel(judged, atOnce, async (each): Promise<InstanceVerdict> => {
    const wanted = { image, digest: each.digest, as: undefined, looks, ...(hint !== undefined && { hint }) };
    return { ...(await judge(await subjectOf(wanted, world))), ...each };
  });
  const [first] = verdicts;
  const shown = verdicts.find(({ accepted }) => !accepted) ?? first;
  if (shown === undefined) throw new BullaError('internal.bug', 'nothing was judged');
  return {
    image: formatImageName(image.name),
    accepted: verdicts.every(({ accepted }) => accepted),
    digest: shown.digest,
    ...(list !== undefined && { index: list, instances: verdicts }),
    scope: shown.scope,
    requirements: shown.requirements,
  };
}

/** Judging the images of a transfer bundle, on its near side and on its far side alike: every instance, by `verify`. */
import type { ImageName } from '../../base/image-name.ts';
import { inParallel } from '../in-parallel.ts';
import type { JudgedBy } from '../judge.ts';
import { platformOf } from './check.ts';
import { type ImageVerdict, verify } from '../verify.ts';
import type { World } from '../world.ts';

export type JudgingRequest = { readonly by?: JudgedBy; readonly requireSigned?: boolean };

const atOnce = 4;

/**
 * The verdicts in the images' order.
 * @throws BullaError what keeps all images from being judged: `policy.*`, `key.*`, `trusted-root.*`
 */
export async function judgeImages(
  images: readonly { readonly name: ImageName; readonly platforms?: readonly string[] }[],
  { by, requireSigned = false }: JudgingRequest,
  world: World,
): Promise<readonly ImageVerdict[]> {
  const verdicts = await inParallel(images, atOnce, ({ name, platforms }) =>
    verify(
      {
        images: [name],
        all: true,
        requireSigned,
        ...(by !== undefined && { by }),
        ...(platforms !== undefined && { platforms: platforms.map(platformOf) }),
      },
      world,
    ),
  );
  return verdicts.flat();
}

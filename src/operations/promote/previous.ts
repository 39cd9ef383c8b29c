/** What the destination's name means, and how that stays reachable under a name of its own. */
import { type Digest, hexOf } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatImageName } from '../../base/image-name.ts';
import type { Manifest } from '../../base/manifest.ts';
import type { Registry } from '../../registry/registry.ts';
import type { Destination } from '../copy/destination.ts';

/** A destination in a registry, its name's parts. */
export type NamedPlace = {
  readonly registry: Registry;
  readonly path: string;
  readonly tag: string;
  readonly name: string;
};

/** @throws BullaError `usage.invalid` where a promotion can give no name */
export function placeNamed({ registry, name }: Pick<Destination, 'registry' | 'name'>): NamedPlace {
  if (registry === undefined || name.transport !== 'docker' || name.reference.digest !== undefined) {
    throw new BullaError('usage.invalid', `cannot promote to ${formatImageName(name)}`, {
      hint: 'a promotion gives a tag in a registry its meaning: docker://host/path:tag',
    });
  }
  const { path, tag = 'latest' } = name.reference;
  return { registry, path, tag, name: formatImageName(name) };
}

/** What a tag means. Undefined: there is none. @throws BullaError `registry.*`, `manifest.*` */
export async function meaningOf({ registry, path }: NamedPlace, tag: string): Promise<Manifest | undefined> {
  try {
    return await registry.manifest(path, tag);
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    throw error;
  }
}

const longestTag = 128;

/** `1.4` that meant `sha256:0123456789ab…` goes on as `1.4-previous-0123456789ab`. */
export function previousTag(tag: string, digest: Digest): string {
  const suffix = `-previous-${hexOf(digest).slice(0, 12)}`;
  return `${tag.slice(0, longestTag - suffix.length)}${suffix}`;
}

/**
 * Looks whether the tag for the previous image is free, or means it already.
 * @throws BullaError `promote.tag-taken`
 */
export async function checkPreviousTag(place: NamedPlace, previous: Digest): Promise<string> {
  const tag = previousTag(place.tag, previous);
  const there = await meaningOf(place, tag);
  if (there === undefined || there.digest === previous) return tag;
  throw new BullaError(
    'promote.tag-taken',
    `${place.name}: the tag ${tag} is there and means ${there.digest}`,
    {
      hint: `it was to keep ${previous}, which ${place.tag} means now; rename it, or promote without --keep-previous`,
    },
  );
}

/**
 * Gives the previous image its tag, in the very bytes that the name meant.
 * @returns the tag
 * @throws BullaError as `checkPreviousTag`, and `registry.*`
 */
export async function keepPrevious(place: NamedPlace, previous: Manifest): Promise<string> {
  const tag = await checkPreviousTag(place, previous.digest);
  if ((await meaningOf(place, tag)) === undefined)
    await place.registry.putManifest(place.path, tag, previous);
  return tag;
}

/**
 * Nobody else may have given the name another meaning meanwhile: what was told of it would be wrong.
 * @throws BullaError `registry.changed`
 */
export async function checkUnmoved(
  place: NamedPlace,
  before: Digest | undefined,
  promoted: Digest,
): Promise<void> {
  const now = (await meaningOf(place, place.tag))?.digest;
  if (now === before || now === promoted) return;
  throw new BullaError(
    'registry.changed',
    `${place.name} meant ${before ?? 'nothing'} when the promotion began, and means ${now ?? 'nothing'} now`,
    { hint: 'somebody else has written the tag; it stays as it is: look, and promote again' },
  );
}

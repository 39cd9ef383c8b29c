/** From WHERE to repositories: those that are named, and those that a registry's catalog lists below a path. */
import { BullaError, isBullaError } from '../base/errors.ts';
import { type Reference, repositoryOf } from '../base/reference.ts';
import { isAttachmentTag } from '../registry/referrers.ts';
import type { Registry } from '../registry/registry.ts';
import type { Missed } from './find-images.ts';
import type { Pace } from './resign/pace.ts';
import { isAtOrBelow, type Place, type Where } from './where.ts';
import type { World } from './world.ts';

/** A repository with what is to be looked at in it. */
export type Repository = {
  readonly place: Reference;
  readonly registry: Registry;
  /** All its tags that name images; undefined where single images are named, in `images`. */
  readonly tags: readonly string[] | undefined;
  readonly images: readonly Reference[];
};

export type FoundRepositories = {
  readonly repositories: readonly Repository[];
  readonly missed: readonly Missed[];
  /** Whether WHERE speaks of that repository. */
  readonly covers: (place: Place) => boolean;
};

/**
 * Asks each registry for its catalog once, and each repository for its tags, at the pace that is set. What cannot be looked at is said, and keeps nobody else
 * from being looked at.
 * @throws BullaError `registry.blocked`, `registries-conf.malformed`, `auth-file.*`
 */
export async function findRepositories(
  where: readonly Where[],
  pace: Pace,
  world: World,
): Promise<FoundRepositories> {
  const finding: Finding = { world, pace, catalogs: new Map(), found: new Map(), missed: [], tops: [] };
  for (const each of where) {
    try {
      await findOne(each, finding);
    } catch (error) {
      if (!isBullaError(error)) throw error;
      finding.missed.push({ what: nameOf(each), error });
    }
  }
  const { found, missed, tops } = finding;
  const covers = (place: Place): boolean =>
    found.has(keyOf(place)) || tops.some((top) => isAtOrBelow(place, top));
  return { repositories: [...found.values()], missed, covers };
}

type Finding = {
  readonly world: World;
  readonly pace: Pace;
  readonly catalogs: Map<string, Promise<readonly string[]>>;
  readonly found: Map<string, Repository>;
  readonly missed: Missed[];
  /** Everything below these is spoken of. */
  readonly tops: Place[];
};

async function findOne(where: Where, finding: Finding): Promise<void> {
  switch (where.kind) {
    case 'image':
      return addImage(where.reference, finding);
    case 'repository': {
      if (await addRepository(where.reference, finding)) return undefined;
      return addNamespace(where.reference, finding);
    }
    case 'namespace':
      return addNamespace(where, finding);
  }
}

async function addImage(reference: Reference, { found, world }: Finding): Promise<void> {
  const key = keyOf(reference);
  const known = found.get(key);
  const place = known?.place ?? placeOf(reference);
  const registry = known?.registry ?? (await openRegistry(place, world));
  found.set(key, { place, registry, tags: known?.tags, images: [...(known?.images ?? []), reference] });
}

/** False: there is no such repository, or nothing in it has a tag. */
async function addRepository(reference: Reference, { found, pace, world }: Finding): Promise<boolean> {
  const key = keyOf(reference);
  const known = found.get(key);
  if (known?.tags !== undefined) return true;
  const place = placeOf(reference);
  const registry = known?.registry ?? (await openRegistry(place, world));
  await pace();
  const tags = await tagsOf(registry, place.path);
  if (tags === undefined || tags.length === 0) return false;
  found.set(key, { place, registry, tags, images: known?.images ?? [] });
  return true;
}

async function addNamespace(top: Place, finding: Finding): Promise<void> {
  finding.tops.push({ domain: top.domain, path: top.path });
  const paths = await catalogOf(top.domain, finding);
  const places = paths
    .map((path) => ({ domain: top.domain, path }))
    .filter((place) => isAtOrBelow(place, top));
  if (places.length === 0) {
    throw new BullaError(
      'image.not-found',
      `there is no repository at or below ${nameOf({ ...top, kind: 'namespace' })}`,
    );
  }
  for (const place of places) {
    try {
      await addRepository(place, finding);
    } catch (error) {
      if (!isBullaError(error)) throw error;
      finding.missed.push({ what: `docker://${repositoryOf(place)}`, error });
    }
  }
}

async function catalogOf(domain: string, { catalogs, world }: Finding): Promise<readonly string[]> {
  const known = catalogs.get(domain);
  if (known !== undefined) return known;
  const asking = openRegistry({ domain, path: 'catalog' }, world).then((registry) => registry.repositories());
  catalogs.set(domain, asking);
  return asking;
}

/** A repository that is not there, as the catalog names some that are empty, has no tags. */
async function tagsOf(registry: Registry, path: string): Promise<readonly string[] | undefined> {
  try {
    return (await registry.tags(path)).filter((tag) => !isAttachmentTag(tag));
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    throw error;
  }
}

/** What is signed is at its own registry, whatever a mirror serves. */
export async function openRegistry(place: Reference, world: World): Promise<Registry> {
  return world.registries.open(await world.registries.destination(place), place.domain);
}

function placeOf({ domain, path }: Place): Reference {
  return { domain, path };
}

function keyOf({ domain, path }: Place): string {
  return `${domain}/${path}`;
}

function nameOf(where: Where): string {
  if (where.kind === 'namespace')
    return `docker://${where.domain}/${where.path === '' ? '' : `${where.path}/`}`;
  return `docker://${repositoryOf(where.reference)}`;
}

/** Which images a sync is about, and where each goes: all of it known before the first is copied. */
import { readdir } from 'node:fs/promises';
import { posix, resolve } from 'node:path';

import { printable } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName, parseImageName } from '../../base/image-name.ts';
import { formatReference, isNameOnly, type Reference, repositoryOf } from '../../base/reference.ts';
import { fileError } from '../../io/files.ts';
import { isAttachmentTag } from '../../registry/referrers.ts';
import { inParallel } from '../in-parallel.ts';
import type { SyncFile, SyncSettings, SyncWanted } from './file.ts';
import type { World } from '../world.ts';

/** Where the images come from. */
export type SyncSource =
  /** A repository with all its tags, or one image of it. */
  | { readonly kind: 'docker'; readonly reference: Reference }
  /** A folder with `dir:` images in it, or one that is such an image. */
  | { readonly kind: 'dir'; readonly path: string }
  | { readonly kind: 'yaml'; readonly file: SyncFile };

/** Where they go: a registry with or without a path, or a folder. */
export type SyncTarget = { readonly kind: 'docker' | 'dir'; readonly place: string };

export type SyncNaming = {
  /** The whole name of the source stands in that of the destination. Default: its last part only. */
  readonly scoped?: boolean;
  /** Stands behind each name of a destination. */
  readonly appendSuffix?: string;
};

export type SyncItem = {
  readonly source: ImageName;
  readonly destination: ImageName;
  /** What the destination's name is made of: the source's whole name, or its path in the folder. */
  readonly name: string;
  /** How the source is reached. */
  readonly from: World;
  /** All tags of the source's repository, where they were listed. */
  readonly listed?: { readonly domain: string; readonly path: string; readonly tags: ReadonlySet<string> };
};

/** What could not be listed, and why. */
export type Unlisted = { readonly source: string; readonly error: BullaError };

export type SyncPlan = { readonly items: readonly SyncItem[]; readonly unlisted: readonly Unlisted[] };

export type PlanRequest = SyncNaming & {
  readonly source: SyncSource;
  readonly target: SyncTarget;
  /** A repository that cannot be listed keeps the others from nothing. */
  readonly keepGoing?: boolean;
};

export type WorldFor = (settings: SyncSettings) => World | Promise<World>;

/**
 * Lists what there is and names where it goes.
 * @param worldFor how a registry of the file is reached
 * @throws BullaError `sync.nothing`, `sync.same-destination`, `reference.malformed`, `image-name.malformed`, `usage.invalid`, and without
 *   `keepGoing` what keeps a repository from being listed
 */
export async function planSync(request: PlanRequest, from: World, worldFor: WorldFor): Promise<SyncPlan> {
  const { appendSuffix = '' } = request;
  if (!/^[\w.-]*$/.test(appendSuffix)) {
    const given = printable(appendSuffix, 80);
    throw new BullaError('usage.invalid', `--append-suffix takes what may stand in a tag, not "${given}"`);
  }
  const { found, unlisted } = await findAll(request, from, worldFor);
  const items = found.map((each): SyncItem => ({ ...each, destination: destinationOf(each.name, request) }));
  return { items: withoutCollisions(items), unlisted };
}

type FoundImage = Omit<SyncItem, 'destination'>;
type FoundAll = { readonly found: readonly FoundImage[]; readonly unlisted: readonly Unlisted[] };

async function findAll(
  { source, keepGoing = false }: PlanRequest,
  from: World,
  worldFor: WorldFor,
): Promise<FoundAll> {
  switch (source.kind) {
    case 'dir':
      return { found: await findInFolder(source.path, from), unlisted: [] };
    case 'docker': {
      const { reference } = source;
      if (!isNameOnly(reference)) return { found: [imageAt(reference, from)], unlisted: [] };
      const found = await findTagged(reference, () => true, from);
      if (found.length > 0) return { found, unlisted: [] };
      throw new BullaError('sync.nothing', `${repositoryOf(reference)} has no tags`);
    }
    case 'yaml': {
      const wanted: Wanted[] = [];
      for (const registry of source.file.registries) {
        const world = await worldFor(registry.settings);
        wanted.push(...registry.wanted.map((each) => ({ each, world })));
      }
      return findWanted(wanted, keepGoing, from);
    }
  }
}

type Wanted = { readonly each: SyncWanted; readonly world: World };

/** Repositories listed at once. */
const listedAtOnce = 8;

async function findWanted(wanted: readonly Wanted[], keepGoing: boolean, { warn }: World): Promise<FoundAll> {
  const unlisted: Unlisted[] = [];
  const found = await inParallel(wanted, listedAtOnce, async ({ each: { repository, which }, world }) => {
    if (which.kind === 'references') return which.references.map((each) => imageAt(each, world));
    try {
      const tagged = await findTagged(repository, which.matches, world);
      if (tagged.length === 0) warn(`${repositoryOf(repository)}: there is no tag that is wanted`);
      return tagged;
    } catch (error) {
      if (!keepGoing || !isBullaError(error)) throw error;
      unlisted.push({ source: `docker://${repositoryOf(repository)}`, error });
      return [];
    }
  });
  return { found: found.flat(), unlisted };
}

function imageAt(reference: Reference, from: World): FoundImage {
  // a name with both is refused as everywhere
  const source = parseImageName(`docker://${formatReference(reference)}`);
  return { source, from, name: formatReference(reference) };
}

async function findTagged(
  repository: Reference,
  matches: (tag: string) => boolean,
  from: World,
): Promise<readonly FoundImage[]> {
  // mirrors may have fewer: what there is, the registry itself says
  const sources = await from.registries.sources(repository);
  const own = sources.at(-1) ?? sources[0];
  const registry = await from.registries.open(own, repository.domain);
  const { path } = own.reference;
  const tags = new Set(await registry.tags(path));
  const listed = { domain: registry.domain, path, tags };
  // attachments go along with the image that they belong to
  return [...tags]
    .filter((tag) => !isAttachmentTag(tag) && matches(tag))
    .map((tag) => ({ ...imageAt({ ...repository, tag }, from), listed }));
}

/** Folders within folders, and images in one tree: what a person keeps is far below. */
const deepest = 32;
const mostImages = 100_000;

/** Every folder with a manifest.json, none within such a one; as skopeo, it does not follow links. */
async function findInFolder(root: string, from: World): Promise<readonly FoundImage[]> {
  const found: string[] = [];
  const walk = async (relative: string, depth: number): Promise<void> => {
    const folder = relative === '' ? root : `${root}/${relative}`;
    const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
      throw fileError(error, folder, 'read');
    });
    if (entries.some((entry) => entry.name === 'manifest.json' && !entry.isDirectory())) {
      if (found.length >= mostImages) throw tooLarge(root, `${mostImages} images`);
      found.push(relative);
      return;
    }
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    if (depth >= deepest && folders.length > 0) throw tooLarge(folder, `${deepest} folders in each other`);
    for (const name of folders.toSorted())
      await walk(relative === '' ? name : `${relative}/${name}`, depth + 1);
  };
  await walk('', 0);
  if (found.length === 0) throw new BullaError('sync.nothing', `${printable(root)} holds no dir: image`);
  return found.map((relative) => {
    const path = relative === '' ? root : `${root}/${relative}`;
    return {
      source: { transport: 'dir', path },
      from,
      name: relative === '' ? posix.basename(resolve(root)) : relative,
    };
  });
}

function tooLarge(folder: string, what: string): BullaError {
  return new BullaError('io.too-large', `${printable(folder)} has more than ${what}`);
}

function destinationOf(name: string, request: PlanRequest): ImageName {
  const { kind, place } = request.target;
  if (kind === 'docker') return { transport: 'docker', reference: referenceFor(place, name, request) };
  return { transport: 'dir', path: joinedName(place, name, request) };
}

/**
 * What an image is called in a registry.
 * @param place the registry, with or without a path
 * @throws BullaError `reference.malformed`, `image-name.malformed`
 */
export function referenceFor(place: string, name: string, naming: SyncNaming): Reference {
  const parsed = parseImageName(`docker://${joinedName(place, name, naming)}`);
  if (parsed.transport === 'docker') return parsed.reference;
  throw new BullaError('internal.bug', 'a name in a registry is none');
}

/** As skopeo joins them: Go's path.Join and path.Base. */
function joinedName(place: string, name: string, { scoped = false, appendSuffix = '' }: SyncNaming): string {
  return `${posix.join(place, scoped ? name : posix.basename(name))}${appendSuffix}`;
}

/**
 * Each source once, and no two for one destination.
 * @throws BullaError `sync.same-destination`
 */
function withoutCollisions(items: readonly SyncItem[]): readonly SyncItem[] {
  const taken = new Map<string, SyncItem>();
  for (const item of items) {
    const { destination, source } = item;
    const key = destination.transport === 'dir' ? resolve(destination.path) : formatImageName(destination);
    const other = taken.get(key);
    if (other !== undefined && formatImageName(other.source) !== formatImageName(source)) {
      throw new BullaError(
        'sync.same-destination',
        `${formatImageName(other.source)} and ${formatImageName(source)} would both become ${formatImageName(destination)}`,
        { hint: '--scoped keeps them apart' },
      );
    }
    if (other === undefined) taken.set(key, item);
  }
  return [...taken.values()];
}

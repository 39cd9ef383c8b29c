/**
 * The images of registries, namespaces and repositories: each manifest once, with every name under which it is found. A tag is asked
 * once; what it meant then is what counts from there on.
 */
import { isIndexType } from '../base/descriptor.ts';
import { algorithmOf, type Digest } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type Manifest, parseManifest } from '../base/manifest.ts';
import { formatReference, type Reference, withDigest } from '../base/reference.ts';
import { mapBounded } from '../io/bounded.ts';
import type { Registry } from '../registry/registry.ts';
import type { DigestRecord } from './resign/digest-record.ts';
import {
  findRepositories,
  type FoundRepositories,
  openRegistry,
  type Repository,
} from './find-repositories.ts';
import type { Pace } from './resign/pace.ts';
import type { Where } from './where.ts';
import type { World } from './world.ts';

/** One manifest of one repository. */
export type FoundImage = {
  /** The repository alone. */
  readonly repository: Reference;
  /** SHA-256 of the manifest's bytes. */
  readonly digest: Digest;
  readonly isList: boolean;
  /** Tags, or digests where no tag was asked for, of it or of a list that names it. At least one. */
  readonly names: readonly Reference[];
  /** The lists that name it. */
  readonly lists: readonly Digest[];
};

/** What could not be looked at. */
export type Missed = { readonly what: string; readonly error: BullaError };

export type FoundImages = {
  /** Repository by repository; the instances of a list before the list. */
  readonly images: readonly FoundImage[];
  readonly missed: readonly Missed[];
  /** Digests of the record that name no repository, and were not found under any tag. */
  readonly unseen: readonly Digest[];
};

export type FindRequest = {
  readonly where: readonly Where[];
  /** Images that need no tag. */
  readonly record?: DigestRecord;
  /** Manifests asked for at once. */
  readonly atOnce: number;
  /** Waited for before each list of tags and each manifest. */
  readonly pace: Pace;
  readonly progress?: (done: number, total: number) => void;
};

/**
 * @throws BullaError `registry.blocked`, `registries-conf.malformed`, `auth-file.*`: what else keeps something from being looked at
 *   is in `missed`
 */
export async function findImages(request: FindRequest, world: World): Promise<FoundImages> {
  const { record } = request;
  const found = await findRepositories(request.where, request.pace, world);
  const finding: Finding = { images: new Map(), missed: [...found.missed], request };
  await lookAtAll(found.repositories.flatMap(tagsAndImages), finding);
  await lookAtAll(await fromRecord(record, found, finding, world), finding);
  const images = [...finding.images.values()].map(({ names, lists, ...image }) => ({
    ...image,
    names: [...names.values()],
    lists: [...lists],
  }));
  const digests = new Set(images.map(({ digest }) => digest));
  const unseen = [...(record?.anywhere ?? [])].filter((digest) => !digests.has(digest));
  return { images, missed: finding.missed, unseen };
}

/** A name to ask for. */
type Look = { readonly registry: Registry; readonly name: Reference };

type Finding = {
  /** By repository and digest. */
  readonly images: Map<string, Merged>;
  readonly missed: Missed[];
  readonly request: FindRequest;
};

type Merged = Pick<FoundImage, 'repository' | 'digest' | 'isList'> & {
  readonly names: Map<string, Reference>;
  readonly lists: Set<Digest>;
};

function tagsAndImages({ place, registry, tags = [], images }: Repository): readonly Look[] {
  const tagged = tags.map((tag): Look => ({ registry, name: { ...place, tag } }));
  return [...tagged, ...images.map((name) => ({ registry, name }))];
}

/** What the record names and no tag has led to. A digest alone is looked for where there is one repository it can be in. */
async function fromRecord(
  record: DigestRecord | undefined,
  { repositories, covers }: FoundRepositories,
  { images }: Finding,
  world: World,
): Promise<readonly Look[]> {
  if (record === undefined) return [];
  const [only, another] = repositories;
  const alone = only === undefined || another !== undefined ? [] : [...record.anywhere];
  const named = [
    ...record.named,
    ...(only === undefined ? [] : alone.map((digest) => withDigest(only.place, digest))),
  ];
  const missing = named.filter((name) => covers(name) && !images.has(formatReference(name)));
  return Promise.all(missing.map(async (name) => ({ name, registry: await openRegistry(name, world) })));
}

/** Each name by itself; what was found is put together in the names' order, however the answers came. */
async function lookAtAll(looks: readonly Look[], { images, missed, request }: Finding): Promise<void> {
  let done = 0;
  const results = await mapBounded(looks, request.atOnce, async (look) => {
    const result = await lookAt(look, request);
    done += 1;
    request.progress?.(done, looks.length);
    return result;
  });
  for (const [index, result] of results.entries()) {
    const name = looks[index]?.name;
    if (name === undefined) continue;
    if (result instanceof BullaError)
      missed.push({ what: `docker://${formatReference(name)}`, error: result });
    else for (const each of result) merge(each, name, images);
  }
}

/** A manifest that a name leads to, and the lists in between. */
type Reached = Pick<FoundImage, 'digest' | 'isList' | 'lists'>;

function merge({ digest, isList, lists }: Reached, name: Reference, images: Finding['images']): void {
  const repository = { domain: name.domain, path: name.path };
  const key = formatReference(withDigest(name, digest));
  const merged = images.get(key) ?? { repository, digest, isList, names: new Map(), lists: new Set() };
  images.set(key, merged);
  merged.names.set(formatReference(name), name);
  for (const list of lists) merged.lists.add(list);
}

async function lookAt(
  { registry, name }: Look,
  { pace }: FindRequest,
): Promise<readonly Reached[] | BullaError> {
  const ask = async (wanted: string): Promise<Manifest> => {
    await pace();
    return registry.manifest(name.path, wanted);
  };
  try {
    const top = await ask(name.digest ?? name.tag ?? 'latest');
    return [...(await reach(top, ask, [])).values()];
  } catch (error) {
    if (isBullaError(error)) return error;
    throw error;
  }
}

const deepest = 4;
/** As many as a copy takes (docs/reference/copy.md). */
const mostManifests = 2000;

/** What a list names is asked for only where it is a list again, or named by another digest than signatures have. */
async function reach(
  manifest: Manifest,
  ask: (digest: string) => Promise<Manifest>,
  above: readonly Digest[],
): Promise<ReadonlyMap<Digest, Reached>> {
  const own: Reached = { digest: manifest.digest, isList: isIndexType(manifest.mediaType), lists: above };
  if (!own.isList) return new Map([[own.digest, own]]);
  if (above.length >= deepest) {
    throw new BullaError('image.too-deep', `lists lie more than ${deepest} deep in each other`);
  }
  const parsed = parseManifest(manifest);
  const lists = [manifest.digest, ...above];
  const reached = new Map<Digest, Reached>();
  for (const { digest, mediaType } of parsed.kind === 'index' ? parsed.manifests : []) {
    const isPlain = !isIndexType(mediaType) && algorithmOf(digest) === 'sha256';
    const inner = isPlain
      ? [{ digest, isList: false, lists }]
      : (await reach(await ask(digest), ask, lists)).values();
    for (const each of inner) reached.set(each.digest, each);
    if (reached.size > mostManifests) {
      throw new BullaError(
        'image.unsupported',
        `${manifest.digest} names more than ${mostManifests} manifests`,
      );
    }
  }
  return reached.set(own.digest, own);
}

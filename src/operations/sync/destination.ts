/**
 * What the images of one sync share at their destination: what is known to be there is not asked for again, and what two of them
 * need is sent once. It is the registry's own word, as ever, or what this sync has put there.
 */
import { type Digest, digestOf } from '../../base/digest.ts';
import { isBullaError } from '../../base/errors.ts';
import type { Registries } from '../../registry/registries.ts';
import type { Registry } from '../../registry/registry.ts';
import type { World } from '../world.ts';

/** Blobs on their way at once, of all images together. */
const blobsAtOnce = 12;

/** The same world, with registries as `wrap` makes them. */
export function withRegistries(world: World, wrap: (registry: Registry) => Registry): World {
  const registries: Registries = {
    ...world.registries,
    open: async (source, named) => wrap(await world.registries.open(source, named)),
  };
  return { ...world, registries };
}

/** A world that remembers what is at the destination. */
export type KnownDestination = {
  readonly world: World;
  /** Lists a repository's tags, which answers many questions; where it cannot be listed they are asked one by one. */
  learn(registry: Registry, path: string): Promise<void>;
};

type Repository = {
  /** Its tags when they were listed, and those given since. Undefined: not listed. */
  tags?: Set<string>;
  /** There were none: no image in it was whole. */
  wasEmpty?: boolean;
  /** Manifests put there, by their digests. */
  readonly manifests: Set<string>;
  /** True: it is there. */
  readonly blobs: Map<Digest, Promise<boolean>>;
  /** Blobs on their way. */
  readonly sending: Map<Digest, Promise<unknown>>;
};

type Memory = {
  readonly repositories: Map<string, Repository>;
  /** A repository that has a blob, by the registry and the blob: others mount it from there. */
  readonly holders: Map<string, string>;
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
};

export function rememberDestination(world: World): KnownDestination {
  const memory: Memory = { repositories: new Map(), holders: new Map(), inTurn: openTurns(blobsAtOnce) };
  return {
    world: withRegistries(world, (registry) => remembering(memory, registry)),
    learn: async (registry, path) => {
      const tags = await tagsIn(registry, path);
      if (tags === undefined) return;
      const repository = repositoryIn(memory, registry, path);
      repository.tags = new Set(tags);
      repository.wasEmpty = tags.length === 0;
    },
  };
}

/** Undefined: it cannot be listed. */
async function tagsIn(registry: Registry, path: string): Promise<readonly string[] | undefined> {
  try {
    return await registry.tags(path);
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return error.code === 'image.not-found' ? [] : undefined;
  }
}

function repositoryIn({ repositories }: Memory, { domain }: Registry, path: string): Repository {
  const key = `${domain}/${path}`;
  const known = repositories.get(key) ?? { manifests: new Set(), blobs: new Map(), sending: new Map() };
  repositories.set(key, known);
  return known;
}

function remembering(memory: Memory, registry: Registry): Registry {
  const at = (path: string): Repository => repositoryIn(memory, registry, path);
  return {
    ...registry,
    headManifest: async (path, name) =>
      isKnownAbsent(at(path), name) ? undefined : registry.headManifest(path, name),
    putManifest: async (path, name, manifest, options) => {
      await registry.putManifest(path, name, manifest, options);
      const { tags, manifests } = at(path);
      if (!isDigest(name)) tags?.add(name);
      manifests.add(isDigest(name) ? name : digestOf(manifest.bytes));
    },
    hasBlob: (path, digest) => hasBlob(memory, registry, path, digest),
    sendBlob: (path, blob, feed, options) =>
      sendOnce(memory, registry, { path, digest: blob.digest, from: options?.from }, (from) =>
        registry.sendBlob(path, blob, feed, from === undefined ? {} : { from }),
      ),
  };
}

function isDigest(name: string): boolean {
  return name.includes(':');
}

/** Tags that several programs add to: what they mean is asked for at the moment when it counts. */
const sharedTag = /^sha(?:256|384|512)-[0-9a-f]{64}/;

/** By its digest an image is asked for, but where there was none before. */
function isKnownAbsent({ tags, wasEmpty, manifests }: Repository, name: string): boolean {
  if (tags === undefined || sharedTag.test(name)) return false;
  return isDigest(name) ? wasEmpty === true && !manifests.has(name) : !tags.has(name);
}

function note(memory: Memory, registry: Registry, path: string, digest: Digest): void {
  repositoryIn(memory, registry, path).blobs.set(digest, Promise.resolve(true));
  memory.holders.set(`${registry.domain} ${digest}`, path);
}

async function hasBlob(memory: Memory, registry: Registry, path: string, digest: Digest): Promise<boolean> {
  const { blobs, sending } = repositoryIn(memory, registry, path);
  // another image may be bringing it; whether that went well the registry says
  await sending.get(digest)?.catch(() => undefined);
  const asked = blobs.get(digest) ?? registry.hasBlob(path, digest);
  blobs.set(digest, asked);
  const isThere = await asked.catch((error: unknown) => {
    blobs.delete(digest);
    throw error;
  });
  if (isThere) note(memory, registry, path, digest);
  // somebody may have brought it since it was asked for
  else if (blobs.get(digest) === asked) blobs.delete(digest);
  return isThere;
}

type Sending = { readonly path: string; readonly digest: Digest; readonly from: string | undefined };

/** What another image is bringing is waited for; where that one fails, this one brings its own. */
async function sendOnce(
  memory: Memory,
  registry: Registry,
  { path, digest, from }: Sending,
  send: (from: string | undefined) => ReturnType<Registry['sendBlob']>,
): ReturnType<Registry['sendBlob']> {
  const { sending } = repositoryIn(memory, registry, path);
  for (let other = sending.get(digest); other !== undefined; other = sending.get(digest)) {
    const isThere = await other.then(
      () => true,
      () => false,
    );
    if (isThere) return 'mounted';
  }
  const holder = from ?? memory.holders.get(`${registry.domain} ${digest}`);
  const sent = memory.inTurn(() => send(holder === path ? undefined : holder));
  sending.set(digest, sent);
  try {
    const how = await sent;
    note(memory, registry, path, digest);
    return how;
  } finally {
    sending.delete(digest);
  }
}

/** So many at a time; the others wait in their order. */
function openTurns(most: number): Memory['inTurn'] {
  const waiting: (() => void)[] = [];
  let under = 0;
  return async (work) => {
    if (under >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else under += 1;
    try {
      return await work();
    } finally {
      // a turn goes from one to the next
      const next = waiting.shift();
      if (next === undefined) under -= 1;
      else next();
    }
  };
}

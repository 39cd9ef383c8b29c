/**
 * What the embedded registry holds: blobs, manifests, tags and referrers, as keys of its storage.
 *
 *   blobs/<algorithm>/<hex>                              the bytes of blobs and manifests
 *   repositories/<name>/_blobs/<digest>                  the repository has that blob
 *   repositories/<name>/_manifests/<digest>              the repository has that manifest; its media type
 *   repositories/<name>/_tags/<tag>                      a digest
 *   repositories/<name>/_referrers/<subject>/<digest>    the descriptor of a manifest with that subject
 *
 * No part of a repository's name starts with an underscore, so the two never meet. A blob or
 * manifest is visible only in the repositories it was put into.
 */
import { utf8 } from '../../base/bytes.ts';
import type { Descriptor } from '../../base/descriptor.ts';
import { algorithmOf, type Digest, hexOf, tryParseDigest } from '../../base/digest.ts';
import { limits } from '../../base/limits.ts';
import type { ByteRange, RegistryStorage } from './storage.ts';

export type StoredManifest = {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly digest: Digest;
};

export type Content = {
  blobSize(repository: string, digest: Digest): Promise<number | undefined>;
  readBlob(digest: Digest, range?: ByteRange): ReadableStream<Uint8Array>;
  /** Takes a finished upload, whose bytes were found to have that digest, into a repository. */
  adoptBlob(repository: string, digest: Digest, uploadKey: string): Promise<void>;
  /** Makes a blob of one repository visible in another; false where the first has none. */
  mountBlob(from: string, to: string, digest: Digest): Promise<boolean>;
  removeBlob(repository: string, digest: Digest): Promise<boolean>;
  manifest(repository: string, digest: Digest): Promise<StoredManifest | undefined>;
  putManifest(repository: string, manifest: StoredManifest): Promise<void>;
  /** Removes a manifest and every tag on it; `subject`: also from that manifest's referrers. */
  removeManifest(repository: string, digest: Digest, subject: Digest | undefined): Promise<void>;
  tagged(repository: string, tag: string): Promise<Digest | undefined>;
  putTag(repository: string, tag: string, digest: Digest): Promise<void>;
  removeTag(repository: string, tag: string): Promise<boolean>;
  /** Sorted; undefined where there is no such repository. */
  tags(repository: string): Promise<readonly string[] | undefined>;
  /** Names, sorted. */
  repositories(): Promise<readonly string[]>;
  putReferrer(repository: string, subject: Digest, referrer: Descriptor): Promise<void>;
  referrers(repository: string, subject: Digest): Promise<readonly Descriptor[]>;
};

const blobKey = (digest: Digest): string => `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
const keyIn = (repository: string, kind: string, ...rest: readonly string[]): string =>
  ['repositories', repository, `_${kind}`, ...rest].join('/');

/** The content in a storage. */
export function openContent(storage: RegistryStorage): Content {
  return { ...blobsIn(storage), ...manifestsIn(storage), ...tagsIn(storage), ...referrersIn(storage) };
}

type Blobs = Pick<Content, 'blobSize' | 'readBlob' | 'adoptBlob' | 'mountBlob' | 'removeBlob'>;

function blobsIn(storage: RegistryStorage): Blobs {
  const blobSize = async (repository: string, digest: Digest): Promise<number | undefined> => {
    const marker = await storage.size(keyIn(repository, 'blobs', digest));
    return marker === undefined ? undefined : storage.size(blobKey(digest));
  };
  const mark = (repository: string, digest: Digest): Promise<void> =>
    storage.write(keyIn(repository, 'blobs', digest), utf8('\n'));
  return {
    blobSize,
    readBlob: (digest, range) => storage.read(blobKey(digest), range),
    adoptBlob: async (repository, digest, uploadKey) => {
      await storage.move(uploadKey, blobKey(digest));
      await mark(repository, digest);
    },
    mountBlob: async (from, to, digest) => {
      if ((await blobSize(from, digest)) === undefined) return false;
      await mark(to, digest);
      return true;
    },
    removeBlob: (repository, digest) => storage.remove(keyIn(repository, 'blobs', digest)),
  };
}

type Manifests = Pick<Content, 'manifest' | 'putManifest' | 'removeManifest'>;

function manifestsIn(storage: RegistryStorage): Manifests {
  return {
    manifest: async (repository, digest) => {
      const mediaType = await readText(storage, keyIn(repository, 'manifests', digest));
      if (mediaType === undefined || (await storage.size(blobKey(digest))) === undefined) return undefined;
      return { mediaType, digest, bytes: await readAll(storage, blobKey(digest)) };
    },
    putManifest: async (repository, { digest, bytes, mediaType }) => {
      await storage.write(blobKey(digest), bytes);
      await storage.write(keyIn(repository, 'manifests', digest), utf8(mediaType));
    },
    removeManifest: async (repository, digest, subject) => {
      const tags = keyIn(repository, 'tags');
      for (const tag of await storage.list(tags)) {
        if ((await readText(storage, `${tags}/${tag}`)) === digest) await storage.remove(`${tags}/${tag}`);
      }
      if (subject !== undefined) await storage.remove(keyIn(repository, 'referrers', subject, digest));
      await storage.remove(keyIn(repository, 'manifests', digest));
    },
  };
}

type Tags = Pick<Content, 'tagged' | 'putTag' | 'removeTag' | 'tags' | 'repositories'>;

function tagsIn(storage: RegistryStorage): Tags {
  return {
    tagged: async (repository, tag) => {
      const text = await readText(storage, keyIn(repository, 'tags', tag));
      return text === undefined ? undefined : tryParseDigest(text);
    },
    putTag: (repository, tag, digest) => storage.write(keyIn(repository, 'tags', tag), utf8(digest)),
    removeTag: (repository, tag) => storage.remove(keyIn(repository, 'tags', tag)),
    tags: async (repository) => {
      const parts = await storage.list(`repositories/${repository}`);
      return parts.some((name) => name.startsWith('_')) ? storage.list(keyIn(repository, 'tags')) : undefined;
    },
    repositories: async () => (await repositoriesUnder(storage, '')).toSorted(),
  };
}

/** No part of a name begins with an underscore, and what belongs to a repository does. */
async function repositoriesUnder(storage: RegistryStorage, name: string): Promise<readonly string[]> {
  const parts = await storage.list(name === '' ? 'repositories' : `repositories/${name}`);
  const inner = parts.filter((part) => !part.startsWith('_'));
  const below = await Promise.all(
    inner.map((part) => repositoriesUnder(storage, name === '' ? part : `${name}/${part}`)),
  );
  return [...(inner.length < parts.length ? [name] : []), ...below.flat()];
}

type Referrers = Pick<Content, 'putReferrer' | 'referrers'>;

function referrersIn(storage: RegistryStorage): Referrers {
  return {
    putReferrer: (repository, subject, referrer) =>
      storage.write(keyIn(repository, 'referrers', subject, referrer.digest), utf8(JSON.stringify(referrer))),
    referrers: async (repository, subject) => {
      const folder = keyIn(repository, 'referrers', subject);
      const texts = await Promise.all(
        (await storage.list(folder)).map((name) => readText(storage, `${folder}/${name}`)),
      );
      // written by putReferrer, so it parses; one removed meanwhile is left out
      return texts.filter((text) => text !== undefined).map((text) => JSON.parse(text) as Descriptor);
    },
  };
}

async function readText(storage: RegistryStorage, key: string): Promise<string | undefined> {
  const size = await storage.size(key);
  if (size === undefined || size > limits.manifestBytes) return undefined;
  return Buffer.from(await readAll(storage, key)).toString('utf8');
}

async function readAll(storage: RegistryStorage, key: string): Promise<Uint8Array> {
  return new Uint8Array(await new Response(storage.read(key)).arrayBuffer());
}

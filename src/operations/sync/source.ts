/** What the source says of one image is asked for once: the judge reads its signatures, and so does who carries them along. */
import { BullaError } from '../../base/errors.ts';
import { fallbackTag } from '../../registry/referrers.ts';
import type { Registry } from '../../registry/registry.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import type { ImageId, ListHint, SignatureStore, StoredSignature } from '../../stores/store.ts';
import { withRegistries } from './destination.ts';
import type { SyncItem } from './plan.ts';
import type { World } from '../world.ts';

/** The world of an item's source, for this item alone. */
export function keepAnswers({ from, listed }: SyncItem): World {
  const world = withRegistries(from, (registry) => keepManifests(keepBlobs(registry), listed));
  let located: Promise<LocatedStores> | undefined;
  // one image is opened through it, so there is one set of stores
  return { ...world, stores: (image) => (located ??= world.stores(image).then(keepLists)) };
}

/** A manifest is asked for once, and what is not in the list of tags not at all. */
function keepManifests(registry: Registry, listed: SyncItem['listed']): Registry {
  const manifests = new Map<string, ReturnType<Registry['manifest']>>();
  const isAbsent = (path: string, tag: string): boolean =>
    listed?.domain === registry.domain && listed.path === path && !listed.tags.has(tag);
  return {
    ...registry,
    manifest: async (path, name) => {
      if (!name.includes(':') && isAbsent(path, name)) {
        const message = `${registry.domain}/${path}:${name} is not in the list of tags`;
        throw new BullaError('image.not-found', message);
      }
      const key = `${path} ${name}`;
      const known = manifests.get(key) ?? registry.manifest(path, name);
      manifests.set(key, known);
      return known;
    },
    referrers: async (path, digest, options) => {
      if (!isAbsent(path, fallbackTag(digest))) return registry.referrers(path, digest, options);
      const byApi = await (options?.byApi ?? registry.referrersByApi(path, digest));
      return { source: 'api', manifests: byApi ?? [] };
    },
  };
}

/** Payloads of signatures are a few hundred bytes: what is larger is not kept. */
const keptBytes = 65_536;

/** What was read whole, and has its digest, is not read again to be copied. */
function keepBlobs(registry: Registry): Registry {
  const blobs = new Map<string, Uint8Array>();
  return {
    ...registry,
    wholeBlob: async (path, { digest, size, ...rest }) => {
      const bytes = await registry.wholeBlob(path, { digest, size, ...rest });
      if (bytes.length <= keptBytes) blobs.set(`${path} ${digest} ${size}`, bytes);
      return bytes;
    },
    feedBlob: async (path, blob, consume) => {
      const bytes = blobs.get(`${path} ${blob.digest} ${blob.size}`);
      if (bytes === undefined) return registry.feedBlob(path, blob, consume);
      // whoever consumes it may write over what it was given
      await consume(new Uint8Array(bytes));
    },
  };
}

function keepLists(located: LocatedStores): LocatedStores {
  const kept = new Map<SignatureStore, SignatureStore>();
  // stores are told apart by what they are: each has one stand-in
  const keep = (store: SignatureStore): SignatureStore => {
    const known = kept.get(store) ?? keepList(store);
    kept.set(store, known);
    return known;
  };
  const { readers, attachments, referrers, oldAttestations } = located;
  return {
    ...located,
    readers: readers.map(keep),
    ...(attachments !== undefined && { attachments: keep(attachments) }),
    ...(referrers !== undefined && { referrers: keep(referrers) }),
    ...(oldAttestations !== undefined && { oldAttestations: keep(oldAttestations) }),
  };
}

function keepList(store: SignatureStore): SignatureStore {
  const lists = new Map<string, () => AsyncGenerator<StoredSignature>>();
  return {
    ...store,
    get description() {
      return store.description;
    },
    list(image: ImageId, hint?: ListHint) {
      const key = JSON.stringify([image.digest, hint]);
      const list = lists.get(key) ?? replayed(store.list(image, hint));
      lists.set(key, list);
      return list();
    },
  };
}

/** A list that is read as far as somebody wants it, and no part of it twice; what ends it ends it for all. */
function replayed(list: AsyncIterable<StoredSignature>): () => AsyncGenerator<StoredSignature> {
  const results: Promise<IteratorResult<StoredSignature, unknown>>[] = [];
  let iterator: AsyncIterator<StoredSignature> | undefined;
  const resultAt = (index: number): Promise<IteratorResult<StoredSignature, unknown>> => {
    iterator ??= list[Symbol.asyncIterator]();
    const known = results[index] ?? iterator.next();
    results[index] = known;
    return known;
  };
  return async function* replay() {
    for (let index = 0; ; index += 1) {
      const result = await resultAt(index);
      if (result.done === true) return;
      yield result.value;
    }
  };
}

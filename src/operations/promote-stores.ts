/**
 * The destination's signatures as they will be read once all that was written is published: those of the lookaside that readers ask, and
 * those of the folder that signatures are written to (`lookaside-staging`).
 */
import { bytesEqual } from '../base/bytes.ts';
import type { Digest } from '../base/digest.ts';
import type { LocatedStores } from '../stores/locate.ts';
import type { SignatureStore, StoredSignature } from '../stores/store.ts';
import type { Destination } from './copy-destination.ts';
import type { World } from './world.ts';

/** A signature that no reader sees before its store is published. */
export type WaitingSignature = {
  readonly digest: Digest;
  /** The file. */
  readonly location: string;
  /** The store that it is in, and the one that readers ask: registries.d's URLs. */
  readonly publish: { readonly from: string; readonly to: string };
};

/** A world whose stores read what was written, too. It is not disposed: it is another's. */
export function readingWritten(world: World): World {
  return { ...world, stores: async (image) => withWritten(await world.stores(image)) };
}

function withWritten(stores: LocatedStores): LocatedStores {
  const { configuration, readers } = stores;
  const [reader, ...others] = readers;
  if (reader === undefined || !isStaged(stores)) return stores;
  const both = joined(reader, [stores.writerFor('simple')]);
  return { ...stores, readers: [both, ...others], ...(configuration !== undefined && { configuration }) };
}

function isStaged({ configuration }: LocatedStores): boolean {
  return configuration !== undefined && configuration.read.url !== configuration.write.url;
}

/** One store after another, what is in several of them once. */
export function joined(
  first: SignatureStore,
  more: readonly { list: SignatureStore['list'] }[],
): SignatureStore {
  return {
    ...first,
    description: first.description,
    async *list(image, hint) {
      const seen: StoredSignature[] = [];
      for (const store of [first, ...more]) {
        for await (const stored of store.list(image, hint)) {
          if (seen.some((other) => isSame(other, stored))) continue;
          seen.push(stored);
          yield stored;
        }
      }
    },
    add: (image, signature) => first.add(image, signature),
  };
}

/** Of GPG signatures alone: the others live in one store. */
function isSame({ signature: one }: StoredSignature, { signature: other }: StoredSignature): boolean {
  return one.format === 'simple' && other.format === 'simple' && bytesEqual(one.blob, other.blob);
}

/**
 * The GPG signatures of these manifests that stand in the store for writing alone.
 * @param destination its stores as they are
 * @throws BullaError `store.*`, `registries-d.*`
 */
export async function findWaiting(
  destination: Pick<Destination, 'image' | 'stores'>,
  digests: readonly Digest[],
  world: World,
): Promise<readonly WaitingSignature[]> {
  const stores = await destination.stores();
  const [reader] = stores.readers;
  const { configuration } = stores;
  if (reader === undefined || configuration === undefined || !isStaged(stores)) return [];
  const publish = { from: configuration.write.url, to: configuration.read.url };
  const waiting: WaitingSignature[] = [];
  for (const digest of digests) {
    const id = world.imageId(destination.image, digest);
    const published = await Array.fromAsync(reader.list(id));
    for await (const stored of stores.writerFor('simple').list(id)) {
      if (published.some((other) => isSame(other, stored))) continue;
      waiting.push({ digest, location: stored.location, publish });
    }
  }
  return waiting;
}

/**
 * The destination's signatures as they will be read once all that was written is published: those of the lookaside that readers ask, and
 * those of the folder that signatures are written to (`lookaside-staging`).
 */
import { bytesEqual } from '../../base/bytes.ts';
import type { Digest } from '../../base/digest.ts';
import type { Image } from '../../images/image.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import type { SignatureStore, StoredSignature } from '../../stores/store.ts';
import type { World } from '../world.ts';

/** A signature that no reader sees before its store is published. */
export type WaitingSignature = {
  readonly digest: Digest;
  /** The file. */
  readonly location: string;
  /** The store that it is in, and the one that readers ask: registries.d's URLs. */
  readonly publish: { readonly from: string; readonly to: string };
};

/** A world whose stores read what was written, too, and write nothing that is published already. It is not disposed: it is another's. */
export type WrittenWorld = World & {
  /** The stores as readers see them. */
  readonly published: World['stores'];
};

export function readingWritten(world: World): WrittenWorld {
  return {
    ...world,
    published: (image) => world.stores(image),
    stores: async (image) => withWritten(await world.stores(image)),
  };
}

function withWritten(stores: LocatedStores): LocatedStores {
  const [reader, ...others] = stores.readers;
  if (reader === undefined || !isStaged(stores)) return stores;
  const writer = stores.writerFor('simple');
  const once = writingOnce(writer, reader);
  return {
    ...stores,
    readers: [joined(reader, [writer]), ...others],
    writerFor: (format) => (format === 'simple' ? once : stores.writerFor(format)),
  };
}

/** A folder that was emptied when it was published gets nothing again. */
function writingOnce(writer: SignatureStore, reader: SignatureStore): SignatureStore {
  return {
    get description() {
      return writer.description;
    },
    list: (image, hint) => writer.list(image, hint),
    add: async (image, signature) => {
      for await (const stored of reader.list(image))
        if (isSame(stored.signature, signature)) return { location: stored.location, added: false };
      return writer.add(image, signature);
    },
  };
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
    get description() {
      return first.description;
    },
    async *list(image, hint) {
      const seen: StoredSignature['signature'][] = [];
      for (const store of [first, ...more]) {
        for await (const stored of store.list(image, hint)) {
          if (seen.some((other) => isSame(other, stored.signature))) continue;
          seen.push(stored.signature);
          yield stored;
        }
      }
    },
    add: (image, signature) => first.add(image, signature),
  };
}

/** Of GPG signatures alone: the others live in one store. */
function isSame(one: StoredSignature['signature'], other: StoredSignature['signature']): boolean {
  return one.format === 'simple' && other.format === 'simple' && bytesEqual(one.blob, other.blob);
}

/**
 * The GPG signatures of these manifests that stand in the store for writing alone.
 * @throws BullaError `store.*`, `registries-d.*`
 */
export async function findWaiting(
  image: Image,
  digests: readonly Digest[],
  world: WrittenWorld,
): Promise<readonly WaitingSignature[]> {
  const stores = await world.published(image);
  const [reader] = stores.readers;
  const { configuration } = stores;
  if (reader === undefined || configuration === undefined || !isStaged(stores)) return [];
  const publish = { from: configuration.write.url, to: configuration.read.url };
  const waiting: WaitingSignature[] = [];
  for (const digest of digests) {
    const id = world.imageId(image, digest);
    const published = await Array.fromAsync(reader.list(id));
    for await (const stored of stores.writerFor('simple').list(id)) {
      if (published.some(({ signature }) => isSame(signature, stored.signature))) continue;
      waiting.push({ digest, location: stored.location, publish });
    }
  }
  return waiting;
}

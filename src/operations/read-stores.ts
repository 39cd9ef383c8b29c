/** Everything that the stores of an image hold, each with the place where it was found. */
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import type { LocatedStores } from '../stores/locate.ts';
import type { ImageId, SignatureStore, StoredSignature } from '../stores/store.ts';

/** `lookaside`: a registry's GPG signatures, by X-R-S-S too. `dir`: those of a dir: image. */
export type StorePlace = 'lookaside' | 'attachments' | 'referrers' | 'old-attestations' | 'dir';

export type FoundSignature = StoredSignature & { readonly place: StorePlace };

export type ReadStore = {
  readonly place: StorePlace;
  /** podman and a policy read it: registries.d says so, or needs not. */
  readonly isConfigured: boolean;
  /** Up to what could not be read. */
  readonly found: readonly FoundSignature[];
  readonly problem?: { readonly code: ErrorCode; readonly message: string };
};

/** All stores side by side, each to its end or to what keeps it from being read further. */
export async function readStores(located: LocatedStores, image: ImageId): Promise<readonly ReadStore[]> {
  const { readers, attachments, referrers, oldAttestations } = located;
  const first = readers.filter((store) => store !== attachments);
  const simple: StorePlace = attachments === undefined ? 'dir' : 'lookaside';
  const places: readonly (readonly [StorePlace, SignatureStore | undefined])[] = [
    ...first.map((store) => [simple, store] as const),
    ['attachments', attachments],
    ['referrers', referrers],
    ['old-attestations', oldAttestations],
  ];
  const reading = places.flatMap(([place, store]) =>
    store === undefined ? [] : [readStore(place, store, readers.includes(store), image)],
  );
  return Promise.all(reading);
}

async function readStore(
  place: StorePlace,
  store: SignatureStore,
  isConfigured: boolean,
  image: ImageId,
): Promise<ReadStore> {
  const found: FoundSignature[] = [];
  try {
    for await (const each of store.list(image, { everything: true })) found.push({ ...each, place });
    return { place, isConfigured, found };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { place, isConfigured, found, problem: { code: error.code, message: error.message } };
  }
}

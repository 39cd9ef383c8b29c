/** Where signatures of an image live. One interface, N adapters; each passes store-contract.ts. */
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import type { Reference } from '../base/reference.ts';
import type { Signature, UnreadableSignature } from '../formats/signature.ts';

/**
 * What a store files signatures under: the manifest, and for an image in a registry its physical (a
 * mirror's) reference.
 */
export type ImageId = { readonly reference: Reference | undefined; readonly digest: Digest };

/** The same for a store that is ordered by repository. */
export type RegistryImageId = ImageId & { readonly reference: Reference };

/** @throws BullaError `store.none` for an image that is in no registry */
export function inRegistry({ reference, digest }: ImageId): RegistryImageId {
  if (reference !== undefined) return { reference, digest };
  throw new BullaError(
    'store.none',
    'the image is in no registry, so no registry’s store has its signatures',
  );
}

/** A signature and where it was found: a URL or path without credentials and query. */
export type StoredSignature = {
  readonly signature: Signature | UnreadableSignature;
  readonly location: string;
};

export type AddResult = {
  readonly location: string;
  /** False: the very same bytes were there already, nothing was written. */
  readonly added: boolean;
};

/** What the reader is after. It changes order and effort, never what there is to read. */
export type ListHint = {
  /** Bundles that say they hold this predicate come first, the newest of them before the others. */
  readonly predicateType?: string;
  /** All of it will be read: much is asked for at once, and the registry in every way there is. */
  readonly everything?: boolean;
};

export interface SignatureStore {
  /** One line for people: `lookaside https://sigs.example.com`. */
  readonly description: string;
  /**
   * All signatures of an image, in the store's order, or what the hint asks for first.
   * @throws BullaError `store.*`, `signature.too-large`, `io.*`
   */
  list(image: ImageId, hint?: ListHint): AsyncIterable<StoredSignature>;
  /**
   * Asks already for what the next `add` to this image will need, and writes nothing. What goes wrong shows there, if it still does.
   */
  prepare?(image: ImageId): void;
  /**
   * Adds a signature, never replacing or removing one.
   * @throws BullaError `store.read-only`, `io.*`
   */
  add(image: ImageId, signature: Signature): Promise<AddResult>;
}

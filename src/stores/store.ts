/** Where signatures of an image live. One interface, N adapters; each passes store-contract.ts. */
import type { Digest } from '../base/digest.ts';
import type { Reference } from '../base/reference.ts';
import type { Signature } from '../formats/signature.ts';

/** What a store files signatures under: the physical (mirror's) reference and the manifest judged. */
export type ImageId = { readonly reference: Reference; readonly digest: Digest };

/** A signature and where it was found: a URL or path without credentials and query. */
export type StoredSignature = { readonly signature: Signature; readonly location: string };

export type AddResult = {
  readonly location: string;
  /** False: the very same bytes were there already, nothing was written. */
  readonly added: boolean;
};

export interface SignatureStore {
  /** One line for people: `lookaside https://sigs.example.com`. */
  readonly description: string;
  /**
   * All signatures of an image, in the store's order.
   * @throws BullaError `store.*`, `signature.unrecognized`, `io.*` — one bad blob fails the list, as in containers/image
   */
  list(image: ImageId): AsyncIterable<StoredSignature>;
  /**
   * Adds a signature, never replacing or removing one.
   * @throws BullaError `store.read-only`, `io.*`
   */
  add(image: ImageId, signature: Signature): Promise<AddResult>;
}

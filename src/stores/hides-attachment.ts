/**
 * cosign 3 looks at bundles where an image has any, whatever they say and whoever made them, and at the
 * `.sig` only where it has none (peers: cosign 3.1). So a first bundle makes it blind to the signatures
 * that others left in the `.sig`.
 */
import type { CosignSignature } from '../formats/cosign.ts';
import type { SignatureStore, RegistryImageId } from './store.ts';

export type HidingStores = {
  readonly attachments: SignatureStore;
  readonly referrers: SignatureStore;
};

/**
 * Whether a bundle added now would hide somebody's signature: the image carries a `.sig` with a
 * signature that is not ours, and no bundle yet.
 * @param isOurs tells the caller's own signatures: those it has just added, or of its own key
 * @returns where the signature is that would be hidden; undefined: none would
 * @throws BullaError `store.*`, `registry.*`
 */
export async function hiddenByBundle(
  { attachments, referrers }: HidingStores,
  image: RegistryImageId,
  isOurs: (signature: CosignSignature) => boolean | Promise<boolean>,
): Promise<string | undefined> {
  for await (const { signature, location } of attachments.list(image)) {
    // what cannot be read hides behind a bundle as well as what can
    if (signature.format === 'cosign' && (await isOurs(signature))) continue;
    return (await hasBundle(referrers, image)) ? undefined : location;
  }
  return undefined;
}

async function hasBundle(referrers: SignatureStore, image: RegistryImageId): Promise<boolean> {
  for await (const { signature } of referrers.list(image)) if (signature.format === 'bundle') return true;
  return false;
}

/**
 * Signatures that refer to an image by their manifest's `subject`: sigstore bundles as cosign 3 hangs them
 * on images, Notary Project signatures, and cosign's experimental form of `.sig` layers. Found by the
 * registry's referrers API, or by the tag that stands in for it (distribution specification 1.1).
 */
import { addReferrer, type AddReferrerOptions } from './referrers-add.ts';
import { listReferrers, type ReferrerRegistry } from './referrers-read.ts';
import { inRegistry, type SignatureStore } from './store.ts';

export type { ReferrerRegistry } from './referrers-read.ts';

/** Opens the referrers of one registry. podman and skopeo never look there, whatever registries.d says. */
export function openReferrers(registry: ReferrerRegistry, options: AddReferrerOptions = {}): SignatureStore {
  return {
    description: `bundles in ${registry.domain}`,
    list: (image, hint) => listReferrers(registry, inRegistry(image), hint),
    add: async (image, signature) => addReferrer(registry, inRegistry(image), signature, options),
  };
}

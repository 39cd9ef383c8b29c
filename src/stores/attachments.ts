/**
 * Sigstore attachments: the signatures of an image beside it in its registry, as the layers of what the
 * tag `sha256-<hex>.sig` names (cosign's specification, SIGNATURE_SPEC.md; containers/image does the same).
 */
import { addAttachment, type AddOptions } from './attachments-add.ts';
import { type AttachmentRegistry, listAttachments } from './attachments-read.ts';
import { inRegistry, type SignatureStore } from './store.ts';

export type { AttachmentRegistry } from './attachments-read.ts';

/** Opens the attachments of one registry. Whether they are to be looked at is `locateStores`' to say. */
export function openAttachments(registry: AttachmentRegistry, options: AddOptions = {}): SignatureStore {
  return {
    description: `sigstore attachments in ${registry.domain}`,
    list: (image) => listAttachments(registry, inRegistry(image)),
    add: async (image, signature) => addAttachment(registry, inRegistry(image), signature, options),
  };
}

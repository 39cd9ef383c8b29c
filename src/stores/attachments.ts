/**
 * Attachments: what belongs to an image beside it in its registry, as the layers of what a tag names:
 * signatures at `sha256-<hex>.sig` (cosign's specification, SIGNATURE_SPEC.md; containers/image does the
 * same), attestations at `sha256-<hex>.att` (cosign's alone).
 */
import { algorithmOf, hexOf } from '../base/digest.ts';
import type { Registry } from '../registry/registry.ts';
import { addAttachment, type AddOptions, type Prepared, prepareToAdd } from './attachments-add.ts';
import { type AttachmentKind, attestationAttachments, signatureAttachments } from './attachments-kind.ts';
import {
  attachmentLocation,
  type AttachmentPlace,
  type AttachmentRegistry,
  listAttachments,
} from './attachments-read.ts';
import { type ImageId, inRegistry, type RegistryImageId, type SignatureStore } from './store.ts';

export type { AttachmentRegistry } from './attachments-read.ts';

/** Opens the `.sig` attachments of one registry. Whether they are to be looked at is `locateStores`' to say. */
export function openAttachments(registry: AttachmentRegistry, options: AddOptions = {}): SignatureStore {
  return openKind(registry, signatureAttachments, options);
}

/** Opens the `.att` attachments of one registry: attestations as cosign made them up to version 2. */
export function openOldAttestations(registry: AttachmentRegistry, options: AddOptions = {}): SignatureStore {
  return openKind(registry, attestationAttachments, options);
}

/**
 * Where the `.sbom` tag of an image is, which cosign up to 2 wrote. It holds no signature, so it is only looked for.
 * @returns its name; undefined: there is none
 * @throws BullaError `registry.*`
 */
export async function findSbom(
  registry: Pick<Registry, 'headManifest'>,
  { reference: { domain, path }, digest }: RegistryImageId,
): Promise<string | undefined> {
  const tag = `${algorithmOf(digest)}-${hexOf(digest)}.sbom`;
  const found = await registry.headManifest(path, tag);
  return found === undefined ? undefined : `${domain}/${path}:${tag}`;
}

function openKind(registry: AttachmentRegistry, kind: AttachmentKind, options: AddOptions): SignatureStore {
  const prepared = new Map<string, Prepared>();
  const placeOf = (image: ImageId): AttachmentPlace => ({ registry, kind, image: inRegistry(image) });
  return {
    description: `${kind.what} in ${registry.domain}`,
    list: (image) => listAttachments(placeOf(image)),
    prepare: (image) => {
      const place = placeOf(image);
      prepared.set(attachmentLocation(place), prepareToAdd(place));
    },
    add: async (image, signature) => {
      const place = placeOf(image);
      const name = attachmentLocation(place);
      const known = prepared.get(name);
      prepared.delete(name);
      return addAttachment(place, signature, {
        ...options,
        ...(known !== undefined && { prepared: known }),
      });
    },
  };
}

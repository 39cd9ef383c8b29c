/** What a new bundle would hide. Loaded only where one is made that nobody asked for by name. */
import { BullaError } from '../../base/errors.ts';
import { cosignAnnotations, type CosignSignature, signatureOf } from '../../formats/cosign.ts';
import type { Signer, SigstoreSigner } from '../../keys/signer.ts';
import { verifySigstoreSignature } from '../../keys/sigstore/public-key.ts';
import { hiddenByBundle } from '../../stores/hides-attachment.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import { type ImageId, inRegistry } from '../../stores/store.ts';
import { isSigstore } from './places.ts';

/**
 * Whether a bundle would hide somebody else's `.sig` from cosign 3; where it is, or undefined.
 * @throws BullaError `store.*`, `registry.*`
 */
export async function hiddenBy(
  signer: Signer,
  { attachments, referrers }: LocatedStores,
  image: ImageId,
): Promise<string | undefined> {
  if (attachments === undefined || referrers === undefined || !isSigstore(signer)) return undefined;
  return hiddenByBundle({ attachments, referrers }, inRegistry(image), (each) => isBy(signer, each));
}

/** A keyless key is new each time: whose certificate an old signature has, it is not by this key. */
function isBy({ publicKey }: SigstoreSigner, signature: CosignSignature): boolean {
  try {
    const isKeyless = signature.annotations[cosignAnnotations.certificate] !== undefined;
    return !isKeyless && verifySigstoreSignature(publicKey, signature.payload, signatureOf(signature));
  } catch (error) {
    if (error instanceof BullaError) return false;
    throw error;
  }
}

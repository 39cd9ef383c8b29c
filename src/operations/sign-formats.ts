/** From a claim and a key to a signature: which format each kind of key signs in. */
import { creator } from '../base/version.ts';
import type { SignedClaim } from '../formats/claim.ts';
import { cosignAttachment, encodeCosignPayload } from '../formats/cosign.ts';
import type { Signature } from '../formats/signature.ts';
import { encodeSimpleSigning } from '../formats/simple-signing.ts';
import type { KeyKind, Signer } from '../keys/signer.ts';

/** The format that podman and skopeo know for a kind of key. */
export const formatOf: Readonly<Record<KeyKind, 'simple' | 'cosign'>> = {
  openpgp: 'simple',
  gnupg: 'simple',
  sigstore: 'cosign',
};

/**
 * Signs a claim, which is said to be made by this version of Bulla.
 * @throws BullaError `usage.invalid` (an empty reference), `key.*`
 */
export async function makeSignature(signer: Signer, claim: Omit<SignedClaim, 'creator'>): Promise<Signature> {
  const full = { ...claim, creator };
  switch (formatOf[signer.kind]) {
    case 'simple':
      return { format: 'simple', blob: await signer.sign(encodeSimpleSigning(full)) };
    case 'cosign': {
      const payload = encodeCosignPayload(full);
      return cosignAttachment(payload, await signer.sign(payload));
    }
  }
}

/** `sign-blob`: a signature of a file, as a bundle and bare. */
import { BullaError } from '../base/errors.ts';
import { sigstorePlanOf } from './attest.ts';
import { makeMessageBundle, type Witnessed } from './sign/sigstore.ts';
import type { SigningPlan } from './sign/plan.ts';
import type { World } from './world.ts';

export type SignedBlob = {
  /** JSON, version 0.3. */
  readonly bundle: Uint8Array;
  /** The signature alone. */
  readonly signature: Uint8Array;
  readonly keyId: string;
  readonly witnessed: Witnessed;
};

/**
 * Signs a file's bytes as cosign does: a bundle with a message signature.
 * @throws BullaError `usage.invalid` (a GPG key), `key.*`, `oidc.*`, `fulcio.*`, `log.*`, `timestamp.*`
 */
export async function signBlob(bytes: Uint8Array, signer: SigningPlan, world: World): Promise<SignedBlob> {
  const plan = sigstorePlanOf(signer);
  const { signature, witnessed, bare } = await makeMessageBundle(bytes, plan, world);
  if (signature.format !== 'bundle') throw new BullaError('internal.bug', 'no bundle was made');
  return { bundle: signature.json, signature: bare, keyId: plan.signer.keyId, witnessed };
}

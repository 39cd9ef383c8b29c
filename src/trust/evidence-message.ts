/** Whether a key has made a signature. */
import { paeOf } from '../base/pae.ts';
import { verifyForBundle } from '../keys/sigstore/bundle-signature.ts';
import { type SigstorePublicKey, verifySigstoreSignature } from '../keys/sigstore/public-key.ts';
import { verifyDigestSignature } from './digest-signature.ts';
import type { UntrustedEvidence } from './evidence.ts';

/** Never throws. A message of which only the digest is known needs `loadDigestVerification` first. */
export function isSignedBy(
  { content, signature, hashing }: UntrustedEvidence,
  key: SigstorePublicKey,
): boolean {
  const verify = hashing === 'simple' ? verifySigstoreSignature : verifyForBundle;
  if (content.kind === 'dsse') return verify(key, paeOf(content.payloadType, content.payload), signature);
  if (content.message !== undefined) return verify(key, content.message, signature);
  return content.digest !== undefined && verifyDigestSignature(key, content.digest, signature);
}

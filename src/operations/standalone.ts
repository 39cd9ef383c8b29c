/** `standalone-sign` and `standalone-verify`: one manifest file, one signature file, no registry, no policy. */
import { creator } from '../base/version.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { takeManifest } from '../base/manifest.ts';
import { formatReference, type Reference, tryParseReference } from '../base/reference.ts';
import { encodeSimpleSigning, verifySimpleSigning } from '../formats/simple-signing.ts';
import { parseKeyring } from '../keys/openpgp/keyring.ts';
import type { Signer } from '../keys/signer.ts';

/** Signs a manifest's bytes for a reference; as skopeo's, a reference without tag and digest is allowed. */
export async function standaloneSign(
  manifest: Uint8Array,
  reference: Reference,
  signer: Signer,
  now: Date,
): Promise<Uint8Array> {
  return signer.sign(
    encodeSimpleSigning({
      manifestDigest: takeManifest(manifest).digest,
      dockerReference: formatReference(reference),
      creator,
      timestamp: Math.floor(now.getTime() / 1000),
    }),
  );
}

export type StandaloneRequest = {
  readonly manifest: Uint8Array;
  readonly reference: Reference;
  readonly signature: Uint8Array;
  /** Public keys, one of which must have signed. */
  readonly keyring: Uint8Array;
  /** Primary fingerprints that may have signed; undefined: any key of the keyring. */
  readonly fingerprints?: readonly string[];
};

/**
 * Verifies a signature: by one of the keys, of this manifest, for exactly this reference.
 * @returns the signer's primary fingerprint and the manifest's digest
 * @throws BullaError `signature.*`, `key.none`, `key.malformed`, `manifest.*`
 */
export function standaloneVerify(
  request: StandaloneRequest,
  now: Date,
): { fingerprint: string; digest: Digest } {
  const { digest } = takeManifest(request.manifest);
  const result = verifySimpleSigning(request.signature, parseKeyring(request.keyring), now);
  if (!result.ok) throw new BullaError(result.code, result.message);
  const { fingerprint, claim } = result;
  if (request.fingerprints !== undefined && !request.fingerprints.includes(fingerprint)) {
    throw new BullaError(
      'signature.unknown-key',
      `the signature is by ${fingerprint}, which is not among the expected keys`,
    );
  }
  if (claim.manifestDigest !== digest) {
    throw new BullaError(
      'signature.wrong-digest',
      `the signature is of ${claim.manifestDigest}, the manifest is ${digest}`,
    );
  }
  const signed = tryParseReference(claim.dockerReference);
  const wanted = formatReference(request.reference);
  if (signed === undefined || formatReference(signed) !== wanted) {
    throw new BullaError(
      'signature.wrong-identity',
      `the signature is for ${claim.dockerReference}, not for ${wanted}`,
    );
  }
  return { fingerprint, digest };
}

/**
 * The signature attachment of cosign (up to 2), podman and skopeo: one layer of the image tagged
 * `sha256-….sig`. The layer is the payload, its annotations hold the signature and what proves it
 * (cosign's specs/SIGNATURE_SPEC.md).
 */
import { decodeBase64, encodeBase64 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { type ClaimKind, encodeClaim, parseClaim, type SignedClaim } from './claim.ts';
import type { Signature } from './signature.ts';

export type CosignSignature = Extract<Signature, { format: 'cosign' }>;

/** The media type of a layer that is a signature; attestations and the like have others. */
export const cosignMediaType = 'application/vnd.dev.cosign.simplesigning.v1+json';

/** The annotations of such a layer. */
export const cosignAnnotations = {
  /** The signature of the payload, base64. */
  signature: 'dev.cosignproject.cosign/signature',
  /** The signer's certificate, PEM. */
  certificate: 'dev.sigstore.cosign/certificate',
  /** From the issuer of that certificate up to the root, PEM. */
  chain: 'dev.sigstore.cosign/chain',
  /** Rekor's signed entry timestamp, JSON. */
  bundle: 'dev.sigstore.cosign/bundle',
  /** An RFC 3161 timestamp, JSON; containers/image does not read it. */
  timestamp: 'dev.sigstore.cosign/rfc3161timestamp',
} as const;

const cosignClaim: ClaimKind = { type: 'cosign container image signature', optionalMayBeNull: true };

/**
 * The payload to sign, byte for byte as containers/image writes it.
 * @param annotations stand beside creator and timestamp, as cosign has them
 * @throws BullaError `usage.invalid` for an empty reference, a timestamp that is no whole number, an annotation named so
 */
export function encodeCosignPayload(
  claim: SignedClaim,
  annotations: Readonly<Record<string, string>> = {},
): Uint8Array {
  return encodeClaim(claim, cosignClaim, annotations);
}

/**
 * Reads a payload as strictly as containers/image: as for simple signing, but `optional` may be null.
 * Only for payloads whose signature was verified, or to show.
 * @throws BullaError `signature.payload-malformed`, `signature.wrong-type`
 */
export function parseCosignPayload(bytes: Uint8Array): SignedClaim {
  return parseClaim(bytes, cosignClaim);
}

/**
 * The signature's bytes. Only the one spelling that base64 has for them is taken (no line breaks, no
 * stray bits at the end), so that two attachments with one signature have one text.
 * @throws BullaError `signature.malformed` where the annotation is missing or malformed
 */
export function signatureOf({ annotations }: CosignSignature): Uint8Array {
  const name = cosignAnnotations.signature;
  const text = annotations[name];
  if (text === undefined) throw malformed(`the annotation ${name} is missing`);
  const bytes = decodeBase64(text);
  if (bytes === undefined || bytes.length === 0 || encodeBase64(bytes) !== text) {
    throw malformed(`the annotation ${name} is no canonical base64`);
  }
  return bytes;
}

/** What proves a signature, each as its annotation's text. */
export type CosignProof = {
  readonly certificate?: string;
  readonly chain?: string;
  readonly bundle?: string;
  readonly timestamp?: string;
};

/** A signature and its proof as an attachment. */
export function cosignAttachment(
  payload: Uint8Array,
  signature: Uint8Array,
  proof: CosignProof = {},
): CosignSignature {
  const texts = { signature: encodeBase64(signature), ...proof };
  const annotations = Object.entries(texts).map(([name, text]) => [
    cosignAnnotations[name as keyof CosignProof | 'signature'],
    text,
  ]);
  return {
    format: 'cosign',
    mediaType: cosignMediaType,
    payload,
    annotations: Object.fromEntries(annotations) as Record<string, string>,
  };
}

function malformed(why: string): BullaError {
  return new BullaError('signature.malformed', `the signature attachment is malformed: ${why}`);
}

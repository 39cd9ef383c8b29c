/** What a signature attachment says of itself, unverified: for showing, never for deciding. */
import { isBullaError } from '../base/errors.ts';
import type { Certificate } from '../keys/certificates/certificate.ts';
import { fulcioIssuerOf } from '../keys/certificates/extensions.ts';
import { readLeaf } from '../keys/certificates/pem.ts';
import type { SignedClaim } from './claim.ts';
import { cosignAnnotations, type CosignSignature, parseCosignPayload } from './cosign.ts';

export type UntrustedCosign = {
  readonly claim?: SignedClaim;
  /** Mail addresses, URIs and hosts of the certificate. */
  readonly subjects?: readonly string[];
  /** The OpenID issuer that the certificate names. */
  readonly issuer?: string;
  /** A certificate that cannot be read has neither. */
  readonly hasCertificate: boolean;
  readonly hasLogEntry: boolean;
};

export function readUntrustedCosign({ payload, annotations }: CosignSignature): UntrustedCosign {
  const certificate = annotations[cosignAnnotations.certificate];
  const claim = orNothing(() => parseCosignPayload(payload));
  const leaf = certificate === undefined ? undefined : orNothing(() => readLeaf(certificate));
  return {
    ...(claim !== undefined && { claim }),
    ...(leaf !== undefined && whoseIs(leaf)),
    hasCertificate: certificate !== undefined,
    hasLogEntry: annotations[cosignAnnotations.bundle] !== undefined,
  };
}

function whoseIs({ extensions }: Certificate): Pick<UntrustedCosign, 'subjects' | 'issuer'> {
  const { emails, uris, dnsNames } = extensions.names;
  const issuer = orNothing(() => fulcioIssuerOf(extensions));
  return { subjects: [...emails, ...uris, ...dnsNames], ...(issuer !== undefined && { issuer }) };
}

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}

/** One signature as `inspect` shows it: what it says of itself, and how it fares. */
import type { Digest } from '../../base/digest.ts';
import type { ErrorCode } from '../../base/errors.ts';
import { cosignMediaType, type CosignSignature } from '../../formats/cosign.ts';
import { readUntrustedCosign } from '../../formats/cosign-untrusted.ts';
import { readUntrustedSimpleSigning } from '../../formats/simple-signing.ts';
import type { StoredSignature } from '../../stores/store.ts';
import type { SignatureVerdict, Verdict } from '../../trust/verdict.ts';
import { annotatedTimes, untrustedAttestation, untrustedBundle, untrustedNotary } from './untrusted.ts';
import type { ForTool } from '../verify-for.ts';

/** A signature as it stands. Everything under `untrusted` is its own word. */
export type SeenSignature = {
  readonly format: string;
  readonly store: string;
  readonly untrusted: {
    /** Fingerprints or key IDs, upper-case hex. A sigstore signature names none. */
    readonly keyIds: readonly string[];
    /** RFC 3339. */
    readonly created?: string;
    readonly identity?: string;
    readonly digest?: Digest;
    readonly creator?: string;
    /** Of an attachment that is no signature (an attestation, say): what it is. */
    readonly mediaType?: string;
    /** There is a certificate, with these names in it and this OpenID issuer; without names it cannot be read. */
    readonly certificate?: { readonly subjects: readonly string[]; readonly issuer?: string };
    /** There is an entry of a transparency log. */
    readonly logEntry?: true;
    /** When the log, and a timestamp authority, are said to have seen it; RFC 3339. */
    readonly loggedAt?: string;
    readonly timestampedAt?: string;
    /** What a bundle or attestation says it states of the image. */
    readonly predicateType?: string;
    /** Of a bundle made with a key: the SHA-256 of the public key, lower-case hex, or what stands there instead. */
    readonly keyHint?: string;
  };
  readonly problem?: { readonly code: ErrorCode; readonly message: string };
  /** registries.d does not turn its store on, so podman does not read it, and a policy is judged without it. */
  readonly turnedOff?: true;
  /** Which tools look at it, and what keeps the others from it; for the tools' default flags. */
  readonly readBy?: readonly ForTool[];
  readonly notReadBy?: readonly {
    readonly tool: ForTool;
    readonly code: ErrorCode;
    readonly message: string;
  }[];
  /** How the judge found it; not there without a judge. */
  readonly verdict?: SignatureVerdict;
};

/** @param verdict of the judge on this signature alone */
export function seenSignature(
  { signature, location }: StoredSignature,
  verdict: Verdict | undefined,
): SeenSignature {
  const verdicts = verdict?.requirements.flatMap((each) => each.signatures) ?? [];
  const here = verdicts.filter((each) => each.store === location);
  // of several requirements it serves those that it satisfies
  const found = here.find((each) => each.accepted) ?? here[0];
  const { format } = signature;
  const shared = { store: location, ...(found !== undefined && { verdict: found }) };
  switch (signature.format) {
    case 'unreadable': {
      const { code, message } = signature;
      return { format, untrusted: { keyIds: [] }, problem: { code, message }, ...shared };
    }
    case 'cosign':
      return { format, untrusted: untrustedCosign(signature), ...shared };
    case 'simple':
      return { format, ...untrustedSimple(signature.blob), ...shared };
    case 'bundle':
      return { format, ...untrustedBundle(signature), ...shared };
    case 'attestation':
      return { format, ...untrustedAttestation(signature), ...shared };
    case 'notary':
      return { format, ...untrustedNotary(signature), ...shared };
  }
}

function untrustedSimple(blob: Uint8Array): Pick<SeenSignature, 'untrusted' | 'problem'> {
  const { keyIds, created, claim, problem } = readUntrustedSimpleSigning(blob);
  const untrusted = {
    keyIds,
    ...(created !== undefined && { created: created.toISOString() }),
    ...(claim !== undefined && { identity: claim.dockerReference, digest: claim.manifestDigest }),
    ...(claim?.creator !== undefined && { creator: claim.creator }),
  };
  return { untrusted, ...(problem !== undefined && { problem }) };
}

function untrustedCosign(signature: CosignSignature): SeenSignature['untrusted'] {
  const { mediaType } = signature;
  const { claim, subjects = [], issuer, hasCertificate } = readUntrustedCosign(signature);
  const created = claim?.timestamp === undefined ? undefined : timeOf(claim.timestamp);
  return {
    keyIds: [],
    ...(created !== undefined && { created }),
    ...(claim !== undefined && { identity: claim.dockerReference, digest: claim.manifestDigest }),
    ...(claim?.creator !== undefined && { creator: claim.creator }),
    ...(mediaType !== cosignMediaType && { mediaType }),
    ...(hasCertificate && { certificate: { subjects, ...(issuer !== undefined && { issuer }) } }),
    ...annotatedTimes(signature.annotations),
  };
}

/** Undefined for what no calendar has: a signer may write any number. */
function timeOf(seconds: number): string | undefined {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

/** What one signing key is to make: which formats, seen by which witnesses. */
import type { Signer } from '../../keys/signer.ts';
import type { TrustedRoot } from '../../keys/trusted-root/trusted-root.ts';

/** Who is to see a signature, and when. Empty lists: nobody. */
export type Witnesses = {
  /** Every log of the list is to have an entry. URLs without the API's path. */
  readonly logs: readonly { readonly url: string; readonly version: 1 | 2 }[];
  /** RFC 3161 authorities; URLs are complete, as the request goes to them. */
  readonly timestamps: readonly { readonly url: string }[];
  /** What the answers are checked against before they are stored, where the user gave it. */
  readonly roots?: readonly TrustedRoot[];
};

/** `simple`: GPG simple signing; `cosign`: a `.sig` attachment; `bundle`: a sigstore bundle. */
export type SigningFormat = 'simple' | 'cosign' | 'bundle';

/**
 * A key and what it makes. A keyless signer has its certificates only after its first signature: read
 * `certificates` then.
 */
export type SigningPlan = {
  readonly signer: Signer;
  readonly formats: readonly SigningFormat[];
  readonly witnesses: Witnesses;
  /** Whether the user named the formats (--signature-format); a default one may be left out where it cannot be kept. */
  readonly explicitFormat: boolean;
};

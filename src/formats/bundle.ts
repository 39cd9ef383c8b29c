/** The sigstore bundle (application/vnd.dev.sigstore.bundle, versions 0.1 to 0.3; sigstore_bundle.proto). */
import type { UntrustedLogEntry } from '../witnesses/log-entry.ts';

export { bundleMediaType, encodeBundle } from './bundle-encode.ts';
export { isBundleMediaType, parseBundle, parseLogEntry } from './bundle-parse.ts';

export type BundleVersion = '0.1' | '0.2' | '0.3';

/** A bundle taken apart; nothing of it is verified. */
export type UntrustedBundle = {
  readonly version: BundleVersion;
  readonly material: UntrustedMaterial;
  readonly content: BundleContent;
  readonly logEntries: readonly UntrustedLogEntry[];
  /** RFC 3161 TimeStampResp, DER. */
  readonly timestamps: readonly Uint8Array[];
};

/** Who is said to have signed. */
export type UntrustedMaterial =
  /** The hint is the base64 of the SHA-256 of the SubjectPublicKeyInfo, by custom; it vouches for nothing. */
  | { readonly kind: 'public-key'; readonly hint: string }
  /** DER, the signer's own first; version 0.3 has that one alone. */
  | { readonly kind: 'certificates'; readonly certificates: readonly [Uint8Array, ...Uint8Array[]] };

export type BundleContent =
  /** A signature of an artifact's bytes. */
  | {
      readonly kind: 'message';
      readonly signature: Uint8Array;
      /** What it is said to be a signature of; the algorithm is `sha256`, `sha384` or `sha512`. */
      readonly digest?: { readonly algorithm: string; readonly value: Uint8Array };
    }
  /** One DSSE envelope with its one signature. */
  | {
      readonly kind: 'dsse';
      readonly payloadType: string;
      readonly payload: Uint8Array;
      readonly signature: Uint8Array;
    };

/** What a store holds: signatures as bytes, nothing checked yet. */
import type { ErrorCode } from '../base/errors.ts';

export type Signature =
  /** GPG simple signing: one binary OpenPGP signed message (containers-signature.5). */
  | { readonly format: 'simple'; readonly blob: Uint8Array }
  /** A cosign attachment layer: a payload and the annotations with its signature. */
  | {
      readonly format: 'cosign';
      readonly mediaType: string;
      readonly payload: Uint8Array;
      readonly annotations: Readonly<Record<string, string>>;
    };

/**
 * What stands where a signature should, and is none of any format. A policy refuses the whole image
 * for it, as containers/image does; for a key named by hand it is one signature that does not count.
 */
export type UnreadableSignature = {
  readonly format: 'unreadable';
  readonly code: ErrorCode;
  readonly message: string;
};

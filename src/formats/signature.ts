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
    }
  /** A sigstore bundle, as cosign 3 hangs it on an image: the JSON as it was found. `mediaType` is the layer's. */
  | { readonly format: 'bundle'; readonly mediaType: string; readonly json: Uint8Array }
  /** A layer of cosign 2's `.att` attachment: a DSSE envelope (JSON), with annotations like those of a signature. */
  | {
      readonly format: 'attestation';
      readonly mediaType: string;
      readonly envelope: Uint8Array;
      readonly annotations: Readonly<Record<string, string>>;
    }
  /** A Notary Project signature envelope (JWS or COSE). It is listed, and never believed. */
  | { readonly format: 'notary'; readonly mediaType: string; readonly envelope: Uint8Array };

/**
 * What stands where a signature should, and is none of any format. A policy refuses the whole image
 * for it, as containers/image does; for a key named by hand it is one signature that does not count.
 */
export type UnreadableSignature = {
  readonly format: 'unreadable';
  readonly code: ErrorCode;
  readonly message: string;
};

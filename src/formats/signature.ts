/** What a store holds: signatures as bytes, nothing checked yet. */

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

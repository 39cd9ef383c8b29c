/** What a policy can ask of an image (containers-policy.json.5), as plain data. */

/** Where in the policy's text a value stands: its offset in UTF-16 units and its JSON path. */
export type Source = { readonly offset: number; readonly path: string };

/** Which name inside a signature counts as the image's (containers-policy.json.5, signedIdentity). */
export type SignedIdentity =
  | { readonly type: 'matchExact' }
  | { readonly type: 'matchRepoDigestOrExact' }
  | { readonly type: 'matchRepository' }
  | { readonly type: 'exactReference'; readonly dockerReference: string }
  | { readonly type: 'exactRepository'; readonly dockerRepository: string }
  | { readonly type: 'remapIdentity'; readonly prefix: string; readonly signedPrefix: string };

/** The identity rule of a requirement that names none. */
export const defaultIdentity: SignedIdentity = { type: 'matchRepoDigestOrExact' };

/** Key material: files (read when the policy is evaluated) or the bytes themselves. */
export type Material =
  | { readonly kind: 'paths'; readonly paths: readonly string[] }
  | { readonly kind: 'data'; readonly data: readonly Uint8Array[] };

/** Only `GPGKeys` can accept anything; the others parse and always refuse, as in containers/image. */
export const keyTypes = ['GPGKeys', 'signedByGPGKeys', 'X509Certificates', 'signedByX509CAs'] as const;
export type KeyType = (typeof keyTypes)[number];

/** Simple signing by one of the keys of a keyring: all files together are one keyring. */
export type SignedBy = {
  readonly type: 'signedBy';
  readonly source: Source;
  readonly keyType: KeyType;
  readonly keys: Material;
  readonly signedIdentity: SignedIdentity;
};

/** Keyless signing: a certificate from this authority, for this mail address by this issuer. */
export type Fulcio = { readonly ca: Material; readonly oidcIssuer: string; readonly subjectEmail: string };

/** Certificates of one's own authority; at least one of the subjects is there. */
export type Pki = {
  readonly caRoots: Material;
  readonly caIntermediates?: Material;
  readonly subjectEmail?: string;
  readonly subjectHostname?: string;
};

/** Who a sigstore signature must be by. Each path or datum of `keys` is exactly one key. */
export type SigstoreSigner =
  | { readonly kind: 'keys'; readonly keys: Material }
  | { readonly kind: 'fulcio'; readonly fulcio: Fulcio }
  | { readonly kind: 'pki'; readonly pki: Pki };

export type SigstoreSigned = {
  readonly type: 'sigstoreSigned';
  readonly source: Source;
  readonly signer: SigstoreSigner;
  /** Rekor's public keys, any of which may have signed the log entry; absent: no log is asked for. */
  readonly rekorKeys?: Material;
  readonly signedIdentity: SignedIdentity;
};

export type Requirement =
  | { readonly type: 'insecureAcceptAnything'; readonly source: Source }
  | { readonly type: 'reject'; readonly source: Source }
  | SignedBy
  | { readonly type: 'signedBaseLayer'; readonly source: Source; readonly baseLayerIdentity: SignedIdentity }
  | SigstoreSigned;

/** The five types, as the policy spells them. */
export const requirementTypes = [
  'insecureAcceptAnything',
  'reject',
  'signedBy',
  'signedBaseLayer',
  'sigstoreSigned',
] as const;

/** The six identity types, as the policy spells them. */
export const identityTypes = [
  'matchExact',
  'matchRepoDigestOrExact',
  'matchRepository',
  'exactReference',
  'exactRepository',
  'remapIdentity',
] as const;

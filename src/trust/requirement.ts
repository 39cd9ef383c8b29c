/** What a policy can ask of an image (containers-policy.json.5, and docs/formats/trust-yaml.md for `signed`), as plain data. */
import type { CertificateIdentity } from './identity-rule.ts';

/** Where in the policy's text a value stands: its offset in UTF-16 units and its JSON path. */
export type Source = { readonly offset: number; readonly path: string };

/** Which name inside a signature counts as the image's (containers-policy.json.5, signedIdentity). */
export type SignedIdentity =
  | { readonly type: 'matchExact' }
  | { readonly type: 'matchRepoDigestOrExact' }
  | { readonly type: 'matchRepository' }
  | { readonly type: 'exactReference'; readonly dockerReference: string }
  | { readonly type: 'exactRepository'; readonly dockerRepository: string }
  | {
      readonly type: 'remapIdentity';
      readonly prefix: string;
      readonly signedPrefix: string;
      /** How the remapped name is compared; only a trust.yaml can say. Default: matchRepoDigestOrExact. */
      readonly match?: RemappedMatch;
    };

/** The rules that compare with the image's own name. */
export const remappedMatches = ['matchExact', 'matchRepoDigestOrExact', 'matchRepository'] as const;
export type RemappedMatch = (typeof remappedMatches)[number];

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

/** A trusted root that a trust.yaml names: a file, or sigstore's public instance by TUF. */
export type NamedRoot = {
  readonly source: Source;
  readonly name: string;
  readonly from: { readonly kind: 'file'; readonly path: string } | { readonly kind: 'public-good' };
};

/** Milliseconds since 1970: from the first on, up to and without the second. */
export type TimeWindow = { readonly from?: number; readonly until?: number };

/** Somebody whom a trust.yaml names. Several keys are one signer, who may use any of them. */
export type NamedSigner = {
  readonly source: Source;
  readonly name: string;
  readonly window: TimeWindow;
  readonly by:
    | { readonly kind: 'sigstoreKey'; readonly keys: Material; readonly root?: NamedRoot }
    | { readonly kind: 'gpg'; readonly keys: Material }
    | { readonly kind: 'certificate'; readonly root: NamedRoot; readonly identity: CertificateIdentity };
};

/** The formats of signatures that `signed` counts; `attestation` is cosign 2's `.att`. */
export const signedFormats = ['simple', 'cosign', 'bundle', 'attestation'] as const;
export type SignedFormat = (typeof signedFormats)[number];

/** `optional`: none is asked for, but one that is there must hold where it can be checked. */
export type Demand = 'required' | 'optional';

/** Signed by so many of the signers named (trust.yaml). Distinct signers are counted, never signatures. */
export type Signed = {
  readonly type: 'signed';
  readonly source: Source;
  readonly signers: readonly NamedSigner[];
  readonly threshold: number;
  readonly formats: readonly SignedFormat[];
  /** What a bundle or attestation says of the image. */
  readonly predicateType: string;
  /** Absent: required of certificates, optional for keys. */
  readonly log?: Demand;
  readonly timestamp: Demand;
  /** Certificate transparency, for certificates. */
  readonly sct: Demand;
  readonly signedIdentity: SignedIdentity;
};

export type Requirement =
  | { readonly type: 'insecureAcceptAnything'; readonly source: Source }
  | { readonly type: 'reject'; readonly source: Source }
  | SignedBy
  | { readonly type: 'signedBaseLayer'; readonly source: Source; readonly baseLayerIdentity: SignedIdentity }
  | SigstoreSigned
  | Signed;

/** policy.json's five types, as it spells them; trust.yaml has `signed` besides. */
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

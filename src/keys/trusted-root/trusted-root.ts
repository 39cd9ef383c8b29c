/**
 * A trusted root (application/vnd.dev.sigstore.trustedroot+json, sigstore_trustroot.proto): the services of one
 * sigstore instance and when each was to be believed. It is the user's own word; nothing that comes with an image adds to it.
 */
import type { Certificate } from '../certificates/certificate.ts';
import type { SigstorePublicKey } from '../sigstore/public-key.ts';

/** Milliseconds since 1970, both inclusive; no end: to this day. */
export type ValidFor = { readonly start: number; readonly end?: number };

/** A Rekor (v1 or v2), or a certificate transparency log. */
export type TransparencyLog = {
  readonly baseUrl: string;
  readonly key: SigstorePublicKey;
  /** As the entries name it. */
  readonly logId: Uint8Array;
  /** The key ID that the log's checkpoints carry (C2SP signed-note), where the root names it or the key's kind gives it. */
  readonly checkpointKeyId?: Uint8Array;
  readonly validFor: ValidFor;
};

/** A certificate authority or a timestamp authority: its chain, the issuing certificate first, the root last. */
export type Authority = {
  readonly uri: string;
  readonly chain: readonly [Certificate, ...Certificate[]];
  readonly validFor: ValidFor;
};

export type TrustedRoot = {
  readonly transparencyLogs: readonly TransparencyLog[];
  readonly certificateAuthorities: readonly Authority[];
  readonly timestampAuthorities: readonly Authority[];
  readonly certificateLogs: readonly TransparencyLog[];
};

/** One signature and one sigstoreSigned requirement, and what comes of them. */
import { encodeBase64, utf8 } from '../../src/base/bytes.ts';
import type { Digest } from '../../src/base/digest.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { cosignAnnotations, type CosignSignature, encodeCosignPayload } from '../../src/formats/cosign.ts';
import * as forge from './sigstore-forge.ts';

export type SigstoreCase = {
  readonly name: string;
  /** The requirement without type and signedIdentity. */
  readonly requirement: Readonly<Record<string, unknown>>;
  readonly attachment: CosignSignature;
  /** Bulla's code for the signature; of the requirement for a key that does not load. */
  readonly code: ErrorCode | 'accepted';
  /** Where skopeo accepts what Bulla refuses: the name in docs/reference/differences.md. */
  readonly stricter?: string;
};

export const signedReference = 'registry.example.com/ns/app:1';
export const signedIdentity = { type: 'exactReference', dockerReference: signedReference } as const;

/** What the cases are made with: keys, once for all of them. */
export type Bench = {
  readonly digest: Digest;
  readonly payload: Uint8Array;
  readonly key: forge.KeyPair;
  readonly other: forge.KeyPair;
  readonly rekor: forge.KeyPair;
  readonly root: forge.KeyPair;
  readonly middle: forge.KeyPair;
  /** Seconds since 1970: when the cases are made, and when a log took them in. */
  readonly now: number;
  readonly logged: number;
};

export function openCases(digest: Digest): Bench {
  const now = Math.floor(Date.now() / 1000);
  return {
    digest,
    payload: encodeCosignPayload({ manifestDigest: digest, dockerReference: signedReference }),
    key: forge.ecKey(),
    other: forge.ecKey(),
    rekor: forge.ecKey(),
    root: forge.ecKey('P-384'),
    middle: forge.ecKey(),
    now,
    logged: now - 86_400,
  };
}

/** base64 of a text, as policies carry it. */
export function data(text: string): string {
  return encodeBase64(utf8(text));
}

/** The attachment with annotations changed or, by undefined, taken away. */
export function changed(
  attachment: CosignSignature,
  changes: Partial<Record<keyof typeof cosignAnnotations, string | undefined>>,
): CosignSignature {
  const annotations: Record<string, string> = { ...attachment.annotations };
  for (const [name, text] of Object.entries(changes)) {
    const annotation = cosignAnnotations[name as keyof typeof cosignAnnotations];
    if (text === undefined) delete annotations[annotation];
    else annotations[annotation] = text;
  }
  return { ...attachment, annotations };
}

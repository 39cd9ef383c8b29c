/** What a log entry has to be about. */
import { paeOf } from '../base/pae.ts';
import { bytesEqual } from '../base/bytes.ts';
import { crypto } from '../base/node.ts';
import type { Certificate } from '../keys/certificates/certificate.ts';
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';

export type LoggedSigner =
  | { readonly kind: 'key'; readonly key: SigstorePublicKey }
  | { readonly kind: 'certificate'; readonly certificate: Certificate };

export type LoggedContent =
  /** At least one of the two; the algorithm is `sha256`, `sha384` or `sha512`. */
  | {
      readonly kind: 'message';
      readonly message?: Uint8Array;
      readonly digest?: { readonly algorithm: string; readonly value: Uint8Array };
    }
  | { readonly kind: 'dsse'; readonly payloadType: string; readonly payload: Uint8Array };

/** The very signer, signature and content; an entry about anything else proves nothing. */
export type LoggedArtifact = {
  readonly signer: LoggedSigner;
  readonly signature: Uint8Array;
  readonly content: LoggedContent;
};

const hashes: ReadonlySet<string> = new Set(['sha256', 'sha384', 'sha512']);

/** Whether that is the digest of what was signed: the message, or the pre-authentication encoding of the envelope. */
export function isSignedDigest(content: LoggedContent, algorithm: string, value: Uint8Array): boolean {
  if (!hashes.has(algorithm)) return false;
  if (content.kind === 'dsse') return isDigest(paeOf(content.payloadType, content.payload), algorithm, value);
  const { message, digest } = content;
  if (message !== undefined) return isDigest(message, algorithm, value);
  return digest?.algorithm === algorithm && bytesEqual(digest.value, value);
}

/** Whether that is the digest of the bytes; false for an algorithm that nobody uses. */
export function isDigest(bytes: Uint8Array, algorithm: string, value: Uint8Array): boolean {
  return hashes.has(algorithm) && bytesEqual(crypto.createHash(algorithm).update(bytes).digest(), value);
}

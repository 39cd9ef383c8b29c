/** Content digests (OCI image specification, descriptor.md#digests). */
import { BullaError } from './errors.ts';
import { printable } from './bytes.ts';
import { crypto } from './node.ts';

declare const isDigest: unique symbol;

/** `sha256:<64 lower-case hex>`, or sha384 and sha512 alike; only parseDigest and digestOf make one. */
export type Digest = string & { readonly [isDigest]: true };

export type DigestAlgorithm = 'sha256' | 'sha384' | 'sha512';

const hexLength: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** Parses a digest, or gives undefined: for input where a wrong digest is one answer among others. */
export function tryParseDigest(text: string): Digest | undefined {
  const match = /^(sha256|sha384|sha512):([0-9a-f]+)$/.exec(text);
  if (match === null) return undefined;
  return match[2]?.length === hexLength[match[1] as DigestAlgorithm] ? (text as Digest) : undefined;
}

/** Parses a digest or throws `digest.malformed`. */
export function parseDigest(text: string): Digest {
  const digest = tryParseDigest(text);
  if (digest !== undefined) return digest;
  throw new BullaError('digest.malformed', `"${printable(text)}" is not a digest`, {
    hint: 'a digest reads sha256: and 64 lower-case hexadecimal digits',
  });
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${crypto.createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.slice(0, 6) as DigestAlgorithm;
}

export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/** True when the bytes have that digest, by the digest's own algorithm. */
export function hasDigest(bytes: Uint8Array, digest: Digest): boolean {
  return digestOf(bytes, algorithmOf(digest)) === digest;
}

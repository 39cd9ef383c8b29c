/**
 * Simple signing: the claim that an image's manifest has a name, as a signed JSON document
 * (containers-signature.5). The claim is read only once the signature around it holds.
 */
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import type { Keyring } from '../keys/openpgp/keyring.ts';
import { readUntrustedMessage, type UntrustedMessage, verifySignedMessage } from '../keys/openpgp/verify.ts';
import { type ClaimKind, encodeClaim, parseClaim, type SignedClaim } from './claim.ts';

const simpleSigning: ClaimKind = { type: 'atomic container signature', optionalMayBeNull: false };

export type SimpleSigningClaim = SignedClaim;

/**
 * The payload to sign: compact JSON, keys in alphabetical order, as containers/image writes it.
 * @throws BullaError `usage.invalid` for an empty reference or a timestamp that is no whole number
 */
export function encodeSimpleSigning(claim: SimpleSigningClaim): Uint8Array {
  return encodeClaim(claim, simpleSigning);
}

/**
 * Reads a payload as strictly as containers/image. Only for payloads whose signature was verified, or to show.
 * @throws BullaError `signature.payload-malformed`, `signature.wrong-type`
 */
export function parseSimpleSigning(bytes: Uint8Array): SimpleSigningClaim {
  return parseClaim(bytes, simpleSigning);
}

/** What a signature claims, unverified: for showing, never for deciding. */
export type UntrustedClaim = {
  /** Fingerprints or key IDs, upper-case hex. */
  readonly keyIds: readonly string[];
  readonly created?: Date;
  readonly claim?: SimpleSigningClaim;
};

export type VerifiedClaim =
  | {
      readonly ok: true;
      readonly claim: SimpleSigningClaim;
      /** The primary key's fingerprint, 40 upper-case hexadecimal digits. */
      readonly fingerprint: string;
      readonly signingFingerprint: string;
      /** When the signer says that it was made. */
      readonly created: Date;
    }
  | {
      readonly ok: false;
      readonly code: ErrorCode;
      readonly message: string;
      readonly untrusted: UntrustedClaim;
    };

/**
 * Verifies a simple signature: its mathematics, its key, then its payload, in that order. Whether the
 * claim is about the image at hand is the caller's to judge. Refusals are values, by code:
 * those of verifySignedMessage, then `signature.payload-malformed`, `signature.wrong-type`.
 */
export function verifySimpleSigning(blob: Uint8Array, keyring: Keyring, now: Date): VerifiedClaim {
  const message = verifySignedMessage(blob, keyring, now);
  if (!message.ok) return { ...message, untrusted: claimOf(message.untrusted).untrusted };
  const { content, fingerprint, signingFingerprint, created } = message;
  try {
    return { ok: true, claim: parseSimpleSigning(content), fingerprint, signingFingerprint, created };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    const untrusted = { keyIds: [signingFingerprint], created };
    return { ok: false, code: error.code, message: error.message, untrusted };
  }
}

/** What a blob says without any proof, and what is wrong with its form if something is. */
export function readUntrustedSimpleSigning(
  blob: Uint8Array,
): UntrustedClaim & { readonly problem?: { readonly code: ErrorCode; readonly message: string } } {
  try {
    const { untrusted, problem } = claimOf(readUntrustedMessage(blob));
    return problem === undefined ? untrusted : { ...untrusted, problem };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { keyIds: [], problem: { code: error.code, message: error.message } };
  }
}

function claimOf({ content, ...rest }: UntrustedMessage): {
  untrusted: UntrustedClaim;
  problem?: { readonly code: ErrorCode; readonly message: string };
} {
  if (content === undefined) return { untrusted: rest };
  try {
    return { untrusted: { ...rest, claim: parseSimpleSigning(content) } };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { untrusted: rest, problem: { code: error.code, message: error.message } };
  }
}

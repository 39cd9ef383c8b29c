/**
 * Verification of signed messages, with gpg's verdicts: podman and skopeo ask gpg, so a signature
 * that they refuse is refused here. Keys are judged as of now, not as of the signature's own claim
 * of when it was made (reference: containers-signature.5; docs/decisions/0003).
 */
import { printable } from '../../base/bytes.ts';
import { BullaError, type ErrorCode } from '../../base/errors.ts';
import { checkSignature, hashOf } from './check.ts';
import type { Candidate, Keyring } from './keyring.ts';
import { type FramedMessage, parseSignedMessage } from './message.ts';
import { type SignaturePacket, signatureTypes } from './signature-packet.ts';

/** What a message says of itself; nobody vouches for it. */
export type UntrustedMessage = {
  /** Fingerprints or key IDs (upper-case hex) that it names as its signer's. */
  readonly keyIds: readonly string[];
  readonly created?: Date;
  readonly content?: Uint8Array;
};

export type SignedMessage =
  | {
      readonly ok: true;
      readonly content: Uint8Array;
      /** The primary key's, also where a subkey signed: 40 upper-case hexadecimal digits. */
      readonly fingerprint: string;
      /** That of the key that signed. */
      readonly signingFingerprint: string;
      /** When the signer says that it was made. */
      readonly created: Date;
    }
  | {
      readonly ok: false;
      readonly code: ErrorCode;
      /** One line: why it is refused. */
      readonly message: string;
      readonly untrusted: UntrustedMessage;
    };

/**
 * Verifies a binary signed message against a keyring, at a time. It never throws for what is in the
 * blob: a refusal is an answer (`signature.malformed`, `.too-large`, `.unsupported`,
 * `.unknown-key`, `.invalid`, `.expired`, `.key-expired`, `.key-revoked`, `.key-unusable`).
 */
export function verifySignedMessage(blob: Uint8Array, keyring: Keyring, now: Date): SignedMessage {
  // every comparison with an invalid date is false: nothing would be expired
  if (Number.isNaN(now.getTime())) throw new BullaError('internal.bug', 'the time of the verdict is none');
  let untrusted: UntrustedMessage = { keyIds: [] };
  try {
    const message = parseSignedMessage(blob);
    untrusted = untrustedOf(message);
    return judge(message, keyring, Math.floor(secondsOf(now)));
  } catch (error) {
    if (!(error instanceof BullaError)) throw error;
    return { ok: false, code: error.code, message: error.message, untrusted };
  }
}

/**
 * What a signed message claims, without any check but its framing.
 * @throws BullaError `signature.malformed`, `signature.too-large`, `signature.unsupported`
 */
export function readUntrustedMessage(blob: Uint8Array): UntrustedMessage {
  return untrustedOf(parseSignedMessage(blob));
}

function untrustedOf({ content, signature }: FramedMessage): UntrustedMessage {
  const named =
    signature.issuerFingerprints.length > 0 ? signature.issuerFingerprints : signature.issuerKeyIds;
  const created = signature.created === undefined ? {} : { created: new Date(signature.created * 1000) };
  return { keyIds: [...new Set(named)], content, ...created };
}

function judge({ content, signature }: FramedMessage, keyring: Keyring, now: number): SignedMessage {
  const created = checkForm(signature);
  const candidates = candidatesFor(signature, keyring);
  const [signer, another] = candidates.filter(({ key }) => checkSignature(signature, [content], key));
  if (signer === undefined) throw refuse('invalid', 'the signature does not fit its message and key');
  if (another !== undefined) {
    // gpg calls the name ambiguous: nobody can tell which of two owners signed
    throw refuse('key-unusable', `key ${signer.key.fingerprint} belongs to two of the accepted certificates`);
  }
  checkTimes(signature, created, now);
  checkSigner(signer, created, now);
  return {
    ok: true,
    content,
    fingerprint: signer.primaryFingerprint,
    signingFingerprint: signer.key.fingerprint,
    created: new Date(created * 1000),
  };
}

/** What must hold whoever signed; gives the creation time, in seconds since 1970. */
function checkForm(signature: SignaturePacket): number {
  const { type, created, problem, ambiguous } = signature;
  if (type !== signatureTypes.binary && type !== signatureTypes.text) {
    throw refuse('malformed', `the signature is malformed: its type 0x${type.toString(16)} signs no message`);
  }
  if (problem !== undefined) throw refuse('malformed', `the signature is malformed: ${problem}`);
  if (ambiguous) throw refuse('malformed', 'the signature is malformed: it states one time twice');
  if (created === undefined) throw refuse('malformed', 'the signature is malformed: it has no creation time');
  const hash = hashOf(signature.hash);
  if (hash === undefined) {
    throw refuse(
      'unsupported',
      `the signature uses hash algorithm ${signature.hash}, which is not supported`,
    );
  }
  if (hash.weak)
    throw refuse('unsupported', `the signature uses ${hash.text}, which proves nothing any more`);
  return created;
}

/** The keys that the signature names. All that it says of its issuer must fit one key. */
function candidatesFor(signature: SignaturePacket, keyring: Keyring): readonly Candidate[] {
  const { issuerFingerprints, issuerKeyIds } = signature;
  const name = issuerFingerprints[0] ?? issuerKeyIds[0];
  if (name === undefined) throw refuse('malformed', 'the signature is malformed: it does not name its key');
  const agrees =
    issuerFingerprints.every((fingerprint) => fingerprint === name) &&
    issuerKeyIds.every((keyId) => name.endsWith(keyId));
  if (!agrees) throw refuse('malformed', 'the signature is malformed: it names two different keys');
  const candidates = keyring.candidates(name);
  if (candidates.length === 0) {
    throw refuse(
      'unknown-key',
      `the signature is by key ${printable(name)}, which is not among the accepted keys`,
    );
  }
  return candidates;
}

/** gpg takes any future time; a signer's clock may run ahead, but not by more than a day (seconds). */
const clockSkew = 86_400;

function checkTimes(signature: SignaturePacket, created: number, now: number): void {
  if (created > now + clockSkew) {
    throw refuse('invalid', `the signature says that it was made in the future, at ${textOfTime(created)}`);
  }
  if (signature.lifetime !== undefined && created + signature.lifetime <= now) {
    throw refuse('expired', `the signature expired at ${textOfTime(created + signature.lifetime)}`);
  }
}

function checkSigner(signer: Candidate, created: number, now: number): void {
  const { state, primary } = signer.judge(now);
  const name = `key ${state.fingerprint}`;
  if (!primary.bound) {
    throw refuse('key-unusable', `${name} belongs to a certificate without a valid user ID`);
  }
  if (primary.revoked || state.revoked) throw refuse('key-revoked', `${name} is revoked`);
  if (!state.bound) throw refuse('key-unusable', `${name} is not bound to its primary key`);
  if (!state.usage.sign) throw refuse('key-unusable', `${name} is not for signing`);
  for (const { created: keyCreated, expires } of [primary, state]) {
    if (secondsOf(keyCreated) > Math.min(created, now)) {
      throw refuse('key-unusable', `${name} was made after the signature, at ${keyCreated.toISOString()}`);
    }
    if (expires !== undefined && secondsOf(expires) <= now) {
      throw refuse('key-expired', `${name} expired at ${expires.toISOString()}`);
    }
  }
}

function secondsOf(date: Date): number {
  return date.getTime() / 1000;
}

function textOfTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

type Why =
  | 'malformed'
  | 'unsupported'
  | 'unknown-key'
  | 'invalid'
  | 'expired'
  | 'key-expired'
  | 'key-revoked'
  | 'key-unusable';

function refuse(why: Why, message: string): BullaError {
  return new BullaError(`signature.${why}`, message);
}

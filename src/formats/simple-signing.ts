/**
 * Simple signing: the claim that an image's manifest has a name, as a signed JSON document
 * (containers-signature.5). The claim is read only once the signature around it holds.
 */
import { textOf, utf8 } from '../base/bytes.ts';
import { type Digest, tryParseDigest } from '../base/digest.ts';
import { BullaError, type ErrorCode, isBullaError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';
import type { Keyring } from '../keys/openpgp/keyring.ts';
import { readUntrustedMessage, type UntrustedMessage, verifySignedMessage } from '../keys/openpgp/verify.ts';
import { escapeAsGo } from './go-json.ts';

const claimType = 'atomic container signature';

export type SimpleSigningClaim = {
  readonly manifestDigest: Digest;
  /** As signed; it is compared by the identity rules of the policy and may be no valid reference. */
  readonly dockerReference: string;
  /** The program that made it. */
  readonly creator?: string;
  /** Seconds since 1970, by the signer's clock. */
  readonly timestamp?: number;
};

/**
 * The payload to sign: compact JSON, keys in alphabetical order, as containers/image writes it.
 * @throws BullaError `usage.invalid` for an empty reference or a timestamp that is no whole number
 */
export function encodeSimpleSigning(claim: SimpleSigningClaim): Uint8Array {
  const { manifestDigest, dockerReference, creator, timestamp } = claim;
  if (tryParseDigest(manifestDigest) === undefined || dockerReference === '') {
    throw new BullaError('usage.invalid', 'a signature needs a manifest digest and a reference');
  }
  if (timestamp !== undefined && !Number.isSafeInteger(timestamp)) {
    throw new BullaError('usage.invalid', 'the timestamp of a signature is a whole number of seconds');
  }
  const document = {
    critical: {
      identity: { 'docker-reference': dockerReference },
      image: { 'docker-manifest-digest': manifestDigest },
      type: claimType,
    },
    // JSON.stringify leaves out what is undefined
    optional: { creator, timestamp },
  };
  return utf8(escapeAsGo(JSON.stringify(document)));
}

/**
 * Reads a payload as strictly as containers/image: every key once, none missing, none unknown but in
 * `optional`; null is Go's zero value. Only for payloads whose signature was verified, or to show.
 * @throws BullaError `signature.payload-malformed`, `signature.wrong-type`
 */
export function parseSimpleSigning(bytes: Uint8Array): SimpleSigningClaim {
  const top = exactMembers(parsePayload(bytes), 'the payload', ['critical', 'optional']);
  const critical = exactMembers(top('critical'), 'critical', ['type', 'image', 'identity']);
  const type = stringOf(critical('type'), 'critical.type');
  if (type !== claimType) {
    throw new BullaError('signature.wrong-type', 'the payload is signed, but it is no container signature');
  }
  const image = exactMembers(critical('image'), 'critical.image', ['docker-manifest-digest']);
  const digestName = 'critical.image.docker-manifest-digest';
  const manifestDigest = tryParseDigest(stringOf(image('docker-manifest-digest'), digestName));
  if (manifestDigest === undefined) throw malformed(`${digestName} is no digest`);
  const identity = exactMembers(critical('identity'), 'critical.identity', ['docker-reference']);
  const dockerReference = stringOf(identity('docker-reference'), 'critical.identity.docker-reference');
  return { manifestDigest, dockerReference, ...parseOptional(top('optional')) };
}

function parsePayload(bytes: Uint8Array): JsonValue {
  const text = textOf(bytes);
  if (text === undefined) throw malformed('it is not valid UTF-8');
  try {
    return parseJson(text, 'payload');
  } catch (error) {
    if (isBullaError(error, 'json.malformed')) throw malformed(error.message);
    throw error;
  }
}

/** Gives the members of an object that has exactly those keys, each once. */
function exactMembers<K extends string>(
  value: JsonValue,
  what: string,
  keys: readonly K[],
): (key: K) => JsonValue {
  if (value.kind !== 'object') throw malformed(`${what} is no object`);
  const members = new Map<string, JsonValue>();
  for (const { key, value: member } of value.members) {
    if (!(keys as readonly string[]).includes(key)) throw malformed(`${what} has a member that nobody knows`);
    if (members.has(key)) throw malformed(`${what} has "${key}" twice`);
    members.set(key, member);
  }
  return (key) => {
    const member = members.get(key);
    if (member === undefined) throw malformed(`${what} has no "${key}"`);
    return member;
  };
}

function parseOptional(value: JsonValue): Pick<SimpleSigningClaim, 'creator' | 'timestamp'> {
  if (value.kind !== 'object') throw malformed('optional is no object');
  const members = new Map(value.members.map((member) => [member.key, member.value]));
  if (members.size !== value.members.length) throw malformed('optional has a member twice');
  if (!numbersFit(value)) throw malformed('optional has a number that no 64-bit float holds');
  const [creator, timestamp] = [members.get('creator'), members.get('timestamp')];
  return {
    ...(creator !== undefined && { creator: stringOf(creator, 'optional.creator') }),
    ...(timestamp !== undefined && { timestamp: secondsOf(timestamp) }),
  };
}

/** Go reads every number, of unknown members too, into a float, and fails where it overflows. */
function numbersFit(value: JsonValue): boolean {
  switch (value.kind) {
    case 'number':
      return Number.isFinite(Number(value.text));
    case 'object':
      return value.members.every((member) => numbersFit(member.value));
    case 'array':
      return value.items.every((item) => numbersFit(item));
    case 'string':
    case 'boolean':
    case 'null':
      return true;
  }
}

/** A number that is a whole one in 64 bits, however it is spelt; null is 0. */
function secondsOf(value: JsonValue): number {
  if (value.kind === 'null') return 0;
  const seconds = value.kind === 'number' ? Number(value.text) : Number.NaN;
  if (!Number.isInteger(seconds) || seconds < -(2 ** 63) || seconds >= 2 ** 63) {
    throw malformed('optional.timestamp is no whole number');
  }
  return seconds;
}

function stringOf(value: JsonValue, what: string): string {
  if (value.kind === 'null') return '';
  if (value.kind !== 'string') throw malformed(`${what} is no string`);
  return value.value;
}

function malformed(why: string): BullaError {
  return new BullaError('signature.payload-malformed', `the signed payload is malformed: ${why}`);
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

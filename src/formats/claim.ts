/**
 * The claim that an image's manifest has a name: the JSON document that simple signing
 * (containers-signature.5) and cosign's attachments sign, alike but for its type.
 */
import { textOf, utf8 } from '../base/bytes.ts';
import { type Digest, tryParseDigest } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';
import { escapeAsGo } from './go-json.ts';

/** What the document says that it is, and whether its `optional` may be null (cosign writes so). */
export type ClaimKind = { readonly type: string; readonly optionalMayBeNull: boolean };

export type SignedClaim = {
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
 * @param more further members of `optional`
 * @throws BullaError `usage.invalid` for an empty reference, a timestamp that is no whole number, a further member named so
 */
export function encodeClaim(
  claim: SignedClaim,
  kind: ClaimKind,
  more: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { manifestDigest, dockerReference, creator, timestamp } = claim;
  if (tryParseDigest(manifestDigest) === undefined || dockerReference === '') {
    throw new BullaError('usage.invalid', 'a signature needs a manifest digest and a reference');
  }
  if (timestamp !== undefined && !Number.isSafeInteger(timestamp)) {
    throw new BullaError('usage.invalid', 'the timestamp of a signature is a whole number of seconds');
  }
  if (Object.hasOwn(more, 'creator') || Object.hasOwn(more, 'timestamp')) {
    throw new BullaError(
      'usage.invalid',
      'no annotation can be named creator or timestamp: both are there already',
    );
  }
  const document = {
    critical: {
      identity: { 'docker-reference': dockerReference },
      image: { 'docker-manifest-digest': manifestDigest },
      type: kind.type,
    },
    // JSON.stringify leaves out what is undefined
    optional: sorted({ ...more, creator, timestamp }),
  };
  return utf8(escapeAsGo(JSON.stringify(document)));
}

function sorted<T>(members: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(members).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Reads a payload as strictly as containers/image: every key once, none missing, none unknown but in
 * `optional`; null is Go's zero value. Only for payloads whose signature was verified, or to show.
 * @throws BullaError `signature.payload-malformed`, `signature.wrong-type`
 */
export function parseClaim(bytes: Uint8Array, kind: ClaimKind): SignedClaim {
  const top = exactMembers(parsePayload(bytes), 'the payload', ['critical', 'optional']);
  const critical = exactMembers(top('critical'), 'critical', ['type', 'image', 'identity']);
  const type = stringOf(critical('type'), 'critical.type');
  if (type !== kind.type) {
    throw new BullaError('signature.wrong-type', 'the payload is signed, but it is no container signature');
  }
  const image = exactMembers(critical('image'), 'critical.image', ['docker-manifest-digest']);
  const digestName = 'critical.image.docker-manifest-digest';
  const manifestDigest = tryParseDigest(stringOf(image('docker-manifest-digest'), digestName));
  if (manifestDigest === undefined) throw malformed(`${digestName} is no digest`);
  const identity = exactMembers(critical('identity'), 'critical.identity', ['docker-reference']);
  const dockerReference = stringOf(identity('docker-reference'), 'critical.identity.docker-reference');
  return { manifestDigest, dockerReference, ...parseOptional(top('optional'), kind) };
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

function parseOptional(value: JsonValue, kind: ClaimKind): Pick<SignedClaim, 'creator' | 'timestamp'> {
  if (value.kind === 'null' && kind.optionalMayBeNull) return {};
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

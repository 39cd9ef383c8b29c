/** Reading the JSON of log entries: every member once, base64 strictly, a fault for anything else. */
import { decodeBase64 } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonMember, type JsonValue, parseJson } from '../base/json.ts';

export type Members = ReadonlyMap<string, JsonValue>;

/** @throws BullaError `signature.log-entry-invalid`, as all of these do */
export function readJson(text: string): JsonValue {
  try {
    return parseJson(text, 'log entry');
  } catch (error) {
    if (isBullaError(error, 'json.malformed')) throw invalid(error.message);
    throw error;
  }
}

/** The members of an object, each there once. */
export function onceMembers(value: JsonValue): Members {
  if (value.kind !== 'object') throw invalid('it is not built as it should be');
  const members = new Map(value.members.map(({ key, value: member }: JsonMember) => [key, member]));
  if (members.size !== value.members.length) throw invalid('it has a member twice');
  return members;
}

/** Those members, and no others. */
export function exactMembers(value: JsonValue, keys: readonly string[]): Members {
  const members = onceMembers(value);
  if (members.size !== keys.length || !keys.every((key) => members.has(key))) {
    throw invalid(`expected exactly the members ${keys.join(', ')}`);
  }
  return members;
}

export function valueOf(members: Members, key: string): JsonValue {
  const value = members.get(key);
  if (value === undefined) throw invalid(`${key} is missing`);
  return value;
}

/** The members of a member. */
export function membersOf(members: Members, key: string): Members {
  return onceMembers(valueOf(members, key));
}

export function stringOf(value: JsonValue | undefined, what: string): string {
  if (value?.kind !== 'string') throw invalid(`${what} is no string`);
  return value.value;
}

export function base64Of(value: JsonValue | undefined, what: string): Uint8Array {
  const bytes = decodeBase64(stringOf(value, what));
  if (bytes === undefined) throw invalid(`${what} is no base64`);
  return bytes;
}

/** A whole number of 64 bits; as a time beyond 2^53 it loses digits that nobody compares. */
export function int64Of(value: JsonValue | undefined, what: string): number {
  const text = value?.kind === 'number' && /^-?[0-9]{1,19}$/.test(value.text) ? value.text : undefined;
  if (text === undefined || BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) {
    throw invalid(`${what} is no whole number`);
  }
  return Number(text);
}

export function invalid(why: string): BullaError {
  return new BullaError('signature.log-entry-invalid', `the log entry does not hold: ${why}`);
}

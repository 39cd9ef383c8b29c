/**
 * The JSON of protocol buffers (proto3's JSON mapping), read strictly: a member that is not known is refused, as
 * sigstore-go refuses it, and so is one that is there twice. Only the lowerCamelCase names count. null is absent.
 */
import { textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';

export type Message = ReadonlyMap<string, JsonValue>;

/** @throws BullaError `signature.malformed` */
export function readMessageText(json: Uint8Array, what: string): JsonValue {
  const text = textOf(json);
  if (text === undefined) throw malformed(what, 'it is not valid UTF-8');
  try {
    return parseJson(text, what);
  } catch (error) {
    if (isBullaError(error, 'json.malformed')) throw malformed(what, error.message);
    throw error;
  }
}

/** The members of a message, nulls left out. @throws BullaError `signature.malformed` */
export function messageOf(value: JsonValue | undefined, what: string, known: readonly string[]): Message {
  if (value?.kind !== 'object')
    throw malformed(what, value === undefined ? 'it is missing' : 'it is no object');
  const members = new Map<string, JsonValue>();
  for (const { key, value: member } of value.members) {
    if (!known.includes(key)) throw malformed(what, `it has a member that nobody knows`);
    if (members.has(key)) throw malformed(what, `"${key}" is there twice`);
    members.set(key, member);
  }
  for (const [key, member] of members) if (member.kind === 'null') members.delete(key);
  return members;
}

/** A repeated field; absent is empty. */
export function listOf(value: JsonValue | undefined, what: string, most: number): readonly JsonValue[] {
  if (value === undefined) return [];
  if (value.kind !== 'array') throw malformed(what, 'it is no list');
  if (value.items.length > most) throw malformed(what, `more than ${most} are not read`);
  return value.items;
}

/** A text; absent is empty. */
export function stringOf(value: JsonValue | undefined, what: string): string {
  if (value === undefined) return '';
  if (value.kind !== 'string') throw malformed(what, 'it is no string');
  return value.value;
}

/**
 * Bytes; absent is empty. Only the one spelling that standard base64 has for them: another one would
 * make two texts of one signature.
 */
export function bytesOf(value: JsonValue | undefined, what: string): Uint8Array {
  const text = stringOf(value, what);
  // not by a regular expression: a payload may have megabytes
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw malformed(what, 'it is no canonical base64');
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** An int64 that counts something: a string or a number of decimal digits, absent is 0, below zero is refused. */
export function countOf(value: JsonValue | undefined, what: string): bigint {
  if (value === undefined) return 0n;
  const text = value.kind === 'number' ? value.text : value.kind === 'string' ? value.value : '';
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text)) throw malformed(what, 'it is no whole number from 0 up');
  const number = BigInt(text);
  if (number >= 2n ** 63n) throw malformed(what, 'it has more than 63 bits');
  return number;
}

export function malformed(what: string, why: string): BullaError {
  return new BullaError('signature.malformed', `the ${what} cannot be used: ${why}`);
}

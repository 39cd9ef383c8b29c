/** Reading protobuf's JSON of a trusted root: every member once, `null` as absent, what is not known passed over. */
import { decodeBase64, printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import type { JsonObject, JsonValue } from '../../base/json.ts';
import type { ValidFor } from './trusted-root.ts';

/** A value and what to call it: `root.json: tlogs[0].publicKey`. */
export type Field = { readonly value: JsonValue; readonly path: string };

/** What parses and yet cannot be believed: exit 1. */
export function unusable(path: string, why: string): BullaError {
  return new BullaError('trusted-root.unusable', `${printable(path, 500)}: ${why}`);
}

/** The members of an object. @throws BullaError `trusted-root.unusable` for another kind of value, or a member twice */
export function membersOf({ value, path }: Field): ReadonlyMap<string, Field> {
  if (value.kind !== 'object') throw unusable(path, 'an object is expected');
  return uniqueMembers(value, path);
}

function uniqueMembers(value: JsonObject, path: string): ReadonlyMap<string, Field> {
  const members = new Map<string, Field>();
  for (const { key, value: member } of value.members) {
    if (members.has(key)) throw unusable(path, `the member "${printable(key, 60)}" is there twice`);
    members.set(key, { value: member, path: `${path}.${key}` });
  }
  for (const [key, member] of members) if (member.value.kind === 'null') members.delete(key);
  return members;
}

/** A member that must be there. @throws BullaError `trusted-root.unusable` */
export function needed(members: ReadonlyMap<string, Field>, key: string, path: string): Field {
  const member = members.get(key);
  if (member === undefined) throw unusable(path, `${key} is missing`);
  return member;
}

/** A list; absent: empty. @throws BullaError `trusted-root.unusable` for another kind of value, or more than `most` items */
export function itemsOf(member: Field | undefined, most: number): readonly Field[] {
  if (member === undefined) return [];
  const { value, path } = member;
  if (value.kind !== 'array') throw unusable(path, 'a list is expected');
  if (value.items.length > most) throw unusable(path, `it has more than ${most} items`);
  return value.items.map((item, index) => ({ value: item, path: `${path}[${index}]` }));
}

/** A string. @throws BullaError `trusted-root.unusable` */
export function stringOf({ value, path }: Field): string {
  if (value.kind !== 'string') throw unusable(path, 'a string is expected');
  return value.value;
}

/** Bytes in padded standard base64, at least one. @throws BullaError `trusted-root.unusable` */
export function bytesOf(field: Field): Uint8Array {
  const bytes = decodeBase64(stringOf(field));
  if (bytes === undefined || bytes.length === 0) throw unusable(field.path, 'base64 is expected');
  return bytes;
}

const timestamp = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/;

/** RFC 3339, as milliseconds since 1970; parts of a millisecond are cut. @throws BullaError `trusted-root.unusable` */
export function timeOf(field: Field): number {
  const match = timestamp.exec(stringOf(field));
  const [, date = '', fraction = '', zone = ''] = match ?? [];
  const time = Date.parse(`${date}.${fraction.padEnd(3, '0').slice(0, 3)}${zone}`);
  const plain = Date.parse(`${date}.000Z`);
  // Date.parse takes the 31st of June for the 1st of July
  if (
    match === null ||
    Number.isNaN(time) ||
    Number.isNaN(plain) ||
    !new Date(plain).toISOString().startsWith(date)
  ) {
    throw unusable(field.path, 'a time (RFC 3339) is expected');
  }
  return time;
}

/** A time range with a start; its end counts as inside. @throws BullaError `trusted-root.unusable` where the start is missing */
export function validForOf(range: Field | undefined, path: string): ValidFor {
  if (range === undefined)
    throw unusable(path, 'nothing says from when on it is to be believed (validFor.start)');
  const members = membersOf(range);
  const start = timeOf(needed(members, 'start', range.path));
  const end = members.get('end');
  return { start, ...(end !== undefined && { end: timeOf(end) }) };
}

/**
 * Reading JSON that services and their files answer with: strictly, a member that stands twice being none. The
 * caller says what a fault means.
 */
import type { JsonArray, JsonObject, JsonValue } from '../base/json.ts';

/** Makes the error for a fault that a reader found. */
export type Fault = (why: string) => Error;

/** An object without duplicate members; `where` names it. */
export function objectOf(value: JsonValue | undefined, where: string, fault: Fault): JsonObject {
  if (value?.kind !== 'object') throw fault(`${where} is no object`);
  const seen = new Set<string>();
  for (const { key } of value.members) {
    if (seen.has(key)) throw fault(`${where} has a member twice`);
    seen.add(key);
  }
  return value;
}

/** A member's value; undefined where it is missing or null, which protobuf's JSON makes no difference between. */
export function memberOf(object: JsonObject, name: string): JsonValue | undefined {
  const value = object.members.find(({ key }) => key === name)?.value;
  return value?.kind === 'null' ? undefined : value;
}

/** A member that is text and not empty, or missing. */
export function textMember(object: JsonObject, name: string, fault: Fault): string | undefined {
  const value = memberOf(object, name);
  if (value === undefined) return undefined;
  if (value.kind !== 'string') throw fault(`${name} is no text`);
  return value.value === '' ? undefined : value.value;
}

/** A member that is text and not empty. */
export function neededText(object: JsonObject, name: string, fault: Fault): string {
  const value = textMember(object, name, fault);
  if (value === undefined) throw fault(`${name} is missing`);
  return value;
}

/** A member that is a whole number from 0, as a number or (protobuf's int64) as text; undefined where it is missing. */
export function countMember(object: JsonObject, name: string, fault: Fault): number | undefined {
  const value = memberOf(object, name);
  if (value === undefined) return undefined;
  const text = value.kind === 'number' ? value.text : value.kind === 'string' ? value.value : '';
  const number = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw fault(`${name} is no whole number`);
  return number;
}

/** The items of a member that is a list; none where it is missing. */
export function listMember(object: JsonObject, name: string, fault: Fault): JsonArray['items'] {
  const value = memberOf(object, name);
  if (value === undefined) return [];
  if (value.kind !== 'array') throw fault(`${name} is no list`);
  return value.items;
}

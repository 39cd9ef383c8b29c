/**
 * Reading policy JSON the way Go's strict decoder in containers/image does, so that a file is
 * accepted here exactly when it is accepted there: every key known, no key twice, case counts;
 * `null` for a string or a list is as if it were empty; bytes are base64 or a list of numbers.
 * Every refusal names file, line, column and JSON path.
 */
import { decodeBase64, printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { type JsonObject, type JsonValue, positionOf } from '../base/json.ts';
import type { Source } from './requirement.ts';

/** A policy's text and what to call it in errors; `dialect` where it is no policy.json. */
export type PolicyText = { readonly text: string; readonly file: string; readonly dialect?: 'trust.yaml' };

/** A value with its place in the policy. */
export type Node = { readonly policy: PolicyText; readonly path: string; readonly value: JsonValue };

/** An object's members by key, once each. `self` is the object itself, for errors about what is missing. */
export type Fields = { readonly self: Node; readonly members: ReadonlyMap<string, Member> };

/** A member; `keyOffset` is where its key stands. */
export type Member = Node & { readonly keyOffset: number };

/** Where a node stands, to be kept in what is parsed from it. */
export function sourceOf(node: Node): Source {
  return { offset: node.value.offset, path: node.path };
}

/** `file:line:column` of a place in a policy. */
export function placeOf(policy: PolicyText, offset: number): string {
  const { line, column } = positionOf(policy.text, offset);
  return `${printable(policy.file)}:${line}:${column}`;
}

/** The error for a node that is not what it must be. */
export function malformed(node: Node, why: string, hint?: string, offset?: number): BullaError {
  const place = placeOf(node.policy, offset ?? node.value.offset);
  const message = `${place}: ${printable(node.path, 300)}: ${why}`;
  return new BullaError('policy.malformed', message, hint === undefined ? {} : { hint });
}

/** The JSON path of a member: `.key` where that can be read back, else `["key"]`. */
export function memberPath(path: string, key: string): string {
  return /^[A-Za-z_]\w*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

/** Why a key may not stand where it stands, and what to do. */
export type KeyFault = { readonly why: string; readonly hint?: string };

/**
 * Reads an object, each key at most once and none that `faultOf` finds fault with.
 * @throws BullaError `policy.malformed`
 */
export function readObject(node: Node, faultOf: (key: string) => KeyFault | undefined): Fields {
  const members = new Map<string, Member>();
  for (const { key: raw, offset, value } of objectOf(node).members) {
    // half a surrogate pair is one and the same replacement character to Go: two such keys are one
    const key = raw.toWellFormed();
    const member = { policy: node.policy, path: memberPath(node.path, key), value, keyOffset: offset };
    const fault = members.has(key) ? { why: `the key "${printable(key)}" is there twice` } : faultOf(key);
    if (fault !== undefined) throw malformed(member, fault.why, fault.hint, offset);
    members.set(key, member);
  }
  return { self: node, members };
}

/** As readObject, for a fixed set of keys. */
export function readFields(node: Node, keys: readonly string[]): Fields {
  return readObject(node, (key) => {
    if (keys.includes(key)) return undefined;
    const other = keys.find((known) => known.toLowerCase() === key.toLowerCase());
    const hint =
      other === undefined ? `the keys allowed here are ${keys.join(', ')}` : `write ${other}: case counts`;
    return { why: `unknown key "${printable(key)}"`, hint };
  });
}

function objectOf(node: Node): JsonObject {
  if (node.value.kind === 'object') return node.value;
  throw malformed(node, `expected an object, found ${nameOf(node.value)}`);
}

/** The items of a list. @throws BullaError `policy.malformed` */
export function readItems(node: Node, what: string): readonly Node[] {
  if (node.value.kind !== 'array') {
    throw malformed(node, `expected a list of ${what}, found ${nameOf(node.value)}`);
  }
  return node.value.items.map((value, index) => ({
    policy: node.policy,
    path: `${node.path}[${index}]`,
    value,
  }));
}

/** A string; `null` and an absent member read as the empty string. */
export function readText(fields: Fields, key: string): string {
  const node = fields.members.get(key);
  return node === undefined ? '' : textOf(node);
}

function textOf(node: Node): string {
  if (node.value.kind === 'null') return '';
  if (node.value.kind === 'string') return node.value.value.toWellFormed();
  throw malformed(node, `expected a string, found ${nameOf(node.value)}`);
}

/** A list of strings, where a `null` among them is the empty string; undefined for `null` and absent. */
export function readTexts(fields: Fields, key: string): readonly string[] | undefined {
  const node = fields.members.get(key);
  if (node === undefined || node.value.kind === 'null') return undefined;
  return readItems(node, 'strings').map(textOf);
}

/** Bytes; undefined for `null` and absent. */
export function readBytes(fields: Fields, key: string): Uint8Array | undefined {
  const node = fields.members.get(key);
  return node === undefined || node.value.kind === 'null' ? undefined : bytesOf(node);
}

/** A list of bytes, where a `null` among them is empty; undefined for `null` and absent. */
export function readByteLists(fields: Fields, key: string): readonly Uint8Array[] | undefined {
  const node = fields.members.get(key);
  if (node === undefined || node.value.kind === 'null') return undefined;
  return readItems(node, 'base64 strings').map((item) =>
    item.value.kind === 'null' ? new Uint8Array() : bytesOf(item),
  );
}

function bytesOf(node: Node): Uint8Array {
  // Go's decoder also takes bytes as a list of numbers from 0 to 255; nobody writes it, skopeo reads it
  if (node.value.kind === 'array') return Uint8Array.from(readItems(node, 'bytes'), byteOf);
  if (node.value.kind !== 'string') {
    throw malformed(node, `expected base64 in a string, found ${nameOf(node.value)}`);
  }
  const bytes = decodeBase64(node.value.value);
  if (bytes !== undefined) return bytes;
  throw malformed(node, 'not base64', 'standard alphabet, padded, no blanks: base64 -w0 FILE writes it');
}

function byteOf(node: Node): number {
  if (node.value.kind === 'null') return 0;
  const byte =
    node.value.kind === 'number' && /^[0-9]{1,3}$/.test(node.value.text) ? Number(node.value.text) : 256;
  if (byte <= 255) return byte;
  throw malformed(node, `expected a number from 0 to 255, found ${nameOf(node.value)}`);
}

function nameOf(value: JsonValue): string {
  switch (value.kind) {
    case 'null':
      return 'null';
    case 'array':
      return 'a list';
    case 'object':
      return 'an object';
    case 'number':
      return `the number ${printable(value.text, 20)}`;
    case 'boolean':
      return String(value.value);
    case 'string':
      return `the string "${printable(value.value, 40)}"`;
  }
}

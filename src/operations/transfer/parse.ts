/** The members of `bulla/transfer.json`, read strictly: nothing unknown, nothing twice, nothing out of order. */
import { printable } from '../../base/bytes.ts';
import { type Digest, tryParseDigest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import type { JsonObject, JsonValue } from '../../base/json.ts';
import { type Reference, tryParseReference } from '../../base/reference.ts';
import type {
  ManifestEntry,
  TransferAttachment,
  TransferImage,
  TransferIndex,
  TransferMember,
  TransferSignature,
} from './format.ts';

/** @throws BullaError `transfer.malformed`, `transfer.unsupported` */
export function parseTransferFields(value: JsonValue): TransferIndex {
  const top = fieldsOf(value, 'it', ['format', 'schemaVersion', 'images', 'members']);
  if (textAt(top, 'format') !== 'bulla-transfer') throw malformed('it is no transfer bundle');
  if (numberAt(top, 'schemaVersion') !== 1) {
    throw new BullaError('transfer.unsupported', 'the transfer bundle is of another version than 1', {
      hint: 'it was made by a newer Bulla; use that one here too',
    });
  }
  const images = listAt(top, 'images').map(imageOf);
  if (images.length === 0) throw malformed('it holds no image');
  const members = listAt(top, 'members').map(memberOf);
  return { images, members };
}

function imageOf(value: JsonValue): TransferImage {
  const fields = fieldsOf(
    value,
    'an image',
    ['reference', 'mediaType', 'digest', 'size', 'signatures', 'attachments'],
    ['platforms'],
  );
  const platforms = fields.has('platforms') ? listAt(fields, 'platforms').map(textOf) : undefined;
  // of a list of which nothing is there, nothing could be judged
  if (platforms?.length === 0) throw malformed('"platforms" of an image names none');
  return {
    reference: referenceAt(fields, 'reference'),
    ...entryAt(fields),
    ...(platforms !== undefined && { platforms }),
    signatures: listAt(fields, 'signatures').map(signatureOf),
    attachments: listAt(fields, 'attachments').map(attachmentOf),
  };
}

function signatureOf(value: JsonValue): TransferSignature {
  const fields = fieldsOf(value, 'a signature', ['of', 'mediaType', 'digest', 'size', 'artifactType']);
  return { of: digestAt(fields, 'of'), ...entryAt(fields), artifactType: textAt(fields, 'artifactType') };
}

function attachmentOf(value: JsonValue): TransferAttachment {
  const fields = fieldsOf(
    value,
    'an attachment',
    ['of', 'mediaType', 'digest', 'size'],
    ['tag', 'artifactType'],
  );
  return {
    of: digestAt(fields, 'of'),
    ...entryAt(fields),
    ...(fields.has('tag') && { tag: textAt(fields, 'tag') }),
    ...(fields.has('artifactType') && { artifactType: textAt(fields, 'artifactType') }),
  };
}

function memberOf(value: JsonValue): TransferMember {
  const fields = fieldsOf(value, 'a member', ['name', 'digest', 'size']);
  return { name: textAt(fields, 'name'), digest: digestAt(fields, 'digest'), size: numberAt(fields, 'size') };
}

function entryAt(fields: Fields): ManifestEntry {
  return {
    mediaType: textAt(fields, 'mediaType'),
    digest: digestAt(fields, 'digest'),
    size: numberAt(fields, 'size'),
  };
}

type Fields = ReadonlyMap<string, JsonValue>;

function fieldsOf(
  value: JsonValue,
  what: string,
  wanted: readonly string[],
  allowed: readonly string[] = [],
): Fields {
  const fields = new Map<string, JsonValue>();
  for (const { key, value: member } of objectOf(value, what).members) {
    if (fields.has(key)) throw malformed(`${what} says "${printable(key)}" twice`);
    if (!wanted.includes(key) && !allowed.includes(key)) throw malformed(`${what} has "${printable(key)}"`);
    fields.set(key, member);
  }
  const missing = wanted.find((key) => !fields.has(key));
  if (missing !== undefined) throw malformed(`${what} has no "${missing}"`);
  return fields;
}

function objectOf(value: JsonValue, what: string): JsonObject {
  if (value.kind === 'object') return value;
  throw malformed(`${what} is no object`);
}

function listAt(fields: Fields, key: string): readonly JsonValue[] {
  const value = fields.get(key);
  if (value?.kind === 'array') return value.items;
  throw malformed(`"${key}" is no list`);
}

function textAt(fields: Fields, key: string): string {
  const value = fields.get(key);
  if (value !== undefined) return textOf(value);
  throw malformed(`"${key}" is missing`);
}

function textOf(value: JsonValue): string {
  if (value.kind === 'string') return value.value;
  throw malformed('what should be a text is none');
}

function numberAt(fields: Fields, key: string): number {
  const value = fields.get(key);
  const number = value?.kind === 'number' && /^[0-9]{1,16}$/.test(value.text) ? Number(value.text) : -1;
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw malformed(`"${key}" is no whole number`);
}

function digestAt(fields: Fields, key: string): Digest {
  const text = textAt(fields, key);
  const digest = tryParseDigest(text);
  if (digest !== undefined) return digest;
  throw malformed(`"${printable(text)}" is no digest`);
}

function referenceAt(fields: Fields, key: string): Reference {
  const text = textAt(fields, key);
  const reference = tryParseReference(text);
  // one of tag and digest: the name that an image was asked for by
  if (reference !== undefined && (reference.tag === undefined) !== (reference.digest === undefined))
    return reference;
  throw malformed(`"${printable(text)}" is no image's name`);
}

function malformed(why: string): BullaError {
  return new BullaError('transfer.malformed', `the transfer bundle's list is malformed: ${why}`);
}

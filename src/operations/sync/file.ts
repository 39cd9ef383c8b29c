/**
 * skopeo sync's YAML file: registries, and of each the repositories, tags and digests that are wanted. Unlike skopeo, which logs
 * what it does not understand, leaves it out and succeeds, a mistake in it is an error with its place.
 */
import { resolve } from 'node:path';

import { printable, textOf } from '../../base/bytes.ts';
import { tryParseDigest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { type JsonMember, type JsonValue, positionOf } from '../../base/json.ts';
import { limits } from '../../base/limits.ts';
import { isNameOnly, type Reference, repositoryOf, tryParseReference } from '../../base/reference.ts';
import { parseVersionRange } from '../../base/version-range.ts';
import { parseYaml } from '../../base/yaml.ts';
import { readBoundedFile } from '../../io/files.ts';
import type { Credentials } from '../../registry/credentials.ts';
import { parseGoPattern } from '../../trust/linear-pattern.ts';

/** How one registry of the file is reached, where that is not as the command line says. */
export type SyncSettings = {
  readonly credentials?: Credentials;
  readonly tlsVerify?: boolean;
  /** Absolute. */
  readonly certDir?: string;
};

/** What of one repository is wanted. */
export type SyncWanted = {
  /** Without tag and digest. */
  readonly repository: Reference;
  readonly which:
    | { readonly kind: 'references'; readonly references: readonly Reference[] }
    | { readonly kind: 'tags'; readonly matches: (tag: string) => boolean };
};

export type SyncRegistry = {
  /** As the file has it. */
  readonly name: string;
  readonly settings: SyncSettings;
  readonly wanted: readonly SyncWanted[];
};

export type SyncFile = {
  readonly registries: readonly SyncRegistry[];
  /** What is there and means nothing, with its place. */
  readonly warnings: readonly string[];
};

/**
 * Reads and checks the whole file before anything else is done.
 * @throws BullaError `yaml.malformed`, `sync-file.malformed`, each with `file:line:column`; `io.*`
 */
export async function readSyncFile(path: string): Promise<SyncFile> {
  const text = textOf(await readBoundedFile(path, limits.configFileBytes));
  if (text === undefined) throw new BullaError('sync-file.malformed', `${printable(path)} is not UTF-8 text`);
  return parseSyncFile(text, path);
}

/** @throws BullaError as `readSyncFile` */
export async function parseSyncFile(text: string, path: string): Promise<SyncFile> {
  const reading: Reading = { text, path, warnings: [] };
  const root = await parseYaml(text, path);
  const registries = membersOf(reading, root, 'registries').map((each) => readRegistry(reading, each));
  return { registries, warnings: reading.warnings };
}

type Reading = { readonly text: string; readonly path: string; readonly warnings: string[] };

function place({ text, path }: Reading, offset: number): string {
  const { line, column } = positionOf(text, offset);
  return `${printable(path)}:${line}:${column}`;
}

function fault(reading: Reading, offset: number, why: string, hint?: string): BullaError {
  const message = `${place(reading, offset)}: ${why}`;
  return new BullaError('sync-file.malformed', message, hint === undefined ? {} : { hint });
}

/** Nothing at all is as an empty map. */
function membersOf(reading: Reading, value: JsonValue, what: string): readonly JsonMember[] {
  if (value.kind === 'object') return value.members;
  if (value.kind === 'null') return [];
  throw fault(reading, value.offset, `expected a map of ${what}`);
}

/** Text; a number is what stands there, as Go has it. */
function textAt(reading: Reading, value: JsonValue, what: string): string {
  if (value.kind === 'string') return value.value;
  if (value.kind === 'number') return value.text;
  throw fault(reading, value.offset, `expected ${what}`, 'put it into quotes');
}

const registryKeys = [
  'images',
  'images-by-tag-regex',
  'images-by-semver',
  'credentials',
  'tls-verify',
  'cert-dir',
];

function readRegistry(reading: Reading, { key: name, offset, value }: JsonMember): SyncRegistry {
  const members = membersOf(reading, value, `what is wanted of ${printable(name, 100)}`);
  for (const { key, offset: at } of members) {
    if (registryKeys.includes(key)) continue;
    // skopeo passes it over in silence
    reading.warnings.push(`${place(reading, at)}: "${printable(key, 60)}" means nothing here`);
  }
  const member = (key: string): JsonValue | undefined => members.find((each) => each.key === key)?.value;
  const each = (key: string, read: ReadWanted): readonly SyncWanted[] =>
    membersOf(reading, member(key) ?? nothing, 'repositories').map((found) => ({
      repository: repositoryAt(reading, name, found),
      which: read(reading, repositoryAt(reading, name, found), found.value),
    }));
  const wanted = [
    ...each('images', readReferences),
    ...each('images-by-tag-regex', (_reading, _repository, found) => ({
      kind: 'tags',
      matches: readPattern(reading, found),
    })),
    ...each('images-by-semver', (_reading, _repository, found) => ({
      kind: 'tags',
      matches: readRange(reading, found),
    })),
  ];
  if (wanted.length === 0)
    reading.warnings.push(`${place(reading, offset)}: no images of ${printable(name, 100)} are named`);
  return { name, settings: readSettings(reading, member), wanted };
}

const nothing: JsonValue = { kind: 'null', offset: 0 };
type ReadWanted = (reading: Reading, repository: Reference, value: JsonValue) => SyncWanted['which'];

function repositoryAt(reading: Reading, registry: string, { key, offset }: JsonMember): Reference {
  const reference = tryParseReference(`${registry}/${key}`);
  if (reference !== undefined && isNameOnly(reference)) return reference;
  throw fault(reading, offset, `"${printable(`${registry}/${key}`, 200)}" is no repository`);
}

function readReferences(reading: Reading, repository: Reference, value: JsonValue): SyncWanted['which'] {
  if (value.kind !== 'array' && value.kind !== 'null')
    throw fault(
      reading,
      value.offset,
      'expected a list of tags and digests',
      'an empty list is all tags: []',
    );
  const items = value.kind === 'array' ? value.items : [];
  if (items.length === 0) return { kind: 'tags', matches: () => true };
  return { kind: 'references', references: items.map((item) => referenceAt(reading, repository, item)) };
}

function referenceAt(reading: Reading, repository: Reference, item: JsonValue): Reference {
  const text = textAt(reading, item, 'a tag or a digest');
  const digest = tryParseDigest(text);
  const reference =
    digest === undefined
      ? tryParseReference(`${repositoryOf(repository)}:${text}`)
      : { ...repository, digest };
  const isOne = reference !== undefined && (digest !== undefined || reference.tag === text);
  if (isOne) return reference;
  throw fault(reading, item.offset, `"${printable(text, 150)}" is neither a tag nor a digest`);
}

function readPattern(reading: Reading, value: JsonValue): (tag: string) => boolean {
  const pattern = placed(reading, value, () =>
    parseGoPattern(textAt(reading, value, 'a regular expression')),
  );
  return (tag) => pattern.test(tag);
}

function readRange(reading: Reading, value: JsonValue): (tag: string) => boolean {
  return placed(reading, value, () => parseVersionRange(textAt(reading, value, 'a range of versions')));
}

/** What is wrong with a text, and where it stands. */
function placed<T>(reading: Reading, { offset }: JsonValue, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BullaError) || error.code !== 'usage.invalid') throw error;
    throw fault(reading, offset, error.message, error.hint);
  }
}

function readSettings(reading: Reading, member: (key: string) => JsonValue | undefined): SyncSettings {
  const tls = member('tls-verify');
  const folder = member('cert-dir');
  if (tls !== undefined && tls.kind !== 'boolean' && tls.kind !== 'null')
    throw fault(reading, tls.offset, 'tls-verify is true or false');
  const credentials = readCredentials(reading, member('credentials') ?? nothing);
  const certDir = folder === undefined || folder.kind === 'null' ? '' : textAt(reading, folder, 'a folder');
  return {
    ...(tls?.kind === 'boolean' && { tlsVerify: tls.value }),
    ...(certDir !== '' && { certDir: resolve(certDir) }),
    ...(credentials !== undefined && { credentials }),
  };
}

/** No message of it shows what it says. */
function readCredentials(reading: Reading, value: JsonValue): Credentials | undefined {
  const members = membersOf(reading, value, 'credentials');
  const known = new Map<string, string>();
  for (const { key, offset, value: given } of members) {
    if (key === 'username' || key === 'password' || key === 'identitytoken')
      known.set(key, given.kind === 'null' ? '' : textAt(reading, given, 'a text'));
    else reading.warnings.push(`${place(reading, offset)}: "${printable(key, 60)}" means nothing here`);
  }
  const username = known.get('username') ?? '';
  const [password, token] = [known.get('password') ?? '', known.get('identitytoken') ?? ''];
  if (username === '' && password === '' && token === '') return undefined;
  if (token !== '') return { kind: 'identity-token', username, token };
  if (username !== '' && !username.includes(':')) return { kind: 'password', username, password };
  throw fault(reading, value.offset, 'the credentials name no user', 'a user’s name has no colon');
}

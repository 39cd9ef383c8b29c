/** registries.conf, version 2 (containers-registries.conf.5): which files, what they say, merged. */
import { readdirSync } from 'node:fs';

import { printable, textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { exists, fileError, isSystemError, readFileIfThere } from '../io/files.ts';
import { configHome, type SystemEnvironment, variable } from './environment.ts';

export type PullFromMirror = 'all' | 'digest-only' | 'tag-only';

export type Mirror = {
  /** `host[:port][/path]`, which replaces the prefix. */
  readonly location: string;
  readonly insecure: boolean;
  readonly pullFromMirror: PullFromMirror;
};

export type RegistryEntry = {
  /** `host[:port][/path]` or `*.domain`. */
  readonly prefix: string;
  /** What replaces the prefix; empty: the reference stays as it is. */
  readonly location: string;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrorByDigestOnly: boolean;
  readonly mirrors: readonly Mirror[];
};

export type RegistriesConf = {
  readonly registries: readonly RegistryEntry[];
  /** `credential-helpers`; empty where none are named. */
  readonly credentialHelpers: readonly string[];
};

const empty: RegistriesConf = { registries: [], credentialHelpers: [] };

/**
 * Reads registries.conf and its drop-ins. The TOML parser is loaded only where a file is there.
 * @param named `--registries-conf`; CONTAINERS_REGISTRIES_CONF stands in for it
 * @throws BullaError `registries-conf.malformed`, `io.*`
 */
export async function readRegistriesConf(
  environment: SystemEnvironment,
  named?: string,
): Promise<RegistriesConf> {
  let merged = empty;
  for (const path of await confFiles(environment, named)) {
    const bytes = await readFileIfThere(path, limits.configFileBytes);
    if (bytes !== undefined) merged = merge(merged, await parseRegistriesConf(bytes, path));
  }
  return refuseConflicts(merged);
}

/** The main file and the drop-ins, in the order in which a later one replaces an earlier one. */
async function confFiles(
  environment: SystemEnvironment,
  named: string | undefined,
): Promise<readonly string[]> {
  const explicit = named ?? variable(environment, 'CONTAINERS_REGISTRIES_CONF');
  const own = `${configHome(environment)}/containers`;
  const system = `${environment.etc}/containers`;
  if (explicit !== undefined && !(await exists(explicit))) {
    throw malformed(
      explicit,
      'there is no such file',
      'correct --registries-conf or CONTAINERS_REGISTRIES_CONF',
    );
  }
  // the user's own file replaces the system's and its drop-ins, as containers/image has it
  if (explicit === undefined && (await exists(`${own}/registries.conf`))) {
    return [`${own}/registries.conf`, ...dropIns(`${own}/registries.conf.d`)];
  }
  return [
    explicit ?? `${system}/registries.conf`,
    ...dropIns(`${system}/registries.conf.d`),
    ...dropIns(`${own}/registries.conf.d`),
  ];
}

function dropIns(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.conf'))
      .sort()
      .map((name) => `${folder}/${name}`);
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'ENOTDIR')) return [];
    throw fileError(error, folder, 'read');
  }
}

function merge(earlier: RegistriesConf, later: RegistriesConf): RegistriesConf {
  const replaced = new Set(later.registries.map((each) => each.prefix));
  return {
    registries: [...earlier.registries.filter((each) => !replaced.has(each.prefix)), ...later.registries],
    credentialHelpers:
      later.credentialHelpers.length > 0 ? later.credentialHelpers : earlier.credentialHelpers,
  };
}

/** Two entries for one location that disagree: which one counts would be an accident. */
function refuseConflicts(conf: RegistriesConf): RegistriesConf {
  const seen = new Map<string, RegistryEntry>();
  for (const entry of conf.registries) {
    const other = entry.location === '' ? undefined : seen.get(entry.location);
    if (other !== undefined && (other.insecure !== entry.insecure || other.blocked !== entry.blocked)) {
      throw malformed(
        'registries.conf',
        `${printable(entry.location)} is insecure or blocked in one entry and not in another`,
      );
    }
    seen.set(entry.location, entry);
  }
  return conf;
}

/** @throws BullaError `registries-conf.malformed` */
export async function parseRegistriesConf(bytes: Uint8Array, path: string): Promise<RegistriesConf> {
  const { parse, TomlError } = await import('smol-toml');
  const text = textOf(bytes);
  if (text === undefined) throw malformed(path, 'it is not UTF-8 text');
  let table: Table;
  try {
    table = parse(text);
  } catch (error) {
    const at = error instanceof TomlError ? `:${error.line}:${error.column}` : '';
    const why = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : '';
    throw malformed(`${path}${at}`, why);
  }
  if (isTable(table['registries'])) {
    throw malformed(
      path,
      'it is in the old version 1 format',
      'write [[registry]] tables; see containers-registries.conf(5)',
    );
  }
  const registries = listOf(table['registry'], path, 'registry').map((each) => entryOf(each, path));
  const prefixes = new Set(registries.map((each) => each.prefix));
  if (prefixes.size < registries.length)
    throw malformed(path, 'two [[registry]] tables have the same prefix');
  return { registries, credentialHelpers: helpersOf(table['credential-helpers'], path) };
}

type Table = Readonly<Record<string, unknown>>;

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function listOf(value: unknown, path: string, what: string): readonly Table[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every(isTable)) return value;
  throw malformed(path, `${what} is not a list of tables`);
}

function entryOf(table: Table, path: string): RegistryEntry {
  const location = locationOf(table['location'], path, 'location');
  const prefix = locationOf(table['prefix'], path, 'prefix') || location;
  if (prefix === '') throw malformed(path, 'a [[registry]] table has neither prefix nor location');
  if (location === '' && !prefix.startsWith('*.'))
    throw malformed(path, `${printable(prefix)} has no location`);
  if (table['pull-from-mirror'] !== undefined)
    throw malformed(path, 'pull-from-mirror belongs into a mirror');
  const mirrorByDigestOnly = flagOf(table, 'mirror-by-digest-only', path);
  const mirrors = listOf(table['mirror'], path, 'mirror').map((each) =>
    mirrorOf(each, mirrorByDigestOnly, path),
  );
  const insecure = flagOf(table, 'insecure', path);
  return { prefix, location, insecure, blocked: flagOf(table, 'blocked', path), mirrorByDigestOnly, mirrors };
}

function mirrorOf(table: Table, byDigestOnly: boolean, path: string): Mirror {
  const location = locationOf(table['location'], path, 'location of a mirror');
  if (location === '') throw malformed(path, 'a mirror has no location');
  const pull = table['pull-from-mirror'] ?? '';
  if (pull !== '' && byDigestOnly) {
    throw malformed(path, 'pull-from-mirror and mirror-by-digest-only exclude each other');
  }
  const insecure = flagOf(table, 'insecure', path);
  if (pull === '' || pull === 'all') return { location, insecure, pullFromMirror: 'all' };
  if (pull === 'digest-only' || pull === 'tag-only') return { location, insecure, pullFromMirror: pull };
  throw malformed(path, 'pull-from-mirror is none of all, digest-only, tag-only');
}

function locationOf(value: unknown, path: string, what: string): string {
  if (value === undefined) return '';
  if (typeof value !== 'string') throw malformed(path, `${what} is not a text`);
  const location = value.replace(/\/+$/, '');
  if (/^https?:\/\//.test(location)) throw malformed(path, `${what} is a URL; leave out the scheme`);
  return location;
}

function flagOf(table: Table, key: string, path: string): boolean {
  const value = table[key];
  if (value === undefined) return false;
  if (typeof value === 'boolean') return value;
  throw malformed(path, `${key} is neither true nor false`);
}

function helpersOf(value: unknown, path: string): readonly string[] {
  if (value === undefined) return [];
  const valid =
    Array.isArray(value) && value.every((each) => typeof each === 'string' && /^[A-Za-z0-9._-]+$/.test(each));
  if (!valid) throw malformed(path, 'credential-helpers is not a list of program names');
  return value as readonly string[];
}

function malformed(path: string, why: string, hint?: string): BullaError {
  const options = hint === undefined ? {} : { hint };
  return new BullaError('registries-conf.malformed', `${printable(path)}: ${printable(why)}`, options);
}

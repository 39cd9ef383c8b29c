/** auth.json and its relatives (containers-auth.json.5): where they are and what they say. */
import { decodeBase64, printable, textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonObject, type JsonValue, parseJson } from '../base/json.ts';
import { limits } from '../base/limits.ts';
import { readFileIfThere } from '../io/files.ts';
import type { Credentials } from './credentials.ts';
import { configHome, type SystemEnvironment, variable } from './environment.ts';

export type AuthFilePath = {
  readonly path: string;
  /** ~/.dockercfg: no `auths` around its entries, keys are API URLs. */
  readonly legacy: boolean;
};

/** One credentials file, parsed. Host names and repositories are keys as written. */
export type AuthFile = {
  readonly path: string;
  readonly auths: ReadonlyMap<string, Credentials>;
  /** Host to the name of its helper program, without `docker-credential-`. */
  readonly credHelpers: ReadonlyMap<string, string>;
  readonly credsStore: string | undefined;
};

/** The file named by the user: `--authfile`, or `$REGISTRY_AUTH_FILE`. Nothing else is read beside it. */
export function namedAuthFile(
  environment: SystemEnvironment,
  authFile: string | undefined,
): string | undefined {
  return authFile ?? variable(environment, 'REGISTRY_AUTH_FILE');
}

/** The file that login writes without --authfile, and that is read first. */
export function defaultAuthFile(environment: SystemEnvironment): string {
  const runtime = variable(environment, 'XDG_RUNTIME_DIR');
  return runtime === undefined
    ? `/run/containers/${environment.uid}/auth.json`
    : `${runtime}/containers/auth.json`;
}

/** The files to read, first one first. */
export function authFilePaths(environment: SystemEnvironment, authFile?: string): readonly AuthFilePath[] {
  const named = namedAuthFile(environment, authFile);
  if (named !== undefined) return [{ path: named, legacy: false }];
  const docker = variable(environment, 'DOCKER_CONFIG') ?? `${environment.home}/.docker`;
  return [
    { path: defaultAuthFile(environment), legacy: false },
    { path: `${configHome(environment)}/containers/auth.json`, legacy: false },
    { path: `${docker}/config.json`, legacy: false },
    { path: `${environment.home}/.dockercfg`, legacy: true },
  ];
}

/**
 * Reads one file; undefined where there is none.
 * @throws BullaError `auth-file.malformed`, `io.*`
 */
export async function readAuthFile(where: AuthFilePath): Promise<AuthFile | undefined> {
  const bytes = await readFileIfThere(where.path, limits.configFileBytes);
  return bytes === undefined ? undefined : parseAuthFile(bytes, where);
}

/** @throws BullaError `auth-file.malformed` */
export function parseAuthFile(bytes: Uint8Array, { path, legacy }: AuthFilePath): AuthFile {
  const file = readAuthJson(bytes, path);
  const auths = legacy ? file : objectOf(member(file, 'auths'), path, 'auths');
  const credHelpers = new Map<string, string>();
  if (!legacy) {
    for (const { key, value } of objectOf(member(file, 'credHelpers'), path, 'credHelpers')?.members ?? []) {
      credHelpers.set(key, helperName(value, path));
    }
  }
  const store = legacy ? undefined : member(file, 'credsStore');
  const credsStore = store === undefined ? '' : helperName(store, path);
  return {
    path,
    auths: new Map((auths?.members ?? []).map(({ key, value }) => [key, credentialsOf(value, key, path)])),
    credHelpers,
    credsStore: credsStore === '' ? undefined : credsStore,
  };
}

/** The file as JSON: an object, no member of any object twice (which of the two would count?). */
export function readAuthJson(bytes: Uint8Array, path: string): JsonObject {
  const text = textOf(bytes);
  if (text === undefined) throw malformed(path, 'it is not UTF-8 text');
  let value: JsonValue;
  try {
    value = parseJson(text, path);
  } catch (error) {
    if (isBullaError(error, 'json.malformed')) {
      throw new BullaError('auth-file.malformed', error.message, { cause: error });
    }
    throw error;
  }
  if (value.kind !== 'object') throw malformed(path, 'it is not a JSON object');
  refuseDuplicates(value, path);
  return value;
}

function refuseDuplicates(object: JsonObject, path: string): void {
  const seen = new Set<string>();
  for (const { key, value } of object.members) {
    if (seen.has(key)) throw malformed(path, `it has "${printable(key, 80)}" twice`);
    seen.add(key);
    if (value.kind === 'object') refuseDuplicates(value, path);
  }
}

function member(object: JsonObject, key: string): JsonValue | undefined {
  return object.members.find((each) => each.key === key)?.value;
}

function objectOf(value: JsonValue | undefined, path: string, what: string): JsonObject | undefined {
  if (value === undefined || value.kind === 'null') return undefined;
  if (value.kind === 'object') return value;
  throw malformed(path, `${what} is not an object`);
}

/** A helper is a program's name: a path in it would run anything that lies about. */
function helperName(value: JsonValue, path: string): string {
  if (value.kind === 'string' && /^[A-Za-z0-9._-]*$/.test(value.value)) return value.value;
  throw malformed(path, 'it names a credential helper that is no program name');
}

function credentialsOf(value: JsonValue, key: string, path: string): Credentials {
  const what = `the entry "${printable(key, 80)}"`;
  const entry = objectOf(value, path, what);
  if (entry === undefined) return { kind: 'none' };
  const auth = textMember(entry, 'auth', what, path);
  const identity = textMember(entry, 'identitytoken', what, path);
  const { username, password } = auth === '' ? { username: '', password: '' } : decodeAuth(auth, what, path);
  if (identity !== '') return { kind: 'identity-token', username, token: identity };
  // docker writes an empty entry where a helper keeps the secret
  return auth === '' ? { kind: 'none' } : { kind: 'password', username, password };
}

function textMember(entry: JsonObject, key: string, what: string, path: string): string {
  const value = member(entry, key);
  if (value === undefined || value.kind === 'null') return '';
  if (value.kind === 'string') return value.value;
  throw malformed(path, `${key} of ${what} is not a text`);
}

function decodeAuth(auth: string, what: string, path: string): { username: string; password: string } {
  const bytes = decodeBase64(auth);
  const text = bytes === undefined ? undefined : textOf(bytes);
  const colon = text?.indexOf(':') ?? -1;
  if (text === undefined || colon < 0)
    throw malformed(path, `auth of ${what} is not base64 of user:password`);
  // old clients pad passwords with zero bytes
  return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/^\0+|\0+$/g, '') };
}

function malformed(path: string, why: string): BullaError {
  return new BullaError('auth-file.malformed', `${printable(path)}: ${why}`, {
    hint: 'repair it, or name another file with --authfile',
  });
}

/** Which credentials a repository has: the most specific key of the first file that has one. */
import { BullaError } from '../base/errors.ts';
import { exists } from '../io/files.ts';
import { type AuthFile, authFilePaths, readAuthFile } from './auth-file.ts';
import { askHelper } from './credential-helper.ts';
import { type Credentials, noCredentials } from './credentials.ts';
import type { SystemEnvironment } from './environment.ts';

export type FindOptions = {
  readonly environment: SystemEnvironment;
  /** `--authfile`: this one and no other. */
  readonly authFile?: string;
  /** registries.conf's `credential-helpers`, in order; none given means the auth files alone. */
  readonly helpers?: readonly string[];
  /** Remembers files and helpers' answers between calls of one command. Default: nothing is remembered. */
  readonly memory?: CredentialMemory;
};

export type CredentialMemory = {
  readonly files: Map<string, Promise<AuthFile | undefined>>;
  readonly helpers: Map<string, Promise<FoundCredentials | undefined>>;
};

function remembered<T>(
  held: Map<string, Promise<T>> | undefined,
  key: string,
  make: () => Promise<T>,
): Promise<T> {
  const found = held?.get(key) ?? make();
  held?.set(key, found);
  return found;
}

/** In registries.conf's list of helpers this name stands for the auth files. */
const authFilesHelper = 'containers-auth.json';

export type FoundCredentials = {
  readonly credentials: Credentials;
  /** The file or helper they came from; undefined for none. */
  readonly origin: string | undefined;
};

/**
 * Finds credentials for `host[:port][/path]`.
 * @throws BullaError `auth-file.malformed`, `auth-file.not-found`, `credential-helper.failed`, `io.*`
 */
export async function findCredentials(key: string, options: FindOptions): Promise<FoundCredentials> {
  const host = key.split('/', 1)[0] ?? key;
  const helpers =
    options.helpers === undefined || options.helpers.length === 0 ? [authFilesHelper] : options.helpers;
  for (const helper of helpers) {
    const found =
      helper === authFilesHelper
        ? await findInFiles(key, host, options)
        : await findInHelper(options, helper, host);
    if (found !== undefined) return found;
  }
  return { credentials: noCredentials, origin: undefined };
}

async function findInFiles(
  key: string,
  host: string,
  options: FindOptions,
): Promise<FoundCredentials | undefined> {
  const { environment, authFile, memory } = options;
  // as podman has it: a flag that names no file is a mistake, a variable may name one that is yet to be
  if (authFile !== undefined && memory?.files.has(authFile) !== true && !(await exists(authFile))) {
    throw new BullaError('auth-file.not-found', `there is no credentials file ${authFile}`, {
      hint: 'correct --authfile, or make the file with bulla login --authfile',
    });
  }
  for (const where of authFilePaths(environment, authFile)) {
    const file = await remembered(memory?.files, where.path, () => readAuthFile(where));
    if (file === undefined) continue;
    const found = await findInFile(options, file, key, host, where.legacy);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function findInFile(
  options: FindOptions,
  file: AuthFile,
  key: string,
  host: string,
  legacy: boolean,
): Promise<FoundCredentials | undefined> {
  const helper = file.credHelpers.get(host) ?? '';
  // a helper named for the host is the only source for it, empty-handed or not
  if (helper !== '') return findInHelper(options, helper, host);
  for (const each of legacy ? [host] : keysOf(key)) {
    const credentials = file.auths.get(each);
    if (credentials !== undefined && credentials.kind !== 'none') return { credentials, origin: file.path };
  }
  for (const [each, credentials] of file.auths) {
    if (credentials.kind === 'none' || hostOfKey(each, legacy) !== normalHost(host)) continue;
    return { credentials, origin: file.path };
  }
  return file.credsStore === undefined ? undefined : findInHelper(options, file.credsStore, host);
}

function findInHelper(
  { environment, memory }: FindOptions,
  helper: string,
  host: string,
): Promise<FoundCredentials | undefined> {
  return remembered(memory?.helpers, `${helper} ${host}`, () => askForHost(environment, helper, host));
}

async function askForHost(
  environment: SystemEnvironment,
  helper: string,
  host: string,
): Promise<FoundCredentials | undefined> {
  for (const server of serverNames(host)) {
    const credentials = await askHelper(environment, helper, server);
    if (credentials !== undefined) return { credentials, origin: `docker-credential-${helper}` };
  }
  return undefined;
}

/** Names a helper may have stored a host under: docker uses Docker Hub's old API URL. */
export function serverNames(host: string): readonly string[] {
  return host === 'docker.io' ? ['docker.io', 'https://index.docker.io/v1/'] : [host];
}

/** `r/a/b`, `r/a`, `r`. */
function keysOf(key: string): readonly string[] {
  const parts = key.split('/');
  return parts.map((_, index) => parts.slice(0, parts.length - index).join('/'));
}

function normalHost(host: string): string {
  return host === 'docker.io' || host === 'registry-1.docker.io' ? 'index.docker.io' : host;
}

/** The host that a key means, where it was written as a URL; a repository's key means no host. */
function hostOfKey(key: string, legacy: boolean): string {
  const bare = key.replace(/^https?:\/\//, '');
  return normalHost(legacy || bare !== key ? (bare.split('/', 1)[0] ?? '') : bare);
}

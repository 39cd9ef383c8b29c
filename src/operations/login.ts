/** Log in to a registry and out of it: credentials checked, then kept where podman keeps them. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { exists } from '../io/files.ts';
import { authFilePaths, defaultAuthFile, namedAuthFile, readAuthFile } from '../registry/auth-file.ts';
import { editAuthFile, setAuth } from '../registry/auth-file-edit.ts';
import { eraseInHelper, storeInHelper } from '../registry/credential-helper.ts';
import { type SystemEnvironment, systemEnvironment } from '../registry/environment.ts';
import { findCredentials, serverNames } from '../registry/find-credentials.ts';
import { readRegistriesConf } from '../registry/registries-conf.ts';
import { openRegistries } from '../registry/registries.ts';

export type LoginPlace = {
  /** `host[:port]`, or `host[:port]/path` for a part of a registry; a URL's scheme is left out. */
  readonly registry: string;
  /** Default: this process's. */
  readonly environment?: SystemEnvironment;
  /** `--authfile`. */
  readonly authFile?: string;
  /** `--compat-auth-file`: a file in docker's form, written instead. */
  readonly compatAuthFile?: string;
  readonly registriesConf?: string;
};

export type LoginRequest = LoginPlace & {
  readonly username: string;
  readonly password: string;
  readonly certDir?: string;
  readonly tlsVerify?: boolean;
  readonly signal?: AbortSignal;
};

type Target = { readonly key: string; readonly host: string };

/** What `login REGISTRY` names. @throws BullaError `usage.invalid` */
export function parseLoginTarget(text: string): Target {
  const url = /^https?:\/\/([^/]+)/.exec(text)?.[1];
  const key = (url ?? text).replace(/\/+$/, '');
  const host = key.split('/', 1)[0] ?? '';
  const valid = /^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)(?::[0-9]{1,5})?$/.test(host);
  const path = key.slice(host.length);
  if (valid && /^(?:\/[a-z0-9._/-]+)?$/.test(path)) return { key, host };
  throw new BullaError('usage.invalid', `"${printable(text)}" is not a registry`, {
    hint: 'a registry is a host, host:port or host/namespace',
  });
}

/**
 * Checks credentials against the registry and keeps them; gives the file or helper they went to.
 * @throws BullaError `registry.unauthorized`, `registry.*`, `auth-file.malformed`, `credential-helper.failed`, `io.*`
 */
export async function login(request: LoginRequest): Promise<{ readonly keptIn: string }> {
  const target = parseLoginTarget(request.registry);
  const environment = request.environment ?? systemEnvironment();
  await checkCredentials(request, environment, target.host);
  const [helper] = await helpersOf(request, environment);
  if (helper !== undefined) return keepInHelper(environment, helper, target, request);
  return keepInFile(environment, target, request);
}

async function checkCredentials(
  request: LoginRequest,
  environment: SystemEnvironment,
  host: string,
): Promise<void> {
  const { username, password, certDir, tlsVerify, registriesConf, signal } = request;
  await using registries = openRegistries({
    environment,
    credentials: { kind: 'password', username, password },
    ...(certDir !== undefined && { certDir }),
    ...(tlsVerify !== undefined && { tlsVerify }),
    ...(registriesConf !== undefined && { registriesConf }),
    ...(signal !== undefined && { signal }),
  });
  const source = await registries.destination({ domain: host, path: '' });
  const registry = await registries.open(source);
  await registry.checkLogin();
}

/** Helpers that registries.conf puts before the auth files. */
async function helpersOf(place: LoginPlace, environment: SystemEnvironment): Promise<readonly string[]> {
  if (fileNamed(place, environment) !== undefined) return [];
  const { credentialHelpers } = await readRegistriesConf(environment, place.registriesConf);
  const files = credentialHelpers.indexOf('containers-auth.json');
  return files < 0 ? credentialHelpers : credentialHelpers.slice(0, files);
}

function fileNamed(place: LoginPlace, environment: SystemEnvironment): string | undefined {
  if (place.authFile !== undefined && place.compatAuthFile !== undefined) {
    throw new BullaError('usage.invalid', '--authfile and --compat-auth-file exclude each other');
  }
  return place.compatAuthFile ?? namedAuthFile(environment, place.authFile);
}

async function keepInHelper(
  environment: SystemEnvironment,
  helper: string,
  { key, host }: Target,
  credentials: { readonly username: string; readonly password: string },
): Promise<{ readonly keptIn: string }> {
  if (key !== host) {
    throw new BullaError(
      'usage.unsupported',
      `docker-credential-${helper} keeps whole registries, not ${key}`,
    );
  }
  await storeInHelper(environment, helper, host, credentials);
  return { keptIn: `docker-credential-${helper}` };
}

async function keepInFile(
  environment: SystemEnvironment,
  target: Target,
  request: LoginRequest,
): Promise<{ readonly keptIn: string }> {
  const path = fileNamed(request, environment) ?? defaultAuthFile(environment);
  const compat = request.compatAuthFile !== undefined;
  const file = await readAuthFile({ path, legacy: false });
  // docker puts everything into its store; podman knows helpers of single hosts only
  const helper = file?.credHelpers.get(target.host) ?? (compat ? file?.credsStore : undefined);
  if (helper !== undefined && helper !== '') return keepInHelper(environment, helper, target, request);
  const key = compat ? dockerKey(target) : target.key;
  await editAuthFile(path, (json) => {
    setAuth(json, key, request.username, request.password);
    return true;
  });
  return { keptIn: path };
}

/** docker's own file knows no namespaces, and Docker Hub by its old API URL. */
function dockerKey({ key, host }: Target): string {
  if (key !== host) {
    throw new BullaError(
      'usage.unsupported',
      `--compat-auth-file cannot keep credentials for ${key}, only for ${host}`,
    );
  }
  return host === 'docker.io' ? 'https://index.docker.io/v1/' : host;
}

/** The user logged in to a registry; undefined for nobody. @throws BullaError `auth-file.*`, `credential-helper.failed` */
export async function currentLogin(place: LoginPlace): Promise<string | undefined> {
  const environment = place.environment ?? systemEnvironment();
  const named = fileNamed(place, environment);
  // a file that login has yet to make holds nobody
  if (named !== undefined && !(await exists(named))) return undefined;
  const { credentialHelpers } = await readRegistriesConf(environment, place.registriesConf);
  const { credentials } = await findCredentials(parseLoginTarget(place.registry).key, {
    environment,
    ...(named !== undefined && { authFile: named }),
    helpers: credentialHelpers,
  });
  return credentials.kind === 'password' || credentials.kind === 'identity-token'
    ? credentials.username
    : undefined;
}

/**
 * Forgets a registry's credentials in the file (or helper) that login would use.
 * @throws BullaError `registry.not-logged-in`, `auth-file.malformed`, `credential-helper.failed`, `io.*`
 */
export async function logout(place: LoginPlace): Promise<void> {
  const target = parseLoginTarget(place.registry);
  const environment = place.environment ?? systemEnvironment();
  let removed = false;
  for (const helper of await helpersOf(place, environment)) {
    removed = (await eraseInHelper(environment, helper, target.host)) || removed;
  }
  const path = fileNamed(place, environment) ?? defaultAuthFile(environment);
  removed = (await forgetInFile(environment, path, target)) || removed;
  if (removed) return;
  throw new BullaError(
    'registry.not-logged-in',
    `not logged in to ${target.key}`,
    await elsewhere(environment, place),
  );
}

async function forgetInFile(environment: SystemEnvironment, path: string, target: Target): Promise<boolean> {
  const file = await readAuthFile({ path, legacy: false });
  if (file === undefined) return false;
  let removed = false;
  const helper = file.credHelpers.get(target.host) ?? file.credsStore;
  if (helper !== undefined && helper !== '' && target.key === target.host) {
    for (const server of serverNames(target.host)) {
      removed = (await eraseInHelper(environment, helper, server)) || removed;
    }
  }
  const keys = target.key === target.host ? serverNames(target.host) : [target.key];
  if (keys.some((each) => file.auths.has(each))) {
    await editAuthFile(path, (json) => {
      for (const key of keys) delete json.auths?.[key];
      return true;
    });
    removed = true;
  }
  return removed;
}

/** Says where credentials still are: logout touches only the file that login writes. */
async function elsewhere(environment: SystemEnvironment, place: LoginPlace): Promise<{ hint?: string }> {
  for (const where of authFilePaths(environment, place.authFile).slice(1)) {
    const file = await readAuthFile(where);
    if (file?.auths.has(parseLoginTarget(place.registry).key) === true) {
      return { hint: `credentials are in ${where.path}; name it with --authfile to remove them` };
    }
  }
  return {};
}

/** Forgets every registry in the file that login writes. @throws BullaError `auth-file.malformed`, `credential-helper.failed`, `io.*` */
export async function logoutAll(place: Omit<LoginPlace, 'registry'>): Promise<void> {
  const environment = place.environment ?? systemEnvironment();
  const path = fileNamed({ ...place, registry: '' }, environment) ?? defaultAuthFile(environment);
  const file = await readAuthFile({ path, legacy: false });
  if (file === undefined) return;
  for (const [host, helper] of file.credHelpers) await eraseInHelper(environment, helper, host);
  await editAuthFile(path, (json) => {
    delete json.auths;
    delete json.credHelpers;
    return true;
  });
}

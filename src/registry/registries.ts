/** All registries of one command: one client a host and identity, shared by images and stores. */
import type { Reference } from '../base/reference.ts';
import { repositoryOf } from '../base/reference.ts';
import { version } from '../base/version.ts';
import { readHostCertificates } from './certs-d.ts';
import type { Credentials } from './credentials.ts';
import { type SystemEnvironment, systemEnvironment } from './environment.ts';
import { type CredentialMemory, findCredentials } from './find-credentials.ts';
import { readRegistriesConf, type RegistriesConf } from './registries-conf.ts';
import { openRegistry, type Registry, type RegistryOptions } from './registry.ts';
import { destinationOf, refuseBlocked, type Source, sourcesOf } from './sources.ts';

export type RegistriesOptions = Pick<
  RegistryOptions,
  'retryTimes' | 'retryDelayMs' | 'deadlineMs' | 'blobDeadlineMs' | 'idleMs' | 'signal' | 'guard' | 'clock'
> & {
  /** Default: this process's. */
  readonly environment?: SystemEnvironment;
  /** `--creds`, `--registry-token`, `--no-creds`: for the hosts named by the user, never for a mirror elsewhere. */
  readonly credentials?: Credentials;
  readonly authFile?: string;
  readonly certDir?: string;
  /** `--tls-verify`; undefined: as registries.conf says, else true. */
  readonly tlsVerify?: boolean;
  readonly registriesConf?: string;
};

export interface Registries extends AsyncDisposable {
  /** Where to read a reference from: mirrors first, its own last. @throws BullaError `registries-conf.malformed` */
  sources(reference: Reference): Promise<readonly [Source, ...Source[]]>;
  /** Where to write a reference. @throws as `sources` */
  destination(reference: Reference): Promise<Source>;
  /**
   * The client for a source; the same one for the same host and credentials. It lives as long as this.
   * @param named the domain that the user named: explicit credentials are for it alone
   * @throws BullaError `registry.blocked`, `auth-file.*`, `credential-helper.failed`, `certs-d.malformed`, `io.*`
   */
  open(source: Source, named?: string): Promise<Registry>;
  /** Whether certificates of a source are left unchecked (its lookaside follows it). */
  isInsecure(source: Source): boolean;
}

export function openRegistries(options: RegistriesOptions = {}): Registries {
  const environment = options.environment ?? systemEnvironment();
  const clients = new Map<string, Promise<Registry>>();
  const memory: CredentialMemory = { files: new Map(), helpers: new Map() };
  let conf: Promise<RegistriesConf> | undefined;
  const readConf = (): Promise<RegistriesConf> =>
    (conf ??= readRegistriesConf(environment, options.registriesConf));
  const isInsecure = (source: Source): boolean =>
    options.tlsVerify === undefined ? source.insecure : !options.tlsVerify;
  return {
    sources: async (reference) => sourcesOf(reference, await readConf()),
    destination: async (reference) => destinationOf(reference, await readConf()),
    isInsecure,
    async open(source, named = source.reference.domain) {
      refuseBlocked(source);
      const { domain } = source.reference;
      const credentials =
        explicitFor(options, domain, named) ??
        (await searchCredentials(options, environment, memory, source.reference, await readConf()));
      const key = JSON.stringify([domain, isInsecure(source), credentials]);
      const client =
        clients.get(key) ?? openClient(options, environment, domain, isInsecure(source), credentials);
      clients.set(key, client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      const opened = await Promise.allSettled(clients.values());
      for (const each of opened) if (each.status === 'fulfilled') await each.value[Symbol.asyncDispose]();
    },
  };
}

/** What the user gave for this host; undefined where it is to be searched. */
function explicitFor(options: RegistriesOptions, domain: string, named: string): Credentials | undefined {
  const { credentials } = options;
  return credentials?.kind === 'none' || domain === named ? credentials : undefined;
}

async function searchCredentials(
  { authFile }: RegistriesOptions,
  environment: SystemEnvironment,
  memory: CredentialMemory,
  reference: Reference,
  conf: RegistriesConf,
): Promise<Credentials> {
  const found = await findCredentials(repositoryOf(reference), {
    environment,
    ...(authFile !== undefined && { authFile }),
    helpers: conf.credentialHelpers,
    memory,
  });
  return found.credentials;
}

async function openClient(
  options: RegistriesOptions,
  environment: SystemEnvironment,
  domain: string,
  insecure: boolean,
  credentials: Credentials,
): Promise<Registry> {
  const tls = await readHostCertificates(environment, domain, options.certDir);
  const { retryTimes, retryDelayMs, deadlineMs, blobDeadlineMs, idleMs, signal, guard, clock } = options;
  return openRegistry(domain, {
    credentials,
    tls,
    insecure,
    userAgent: `bulla/${version}`,
    env: environment.env,
    ...(retryTimes !== undefined && { retryTimes }),
    ...(retryDelayMs !== undefined && { retryDelayMs }),
    ...(deadlineMs !== undefined && { deadlineMs }),
    ...(blobDeadlineMs !== undefined && { blobDeadlineMs }),
    ...(idleMs !== undefined && { idleMs }),
    ...(signal !== undefined && { signal }),
    ...(guard !== undefined && { guard }),
    ...(clock !== undefined && { clock }),
  });
}

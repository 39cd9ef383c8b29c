/** What the verbs need of the world. Doors open one for a command or a server; tests open their own. */
import type { Digest } from '../base/digest.ts';
import type { ImageName } from '../base/image-name.ts';
import { type HttpClient, openHttp } from '../io/http.ts';
import type { DaemonOptions } from '../images/docker-host.ts';
import type { Image } from '../images/image.ts';
import { version } from '../base/version.ts';
import { type SystemEnvironment, systemEnvironment } from '../registry/environment.ts';
import { openRegistries, type Registries, type RegistriesOptions } from '../registry/registries.ts';
import { type LocatedStores, locateStores } from '../stores/locate.ts';
import { readRegistriesD, type RegistriesD } from '../stores/registries-d.ts';
import type { ImageId } from '../stores/store.ts';

export type WorldOptions = Omit<RegistriesOptions, 'environment'> & {
  /** Default: this process's own. */
  readonly environment?: SystemEnvironment;
  /** `--registries.d`: this folder alone. Default: as containers/image searches. */
  readonly registriesDFolder?: string;
  /** Docker's host, for `docker-daemon:` images; see `DaemonOptions`. Default: DOCKER_HOST. */
  readonly daemonHost?: string;
  /** Default: the clock. */
  readonly now?: () => Date;
  /** Told of what weakens or surprises. Default: nobody. */
  readonly warn?: (message: string) => void;
};

/** Connections and configuration of one command, opened and read once, when first needed. */
export interface World extends AsyncDisposable {
  readonly environment: SystemEnvironment;
  readonly registries: Registries;
  /** Where Docker is. */
  readonly daemon: DaemonOptions;
  /** For services that are no registry: transparency logs, timestamp authorities, Fulcio. */
  readonly http: HttpClient;
  /** Ends everything that the world does, where there is one. */
  readonly signal?: AbortSignal;
  readonly now: () => Date;
  readonly warn: (message: string) => void;
  /** Images at hand under the names of where they were, as in a transfer bundle. Its stores are theirs too. */
  readonly known?: (name: ImageName) => Image | undefined;
  /** registries.d, read once. @throws BullaError `registries-d.*` */
  registriesD(): Promise<RegistriesD>;
  /** Where an image's signatures are read and written. @throws BullaError `registries-d.*`, `store.*`, `registry.*` */
  stores(image: Image): Promise<LocatedStores>;
  /** What its stores file an image's manifest under. */
  imageId(image: Image, digest: Digest): ImageId;
}

export function openWorld(options: WorldOptions = {}): World {
  const environment = options.environment ?? systemEnvironment();
  const registries = openRegistries({ ...options, environment });
  const { registriesDFolder } = options;
  let configuration: Promise<RegistriesD> | undefined;
  const registriesD = (): Promise<RegistriesD> =>
    (configuration ??= readRegistriesD({
      env: environment.env,
      uid: environment.uid,
      ...(registriesDFolder !== undefined && { dir: registriesDFolder }),
    }));
  const warn = options.warn ?? (() => undefined);
  const http = openServices(options, environment);
  return {
    environment,
    registries,
    daemon: daemonOf(options),
    http,
    ...(options.signal !== undefined && { signal: options.signal }),
    now: options.now ?? (() => new Date()),
    warn,
    registriesD,
    stores: (image) => locateStores(image, { registriesD, warn }),
    imageId: (image, digest) => ({ digest, reference: image.physical }),
    [Symbol.asyncDispose]: async () => {
      await http[Symbol.asyncDispose]();
      await registries[Symbol.asyncDispose]();
    },
  };
}

function daemonOf({ daemonHost, certDir, tlsVerify }: WorldOptions): DaemonOptions {
  return {
    ...(daemonHost !== undefined && { host: daemonHost }),
    ...(certDir !== undefined && { certDir }),
    ...(tlsVerify !== undefined && { tlsVerify }),
  };
}

/** A client of its own: what registries' certs.d says is not for others. Opened when first used. */
function openServices({ guard, signal }: WorldOptions, { env }: SystemEnvironment): HttpClient {
  let client: HttpClient | undefined;
  return {
    request: (request) => {
      client ??= openHttp({ userAgent: `bulla/${version}`, env, ...(guard !== undefined && { guard }) });
      return client.request(signal === undefined ? request : { signal, ...request });
    },
    [Symbol.asyncDispose]: async () => client?.[Symbol.asyncDispose](),
  };
}

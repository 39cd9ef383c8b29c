/** Where Docker listens: DOCKER_HOST and its kin, as Docker's own client reads them; skopeo's --src-daemon-host. */
import { join } from 'node:path';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readFileIfThere } from '../io/files.ts';

export type DockerHost =
  | { readonly socketPath: string }
  | { readonly hostname: string; readonly port: number; readonly tls?: DockerTls };

/** PEM. Without `ca` the system's authorities count. */
export type DockerTls = {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** Always said: without it an environment variable of Node's decides. */
  readonly rejectUnauthorized: boolean;
};

/** What the command line says of an engine; where it names no host, DOCKER_HOST does. */
export type DaemonOptions = {
  /** `unix:///PATH`, `tcp://HOST:PORT` (with TLS, as for skopeo), `https://…`, `http://…` (without). */
  readonly host?: string;
  /** Folder with ca.pem, cert.pem and key.pem, for `host` alone. Default: DOCKER_CERT_PATH. */
  readonly certDir?: string;
  /** False: the certificate of `host` is not looked at. */
  readonly tlsVerify?: boolean;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** A host, and the folder with its certificates where it is to be reached with TLS. */
export type NamedHost =
  | { readonly socketPath: string }
  | {
      readonly hostname: string;
      readonly port: number;
      readonly tls?: { readonly folder?: string; readonly isUnchecked: boolean };
    };

/**
 * Docker's address, by the options or by DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.
 * @throws BullaError `usage.unsupported` for a kind of address that Bulla does not speak
 */
export function namedHost(env: Environment, options: DaemonOptions = {}): NamedHost {
  const text = options.host ?? env['DOCKER_HOST'] ?? '';
  if (text === '') return { socketPath: '/var/run/docker.sock' };
  if (text.startsWith('unix:///')) return { socketPath: text.slice('unix://'.length) };
  const [, scheme = '', rest = ''] = /^(tcp|https?):\/\/(.*)$/.exec(text) ?? [];
  const url = scheme === '' ? null : URL.parse(`http://${rest}`);
  if (url === null || url.username !== '' || url.password !== '' || url.pathname !== '/') throw unknown(text);
  const port = url.port === '' && rest.endsWith(':80') ? 80 : Number(url.port);
  if (port === 0) throw unknown(text);
  const host = { hostname: url.hostname.replace(/^\[|\]$/g, ''), port };
  const { DOCKER_TLS_VERIFY: verify = '', DOCKER_CERT_PATH: path, HOME: home } = env;
  if (scheme === 'http') return host;
  if (options.host !== undefined) {
    const folder = options.certDir ?? path;
    return {
      ...host,
      tls: { isUnchecked: options.tlsVerify === false, ...(folder !== undefined && { folder }) },
    };
  }
  if (scheme === 'tcp' && verify === '') return host;
  return { ...host, tls: { isUnchecked: false, folder: path ?? join(home ?? '/', '.docker') } };
}

function unknown(text: string): BullaError {
  return new BullaError(
    'usage.unsupported',
    `Docker's host "${printable(text.replace(/\/\/[^/]*@/, '//…@'))}" is neither unix:///PATH nor tcp://HOST:PORT`,
    {
      hint: 'forward the socket (ssh -L /tmp/docker.sock:/var/run/docker.sock HOST) and name it as unix:///tmp/docker.sock',
    },
  );
}

/**
 * The same with its certificates read.
 * @throws BullaError `usage.unsupported`, `usage.invalid` (no certificates where they should be, one half of a pair), `io.*`
 */
export async function openDockerHost(env: Environment, options: DaemonOptions = {}): Promise<DockerHost> {
  const named = namedHost(env, options);
  if ('socketPath' in named) return named;
  const { hostname, port, tls } = named;
  if (tls === undefined) return { hostname, port };
  const { folder, isUnchecked } = tls;
  const pair = folder === undefined ? {} : await readPair(folder);
  return { hostname, port, tls: { ...pair, rejectUnauthorized: !isUnchecked } };
}

async function readPair(folder: string): Promise<Omit<DockerTls, 'rejectUnauthorized'>> {
  const read = async (name: string): Promise<Buffer | undefined> => {
    const bytes = await readFileIfThere(join(folder, name), limits.configFileBytes);
    return bytes === undefined ? undefined : Buffer.from(bytes);
  };
  const [ca, cert, key] = await Promise.all(['ca.pem', 'cert.pem', 'key.pem'].map(read));
  const where = printable(folder);
  if (ca === undefined && cert === undefined && key === undefined)
    throw new BullaError('usage.invalid', `${where} has no ca.pem, cert.pem or key.pem for Docker`, {
      hint: 'name the folder by DOCKER_CERT_PATH',
    });
  if ((cert === undefined) !== (key === undefined))
    throw new BullaError('usage.invalid', `${where} has one of cert.pem and key.pem, and not the other`);
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && key !== undefined && { cert, key }),
  };
}

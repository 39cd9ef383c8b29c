/** certs.d: CA certificates and client certificates of one registry host (containers-certs.d.5). */
import { readdirSync } from 'node:fs';

import { printable, textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { fileError, isSystemError, readBoundedFile } from '../io/files.ts';
import type { TlsOptions } from '../io/http.ts';
import { configHome, type SystemEnvironment } from './environment.ts';

/** The folders that may hold a folder named `host[:port]`; the first that has one is used alone. */
export function certificateFolders(environment: SystemEnvironment): readonly string[] {
  const { etc, share, uid } = environment;
  const own = uid === 0 ? ['certs.rootful.d'] : [`certs.rootless.d/${uid}`, 'certs.rootless.d'];
  return [
    `${configHome(environment)}/containers/certs.d`,
    ...own.map((each) => `${etc}/containers/${each}`),
    `${etc}/containers/certs.d`,
    ...own.map((each) => `${share}/containers/${each}`),
    `${share}/containers/certs.d`,
    `${etc}/docker/certs.d`,
  ];
}

/**
 * The certificates for a host: `certDir` alone where it is given, else the first certs.d folder
 * that has one for it.
 * @throws BullaError `certs-d.malformed`, `io.not-found` (a certDir that is missing), `io.*`
 */
export async function readHostCertificates(
  environment: SystemEnvironment,
  host: string,
  certDir?: string,
): Promise<TlsOptions> {
  if (certDir !== undefined) return readFolder(certDir, namesIn(certDir));
  for (const parent of certificateFolders(environment)) {
    const folder = `${parent}/${host}`;
    try {
      return await readFolder(folder, namesIn(folder));
    } catch (error) {
      if (!(error instanceof BullaError && error.code === 'io.not-found')) throw error;
      // the folder was listed, then a file in it was gone: that is not "no folder"
      if (!isSystemError(error.cause, 'ENOENT') && !isSystemError(error.cause, 'ENOTDIR')) throw error;
    }
  }
  return {};
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    throw fileError(error, folder, 'read');
  }
}

async function readFolder(folder: string, names: readonly string[]): Promise<TlsOptions> {
  const ca: string[] = [];
  const clientCertificates: { readonly cert: string; readonly key: string }[] = [];
  for (const name of names) {
    const path = `${folder}/${name}`;
    if (name.endsWith('.crt')) ca.push(...(await readPem(path, 'CERTIFICATE')));
    else if (name.endsWith('.cert')) clientCertificates.push(await readPair(path, names, name));
    else if (name.endsWith('.key') && !names.includes(name.replace(/key$/, 'cert'))) {
      throw malformed(path, `the certificate ${name.replace(/key$/, 'cert')} to this key is missing`);
    }
  }
  return { ca, clientCertificates };
}

async function readPair(
  path: string,
  names: readonly string[],
  name: string,
): Promise<{ readonly cert: string; readonly key: string }> {
  const keyName = name.replace(/cert$/, 'key');
  if (!names.includes(keyName)) {
    throw malformed(
      path,
      `the key ${keyName} to this certificate is missing; a CA certificate is to be named *.crt`,
    );
  }
  const cert = (await readPem(path, 'CERTIFICATE')).join('\n');
  const key = (await readPem(path.replace(/cert$/, 'key'), 'PRIVATE KEY')).join('\n');
  return { cert, key };
}

/** The PEM blocks of a file whose label ends so; at least one. */
async function readPem(path: string, label: string): Promise<readonly string[]> {
  const text = textOf(await readBoundedFile(path, limits.configFileBytes)) ?? '';
  const blocks = text.match(/-----BEGIN ([A-Z0-9 ]+)-----[\s\S]+?-----END \1-----/g) ?? [];
  const wanted = blocks.filter((each) => each.split(/\r?\n/, 1)[0]?.endsWith(`${label}-----`));
  if (wanted.length > 0) return wanted;
  throw malformed(path, `it holds no PEM ${label.toLowerCase()}`);
}

function malformed(path: string, why: string): BullaError {
  return new BullaError('certs-d.malformed', `${printable(path)}: ${why}`);
}

/** A real docker-registry (distribution 2.8) on loopback, plain or with TLS and users. */
import { writeFileSync } from 'node:fs';

import type { Bench } from './peers.ts';

export type RegistryOptions = {
  /** HTTPS with a certificate of the bench's own authority (needs openssl). */
  readonly tls?: boolean;
  /** Only `user` may come in (htpasswd). */
  readonly users?: boolean;
  /** With tls: only clients with a certificate of the same authority may come in. */
  readonly clientCertificates?: boolean;
};

export type RealRegistry = {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** `http://…` or `https://…` */
  readonly url: string;
  /** What it holds. Removed under it, it is empty. */
  readonly folder: string;
  /** With tls: what clients need. */
  readonly certificates: Certificates | undefined;
  /** What the registry logged so far: one line a request. */
  log(): string;
  stop(): Promise<void>;
};

/** Files in PEM. */
export type Certificates = {
  readonly ca: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
};

/** The one user of a registry with `users`. The hash is bcrypt's of that password, cost 5. */
export const registryUser = {
  name: 'user',
  password: 'correct horse',
  htpasswd: 'user:$2y$05$.abcdefghijklmnopqrstuxLvPwJb/SYEU.U8JaEhmdQ7VNiiNmb6\n',
} as const;

let count = 0;

/** Starts docker-registry in a bench; it ends with the bench. */
export async function startRegistry(bench: Bench, options: RegistryOptions = {}): Promise<RealRegistry> {
  const name = `registry-${(count += 1)}`;
  const certificates = options.tls === true ? await makeCertificates(bench, name) : undefined;
  const lines = [
    'version: 0.1',
    'log: { level: info, accesslog: { disabled: false } }',
    `storage: { filesystem: { rootdirectory: "${bench.path(name)}" }, delete: { enabled: true } }`,
    'http:',
    '  addr: 127.0.0.1:0',
    '  secret: only-for-tests',
  ];
  if (certificates !== undefined) {
    lines.push(
      '  tls:',
      `    certificate: "${certificates.serverCertificate}"`,
      `    key: "${certificates.serverKey}"`,
    );
    if (options.clientCertificates === true) lines.push(`    clientcas: ["${certificates.ca}"]`);
  }
  if (options.users === true) {
    writeFileSync(bench.path(`${name}.htpasswd`), registryUser.htpasswd);
    lines.push('auth:', `  htpasswd: { realm: test, path: "${bench.path(`${name}.htpasswd`)}" }`);
  }
  writeFileSync(bench.path(`${name}.yml`), `${lines.join('\n')}\n`);
  const running = bench.start('docker-registry', ['serve', bench.path(`${name}.yml`)], {
    // it takes every REGISTRY_… variable for a part of its configuration
    env: { REGISTRY_AUTH_FILE: undefined },
  });
  // port 0: the kernel chooses, the log tells; nobody can take the port in between
  const port = (await running.waitFor(/listening on 127\.0\.0\.1:(\d+)/))[1] ?? '';
  const host = `127.0.0.1:${port}`;
  const url = `${certificates === undefined ? 'http' : 'https'}://${host}`;
  return {
    host,
    url,
    folder: bench.path(name),
    certificates,
    log: () => running.output(),
    stop: () => running.stop(),
  };
}

/** An authority, a server certificate for 127.0.0.1 and localhost, and a client certificate. */
export async function makeCertificates(bench: Bench, name: string): Promise<Certificates> {
  const file = (kind: string): string => bench.path(`${name}-${kind}.pem`);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await bench.ok('openssl', [
    ...['req', '-x509', ...key, '-subj', '/CN=test authority', '-keyout', file('ca-key'), '-out', file('ca')],
    ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'],
  ]);
  const issue = async (kind: string, extensions: readonly string[]): Promise<void> => {
    await bench.ok('openssl', [
      ...['req', '-x509', ...key, '-subj', `/CN=test ${kind}`, '-CA', file('ca'), '-CAkey', file('ca-key')],
      ...['-keyout', file(`${kind}-key`), '-out', file(kind)],
      ...extensions.flatMap((extension) => ['-addext', extension]),
    ]);
  };
  await issue('server', [
    'subjectAltName=IP:127.0.0.1,DNS:localhost',
    'extendedKeyUsage=serverAuth',
    'basicConstraints=critical,CA:FALSE',
  ]);
  await issue('client', ['extendedKeyUsage=clientAuth', 'basicConstraints=critical,CA:FALSE']);
  return {
    ca: file('ca'),
    serverCertificate: file('server'),
    serverKey: file('server-key'),
    clientCertificate: file('client'),
    clientKey: file('client-key'),
  };
}

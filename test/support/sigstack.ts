/**
 * The real sigstore services on loopback: Fulcio with a CT log, Rekor v1, Rekor v2, a time stamp authority, an issuer.
 *
 *   test('keyless', needs('sigstack', 'cosign'), async () => {
 *     await using stack = await openSigstack();      // about 2 s; one stack a test file is enough
 *     await bench.ok('cosign', ['sign', '--signing-config', stack.signingConfigs.rekor1, '--trusted-root', stack.trustedRoot,
 *       '--identity-token', stack.tokenFile({ email: 'dev@sigstack.test' }), '-y', image]);
 *   });
 *
 * scripts/sigstack/build.sh builds the programs. Keys and certificates are made anew each time; the logs live in memory and in
 * the stack's temporary folder. Any number of stacks may run at once: each claims a block of ports by listening on its first.
 * The processes end when the stack is disposed, by their own ids.
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Issuer, startIssuer, type TokenOptions } from './sigstack-issuer.ts';
import {
  endAll,
  type Ports,
  type ServiceName,
  type Services,
  type SigstackOptions,
  startCtLog,
  startFulcio,
  startRekor,
  startRekor2,
  startTimestamps,
  startTrillian,
} from './sigstack-services.ts';
import {
  makeKeys,
  type SigningConfigs,
  type SigstackKeys,
  type SigstackUrls,
  writeSigningConfigs,
  writeTrustedRoot,
} from './sigstack-trust.ts';

export type { TokenOptions } from './sigstack-issuer.ts';

export type Sigstack = AsyncDisposable & {
  readonly folder: string;
  readonly urls: SigstackUrls;
  readonly keys: SigstackKeys;
  /** The path of trusted_root.json: everything of this stack. */
  readonly trustedRoot: string;
  /** Paths of signing configurations. */
  readonly signingConfigs: SigningConfigs;
  /** An ID token for Fulcio; without options for `dev@sigstack.test`. */
  token(options?: TokenOptions): string;
  /** The same in a new file, 0600. */
  tokenFile(options?: TokenOptions): string;
  /** What a service has printed. */
  log(service: ServiceName): string;
};

/** The ports of a block, in this order; the issuer's listener claims the block. */
const portNames = [
  'issuer',
  ...['fulcio', 'fulcioGrpc', 'fulcioMetrics', 'trillian', 'trillianHttp', 'ct', 'rekor', 'rekorMetrics'],
  ...['rekor2', 'rekor2Grpc', 'rekor2Metrics', 'tsa', 'tsaMetrics'],
] as const;

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return true;
  } catch {
    return false;
  }
}

/** Claims a block of ports below the kernel's ephemeral range, where no outgoing connection takes one away meanwhile. */
async function claimPorts(): Promise<{ readonly issuer: Issuer; readonly port: Ports }> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const base = 12_000 + 16 * Math.floor(Math.random() * 1100);
    const issuer = await startIssuer(base).catch(() => undefined);
    if (issuer === undefined) continue;
    const others = await Promise.all(portNames.slice(1).map((_, at) => isFree(base + 1 + at)));
    if (others.every(Boolean)) {
      return { issuer, port: (name) => base + (portNames as readonly string[]).indexOf(name) };
    }
    await issuer[Symbol.asyncDispose]();
  }
  throw new Error('no block of 14 free ports between 12000 and 30000');
}

function urlsOf(issuer: Issuer, port: Ports): SigstackUrls {
  const at = (name: string): string => `http://127.0.0.1:${port(name)}`;
  return {
    oidc: issuer.url,
    ciOidc: issuer.ciUrl,
    fulcio: at('fulcio'),
    ctLog: `${at('ct')}/sigstack`,
    rekor: at('rekor'),
    rekor2: at('rekor2'),
    tsa: `${at('tsa')}/api/v1/timestamp`,
  };
}

/** Starts a whole stack. */
export async function openSigstack(options: SigstackOptions = {}): Promise<Sigstack> {
  const { issuer, port } = await claimPorts();
  const folder = mkdtempSync(join(tmpdir(), 'bulla-sigstack-'));
  mkdirSync(join(folder, 'rekor2'));
  const urls = urlsOf(issuer, port);
  const services: Services = { folder, port, urls, children: new Map() };
  // a test process that ends without disposing leaves nothing running
  const abandon = (): void => services.children.forEach((child) => child.kill('SIGKILL'));
  process.once('exit', abandon);
  const dispose = async (): Promise<void> => {
    await Promise.all([endAll(services), issuer[Symbol.asyncDispose]()]);
    process.removeListener('exit', abandon);
  };
  try {
    const trillian = startTrillian(services);
    const keys = await makeKeys(folder);
    const onTrillian = trillian.then(() => Promise.all([startCtLog(services), startRekor(services)]));
    await Promise.all([
      onTrillian,
      startFulcio(services, options),
      startRekor2(services),
      startTimestamps(services),
    ]);
    let tokens = 0;
    return {
      folder,
      urls,
      keys,
      trustedRoot: writeTrustedRoot(folder, urls, keys),
      signingConfigs: writeSigningConfigs(folder, urls),
      token: (wish) => issuer.token(wish),
      tokenFile: (wish) => {
        const path = join(folder, `token-${(tokens += 1)}`);
        writeFileSync(path, issuer.token(wish), { mode: 0o600 });
        return path;
      },
      log: (service) => readFileSync(join(folder, `${service}.log`), 'utf8'),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

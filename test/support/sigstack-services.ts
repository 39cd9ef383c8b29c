/** The processes of a sigstack: each started with the stack's own keys and ports, and known to be ready. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { runProcess } from '../../src/io/process.ts';
import { findPeer } from './peers.ts';
import { rekor2Origin, type SigstackUrls } from './sigstack-trust.ts';

export type ServiceName = 'trillian' | 'ct' | 'fulcio' | 'rekor' | 'rekor2' | 'tsa';

/** The port of a name. */
export type Ports = (name: string) => number;

export type Services = {
  readonly folder: string;
  readonly port: Ports;
  readonly urls: SigstackUrls;
  readonly children: Map<ServiceName, ChildProcess>;
};

function programPath(name: string): string {
  const fulcio = findPeer('sigstack');
  if (fulcio === undefined) throw new Error('sigstack missing: run scripts/sigstack/build.sh');
  return join(dirname(fulcio), name);
}

/** Starts a service and waits until a GET of `ready` succeeds. */
async function up(
  { folder, children }: Services,
  name: ServiceName,
  ready: string,
  [program, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const output = openSync(join(folder, `${name}.log`), 'a');
  const child = spawn(programPath(program), args, {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: folder, ...env },
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  children.set(name, child);
  const failures: string[] = [];
  child.on('error', (error) => failures.push(error.message));
  child.on('exit', (code, signal) => failures.push(`ended (${signal ?? code})`));
  const deadline = Date.now() + 60_000;
  while (failures.length === 0 && Date.now() < deadline) {
    const answer = await fetch(ready, { signal: AbortSignal.timeout(3000) }).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok === true) return;
    // the services tell nobody that they are ready: asking is the only way
    await new Promise((settle) => setTimeout(settle, 25));
  }
  const tail = readFileSync(join(folder, `${name}.log`), 'utf8').slice(-3000);
  throw new Error(`${name}: ${failures[0] ?? 'not ready after a minute'}\n${tail}`);
}

export async function startTrillian(services: Services): Promise<void> {
  const { port } = services;
  const http = `127.0.0.1:${port('trillianHttp')}`;
  await up(services, 'trillian', `http://${http}/healthz`, [
    'trillian_mem',
    `--rpc_endpoint=127.0.0.1:${port('trillian')}`,
    `--http_endpoint=${http}`,
    '--logtostderr',
  ]);
}

/** A new, empty tree in Trillian; gives its id. */
async function newTree({ port }: Services): Promise<string> {
  const args = [`--admin_server=127.0.0.1:${port('trillian')}`, '--logtostderr'];
  const made = await runProcess(programPath('createtree'), args, { timeoutMs: 60_000, maxBytes: 1_000_000 });
  const id = Buffer.from(made.stdout).toString('utf8').trim();
  if (made.exitCode !== 0 || !/^\d+$/.test(id)) throw new Error(`createtree: ${made.stderr}`);
  return id;
}

/** Bytes in protobuf's text form. */
function textBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (each) => `\\${each.toString(8).padStart(3, '0')}`).join('');
}

export async function startCtLog(services: Services): Promise<void> {
  const { folder, port, urls } = services;
  const tree = await newTree(services);
  const key: KeyObject = createPrivateKey(readFileSync(join(folder, 'ct.key')));
  // the log's own form of a plain private key is SEC 1; a PEM file would have to be encrypted
  const secret = textBytes(key.export({ type: 'sec1', format: 'der' }));
  const open = textBytes(createPublicKey(key).export({ type: 'spki', format: 'der' }));
  const config = `backends { backend { name: "trillian" backend_spec: "127.0.0.1:${port('trillian')}" } }
log_configs { config {
  log_id: ${tree} prefix: "sigstack" log_backend_name: "trillian"
  roots_pem_file: "${join(folder, 'fulcio-root.crt')}" ext_key_usages: "CodeSigning"
  private_key { [type.googleapis.com/keyspb.PrivateKey] { der: "${secret}" } }
  public_key { der: "${open}" }
} }\n`;
  writeFileSync(join(folder, 'ct.cfg'), config, { mode: 0o600 });
  await up(services, 'ct', `${urls.ctLog}/ct/v1/get-sth`, [
    'ct_server',
    `--log_config=${join(folder, 'ct.cfg')}`,
    `--http_endpoint=127.0.0.1:${port('ct')}`,
    '--logtostderr',
  ]);
}

export type SigstackOptions = {
  /** False: Fulcio logs no certificate, so its certificates carry no SCT. */
  readonly ctLog?: boolean;
  /**
   * Further issuers of e-mail identities that Fulcio shall accept (client id `sigstore`). Any issuer
   * `http://127.0.0.1:PORT` is accepted in any case, also one that is started later.
   */
  readonly issuers?: readonly string[];
};

export async function startFulcio(
  services: Services,
  { ctLog = true, issuers = [] }: SigstackOptions,
): Promise<void> {
  const { folder, port, urls } = services;
  const email = (url: string): [string, object] => [
    url,
    { IssuerURL: url, ClientID: 'sigstore', Type: 'email' },
  ];
  const config = {
    OIDCIssuers: {
      ...Object.fromEntries([urls.oidc, ...issuers].map(email)),
      [urls.ciOidc]: { IssuerURL: urls.ciOidc, ClientID: 'sigstore', Type: 'github-workflow' },
    },
    MetaIssuers: { 'http://127.0.0.1:*': { ClientID: 'sigstore', Type: 'email' } },
  };
  writeFileSync(join(folder, 'fulcio.json'), JSON.stringify(config));
  await up(services, 'fulcio', `${urls.fulcio}/healthz`, [
    ...([
      'fulcio-server',
      'serve',
      '--ca=fileca',
      '--fileca-key-passwd=unused',
      '--fileca-watch=false',
    ] as const),
    `--fileca-cert=${join(folder, 'fulcio-chain.pem')}`,
    `--fileca-key=${join(folder, 'fulcio-intermediate.key')}`,
    `--ct-log-url=${ctLog ? urls.ctLog : ''}`,
    ...(ctLog ? [`--ct-log-public-key-path=${join(folder, 'ct.pub')}`] : []),
    `--config-path=${join(folder, 'fulcio.json')}`,
    ...['--host=127.0.0.1', `--port=${port('fulcio')}`, '--grpc-host=127.0.0.1'],
    ...[`--grpc-port=${port('fulcioGrpc')}`, `--metrics-port=${port('fulcioMetrics')}`],
    `--legacy-unix-domain-socket=@sigstack-fulcio-${port('fulcio')}`,
  ]);
}

const rekorEndpoints =
  'getLogInfo,getPublicKey,getLogProof,createLogEntry,getLogEntryByIndex,getLogEntryByUUID,searchLogQuery';

export async function startRekor(services: Services): Promise<void> {
  const { folder, port, urls } = services;
  const tree = await newTree(services);
  await up(
    services,
    'rekor',
    `${urls.rekor}/api/v1/log/publicKey`,
    [
      ...([
        'rekor-server-v1',
        'serve',
        '--rekor_server.address=127.0.0.1',
        `--port=${port('rekor')}`,
      ] as const),
      ...['--rekor_server.hostname=127.0.0.1', `--rekor_server.signer=${join(folder, 'rekor.key')}`],
      ...['--trillian_log_server.address=127.0.0.1', `--trillian_log_server.port=${port('trillian')}`],
      ...[`--trillian_log_server.tlog_id=${tree}`, '--enable_retrieve_api=false'],
      `--enabled_api_endpoints=${rekorEndpoints}`,
    ],
    { REKOR_METRICS_ADDR: `127.0.0.1:${port('rekorMetrics')}` },
  );
}

export async function startRekor2(services: Services): Promise<void> {
  const { folder, port, urls } = services;
  await up(services, 'rekor2', `${urls.rekor2}/healthz`, [
    ...(['rekor-server-v2', 'serve', `--storage-dir=${join(folder, 'rekor2')}`] as const),
    ...[`--signer-filepath=${join(folder, 'rekor2.key')}`, `--hostname=${rekor2Origin}`],
    ...['--http-address=127.0.0.1', `--http-port=${port('rekor2')}`, '--grpc-address=127.0.0.1'],
    ...[`--grpc-port=${port('rekor2Grpc')}`, `--http-metrics-port=${port('rekor2Metrics')}`],
    ...['--checkpoint-interval=1s', '--batch-max-age=100ms', '--persistent-antispam=false'],
  ]);
}

export async function startTimestamps(services: Services): Promise<void> {
  const { folder, port, urls } = services;
  await up(
    services,
    'tsa',
    `${urls.tsa}/certchain`,
    [
      ...(['timestamp-server', 'serve', '--host=127.0.0.1', `--port=${port('tsa')}`] as const),
      ...['--timestamp-signer=file', `--file-signer-key-path=${join(folder, 'tsa.key')}`],
      ...['--file-signer-passwd=unused', `--certificate-chain-path=${join(folder, 'tsa-chain.pem')}`],
      '--disable-ntp-monitoring',
    ],
    { TSA_METRICS_ADDR: `127.0.0.1:${port('tsaMetrics')}` },
  );
}

async function end(child: ChildProcess, graceMs: number): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await gone;
  clearTimeout(timer);
}

export async function endAll({ children, folder }: Services): Promise<void> {
  await Promise.all([...children].map(([name, child]) => end(child, name === 'trillian' ? 500 : 3000)));
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

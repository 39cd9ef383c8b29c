/** Everything the measured commands find: a registry, lookasides, keys, images, policies. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type RealRegistry, startRegistry } from '../../test/support/docker-registry.ts';
import { writeOciImage } from '../../test/support/oci-image.ts';
import { type Bench, findPeer, openBench } from '../../test/support/peers.ts';

const root = join(import.meta.dirname, '..', '..');
export const node: string = join(root, 'node_modules', 'node', 'bin', 'node');

/** One kind of key: in GnuPG, in Bulla's own keyring, and as bare PEM for the floor. */
export type StageKey = {
  readonly kind: 'rsa3072' | 'ed25519';
  readonly gnupg: string;
  readonly own: string;
  /** Exported from GnuPG, armored. */
  readonly publicFile: string;
  readonly policyFile: string;
  readonly floorPem: string;
};

export interface Stage extends AsyncDisposable {
  readonly bench: Bench;
  /** The built Bulla, copied as an installed package lies: another build beside the bench changes nothing. */
  readonly launcher: string;
  /** `docker-registry` or `bulla serve registry`. */
  readonly registryIs: string;
  readonly registry: string;
  /** Where docker-registry keeps its files; nothing there where it is missing. */
  readonly registryFolder: string;
  /** Requests to the registry, all by Bulla's or the peer's name, since the last call; undefined where it cannot tell. */
  registryRequests(): readonly string[] | undefined;
  /** The lookaside over HTTP, which serves the folder. */
  readonly lookaside: {
    readonly url: string;
    readonly folder: string;
    count(): Promise<number>;
    reload(): Promise<void>;
  };
  /** registries.d folders: signatures in the folder itself, or over HTTP. */
  readonly registriesD: { readonly file: string; readonly http: string };
  readonly passphraseFile: string;
  readonly keys: readonly StageKey[];
  /** The environment of Bulla: its own keyring, no configuration of the machine. */
  readonly env: NodeJS.ProcessEnv;
  bulla(args: readonly string[]): Promise<string>;
}

export async function openStage(): Promise<Stage> {
  const bench = await openBench();
  const disposer = new AsyncDisposableStack();
  disposer.use(bench);
  const folder = bench.path('lookaside');
  mkdirSync(folder);
  const launcher = installCopy(bench);
  const registry = await startBenchRegistry(bench, launcher);
  const env = {
    ...bench.env,
    BULLA_DIST: '1',
    XDG_DATA_HOME: bench.path('data'),
    NODE_EXTRA_CA_CERTS: undefined,
  };
  const bulla = (args: readonly string[]): Promise<string> =>
    bench.ok(`/${node.slice(1)}`, [launcher, ...args], { env, timeoutMs: 600_000 });
  const lookaside = await startLookaside(bench, folder);
  const passphraseFile = bench.path('passphrase');
  writeFileSync(passphraseFile, 'correct horse battery staple\n', { mode: 0o600 });
  const keys: StageKey[] = [];
  for (const kind of ['rsa3072', 'ed25519'] as const)
    keys.push(await makeKey(bench, kind, passphraseFile, bulla));
  const stage: Stage = {
    bench,
    launcher,
    registryIs: registry.is,
    registry: registry.host,
    // the first one of a bench (test/support/docker-registry.ts)
    registryFolder: bench.path('registry-1'),
    registryRequests: registry.requests,
    lookaside,
    registriesD: {
      file: registriesD(bench, 'file', `file://${folder}`, folder),
      http: registriesD(bench, 'http', lookaside.url, folder),
    },
    passphraseFile,
    keys,
    env,
    bulla,
    [Symbol.asyncDispose]: () => disposer.disposeAsync(),
  };
  return stage;
}

type BenchRegistry = {
  readonly is: string;
  readonly host: string;
  readonly requests: () => readonly string[] | undefined;
};

function installCopy(bench: Bench): string {
  const folder = bench.path('bulla');
  mkdirSync(folder);
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(root, part), join(folder, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'bin', 'bulla.js');
}

async function startBenchRegistry(bench: Bench, launcher: string): Promise<BenchRegistry> {
  if (findPeer('docker-registry') === undefined) {
    const port = '0';
    const running = bench.start(`/${node.slice(1)}`, [launcher, 'serve', 'registry', '--port', port]);
    const host = (await running.waitFor(/127\.0\.0\.1:\d+/))[0];
    return { is: 'bulla serve registry (docker-registry is missing)', host, requests: () => undefined };
  }
  const registry = await startRegistry(bench);
  return { is: 'docker-registry', host: registry.host, requests: requestLog(registry) };
}

/** Gives what a registry was asked since it was last asked about, as its log has it. */
export function requestLog(registry: RealRegistry): () => readonly string[] {
  let seen = 0;
  return () => {
    const log = registry.log();
    const fresh = log.slice(seen);
    seen = log.length;
    return [...fresh.matchAll(/"((?:GET|HEAD|PUT|POST|PATCH|DELETE) \S+) HTTP\/1\.1"/g)].map(
      ([, line = '']) => line,
    );
  };
}

async function startLookaside(bench: Bench, folder: string): Promise<Stage['lookaside']> {
  const server = bench.start(`/${node.slice(1)}`, [join(import.meta.dirname, 'lookaside-server.js'), folder]);
  const port = (await server.waitFor(/listening on (\d+)/))[1] ?? '';
  const url = `http://127.0.0.1:${port}`;
  const ask = async (path: string): Promise<number> => Number(await (await fetch(`${url}${path}`)).text());
  return {
    url,
    folder,
    count: () => ask('/.count'),
    reload: async () => {
      await ask('/.reload');
    },
  };
}

function registriesD(bench: Bench, name: string, read: string, folder: string): string {
  const path = bench.path(`registries.d-${name}`);
  mkdirSync(path);
  const text = `default-docker:\n  lookaside: ${read}\n  lookaside-staging: file://${folder}\n`;
  writeFileSync(join(path, 'default.yaml'), text);
  return path;
}

async function makeKey(
  bench: Bench,
  kind: StageKey['kind'],
  passphraseFile: string,
  bulla: Stage['bulla'],
): Promise<StageKey> {
  const mail = `${kind}@bench.example.com`;
  const gnupg = await bench.newGpgKey(`Bench <${mail}>`, { type: kind });
  const publicFile = bench.path(`${kind}.asc`);
  const policyFile = bench.path(`${kind}.policy.json`);
  await bench.ok('gpg', ['--batch', '--armor', '--output', publicFile, '--export', gnupg]);
  const requirement = { type: 'signedBy', keyType: 'GPGKeys', keyPath: publicFile };
  writeFileSync(policyFile, JSON.stringify({ default: [requirement] }));
  const user = ['--user-id', `Own <own-${mail}>`, '--type', kind, '--passphrase-file', passphraseFile];
  const own = /[0-9A-F]{40}/.exec(await bulla(['key', 'generate', 'gpg', ...user]))?.[0];
  if (own === undefined) throw new Error('bulla key generate prints no fingerprint');
  const floorPem = bench.path(`${kind}.floor.pem`);
  const pair =
    kind === 'rsa3072' ? generateKeyPairSync('rsa', { modulusLength: 3072 }) : generateKeyPairSync('ed25519');
  writeFileSync(floorPem, pair.publicKey.export({ type: 'spki', format: 'pem' }));
  return { kind, gnupg, own, publicFile, policyFile, floorPem };
}

/** An image in the registry. */
export type StageImage = {
  /** `127.0.0.1:PORT/bench/app:rsa3072` */
  readonly name: string;
  /** Where a lookaside keeps its signatures, below its base. */
  readonly folder: string;
};

/** Puts a small image into the registry. */
export async function pushImage(stage: Stage, repository: string, tag: string): Promise<StageImage> {
  const { bench, registry } = stage;
  const layout = bench.path(`layout-${tag}`);
  const { digest } = await writeOciImage(layout, {
    tag,
    files: { 'hello.txt': `hello ${repository} ${tag}\n` },
  });
  const name = `${registry}/${repository}:${tag}`;
  await stage.bulla(['push', '--tls-verify=false', `oci:${layout}:${tag}`, `docker://${name}`]);
  return { name, folder: `${repository}@${digest.replace(':', '=')}` };
}

/**
 * Puts many images with one config and one layer into one repository: manifests that differ in an
 * annotation, tags 1 to `count`; gives their digests.
 */
export async function pushMany(stage: Stage, repository: string, count: number): Promise<readonly string[]> {
  const base = `http://${stage.registry}/v2/${repository}`;
  const config = await pushBlob(
    base,
    Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'),
  );
  const digests: string[] = [];
  for (let tag = 1; tag <= count; tag += 1) {
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: [],
      annotations: { 'com.example.number': `${tag}` },
    };
    digests.push(await putManifest(base, `${tag}`, manifest));
  }
  return digests;
}

/** @returns its digest */
export async function putManifest(base: string, tag: string, manifest: unknown): Promise<string> {
  const body = JSON.stringify(manifest);
  const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
  const answer = await fetch(`${base}/manifests/${tag}`, { method: 'PUT', headers, body });
  if (answer.status !== 201)
    throw new Error(`PUT of manifest ${tag}: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
  return `sha256:${createHash('sha256').update(body).digest('hex')}`;
}

export async function pushBlob(
  base: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<{ digest: string; size: number }> {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const begun = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
  const location = new URL(begun.headers.get('location') ?? '', base);
  location.searchParams.set('digest', digest);
  const answer = await fetch(location, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: bytes,
  });
  if (answer.status !== 201) throw new Error(`PUT of a blob: ${answer.status} ${await answer.text()}`);
  return { digest, size: bytes.length };
}

/** How many signatures the lookaside's folder has, all images together. */
export function countSignatures(stage: Stage): number {
  return readdirSync(stage.lookaside.folder, { recursive: true, withFileTypes: true }).filter((each) =>
    each.isFile(),
  ).length;
}

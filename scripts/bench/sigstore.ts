/** The sigstore commands that are measured: verifying and signing by a key, beside cosign 2.5, cosign 3.1 and skopeo. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { findPeer, type PeerName } from '../../test/support/peers.ts';
import { of, type Row } from './contenders.ts';
import { node, pushBlob, pushImage, pushMany, putManifest, type Stage } from './stage.ts';

const floor = join(import.meta.dirname, 'floor-sigstore.cjs');
const password = 'correct horse battery staple';
const signNothing = ['--tlog-upload=false', '-y'];

export type SigstoreStage = {
  readonly stage: Stage;
  /** cosign's own pair of files. */
  readonly privateKey: string;
  readonly publicKey: string;
  /** registries.d with use-sigstore-attachments. */
  readonly registriesD: string;
  readonly signingConfig: string;
  readonly trustedRoot: string;
  readonly env: NodeJS.ProcessEnv;
};

/** Undefined where a peer is missing: without it there is nothing to compare with. */
export async function openSigstoreStage(stage: Stage): Promise<SigstoreStage | undefined> {
  const peers: readonly PeerName[] = ['cosign', 'cosign2', 'skopeo', 'docker-registry'];
  if (peers.some((each) => findPeer(each) === undefined)) return undefined;
  const { bench } = stage;
  const env = { ...stage.env, COSIGN_PASSWORD: password };
  const registriesD = bench.path('registries.d-attachments');
  mkdirSync(registriesD);
  writeFileSync(join(registriesD, 'default.yaml'), 'default-docker:\n  use-sigstore-attachments: true\n');
  const [signingConfig, trustedRoot] = [bench.path('signing-config.json'), bench.path('trusted-root.json')];
  await bench.ok('cosign2', ['generate-key-pair', '--output-key-prefix', bench.path('bench')], { env });
  await bench.ok('cosign', ['signing-config', 'create', '--out', signingConfig]);
  await bench.ok('cosign', ['trusted-root', 'create', '--out', trustedRoot]);
  const [privateKey, publicKey] = [bench.path('bench.key'), bench.path('bench.pub')];
  return { stage, privateKey, publicKey, registriesD, signingConfig, trustedRoot, env };
}

/** One image with a `.sig` by cosign 2.5, one with a bundle by cosign 3.1. */
export async function sigstoreVerifyRows(at: SigstoreStage): Promise<readonly Row[]> {
  const { stage } = at;
  const { bench } = stage;
  const [repository, other] = ['bench/sig', 'bench/bundle'];
  const attached = await digestName(stage, repository);
  const bundled = await digestName(stage, other);
  await bench.ok('cosign2', ['sign', '--key', at.privateKey, ...signNothing, attached.name], { env: at.env });
  const config = ['--signing-config', at.signingConfig, '--trusted-root', at.trustedRoot, '-y'];
  await bench.ok('cosign', ['sign', '--key', at.privateKey, ...config, bundled.name], { env: at.env });
  return [
    ...verifyRows(
      at,
      { kind: 'sig', what: 'a .sig', peer: 'cosign2', most: 1.8, goal: 1.2, requests: 4 },
      attached,
    ),
    ...verifyRows(
      at,
      { kind: 'bundle', what: 'a bundle', peer: 'cosign', most: 1.4, goal: 0.9, requests: 6 },
      bundled,
    ),
    of(stage, `start: cosign 2.5 version`, findPeer('cosign2') ?? '', ['version']),
    of(stage, `start: cosign 3.1 version`, findPeer('cosign') ?? '', ['version']),
  ];
}

type Verified = { readonly name: string; readonly repository: string; readonly digest: string };
type Comparison = {
  readonly kind: 'sig' | 'bundle';
  readonly what: string;
  readonly peer: 'cosign' | 'cosign2';
  readonly most: number;
  readonly goal: number;
  readonly requests: number;
};

function verifyRows(
  { stage, publicKey }: SigstoreStage,
  { kind, what, peer, most, goal, requests }: Comparison,
  image: Verified,
): readonly Row[] {
  const floorName = `floor: node, the same requests, ${what}`;
  const peerName = `verify: ${versionOf(peer)} verify --key, ${what}`;
  const own = ['verify', '--tls-verify=false', '--key', publicKey, `docker://${image.name}`];
  return [
    of(stage, floorName, node, [floor, kind, stage.registry, image.repository, publicKey, image.digest]),
    {
      ...of(stage, `verify: bulla, ${what}`, node, [stage.launcher, ...own]),
      against: [peerName],
      budget: { most, goal },
      floor: { name: floorName, most: 1.4 },
      mostRequests: requests,
    },
    of(stage, peerName, findPeer(peer) ?? '', [
      ...['verify', '--key', publicKey, '--insecure-ignore-tlog=true', image.name],
    ]),
  ];
}

function versionOf(peer: 'cosign' | 'cosign2'): string {
  return peer === 'cosign' ? 'cosign 3.1' : 'cosign 2.5';
}

/** Each starts from an image without a signature, with the same encrypted key. */
export async function sigstoreSignRows(at: SigstoreStage): Promise<readonly Row[]> {
  const { stage, privateKey, env } = at;
  const image = await digestName(stage, 'bench/sign-sig');
  const files = join(stage.registryFolder, 'docker/registry/v2/repositories/bench/sign-sig');
  const [tags, blobs] = [join(files, '_manifests/tags'), join(files, '_layers/sha256')];
  const own = readdirSync(blobs);
  const remove = (folder: string, isNew: (name: string) => boolean): void =>
    readdirSync(folder)
      .filter(isNew)
      .forEach((name) => rmSync(join(folder, name), { recursive: true }));
  // blobs too: cosign's payload has no time in it, so that it would find its own there and upload nothing
  const fresh = (): void => {
    remove(tags, (name) => name.startsWith('sha256-'));
    remove(blobs, (name) => !own.includes(name));
  };
  const row = (name: string, command: string, args: readonly string[]): Row => ({
    ...of(stage, name, command, args, fresh),
    env,
    withScrypt: true,
  });
  const by = ['--sign-by-sigstore-private-key', privateKey];
  const [cosign2, skopeo] = ['sign: cosign 2.5 sign --key', 'sign: skopeo copy onto itself, sigstore key'];
  const both = [
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    `docker://${image.name}`,
    `docker://${image.name}`,
  ];
  const copy = ['--insecure-policy', '--registries.d', at.registriesD, 'copy', ...by];
  const where = ['--tls-verify=false', '--registries.d', at.registriesD];
  const scrypt = `require('crypto').scrypt('x', Buffer.alloc(32), 32, { N: 65536, r: 8, p: 1, maxmem: 2 ** 27 }, () => {})`;
  return [
    {
      ...row('sign: bulla, encrypted sigstore key, .sig', node, [
        ...[stage.launcher, 'sign', ...where, ...by, '--sign-passphrase-file', stage.passphraseFile],
        `docker://${image.name}`,
      ]),
      against: [cosign2, skopeo],
      budget: { most: 1.1, goal: 1 },
    },
    row(cosign2, findPeer('cosign2') ?? '', ['sign', '--key', privateKey, ...signNothing, image.name]),
    row(skopeo, findPeer('skopeo') ?? '', [...copy, '--sign-passphrase-file', stage.passphraseFile, ...both]),
    { ...of(stage, scryptName, node, ['-e', scrypt]), withScrypt: true },
  ];
}

/** A process that does nothing but stretch a passphrase. */
export const scryptName = 'floor: node -e scrypt, N = 65536';

/** Distinct images, each with a `.sig` of its own, judged by key in one command. */
export async function sigstoreManyRows(stage: Stage, count: number): Promise<readonly Row[]> {
  const repository = 'bench/many-sig';
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const keyFile = stage.bench.path('many.pub');
  writeFileSync(keyFile, publicKey.export({ type: 'spki', format: 'pem' }));
  const digests = await pushMany(stage, repository, count);
  const queue = digests.values();
  const worker = async (): Promise<void> => {
    for (const digest of queue) await attach(stage, repository, digest, privateKey);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  const tags = digests.map((_, index) => `${index + 1}`);
  const images = tags.map((tag) => `docker://${stage.registry}/${repository}:${tag}`);
  const floorName = `floor: node, ${count} images by key`;
  const own = [stage.launcher, 'verify', '--tls-verify=false', '--key', keyFile, ...images];
  return [
    of(stage, floorName, node, [floor, 'sig', stage.registry, repository, keyFile, ...tags]),
    { ...of(stage, `verify: bulla, ${count} images by key`, node, own), against: [floorName], mostEach: 2 },
  ];
}

/** Writes the tag as cosign does, without cosign: a thousand processes of a third of a second are too many. */
async function attach(stage: Stage, repository: string, digest: string, key: KeyObject): Promise<void> {
  const base = `http://${stage.registry}/v2/${repository}`;
  const payload = Buffer.from(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': `${stage.registry}/${repository}` },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: null,
    }),
  );
  const layer = await pushBlob(base, payload);
  const text = JSON.stringify({
    architecture: '',
    os: '',
    config: {},
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const config = await pushBlob(base, Buffer.from(text));
  const signature = sign('sha256', payload, key).toString('base64');
  await putManifest(base, digest.replace(':', '-') + '.sig', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [
      {
        mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
        ...layer,
        annotations: { 'dev.cosignproject.cosign/signature': signature },
      },
    ],
  });
}

async function digestName(stage: Stage, repository: string): Promise<Verified> {
  const { name, folder } = await pushImage(stage, repository, repository.replace('/', '-'));
  const digest = folder.slice(folder.indexOf('@') + 1).replace('=', ':');
  return { name: `${name.slice(0, name.lastIndexOf(':'))}@${digest}`, repository, digest };
}

/** Where the table is made: the services, two registries, a key, an identity, and images. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { serveRegistry } from '../../../src/servers/registry/serve.ts';
import { startRegistry } from '../../support/docker-registry.ts';
import { writeOciImage } from '../../support/oci-image.ts';
import { type Bench, openBench, type PeerResult } from '../../support/peers.ts';
import { openSigstack, type Sigstack } from '../../support/sigstack.ts';

/** Who signs, and who sees it. */
export type Row = {
  readonly name: string;
  readonly keyless: boolean;
  readonly log: 1 | 2 | undefined;
  readonly timestamp: boolean;
};

export const rows: readonly Row[] = [
  { name: 'key', keyless: false, log: undefined, timestamp: false },
  { name: 'key + Rekor v1', keyless: false, log: 1, timestamp: false },
  { name: 'Fulcio + Rekor v1', keyless: true, log: 1, timestamp: false },
  { name: 'Fulcio + Rekor v2 + TSA', keyless: true, log: 2, timestamp: true },
  { name: 'key + Rekor v2', keyless: false, log: 2, timestamp: false },
];

export const formats = ['.sig', 'bundle'] as const;
export type Format = (typeof formats)[number];

/** `right`: the key or identity that signs; `wrong`: another one. */
export type Who = 'right' | 'wrong';

/** docker-registry has no referrers API, Bulla's own has. */
export const registries = ['docker-registry', 'bulla registry'] as const;
export type RegistryName = (typeof registries)[number];

export type Target = {
  /** `127.0.0.1:PORT/t7/app:v1` */
  readonly tag: string;
  /** `127.0.0.1:PORT/t7/app@sha256:…` */
  readonly digest: string;
};

export type Stage = AsyncDisposable & {
  readonly bench: Bench;
  readonly stack: Sigstack;
  readonly hosts: Readonly<Record<RegistryName, string>>;
  /** Encrypted; the passphrase is in `passFile`. */
  readonly privateKey: string;
  readonly passFile: string;
  readonly publicKeys: Readonly<Record<Who, string>>;
  /** Pushes the image to a repository of its own. */
  push(registry: RegistryName): Promise<Target>;
  /** A path that nothing is at yet. */
  fresh(name: string): string;
};

export const passphrase = 'correct horse';
export const emails: Readonly<Record<Who, string>> = {
  right: 'dev@sigstack.test',
  wrong: 'eve@sigstack.test',
};

async function newKey(bench: Bench, name: string): Promise<void> {
  const args = ['--output-prefix', bench.path(name), '--passphrase-file', bench.path('pass')];
  const made = await bench.bulla(['key', 'generate', 'sigstore', ...args]);
  if (made.exitCode !== 0) throw new Error(made.stderr);
}

export async function openStage(): Promise<Stage> {
  const bench = await openBench();
  const stack = await openSigstack();
  const { host } = await startRegistry(bench);
  const embedded = await serveRegistry({});
  const hosts = { 'docker-registry': host, 'bulla registry': new URL(embedded.url).host };
  writeFileSync(bench.path('pass'), `${passphrase}\n`);
  const attachments = 'default-docker:\n  use-sigstore-attachments: true\n';
  writeFileSync(join(bench.config, 'registries.d', 'default.yaml'), attachments);
  for (const name of ['key', 'other']) await newKey(bench, name);
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  let count = 0;
  const push = async (registry: RegistryName): Promise<Target> => {
    const repository = `${hosts[registry]}/t${(count += 1)}/app`;
    const from = `oci:${bench.path('image')}:v1`;
    await bench.ok('skopeo', ['copy', '-q', '--dest-tls-verify=false', from, `docker://${repository}:v1`]);
    return { tag: `${repository}:v1`, digest: `${repository}@${digest}` };
  };
  // podman signs what is in its storage
  const first = await push('docker-registry');
  await bench.ok('podman', ['pull', '-q', '--tls-verify=false', first.tag]);
  await bench.ok('podman', ['tag', first.tag, localImage]);
  let files = 0;
  return {
    ...{ bench, stack, hosts, push, privateKey: bench.path('key.private'), passFile: bench.path('pass') },
    publicKeys: { right: bench.path('key.pub'), wrong: bench.path('other.pub') },
    fresh: (name) => bench.path(`${(files += 1)}.${name}`),
    [Symbol.asyncDispose]: async () => {
      await embedded[Symbol.asyncDispose]();
      await stack[Symbol.asyncDispose]();
      await bench[Symbol.asyncDispose]();
    },
  };
}

export const localImage = 'localhost/app:v1';

/** Done, or what the program said about it on one line, without what differs from run to run. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly said: string };

export function outcomeOf({ exitCode, stdout, stderr }: PeerResult, { bench }: Stage): Outcome {
  if (exitCode === 0) return { ok: true };
  const text = `${stdout}\n${stderr}`.trim();
  const lines = text.split('\n');
  const telling =
    lines.find((line) => /^Error: |level=fatal|\[[a-z-]+\.[a-z0-9-]+\]/.test(line)) ?? lines.at(-1) ?? '';
  const message = /msg="((?:[^"\\]|\\.)*)"/.exec(telling)?.[1]?.replaceAll('\\"', '"') ?? telling;
  const said = message
    .replaceAll(bench.folder, '')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'HOST')
    .replaceAll(/HOST\/t\d+\/app/g, 'HOST/app')
    .replaceAll(/sha256[:-][0-9a-f]{64}/g, 'DIGEST')
    .replaceAll(/\/\d+\.(\w+)/g, '/$1')
    .trim();
  return { ok: false, said: said.length > 240 ? `${said.slice(0, 240)}…` : said };
}

/** Two real registries, a key for each side and an image that skopeo signed in development: where promotions are tested. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type RealRegistry, registryUser, startRegistry } from './docker-registry.ts';
import { writeOciImage } from './oci-image.ts';
import { signedBy, writePolicy } from './peer-verdicts.ts';
import { type Bench, openBench, type PeerResult } from './peers.ts';
import { exportKey } from './simple-signing.ts';

export type PromoteStage = {
  readonly bench: Bench;
  /** Plain, everybody may come in. */
  readonly dev: RealRegistry;
  /** TLS, one user. */
  readonly prod: RealRegistry;
  readonly digest: string;
  /** `docker://…/team/app:1.4` */
  readonly from: string;
  readonly to: string;
  /** Fingerprints. */
  readonly devKey: string;
  readonly prodKey: string;
  /** policy.json of one requirement for everything. */
  readonly devPolicy: string;
  readonly prodPolicy: string;
  /** Runs `bulla promote` with the flags that reach both registries. */
  promote(...args: readonly string[]): Promise<PeerResult>;
  /** Whether skopeo and podman both accept an image of prod's, or both refuse it. @throws where they part ways */
  peersAccept(image: string, policy: string): Promise<boolean>;
  /** What a name means in prod; undefined: nothing. */
  meaning(path: string, tag: string): Promise<string | undefined>;
};

const creds = `${registryUser.name}:${registryUser.password}`;

/** Lookasides: one folder for each side, `staging` in front of prod's where that is asked for. */
export async function onPromoteStage(
  run: (stage: PromoteStage) => Promise<void>,
  options: { readonly staged?: boolean; readonly attachments?: boolean } = {},
): Promise<void> {
  await using bench = await openBench();
  const [dev, prod] = [await startRegistry(bench), await startRegistry(bench, { tls: true, users: true })];
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  configure(bench, { dev: dev.host, prod: prod.host }, options);
  const from = `docker://${dev.host}/team/app:1.4`;
  await bench.ok('skopeo', [
    ...['copy', '--quiet', '--dest-tls-verify=false'],
    ...[`oci:${bench.path('image')}:v1`, from],
  ]);
  const devKey = await bench.newGpgKey('Dev <dev@example.com>', { type: 'ed25519' });
  const prodKey = await bench.newGpgKey('Prod <prod@example.com>', { type: 'ed25519' });
  const stage: PromoteStage = {
    ...{ bench, dev, prod, digest, from, to: `docker://${prod.host}/team/app:1.4`, devKey, prodKey },
    devPolicy: writePolicy(bench, 'dev', [signedBy(await exportKey(bench, devKey))]),
    prodPolicy: writePolicy(bench, 'prod', [signedBy(await exportKey(bench, prodKey))]),
    promote: (...args) =>
      bench.bulla([
        'promote',
        ...['--src-tls-verify=false', '--dest-tls-verify=false', '--dest-creds', creds],
        ...args,
      ]),
    peersAccept: (image, policy) => peersAccept(bench, image, policy),
    meaning: (path, tag) => meaningIn(bench, prod, path, tag),
  };
  await run(stage);
}

function configure(
  bench: Bench,
  { dev, prod }: { readonly dev: string; readonly prod: string },
  { staged = false, attachments = false }: { readonly staged?: boolean; readonly attachments?: boolean },
): void {
  const lines = ['docker:'];
  for (const [host, name] of [
    [dev, 'dev'],
    [prod, 'prod'],
  ] as const) {
    mkdirSync(bench.path('sig', name), { recursive: true });
    lines.push(`  "${host}":`, `    lookaside: "file://${bench.path('sig', name)}"`);
    if (staged && name === 'prod')
      lines.push(`    lookaside-staging: "file://${bench.path('sig', 'staging')}"`);
    if (attachments) lines.push('    use-sigstore-attachments: true');
  }
  writeFileSync(join(bench.config, 'registries.d', 'default.yaml'), `${lines.join('\n')}\n`);
}

let copies = 0;

async function peersAccept(bench: Bench, image: string, policy: string): Promise<boolean> {
  const skopeo = await bench.run('skopeo', [
    ...['copy', '--quiet', '--policy', policy, '--src-tls-verify=false', '--src-creds', creds],
    ...[image, `dir:${bench.path(`pulled-${(copies += 1)}`)}`],
  ]);
  const podman = await bench.run('podman', [
    ...['pull', '-q', '--tls-verify=false', '--creds', creds, '--signature-policy', policy],
    image.slice('docker://'.length),
  ]);
  const answers = [skopeo, podman].map(({ exitCode, stderr }) => {
    if (exitCode !== 0 && !/[Ss]ource image rejected/.test(stderr)) throw new Error(stderr);
    return exitCode === 0;
  });
  if (answers[0] !== answers[1]) throw new Error(`skopeo: ${skopeo.stderr}\npodman: ${podman.stderr}`);
  return answers[0] === true;
}

async function meaningIn(
  bench: Bench,
  registry: RealRegistry,
  path: string,
  tag: string,
): Promise<string | undefined> {
  const { exitCode, stdout, stderr } = await bench.run('skopeo', [
    ...['inspect', '--no-tags', '--tls-verify=false', '--creds', creds, '--format', '{{.Digest}}'],
    `docker://${registry.host}/${path}:${tag}`,
  ]);
  if (exitCode === 0) return stdout.trim();
  if (/manifest unknown|name unknown/.test(stderr)) return undefined;
  throw new Error(stderr);
}

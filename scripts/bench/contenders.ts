/** The commands that are measured: Bulla's, the peers', and bare floors under them. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { findPeer } from '../../test/support/peers.ts';
import type { Contender } from './measure.ts';
import { node, pushImage, type Stage, type StageImage, type StageKey } from './stage.ts';

export type Row = Contender & {
  /** The names of the rows that it is compared with: the fastest counts. */
  readonly against?: readonly string[];
  /** The most that the ratio may be, and what it should be. */
  readonly budget?: { readonly most: number; readonly goal: number };
  /** The floor under it, and the most that it may take of that. */
  readonly floor?: { readonly name: string; readonly most: number };
  readonly mostRequests?: number;
  /** Of many images in one command: milliseconds for each. */
  readonly mostEach?: number;
  /** It stretches a passphrase, which takes 64 MiB. */
  readonly withScrypt?: boolean;
};

const budget = { most: 1.3, goal: 0.7 };
const floor = join(import.meta.dirname, 'floor.cjs');

/** `node -e 0` and what every command pays before it does anything. */
export function startRows(stage: Stage): readonly Row[] {
  return [
    of(stage, 'floor: node -e 0', node, ['-e', '0']),
    of(stage, 'start: bulla --version', node, [stage.launcher, '--version']),
    of(stage, 'start: bulla verify --help', node, [stage.launcher, 'verify', '--help']),
    ...peer(stage, 'start: skopeo --version', ['--version']),
  ];
}

/** One image, signed by gpg; cold processes. */
export async function verifyRows(stage: Stage, key: StageKey): Promise<readonly Row[]> {
  const image = await pushImage(stage, `bench/${key.kind}`, 'verify');
  const sign = [
    'sign',
    '--tls-verify=false',
    '--sign-by',
    key.gnupg,
    '--registries.d',
    stage.registriesD.file,
  ];
  await stage.bulla([...sign, `docker://${image.name}`]);
  await stage.lookaside.reload();
  const rows = (['file', 'http'] as const).map((lookaside) => verifyPair(stage, key, image, lookaside));
  return rows.flat();
}

function verifyPair(
  stage: Stage,
  key: StageKey,
  image: StageImage,
  lookaside: 'file' | 'http',
): readonly Row[] {
  const what = `${key.kind}, lookaside ${lookaside}`;
  const registriesD = stage.registriesD[lookaside];
  const peerName = `verify: skopeo copy → dir:, ${what}`;
  const target = stage.bench.path('target');
  const policy = ['--policy', key.policyFile, '--registries.d', registriesD];
  const [registry, repository, tag] = /^([^/]+)\/(.+):([^:]+)$/.exec(image.name)?.slice(1) ?? [];
  const base = lookaside === 'file' ? `file://${stage.lookaside.folder}` : stage.lookaside.url;
  return [
    of(stage, `floor: node, the same requests, ${what}`, node, [
      ...[floor, registry ?? '', base, repository ?? '', key.floorPem, tag ?? ''],
    ]),
    {
      ...of(stage, `verify: bulla, ${what}`, node, [
        ...[stage.launcher, 'verify', '--tls-verify=false', ...policy, `docker://${image.name}`],
      ]),
      against: [peerName],
      budget,
    },
    ...peer(
      stage,
      peerName,
      [...policy, 'copy', '--src-tls-verify=false', `docker://${image.name}`, `dir:${target}`],
      () => rmSync(target, { recursive: true, force: true }),
    ),
  ];
}

/** One image without signatures, which is signed: by GnuPG (agent warm, no passphrase) and by an own, protected key. */
export async function signRows(stage: Stage, key: StageKey): Promise<readonly Row[]> {
  const image = await pushImage(stage, `bench/${key.kind}`, 'sign');
  const fresh = (): void =>
    rmSync(join(stage.lookaside.folder, image.folder), { recursive: true, force: true });
  const peerName = `sign: skopeo copy --sign-by onto itself, ${key.kind}`;
  const where = ['--tls-verify=false', '--registries.d', stage.registriesD.file];
  const bulla = (name: string, by: readonly string[]): Row => ({
    ...of(stage, name, node, [stage.launcher, 'sign', ...where, ...by, `docker://${image.name}`], fresh),
    against: [peerName],
    budget,
  });
  const both = [
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    `docker://${image.name}`,
    `docker://${image.name}`,
  ];
  return [
    bulla(`sign: bulla, GnuPG, ${key.kind}`, ['--sign-by', key.gnupg]),
    bulla(`sign: bulla, own keyring, ${key.kind}`, [
      ...['--sign-by', key.own, '--sign-passphrase-file', stage.passphraseFile],
    ]),
    ...peer(
      stage,
      peerName,
      [
        '--insecure-policy',
        '--registries.d',
        stage.registriesD.file,
        'copy',
        '--sign-by',
        key.gnupg,
        ...both,
      ],
      fresh,
    ),
  ];
}

/** gpg itself, as it is the greater part of signing with it. */
export function gpgRows(stage: Stage, key: StageKey): readonly Row[] {
  const gpg = findPeer('gpg');
  if (gpg === undefined) return [];
  const output = stage.bench.path('gpg-output');
  const args = [
    '--batch',
    '--no-tty',
    '--local-user',
    key.gnupg,
    '--output',
    output,
    '--sign',
    key.publicFile,
  ];
  return [of(stage, `floor: gpg --sign, ${key.kind}`, gpg, args, () => rmSync(output, { force: true }))];
}

/** Many distinct images with distinct signatures in one command. */
export function manyRows(stage: Stage, key: StageKey, repository: string, count: number): readonly Row[] {
  const tags = Array.from({ length: count }, (_, index) => `${index + 1}`);
  const images = tags.map((tag) => `docker://${stage.registry}/${repository}:${tag}`);
  return (['http', 'file'] as const).flatMap((lookaside) => {
    const policy = ['--policy', key.policyFile, '--registries.d', stage.registriesD[lookaside]];
    const base = lookaside === 'file' ? `file://${stage.lookaside.folder}` : stage.lookaside.url;
    const floorName = `floor: node, ${count} images, lookaside ${lookaside}`;
    return [
      of(stage, floorName, node, [floor, stage.registry, base, repository, key.floorPem, ...tags]),
      {
        ...of(stage, `verify: bulla, ${count} images, lookaside ${lookaside}`, node, [
          ...[stage.launcher, 'verify', '--tls-verify=false', ...policy, ...images],
        ]),
        against: [floorName],
        mostEach: 3,
      },
    ];
  });
}

export function of(
  stage: Stage,
  name: string,
  command: string,
  args: readonly string[],
  before?: () => void,
): Row {
  return {
    name,
    command,
    args,
    env: stage.env,
    cwd: stage.bench.folder,
    ...(before !== undefined && { before }),
  };
}

/** A row of skopeo; none where it is missing, which the head of the report says. */
function peer(stage: Stage, name: string, args: readonly string[], before?: () => void): readonly Row[] {
  const skopeo = findPeer('skopeo');
  return skopeo === undefined ? [] : [of(stage, name, skopeo, args, before)];
}

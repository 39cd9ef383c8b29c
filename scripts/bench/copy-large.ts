/**
 * The memory that 2 GB take, whichever way they go: between registries, plain and over TLS with a password, into folders, archives and
 * transfer bundles, and out of them. Four layers of 500 MB, each way by itself.
 */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { type RealRegistry, registryUser, startRegistry } from '../../test/support/docker-registry.ts';
import { type Bench, findPeer, openBench } from '../../test/support/peers.ts';
import { launcher, pushLayers } from './copy-image.ts';
import { measureAlternately, runOnce } from './measure.ts';
import { type Check, type Line, linesOf, printTable } from './report.ts';
import type { Row } from './contenders.ts';
import { node } from './stage.ts';

export type LargeFigures = { readonly lines: readonly Line[]; readonly checks: readonly Check[] };

const mostMiB = 120;

/** Empty where docker-registry or skopeo is missing. */
export async function measureLarge(
  progress: (done: number, of: number) => void,
): Promise<LargeFigures | undefined> {
  if (findPeer('docker-registry') === undefined || findPeer('skopeo') === undefined) return undefined;
  await using stage = await openStage();
  const rows = [...plainRows(stage), ...archiveRows(stage), ...(await tlsRows(stage))];
  const measured = await measureAlternately(rows, { warmUps: 0, rounds: 1, peakRuns: 1 }, progress);
  const lines = linesOf(rows, measured, new Map());
  const checks = lines.map(({ name, peakMiB }) => ({
    what: `${name}: peak memory`,
    measured: `${peakMiB.toFixed(0)} MiB`,
    budget: `≤ ${mostMiB} MiB`,
    holds: peakMiB <= mostMiB,
  }));
  return { lines, checks };
}

export function printLarge({ lines }: LargeFigures): void {
  printTable(
    ['what', 'ms', 'CPU ms', 'MiB'],
    lines.map(({ name, median, cpuMs, peakMiB }) => [
      name,
      median.toFixed(0),
      cpuMs.toFixed(0),
      peakMiB.toFixed(0),
    ]),
  );
}

type LargeStage = AsyncDisposable & {
  readonly bench: Bench;
  readonly from: RealRegistry;
  readonly to: RealRegistry;
};

async function openStage(): Promise<LargeStage> {
  const bench = await openBench();
  const [from, to] = [await startRegistry(bench), await startRegistry(bench)];
  await pushLayers(bench, from.host, 'large', 500_000_000);
  return { bench, from, to, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
}

function row({ bench }: LargeStage, way: string, args: readonly string[], before: () => void): Row {
  return {
    name: `2 GB: ${way}`,
    command: node,
    args: [launcher, ...args],
    env: { ...bench.env, BULLA_DIST: '1' },
    cwd: bench.path('.'),
    before,
  };
}

function wiping({ folder }: Pick<RealRegistry, 'folder'>): () => void {
  return () => rmSync(join(folder, 'docker'), { recursive: true, force: true });
}

const copy = ['copy', '--quiet', '--insecure-policy'] as const;

/** In this order: what one writes the next reads. */
function plainRows(stage: LargeStage): readonly Row[] {
  const { bench, from, to } = stage;
  const args = [...copy, '--src-tls-verify=false', '--dest-tls-verify=false'];
  const there = `docker://${from.host}/large:1`;
  const target = `docker://${to.host}/large:1`;
  const copied = bench.path('copied');
  const folder = `dir:${copied}`;
  return [
    row(stage, 'registry to registry', [...args, there, target], wiping(to)),
    row(stage, 'registry to dir:', [...args, there, folder], () =>
      rmSync(copied, { recursive: true, force: true }),
    ),
    row(stage, 'dir: to registry', [...args, folder, target], wiping(to)),
  ];
}

function archiveRows(stage: LargeStage): readonly Row[] {
  const { bench, from, to } = stage;
  const args = [...copy, '--src-tls-verify=false', '--dest-tls-verify=false'];
  const there = `docker://${from.host}/large:1`;
  const [archive, bundle] = [bench.path('large.tar'), bench.path('bundle.tar')];
  const common = ['--quiet', '--insecure-policy', '--tls-verify=false'];
  const removing = (path: string) => (): void => rmSync(path, { force: true });
  return [
    row(stage, 'registry to oci-archive:', [...args, there, `oci-archive:${archive}:v1`], removing(archive)),
    row(
      stage,
      'oci-archive: to registry',
      [...args, `oci-archive:${archive}:v1`, `docker://${to.host}/large:1`],
      wiping(to),
    ),
    row(stage, 'bundle create', ['bundle', 'create', ...common, there, '-o', bundle], removing(bundle)),
    row(
      stage,
      'bundle load',
      ['bundle', 'load', ...common, bundle, '--to', `docker://${to.host}`],
      wiping(to),
    ),
  ];
}

/** Both registries ask for a password. */
async function tlsRows(stage: LargeStage): Promise<readonly Row[]> {
  const { bench, from: plain } = stage;
  if (findPeer('openssl') === undefined) return [];
  const [from, to] = [await startSecure(bench), await startSecure(bench)];
  const user = `${registryUser.name}:${registryUser.password}`;
  const source = [`--src-creds=${user}`, `--src-cert-dir=${from.certificates}`];
  const target = [`--dest-creds=${user}`, `--dest-cert-dir=${to.certificates}`];
  const [there, copied] = [`docker://${from.host}/large:1`, `docker://${to.host}/large:1`];
  const fill = [
    ...copy,
    '--src-tls-verify=false',
    `--dest-creds=${user}`,
    `--dest-cert-dir=${from.certificates}`,
  ];
  await runOnce(row(stage, 'filling', [...fill, `docker://${plain.host}/large:1`, there], () => undefined));
  const folder = bench.path('secure');
  return [
    row(stage, 'registry to registry, TLS', [...copy, ...source, ...target, there, copied], wiping(to)),
    row(stage, 'registry to dir:, TLS', [...copy, ...source, there, `dir:${folder}`], () =>
      rmSync(folder, { recursive: true, force: true }),
    ),
    row(stage, 'dir: to registry, TLS', [...copy, ...target, `dir:${folder}`, copied], wiping(to)),
  ];
}

async function startSecure(
  bench: Bench,
): Promise<Omit<RealRegistry, 'certificates'> & { readonly certificates: string }> {
  const registry = await startRegistry(bench, { tls: true, users: true });
  const folder = `${registry.folder}-certs`;
  mkdirSync(folder);
  copyFileSync(registry.certificates?.ca ?? '', join(folder, 'ca.crt'));
  return { ...registry, certificates: folder };
}

/**
 * Syncs of signed images between two registries, measured beside skopeo sync. Once with GPG signatures in a lookaside folder, once with `.sig`
 * attachments; all of it new, and all of it there already. Both judge every image by one policy and carry its signatures along.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type RealRegistry, startRegistry } from '../../test/support/docker-registry.ts';
import { writeOciImage } from '../../test/support/oci-image.ts';
import { type Bench, findPeer, openBench } from '../../test/support/peers.ts';
import type { Row } from './contenders.ts';
import { launcher } from './copy-image.ts';
import { measureAlternately } from './measure.ts';
import { type Check, type Line, linesOf } from './report.ts';
import { askedBy } from './requests.ts';
import { node, requestLog } from './stage.ts';

const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
const budget = { most: 0.5, goal: 0.5 };
const images = 100;

export type SyncFigures = { readonly lines: readonly Line[]; readonly checks: readonly Check[] };

type Stage = { readonly bench: Bench; readonly from: RealRegistry; readonly to: RealRegistry };

/** Undefined where docker-registry or skopeo is missing. */
export async function measureSyncs(
  rounds: number,
  progress: (done: number, of: number) => void,
): Promise<SyncFigures | undefined> {
  if (findPeer('docker-registry') === undefined || findPeer('skopeo') === undefined) return undefined;
  await using bench = await openBench();
  const stage = { bench, from: await startRegistry(bench), to: await startRegistry(bench) };
  const lines: Line[] = [];
  for (const prepare of [prepareGpg, prepareAttachments]) {
    const { what, repository } = await prepare(stage);
    const all = `${images} images, ${what}`;
    lines.push(...(await compare(stage, rowsOf(stage, `sync ${all}`, repository, true), rounds, progress)));
    lines.push(
      ...(await compare(stage, rowsOf(stage, `there: ${all}`, repository, false), rounds, progress)),
    );
  }
  return { lines, checks: checksOfSyncs(lines) };
}

async function compare(
  { from, to }: Stage,
  rows: readonly Row[],
  rounds: number,
  progress: (done: number, of: number) => void,
): Promise<readonly Line[]> {
  const measured = await measureAlternately(rows, { warmUps: 1, rounds, peakRuns: 1 }, progress);
  const counted = new Map<string, string>();
  const logs = [from, to].map(requestLog);
  for (const row of rows) counted.set(row.name, await askedBy(row, logs));
  return linesOf(rows, measured, counted);
}

function rowsOf(
  { bench, from, to }: Stage,
  what: string,
  repository: string,
  isNew: boolean,
): readonly Row[] {
  const policy = bench.path(`${repository}.json`);
  // skopeo takes a `.sig` among the tags for an image, which no policy accepts: so both are told which tags are images
  const file = bench.path(`${repository}.yaml`);
  writeFileSync(file, `${from.host}:\n  images-by-tag-regex:\n    ${repository}/app: ^[0-9]+$\n`);
  const where = ['--src', 'yaml', '--dest', 'docker', file, `${to.host}/${repository}`];
  const wipe = (): void => {
    rmSync(join(to.folder, 'docker'), { recursive: true, force: true });
    rmSync(bench.path('far'), { recursive: true, force: true });
  };
  const shared = {
    env: { ...bench.env, BULLA_DIST: '1' },
    cwd: bench.path('.'),
    ...(isNew && { before: wipe }),
  };
  const args = [launcher, 'sync', '--quiet', '--policy', policy, ...plain, ...where];
  const skopeo = { name: `${what}: skopeo`, command: findPeer('skopeo') ?? '' };
  return [
    { ...shared, name: `${what}: bulla`, command: node, args, against: [skopeo.name], budget },
    { ...shared, ...skopeo, args: ['--policy', policy, 'sync', ...plain, ...where] },
  ];
}

function checksOfSyncs(lines: readonly Line[]): readonly Check[] {
  return lines.flatMap(({ name, ratio }) => {
    if (ratio === undefined) return [];
    const measured = `${ratio.toFixed(2)} × skopeo`;
    return [{ what: name, measured, budget: `≤ ${budget.most} ×`, holds: ratio <= budget.most }];
  });
}

type Prepared = { readonly what: string; readonly repository: string };

async function prepareGpg(stage: Stage): Promise<Prepared> {
  const { bench } = stage;
  configure(stage, false);
  const fingerprint = await bench.newGpgKey('bench@example.com');
  await bench.ok('gpg', ['--batch', '--output', bench.path('key.gpg'), '--export', fingerprint]);
  const repository = 'gpg';
  believe(stage, repository, { type: 'signedBy', keyType: 'GPGKeys', keyPath: bench.path('key.gpg') });
  await pushImages(stage, repository);
  await signImages(stage, repository, ['--sign-by', fingerprint]);
  return { what: 'GPG', repository };
}

async function prepareAttachments(stage: Stage): Promise<Prepared> {
  const { bench } = stage;
  configure(stage, true);
  writeFileSync(bench.path('passphrase'), 'pass\n');
  const passphrase = bench.path('passphrase');
  const generate = ['key', 'generate', 'sigstore', '--output-prefix', bench.path('key')];
  await ranWell(bench, [...generate, '--passphrase-file', passphrase]);
  const repository = 'sig';
  believe(stage, repository, { type: 'sigstoreSigned', keyPath: bench.path('key.pub') });
  await pushImages(stage, repository);
  const key = ['--sign-by-sigstore-private-key', bench.path('key.private')];
  await signImages(stage, repository, [...key, '--sign-passphrase-file', passphrase]);
  return { what: '.sig', repository };
}

/** A folder of signatures for each side; attachments too, where they are turned on. */
function configure({ bench, from, to }: Stage, attachments: boolean): void {
  const section = (host: string, folder: string): string =>
    `  "${host}": { lookaside: "file://${bench.path(folder)}", use-sigstore-attachments: ${attachments} }\n`;
  const text = `docker:\n${section(from.host, 'near')}${section(to.host, 'far')}`;
  writeFileSync(join(bench.config, 'registries.d', 'default.yaml'), text);
}

function believe({ bench }: Stage, repository: string, requirement: object): void {
  const policy = { default: [{ type: 'reject' }], transports: { docker: { '': [requirement] } } };
  writeFileSync(bench.path(`${repository}.json`), JSON.stringify(policy));
}

/** Small images, each with a layer and a configuration of its own. */
async function pushImages({ bench, from }: Stage, repository: string): Promise<void> {
  for (let number = 1; number <= images; number += 1) {
    const folder = bench.path('image');
    await writeOciImage(folder, { tag: 'v1', files: { 'number.txt': `${repository} ${number}\n` } });
    const target = `docker://${from.host}/${repository}/app:${number}`;
    await bench.ok('skopeo', ['copy', '--quiet', '--dest-tls-verify=false', `oci:${folder}:v1`, target]);
    rmSync(folder, { recursive: true });
  }
}

async function signImages({ bench, from }: Stage, repository: string, key: readonly string[]): Promise<void> {
  const names = Array.from({ length: images }, (_, n) => `docker://${from.host}/${repository}/app:${n + 1}`);
  await ranWell(bench, ['sign', '--quiet', '--tls-verify=false', ...key, ...names]);
}

async function ranWell(bench: Bench, args: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await bench.bulla(args, { timeoutMs: 300_000 });
  if (exitCode !== 0) throw new Error(stderr);
}

/**
 * Syncs of signed images between two registries, measured beside skopeo sync: `node scripts/bench/sync.ts [--rounds N] [--images N]`, after
 * `npm run build`. Once with GPG signatures in a lookaside folder, once with `.sig` attachments; all of it new, and all of it there
 * already. Both judge every image by one policy and carry its signatures along.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { type RealRegistry, startRegistry } from '../../test/support/docker-registry.ts';
import { writeOciImage } from '../../test/support/oci-image.ts';
import { type Bench, findPeer, openBench } from '../../test/support/peers.ts';
import { type Contender, measureAlternately, runOnce } from './measure.ts';

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, images: { type: 'string', default: '100' } },
});
const rounds = Number(flags.rounds);
const count = Number(flags.images);
const launcher = join(import.meta.dirname, '..', '..', 'bin', 'bulla.js');
const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];

type Stage = { readonly bench: Bench; readonly from: RealRegistry; readonly to: RealRegistry };

/** Small images, each with a layer and a configuration of its own. */
async function pushImages({ bench, from }: Stage, repository: string): Promise<void> {
  for (let number = 1; number <= count; number += 1) {
    const folder = bench.path('image');
    await writeOciImage(folder, { tag: 'v1', files: { 'number.txt': `${repository} ${number}\n` } });
    const target = `docker://${from.host}/${repository}/app:${number}`;
    await bench.ok('skopeo', ['copy', '--quiet', '--dest-tls-verify=false', `oci:${folder}:v1`, target]);
    rmSync(folder, { recursive: true });
  }
}

async function signImages({ bench, from }: Stage, repository: string, key: readonly string[]): Promise<void> {
  const names = Array.from(
    { length: count },
    (_, index) => `docker://${from.host}/${repository}/app:${index + 1}`,
  );
  const signed = await bench.bulla(['sign', '--quiet', '--tls-verify=false', ...key, ...names], {
    timeoutMs: 300_000,
  });
  if (signed.exitCode !== 0) throw new Error(signed.stderr);
}

function contenders(
  { bench, from, to }: Stage,
  repository: string,
  before?: () => void,
): readonly Contender[] {
  const policy = bench.path(`${repository}.json`);
  // skopeo takes a `.sig` among the tags for an image, which no policy accepts: so both are told which tags are images
  const file = bench.path(`${repository}.yaml`);
  const list = `${from.host}:\n  images-by-tag-regex:\n    ${repository}/app: ^[0-9]+$\n`;
  writeFileSync(file, list);
  const what = ['--src', 'yaml', '--dest', 'docker', file, `${to.host}/${repository}`];
  const shared = {
    env: { ...bench.env, BULLA_DIST: '1' },
    cwd: bench.path('.'),
    ...(before !== undefined && { before }),
  };
  const args = [launcher, 'sync', '--quiet', '--policy', policy, ...plain, ...what];
  const skopeo = findPeer('skopeo') ?? '';
  return [
    { ...shared, name: 'bulla', command: process.execPath, args },
    { ...shared, name: 'skopeo', command: skopeo, args: ['--policy', policy, 'sync', ...plain, ...what] },
  ];
}

/** `GET 205 HEAD 100`, of both registries. */
function methodsSince(log: string): string {
  const methods = [...log.matchAll(/"(GET|HEAD|POST|PATCH|PUT) \S+ HTTP/g)].map(([, method]) => method ?? '');
  const groups = Object.entries(Object.groupBy(methods, (method) => method));
  const shown = groups
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([method, all]) => `${method} ${all?.length ?? 0}`);
  return `${methods.length} requests: ${shown.join(' ')}`;
}

async function compare(title: string, stage: Stage, rows: readonly Contender[]): Promise<void> {
  const measured = await measureAlternately(rows, { warmUps: 1, rounds, peakRuns: 1 }, () => undefined);
  const skopeo = measured.get('skopeo')?.median ?? Number.NaN;
  console.log(`\n${title}`);
  for (const row of rows) {
    const { median, least, most, peakMiB } = measured.get(row.name) ?? {
      median: 0,
      least: 0,
      most: 0,
      peakMiB: 0,
    };
    const logs = [stage.from, stage.to].map((registry) => ({ registry, length: registry.log().length }));
    await runOnce(row);
    // a log comes through a pipe, its last line a little later than the answer
    await new Promise((done) => setTimeout(done, 100));
    const asked = methodsSince(logs.map(({ registry, length }) => registry.log().slice(length)).join('\n'));
    const ratio = row.name === 'bulla' ? `, ${(median / skopeo).toFixed(2)} x skopeo` : '';
    const spread = `${least.toFixed(0)} – ${most.toFixed(0)}`;
    console.log(
      `  ${row.name.padEnd(7)} ${median.toFixed(0).padStart(6)} ms (${spread}), ${peakMiB.toFixed(0)} MiB${ratio}\n          ${asked}`,
    );
  }
}

async function measure(title: string, stage: Stage, repository: string): Promise<void> {
  const { bench } = stage;
  const wipe = (): void => {
    rmSync(bench.path('registry-2', 'docker'), { recursive: true, force: true });
    rmSync(bench.path('far'), { recursive: true, force: true });
  };
  await compare(`${count} images with ${title}, all of them new`, stage, contenders(stage, repository, wipe));
  await compare(`the same, all of them there`, stage, contenders(stage, repository));
}

await using bench = await openBench();
const stage = { bench, from: await startRegistry(bench), to: await startRegistry(bench) };
const scope = (requirement: object): string =>
  JSON.stringify({ default: [{ type: 'reject' }], transports: { docker: { '': [requirement] } } });

/** A folder for each side; attachments too, where they are turned on. */
const configure = (attachments: boolean): void => {
  const section = (host: string, folder: string): string =>
    `  "${host}": { lookaside: "file://${bench.path(folder)}", use-sigstore-attachments: ${attachments} }\n`;
  const text = `docker:\n${section(stage.from.host, 'near')}${section(stage.to.host, 'far')}`;
  writeFileSync(join(bench.config, 'registries.d', 'default.yaml'), text);
};

configure(false);
const fingerprint = await bench.newGpgKey('bench@example.com');
await bench.ok('gpg', ['--batch', '--output', bench.path('key.gpg'), '--export', fingerprint]);
writeFileSync(
  bench.path('gpg.json'),
  scope({ type: 'signedBy', keyType: 'GPGKeys', keyPath: bench.path('key.gpg') }),
);
await pushImages(stage, 'gpg');
await signImages(stage, 'gpg', ['--sign-by', fingerprint]);
await measure('GPG signatures in a lookaside folder', stage, 'gpg');

configure(true);
writeFileSync(bench.path('passphrase'), 'pass\n');
const made = await bench.bulla([
  ...['key', 'generate', 'sigstore', '--output-prefix', bench.path('key')],
  ...['--passphrase-file', bench.path('passphrase')],
]);
if (made.exitCode !== 0) throw new Error(made.stderr);
writeFileSync(bench.path('sig.json'), scope({ type: 'sigstoreSigned', keyPath: bench.path('key.pub') }));
await pushImages(stage, 'sig');
await signImages(stage, 'sig', [
  ...['--sign-by-sigstore-private-key', bench.path('key.private')],
  ...['--sign-passphrase-file', bench.path('passphrase')],
]);
await measure('.sig attachments', stage, 'sig');

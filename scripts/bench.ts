/**
 * The figures, measured: `npm run bench [-- --json] [-- --rounds N] [-- --images N] [-- --only gpg|sigstore|copy|sync|large|imports]`.
 *
 * Cold processes of the built dist beside their peers, alternately in one run, so that the ratios
 * mean something on any machine; the bare floors under them; what each import costs. Everything
 * runs on loopback in a temporary folder. Nothing here is a test: a figure that is missed is
 * printed as missed and the exit code stays 0. docs/reference/figures.md keeps what was measured.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { findPeer, peerVersion } from '../test/support/peers.ts';
import { timeBundles } from './bench/bundle-warm.ts';
import { checksOf } from './bench/checks.ts';
import { measureCopies, printCopies } from './bench/copy.ts';
import { measureLarge, printLarge } from './bench/copy-large.ts';
import { gpgRows, manyRows, type Row, signRows, startRows, verifyRows } from './bench/contenders.ts';
import { importCosts, printImports } from './bench/imports.ts';
import { measureAlternately } from './bench/measure.ts';
import { type Line, linesOf, printCarried, printChecks, printLines } from './bench/report.ts';
import { countRequests } from './bench/requests.ts';
import {
  openSigstoreStage,
  sigstoreManyRows,
  sigstoreSignRows,
  sigstoreVerifyRows,
} from './bench/sigstore.ts';
import { measureSyncs } from './bench/sync.ts';
import { countSignatures, openStage, pushMany, type Stage } from './bench/stage.ts';

const root = join(import.meta.dirname, '..');
const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '15' },
    images: { type: 'string', default: '1000' },
    only: { type: 'string' },
    'skip-build': { type: 'boolean', default: false },
  },
});
const rounds = Number(flags.rounds);
const images = Number(flags.images);

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function progress(what: string): (done: number, of: number) => void {
  return (done, of) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${what}: round ${done + 1} of ${of} `);
    if (process.stderr.isTTY && done + 1 === of) process.stderr.write('\n');
  };
}

async function cold(stage: Stage): Promise<readonly Line[]> {
  const rows: Row[] = [...startRows(stage)];
  const sigstore = flags.only === 'gpg' ? undefined : await openSigstoreStage(stage);
  if (sigstore !== undefined) {
    rows.push(...(await sigstoreVerifyRows(sigstore)), ...(await sigstoreSignRows(sigstore)));
  }
  for (const key of flags.only === 'sigstore' ? [] : stage.keys) {
    rows.push(...(await verifyRows(stage, key)), ...(await signRows(stage, key)), ...gpgRows(stage, key));
  }
  say(`cold processes: ${rows.length} commands, 2 warm-up rounds, ${rounds} rounds`);
  const measured = await measureAlternately(rows, { warmUps: 2, rounds, peakRuns: 3 }, progress('cold'));
  return linesOf(rows, measured, await countRequests(stage, rows));
}

/** Of GPG signatures in a lookaside, and of attachments by key. */
async function many(stage: Stage): Promise<readonly Line[]> {
  const rows = [
    ...(flags.only === 'sigstore' ? [] : await gpgManyRows(stage)),
    ...(flags.only === 'gpg' ? [] : await attachedRows(stage)),
  ];
  const some = Math.max(3, Math.ceil(rounds / 3));
  say(`${images} images in one command: 1 warm-up round, ${some} rounds`);
  const measured = await measureAlternately(
    rows,
    { warmUps: 1, rounds: some, peakRuns: 1 },
    progress('many'),
  );
  return linesOf(rows, measured, await countRequests(stage, rows));
}

async function attachedRows(stage: Stage): Promise<readonly Row[]> {
  say(`${images} images: pushing them and their attachments`);
  return sigstoreManyRows(stage, images);
}

async function gpgManyRows(stage: Stage): Promise<readonly Row[]> {
  const [key] = stage.keys;
  if (key === undefined) return [];
  const repository = 'bench/many';
  say(`${images} images: pushing and signing them`);
  await pushMany(stage, repository, images);
  const names = Array.from(
    { length: images },
    (_, tag) => `docker://${stage.registry}/${repository}:${tag + 1}`,
  );
  const before = countSignatures(stage);
  const sign = ['--tls-verify=false', '--registries.d', stage.registriesD.file, '--quiet'];
  const by = ['--sign-by', key.gnupg];
  await stage.bulla(['sign', ...sign, ...by, ...names]);
  const signatures = countSignatures(stage) - before;
  if (signatures !== images) throw new Error(`${signatures} signatures of ${images} images`);
  await stage.lookaside.reload();
  return manyRows(stage, key, repository, images);
}

async function head(stage: Stage): Promise<Readonly<Record<string, string>>> {
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cores: `${availableParallelism()}`,
    skopeo: await peerVersion('skopeo'),
    gpg: await peerVersion('gpg'),
    'cosign 3': await peerVersion('cosign'),
    'cosign 2': await peerVersion('cosign2'),
    registry:
      stage.registryIs === 'docker-registry'
        ? `docker-registry ${await peerVersion('docker-registry')}`
        : stage.registryIs,
    bulla: 'dist, run as `node bin/bulla.js` with BULLA_DIST=1 by the pinned Node, compile cache warm',
  };
}

/** A row says how it was measured, the environment included: that is for nobody. */
function withoutRows(name: string, value: unknown): unknown {
  return name === 'row' ? undefined : value;
}

/** Printed as it comes, for the whole takes minutes. */
function section(title: string, print: () => void): void {
  if (flags.json) return;
  console.log(`${title}\n`);
  print();
}

if (!flags['skip-build']) {
  say('building dist');
  const built = spawnSync('npm', ['run', 'build', '--silent'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (built.status !== 0) process.exit(1);
}
if (findPeer('gpg') === undefined) {
  say('gpg is missing: nothing can be measured. scripts/install-peers.sh brings it.');
  process.exit(1);
}
{
  await using stage = await openStage();
  const about = await head(stage);
  section(
    Object.entries(about)
      .map(([name, text]) => `${name}: ${text}`)
      .join('\n'),
    () => undefined,
  );
  const isAbout = (...kinds: readonly string[]): boolean =>
    flags.only === undefined || kinds.includes(flags.only);
  const coldLines = isAbout('gpg', 'sigstore') ? await cold(stage) : [];
  if (coldLines.length > 0)
    section('Cold processes: wall time of one command, from fork to exit', () => printLines(coldLines));
  const manyLines = isAbout('gpg', 'sigstore') ? await many(stage) : [];
  if (manyLines.length > 0)
    section(`${images} distinct images with distinct signatures in one command`, () => printLines(manyLines));
  if (isAbout('copy')) say(`copies: 1 warm-up round, ${rounds} rounds`);
  const copies = isAbout('copy') ? await measureCopies(rounds, progress('copy')) : undefined;
  if (copies !== undefined) section('Copies between registries', () => printCopies(copies));
  const some = Math.max(3, Math.ceil(rounds / 3));
  if (isAbout('sync')) say(`syncs: 1 warm-up round, ${some} rounds`);
  const syncs = isAbout('sync') ? await measureSyncs(some, progress('sync')) : undefined;
  if (syncs !== undefined) section('Syncs between registries', () => printCarried(syncs.lines));
  if (isAbout('copy', 'large')) say('2 GB, each way once for its time and once for its memory');
  const large = isAbout('copy', 'large') ? await measureLarge(progress('2 GB')) : undefined;
  if (large !== undefined) section('Large copies', () => printLarge(large));
  if (isAbout('imports')) say('imports');
  const imports = isAbout('imports') ? await importCosts(stage, rounds) : [];
  if (imports.length > 0)
    section('What an import costs in a fresh process, with all that it brings along', () =>
      printImports(imports),
    );
  const warm = isAbout('sigstore') ? timeBundles(200) : [];
  const carried = [...(copies?.checks ?? []), ...(syncs?.checks ?? []), ...(large?.checks ?? [])];
  const checks = [...checksOf([...coldLines, ...manyLines], images, warm), ...carried];
  section('Budgets', () => printChecks(checks));
  if (findPeer('skopeo') === undefined)
    say('skopeo is missing: no ratios. scripts/install-peers.sh brings it.');
  if (flags.json) {
    console.log(
      JSON.stringify(
        { about, cold: coldLines, many: manyLines, copies, syncs, large, imports, checks },
        withoutRows,
        2,
      ),
    );
  }
}

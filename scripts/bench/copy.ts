/**
 * Copies between two registries, measured beside skopeo, crane and oras: `node scripts/bench/copy.ts [--rounds N] [--large]`,
 * after `npm run build`. All bytes, all of them there already, and with --large the memory that 2 GB take. Beside them what the same
 * machine hashes and moves over loopback, which no copy can beat.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { startRegistry } from '../../test/support/docker-registry.ts';
import { type Bench, findPeer, openBench } from '../../test/support/peers.ts';
import { type Contender, measureAlternately } from './measure.ts';

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '10' }, large: { type: 'boolean', default: false } },
});
const launcher = join(import.meta.dirname, '..', '..', 'bin', 'bulla.js');

/** An OCI layout whose layers are random bytes: nothing of it compresses. */
function writeImage(folder: string, layers: number, bytes: number): void {
  const blobs = join(folder, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (content: Uint8Array, mediaType: string): object => {
    const hex = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(blobs, hex), content);
    return { mediaType, digest: `sha256:${hex}`, size: content.length };
  };
  const type = 'application/vnd.oci.image.layer.v1.tar';
  const list = Array.from({ length: layers }, () => put(randomBytes(bytes), type));
  const config = put(
    Buffer.from('{"os":"linux","architecture":"amd64"}'),
    'application/vnd.oci.image.config.v1+json',
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: list }));
  const annotations = { 'org.opencontainers.image.ref.name': 'v1' };
  const index = { schemaVersion: 2, manifests: [{ ...put(manifest, mediaType), annotations }] };
  writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

/** The ways from one name to another, of the programs that are here. */
function contenders(
  bench: Bench,
  from: string,
  to: string,
  before: (() => void) | undefined,
): readonly Contender[] {
  const shared = {
    env: { ...bench.env, BULLA_DIST: '1' },
    cwd: bench.path('.'),
    ...(before !== undefined && { before }),
  };
  const [source, target] = [`docker://${from}`, `docker://${to}`];
  const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
  const peers: readonly (readonly ['skopeo' | 'crane' | 'oras', readonly string[]])[] = [
    ['skopeo', ['copy', '--quiet', '--insecure-policy', ...plain, source, target]],
    ['crane', ['copy', '--insecure', from, to]],
    ['oras', ['cp', '--from-plain-http', '--to-plain-http', from, to]],
  ];
  const bulla = ['copy', '--quiet', '--insecure-policy', ...plain, source, target];
  return [
    { ...shared, name: 'bulla', command: process.execPath, args: [launcher, ...bulla] },
    ...peers.flatMap(([name, args]) => {
      const command = findPeer(name);
      return command === undefined ? [] : [{ ...shared, name, command, args }];
    }),
  ];
}

/** @param against the peer that the ratio is to. Default: the fastest */
async function compare(
  title: string,
  rows: readonly Contender[],
  rounds: number,
  against?: string,
): Promise<void> {
  const measured = await measureAlternately(rows, { warmUps: 1, rounds, peakRuns: 1 }, () => undefined);
  const peers = [...measured].filter(([name]) =>
    against === undefined ? name !== 'bulla' : name === against,
  );
  const fastest = Math.min(...peers.map(([, { median }]) => median));
  console.log(`\n${title}`);
  for (const [name, { median, least, most, peakMiB }] of measured) {
    const ratio =
      name === 'bulla' ? `  ${(median / fastest).toFixed(2)} x ${against ?? 'the fastest peer'}` : '';
    const spread = `${least.toFixed(0)} – ${most.toFixed(0)}`;
    console.log(
      `  ${name.padEnd(8)} ${median.toFixed(0).padStart(6)} ms (${spread}), ${peakMiB.toFixed(0)} MiB${ratio}`,
    );
  }
}

/** What 200 MB cost this machine at least: one hash, and one way through a socket. */
async function printLimits(): Promise<void> {
  const chunk = randomBytes(1_000_000);
  const started = performance.now();
  const hash = createHash('sha256');
  for (let n = 0; n < 200; n += 1) hash.update(chunk);
  hash.digest();
  const hashed = performance.now();
  const server = createServer((socket) => {
    for (let n = 0; n < 200; n += 1) socket.write(chunk);
    socket.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket.resume(), 'end');
  server.close();
  const moved = performance.now();
  console.log(
    `limits for 200 MB: SHA-256 ${(hashed - started).toFixed(0)} ms, loopback ${(moved - hashed).toFixed(0)} ms`,
  );
}

await using bench = await openBench();
const [from, to] = [await startRegistry(bench), await startRegistry(bench)];
const wipe = (): void => rmSync(bench.path('registry-2', 'docker'), { recursive: true, force: true });
const push = async (name: string, layers: number, bytes: number): Promise<void> => {
  writeImage(bench.path(name), layers, bytes);
  const [source, target] = [`oci:${bench.path(name)}:v1`, `docker://${from.host}/${name}:1`];
  await bench.ok('skopeo', [
    'copy',
    '--quiet',
    '--preserve-digests',
    '--dest-tls-verify=false',
    source,
    target,
  ]);
  rmSync(bench.path(name), { recursive: true });
};
await printLimits();
await push('image', 4, 50_000_000);
const names = [`${from.host}/image:1`, `${to.host}/image:1`] as const;
await compare(
  '200 MB in 4 layers, registry to registry',
  contenders(bench, ...names, wipe),
  Number(flags.rounds),
);
await compare(
  'the same, all of it there',
  contenders(bench, ...names, undefined),
  Number(flags.rounds),
  'skopeo',
);
if (flags.large) {
  await push('large', 4, 500_000_000);
  const rows = contenders(bench, `${from.host}/large:1`, `${to.host}/large:1`, wipe).filter(
    ({ name }) => name === 'bulla',
  );
  await compare('2 GB in 4 layers', rows, 1);
}

/** docker-daemon: through Docker's API as a real podman serves it, on a socket and over TLS. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { type Certificates, makeCertificates } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench, type PeerResult } from '../support/peers.ts';

/** Starts podman's service and gives what it says it listens at. */
async function serve(bench: Bench, address: string, flags: readonly string[] = []): Promise<string> {
  const args = ['--log-level=info', 'system', 'service', '--time', '0', ...flags, address];
  const running = bench.start('podman', args);
  return (await running.waitFor(/API service listening on \\"([^\\]+)\\"/))[1] ?? '';
}

/** A folder as DOCKER_CERT_PATH names one. */
function certPath(bench: Bench, name: string, files: Readonly<Record<string, string>>): string {
  const folder = bench.path(name);
  mkdirSync(folder);
  for (const [file, from] of Object.entries(files)) copyFileSync(from, `${folder}/${file}`);
  return folder;
}

const options = { ...needs('podman', 'skopeo', 'openssl'), timeout: 180_000 };
const name = 'registry.example.com/ns/app:1';
const there = `docker-daemon:${name}`;

/** Into the engine and out of it again; the image's configuration is what stays the same. */
async function roundTrip(
  bench: Bench,
  env: Readonly<Record<string, string>>,
  flags: { readonly src: readonly string[]; readonly dest: readonly string[] },
): Promise<void> {
  const run = (...args: readonly string[]): Promise<PeerResult> =>
    bench.bulla(['copy', '--quiet', '--insecure-policy', ...args], { env });
  const put = await run(...flags.dest, `oci:${bench.path('image')}`, there);
  assert.equal(put.exitCode, 0, put.stderr);
  const known = await bench.ok('podman', ['image', 'inspect', '--format', '{{.Id}}', name]);
  const got = await run(...flags.src, there, `dir:${bench.path('out')}`);
  assert.equal(got.exitCode, 0, got.stderr);
  const raw = await bench.ok('skopeo', ['inspect', '--raw', `dir:${bench.path('out')}`]);
  const { config } = JSON.parse(raw) as { config: { digest: string } };
  assert.equal(config.digest, `sha256:${known.trim()}`);
}

test(
  'on a socket: what Bulla puts there podman and skopeo have, and it comes out again',
  options,
  async () => {
    await using bench = await openBench();
    await writeOciImage(bench.path('image'));
    const socket = await serve(bench, `unix://${bench.path('run', 'd.sock')}`);
    await roundTrip(bench, { DOCKER_HOST: `unix://${socket}` }, { src: [], dest: [] });
    const host = ['--src-daemon-host', `unix://${socket}`];
    await bench.ok('skopeo', ['copy', '--quiet', ...host, there, `dir:${bench.path('theirs')}`]);
    const raw = (folder: string): Promise<string> =>
      bench.ok('skopeo', ['inspect', '--raw', `dir:${bench.path(folder)}`]);
    assert.equal(await raw('out'), await raw('theirs'), 'the same manifest is made of what the engine gives');
    await bench.ok('podman', ['rmi', name]);
    await roundTrip(bench, {}, { src: host, dest: ['--dest-daemon-host', `unix://${socket}`] });
    const gone = await bench.bulla(['copy', '--insecure-policy', ...host, 'docker-daemon:none:1', 'dir:x']);
    assert.equal(gone.exitCode, 3);
    assert.match(gone.stderr, /\[image\.not-found\]/);
  },
);

async function secured(
  run: (bench: Bench, host: string, made: Certificates) => Promise<void>,
): Promise<void> {
  await using bench = await openBench();
  await writeOciImage(bench.path('image'));
  const made = await makeCertificates(bench, 'engine');
  const tls = ['--tls-cert', made.serverCertificate, '--tls-key', made.serverKey, '--tls-client-ca', made.ca];
  await run(bench, `tcp://${await serve(bench, 'tcp://127.0.0.1:0', tls)}`, made);
}

test('over TLS, with certificates on both sides, as Docker’s variables or skopeo’s flags say', options, () =>
  secured(async (bench, host, { ca, clientCertificate, clientKey }) => {
    const whole = certPath(bench, 'whole', {
      'ca.pem': ca,
      'cert.pem': clientCertificate,
      'key.pem': clientKey,
    });
    await roundTrip(
      bench,
      { DOCKER_HOST: host, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: whole },
      { src: [], dest: [] },
    );
    await bench.ok('podman', ['rmi', name]);
    await roundTrip(
      bench,
      {},
      {
        src: ['--src-daemon-host', host, '--src-cert-dir', whole],
        dest: ['--dest-daemon-host', host, '--dest-cert-dir', whole],
      },
    );
  }),
);

test('over TLS: who shows nothing, trusts nobody or has half a pair gets nothing', options, () =>
  secured(async (bench, host, { ca, clientCertificate, clientKey }) => {
    const pair = { 'cert.pem': clientCertificate, 'key.pem': clientKey };
    const refusals = [
      [certPath(bench, 'anonymous', { 'ca.pem': ca }), 'engine.unavailable', 3],
      [certPath(bench, 'trusting-nobody', pair), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE [engine.unavailable', 3],
      [certPath(bench, 'half', { 'ca.pem': ca, 'cert.pem': clientCertificate }), 'usage.invalid', 2],
      [bench.path('run'), 'usage.invalid', 2],
    ] as const;
    writeFileSync(bench.path('run', 'something'), '');
    for (const [folder, code, exit] of refusals) {
      // Node's own variable, which some set for other programs, opens nothing
      const node = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
      const env = { DOCKER_HOST: host, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder, ...node };
      const refused = await bench.bulla(['inspect', there], { env });
      assert.equal(refused.exitCode, exit, `${folder}: ${refused.stderr}`);
      assert.ok(refused.stderr.includes(`${code}]`), `${folder}: ${refused.stderr}`);
    }
    // without the variable it is plain HTTP, which a TLS port does not answer
    const plain = await bench.bulla(['inspect', there], { env: { DOCKER_HOST: host } });
    assert.equal(plain.exitCode, 3, plain.stderr);
  }),
);

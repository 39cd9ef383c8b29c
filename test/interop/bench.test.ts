/** The bench itself: the peers run on it as they should, and nothing is left behind. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { registryUser, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { needs, openBench } from '../support/peers.ts';

test(
  'skopeo signs and verifies through a real registry',
  needs('skopeo', 'gpg', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const registry = await startRegistry(bench);
    const image = await writeOciImage(bench.path('image'), { tag: 'v1' });
    const name = `docker://${registry.host}/ns/app:v1`;
    await bench.ok('skopeo', ['copy', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`, name]);
    const digest = await bench.ok('skopeo', [
      'inspect',
      '--tls-verify=false',
      '--format',
      '{{.Digest}}',
      name,
    ]);
    assert.equal(digest.trim(), image.digest);
    const signer = await bench.newGpgKey('Signer <signer@example.com>', { type: 'ed25519' });
    await bench.ok('skopeo', [
      ...[
        'standalone-sign',
        '-o',
        bench.path('signature'),
        bench.path('image/blobs/sha256', image.digest.slice(7)),
      ],
      ...['registry.example.com/ns/app:v1', signer],
    ]);
    assert.ok(readFileSync(bench.path('signature')).length > 100);
    assert.match(registry.log(), /PUT/);
  },
);

test(
  'a registry with TLS and users lets in who it should',
  needs('skopeo', 'docker-registry', 'openssl'),
  async () => {
    await using bench = await openBench();
    const registry = await startRegistry(bench, { tls: true, users: true });
    await writeOciImage(bench.path('image'));
    const copy = ['copy', '--dest-cert-dir', bench.path('certs'), `oci:${bench.path('image')}:latest`];
    const name = `docker://${registry.host}/app:v1`;
    await bench.ok('/bin/mkdir', ['certs']);
    assert.notEqual((await bench.run('skopeo', [...copy, name])).exitCode, 0);
    await bench.ok('/bin/cp', [registry.certificates?.ca ?? '', bench.path('certs/ca.crt')]);
    assert.notEqual((await bench.run('skopeo', [...copy, name])).exitCode, 0);
    await bench.ok('skopeo', [
      ...copy,
      '--dest-creds',
      `${registryUser.name}:${registryUser.password}`,
      name,
    ]);
  },
);

test('podman pulls into a storage of its own', needs('podman', 'skopeo', 'docker-registry'), async () => {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  await writeOciImage(bench.path('image'));
  const name = `${registry.host}/app:v1`;
  await bench.ok('skopeo', [
    'copy',
    '--dest-tls-verify=false',
    `oci:${bench.path('image')}`,
    `docker://${name}`,
  ]);
  await bench.ok('podman', ['pull', '--tls-verify=false', name]);
  assert.match(await bench.ok('podman', ['images', '--format', '{{.Repository}}']), /\/app/);
});

test('nothing outlives a bench', needs('gpg', 'docker-registry'), async () => {
  const bench = await openBench();
  const registry = await startRegistry(bench);
  await bench.newGpgKey('Someone <someone@example.com>', { type: 'ed25519' });
  // as skopeo does it: a home of its own, and the agent forgotten
  mkdirSync(bench.path('tmp', 'home'), { mode: 0o700 });
  await bench.newGpgKey('Other <other@example.com>', { type: 'ed25519', home: bench.path('tmp', 'home') });
  await bench[Symbol.asyncDispose]();
  assert.equal(existsSync(bench.folder), false);
  await assert.rejects(fetch(`${registry.url}/v2/`));
  const commandLines = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandLineOf(pid));
  assert.deepEqual(
    commandLines.filter((line) => line.includes(bench.folder)),
    [],
  );
});

/** Empty for a process that has ended meanwhile. */
function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** policy.json as `trust render` writes it, under the real skopeo and podman: they accept nothing that its trust.yaml refuses. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { parseImageName } from '../../src/base/image-name.ts';
import { verify } from '../../src/operations/verify.ts';
import { openWorld } from '../../src/operations/world.ts';
import { systemEnvironment } from '../../src/registry/environment.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench, type PeerResult } from '../support/peers.ts';

const password = 'correct horse';
const signedBy = ['both', 'gpg', 'key', 'other', 'nobody'] as const;
type SignedBy = (typeof signedBy)[number];

type Place = { readonly bench: Bench; readonly host: string };

/** An image in a repository for each way to be signed: by skopeo, in a lookaside and as attachments. */
async function signImages(bench: Bench, host: string): Promise<void> {
  writeFileSync(bench.path('pass'), password);
  mkdirSync(bench.path('sigs'));
  writeFileSync(
    `${bench.config}/registries.d/default.yaml`,
    `default-docker:\n  lookaside: file://${bench.path('sigs')}\n`,
  );
  const fingerprint = await bench.newGpgKey('Ops <ops@example.com>');
  writeFileSync(bench.path('ops.asc'), await bench.ok('gpg', ['--armor', '--export', fingerprint]));
  for (const name of ['release', 'other']) {
    const { exitCode, stderr } = await bench.bulla(
      ['key', 'generate', 'sigstore', '--output-prefix', bench.path(name)],
      { env: { COSIGN_PASSWORD: password } },
    );
    assert.equal(exitCode, 0, stderr);
  }
  await writeOciImage(bench.path('image'), { tag: 'v1' });
  mkdirSync(bench.path('attach'));
  writeFileSync(
    bench.path('attach', 'default.yaml'),
    `default-docker:\n  lookaside: file://${bench.path('sigs')}\n  use-sigstore-attachments: true\n`,
  );
  const key = (name: string): readonly string[] => [
    ...['--sign-by-sigstore-private-key', bench.path(`${name}.private`)],
    ...['--sign-passphrase-file', bench.path('pass')],
  ];
  const gpg = ['--sign-by', fingerprint];
  // skopeo takes one signer with a passphrase at a time: signed by both is copied twice
  const flags: Readonly<Record<SignedBy, readonly (readonly string[])[]>> = {
    both: [gpg, key('release')],
    gpg: [gpg],
    key: [key('release')],
    other: [key('other')],
    nobody: [[]],
  };
  const registriesD = ['--registries.d', bench.path('attach')];
  for (const name of signedBy) {
    const to = ['--dest-tls-verify=false', `oci:${bench.path('image')}:v1`, `docker://${host}/ns/${name}:1`];
    for (const by of flags[name]) {
      await bench.ok('skopeo', ['--insecure-policy', ...registriesD, 'copy', ...by, ...to]);
    }
  }
}

/** Renders a scope's requirements; the registries.d file lies beside the bench's own. */
async function render({ bench, host }: Place, requirements: string): Promise<PeerResult> {
  const text = `apiVersion: bulla/v1
default: [{ type: reject }]
signers:
  ops: { type: gpg, keyPath: ops.asc }
  release: { type: sigstoreKey, keyPath: release.pub }
  other: { type: sigstoreKey, keyPath: other.pub }
transports: { docker: { '${host}/ns': [${requirements}] } }
`;
  writeFileSync(bench.path('trust.yaml'), text);
  rmSync(bench.path('rendered'), { recursive: true, force: true });
  const args = ['trust', 'render', '--for', 'podman', '--policy', bench.path('trust.yaml')];
  const rendered = await bench.bulla([...args, '-o', bench.path('rendered')]);
  assert.equal(rendered.exitCode, 0, rendered.stderr);
  const extra = `${bench.config}/registries.d/bulla-trust.yaml`;
  rmSync(extra, { force: true });
  if (requirements.includes('release')) {
    try {
      writeFileSync(extra, readFileSync(bench.path('rendered', 'registries.d', 'bulla-trust.yaml')));
    } catch {
      // none is needed where nothing is an attachment, or all is rejected
    }
  }
  return rendered;
}

async function bullaAccepts({ bench, host }: Place, policy: string, name: string): Promise<boolean> {
  const environment = { ...systemEnvironment(), env: bench.env, home: bench.env['HOME'] ?? '' };
  await using world = openWorld({ environment, tlsVerify: false });
  const images = [parseImageName(`docker://${host}/ns/${name}:1`)];
  const [verdict] = await verify({ images, by: { kind: 'policy', file: bench.path(policy) } }, world);
  assert.equal(verdict?.error, undefined);
  return verdict?.accepted === true;
}

async function skopeoAccepts({ bench, host }: Place, name: string): Promise<boolean> {
  rmSync(bench.path('out'), { recursive: true, force: true });
  const from = ['--src-tls-verify=false', `docker://${host}/ns/${name}:1`, `dir:${bench.path('out')}`];
  const policy = ['--policy', bench.path('rendered', 'policy.json')];
  const { exitCode, stderr } = await bench.run('skopeo', [...policy, 'copy', '--remove-signatures', ...from]);
  if (exitCode !== 0) assert.match(stderr, /[Ss]ignature|rejected|policy/, stderr);
  return exitCode === 0;
}

async function podmanAccepts({ bench, host }: Place, name: string): Promise<boolean> {
  const policy = ['--signature-policy', bench.path('rendered', 'policy.json')];
  const args = ['pull', '--quiet', '--tls-verify=false', ...policy, `docker://${host}/ns/${name}:1`];
  const { exitCode, stderr } = await bench.run('podman', args);
  if (exitCode !== 0) assert.match(stderr, /[Ss]ignature|rejected|policy/, stderr);
  return exitCode === 0;
}

// what is said, whom skopeo accepts, whom trust.yaml accepts beside
const cases: readonly (readonly [
  requirements: string,
  accepted: readonly SignedBy[],
  more: readonly SignedBy[],
])[] = [
  ['{ type: signed, by: ops }', ['both', 'gpg'], []],
  ['{ type: signed, by: release }', ['both', 'key'], []],
  ['{ type: signed, anyOf: [release, other] }', ['both', 'key', 'other'], []],
  ['{ type: signed, threshold: 2, of: [ops, release] }', ['both'], []],
  ['{ type: signed, by: ops }, { type: signed, by: release }', ['both'], []],
  ['{ type: signed, anyOf: [ops, release] }', [], ['both', 'gpg', 'key']],
  ['{ type: insecureAcceptAnything }', ['both', 'gpg', 'key', 'other', 'nobody'], []],
];

test(
  'skopeo takes the rendered file and accepts what its source does',
  needs('skopeo', 'gpg', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const { host } = await startRegistry(bench);
    const place: Place = { bench, host };
    await signImages(bench, host);
    for (const [requirements, accepted, more] of cases) {
      const { stderr } = await render(place, requirements);
      assert.equal(stderr.includes('is rejected'), more.length > 0, stderr);
      for (const name of signedBy) {
        const what = `${requirements}, signed by ${name}`;
        assert.equal(await skopeoAccepts(place, name), accepted.includes(name), `skopeo: ${what}`);
        assert.equal(
          await bullaAccepts(place, 'rendered/policy.json', name),
          accepted.includes(name),
          `bulla, rendered: ${what}`,
        );
        const bySource = accepted.includes(name) || more.includes(name);
        assert.equal(await bullaAccepts(place, 'trust.yaml', name), bySource, `bulla: ${what}`);
      }
    }
  },
);

test('podman takes the rendered file', needs('skopeo', 'podman', 'gpg', 'docker-registry'), async () => {
  await using bench = await openBench();
  const { host } = await startRegistry(bench);
  const place: Place = { bench, host };
  await signImages(bench, host);
  await render(place, '{ type: signed, threshold: 2, of: [ops, release] }');
  for (const name of signedBy) assert.equal(await podmanAccepts(place, name), name === 'both', name);
});

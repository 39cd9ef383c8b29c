/** Signatures on their way through OCI layouts: what real tools made in one registry is in the other one, byte for byte. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';
import { signatureFolder, useLookaside } from '../support/simple-signing.ts';

const cosignEnv = { env: { COSIGN_PASSWORD: '', COSIGN_YES: 'true' } };

type Layers = {
  readonly layers: readonly {
    readonly digest: string;
    readonly mediaType: string;
    readonly annotations?: Readonly<Record<string, string>>;
  }[];
};

/** A GPG signature of skopeo's, which has the image's name in it. @returns the policy that wants it */
async function signByGpg(bench: Bench, image: string): Promise<string> {
  const user = `${randomBytes(4).toString('hex')}@example.com`;
  await bench.ok('gpg', ['--batch', '--passphrase', '', '--quick-gen-key', user, 'ed25519', 'sign', '0']);
  await bench.ok('gpg', ['--batch', '--output', bench.path('key.gpg'), '--export', user]);
  const to = ['--src-tls-verify=false', '--dest-tls-verify=false', '--quiet', '--sign-by', user];
  await bench.ok('skopeo', ['copy', ...to, image, image]);
  const dockerRepository = image.slice('docker://'.length).replace(/:1$/, '');
  return writePolicy(bench, 'signed', [
    signedBy(bench.path('key.gpg'), { type: 'exactRepository', dockerRepository }),
  ]);
}

/** `.sig` and `.att` of cosign 2, a bundle of cosign 3, a file of oras. */
async function attachAll(bench: Bench, image: string): Promise<void> {
  writeFileSync(bench.path('sbom.txt'), 'everything\n');
  await bench.ok('cosign', ['generate-key-pair'], cosignEnv);
  await bench.ok('cosign', ['signing-config', 'create', '--out', 'config.json']);
  await bench.ok('cosign', ['trusted-root', 'create', '--out', 'root.json']);
  const old = ['--key', 'cosign.key', '--tlog-upload=false'];
  await bench.ok('cosign2', ['sign', ...old, image], cosignEnv);
  writeFileSync(bench.path('said.json'), '{}');
  await bench.ok('cosign2', ['attest', ...old, '--predicate', 'said.json', image], cosignEnv);
  const config = ['--signing-config', 'config.json', '--trusted-root', 'root.json'];
  await bench.ok('cosign', ['sign', '--key', 'cosign.key', ...config, '-y', image], cosignEnv);
  await bench.ok('oras', ['attach', '--plain-http', '--artifact-type', 'example/sbom', image, 'sbom.txt']);
}

async function copied(bench: Bench, args: readonly string[]): Promise<object> {
  const { exitCode, stdout, stderr } = await bench.bulla(['copy', '--json', '--tls-verify=false', ...args]);
  assert.equal(exitCode, 0, stderr);
  return (JSON.parse(stdout) as { carried: object }).carried;
}

async function rawOf(bench: Bench, image: string): Promise<string> {
  return bench.ok('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${image}`]);
}

async function referrersOf(bench: Bench, image: string): Promise<readonly string[]> {
  const found = await bench.ok('oras', ['discover', '--plain-http', '--format', 'json', image]);
  const { referrers } = JSON.parse(found) as { referrers: readonly { digest: string }[] };
  return referrers.map(({ digest }) => digest).toSorted();
}

async function sameThere(bench: Bench, { host }: RealRegistry, digest: string): Promise<void> {
  const gpg = (path: string): Buffer =>
    readFileSync(join(signatureFolder(bench.path('sig'), path, digest), 'signature-1'));
  assert.deepEqual(gpg('far/app'), gpg('dev/app'));
  for (const suffix of ['sig', 'att']) {
    const layers = async (path: string): Promise<Layers['layers']> => {
      const raw = await rawOf(bench, `${host}/${path}:${digest.replace(':', '-')}.${suffix}`);
      return (JSON.parse(raw) as Layers).layers;
    };
    const [here, there] = [await layers('dev/app'), await layers('far/app')];
    assert.equal(here.length, 1);
    assert.deepEqual(there, here, suffix);
  }
  const [here, there] = [
    await referrersOf(bench, `${host}/dev/app@${digest}`),
    await referrersOf(bench, `${host}/far/app@${digest}`),
  ];
  assert.equal(here.length, 2, 'the bundle and the file');
  assert.deepEqual(there, here, 'the very manifests');
}

/** A docker-archive has no manifest of its own: the receipt says what skopeo reads there. */
async function servesAnother(bench: Bench, args: readonly string[]): Promise<void> {
  const archive = `docker-archive:${bench.path('docker.tar')}`;
  const flags = ['--json', '--no-attachments', '--tls-verify=false'];
  const { exitCode, stdout, stderr } = await bench.bulla(['copy', ...flags, ...args, archive]);
  assert.equal(exitCode, 0, stderr);
  const raw = await bench.ok('skopeo', ['inspect', '--raw', archive]);
  const { served } = JSON.parse(stdout) as { served: string };
  assert.equal(served, `sha256:${createHash('sha256').update(raw).digest('hex')}`);
}

for (const transport of ['oci', 'oci-archive'] as const) {
  test(
    `from a registry through ${transport}: to a registry, everything that hangs on the image is there again`,
    needs('skopeo', 'docker-registry', 'gpg', 'openssl', 'cosign', 'cosign2', 'oras'),
    async () => {
      await using bench = await openBench();
      const registry = await startRegistry(bench);
      const { host } = registry;
      const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
      useLookaside(bench, `file://${bench.path('sig')}`);
      const from = `docker://${host}/dev/app:1`;
      const to = ['--dest-tls-verify=false', '--quiet'];
      await bench.ok('skopeo', ['copy', ...to, `oci:${bench.path('image')}:v1`, from]);
      const policy = await signByGpg(bench, from);
      await attachAll(bench, `${host}/dev/app@${digest}`);
      const layout = `${transport}:${bench.path('layout')}:v1`;
      const far = `docker://${host}/far/app:1`;
      const carried = { signatures: 3, attachments: 2 };
      assert.deepEqual(await copied(bench, ['--policy', policy, from, layout]), carried);
      // again: nothing is there twice
      assert.deepEqual(await copied(bench, ['--policy', policy, from, layout]), carried);
      // the layout's own signature is enough for the policy
      assert.deepEqual(await copied(bench, ['--policy', policy, layout, far]), carried);
      await sameThere(bench, registry, digest);
      const verified = await bench.bulla(['verify', '--tls-verify=false', '--policy', policy, far]);
      assert.equal(verified.exitCode, 0, verified.stderr);
      const key = ['--key', 'cosign.pub', '--insecure-ignore-tlog=true', `${host}/far/app@${digest}`];
      for (const cosign of ['cosign', 'cosign2'] as const)
        await bench.ok(cosign, ['verify', ...key], cosignEnv);

      const bare = `${transport}:${bench.path('bare')}:v1`;
      const removed = await copied(bench, ['--policy', policy, '--remove-signatures', layout, bare]);
      assert.deepEqual(removed, { signatures: 1, attachments: 1 }, 'the attestation and the file');
      const refused = await bench.bulla([
        'copy',
        '--tls-verify=false',
        '--policy',
        policy,
        layout,
        `docker-archive:${bench.path('docker.tar')}`,
      ]);
      assert.equal(refused.exitCode, 2);
      assert.match(refused.stderr, /store\.none.*--remove-signatures/s);
      await servesAnother(bench, ['--policy', policy, '--remove-signatures', layout]);
    },
  );
}

test(
  'layouts that share their blobs, both ways with skopeo, signatures included',
  needs('skopeo', 'gpg'),
  async () => {
    await using bench = await openBench();
    await writeOciImage(bench.path('image'), { tag: 'v1' });
    const image = `oci:${bench.path('image')}:v1`;
    const key = await bench.newGpgKey('Sharer <sharer@example.com>', { type: 'ed25519' });
    const shared = bench.path('shared');
    const to = ['--dest-shared-blob-dir', shared];
    const from = ['--src-shared-blob-dir', shared];
    const plain = ['copy', '--quiet', '--insecure-policy'];
    const bulla = async (...args: readonly string[]): Promise<void> => {
      const { exitCode, stderr } = await bench.bulla([...plain, ...args]);
      assert.equal(exitCode, 0, stderr);
    };
    const sign = ['--sign-by', key, '--sign-identity', 'registry.example.com/app:1'];
    await bulla(...to, ...sign, image, `oci:${bench.path('ours')}:v1`);
    await bench.ok('skopeo', ['copy', '--quiet', ...to, image, `oci:${bench.path('theirs')}:v1`]);
    for (const each of ['ours', 'theirs']) {
      const own = readdirSync(bench.path(each), { recursive: true, withFileTypes: true });
      assert.deepEqual(own.flatMap((file) => (file.isFile() ? [file.name] : [])).sort(), [
        'index.json',
        'oci-layout',
      ]);
      const name = `oci:${bench.path(each)}:v1`;
      await bench.ok('skopeo', ['copy', '--quiet', ...from, name, `dir:${bench.path(`${each}-read`)}`]);
      await bulla(...from, name, `dir:${bench.path(`${each}-carried`)}`);
    }
    assert.ok(readdirSync(bench.path('ours-carried')).includes('signature-1'));
    const without = await bench.bulla([
      ...plain,
      `oci:${bench.path('ours')}:v1`,
      `dir:${bench.path('none')}`,
    ]);
    assert.equal(without.exitCode, 3, without.stderr);

    // what a promotion reads is judged, so it was there to be read
    const policy = writePolicy(bench, 'rejecting', [{ type: 'reject' }]);
    const promotion = ['promote', '--mode', 'carry', '--policy', policy, ...from];
    const where = [`oci:${bench.path('ours')}:v1`, 'docker://127.0.0.1:9/app:1'];
    const judged = await bench.bulla([...promotion, '--tls-verify=false', ...where]);
    assert.equal(judged.exitCode, 1, judged.stderr);
  },
);

/** Over the air gap in one file: what skopeo, cosign 2 and cosign 3 signed on one side, they and podman believe on the other. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';

import {
  type RealRegistry,
  type RegistryOptions,
  registryUser,
  startRegistry,
} from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, type PeerResult } from '../support/peers.ts';

const cosignEnv = { env: { COSIGN_PASSWORD: '', COSIGN_YES: 'true' } };
const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];

type Gap = {
  readonly bench: Bench;
  readonly near: RealRegistry;
  /** Another registry of the near side. */
  readonly other: RealRegistry;
  readonly far: RealRegistry;
  readonly digest: string;
  /** Public keys: GPG's fingerprint and file, cosign's file. */
  readonly gpg: { readonly id: string; readonly file: string };
  readonly cosign: string;
};

/** Two registries here, one there; an image that skopeo, cosign 2 and cosign 3 signed, with a file attached. */
async function overTheGap(run: (gap: Gap) => Promise<void>, farOptions: RegistryOptions = {}): Promise<void> {
  await using bench = await openBench();
  const [near, other, far] = [
    await startRegistry(bench),
    await startRegistry(bench),
    await startRegistry(bench, farOptions),
  ];
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  useStore(bench, 'near-sig');
  const id = await bench.newGpgKey('Release <release@example.com>');
  const file = bench.path('release.gpg');
  await bench.ok('gpg', ['--batch', '--output', file, '--export', id]);
  await bench.ok('cosign', ['generate-key-pair'], cosignEnv);
  await bench.ok('cosign', ['signing-config', 'create', '--out', 'config.json']);
  await bench.ok('cosign', ['trusted-root', 'create', '--out', 'root.json']);
  await signAll({ bench, near, digest, id });
  await run({ bench, near, other, far, digest, gpg: { id, file }, cosign: bench.path('cosign.pub') });
}

/** Where signatures of lookasides are: each side has its own. */
function useStore(bench: Bench, name: string): void {
  writeFileSync(
    join(bench.config, 'registries.d', 'default.yaml'),
    `default-docker:\n  lookaside: file://${bench.path(name)}\n  use-sigstore-attachments: true\n`,
  );
}

async function signAll({
  bench,
  near,
  digest,
  id,
}: Pick<Gap, 'bench' | 'near' | 'digest'> & { readonly id: string }): Promise<void> {
  const image = `${near.host}/ns/app`;
  await bench.ok('skopeo', [
    'copy',
    '--quiet',
    ...plain,
    '--sign-by',
    id,
    `oci:${bench.path('image')}:v1`,
    `docker://${image}:1.0`,
  ]);
  const at = `${image}@${digest}`;
  await bench.ok('cosign2', ['sign', '--key', 'cosign.key', '--tlog-upload=false', at], cosignEnv);
  const config = ['--signing-config', 'config.json', '--trusted-root', 'root.json'];
  await bench.ok('cosign', ['sign', '--key', 'cosign.key', ...config, '-y', at], cosignEnv);
  writeFileSync(bench.path('sbom.txt'), 'everything\n');
  await bench.ok('oras', ['attach', '--plain-http', '--artifact-type', 'example/sbom', at, 'sbom.txt']);
}

async function ok(bench: Bench, args: readonly string[]): Promise<PeerResult> {
  const result = await bench.bulla(args);
  assert.equal(result.exitCode, 0, `bulla ${args.join(' ')}\n${result.stdout}${result.stderr}`);
  return result;
}

function create(gap: Pick<Gap, 'bench' | 'near'>, policy: string, output: string): Promise<PeerResult> {
  const image = `docker://${gap.near.host}/ns/app:1.0`;
  return ok(gap.bench, ['bundle', 'create', '--tls-verify=false', '--policy', policy, '-o', output, image]);
}

const peers = needs(
  'skopeo',
  'podman',
  'docker-registry',
  'gpg',
  'openssl',
  'cosign',
  'cosign2',
  'oras',
  'crane',
);

test(
  'skopeo, podman, cosign 2 and cosign 3 believe on the far side what they signed on the near one',
  peers,
  () =>
    overTheGap(async (gap) => {
      const { bench, near, far, digest, gpg, cosign } = gap;
      await create(gap, writePolicy(bench, 'near', [signedBy(gpg.file)]), 'app.tar');
      await near.stop();
      useStore(bench, 'far-sig');
      const load = ['bundle', 'load', '--json', '--tls-verify=false', '--fingerprint', gpg.id, 'app.tar'];
      const { stdout } = await ok(bench, [...load, '--to', `docker://${far.host}/mirror`]);
      const { images, remaps } = JSON.parse(stdout) as {
        images: { destination: string; digest: string }[];
        remaps: object[];
      };
      const image = `${far.host}/mirror/ns/app:1.0`;
      assert.deepEqual(
        images.map((each) => [each.destination, each.digest]),
        [[`docker://${image}`, digest]],
      );
      assert.equal(await bench.ok('crane', ['digest', image]), `${digest}\n`);

      // GPG: the old name is refused, and accepted by what load has printed
      const copyBy = (policy: string, out: string): Promise<PeerResult> =>
        bench.run('skopeo', [
          'copy',
          '--quiet',
          '--policy',
          policy,
          ...plain,
          `docker://${image}`,
          `dir:${bench.path(out)}`,
        ]);
      const exact = await copyBy(writePolicy(bench, 'exact', [signedBy(gpg.file)]), 'refused');
      assert.equal(exact.exitCode, 1);
      assert.equal(remaps.length, 1);
      const remapped = writePolicy(bench, 'remapped', [{ ...signedBy(gpg.file), signedIdentity: remaps[0] }]);
      const accepted = await copyBy(remapped, 'out');
      assert.equal(accepted.exitCode, 0, accepted.stderr);
      await bench.ok('podman', [
        'pull',
        '--quiet',
        '--tls-verify=false',
        '--signature-policy',
        remapped,
        image,
      ]);
      // `.sig`: cosign signs the repository alone
      const repository = { type: 'exactRepository', dockerRepository: `${near.host}/ns/app` };
      const byCosign = { type: 'sigstoreSigned', keyPath: cosign, signedIdentity: repository };
      const attached = await copyBy(writePolicy(bench, 'cosign', [byCosign]), 'attached');
      assert.equal(attached.exitCode, 0, attached.stderr);
      for (const program of ['cosign2', 'cosign'] as const) {
        const args = ['verify', '--key', 'cosign.pub', '--insecure-ignore-tlog=true', image];
        const verified = await bench.run(program, args, cosignEnv);
        assert.equal(verified.exitCode, 0, verified.stderr);
      }
      const found = await bench.ok('oras', ['discover', '--plain-http', '--format', 'json', image]);
      assert.match(found, /example\/sbom/);
      assert.match(found, /sigstore\.bundle/);
      // the registry has no referrers API; crane reads the tag that stands in for it
      const list = await bench.ok('crane', [
        'manifest',
        `${far.host}/mirror/ns/app:${digest.replace(':', '-')}`,
      ]);
      assert.equal((JSON.parse(list) as { manifests: unknown[] }).manifests.length, 2);
    }),
);

test('a second load writes nothing, to the registry and to the lookaside', peers, () =>
  overTheGap(async (gap) => {
    const { bench, far, gpg } = gap;
    await create(gap, writePolicy(bench, 'near', [signedBy(gpg.file)]), 'app.tar');
    useStore(bench, 'far-sig');
    const load = [
      'bundle',
      'load',
      '--tls-verify=false',
      '--key',
      gpg.file,
      'app.tar',
      '--to',
      `docker://${far.host}`,
    ];
    await ok(bench, load);
    const written = (): number => (far.log().match(/"(?:PUT|POST|PATCH|DELETE) /g) ?? []).length;
    const before = written();
    assert.ok(before > 0);
    await ok(bench, load);
    assert.equal(written(), before);
    const [folder = ''] = readdirSync(bench.path('far-sig', 'ns'));
    assert.deepEqual(readdirSync(bench.path('far-sig', 'ns', folder)), ['signature-1']);
    assert.equal(
      readFileSync(bench.path('far-sig', 'ns', folder, 'signature-1')).compare(
        readFileSync(bench.path('near-sig', 'ns', folder, 'signature-1')),
      ),
      0,
    );
  }),
);

test('the peers read images out of the file itself', peers, () =>
  overTheGap(async (gap) => {
    const { bench, near, gpg, digest } = gap;
    await create(gap, writePolicy(bench, 'near', [signedBy(gpg.file)]), 'app.tar');
    const name = `${near.host}/ns/app:1.0`;
    const image = `oci-archive:${bench.path('app.tar')}:${name}`;
    await bench.ok('skopeo', ['copy', '--quiet', image, `dir:${bench.path('out')}`]);
    assert.equal(digestOfFile(bench.path('out', 'manifest.json')), digest);
    await bench.ok('podman', ['pull', '--quiet', image]);
    const tags = await bench.ok('oras', ['repo', 'tags', '--oci-layout', bench.path('app.tar')]);
    assert.ok(tags.split('\n').includes(name), tags);
    // oras takes what stands behind the last colon for the tag, so it finds such names by their digest
    const found = await bench.ok('oras', [
      'discover',
      '--oci-layout',
      '--format',
      'json',
      `${bench.path('app.tar')}@${digest}`,
    ]);
    for (const type of ['example/sbom', 'sigstore.bundle', 'vnd.bulla.signature'])
      assert.ok(found.includes(type), type);
    const own = await ok(bench, ['copy', '--insecure-policy', image, `dir:${bench.path('own')}`]);
    assert.match(own.stdout, new RegExp(digest));
  }),
);

test('the peers read Docker’s own images out of the file too, with their own digests', peers, () =>
  overTheGap(async (gap) => {
    const { bench, near, far, gpg } = gap;
    const push = ['copy', '--quiet', ...plain, '--format', 'v2s2', '--sign-by', gpg.id];
    const image = `${near.host}/ns/docker:1`;
    await bench.ok('skopeo', [...push, `oci:${bench.path('image')}:v1`, `docker://${image}`]);
    const digest = (await bench.ok('crane', ['digest', image])).trim();
    const policy = writePolicy(bench, 'near', [signedBy(gpg.file)]);
    const args = ['bundle', 'create', '--tls-verify=false', '--policy', policy, `docker://${image}`];
    await ok(bench, [...args, '-o', 'docker.tar']);
    const name = `oci-archive:${bench.path('docker.tar')}:${image}`;
    await bench.ok('skopeo', ['copy', '--quiet', name, `dir:${bench.path('out')}`]);
    assert.equal(digestOfFile(bench.path('out', 'manifest.json')), digest);
    await bench.ok('podman', ['pull', '--quiet', name]);
    const own = await ok(bench, ['copy', '--insecure-policy', name, `dir:${bench.path('own')}`]);
    assert.match(own.stdout, new RegExp(digest));
    useStore(bench, 'far-sig');
    const load = ['bundle', 'load', '--tls-verify=false', '--key', gpg.file, 'docker.tar'];
    await ok(bench, [...load, '--to', `docker://${far.host}`]);
    assert.equal((await bench.ok('crane', ['digest', `${far.host}/ns/docker:1`])).trim(), digest);
    await bench.ok('podman', ['pull', '--quiet', '--tls-verify=false', `${far.host}/ns/docker:1`]);
    const list = `${near.host}/ns/docker:list`;
    await bench.ok('crane', ['index', 'append', '--docker-empty-base', '-m', image, '-t', list]);
    await ok(bench, ['bundle', 'create', '--tls-verify=false', '--insecure-policy', list, '-o', 'list.tar']);
    const listName = `oci-archive:${bench.path('list.tar')}:${list}`;
    await bench.ok('skopeo', ['copy', '--all', '--quiet', listName, `dir:${bench.path('list')}`]);
    const listDigest = (await bench.ok('crane', ['digest', list])).trim();
    assert.equal(digestOfFile(bench.path('list', 'manifest.json')), listDigest);
    await bench.ok('podman', ['pull', '--quiet', listName]);
  }),
);

function digestOfFile(path: string): string {
  return `sha256:${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
}

test('images of two registries with one name go in one file, and are kept apart', peers, () =>
  overTheGap(async (gap) => {
    const { bench, near, other, far, gpg } = gap;
    await writeOciImage(bench.path('image2'), { tag: 'v1', files: { 'b.txt': 'another' } });
    const [one, two] = [near, other].map(({ host }) => `docker://${host}/ns/app:1.0`);
    assert.ok(one !== undefined && two !== undefined);
    const push = ['copy', '--quiet', ...plain, '--sign-by', gpg.id];
    await bench.ok('skopeo', [...push, `oci:${bench.path('image2')}:v1`, two]);
    const policy = writePolicy(bench, 'near', [signedBy(gpg.file)]);
    const args = ['bundle', 'create', '--tls-verify=false', '--policy', policy];
    await ok(bench, [...args, one, two, '-o', 'both.tar']);
    // the same images in another order, from another folder: the same bytes
    mkdirSync(bench.path('elsewhere'));
    copyFileSync(policy, bench.path('elsewhere', 'p.json'));
    await ok(bench, [
      ...args.slice(0, -1),
      bench.path('elsewhere', 'p.json'),
      two,
      one,
      '-o',
      'elsewhere/both.tar',
    ]);
    assert.equal(digestOfFile(bench.path('both.tar')), digestOfFile(bench.path('elsewhere', 'both.tar')));

    useStore(bench, 'far-sig');
    const load = [
      'bundle',
      'load',
      '--tls-verify=false',
      '--key',
      gpg.file,
      'both.tar',
      '--to',
      `docker://${far.host}`,
    ];
    const clash = await bench.bulla(load);
    assert.equal(clash.exitCode, 2);
    assert.match(clash.stderr, /\[transfer\.name-clash\]/);
    assert.doesNotMatch(far.log(), /"(?:PUT|POST|PATCH) /);
    await ok(bench, [...load, '--scoped']);
    await ok(bench, [...load, '--map', `${other.host}=other`]);
    const digestAt = (name: string): Promise<string> =>
      bench.ok('crane', ['digest', `${far.host}/${name}:1.0`]);
    const scoped = await Promise.all(
      [near, other].map(({ host }) => digestAt(`${host.replace(':', '-')}/ns/app`)),
    );
    assert.deepEqual(await Promise.all([digestAt('ns/app'), digestAt('other/ns/app')]), scoped);
    assert.notEqual(scoped[0], scoped[1]);
  }),
);

test(
  'what cosign 2 and 3 attach beside signatures goes over as it is, to a registry with TLS and users',
  peers,
  () =>
    overTheGap(
      async (gap) => {
        const { bench, near, far, digest, gpg } = gap;
        const at = `${near.host}/ns/app@${digest}`;
        writeFileSync(bench.path('predicate.json'), '{"all":"good"}');
        const attest = [
          'attest',
          '--key',
          'cosign.key',
          '--predicate',
          'predicate.json',
          '--type',
          'custom',
          '-y',
        ];
        await bench.ok('cosign2', [...attest, '--tlog-upload=false', at], cosignEnv);
        await bench.ok('cosign2', ['attach', 'sbom', '--sbom', 'sbom.txt', at], cosignEnv);
        const config = ['--signing-config', 'config.json', '--trusted-root', 'root.json'];
        await bench.ok('cosign', [...attest, ...config, at], cosignEnv);
        await create(gap, writePolicy(bench, 'near', [signedBy(gpg.file)]), 'app.tar');
        const sums = async (host: string, ...flags: readonly string[]): Promise<readonly string[]> =>
          Promise.all(
            ['.sig', '.att', '.sbom'].map(async (suffix) => {
              const tag = `docker://${host}/ns/app:${digest.replace(':', '-')}${suffix}`;
              const raw = await bench.ok('skopeo', ['inspect', '--raw', ...flags, tag]);
              return createHash('sha256').update(raw).digest('hex');
            }),
          );
        const before = await sums(near.host, '--tls-verify=false');
        await near.stop();
        useStore(bench, 'far-sig');
        const creds = `${registryUser.name}:${registryUser.password}`;
        mkdirSync(bench.path('certs'));
        copyFileSync(far.certificates?.ca ?? '', bench.path('certs', 'ca.crt'));
        const load = ['bundle', 'load', '--cert-dir', bench.path('certs'), '--key', gpg.file, 'app.tar'];
        const to = ['--to', `docker://${far.host}`];
        const denied = await bench.bulla([...load, ...to]);
        assert.equal(denied.exitCode, 3, denied.stderr);
        assert.match(denied.stderr, /\[registry\.unauthorized\]/);
        await ok(bench, [...load, '--creds', creds, ...to]);
        assert.deepEqual(await sums(far.host, '--cert-dir', bench.path('certs'), '--creds', creds), before);
        const reach = [
          '--registry-username',
          registryUser.name,
          '--registry-password',
          registryUser.password,
        ];
        for (const program of ['cosign2', 'cosign'] as const) {
          const verify = [
            'verify-attestation',
            '--key',
            'cosign.pub',
            '--insecure-ignore-tlog=true',
            '--type',
            'custom',
          ];
          const args = [
            ...verify,
            ...reach,
            '--registry-cacert',
            far.certificates?.ca ?? '',
            `${far.host}/ns/app@${digest}`,
          ];
          const verified = await bench.run(program, args, cosignEnv);
          assert.equal(verified.exitCode, 0, verified.stderr);
        }
      },
      { tls: true, users: true },
    ),
);

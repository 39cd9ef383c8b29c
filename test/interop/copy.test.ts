/** Copies between real registries, both ways with skopeo, cosign 2 and 3, crane and oras. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { type RealRegistry, registryUser, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, type PeerName } from '../support/peers.ts';
import { useLookaside } from '../support/simple-signing.ts';

const launcher = fileURLToPath(new URL('../../bin/bulla.js', import.meta.url));

type Stage = {
  readonly bench: Bench;
  /** Plain, everybody may come in. */
  readonly dev: RealRegistry;
  /** TLS, one user. */
  readonly prod: RealRegistry;
  readonly digest: string;
  /** Bulla's and skopeo's flags to reach both. */
  readonly flags: readonly string[];
};

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const [dev, prod] = [await startRegistry(bench), await startRegistry(bench, { tls: true, users: true })];
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  useLookaside(bench, `file://${bench.path('sig')}`);
  const to = ['--dest-tls-verify=false', '--quiet'];
  await bench.ok('skopeo', [
    'copy',
    ...to,
    `oci:${bench.path('image')}:v1`,
    `docker://${dev.host}/dev/app:1`,
  ]);
  const creds = `${registryUser.name}:${registryUser.password}`;
  const flags = ['--src-tls-verify=false', '--dest-tls-verify=false', '--dest-creds', creds];
  await run({ bench, dev, prod, digest, flags });
}

/** Makes a GPG key in the bench's GnuPG; gives its fingerprint and the file with its public part. */
async function makeKey(bench: Bench, who: string): Promise<{ id: string; file: string }> {
  await bench.ok('gpg', [
    '--batch',
    '--passphrase',
    '',
    '--quick-gen-key',
    `${who}@example.com`,
    'ed25519',
    'sign',
    '0',
  ]);
  const listed = await bench.ok('gpg', ['--list-keys', '--with-colons', `${who}@example.com`]);
  const id = /^fpr:+([0-9A-F]{40}):/m.exec(listed)?.[1] ?? '';
  const file = bench.path(`${who}.gpg`);
  await bench.ok('gpg', ['--batch', '--output', file, '--export', id]);
  return { id, file };
}

async function bulla(
  bench: Bench,
  args: readonly string[],
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  return bench.bulla(args);
}

const gpgPeers: readonly PeerName[] = ['skopeo', 'docker-registry', 'gpg', 'openssl'];

test(
  'a signed image goes on to production: what Bulla copied and signed skopeo accepts there',
  needs(...gpgPeers),
  () =>
    onStage(async ({ bench, dev, prod, digest, flags }) => {
      const [devKey, prodKey] = [await makeKey(bench, 'dev'), await makeKey(bench, 'prod')];
      const from = `docker://${dev.host}/dev/app:1`;
      const to = `docker://${prod.host}/prod/app:1`;
      await bench.ok('skopeo', [
        'copy',
        '--quiet',
        '--src-tls-verify=false',
        '--dest-tls-verify=false',
        '--sign-by',
        devKey.id,
        from,
        from,
      ]);
      const devPolicy = writePolicy(bench, 'dev', [signedBy(devKey.file)]);
      const prodPolicy = writePolicy(bench, 'prod', [signedBy(prodKey.file)]);

      const refused = await bulla(bench, ['copy', '--policy', prodPolicy, ...flags, from, to]);
      assert.equal(refused.exitCode, 1, refused.stderr);
      assert.match(refused.stdout, /^refused /);
      assert.doesNotMatch(prod.log(), /"(?:PUT|POST|PATCH) /, 'nothing was written');

      const copied = await bulla(bench, [
        'copy',
        '--json',
        '--policy',
        devPolicy,
        '--sign-by',
        prodKey.id,
        ...flags,
        from,
        to,
      ]);
      assert.equal(copied.exitCode, 0, copied.stderr);
      const receipt = JSON.parse(copied.stdout) as {
        digest: string;
        carried: { signatures: number };
        signatures: unknown[];
      };
      assert.equal(receipt.digest, digest);
      assert.equal(receipt.carried.signatures, 1);
      assert.equal(receipt.signatures.length, 1);

      const creds = [
        '--src-tls-verify=false',
        '--src-creds',
        `${registryUser.name}:${registryUser.password}`,
      ];
      const ask = (policy: string, out: string): Promise<{ exitCode: number; stderr: string }> =>
        bench.run('skopeo', ['copy', '--quiet', '--policy', policy, ...creds, to, `dir:${bench.path(out)}`]);
      const accepted = await ask(prodPolicy, 'out');
      assert.equal(accepted.exitCode, 0, accepted.stderr);
      // the old signature went along and speaks of the old name
      assert.equal((await ask(devPolicy, 'refused')).exitCode, 1);
      assert.equal(readdirSync(bench.path('out')).filter((name) => name.startsWith('signature-')).length, 2);
    }),
);

test(
  'what skopeo copied with its signatures Bulla verifies, and copies on to a folder and back',
  needs(...gpgPeers),
  () =>
    onStage(async ({ bench, dev }) => {
      const key = await makeKey(bench, 'dev');
      const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
      const [one, two, three] = [1, 2, 3].map((n) => `docker://${dev.host}/dev/app:${n}`);
      assert.ok(one !== undefined && two !== undefined && three !== undefined);
      await bench.ok('skopeo', [
        'copy',
        '--quiet',
        ...plain,
        '--sign-by',
        key.id,
        '--sign-identity',
        two.slice(9),
        one,
        two,
      ]);
      const policy = writePolicy(bench, 'repository', [
        { ...signedBy(key.file), signedIdentity: { type: 'matchRepository' } },
      ]);
      const verified = await bulla(bench, ['verify', '--tls-verify=false', '--policy', policy, two]);
      assert.equal(verified.exitCode, 0, verified.stderr);
      const out = await bulla(bench, [
        'copy',
        '--tls-verify=false',
        '--policy',
        policy,
        two,
        `dir:${bench.path('dir')}`,
      ]);
      assert.equal(out.exitCode, 0, out.stderr);
      assert.ok(readdirSync(bench.path('dir')).includes('signature-1'));
      const anything = ['--insecure-policy', '--tls-verify=false'];
      const other = `docker://${dev.host}/other/app:1`;
      const back = await bulla(bench, ['copy', ...anything, `dir:${bench.path('dir')}`, other]);
      assert.equal(back.exitCode, 0, back.stderr);
      const exact = writePolicy(bench, 'exact', [
        {
          ...signedBy(key.file),
          signedIdentity: { type: 'exactRepository', dockerRepository: `${dev.host}/dev/app` },
        },
      ]);
      await bench.ok('skopeo', [
        'copy',
        '--quiet',
        '--policy',
        exact,
        '--src-tls-verify=false',
        other,
        `dir:${bench.path('checked')}`,
      ]);
    }),
);

test(
  'what would change a signed manifest, one named by its digest, or one to be kept is refused',
  needs(...gpgPeers),
  () =>
    onStage(async ({ bench, dev, digest }) => {
      const key = await makeKey(bench, 'dev');
      const image = `docker://${dev.host}/dev/app:1`;
      const anything = ['copy', '--insecure-policy', '--tls-verify=false', '--format', 'v2s2'];
      const refusedBy = async (...args: readonly string[]): Promise<string> => {
        const { exitCode, stderr } = await bulla(bench, [...anything, ...args]);
        assert.equal(exitCode, 2, stderr);
        return /\[([a-z.-]+)\]/.exec(stderr)?.[1] ?? stderr;
      };
      const other = `docker://${dev.host}/dev/other`;
      assert.equal(await refusedBy(image, `${other}@${digest}`), 'copy.digest-freezes');
      assert.equal(await refusedBy('--preserve-digests', image, `${other}:1`), 'copy.preserve-digests');
      await bench.ok('skopeo', [
        'copy',
        '--quiet',
        '--src-tls-verify=false',
        '--dest-tls-verify=false',
        '--sign-by',
        key.id,
        image,
        image,
      ]);
      assert.equal(await refusedBy(image, `${other}:1`), 'copy.signatures-freeze');
      const changed = await bulla(bench, [...anything, '--remove-signatures', image, `${other}:1`]);
      assert.equal(changed.exitCode, 0, changed.stderr);
      const raw = await bench.ok('skopeo', ['inspect', '--raw', '--tls-verify=false', `${other}:1`]);
      assert.match(raw, /distribution\.manifest\.v2\+json/);
      // another reader takes it apart
      await bench.ok('crane', ['validate', '--remote', `${other.slice(9)}:1`]);
    }),
);

const cosignEnv = { env: { COSIGN_PASSWORD: '', COSIGN_YES: 'true' } };

test(
  'cosign 3 bundles, `.sig` of cosign 2 and attached files survive',
  needs('skopeo', 'docker-registry', 'openssl', 'cosign', 'cosign2', 'oras'),
  () =>
    onStage(async ({ bench, dev, digest }) => {
      await bench.ok('cosign', ['generate-key-pair'], cosignEnv);
      await bench.ok('cosign', ['signing-config', 'create', '--out', 'config.json']);
      await bench.ok('cosign', ['trusted-root', 'create', '--out', 'root.json']);
      const at = (name: string): string => `${dev.host}/${name}@${digest}`;
      const copied = async (from: string, to: string, ...more: readonly string[]): Promise<void> => {
        const args = [
          'copy',
          '--insecure-policy',
          '--tls-verify=false',
          ...more,
          `docker://${dev.host}/${from}:1`,
          `docker://${dev.host}/${to}:1`,
        ];
        const { exitCode, stderr } = await bulla(bench, args);
        assert.equal(exitCode, 0, stderr);
      };
      const verify = (
        program: 'cosign' | 'cosign2',
        name: string,
      ): Promise<{ exitCode: number; stderr: string }> =>
        bench.run(
          program,
          ['verify', '--key', 'cosign.pub', '--insecure-ignore-tlog=true', at(name)],
          cosignEnv,
        );

      await bench.ok(
        'cosign2',
        ['sign', '--key', 'cosign.key', '--tlog-upload=false', at('dev/app')],
        cosignEnv,
      );
      await copied('dev/app', 'old/app');
      assert.equal((await verify('cosign2', 'old/app')).exitCode, 0);

      await bench.ok(
        'cosign',
        [
          'sign',
          '--key',
          'cosign.key',
          '--signing-config',
          'config.json',
          '--trusted-root',
          'root.json',
          '-y',
          at('dev/app'),
        ],
        cosignEnv,
      );
      writeFileSync(bench.path('sbom.txt'), 'everything\n');
      await bench.ok('oras', [
        'attach',
        '--plain-http',
        '--artifact-type',
        'example/sbom',
        at('dev/app'),
        'sbom.txt',
      ]);
      await copied('dev/app', 'new/app');
      const bundle = await verify('cosign', 'new/app');
      assert.equal(bundle.exitCode, 0, bundle.stderr);
      const found = await bench.ok('oras', ['discover', '--plain-http', '--format', 'json', at('new/app')]);
      assert.match(found, /example\/sbom/);

      await copied('dev/app', 'bare/app', '--no-attachments');
      assert.notEqual((await verify('cosign2', 'bare/app')).exitCode, 0);
      // a second copy changes nothing, and what was added at the destination stays
      await bench.ok(
        'cosign2',
        ['sign', '--key', 'cosign.key', '--tlog-upload=false', '-a', 'more=1', at('new/app')],
        cosignEnv,
      );
      await copied('dev/app', 'new/app');
      const tag = `docker://${dev.host}/new/app:${digest.replace(':', '-')}.sig`;
      const raw = JSON.parse(await bench.ok('skopeo', ['inspect', '--raw', '--tls-verify=false', tag])) as {
        layers: unknown[];
      };
      assert.equal(raw.layers.length, 2);
    }),
);

test(
  'a list of three platforms: all of it, signed throughout; one of them; the digest file; more tags',
  needs('skopeo', 'docker-registry', 'openssl', 'gpg', 'crane'),
  () =>
    onStage(async ({ bench, dev }) => {
      const key = await makeKey(bench, 'dev');
      const parts: { mediaType: string; digest: string; size: number; platform: object }[] = [];
      for (const architecture of ['amd64', 'arm64', 's390x']) {
        const folder = bench.path(architecture);
        const made = await writeOciImage(folder, { tag: 'v1', files: { 'a.txt': architecture } });
        await bench.ok('skopeo', [
          'copy',
          '--quiet',
          '--dest-tls-verify=false',
          `oci:${folder}:v1`,
          `docker://${dev.host}/multi/app:${architecture}`,
        ]);
        parts.push({
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest: made.digest,
          size: made.manifest.length,
          platform: { os: 'linux', architecture },
        });
      }
      const index = JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: parts,
      });
      const put = await fetch(`${dev.url}/v2/multi/app/manifests/1`, {
        method: 'PUT',
        headers: { 'content-type': 'application/vnd.oci.image.index.v1+json' },
        body: index,
      });
      assert.equal(put.status, 201);
      const from = `docker://${dev.host}/multi/app:1`;
      const to = `docker://${dev.host}/signed/app:1`;
      const anything = ['--insecure-policy', '--tls-verify=false'];
      const all = await bulla(bench, [
        'copy',
        ...anything,
        '--all',
        '--sign-by',
        key.id,
        '--digestfile',
        bench.path('digest'),
        '--additional-tag',
        'latest',
        from,
        to,
      ]);
      assert.equal(all.exitCode, 0, all.stderr);
      const digest = put.headers.get('docker-content-digest');
      assert.equal(readFileSync(bench.path('digest'), 'utf8'), digest);
      for (const tag of ['1', 'latest'])
        assert.equal(await bench.ok('crane', ['digest', `${dev.host}/signed/app:${tag}`]), `${digest}\n`);
      assert.equal(readdirSync(join(bench.path('sig'), 'signed')).length, 4, 'each image and the list');
      const policy = writePolicy(bench, 'dev', [signedBy(key.file)]);
      await bench.ok('skopeo', [
        'copy',
        '--quiet',
        '--all',
        '--policy',
        policy,
        '--src-tls-verify=false',
        to,
        `dir:${bench.path('all')}`,
      ]);

      const one = await bulla(bench, [
        'copy',
        ...anything,
        '--override-arch',
        'arm64',
        from,
        `docker://${dev.host}/one/app:1`,
      ]);
      assert.equal(one.exitCode, 0, one.stderr);
      assert.equal(await bench.ok('crane', ['digest', `${dev.host}/one/app:1`]), `${parts[1]?.digest}\n`);

      const strip = [
        '--multi-arch',
        'linux/amd64,linux/s390x',
        '--strip-removed-platforms',
        '--remove-signatures',
      ];
      const two = await bulla(bench, ['copy', ...anything, ...strip, from, `docker://${dev.host}/two/app:1`]);
      assert.equal(two.exitCode, 0, two.stderr);
      const left = JSON.parse(await bench.ok('crane', ['manifest', `${dev.host}/two/app:1`])) as {
        manifests: { digest: string }[];
      };
      assert.deepEqual(
        left.manifests.map((each) => each.digest),
        [parts[0]?.digest, parts[2]?.digest],
      );

      // a policy that refuses one of them refuses the copy, and nothing is written
      const [victim] = parts;
      const folder = readdirSync(join(bench.path('sig'), 'signed')).find((name) =>
        name.endsWith(victim?.digest.slice(7) ?? ''),
      );
      rmSync(join(bench.path('sig'), 'signed', folder ?? ''), { recursive: true });
      const refused = await bulla(bench, [
        'copy',
        '--policy',
        policy,
        '--tls-verify=false',
        '--all',
        to,
        `docker://${dev.host}/never/app:1`,
      ]);
      assert.equal(refused.exitCode, 1, refused.stderr);
      assert.match(refused.stdout, /refused linux\/amd64/);
      assert.doesNotMatch(dev.log(), /(?:PUT|POST) \/v2\/never\//);
    }),
);

/** Layers of random bytes, pushed by oras: nothing of it compresses or is anywhere already. */
async function pushLarge(bench: Bench, registry: RealRegistry, name: string, bytes: number): Promise<void> {
  writeFileSync(bench.path('large.bin'), randomBytes(bytes));
  await bench.ok('oras', [
    'push',
    '--plain-http',
    `${registry.host}/${name}`,
    'large.bin:application/vnd.oci.image.layer.v1.tar',
  ]);
}

test(
  'killed in the middle, a copy is completed by the next one, to a registry and to a folder',
  needs('oras', 'docker-registry', 'openssl', 'skopeo', 'gpg'),
  () =>
    onStage(async ({ bench, dev }) => {
      await pushLarge(bench, dev, 'large:1', 60_000_000);
      const from = `docker://${dev.host}/large:1`;
      const flags = ['copy', '--insecure-policy', '--tls-verify=false', from];
      const folder = bench.path('half');
      for (const to of [`docker://${dev.host}/elsewhere:1`, `dir:${folder}`]) {
        const running = spawn(process.execPath, [launcher, ...flags, to], {
          env: bench.env,
          stdio: 'ignore',
        });
        const closed = once(running, 'close');
        // at any moment: before, while and after the blob is on its way
        setTimeout(() => running.kill('SIGKILL'), 450);
        await closed;
        const again = await bench.bulla([...flags, to]);
        assert.equal(again.exitCode, 0, again.stderr);
        const whole = await bench.bulla([
          'copy',
          '--insecure-policy',
          '--tls-verify=false',
          to,
          `dir:${bench.path(`check-${to.length}`)}`,
        ]);
        assert.equal(whole.exitCode, 0, whole.stderr);
      }
    }),
);

const mayMount = process.getuid?.() === 0;

test(
  'a full disk is said to be full, and what is there of the image is taken for none',
  mayMount
    ? needs('oras', 'docker-registry', 'openssl', 'skopeo', 'gpg')
    : { skip: 'only root can mount a file system for the test' },
  () =>
    onStage(async ({ bench, dev }) => {
      await pushLarge(bench, dev, 'large:1', 8_000_000);
      const disk = bench.path('disk');
      mkdirSync(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]);
      try {
        for (const to of [`dir:${disk}/dir`, `oci:${disk}/oci:v1`]) {
          const flags = ['--insecure-policy', '--tls-verify=false'];
          const full = await bench.bulla(['copy', ...flags, `docker://${dev.host}/large:1`, to]);
          assert.equal(full.exitCode, 3);
          assert.match(full.stderr, /\[io\.no-space\]/);
          const none = await bench.bulla(['copy', ...flags, to, `dir:${bench.path('never')}`]);
          assert.equal(none.exitCode, 3, none.stderr);
          assert.match(none.stderr, /\[image\.not-found\]/);
          rmSync(join(disk, to.startsWith('dir') ? 'dir' : 'oci'), { recursive: true });
        }
      } finally {
        execFileSync('umount', [disk]);
      }
    }),
);

test(
  'what crane and oras push and read: the same digests on both sides',
  needs('oras', 'crane', 'docker-registry', 'openssl', 'skopeo'),
  () =>
    onStage(async ({ bench, dev, prod, flags, digest }) => {
      await bench.ok('crane', ['copy', `${dev.host}/dev/app:1`, `${dev.host}/by/crane:1`]);
      const by = `docker://${dev.host}/by/crane:1`;
      const copied = await bench.bulla([
        'copy',
        '--insecure-policy',
        ...flags,
        by,
        `docker://${prod.host}/prod/app:1`,
      ]);
      assert.equal(copied.exitCode, 0, copied.stderr);
      // within one registry blobs are mounted, and no byte of a layer moves
      const mounted = await bench.bulla([
        'copy',
        '--insecure-policy',
        '--tls-verify=false',
        by,
        `docker://${dev.host}/mounted:1`,
      ]);
      assert.match(mounted.stderr, /, mounted/);
      await bench.ok('crane', ['validate', '--remote', `${dev.host}/mounted:1`]);
      const login = ['--username', registryUser.name, '--password', registryUser.password, '--insecure'];
      const fetched = await bench.ok('oras', ['resolve', ...login, `${prod.host}/prod/app:1`]);
      assert.equal(fetched.trim(), digest);
    }),
);

/** Signatures travel both ways between Bulla, gpg, skopeo and podman, through a real registry. */
import assert from 'node:assert/strict';
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { type RealRegistry, registryUser, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { askBulla, askSkopeo, signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, findPeer, needs, openBench, type PeerName, peerVersion } from '../support/peers.ts';
import { exportKey, gpgSign, payloadFor, putSignatures, useLookaside } from '../support/simple-signing.ts';

type Stage = {
  readonly bench: Bench;
  readonly registry: RealRegistry;
  readonly digest: string;
  /** The image's manifest as a file. */
  readonly manifest: string;
  /** Pushes the image under that name (`ns/app:1`); gives it with its registry. */
  push(name: string): Promise<string>;
};

/** A bench with a registry, an image, and a file lookaside in `sig` that all programs know. */
async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  useLookaside(bench, `file://${bench.path('sig')}`);
  // podman image sign has no --tls-verify
  const insecure = `[[registry]]\nlocation = "${registry.host}"\ninsecure = true\n`;
  appendFileSync(bench.path('registries.conf'), insecure);
  const push = async (name: string): Promise<string> => {
    const to = `${registry.host}/${name}`;
    const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`];
    await bench.ok('skopeo', [...copy, `docker://${to}`]);
    return to;
  };
  const manifest = bench.path('image', 'blobs', 'sha256', digest.slice(7));
  await run({ bench, registry, digest, manifest, push });
}

/** The `signature-N` of a repository's one image. */
function storedIn(bench: Bench, repository: string): string[] {
  const folder = dirname(bench.path('sig', repository));
  const prefix = `${repository.split('/').at(-1) ?? ''}@sha256=`;
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith(prefix))
    .flatMap((name) => readdirSync(join(folder, name)).map((file) => join(folder, name, file)));
}

/** Every way of a peer to judge a signature that Bulla stored. */
async function believedByPeers(stage: Stage, name: string, publicKey: string, signer: string): Promise<void> {
  const { bench, manifest } = stage;
  const policy = writePolicy(bench, signer, [signedBy(publicKey)]);
  const skopeo = await askSkopeo(bench, { image: `docker://${name}`, policy });
  assert.deepEqual(skopeo, { accepted: true, message: '' }, `skopeo ${await peerVersion('skopeo')}`);
  const repository = name.slice(name.indexOf('/') + 1, name.lastIndexOf(':'));
  const [stored = '', ...more] = storedIn(bench, repository);
  assert.deepEqual(more, []);
  const verified = await bench.ok('skopeo', [
    ...['standalone-verify', '--public-key-file', publicKey],
    ...[manifest, name, signer, stored],
  ]);
  assert.match(verified, new RegExp(`fingerprint ${signer}`));
  await bench.ok('podman', ['pull', '-q', '--tls-verify=false', '--signature-policy', policy, name]);
}

test(
  'keys of Bulla’s own keyring: skopeo and podman believe what they sign',
  needs('skopeo', 'podman', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { bench } = stage;
      writeFileSync(bench.path('pass'), 'correct horse\n');
      for (const type of ['rsa3072', 'ed25519', 'p256'] as const) {
        const user = `${type}@example.com`;
        const flags = ['--user-id', `Own <${user}>`, '--type', type, '--passphrase-file', bench.path('pass')];
        const made = await bench.bulla(['key', 'generate', 'gpg', ...flags]);
        const fingerprint = /[0-9A-F]{40}/.exec(made.stdout)?.[0] ?? '';
        assert.equal(made.exitCode, 0, made.stderr);
        const publicKey = bench.path(`${type}.asc`);
        const exported = await bench.bulla(['key', 'export', user, '--armor', '-o', publicKey]);
        assert.equal(exported.exitCode, 0, exported.stderr);
        const name = await stage.push(`own/${type}:1`);
        const signed = await bench.bulla([
          ...['sign', '--tls-verify=false', '--sign-by', user],
          ...['--sign-passphrase-file', bench.path('pass'), `docker://${name}`],
        ]);
        assert.equal(signed.exitCode, 0, signed.stderr);
        await believedByPeers(stage, name, publicKey, fingerprint);
      }
    }),
);

/** The bench as a user has it whose `gpg` is that one, with a home of its own. */
function homeOf(bench: Bench, gpg: PeerName): { GNUPGHOME: string; PATH: string } {
  const GNUPGHOME = bench.newGnupgHome(`home-${gpg}`);
  // an agent of another version than gpg's own must not answer
  return { GNUPGHOME, PATH: `${dirname(findPeer(gpg) ?? '')}:/usr/bin:/bin` };
}

const quick = ['--batch', '--pinentry-mode', 'loopback', '--passphrase', ''];

/** A key of that GnuPG; with `subkey` the primary key only certifies and a subkey signs. */
async function newKey(
  bench: Bench,
  gpg: PeerName,
  env: { GNUPGHOME: string; PATH: string },
  { type, subkey = false }: { readonly type: string; readonly subkey?: boolean },
): Promise<string> {
  const user = `${type} <${type}${subkey ? '-sub' : ''}@example.com>`;
  const usage = subkey ? 'cert' : 'sign';
  const made = await bench.ok(
    gpg,
    [...quick, '--status-fd', '1', '--quick-generate-key', user, type, usage, '0'],
    { env },
  );
  const fingerprint = /KEY_CREATED \S+ ([0-9A-F]{40})/.exec(made)?.[1] ?? '';
  if (subkey) await bench.ok(gpg, [...quick, '--quick-add-key', fingerprint, type, 'sign', '0'], { env });
  return fingerprint;
}

for (const gpg of ['gpg', 'gpg-host'] as const) {
  test(
    `keys of ${gpg} ${await peerVersion(gpg)}: skopeo and podman believe what Bulla signs with them`,
    needs('skopeo', 'podman', 'docker-registry', gpg),
    () =>
      onStage(async (stage) => {
        const { bench } = stage;
        const env = homeOf(bench, gpg);
        const kinds = [
          { type: 'rsa3072' },
          { type: 'ed25519' },
          { type: 'nistp256' },
          { type: 'ed25519', subkey: true },
          { type: 'rsa3072', subkey: true },
        ];
        for (const kind of kinds) {
          const fingerprint = await newKey(bench, gpg, env, kind);
          const publicKey = await exportKey(bench, fingerprint, { home: env.GNUPGHOME, gpg });
          const name = await stage.push(`${gpg}/${kind.type}${kind.subkey === true ? '-sub' : ''}:1`);
          const signed = await bench.bulla(
            ['sign', '--tls-verify=false', '--sign-by', fingerprint, `docker://${name}`],
            { env },
          );
          assert.equal(signed.exitCode, 0, signed.stderr);
          await believedByPeers(stage, name, publicKey, fingerprint);
        }
      }),
  );
}

/** Bulla believes the image, for that signer: as a command and with the reason told. */
async function believedByBulla(stage: Stage, name: string, signer: string): Promise<void> {
  const { bench } = stage;
  const policy = writePolicy(bench, 'theirs', [signedBy(await exportKey(bench, signer))]);
  const ours = await askBulla(bench, { image: `docker://${name}`, policy });
  assert.deepEqual([ours.code, ours.key], ['accepted', signer], ours.message);
}

test(
  'what skopeo, podman and gpg sign, Bulla believes',
  needs('skopeo', 'podman', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { bench, digest } = stage;
      for (const type of ['rsa3072', 'ed25519', 'nistp256']) {
        const key = await bench.newGpgKey(`${type} <${type}@example.com>`, { type });
        const name = await stage.push(`skopeo/${type}:1`);
        const again = [`docker://${name}`, `docker://${name}`];
        const plain = ['--quiet', '--src-tls-verify=false', '--dest-tls-verify=false'];
        await bench.ok('skopeo', ['copy', ...plain, '--sign-by', key, ...again]);
        await believedByBulla(stage, name, key);

        const signed = await stage.push(`podman-sign/${type}:1`);
        await bench.ok('podman', ['image', 'sign', '--sign-by', key, `docker://${signed}`]);
        await believedByBulla(stage, signed, key);

        const byGpg = await stage.push(`gpg/${type}:1`);
        const blob = await gpgSign(bench, key, payloadFor(digest, byGpg));
        putSignatures(bench.path('sig'), `gpg/${type}`, digest, [blob]);
        await believedByBulla(stage, byGpg, key);
      }
      const key = await bench.newGpgKey('Pusher <pusher@example.com>', { type: 'ed25519' });
      const source = await stage.push('source:1');
      await bench.ok('podman', ['pull', '-q', '--tls-verify=false', source]);
      const pushed = `${stage.registry.host}/podman/pushed:1`;
      await bench.ok('podman', ['push', '-q', '--tls-verify=false', '--sign-by', key, source, pushed]);
      await believedByBulla(stage, pushed, key);
      assert.equal(storedIn(bench, 'podman/pushed').length, 1);
    }),
);

test('standalone signatures go both ways', needs('skopeo', 'docker-registry', 'gpg'), () =>
  onStage(async ({ bench, manifest, digest }) => {
    const reference = 'registry.example.com/ns/app:v1';
    for (const type of ['rsa3072', 'ed25519', 'nistp256']) {
      const key = await bench.newGpgKey(`${type} <${type}@example.com>`, { type });
      const publicKey = await exportKey(bench, key);
      const [ours, theirs] = [bench.path('ours'), bench.path('theirs')];
      const signed = await bench.bulla(['standalone-sign', manifest, reference, key, '-o', ours]);
      assert.equal(signed.exitCode, 0, signed.stderr);
      const byFile = ['standalone-verify', '--public-key-file', publicKey, manifest, reference];
      assert.match(
        await bench.ok('skopeo', [...byFile, 'any', ours]),
        new RegExp(`${key}, digest ${digest}`),
      );
      await bench.ok('skopeo', ['standalone-sign', '-o', theirs, manifest, reference, key]);
      const verified = await bench.bulla([...byFile, 'any', theirs]);
      assert.equal(verified.exitCode, 0, verified.stderr);
      assert.match(verified.stdout, new RegExp(`${key}, digest ${digest}`));
      if (type !== 'ed25519') continue;
      // both refuse another tag, another manifest and another key in the same way
      writeFileSync(bench.path('other-manifest'), `${readFileSync(manifest, 'utf8')} `);
      const refusals = [
        [...byFile.slice(0, 4), 'registry.example.com/ns/app:v2', 'any'],
        [...byFile.slice(0, 3), bench.path('other-manifest'), reference, 'any'],
        [...byFile, '0123456789ABCDEF0123456789ABCDEF01234567'],
      ];
      for (const args of refusals) {
        assert.equal((await bench.run('skopeo', [...args, ours])).exitCode, 1);
        assert.equal((await bench.bulla([...args, theirs])).exitCode, 1);
      }
    }
  }),
);

test(
  'over TLS, with a user and a password: both ways',
  needs('skopeo', 'docker-registry', 'gpg', 'openssl'),
  async () => {
    await using bench = await openBench();
    const registry = await startRegistry(bench, { tls: true, users: true });
    await writeOciImage(bench.path('image'), { tag: 'v1' });
    useLookaside(bench, `file://${bench.path('sig')}`);
    const certDir = bench.path('certs');
    await bench.ok('/bin/mkdir', [certDir]);
    cpSync(registry.certificates?.ca ?? '', join(certDir, 'ca.crt'));
    const creds = `${registryUser.name}:${registryUser.password}`;
    const login = ['login', '--username', registryUser.name, '--password-stdin', '--cert-dir', certDir];
    const loggedIn = await bench.bulla([...login, registry.host], { input: registryUser.password });
    assert.equal(loggedIn.exitCode, 0, loggedIn.stderr);
    const key = await bench.newGpgKey('Signer <signer@example.com>', { type: 'ed25519' });
    const policy = writePolicy(bench, 'tls', [signedBy(await exportKey(bench, key))]);
    const name = `docker://${registry.host}/ns/app:1`;
    const [ours, theirs] = [`${name}-ours`, `${name}-theirs`];
    // skopeo reads what `bulla login` wrote
    const copy = ['copy', '--quiet', '--dest-cert-dir', certDir, `oci:${bench.path('image')}:v1`];
    await bench.ok('skopeo', [...copy, ours]);
    await bench.ok('skopeo', [...copy, '--sign-by', key, theirs]);
    const question = { policy, certDir, insecure: false } as const;
    const believed = await askBulla(bench, { ...question, image: theirs });
    assert.deepEqual([believed.code, believed.key], ['accepted', key], believed.message);
    const withoutCertificate = await askBulla(bench, { policy, insecure: false, image: theirs });
    assert.deepEqual([withoutCertificate.code, withoutCertificate.exitCode], ['http.certificate-refused', 3]);
    const wrong = await askBulla(bench, { ...question, image: theirs, creds: 'user:wrong' });
    assert.deepEqual([wrong.code, wrong.exitCode], ['registry.unauthorized', 3]);
    const signed = await bench.bulla(['sign', '--sign-by', key, '--cert-dir', certDir, ours]);
    assert.equal(signed.exitCode, 0, signed.stderr);
    assert.deepEqual(await askSkopeo(bench, { ...question, image: ours, creds }), {
      accepted: true,
      message: '',
    });
  },
);

/** Promotions by sigstore keys: cosign 2 and 3, skopeo and podman believe what was signed anew or carried, and cosign reads the lineage. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { writeOciImage } from '../support/oci-image.ts';
import { writePolicy } from '../support/peer-verdicts.ts';
import { needs, type PeerName } from '../support/peers.ts';
import { onPromoteStage, type PromoteStage } from '../support/promote-stage.ts';

const peers: readonly PeerName[] = ['skopeo', 'podman', 'docker-registry', 'gpg', 'openssl'];
const cosigns: readonly PeerName[] = [...peers, 'cosign', 'cosign2'];

type Printed = {
  changed: boolean;
  signatures: { format: string; added: boolean; there?: true }[];
  attestation: { note?: string; added?: boolean };
  carryPolicy?: string;
  instances?: { digest: string }[];
};

/** cosign's key pair; gives the policy.json that believes it. */
async function cosignKey(
  { bench }: PromoteStage,
  name: string,
): Promise<{ key: string; pub: string; policy: string }> {
  await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', name]);
  const pub = bench.path(`${name}.pub`);
  const policy = writePolicy(bench, name, [{ type: 'sigstoreSigned', keyPath: pub }]);
  return { key: bench.path(`${name}.key`), pub, policy };
}

async function promoted(stage: PromoteStage, ...args: readonly string[]): Promise<Printed> {
  const { exitCode, stdout, stderr } = await stage.promote('--json', ...args);
  assert.equal(exitCode, 0, `${stderr}${stdout}`);
  return JSON.parse(stdout) as Printed;
}

/** cosign looks for credentials where Docker keeps them. */
async function logIn({ bench, prod }: PromoteStage): Promise<void> {
  const login = ['login', '--tls-verify=false', '--username', 'user', '--password-stdin', prod.host];
  await bench.ok('skopeo', login, { input: 'correct horse' });
  mkdirSync(bench.path('docker'));
  copyFileSync(bench.path('auth.json'), bench.path('docker', 'config.json'));
}

async function gpgSign({ bench, devKey, from }: PromoteStage): Promise<void> {
  await bench.ok('skopeo', [
    ...['copy', '--quiet', '--all', '--src-tls-verify=false', '--dest-tls-verify=false', '--sign-by', devKey],
    ...[from, from],
  ]);
}

test(
  'by cosign’s key: a .sig, a bundle and the lineage, all of which the peers believe; a second run makes nothing',
  needs(...cosigns),
  () =>
    onPromoteStage(
      async (stage) => {
        const { bench, prod, digest, from, to, devPolicy } = stage;
        await gpgSign(stage);
        const { key, pub, policy } = await cosignKey(stage, 'release');
        const flags = ['--src-policy', devPolicy, '--dest-policy', policy, '--key', key];
        const first = await promoted(stage, ...flags, from, to);
        assert.deepEqual(
          first.signatures.map(({ format, added }) => [format, added]),
          [
            ['cosign', true],
            ['bundle', true],
          ],
        );
        assert.equal(first.attestation.added, true, JSON.stringify(first.attestation));
        assert.equal(await stage.peersAccept(to, policy), true);
        assert.equal(await stage.peersAccept(to, devPolicy), false);
        await logIn(stage);
        const image = `${prod.host}/team/app@${digest}`;
        const asked = ['--key', pub, '--insecure-ignore-tlog=true', '--allow-insecure-registry'];
        for (const cosign of ['cosign', 'cosign2'] as const)
          await bench.ok(cosign, ['verify', ...asked, image]);
        const attested = await bench.ok('cosign', [
          'verify-attestation',
          ...asked,
          '--type',
          'urn:bulla:lineage:v1',
          image,
        ]);
        const [line = ''] = attested.trim().split('\n');
        const { payload } = JSON.parse(line) as { payload: string };
        const statement = JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as {
          predicateType: string;
          subject: { digest: { sha256: string } }[];
          predicate: { source: { reference: string; signers: { store: string }[] } };
        };
        assert.equal(statement.predicateType, 'urn:bulla:lineage:v1');
        assert.equal(statement.subject[0]?.digest.sha256, digest.slice(7));
        assert.equal(statement.predicate.source.reference, from);
        assert.equal(
          statement.predicate.source.signers[0]?.store,
          'a folder',
          'no path of this machine is published',
        );

        const writes = (): number => prod.log().match(/"(?:PUT|POST|PATCH) /g)?.length ?? 0;
        const before = writes();
        const again = await promoted(stage, ...flags, from, to);
        assert.equal(again.changed, false);
        assert.ok(again.signatures.every(({ there }) => there === true));
        assert.equal(again.attestation.added, false);
        assert.equal(writes(), before);
        // on to the next: what hangs on the image goes along, and once
        const next = [
          '--src-policy',
          policy,
          '--src-creds',
          'user:correct horse',
          '--dest-policy',
          policy,
          '--key',
          key,
        ];
        const on = [to, `docker://${prod.host}/next/app:1.4`];
        assert.equal((await promoted(stage, ...next, ...on)).changed, true);
        const later = writes();
        assert.equal((await promoted(stage, ...next, ...on)).changed, false);
        assert.equal(writes(), later);
      },
      { attachments: true },
    ),
);

test(
  'by skopeo’s flag: only a .sig is made, and no lineage that would hide it from cosign 3',
  needs(...cosigns),
  () =>
    onPromoteStage(
      async (stage) => {
        const { bench, prod, digest, from, to } = stage;
        const [dev, release] = [await cosignKey(stage, 'dev'), await cosignKey(stage, 'release')];
        await bench.ok('skopeo', [
          ...['copy', '--quiet', '--src-tls-verify=false', '--dest-tls-verify=false'],
          ...['--sign-by-sigstore-private-key', dev.key, '--sign-passphrase-file', '/dev/null', from, from],
        ]);
        const by = ['--sign-by-sigstore-private-key', release.key, '--sign-passphrase-file', '/dev/null'];
        const flags = ['--src-policy', dev.policy, '--dest-policy', release.policy, ...by];
        const first = await promoted(stage, ...flags, from, to);
        assert.match(first.attestation.note ?? '', /store\.hides-attachment/);
        assert.equal(await stage.peersAccept(to, release.policy), true);
        assert.equal(await stage.peersAccept(to, dev.policy), false);
        const again = await promoted(stage, ...flags, from, to);
        assert.equal(again.changed, false);

        await logIn(stage);
        for (const { pub } of [dev, release])
          await bench.ok('cosign', [
            ...['verify', '--key', pub, '--insecure-ignore-tlog=true', '--allow-insecure-registry'],
            `${prod.host}/team/app@${digest}`,
          ]);

        // what skopeo signed for the old name is accepted under the new one
        const other = `docker://${prod.host}/carried/app:1.4`;
        const carried = await promoted(stage, '--mode', 'carry', '--policy', dev.policy, from, other);
        assert.match(carried.carryPolicy ?? '', /"remapIdentity"/);
        writeFileSync(bench.path('carried.json'), carried.carryPolicy ?? '');
        assert.equal(await stage.peersAccept(other, bench.path('carried.json')), true);
        assert.equal(await stage.peersAccept(other, dev.policy), false);
      },
      { attachments: true },
    ),
);

test(
  'carried: cosign names a repository only, which remapIdentity cannot say; exactRepository does',
  needs(...cosigns),
  () =>
    onPromoteStage(
      async (stage) => {
        const { bench, dev: registry, digest, from, to } = stage;
        const dev = await cosignKey(stage, 'dev');
        await bench.ok('cosign2', [
          ...['sign', '--key', dev.key, '--tlog-upload=false', `${registry.host}/team/app@${digest}`],
        ]);
        const policy = writePolicy(bench, 'by-repository', [
          { type: 'sigstoreSigned', keyPath: dev.pub, signedIdentity: { type: 'matchRepository' } },
        ]);
        const carried = await promoted(stage, '--mode', 'carry', '--policy', policy, from, to);
        assert.match(carried.carryPolicy ?? '', /"exactRepository"/);
        writeFileSync(bench.path('carried.json'), carried.carryPolicy ?? '');
        assert.equal(await stage.peersAccept(to, bench.path('carried.json')), true);
        assert.equal(await stage.peersAccept(to, policy), false);
      },
      { attachments: true },
    ),
);

/** A list of three platforms as `team/app:1.4`; gives its digest. */
async function pushList({
  bench,
  dev,
}: PromoteStage): Promise<{ digest: string; instances: readonly string[] }> {
  const manifests: object[] = [];
  const instances: string[] = [];
  for (const architecture of ['amd64', 'arm64', 's390x']) {
    const folder = bench.path(architecture);
    const made = await writeOciImage(folder, { tag: 'v1', files: { 'a.txt': architecture } });
    const to = `docker://${dev.host}/team/app:${architecture}`;
    await bench.ok('skopeo', ['copy', '--quiet', '--dest-tls-verify=false', `oci:${folder}:v1`, to]);
    instances.push(made.digest);
    manifests.push({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: made.digest,
      size: made.manifest.length,
      platform: { os: 'linux', architecture },
    });
  }
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const put = await fetch(`${dev.url}/v2/team/app/manifests/1.4`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: JSON.stringify({ schemaVersion: 2, mediaType, manifests }),
  });
  assert.equal(put.status, 201);
  return { digest: put.headers.get('docker-content-digest') ?? '', instances };
}

test(
  'a list goes as a whole, each instance judged; one that the policy refuses keeps all of it back',
  needs(...peers),
  () =>
    onPromoteStage(async (stage) => {
      const { bench, prod, from, to, prodKey, devPolicy, prodPolicy } = stage;
      const { digest, instances } = await pushList(stage);
      await gpgSign(stage);
      const flags = ['--src-policy', devPolicy, '--dest-policy', prodPolicy, '--sign-by', prodKey];
      const first = await promoted(stage, ...flags, from, to);
      assert.equal(await stage.meaning('team/app', '1.4'), digest);
      assert.deepEqual(
        first.instances?.map((each) => each.digest),
        instances,
      );
      assert.equal(first.signatures.length, 4, 'each instance and the list');
      await bench.ok('skopeo', [
        ...['copy', '--quiet', '--all', '--policy', prodPolicy, '--src-tls-verify=false'],
        ...['--src-creds', 'user:correct horse', to, `dir:${bench.path('all')}`],
      ]);
      const writes = (): number => prod.log().match(/"(?:PUT|POST|PATCH) /g)?.length ?? 0;
      const before = writes();
      const again = await promoted(stage, ...flags, from, to);
      assert.equal(again.changed, false);
      assert.equal(writes(), before);

      const [victim = ''] = instances;
      rmSync(bench.path('sig', 'dev', 'team', `app@${victim.replace(':', '=')}`), { recursive: true });
      const other = `docker://${prod.host}/other/app:1.4`;
      const refused = await stage.promote(...flags, from, other);
      assert.equal(refused.exitCode, 1, refused.stderr);
      assert.match(refused.stdout, new RegExp(`refused linux/amd64 ${victim}`));
      assert.doesNotMatch(prod.log(), /other\/app\/(?:blobs|manifests)[^"]*" 20[12]/);
    }),
);

const launcher = fileURLToPath(new URL('../../bin/bulla.js', import.meta.url));

test(
  'killed at any moment, the next run completes it; the name never means what is not verified',
  needs(...peers),
  () =>
    onPromoteStage(async (stage) => {
      const { bench, prod, digest, from, to, prodKey, devPolicy, prodPolicy } = stage;
      await gpgSign(stage);
      const flags = ['--src-policy', devPolicy, '--dest-policy', prodPolicy, '--sign-by', prodKey];
      const reach = [
        '--src-tls-verify=false',
        '--dest-tls-verify=false',
        '--dest-creds',
        'user:correct horse',
      ];
      // what has happened when it is ended: the first upload, the first manifest, the first signature
      const moments = [
        () => /"POST \/v2\/team\/app\/blobs/.test(prod.log()),
        () => /"PUT \/v2\/team\/app\/manifests\/sha256/.test(prod.log()),
        () =>
          readdirSync(bench.path('sig', 'prod'), { recursive: true }).some((each) =>
            /signature-/.test(String(each)),
          ),
      ];
      for (const isTime of moments) {
        const child = spawn(process.execPath, [launcher, 'promote', ...reach, ...flags, from, to], {
          cwd: bench.folder,
          env: bench.env,
          stdio: 'ignore',
        });
        const ended = once(child, 'exit');
        while (!isTime() && child.exitCode === null) await new Promise((next) => setImmediate(next));
        child.kill('SIGKILL');
        await ended;
        const meaning = await stage.meaning('team/app', '1.4');
        if (meaning !== undefined) assert.equal(await stage.peersAccept(to, prodPolicy), true);
      }
      await promoted(stage, ...flags, from, to);
      assert.equal(await stage.meaning('team/app', '1.4'), digest);
      assert.equal(await stage.peersAccept(to, prodPolicy), true);
      assert.equal((await promoted(stage, ...flags, from, to)).changed, false);
    }),
);

/** Sigstore signatures as attachments, made and believed both ways with skopeo, podman and cosign 2 and 3. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { parseImageName } from '../../src/base/image-name.ts';
import { parseReference } from '../../src/base/reference.ts';
import { openSigstoreKeyFile } from '../../src/keys/open-key-file.ts';
import { sign } from '../../src/operations/sign.ts';
import { openWorld } from '../../src/operations/world.ts';
import { systemEnvironment } from '../../src/registry/environment.ts';
import { serveRegistry } from '../../src/servers/registry/serve.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { askBulla, askSkopeo, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, peerVersion } from '../support/peers.ts';

type Stage = {
  readonly bench: Bench;
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly registry: RealRegistry;
  readonly digest: string;
  /** Pushes the image under that name (`ns/app:1`); gives it with its registry. */
  push(name: string): Promise<string>;
};

const passphrase = 'correct horse';

function configure(bench: Bench, attachments: boolean): void {
  const lines = ['default-docker:', `  lookaside: file://${bench.path('sig')}`];
  if (attachments) lines.push('  use-sigstore-attachments: true');
  writeFileSync(join(bench.config, 'registries.d', 'default.yaml'), `${lines.join('\n')}\n`);
}

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  const { host } = registry;
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  configure(bench, true);
  writeFileSync(bench.path('pass'), `${passphrase}\n`);
  const push = async (name: string): Promise<string> => {
    const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`];
    await bench.ok('skopeo', [...copy, `docker://${host}/${name}`]);
    return `${host}/${name}`;
  };
  await run({ bench, host, registry, digest, push });
}

type KeyPair = { readonly private: string; readonly public: string };

/** Makes a key pair with each program that can. */
const makers = {
  bulla: async (bench: Bench, name: string): Promise<KeyPair> => {
    const args = ['--output-prefix', bench.path(name), '--passphrase-file', bench.path('pass')];
    const made = await bench.bulla(['key', 'generate', 'sigstore', ...args]);
    assert.equal(made.exitCode, 0, made.stderr);
    return { private: bench.path(`${name}.private`), public: bench.path(`${name}.pub`) };
  },
  skopeo: async (bench: Bench, name: string): Promise<KeyPair> => {
    const args = ['--output-prefix', bench.path(name), '--passphrase-file', bench.path('pass')];
    await bench.ok('skopeo', ['generate-sigstore-key', ...args]);
    return { private: bench.path(`${name}.private`), public: bench.path(`${name}.pub`) };
  },
  cosign: async (bench: Bench, name: string): Promise<KeyPair> => {
    await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', name], cosignEnv);
    return { private: bench.path(`${name}.key`), public: bench.path(`${name}.pub`) };
  },
} as const;

const cosignEnv = { env: { COSIGN_PASSWORD: passphrase, COSIGN_YES: 'true' } };

async function skopeoSigns(
  skopeo: 'skopeo' | 'skopeo-1.18',
  { bench }: Stage,
  name: string,
  key: KeyPair,
): Promise<void> {
  const plain = ['--quiet', '--src-tls-verify=false', '--dest-tls-verify=false'];
  const by = ['--sign-by-sigstore-private-key', key.private, '--sign-passphrase-file', bench.path('pass')];
  await bench.ok(skopeo, ['copy', ...plain, ...by, `docker://${name}`, `docker://${name}`]);
}

/** Signs with each program that can, in the old format. */
const signers = {
  bulla: async ({ bench }: Stage, name: string, key: KeyPair): Promise<void> => {
    const signed = await bench.bulla(signArguments(bench, name, key));
    assert.equal(signed.exitCode, 0, signed.stderr);
  },
  skopeo: (stage: Stage, name: string, key: KeyPair): Promise<void> =>
    skopeoSigns('skopeo', stage, name, key),
  'skopeo-1.18': (stage: Stage, name: string, key: KeyPair): Promise<void> =>
    skopeoSigns('skopeo-1.18', stage, name, key),
  podman: async ({ bench }: Stage, name: string, key: KeyPair): Promise<void> => {
    const by = ['--sign-by-sigstore-private-key', key.private, '--sign-passphrase-file', bench.path('pass')];
    await bench.ok('podman', ['pull', '-q', '--tls-verify=false', name]);
    await bench.ok('podman', ['push', '-q', '--tls-verify=false', ...by, name]);
  },
  cosign: async ({ bench, digest }: Stage, name: string, key: KeyPair): Promise<void> => {
    const old = ['--new-bundle-format=false', '--use-signing-config=false', '--tlog-upload=false'];
    await bench.ok('cosign', ['sign', '--key', key.private, ...old, atDigest(name, digest)], cosignEnv);
  },
  cosign2: async ({ bench, digest }: Stage, name: string, key: KeyPair): Promise<void> => {
    const image = atDigest(name, digest);
    await bench.ok('cosign2', ['sign', '--key', key.private, '--tlog-upload=false', image], cosignEnv);
  },
} as const;

function signArguments(bench: Bench, name: string, key: KeyPair): readonly string[] {
  const by = ['--sign-by-sigstore-private-key', key.private, '--sign-passphrase-file', bench.path('pass')];
  return ['sign', '--quiet', '--tls-verify=false', ...by, `docker://${name}`];
}

function atDigest(name: string, digest: string): string {
  return `${name.slice(0, name.lastIndexOf(':'))}@${digest}`;
}

function sigstoreSigned(keyPath: string, identity?: string): object {
  const signedIdentity = identity === undefined ? {} : { signedIdentity: { type: identity } };
  return { type: 'sigstoreSigned', keyPath, ...signedIdentity };
}

/** The layers of the image's `.sig`, in their order; none where there is none. */
async function layersOf(host: string, path: string, digest: string): Promise<readonly unknown[]> {
  const response = await fetch(sigUrl(host, path, digest), { headers: { accept: ociManifest } });
  if (response.status === 404) return [];
  const { layers } = (await response.json()) as { readonly layers: readonly unknown[] };
  return layers;
}

const ociManifest = 'application/vnd.oci.image.manifest.v1+json';

function sigUrl(host: string, path: string, digest: string): string {
  return `http://${host}/v2/${path}/manifests/${digest.replace(':', '-')}.sig`;
}

/** Whom policy judges, and both judges must say the same: skopeo and Bulla. */
async function bothSay(stage: Stage, name: string, policy: string, accepted: boolean): Promise<void> {
  const question = { image: `docker://${name}`, policy };
  const [ours, theirs] = [await askBulla(stage.bench, question), await askSkopeo(stage.bench, question)];
  const versions = `skopeo ${await peerVersion('skopeo')}`;
  assert.deepEqual(
    [ours.accepted, theirs.accepted],
    [accepted, accepted],
    `${ours.message}\n${versions}: ${theirs.message}`,
  );
  if (!accepted) assert.equal(ours.exitCode, 1, ours.message);
}

for (const maker of ['bulla', 'skopeo', 'cosign'] as const) {
  test(
    `what Bulla signs with a key of ${maker}: skopeo, podman and both cosigns believe it`,
    needs('skopeo', 'podman', 'docker-registry', 'cosign', 'cosign2'),
    () =>
      onStage(async (stage) => {
        const { bench } = stage;
        const key = await makers[maker](bench, 'key');
        const name = await stage.push('ours/app:1');
        await signers.bulla(stage, name, key);
        const policy = writePolicy(bench, 'by-key', [sigstoreSigned(key.public)]);
        await bothSay(stage, name, policy, true);
        await bench.ok('podman', ['pull', '-q', '--tls-verify=false', '--signature-policy', policy, name]);
        for (const cosign of ['cosign', 'cosign2'] as const) {
          const verify = ['verify', '--key', key.public, '--insecure-ignore-tlog=true', name];
          const claims = JSON.parse(await bench.ok(cosign, verify)) as readonly object[];
          assert.equal(claims.length, 1);
        }
      }),
  );
}

for (const signer of ['skopeo', 'skopeo-1.18', 'podman', 'cosign', 'cosign2'] as const) {
  test(
    `what ${signer} ${await peerVersion(signer)} signs, Bulla believes`,
    needs('skopeo', 'docker-registry', signer),
    () =>
      onStage(async (stage) => {
        const { bench } = stage;
        const key = await makers.bulla(bench, 'key');
        const name = await stage.push('theirs/app:1');
        await signers[signer](stage, name, key);
        // cosign signs for the repository; only this identity takes that
        const namesTag = !signer.startsWith('cosign');
        const identity = namesTag ? undefined : 'matchRepository';
        await bothSay(stage, name, writePolicy(bench, 'fits', [sigstoreSigned(key.public, identity)]), true);
        const strict = writePolicy(bench, 'strict', [sigstoreSigned(key.public)]);
        await bothSay(stage, name, strict, namesTag);
        const byKey = await bench.bulla(['verify', '--tls-verify=false', '--key', key.public, name]);
        assert.equal(byKey.exitCode, 0, byKey.stdout + byKey.stderr);
      }),
  );
}

test('another key, tag or digest is refused, here as by skopeo', needs('skopeo', 'docker-registry'), () =>
  onStage(async (stage) => {
    const { bench, host, digest } = stage;
    const [key, other] = [await makers.bulla(bench, 'key'), await makers.skopeo(bench, 'other')];
    const name = await stage.push('ns/app:1');
    await signers.bulla(stage, name, key);
    const policy = writePolicy(bench, 'right', [sigstoreSigned(key.public)]);
    await bothSay(stage, name, policy, true);
    await bothSay(stage, name, writePolicy(bench, 'wrong', [sigstoreSigned(other.public)]), false);
    const secondTag = await stage.push('ns/app:2');
    await bothSay(stage, secondTag, policy, false);
    // the signatures of one image under the tag of another one's
    const second = await writeOciImage(bench.path('second'), { tag: 'v1', files: { 'b.txt': 'b\n' } });
    const third = `${host}/ns/app:3`;
    const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('second')}:v1`];
    await bench.ok('skopeo', [...copy, `docker://${third}`]);
    const moved = await fetch(sigUrl(host, 'ns/app', digest), { headers: { accept: ociManifest } });
    const put = await fetch(sigUrl(host, 'ns/app', second.digest), {
      method: 'PUT',
      headers: { 'content-type': ociManifest },
      body: await moved.arrayBuffer(),
    });
    assert.equal(put.status, 201);
    const anyTag = writePolicy(bench, 'any-tag', [sigstoreSigned(key.public, 'matchRepository')]);
    await bothSay(stage, secondTag, anyTag, true);
    await bothSay(stage, third, anyTag, false);
    const byKey = await bench.bulla(['verify', '--tls-verify=false', '--key', key.public, third]);
    assert.match(byKey.stdout, /\[signature\.wrong-digest\]/);
    assert.equal(byKey.exitCode, 1);
  }),
);

test(
  'signatures of all programs stand side by side, whoever came first',
  needs('skopeo', 'docker-registry', 'cosign', 'cosign2'),
  () =>
    onStage(async (stage) => {
      const { bench, host, digest } = stage;
      const orders = [
        ['bulla', 'cosign', 'skopeo', 'cosign2', 'bulla'],
        ['skopeo', 'bulla', 'cosign2', 'bulla', 'cosign'],
      ] as const;
      const names = ['bulla', 'skopeo', 'cosign', 'cosign2'] as const;
      const keys = new Map<string, KeyPair>();
      for (const name of names) keys.set(name, await makers.bulla(bench, name));
      const keyOf = (name: string): KeyPair => keys.get(name) ?? { private: '', public: '' };
      for (const [n, order] of orders.entries()) {
        const name = await stage.push(`order${n}/app:1`);
        let before: readonly unknown[] = [];
        for (const [index, signer] of order.entries()) {
          await signers[signer](stage, name, keyOf(signer));
          const now = await layersOf(host, `order${n}/app`, digest);
          assert.deepEqual(now.slice(0, before.length), before, `${signer} changed what was there`);
          assert.equal(now.length, index + 1, `${signer} signs as number ${index + 1}`);
          before = now;
        }
        for (const signer of names) {
          const requirement = sigstoreSigned(keyOf(signer).public, 'matchRepository');
          await bothSay(stage, name, writePolicy(bench, signer, [requirement]), true);
          const verify = ['verify', '--key', keyOf(signer).public, '--insecure-ignore-tlog=true', name];
          await bench.ok('cosign', verify);
        }
      }
    }),
);

test(
  'where attachments are off skopeo sees none, and Bulla writes none',
  needs('skopeo', 'docker-registry'),
  () =>
    onStage(async (stage) => {
      const { bench, host, registry, digest } = stage;
      const key = await makers.bulla(bench, 'key');
      const name = await stage.push('off/app:1');
      const policy = writePolicy(bench, 'by-key', [sigstoreSigned(key.public)]);
      await signers.bulla(stage, name, key);
      configure(bench, false);
      await bothSay(stage, name, policy, false);
      // a key by hand is not podman's policy: it looks in any case
      const byKey = await bench.bulla(['verify', '--tls-verify=false', '--key', key.public, name]);
      assert.equal(byKey.exitCode, 0, byKey.stdout + byKey.stderr);
      const before = registry.log();
      const refused = await bench.bulla(signArguments(bench, name, key));
      assert.equal(refused.exitCode, 2);
      assert.match(
        refused.stderr,
        /\[store\.attachments-off\]\nhint: add "use-sigstore-attachments: true" to default-docker in /,
      );
      const requests = registry.log().slice(before.length);
      assert.doesNotMatch(requests, /"(?:PUT|POST|PATCH) /);
      assert.equal((await layersOf(host, 'off/app', digest)).length, 1);
    }),
);

/**
 * Twenty at once in this process, and three processes beside them that share no runtime folder with it,
 * so that they take turns with nobody, as on other machines.
 */
async function manySigners(bench: Bench, host: string, digest: string): Promise<void> {
  const key = await makers.bulla(bench, 'key');
  const name = `${host}/many/app:1`;
  const environment = {
    ...systemEnvironment(),
    env: bench.env,
    home: bench.path('home'),
    etc: bench.path('etc'),
  };
  const registriesDFolder = join(bench.config, 'registries.d');
  await using world = openWorld({ environment, registriesDFolder, tlsVerify: false });
  const signer = await openSigstoreKeyFile(key.private, { env: {}, passphrase: { given: passphrase } });
  const here = Array.from({ length: 20 }, (_, n) => {
    const identities = [parseReference(`${host}/many/app:by-${n}`)];
    return sign({ image: parseImageName(`docker://${name}`), signers: [signer], identities }, world);
  });
  const beside = Array.from({ length: 3 }, () => bench.bulla(signArguments(bench, name, key)));
  const receipts = await Promise.all(here);
  for (const { exitCode, stderr } of await Promise.all(beside)) assert.equal(exitCode, 0, stderr);
  const layers = await layersOf(host, 'many/app', digest);
  // processes that sign for the same tag in the same second still make signatures of their own (ECDSA)
  assert.equal(layers.length, 23);
  const locations = receipts.flatMap(({ signatures }) => signatures.map(({ location }) => location));
  assert.equal(new Set(locations).size, 20);
}

test(
  'many sign at once at docker-registry, and no signature is lost',
  needs('skopeo', 'docker-registry'),
  () =>
    onStage(async (stage) => {
      await stage.push('many/app:1');
      await manySigners(stage.bench, stage.host, stage.digest);
    }),
);

test('many sign at once at the embedded registry, and no signature is lost', needs('skopeo'), async () => {
  await using bench = await openBench();
  await using registry = await serveRegistry({ host: '127.0.0.1', port: 0 });
  const { host } = new URL(registry.url);
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  configure(bench, true);
  writeFileSync(bench.path('pass'), `${passphrase}\n`);
  const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`];
  await bench.ok('skopeo', [...copy, `docker://${host}/many/app:1`]);
  await manySigners(bench, host, digest);
});

/** What was asked of the registry since its log had that length: method and what of it. */
function requestsSince(registry: RealRegistry, length: number): readonly string[] {
  const lines = registry
    .log()
    .slice(length)
    .matchAll(/"(GET|HEAD|PUT|POST|PATCH) (\/v2\/[^ ?"]*)[^"]*" \d/g);
  return [...lines].map(([, method = '', path = '']) => {
    const kind =
      path === '/v2/'
        ? 'ping'
        : path.endsWith('.sig')
          ? 'sig'
          : (/\/(manifests|blobs|referrers)\//.exec(path)?.[1] ?? path);
    return `${method} ${kind}`;
  });
}

test(
  'a verdict on one attachment takes four requests, as many as skopeo and cosign need at least',
  needs('skopeo', 'docker-registry'),
  () =>
    onStage(async (stage) => {
      const { bench, registry } = stage;
      const key = await makers.bulla(bench, 'key');
      const name = await stage.push('ns/app:1');
      const before = registry.log().length;
      await signers.bulla(stage, name, key);
      assert.deepEqual(requestsSince(registry, before).toSorted(), [
        ...['GET manifests', 'GET ping', 'GET sig', 'GET sig', 'GET sig'],
        ...['POST blobs', 'POST blobs', 'PUT blobs', 'PUT blobs', 'PUT sig'],
      ]);
      const policy = writePolicy(bench, 'by-key', [sigstoreSigned(key.public)]);
      const least = ['GET blobs', 'GET manifests', 'GET sig'];
      // by a policy the registry may be one that keeps GPG signatures itself, which the ping tells; a key may have signed a
      // bundle, which is looked for at the same time
      for (const [by, requests] of [
        [
          ['--policy', policy],
          [...least, 'GET ping'],
        ],
        [
          ['--key', key.public],
          [...least, 'GET referrers'],
        ],
      ] as const) {
        const start = registry.log().length;
        const verified = await bench.bulla(['verify', '--tls-verify=false', ...by, name]);
        assert.equal(verified.exitCode, 0, verified.stdout + verified.stderr);
        assert.deepEqual(requestsSince(registry, start).toSorted(), requests.toSorted());
      }
    }),
);

test(
  'inspect lists attachments beside GPG signatures, with what they say and how they fare',
  needs('skopeo', 'docker-registry', 'gpg', 'cosign2'),
  () =>
    onStage(async (stage) => {
      const { bench } = stage;
      const [key, other] = [await makers.bulla(bench, 'key'), await makers.bulla(bench, 'other')];
      const gpg = await bench.newGpgKey('Gpg <gpg@example.com>', { type: 'ed25519' });
      const name = await stage.push('ns/app:1');
      const plain = await bench.bulla(['sign', '--quiet', '--tls-verify=false', '--sign-by', gpg, name]);
      assert.equal(plain.exitCode, 0, plain.stderr);
      await signers.bulla(stage, name, key);
      await signers.cosign2(stage, name, other);
      const seen = await bench.bulla(['inspect', '--json', '--tls-verify=false', '--key', key.public, name]);
      assert.equal(seen.exitCode, 0, seen.stderr);
      const { manifests } = JSON.parse(seen.stdout) as {
        readonly manifests: readonly { readonly signatures: readonly Record<string, unknown>[] }[];
      };
      const found = manifests[0]?.signatures ?? [];
      assert.deepEqual(
        found.map(({ format }) => format),
        ['simple', 'cosign', 'cosign'],
      );
      const untrusted = found.map((each) => each['untrusted'] as Record<string, unknown>);
      assert.equal(untrusted[1]?.['identity'], name);
      assert.match(String(untrusted[1]?.['creator']), /^bulla /);
      assert.equal(untrusted[2]?.['identity'], name.replace(/:1$/, ''));
      const verdicts = found.map((each) => (each['verdict'] as { readonly code: string }).code);
      assert.deepEqual(verdicts, ['signature.wrong-type', 'accepted', 'signature.invalid']);
    }),
);

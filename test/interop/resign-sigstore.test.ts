/** Rotations of sigstore keys: what cosign 2, cosign 3, skopeo and podman made by the old key they accept by the new one. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, type PeerName } from '../support/peers.ts';
import { openSigstack } from '../support/sigstack.ts';

type KeyPair = { readonly private: string; readonly public: string };
type Stage = {
  readonly bench: Bench;
  readonly registry: RealRegistry;
  readonly old: KeyPair;
  readonly next: KeyPair;
};

const cosignEnv = { env: { COSIGN_PASSWORD: '' } };

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  const file = join(bench.config, 'registries.d', 'default.yaml');
  writeFileSync(file, 'default-docker:\n  use-sigstore-attachments: true\n');
  writeFileSync(bench.path('pass'), '\n');
  const [old, next] = [await makeKey(bench, 'old'), await makeKey(bench, 'next')];
  await run({ bench, registry, old, next });
}

async function makeKey(bench: Bench, name: string): Promise<KeyPair> {
  await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', name], cosignEnv);
  return { private: bench.path(`${name}.key`), public: bench.path(`${name}.pub`) };
}

/** An image of its own; gives `host/name` and that by digest. */
async function push(
  { bench, registry }: Stage,
  name: string,
  more: readonly string[] = [],
): Promise<{ readonly image: string; readonly pinned: string }> {
  const folder = bench.path(`image-${name.replaceAll(/\W/g, '-')}`);
  const { digest } = await writeOciImage(folder, { tag: 'v1', files: { 'hello.txt': name } });
  const image = `${registry.host}/${name}`;
  const to = ['--dest-tls-verify=false', ...more, `oci:${folder}:v1`, `docker://${image}`];
  await bench.ok('skopeo', ['copy', '--quiet', ...to]);
  return { image, pinned: `${image.slice(0, image.lastIndexOf(':'))}@${digest}` };
}

const oldStyle = ['--new-bundle-format=false', '--use-signing-config=false', '--tlog-upload=false'];
const bundleStyle = ['--new-bundle-format=true', '--use-signing-config=false', '--tlog-upload=false'];

async function cosignAccepts(
  { bench }: Stage,
  key: KeyPair,
  image: string,
  program: PeerName = 'cosign',
  more: readonly string[] = [],
): Promise<boolean> {
  const flags = ['verify', '--key', key.public, '--insecure-ignore-tlog=true', ...more, image];
  return (await bench.run(program, flags)).exitCode === 0;
}

async function skopeoAccepts({ bench }: Stage, policy: string, image: string): Promise<boolean> {
  const args = ['copy', '--quiet', '--policy', policy, '--src-tls-verify=false', `docker://${image}`];
  const out = bench.path(`out-${Math.random().toString(36).slice(2)}`);
  return (await bench.run('skopeo', [...args, `dir:${out}`])).exitCode === 0;
}

async function podmanAccepts({ bench }: Stage, policy: string, image: string): Promise<boolean> {
  const flags = ['pull', '--quiet', '--tls-verify=false', '--signature-policy', policy, image];
  const { exitCode } = await bench.run('podman', flags);
  await bench.run('podman', ['rmi', '--force', image]);
  return exitCode === 0;
}

type Receipt = {
  readonly images: readonly {
    readonly names: readonly string[];
    readonly state: string;
    readonly signatures: readonly { readonly format: string; readonly identity: string }[];
    readonly reason?: { readonly code: string };
  }[];
};

async function resign(
  { bench, registry, old, next }: Stage,
  policy: string,
  ...more: readonly string[]
): Promise<{
  readonly exitCode: number;
  readonly told: Readonly<Record<string, string>>;
  readonly receipt: Receipt;
}> {
  const keys = ['--from', old.public, '--to', next.private, '--sign-passphrase-file', bench.path('pass')];
  const args = ['resign', '--tls-verify=false', '--json', '--policy', policy, ...keys, ...more];
  const { exitCode, stdout, stderr } = await bench.bulla([...args, `${registry.host}/`]);
  assert.notEqual(stdout, '', stderr);
  const receipt = JSON.parse(stdout) as Receipt;
  const told = receipt.images.map(({ names, state, reason, signatures }) => {
    const what = signatures
      .map(({ format }) => format)
      .toSorted()
      .join(' ');
    const [name = ''] = names;
    return [name.slice(name.indexOf('/') + 1), [state, what, reason?.code ?? ''].join(' ').trim()] as const;
  });
  return { exitCode, receipt, told: Object.fromEntries(told) };
}

function sigstoreSigned(key: KeyPair): object {
  return { type: 'sigstoreSigned', keyPath: key.public, signedIdentity: { type: 'matchRepository' } };
}

test(
  'by a policy.json: .sig of cosign 2, cosign 3 and skopeo, and bundles beside them',
  needs('skopeo', 'podman', 'cosign', 'cosign2', 'docker-registry'),
  () =>
    onStage(async (stage) => {
      const { bench, old, next } = stage;
      const third = await makeKey(bench, 'third');
      const skopeo = await push(stage, 'ns/skopeo:1', [
        ...['--sign-by-sigstore-private-key', old.private, '--sign-passphrase-file', bench.path('pass')],
      ]);
      const cosign2 = await push(stage, 'ns/cosign2:1');
      await bench.ok(
        'cosign2',
        ['sign', '--key', old.private, '--tlog-upload=false', cosign2.pinned],
        cosignEnv,
      );
      const both = await push(stage, 'ns/both:1');
      const says = ['-a', 'stage=release'];
      await bench.ok('cosign', ['sign', '--key', old.private, ...oldStyle, ...says, both.pinned], cosignEnv);
      await bench.ok(
        'cosign',
        ['sign', '--key', old.private, ...bundleStyle, ...says, both.pinned],
        cosignEnv,
      );
      const bundle = await push(stage, 'ns/bundle:1');
      await bench.ok('cosign', ['sign', '--key', old.private, ...bundleStyle, bundle.pinned], cosignEnv);
      const other = await push(stage, 'ns/third:1');
      await bench.ok('cosign', ['sign', '--key', third.private, ...oldStyle, other.pinned], cosignEnv);
      const bare = await push(stage, 'ns/bare:1');

      const oldPolicy = writePolicy(bench, 'old', [sigstoreSigned(old)]);
      const nextPolicy = writePolicy(bench, 'next', [sigstoreSigned(next)]);
      const { told, receipt } = await resign(stage, oldPolicy, '--yes');
      assert.deepEqual(told, {
        'ns/skopeo:1': 'signed cosign',
        'ns/cosign2:1': 'signed cosign',
        'ns/both:1': 'signed bundle cosign',
        // a policy.json sees no bundle, so it does not accept the image
        'ns/bundle:1': 'refused  trust.no-signature',
        'ns/third:1': 'not-by-old  resign.not-by-old',
        'ns/bare:1': 'not-by-old  resign.not-by-old',
      });
      const named = receipt.images.find(({ names }) => names[0] === cosign2.image);
      assert.equal(
        named?.signatures[0]?.identity,
        cosign2.image,
        'a repository alone gets the tag it was found under',
      );

      for (const { image } of [skopeo, cosign2, both, bundle, other, bare]) {
        assert.equal(
          await skopeoAccepts(stage, nextPolicy, image),
          await skopeoAccepts(stage, oldPolicy, image),
          image,
        );
      }
      for (const { image } of [skopeo, cosign2, both]) {
        assert.equal(await podmanAccepts(stage, nextPolicy, image), true, image);
        assert.equal(await cosignAccepts(stage, next, image, 'cosign2'), true, image);
        assert.equal(await cosignAccepts(stage, next, image), true, `cosign 3: ${image}`);
        assert.equal(await cosignAccepts(stage, old, image), true, 'old signatures stay');
      }
      for (const key of [old, next]) {
        for (const style of ['--new-bundle-format=false', '--new-bundle-format=true']) {
          const ask = (what: string): Promise<boolean> =>
            cosignAccepts(stage, key, both.image, 'cosign', [style, '-a', what]);
          assert.equal(await ask('stage=release'), true, `${style}: what was said besides is said again`);
          assert.equal(await ask('stage=test'), false);
        }
      }
      for (const { image } of [bundle, other, bare]) {
        assert.equal(await cosignAccepts(stage, next, image), false, image);
      }
      const again = await resign(stage, oldPolicy, '--yes');
      assert.equal(again.told['ns/both:1'], 'there bundle cosign');

      // a trust.yaml sees bundles, and looks everywhere
      const trust = bench.path('trust.yaml');
      writeFileSync(
        trust,
        `apiVersion: bulla/v1\nsigners:\n  release: { type: sigstoreKey, keyPath: ${old.public} }\ndefault:\n  - type: signed\n    by: release\n    signedIdentity: { type: matchRepository }\n`,
      );
      const withBundles = await resign(stage, trust, '--yes');
      assert.equal(withBundles.told['ns/bundle:1'], 'signed bundle', JSON.stringify(withBundles.receipt));
      assert.equal(await cosignAccepts(stage, next, bundle.image), true);
      assert.equal(await cosignAccepts(stage, next, other.image), false);
    }),
);

test(
  'a stolen key: what a real Rekor has seen before counts, by its key or a trusted root, and nothing else',
  needs('sigstack', 'cosign', 'skopeo', 'docker-registry'),
  () =>
    onStage(async (stage) => {
      const { bench, old, next } = stage;
      await using stack = await openSigstack();
      const sign = async (image: string, ...how: readonly string[]): Promise<void> => {
        await bench.ok('cosign', ['sign', '--key', old.private, '-y', ...how, image], cosignEnv);
      };
      const logged = [
        '--new-bundle-format=false',
        '--use-signing-config=false',
        '--rekor-url',
        stack.urls.rekor,
      ];
      const timeOf = async (image: string): Promise<number> => {
        const by = ['--key', old.public, '--trusted-root', stack.trustedRoot];
        const { stdout } = await bench.bulla(['verify', '--tls-verify=false', '--json', ...by, image]);
        const [verdict] = JSON.parse(stdout) as [{ requirements: [{ signatures: [{ times: [string] }] }] }];
        return Date.parse(verdict.requirements[0].signatures[0].times[0]);
      };
      const env = { env: { COSIGN_PASSWORD: '', SIGSTORE_REKOR_PUBLIC_KEY: stack.keys.rekor } };
      const early = await push(stage, 'ns/early:1');
      await bench.ok('cosign', ['sign', '--key', old.private, '-y', ...logged, early.pinned], env);
      const bundled = await push(stage, 'ns/bundled:1');
      await sign(
        bundled.pinned,
        ...['--signing-config', stack.signingConfigs.rekor1, '--trusted-root', stack.trustedRoot],
      );
      const unlogged = await push(stage, 'ns/unlogged:1');
      await sign(unlogged.pinned, ...oldStyle);
      const last = Math.max(await timeOf(early.image), await timeOf(bundled.image));
      // the log counts whole seconds: the first image of a later one is the thief's
      let late = await push(stage, 'ns/late:1');
      for (let n = 2; ; n += 1) {
        await bench.ok('cosign', ['sign', '--key', old.private, '-y', ...logged, late.pinned], env);
        if ((await timeOf(late.image)) > last) break;
        assert.ok(n < 10, 'the log’s time does not pass');
        late = await push(stage, `ns/late:${n}`);
      }
      const since = new Date(await timeOf(late.image)).toISOString();
      const trust = bench.path('trust.yaml');
      writeFileSync(
        trust,
        `apiVersion: bulla/v1\nsigners:\n  release: { type: sigstoreKey, keyPath: ${old.public} }\ndefault:\n  - type: signed\n    by: release\n    signedIdentity: { type: matchRepository }\n`,
      );
      const nobody = await bench.bulla([
        ...['resign', '--tls-verify=false', '--policy', trust, '--from', old.public, '--to', next.private],
        ...['--sign-passphrase-file', bench.path('pass'), '--compromised-since', since, '--yes'],
        `${stage.registry.host}/`,
      ]);
      assert.equal(nobody.exitCode, 2, nobody.stderr);
      assert.match(nobody.stderr, /--rekor-key or --trusted-root/);

      const lateTag = late.image.slice(late.image.indexOf('/') + 1);
      const byKey = await resign(
        stage,
        trust,
        '--dry-run',
        '--compromised-since',
        since,
        '--rekor-key',
        stack.keys.rekor,
      );
      assert.equal(byKey.told['ns/early:1'], 'planned cosign');
      assert.equal(byKey.told['ns/unlogged:1'], 'refused  resign.no-trusted-time');
      assert.equal(byKey.told[lateTag], 'refused  resign.no-trusted-time');

      const seen = ['--trusted-root', stack.trustedRoot, '--rekor-url', stack.urls.rekor];
      const byRoot = await resign(stage, trust, '--yes', '--compromised-since', since, ...seen);
      assert.equal(byRoot.exitCode, 1);
      assert.equal(byRoot.told['ns/early:1'], 'signed cosign', JSON.stringify(byRoot.receipt));
      assert.equal(byRoot.told['ns/bundled:1'], 'signed bundle');
      assert.equal(byRoot.told['ns/unlogged:1'], 'refused  resign.no-trusted-time');
      assert.equal(byRoot.told[lateTag], 'refused  resign.no-trusted-time');
      assert.equal(await cosignAccepts(stage, next, early.image), true);
      assert.equal(await cosignAccepts(stage, next, bundled.image), true);
      for (const [image, isBundle] of [
        [early.image, false],
        [bundled.image, true],
      ] as const) {
        const how = [`--new-bundle-format=${isBundle}`, '--trusted-root', stack.trustedRoot];
        const { exitCode, stderr } = await bench.run('cosign', [
          'verify',
          '--key',
          next.public,
          ...how,
          image,
        ]);
        assert.equal(exitCode, 0, `the new signature is logged too: ${stderr}`);
      }
      assert.equal(await cosignAccepts(stage, next, unlogged.image), false);
      assert.equal(await cosignAccepts(stage, next, late.image), false);
      // the log of somebody else vouches for nothing
      const stranger = await makeKey(bench, 'stranger');
      const wrong = await resign(
        stage,
        trust,
        '--dry-run',
        '--compromised-since',
        since,
        '--rekor-key',
        stranger.public,
      );
      assert.match(wrong.told['ns/early:1'] ?? '', /^refused/);
    }),
);

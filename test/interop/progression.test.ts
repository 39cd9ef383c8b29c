/**
 * The progression of an image to production: two registries, two git repositories of signatures, two web servers and two
 * keys. Only git and the development registry cross the border; each public key is carried over once, by hand.
 *
 *   development ── sign ─→ staging ── publish ─→ development’s git
 *   QA          ── fetch ─→ web server; verify by development’s key; promote, signing with production’s key
 *               ── publish ─→ production’s git
 *   production  ── fetch ─→ web server; verify by production’s key
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { type RealRegistry, registryUser, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { endStrayAgents } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, type PeerResult } from '../support/peers.ts';
import { exportKey } from '../support/simple-signing.ts';
import { serveFolder, type WebServer } from '../support/web-server.ts';

/** A place with a configuration and a keyring of its own. */
type Side = { readonly name: string; readonly env: Readonly<Record<string, string | undefined>> };

type Stage = {
  readonly bench: Bench;
  /** Plain; everybody may come in. */
  readonly dev: RealRegistry;
  /** TLS, one user. */
  readonly prod: RealRegistry;
  readonly webs: { readonly dev: WebServer; readonly prod: WebServer };
  readonly developer: Side;
  readonly qa: Side;
  readonly production: Side;
  /** Fingerprints. */
  readonly keys: { readonly dev: string; readonly prod: string };
  /** policy.json files. */
  readonly policies: { readonly dev: string; readonly prod: string };
};

async function openStage(bench: Bench, webs: Stage['webs']): Promise<Stage> {
  const [dev, prod] = [await startRegistry(bench), await startRegistry(bench, { tls: true, users: true })];
  for (const repository of ['dev-sigs.git', 'prod-sigs.git'])
    await bench.ok('git', ['init', '--quiet', '--bare', '--initial-branch=main', bench.path(repository)]);
  const [devHome, qaHome] = [bench.newGnupgHome('gnupg-dev'), bench.newGnupgHome('gnupg-qa')];
  const keys = {
    dev: await bench.newGpgKey('Development <dev@example.com>', { home: devHome }),
    prod: await bench.newGpgKey('Production <prod@example.com>', { home: qaHome }),
  };
  // the one time copies of public keys
  const keyFiles = {
    dev: await exportKey(bench, keys.dev, { home: devHome, name: 'dev-key' }),
    prod: await exportKey(bench, keys.prod, { home: qaHome, name: 'prod-key' }),
  };
  const side = (name: string, gnupg: string, docker: object): Side =>
    openSide(bench, prod, { name, gnupg, docker }, dev);
  return {
    bench,
    dev,
    prod,
    webs,
    developer: side('developer', devHome, {
      [dev.host]: { lookaside: webs.dev.url, 'lookaside-staging': `file://${bench.path('dev-staging')}` },
    }),
    qa: side('qa', qaHome, {
      [dev.host]: { lookaside: webs.dev.url },
      [prod.host]: { lookaside: webs.prod.url, 'lookaside-staging': `file://${bench.path('prod-staging')}` },
    }),
    production: side('production', bench.newGnupgHome('gnupg-prod'), {
      [prod.host]: { lookaside: webs.prod.url },
    }),
    keys,
    policies: {
      dev: policyFor(bench, 'dev', [dev.host, prod.host], keyFiles.dev),
      prod: policyFor(bench, 'prod', [dev.host, prod.host], keyFiles.prod),
    },
  };
}

function openSide(
  bench: Bench,
  prod: RealRegistry,
  { name, gnupg, docker }: { name: string; gnupg: string; docker: object },
  dev: RealRegistry,
): Side {
  const home = bench.path(`home-${name}`);
  const config = join(home, '.config', 'containers');
  const certificates = join(config, 'certs.d', prod.host);
  for (const each of [join(config, 'registries.d'), certificates]) mkdirSync(each, { recursive: true });
  writeFileSync(join(config, 'registries.d', 'sigs.yaml'), JSON.stringify({ docker }));
  writeFileSync(
    join(config, 'policy.json'),
    '{"default":[{"type":"reject"}],"transports":{"oci":{"":[{"type":"insecureAcceptAnything"}]},"containers-storage":{"":[{"type":"insecureAcceptAnything"}]}}}',
  );
  writeFileSync(
    join(config, 'registries.conf'),
    `unqualified-search-registries = []\n[[registry]]\nlocation = "${dev.host}"\ninsecure = true\n`,
  );
  copyFileSync(prod.certificates?.ca ?? '', join(certificates, 'ca.crt'));
  const auth = join(home, 'auth.json');
  const login = Buffer.from(`${registryUser.name}:${registryUser.password}`).toString('base64');
  writeFileSync(auth, JSON.stringify({ auths: { [prod.host]: { auth: login } } }));
  const storage = join(home, 'storage.conf');
  writeFileSync(
    storage,
    `[storage]\ndriver = "vfs"\ngraphroot = "${home}/storage"\nrunroot = "${home}/run"\n`,
  );
  return {
    name,
    env: {
      HOME: home,
      GNUPGHOME: gnupg,
      REGISTRY_AUTH_FILE: auth,
      CONTAINERS_STORAGE_CONF: storage,
      CONTAINERS_REGISTRIES_CONF: join(config, 'registries.conf'),
    },
  };
}

/** Rejects all but what a key signed in these registries. */
function policyFor(bench: Bench, name: string, hosts: readonly string[], keyPath: string): string {
  const path = bench.path(`${name}.policy.json`);
  const requirement = [{ type: 'signedBy', keyType: 'GPGKeys', keyPath }];
  const docker = Object.fromEntries(hosts.map((host) => [host, requirement]));
  writeFileSync(path, JSON.stringify({ default: [{ type: 'reject' }], transports: { docker } }));
  return path;
}

type Judge = (stage: Stage, side: Side, policy: string, image: string) => Promise<PeerResult>;

let pulled = 0;

const judges: Readonly<Record<'bulla' | 'skopeo' | 'podman', Judge>> = {
  bulla: ({ bench }, side, policy, image) =>
    bench.bulla(['verify', '--policy', policy, `docker://${image}`], { env: side.env }),
  skopeo: ({ bench }, side, policy, image) =>
    bench.run(
      'skopeo',
      [
        '--policy',
        policy,
        'copy',
        '--quiet',
        `docker://${image}`,
        `dir:${bench.path(`pulled-${(pulled += 1)}`)}`,
      ],
      { env: side.env },
    ),
  podman: ({ bench }, side, policy, image) =>
    bench.run('podman', ['pull', '--quiet', '--signature-policy', policy, image], { env: side.env }),
};

/** Asks all three, which have to agree. */
async function judged(stage: Stage, side: Side, policy: string, image: string): Promise<boolean> {
  const answers: [string, PeerResult][] = [];
  for (const [name, judge] of Object.entries(judges))
    answers.push([name, await judge(stage, side, policy, image)]);
  const accepted = answers.filter(([, { exitCode }]) => exitCode === 0);
  const told = answers.map(
    ([name, { exitCode, stdout, stderr }]) => `${name} ${exitCode}: ${stdout}${stderr}`,
  );
  assert.ok([0, answers.length].includes(accepted.length), `${side.name}, ${image}:\n${told.join('\n')}`);
  // refused, and not failed for some other reason
  if (accepted.length === 0) {
    assert.equal(answers[0]?.[1].exitCode, 1, told.join('\n'));
    for (const [name, { stderr }] of answers.slice(1)) assert.match(stderr, /signature|invalid/i, name);
  }
  return accepted.length > 0;
}

type Signer = (stage: Stage, layout: string, image: string) => Promise<unknown>;

/** Each pushes an image to the development registry and signs it into the staging folder. */
const signers: Readonly<Record<'skopeo' | 'podman' | 'bulla', Signer>> = {
  skopeo: ({ bench, keys, developer }, layout, image) =>
    bench.ok('skopeo', ['copy', '--quiet', '--sign-by', keys.dev, `oci:${layout}:v1`, `docker://${image}`], {
      env: developer.env,
    }),
  podman: async ({ bench, keys, developer }, layout, image) => {
    await bench.ok('podman', ['pull', '--quiet', `oci:${layout}:v1`], { env: developer.env });
    const id = (await bench.ok('podman', ['images', '--quiet', '--no-trunc'], { env: developer.env })).trim();
    await bench.ok('podman', ['push', '--quiet', '--sign-by', keys.dev, id.split('\n')[0] ?? '', image], {
      env: developer.env,
    });
  },
  bulla: async ({ bench, keys, developer }, layout, image) => {
    await bulla(bench, developer, ['push', `oci:${layout}:v1`, `docker://${image}`]);
    await bulla(bench, developer, ['sign', '--sign-by', keys.dev, `docker://${image}`]);
  },
};

async function bulla(bench: Bench, side: Side, args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await bench.bulla([...args, '--quiet'], { env: side.env });
  assert.equal(exitCode, 0, `${side.name}: bulla ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

/** The one gate: verified in development, signed for production, verified as production will. */
async function promote({ bench, qa, keys, policies }: Stage, from: string, to: string): Promise<void> {
  const flags = ['--src-policy', policies.dev, '--dest-policy', policies.prod, '--sign-by', keys.prod];
  await bulla(bench, qa, ['promote', ...flags, `docker://${from}`, `docker://${to}`]);
}

type Merge = { readonly added: readonly unknown[]; readonly present: number; readonly commit?: string };

async function merged(stage: Stage, side: Side, args: readonly string[]): Promise<Merge> {
  return JSON.parse(await bulla(stage.bench, side, ['store', ...args, '--json'])) as Merge;
}

test(
  'an image progresses to production, and each side believes it when its signature has arrived',
  { ...needs('skopeo', 'podman', 'gpg', 'docker-registry', 'openssl', 'git'), timeout: 300_000 },
  async () => {
    await using bench = await openBench();
    await using devWeb = await serveFolder(bench.path('dev-web'));
    await using prodWeb = await serveFolder(bench.path('prod-web'));
    const stage = await openStage(bench, { dev: devWeb, prod: prodWeb });
    const { developer, qa, production, policies } = stage;
    const git = {
      dev: `git+file://${bench.path('dev-sigs.git')}`,
      prod: `git+file://${bench.path('prod-sigs.git')}`,
    };
    const names = Object.keys(signers);
    const images = names.map((name) => ({
      name,
      dev: `${stage.dev.host}/dev/${name}:1.0`,
      prod: `${stage.prod.host}/prod/${name}:1.0`,
    }));
    const judgeAll = (side: Side, policy: string, of: 'dev' | 'prod'): Promise<boolean[]> =>
      inTurn(images, (image) => judged(stage, side, policy, image[of]));
    const [all, none] = [images.map(() => true), images.map(() => false)];
    try {
      // development
      for (const [n, [name, sign]] of Object.entries(signers).entries()) {
        await writeOciImage(bench.path(`layout-${name}`), {
          tag: 'v1',
          files: { 'hello.txt': `hello ${n}\n` },
        });
        await sign(stage, bench.path(`layout-${name}`), images[n]?.dev ?? '');
      }
      assert.deepEqual(await judgeAll(qa, policies.dev, 'dev'), none, 'nothing is published');
      assert.equal(
        (await merged(stage, developer, ['publish', bench.path('dev-staging'), git.dev])).added.length,
        3,
      );

      // QA
      assert.equal((await merged(stage, qa, ['fetch', git.dev, bench.path('dev-web')])).added.length, 3);
      assert.deepEqual(await judgeAll(qa, policies.dev, 'dev'), all);
      assert.deepEqual(await judgeAll(qa, policies.prod, 'dev'), none, 'nobody in production signed it');
      for (const image of images) await promote(stage, image.dev, image.prod);
      assert.deepEqual(await judgeAll(production, policies.prod, 'prod'), none, 'nothing is published');
      const published = await merged(stage, qa, ['publish', bench.path('prod-staging'), git.prod]);
      assert.equal(published.added.length, 6, 'the signatures of development go along');

      // production
      assert.equal(
        (await merged(stage, production, ['fetch', git.prod, bench.path('prod-web')])).added.length,
        6,
      );
      assert.deepEqual(await judgeAll(production, policies.prod, 'prod'), all);
      assert.deepEqual(
        await judgeAll(production, policies.dev, 'prod'),
        none,
        'development’s signature is for another name',
      );

      // the digest is the same on both sides
      for (const image of images)
        assert.equal(await digestOf(stage, image.dev), await digestOf(stage, image.prod));
      // what runs every minute finds nothing to do
      assert.equal(
        (await merged(stage, developer, ['publish', bench.path('dev-staging'), git.dev])).commit,
        undefined,
      );
      const again = await merged(stage, production, ['fetch', git.prod, bench.path('prod-web')]);
      assert.deepEqual([again.added.length, again.present], [0, 6]);
      for (const store of [git.dev, git.prod, bench.path('dev-web'), bench.path('prod-web')])
        await bulla(bench, qa, ['store', 'check', store]);
    } finally {
      endStrayAgents(bench);
    }
  },
);

async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

async function digestOf({ bench, qa }: Stage, image: string): Promise<string> {
  const text = await bench.ok('skopeo', ['inspect', '--format', '{{.Digest}}', `docker://${image}`], {
    env: qa.env,
  });
  return text.trim();
}

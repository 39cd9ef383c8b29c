/** push and pull, beside podman's own with the same flags. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { utf8 } from '../../src/base/bytes.ts';
import { digestOf } from '../../src/base/digest.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, type PeerResult } from '../support/peers.ts';
import { useLookaside } from '../support/simple-signing.ts';

type Stage = {
  readonly bench: Bench;
  readonly registry: RealRegistry;
  /** Of an image that podman has. */
  readonly name: string;
  readonly key: string;
  /** Accepts what `key` has signed. */
  readonly policy: string;
};

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  useLookaside(bench, `file://${bench.path('sig')}`);
  await writeOciImage(bench.path('layout'), { tag: 'v1' });
  const name = `${registry.host}/ns/app:1`;
  const id = await bench.ok('podman', ['pull', '--quiet', `oci:${bench.path('layout')}:v1`]);
  await bench.ok('podman', ['tag', id.trim(), name]);
  const key = await bench.newGpgKey('Pusher <pusher@example.com>', { type: 'ed25519' });
  writeFileSync(bench.path('key.gpg'), await bench.ok('gpg', ['--armor', '--export', key]));
  const policy = writePolicy(bench, 'policy', [signedBy(bench.path('key.gpg'))]);
  await run({ bench, registry, name, key, policy });
}

const peers = { ...needs('podman', 'skopeo', 'gpg', 'docker-registry'), timeout: 180_000 };

type Pushed = { readonly mediaType: string; readonly layers: readonly { readonly mediaType: string }[] };

async function rawOf(bench: Bench, name: string): Promise<Pushed> {
  const text = await bench.ok('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${name}`]);
  return JSON.parse(text) as Pushed;
}

test('push takes podman push’s flags, and makes of an image what podman makes of it', peers, () =>
  onStage(async ({ bench, registry, name }) => {
    const flags: readonly (readonly string[])[] = [
      [],
      ['--format', 'v2s2'],
      ['--compression-format', 'zstd'],
      ['--compression-format', 'zstd', '--compression-level', '10', '--force-compression'],
    ];
    const made = { podman: new Array<unknown>(), bulla: new Array<unknown>() };
    for (const [index, given] of flags.entries()) {
      for (const program of ['podman', 'bulla'] as const) {
        const there = `${registry.host}/${program}/${index}:1`;
        const args = ['push', '--quiet', '--tls-verify=false', ...given, name, `docker://${there}`];
        const pushed: PeerResult =
          program === 'bulla' ? await bench.bulla(args) : await bench.run('podman', args);
        assert.equal(pushed.exitCode, 0, pushed.stderr);
        const { mediaType, layers } = await rawOf(bench, there);
        made[program].push([mediaType, ...layers.map((each) => each.mediaType)]);
        await bench.ok('podman', ['pull', '--quiet', '--tls-verify=false', there]);
      }
    }
    assert.deepEqual(made.bulla, made.podman);
  }),
);

test('push signs, goes where the name says, writes the digest; podman pulls it by its policy', peers, () =>
  onStage(async ({ bench, registry, name, key, policy }) => {
    const sign = ['--sign-by', key, '--digestfile', bench.path('digest')];
    const pushed = await bench.bulla(['push', '--quiet', '--tls-verify=false', ...sign, name]);
    assert.equal(pushed.exitCode, 0, pushed.stderr);
    const digest = readFileSync(bench.path('digest'), 'utf8');
    assert.match(pushed.stdout, new RegExp(`^${digest}\n  signed for ${name}\n`));
    const pull = ['pull', '--quiet', '--tls-verify=false', '--signature-policy', policy];
    await bench.ok('podman', [...pull, name]);

    // the podman of a machine whose policy rejects everything pushes what it has
    const rejecting = writePolicy(bench, 'rejecting', [{ type: 'reject' }]);
    const other = `docker://${registry.host}/ns/other:1`;
    const judged = await bench.bulla([
      'push',
      '--quiet',
      '--tls-verify=false',
      '--policy',
      rejecting,
      name,
      other,
    ]);
    assert.equal(judged.exitCode, 1, judged.stderr);
    assert.doesNotMatch(registry.log(), /(?:PUT|POST) \/v2\/ns\/other\//);
    const quiet = await bench.bulla(['push', '--quiet', '--tls-verify=false', name, other]);
    assert.equal(quiet.exitCode, 0, quiet.stderr);
    assert.notEqual((await bench.run('podman', [...pull, other])).exitCode, 0, 'nobody signed it');
  }),
);

test('a name means for push what it means for podman push: a short one, the beginning of an ID', peers, () =>
  onStage(async ({ bench, registry, key, policy }) => {
    const { digest: theirs } = await writeOciImage(bench.path('hub'), { files: { of: 'docker.io' } });
    const idOf = async (from: string): Promise<string> =>
      (await bench.ok('podman', ['pull', '--quiet', from])).trim();
    const id = await idOf(`oci:${bench.path('layout')}:v1`);
    const other = await idOf(`oci:${bench.path('hub')}`);
    assert.notEqual(id, other, theirs);
    await bench.ok('podman', ['tag', id, 'localhost/tool:1', 'localhost/alone:latest']);
    await bench.ok('podman', ['tag', other, 'docker.io/library/tool:1', 'docker.io/library/hub:latest']);
    const made = { podman: new Array<string>(), bulla: new Array<string>() };
    for (const [index, short] of ['tool:1', 'alone', 'hub', id.slice(0, 12), other].entries()) {
      const to = (program: string): string => `docker://${registry.host}/${program}/short:${index}`;
      const push = ['push', '--quiet', '--tls-verify=false'];
      const signed = ['--sign-by', key, '--digestfile', bench.path('digest'), short, to('bulla')];
      const pushed = await bench.bulla([...push, ...signed]);
      assert.equal(pushed.exitCode, 0, `${short}: ${pushed.stderr}`);
      await bench.ok('podman', [...push, short, to('podman')]);
      for (const program of ['podman', 'bulla'] as const) {
        const config = ['inspect', '--tls-verify=false', '--config', to(program)];
        made[program].push(await bench.ok('skopeo', config));
      }
      // what was signed is what is there
      const raw = await bench.ok('skopeo', ['inspect', '--tls-verify=false', '--raw', to('bulla')]);
      assert.equal(readFileSync(bench.path('digest'), 'utf8'), digestOf(utf8(raw)));
      const verdict = ['--policy', policy, 'copy', '--quiet', '--src-tls-verify=false', to('bulla')];
      await bench.ok('skopeo', [...verdict, `dir:${bench.path(`short-${index}`)}`]);
    }
    assert.deepEqual(made.bulla, made.podman);
    const nowhere = await bench.bulla(['push', id.slice(0, 12)]);
    assert.equal(nowhere.exitCode, 2, nowhere.stderr);
    assert.match(nowhere.stderr, /hint: name the destination/);
    const none = await bench.bulla(['push', 'none-such', `docker://${registry.host}/none:1`]);
    assert.equal(none.exitCode, 3, none.stderr);
    assert.match(none.stderr, /podman has no image none-such \[image\.not-found\]/);
  }),
);

test('what an engine gives is held against its manifest before anything is signed', peers, () =>
  onStage(async ({ bench, registry, key }) => {
    // a podman that gives a layer of the right size with other bytes
    const blobs = bench.path('layout', 'blobs', 'sha256');
    for (const blob of readdirSync(blobs).map((each) => join(blobs, each))) {
      const bytes = readFileSync(blob);
      if (bytes[0] === 0x7b) continue;
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(blob, bytes);
    }
    const lying = `#!/bin/sh
case "$*" in
  *ManifestType*) echo application/vnd.oci.image.manifest.v1+json ;;
  info*) echo vfs /storage ;;
  *inspect*) echo ${'a'.repeat(64)} localhost/liar:1 ;;
  *) while [ "$1" != --output ]; do shift; done; cp -r '${bench.path('layout')}' "$2" ;;
esac
`;
    mkdirSync(bench.path('liar'));
    writeFileSync(bench.path('liar', 'podman'), lying, { mode: 0o755 });
    const env = { PATH: `${bench.path('liar')}:${bench.env['PATH']}` };
    const there = `docker://${registry.host}/lied:1`;
    const args = ['push', '--quiet', '--tls-verify=false', '--sign-by', key, 'liar:1', there];
    const { exitCode, stderr } = await bench.bulla(args, { env });
    assert.equal(exitCode, 1, stderr);
    assert.match(stderr, /\[blob\.digest-mismatch\]/);
    assert.equal(existsSync(bench.path('sig')), false, 'nothing is signed');
    assert.doesNotMatch(registry.log(), /PUT \/v2\/lied\/manifests/);
  }),
);

test('push carries the signatures of a folder, or leaves them', peers, () =>
  onStage(async ({ bench, registry, key, policy }) => {
    const from = `dir:${bench.path('signed')}`;
    const signedFor = ['--sign-by', key, '--sign-identity', `${registry.host}/kept:1`];
    await bench.ok('skopeo', ['copy', '--quiet', ...signedFor, `oci:${bench.path('layout')}:v1`, from]);
    for (const [path, flags] of [
      ['kept', []],
      ['removed', ['--remove-signatures']],
    ] as const) {
      const there = `docker://${registry.host}/${path}:1`;
      const pushed = await bench.bulla(['push', '--quiet', '--tls-verify=false', ...flags, from, there]);
      assert.equal(pushed.exitCode, 0, pushed.stderr);
      const verdict = ['copy', '--quiet', '--src-tls-verify=false', '--policy', policy, there];
      const { exitCode } = await bench.run('skopeo', [...verdict, `dir:${bench.path(path)}`]);
      assert.equal(exitCode, path === 'kept' ? 0 : 1, path);
    }
  }),
);

test('pull --all-tags judges each by itself; the platform by podman’s names', peers, () =>
  onStage(async ({ bench, registry, key, policy }) => {
    const repository = `${registry.host}/many`;
    const push = async (tag: string, text: string, ...flags: readonly string[]): Promise<void> => {
      const folder = bench.path(`many-${tag}`);
      await writeOciImage(folder, { files: { text } });
      const args = [
        'push',
        '--quiet',
        '--tls-verify=false',
        ...flags,
        `oci:${folder}`,
        `docker://${repository}:${tag}`,
      ];
      const { exitCode, stderr } = await bench.bulla(args);
      assert.equal(exitCode, 0, stderr);
    };
    await push('one', '1', '--sign-by', key);
    await push('two', '2', '--sign-by', key);
    await push('unsigned', '3');
    await push(`sha256-${'0'.repeat(64)}.sig`, '4', '--sign-by', key);
    const pull = (...more: readonly string[]): Promise<PeerResult> =>
      bench.bulla(['pull', '--quiet', '--tls-verify=false', '--policy', policy, ...more]);
    const all = await pull('--all-tags', '--json', repository);
    assert.equal(all.exitCode, 1, all.stderr);
    const receipts = JSON.parse(all.stdout) as { copied: boolean; image: string }[];
    assert.deepEqual(
      receipts.map(({ copied, image }) => [image.split(':').at(-1), copied]),
      [
        ['one', true],
        ['two', true],
        ['unsigned', false],
      ],
    );
    const there = await bench.ok('podman', ['images', '--format', '{{.Repository}}:{{.Tag}}']);
    assert.deepEqual(
      there
        .split('\n')
        .filter((each) => each.startsWith(repository))
        .sort(),
      [`${repository}:one`, `${repository}:two`],
    );
    for (const wrong of [[`${repository}:one`], [repository, 'name:1']]) {
      const refused = await pull('--all-tags', ...wrong);
      assert.equal(refused.exitCode, 2, refused.stderr);
    }
    const podmans = await bench.bulla(['pull', '--policy', 'missing', repository]);
    assert.equal(podmans.exitCode, 2);
    assert.match(podmans.stderr, /hint: podman’s --policy/);

    const list = `${registry.host}/list:1`;
    const platforms = ['amd64', 'arm64'];
    for (const arch of platforms)
      await bench
        .ok('podman', ['pull', '--quiet', `oci:${bench.path('layout')}:v1`])
        .then((id) =>
          bench.ok('podman', [
            'manifest',
            ...(arch === 'amd64'
              ? ['create', list, id.trim()]
              : ['add', '--arch', arch, '--os', 'linux', list, id.trim()]),
          ]),
        );
    await bench.ok('podman', ['manifest', 'push', '--all', '--tls-verify=false', list, `docker://${list}`]);
    await bench.ok('podman', ['manifest', 'rm', list]);
    for (const flags of [
      ['--platform', 'linux/arm64'],
      ['--arch', 'arm64', '--os', 'linux'],
    ]) {
      const args = ['pull', '--quiet', '--tls-verify=false', '--insecure-policy', ...flags, list];
      const pulled = await bench.bulla(args);
      assert.equal(pulled.exitCode, 0, pulled.stderr);
    }
    const none = await bench.bulla([
      'pull',
      '--tls-verify=false',
      '--insecure-policy',
      '--platform',
      'linux/s390x',
      list,
    ]);
    assert.match(none.stderr, /\[image\.no-such-platform\]/);
  }),
);

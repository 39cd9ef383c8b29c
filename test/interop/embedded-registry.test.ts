/** The embedded registry as real clients use it: push, pull, copy, sign, referrers. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import type { Listening } from '../../src/servers/listen.ts';
import { serveRegistry } from '../../src/servers/registry/serve.ts';
import { writeOciImage, type WrittenImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';

type Stage = { readonly bench: Bench; readonly host: string; readonly image: WrittenImage };

/** A bench, the embedded registry with an image at ns/app:v1, put there by skopeo. */
async function onRegistry(
  options: { readonly root?: boolean; readonly referrers?: boolean },
  run: (stage: Stage) => Promise<void>,
): Promise<void> {
  await using bench = await openBench();
  const { referrers = true } = options;
  const root = options.root === true ? { root: bench.path('content') } : {};
  await using registry: Listening = await serveRegistry({ referrers, ...root });
  const { host } = new URL(registry.url);
  const image = await writeOciImage(bench.path('image'), {
    tag: 'v1',
    files: { 'a.txt': 'a\n', 'big.bin': 'x'.repeat(3_000_000) },
  });
  const from = `oci:${bench.path('image')}:v1`;
  await bench.ok('skopeo', ['copy', '--dest-tls-verify=false', from, `docker://${host}/ns/app:v1`]);
  await run({ bench, host, image });
}

test('skopeo pushes, copies, lists tags and deletes', needs('skopeo'), () =>
  onRegistry({ root: true }, async ({ bench, host, image }) => {
    const [from, to] = [`docker://${host}/ns/app:v1`, `docker://${host}/other:v2`];
    await bench.ok('skopeo', ['copy', '--src-tls-verify=false', '--dest-tls-verify=false', from, to]);
    const digest = await bench.ok('skopeo', ['inspect', '--tls-verify=false', '--format={{.Digest}}', to]);
    assert.equal(digest.trim(), image.digest);
    const tags = await bench.ok('skopeo', ['list-tags', '--tls-verify=false', `docker://${host}/other`]);
    assert.deepEqual((JSON.parse(tags) as { Tags: string[] }).Tags, ['v2']);
    await bench.ok('skopeo', ['copy', '--src-tls-verify=false', from, `dir:${bench.path('dir')}`]);
    const pulled = readFileSync(bench.path('dir', 'manifest.json'));
    assert.equal(`sha256:${createHash('sha256').update(pulled).digest('hex')}`, image.digest);
    await bench.ok('skopeo', ['delete', '--tls-verify=false', to]);
    assert.equal((await bench.run('skopeo', ['inspect', '--tls-verify=false', to])).exitCode, 2);
  }),
);

test('podman pulls, tags and pushes', needs('podman', 'skopeo'), () =>
  onRegistry({}, async ({ bench, host }) => {
    await bench.ok('podman', ['pull', '-q', '--tls-verify=false', `${host}/ns/app:v1`]);
    await bench.ok('podman', ['push', '-q', '--tls-verify=false', `${host}/ns/app:v1`, `${host}/ns/app:v2`]);
    await bench.ok('skopeo', ['inspect', '--tls-verify=false', `docker://${host}/ns/app:v2`]);
  }),
);

test('crane copies, pulls, mounts and deletes', needs('crane', 'skopeo'), () =>
  onRegistry({}, async ({ bench, host, image }) => {
    await bench.ok('crane', ['copy', '--insecure', `${host}/ns/app:v1`, `${host}/ns/copy:v1`]);
    assert.equal((await bench.ok('crane', ['digest', `${host}/ns/copy:v1`])).trim(), image.digest);
    await bench.ok('crane', ['pull', `${host}/ns/copy:v1`, bench.path('image.tar')]);
    await bench.ok('crane', ['push', bench.path('image.tar'), `${host}/ns/pushed:v1`]);
    await bench.ok('crane', ['validate', '--remote', `${host}/ns/pushed:v1`]);
    assert.equal((await bench.ok('crane', ['ls', `${host}/ns/copy`])).trim(), 'v1');
    await bench.ok('crane', ['delete', `${host}/ns/copy@${image.digest}`]);
    assert.equal((await bench.ok('crane', ['ls', `${host}/ns/copy`])).trim(), '');
  }),
);

for (const referrers of [true, false]) {
  const how = referrers ? 'by the referrers API' : 'by the fallback tag';
  test(`oras attaches and discovers ${how}`, needs('oras', 'skopeo'), () =>
    onRegistry({ referrers }, async ({ bench, host, image }) => {
      writeFileSync(bench.path('note.txt'), 'a note\n');
      const name = `${host}/ns/app:v1`;
      for (const type of ['example/a', 'example/b']) {
        await bench.ok('oras', [
          'attach',
          '--plain-http',
          '--artifact-type',
          type,
          name,
          'note.txt:text/plain',
        ]);
      }
      const discover = async (...flags: readonly string[]): Promise<string[]> => {
        const text = await bench.ok('oras', ['discover', '--plain-http', '--format', 'json', ...flags, name]);
        const found = JSON.parse(text) as { referrers?: { artifactType: string }[] };
        return (found.referrers ?? []).map(({ artifactType }) => artifactType).toSorted();
      };
      assert.deepEqual(await discover(), ['example/a', 'example/b']);
      assert.deepEqual(await discover('--artifact-type', 'example/b'), ['example/b']);
      const fallback = await fetch(`http://${host}/v2/ns/app/manifests/${image.digest.replace(':', '-')}`);
      assert.equal(fallback.status, referrers ? 404 : 200);
      await bench.ok('oras', [
        'cp',
        '-r',
        '--from-plain-http',
        '--to-plain-http',
        name,
        `${host}/ns/copy:v1`,
      ]);
      await bench.ok('oras', ['pull', '--plain-http', '-o', bench.path('out'), `${host}/ns/copy:v1`]);
    }),
  );

  test(`cosign signs and verifies ${how}`, needs('cosign', 'skopeo'), () =>
    onRegistry({ referrers }, async ({ bench, host, image }) => {
      const name = `${host}/ns/app@${image.digest}`;
      await bench.ok('cosign', ['generate-key-pair']);
      await bench.ok('cosign', ['signing-config', 'create', '--out', 'config.json']);
      await bench.ok('cosign', ['trusted-root', 'create', '--out', 'root.json']);
      const offline = ['--signing-config', 'config.json', '--trusted-root', 'root.json', '-y'];
      await bench.ok('cosign', ['sign', '--key', 'cosign.key', ...offline, name]);
      const verify = ['verify', '--key', 'cosign.pub', '--insecure-ignore-tlog=true', name];
      await bench.ok('cosign', verify);
      const listed = await fetch(`http://${host}/v2/ns/app/referrers/${image.digest}`);
      assert.equal(listed.status, referrers ? 200 : 404);
      if (referrers) assert.equal(((await listed.json()) as { manifests: unknown[] }).manifests.length, 1);
    }),
  );
}

test('cosign signs in the old format', needs('cosign', 'skopeo'), () =>
  onRegistry({ root: true }, async ({ bench, host, image }) => {
    const name = `${host}/ns/app@${image.digest}`;
    await bench.ok('cosign', ['generate-key-pair']);
    const old = ['--new-bundle-format=false', '--use-signing-config=false', '--tlog-upload=false', '-y'];
    await bench.ok('cosign', ['sign', '--key', 'cosign.key', ...old, name]);
    await bench.ok('cosign', ['sign', '--key', 'cosign.key', ...old, '-a', 'second=true', name]);
    const verify = [
      'verify',
      '--key',
      'cosign.pub',
      '--insecure-ignore-tlog=true',
      '--new-bundle-format=false',
    ];
    await bench.ok('cosign', [...verify, name]);
  }),
);

/** containers-storage: with a real podman. Docker's own daemon is stubbed beside the source (images/docker-daemon.test.ts). */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import tar from 'tar-stream';
import { buffer } from 'node:stream/consumers';

import { utf8 } from '../../src/base/bytes.ts';
import { mediaTypes } from '../../src/base/descriptor.ts';
import { digestOf } from '../../src/base/digest.ts';
import { isBullaError } from '../../src/base/errors.ts';
import { parseImageName } from '../../src/base/image-name.ts';
import { takeManifest } from '../../src/base/manifest.ts';
import { putSample, type SampleImage, testImageContract } from '../../src/images/image-contract.ts';
import { openOciImage } from '../../src/images/oci.ts';
import { openStorageImage, openStorageSink } from '../../src/images/podman.ts';
import { copyImage } from '../support/copy-image.ts';
import { scopeSubjectOf } from '../../src/operations/subject.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, findPeer, needs, openBench, peersAreRequired } from '../support/peers.ts';

const options = { ...needs('podman'), timeout: 120_000 };
const name = 'registry.example.com/ns/app:1';

/** A bench whose podman is the one that Bulla, in this process, finds too. */
async function podmanBench(): Promise<{ bench: Bench } & AsyncDisposable> {
  const bench = await openBench();
  const before = { ...process.env };
  Object.assign(process.env, bench.env);
  return {
    bench,
    [Symbol.asyncDispose]: async () => {
      for (const key of Object.keys(process.env)) delete process.env[key];
      Object.assign(process.env, before);
      await bench[Symbol.asyncDispose]();
    },
  };
}

async function layerOf(text: string): Promise<Uint8Array> {
  const pack = tar.pack();
  pack.entry({ name: 'text', mtime: new Date(0) }, text);
  pack.finalize();
  return new Uint8Array(await buffer(pack));
}

const texts = ['first', 'another', 'one', 'three'];
const layers = new Map(await Promise.all(texts.map(async (text) => [text, await layerOf(text)] as const)));

/** As podman gives it back byte for byte: Docker's schema 2, layers that are not compressed and say so. */
function podmanSample(text: string): SampleImage {
  const layer = layers.get(text) ?? new Uint8Array();
  const rootfs = { type: 'layers', diff_ids: [digestOf(layer)] };
  const config = utf8(JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs, text }));
  const describe = (bytes: Uint8Array, mediaType: string) => ({
    mediaType,
    size: bytes.length,
    digest: digestOf(bytes),
  });
  const value = {
    schemaVersion: 2,
    mediaType: mediaTypes.dockerManifest,
    config: describe(config, 'application/vnd.docker.container.image.v1+json'),
    layers: [describe(layer, 'application/vnd.docker.image.rootfs.diff.tar')],
  };
  return {
    blobs: [[value.config, config], ...value.layers.map((each) => [each, layer] as const)],
    manifest: takeManifest(utf8(JSON.stringify(value))),
  };
}

if (findPeer('podman') !== undefined || peersAreRequired) {
  testImageContract(
    'containers-storage:',
    async () => {
      const opened = await podmanBench();
      return {
        image: () => openStorageImage(name),
        sink: () => openStorageSink(name),
        dispose: async () => opened[Symbol.asyncDispose](),
      };
    },
    { sample: podmanSample, indexes: false },
  );
}

test(
  'an OCI image goes in with its digest; what comes out has the digest of what comes out',
  options,
  async () => {
    await using opened = await podmanBench();
    const { bench } = opened;
    const { digest } = await writeOciImage(bench.path('layout'));
    {
      await using source = await openOciImage(bench.path('layout'));
      await using sink = await openStorageSink(name);
      assert.equal((await copyImage(source, sink)).digest, digest);
    }
    const said = await bench.ok('podman', ['image', 'inspect', '--format', '{{.Digest}}', name]);
    assert.equal(said.trim(), digest);
    await using image = await openStorageImage(name);
    const manifest = await image.manifest();
    assert.equal(manifest.digest, digestOf(manifest.bytes));
    assert.equal(manifest.mediaType, mediaTypes.ociManifest);
    const inspected = await bench.bulla(['inspect', `containers-storage:${name}`]);
    assert.equal(inspected.exitCode, 0, inspected.stderr);
    assert.match(inspected.stdout, new RegExp(manifest.digest));
  },
);

test('nothing stays in TMPDIR', options, async () => {
  await using opened = await podmanBench();
  await using sink = await openStorageSink(name);
  await putSample(sink, podmanSample('first'));
  {
    await using image = await openStorageImage(name);
    await image.manifest();
  }
  await sink[Symbol.asyncDispose]();
  const left = readdirSync(opened.bench.env['TMPDIR'] ?? '').filter((each) => each.startsWith('bulla'));
  assert.deepEqual(left, []);
});

test('podman’s own policy is asked, and its scope told', options, async () => {
  await using opened = await podmanBench();
  const { bench } = opened;
  await writeOciImage(bench.path('layout'));
  const policy = join(bench.config, 'policy.json');
  const temporary = bench.env['TMPDIR'] ?? '';
  const put = async (): Promise<void> => {
    await using source = await openOciImage(bench.path('layout'));
    await using sink = await openStorageSink(name);
    await copyImage(source, sink);
  };
  writeFileSync(policy, '{"default":[{"type":"reject"}]}');
  await assert.rejects(
    put(),
    (error: unknown) =>
      isBullaError(error, 'engine.refused') && (error.hint ?? '').includes(temporary) && error.exitCode === 1,
  );
  assert.equal((await bench.run('podman', ['image', 'exists', name])).exitCode, 1);
  const accept = [{ type: 'insecureAcceptAnything' }];
  writeFileSync(
    policy,
    JSON.stringify({ default: [{ type: 'reject' }], transports: { oci: { [temporary]: accept } } }),
  );
  await put();
  assert.equal((await bench.run('podman', ['image', 'exists', name])).exitCode, 0);
});

test('an image that podman has not, and no podman', options, async () => {
  await using opened = await podmanBench();
  await assert.rejects(openStorageImage('nobody/has:it'), (error: unknown) =>
    isBullaError(error, 'image.not-found'),
  );
  process.env['PATH'] = opened.bench.path('home');
  await assert.rejects(
    openStorageImage(name),
    (error: unknown) => isBullaError(error, 'engine.unavailable') && error.hint !== undefined,
  );
});

test('a policy’s scopes are those of the store', options, async () => {
  await using opened = await podmanBench();
  const root = opened.bench.path('storage');
  assert.deepEqual(await scopeSubjectOf(parseImageName(`containers-storage:${name}`)), {
    transport: 'containers-storage',
    identity: `[vfs@${root}]${name}`,
    namespaces: [
      `[vfs@${root}]registry.example.com/ns/app`,
      `[vfs@${root}]registry.example.com/ns`,
      `[vfs@${root}]registry.example.com`,
      `[vfs@${root}]`,
      `[${root}]`,
    ],
  });
});

test(
  'bulla pull: the policy first; what it refuses podman never sees',
  { ...needs('podman', 'gpg', 'docker-registry'), timeout: 120_000 },
  async () => {
    await using bench = await openBench();
    const registry = await startRegistry(bench);
    const reference = `${registry.host}/ns/app:1`;
    const { digest } = await writeOciImage(bench.path('layout'));
    const plain = ['--tls-verify=false'];
    const pushed = await bench.bulla([
      'push',
      ...plain,
      `oci:${bench.path('layout')}`,
      `docker://${reference}`,
    ]);
    assert.equal(pushed.exitCode, 0, pushed.stderr);
    const fingerprint = await bench.newGpgKey('signer@example.com', { type: 'ed25519' });
    const key = bench.path('key.asc');
    writeFileSync(key, await bench.ok('gpg', ['--armor', '--export', fingerprint]));
    writeFileSync(
      join(bench.config, 'registries.d', 'default.yaml'),
      `default-docker: { lookaside: "file://${bench.path('sigs')}" }\n`,
    );
    const rules = { default: [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: key }] };
    writeFileSync(bench.path('policy.json'), JSON.stringify(rules));
    const pull = (): ReturnType<Bench['bulla']> =>
      bench.bulla(['pull', ...plain, '--policy', bench.path('policy.json'), `docker://${reference}`]);
    const images = async (): Promise<string> => bench.ok('podman', ['images', '--quiet']);

    const refused = await pull();
    assert.equal(refused.exitCode, 1, refused.stdout + refused.stderr);
    assert.match(refused.stdout, /trust\.no-signature/);
    assert.equal(await images(), '');

    const signed = await bench.bulla(['sign', ...plain, '--sign-by', fingerprint, `docker://${reference}`]);
    assert.equal(signed.exitCode, 0, signed.stderr);
    const pulled = await pull();
    assert.equal(pulled.exitCode, 0, pulled.stdout + pulled.stderr);
    assert.match(pulled.stdout, new RegExp(digest));
    const stored = await bench.ok('podman', ['image', 'inspect', '--format', '{{.Digest}}', reference]);
    assert.equal(stored.trim(), digest);
    // and back, as it is in podman
    const back = await bench.bulla([
      'push',
      ...plain,
      `containers-storage:${reference}`,
      `docker://${registry.host}/ns/back:1`,
    ]);
    assert.equal(back.exitCode, 0, back.stderr);
  },
);

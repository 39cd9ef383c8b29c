/** Archives and signed layouts with skopeo, podman, umoci and oras: each reads what the other wrote, by the same digest. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { digestOf } from '../../src/base/digest.ts';
import { parseImageName } from '../../src/base/image-name.ts';
import { openImage, openSink } from '../../src/images/open.ts';
import { copyImage } from '../support/copy-image.ts';
import { openWorld } from '../../src/operations/world.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench, peerVersion } from '../support/peers.ts';

const policy = ['--insecure-policy'];

/** The digest that skopeo finds by looking at the manifest. */
async function digestBySkopeo(bench: Bench, image: string): Promise<string> {
  return digestOf(Buffer.from(await bench.ok('skopeo', [...policy, 'inspect', '--raw', image])));
}

async function digestByBulla(image: string): Promise<string> {
  await using world = openWorld();
  await using opened = await openImage(parseImageName(image), world);
  const manifest = await opened.manifest();
  return manifest.digest;
}

async function copyByBulla(from: string, to: string): Promise<string> {
  await using world = openWorld();
  await using source = await openImage(parseImageName(from), world);
  await using sink = await openSink(parseImageName(to), world);
  return (await copyImage(source, sink)).digest;
}

test(`docker-archive: as skopeo ${await peerVersion('skopeo')} has it`, needs('skopeo'), async () => {
  await using bench = await openBench();
  await writeOciImage(bench.path('layout'), { tag: 'v1', files: { a: 'one\n', b: 'x'.repeat(20_000) } });
  const archive = bench.path('a.tar');
  await bench.ok('skopeo', [
    ...policy,
    'copy',
    `oci:${bench.path('layout')}:v1`,
    `docker-archive:${archive}:example.com/app:1`,
  ]);
  writeFileSync(bench.path('a.tar.gz'), gzipSync(readFileSync(archive)));
  await bench.ok('skopeo', [...policy, 'copy', `docker-archive:${archive}`, `dir:${bench.path('dir')}`]);
  const wanted = digestOf(readFileSync(bench.path('dir', 'manifest.json')));
  for (const image of [archive, `${archive}:example.com/app:1`, `${archive}:@0`, bench.path('a.tar.gz')])
    assert.equal(await digestByBulla(`docker-archive:${image}`), wanted, image);
  // and all of it arrives
  assert.equal(await copyByBulla(`docker-archive:${archive}`, `dir:${bench.path('by-bulla')}`), wanted);
  await bench.ok('skopeo', [
    ...policy,
    'copy',
    `dir:${bench.path('by-bulla')}`,
    `oci:${bench.path('again')}:v1`,
  ]);
});

test(
  'docker-archive: that Bulla wrote is the one that skopeo would have',
  needs('skopeo', 'podman'),
  async () => {
    await using bench = await openBench();
    const from = `oci:${bench.path('layout')}:v1`;
    await writeOciImage(bench.path('layout'), { tag: 'v1' });
    const [ours, theirs] = [bench.path('ours.tar'), bench.path('theirs.tar')];
    await copyByBulla(from, `docker-archive:${ours}:example.com/app:1`);
    await bench.ok('skopeo', [...policy, 'copy', from, `docker-archive:${theirs}:example.com/app:1`]);
    const wanted = await digestBySkopeo(bench, `docker-archive:${theirs}`);
    assert.equal(await digestBySkopeo(bench, `docker-archive:${ours}:example.com/app:1`), wanted);
    assert.equal(await digestByBulla(`docker-archive:${ours}`), wanted);
    const loaded = await bench.ok('podman', ['load', '--input', ours]);
    assert.match(loaded, /example\.com\/app:1/);
    const before = readFileSync(ours);
    await assert.rejects(copyByBulla(from, `docker-archive:${ours}:example.com/app:2`), {
      code: 'image.occupied',
    });
    assert.deepEqual(readFileSync(ours), before);
  },
);

test('oci-archive: both ways, the digest kept', needs('skopeo', 'podman'), async () => {
  await using bench = await openBench();
  const { digest } = await writeOciImage(bench.path('layout'), { tag: 'v1' });
  const from = `oci:${bench.path('layout')}:v1`;
  const [ours, theirs] = [bench.path('ours.tar'), bench.path('theirs.tar')];
  assert.equal(await copyByBulla(from, `oci-archive:${ours}:example.com/app:1`), digest);
  await bench.ok('skopeo', [...policy, 'copy', from, `oci-archive:${theirs}:v1`]);
  assert.equal(await digestByBulla(`oci-archive:${theirs}`), digest);
  assert.equal(await digestByBulla(`oci-archive:${theirs}:v1`), digest);
  assert.equal(await digestBySkopeo(bench, `oci-archive:${ours}`), digest);
  await bench.ok('podman', ['load', '--input', ours]);
  const stored = await bench.ok('podman', [
    'image',
    'inspect',
    '--format',
    '{{.Digest}}',
    'example.com/app:1',
  ]);
  assert.equal(stored.trim(), digest);
  await copyByBulla(`oci-archive:${theirs}`, `oci:${bench.path('again')}:v1`);
  assert.equal(await digestBySkopeo(bench, `oci:${bench.path('again')}:v1`), digest);
});

test('podman save: what it wrote is read', needs('podman', 'skopeo'), async () => {
  await using bench = await openBench();
  await writeOciImage(bench.path('layout'), { tag: 'example.com/app:1' });
  await bench.ok('podman', ['pull', '--quiet', `oci:${bench.path('layout')}:example.com/app:1`]);
  for (const transport of ['oci-archive', 'docker-archive']) {
    const path = bench.path(`${transport}.tar`);
    await bench.ok('podman', [
      'save',
      '--quiet',
      '--format',
      transport,
      '--output',
      path,
      'example.com/app:1',
    ]);
    assert.equal(
      await digestByBulla(`${transport}:${path}`),
      await digestBySkopeo(bench, `${transport}:${path}`),
    );
    await copyByBulla(`${transport}:${path}`, `dir:${bench.path(`${transport}.dir`)}`);
  }
});

/** A layout with an image that is signed by a GPG key, and the key. */
async function signedLayout(
  bench: Bench,
  transport: 'oci' | 'oci-archive',
): Promise<{ image: string; key: string; digest: string }> {
  const { digest } = await writeOciImage(bench.path('layout'), { tag: 'v1' });
  const from = `oci:${bench.path('layout')}:v1`;
  const image = transport === 'oci' ? from : `oci-archive:${bench.path('a.tar')}:v1`;
  if (transport === 'oci-archive') await bench.ok('skopeo', [...policy, 'copy', from, image]);
  const fingerprint = await bench.newGpgKey('signer@example.com', { type: 'ed25519' });
  const key = bench.path('key.asc');
  writeFileSync(key, await bench.ok('gpg', ['--armor', '--export', fingerprint]));
  const signed = await bench.bulla([
    'sign',
    '--sign-by',
    fingerprint,
    '--sign-identity',
    'example.com/ns/app:1',
    image,
  ]);
  assert.equal(signed.exitCode, 0, signed.stderr);
  return { image, key, digest };
}

for (const transport of ['oci', 'oci-archive'] as const) {
  test(
    `${transport}: is signed and verified, and not when the image is another`,
    needs('gpg', 'skopeo'),
    async () => {
      await using bench = await openBench();
      const { image, key, digest } = await signedLayout(bench, transport);
      const verify = (as: string): ReturnType<Bench['bulla']> =>
        bench.bulla(['verify', '--key', key, '--as', as, '--json', image]);
      const accepted = await verify('example.com/ns/app:1');
      assert.equal(accepted.exitCode, 0, accepted.stdout + accepted.stderr);
      assert.match(accepted.stdout, new RegExp(digest));
      assert.equal((await verify('example.com/ns/other:1')).exitCode, 1);
      const rules = {
        default: [{ type: 'reject' }],
        transports: {
          docker: { 'example.com/ns': [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: key }] },
        },
      };
      writeFileSync(bench.path('policy.json'), JSON.stringify(rules));
      const byPolicy = await bench.bulla([
        'verify',
        '--policy',
        bench.path('policy.json'),
        '--as',
        'example.com/ns/app:1',
        image,
      ]);
      assert.equal(byPolicy.exitCode, 0, byPolicy.stdout + byPolicy.stderr);
      assert.equal(await digestBySkopeo(bench, image), digest, 'skopeo reads the image as before');
    },
  );
}

test(
  `oras ${await peerVersion('oras')} and umoci ${await peerVersion('umoci')} with a signed layout`,
  needs('gpg', 'oras', 'umoci', 'skopeo'),
  async () => {
    await using bench = await openBench();
    const { digest, key } = await signedLayout(bench, 'oci');
    const layout = bench.path('layout');
    const listed = async (path: string): Promise<readonly string[]> => {
      const text = await bench.ok('oras', [
        'discover',
        '--oci-layout',
        '--format',
        'json',
        `${path}@${digest}`,
      ]);
      const { referrers } = JSON.parse(text) as { referrers: readonly { artifactType: string }[] };
      return referrers.map(({ artifactType }) => artifactType);
    };
    assert.deepEqual(await listed(layout), ['application/vnd.bulla.signature.v1']);
    assert.equal((await bench.ok('umoci', ['ls', '--layout', layout])).trim(), 'v1');
    await bench.ok('umoci', ['gc', '--layout', layout]);
    await bench.ok('umoci', ['tag', '--image', `${layout}:v1`, 'v2']);
    assert.deepEqual(await listed(layout), ['application/vnd.bulla.signature.v1']);
    // oras takes the signature along, and Bulla finds it there
    const copy = bench.path('copy');
    await bench.ok('oras', [
      'cp',
      '-r',
      '--from-oci-layout',
      `${layout}:v1`,
      '--to-oci-layout',
      `${copy}:v1`,
    ]);
    const verified = await bench.bulla([
      'verify',
      '--key',
      key,
      '--as',
      'example.com/ns/app:1',
      `oci:${copy}:v1`,
    ]);
    assert.equal(verified.exitCode, 0, verified.stdout + verified.stderr);
    // skopeo wants a name where more than the image is listed
    assert.match(
      (await bench.run('skopeo', [...policy, 'inspect', '--raw', `oci:${layout}`])).stderr,
      /more than one image/,
    );
  },
);

test(
  'a signature in a layout of another image is no signature of this one',
  needs('gpg', 'skopeo'),
  async () => {
    await using bench = await openBench();
    const { key, digest } = await signedLayout(bench, 'oci');
    await writeOciImage(bench.path('other'), { tag: 'v1', files: { other: 'x' } });
    cpSync(bench.path('layout', 'blobs'), bench.path('other', 'blobs'), { recursive: true });
    type Index = { manifests: { digest: string }[] };
    const read = (name: string): Index =>
      JSON.parse(readFileSync(bench.path(name, 'index.json'), 'utf8')) as Index;
    const index = read('other');
    index.manifests.push(...read('layout').manifests.filter((each) => each.digest !== digest));
    writeFileSync(bench.path('other', 'index.json'), JSON.stringify(index));
    const verified = await bench.bulla([
      'verify',
      '--key',
      key,
      '--as',
      'example.com/ns/app:1',
      `oci:${bench.path('other')}:v1`,
    ]);
    assert.equal(verified.exitCode, 1, verified.stdout + verified.stderr);
  },
);

test('an archive that is cut off is refused', needs('skopeo'), async () => {
  await using bench = await openBench();
  await writeOciImage(bench.path('layout'), { tag: 'v1', files: { a: 'x'.repeat(100_000) } });
  await bench.ok('skopeo', [
    ...policy,
    'copy',
    `oci:${bench.path('layout')}:v1`,
    `oci-archive:${bench.path('a.tar')}:v1`,
  ]);
  const whole = readFileSync(bench.path('a.tar'));
  writeFileSync(bench.path('cut.tar'), whole.subarray(0, 2200));
  const cut = await bench.bulla(['inspect', `oci-archive:${bench.path('cut.tar')}`]);
  assert.equal(cut.exitCode, 1, cut.stderr);
  assert.match(cut.stderr, /\[image\.malformed\]/);
});

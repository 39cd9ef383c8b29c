/** Layers packed anew on their way: the same flags give the same kinds of layers as skopeo's, and each reads what the other wrote. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib';

import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, type PeerResult } from '../support/peers.ts';
import { useLookaside } from '../support/simple-signing.ts';

type Layer = { readonly mediaType: string; readonly digest: string; readonly size: number };
type Manifest = { readonly mediaType: string; readonly config: Layer; readonly layers: readonly Layer[] };

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const layerType = 'application/vnd.oci.image.layer.v1.tar';

/** An OCI layout with one image for each platform: a layer that is not packed, and one by gzip. Gives the diff_ids of the first. */
function writeLayers(folder: string, platforms: readonly string[]): readonly string[] {
  mkdirSync(`${folder}/blobs/sha256`, { recursive: true });
  const put = (bytes: Uint8Array, mediaType: string): Layer => {
    const digest = sha256(bytes);
    writeFileSync(`${folder}/blobs/sha256/${digest.slice(7)}`, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  const tars = (architecture: string): readonly Uint8Array[] =>
    ['a', 'b'].map((each) => Buffer.concat([tarOf(`${each}-${architecture}`), Buffer.alloc(1024)]));
  const manifests = platforms.map((architecture) => {
    const [first, second] = tars(architecture);
    if (first === undefined || second === undefined) throw new Error('no layers');
    const rootfs = { type: 'layers', diff_ids: [sha256(first), sha256(second)] };
    const config = json({ architecture, os: 'linux', config: {}, rootfs });
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = {
      schemaVersion: 2,
      mediaType,
      config: put(config, 'application/vnd.oci.image.config.v1+json'),
      layers: [put(first, layerType), put(gzipSync(second), `${layerType}+gzip`)],
    };
    return { ...put(json(manifest), mediaType), platform: { os: 'linux', architecture } };
  });
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const [only] = manifests;
  const top =
    manifests.length === 1 ? only : put(json({ schemaVersion: 2, mediaType, manifests }), mediaType);
  const annotations = { 'org.opencontainers.image.ref.name': 'v1' };
  writeFileSync(
    `${folder}/index.json`,
    json({ schemaVersion: 2, manifests: [{ ...top, platform: undefined, annotations }] }),
  );
  writeFileSync(`${folder}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
  return tars(platforms[0] ?? '').map(sha256);
}

/** One file's header and content: what a tar archive is made of. */
function tarOf(name: string): Uint8Array {
  const content = Buffer.from(`${name} `.repeat(3000));
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0ustar\u000000', 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

type Stage = {
  readonly bench: Bench;
  readonly registry: RealRegistry;
  /** oci:… of the image that `writeLayers` wrote. */
  readonly image: string;
  readonly diffIds: readonly string[];
};

async function onStage(platforms: readonly string[], run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  const diffIds = writeLayers(bench.path('image'), platforms);
  useLookaside(bench, `file://${bench.path('sig')}`);
  await run({ bench, registry, image: `oci:${bench.path('image')}:v1`, diffIds });
}

const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];

const copiers = {
  bulla: (bench: Bench, args: readonly string[]): Promise<PeerResult> =>
    bench.bulla(['copy', '--quiet', '--insecure-policy', ...plain, ...args]),
  skopeo: (bench: Bench, args: readonly string[]): Promise<PeerResult> =>
    bench.run('skopeo', ['copy', '--quiet', '--insecure-policy', ...plain, ...args]),
};
const names = ['bulla', 'skopeo'] as const;

function manifestIn(folder: string, layout: boolean): Manifest {
  const read = (path: string): Manifest => JSON.parse(readFileSync(`${folder}/${path}`, 'utf8')) as Manifest;
  if (!layout) return read('manifest.json');
  const { manifests } = JSON.parse(readFileSync(`${folder}/index.json`, 'utf8')) as {
    manifests: readonly Layer[];
  };
  return read(`blobs/sha256/${manifests[0]?.digest.slice(7)}`);
}

function unpack(bytes: Uint8Array): Uint8Array {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzipSync(bytes);
  return bytes[0] === 0x28 && bytes[1] === 0xb5 ? zstdDecompressSync(bytes) : bytes;
}

/** The flags, and whether the destination is a layout. */
const flags: readonly (readonly [readonly string[], boolean])[] = [
  [['--dest-compress'], false],
  [['--dest-compress', '--dest-compress-format', 'zstd'], false],
  [['--dest-compress', '--dest-compress-format', 'gzip', '--dest-compress-level', '9'], false],
  [['--dest-compress-format', 'zstd'], false],
  [['--dest-decompress'], false],
  [['--dest-decompress', '--format', 'v2s2'], false],
  [['--dest-compress-format', 'gzip'], true],
  [['--dest-compress-format', 'zstd', '--dest-force-compress-format'], true],
  [['--dest-compress-format', 'zstd', '--dest-compress-level', '19'], true],
  [['--dest-compress-format', 'zstd', '--dest-oci-accept-uncompressed-layers'], true],
];

test(
  'the same flags give the same kinds of layers, which unpack to the same',
  needs('skopeo', 'docker-registry'),
  () =>
    onStage(['amd64'], async ({ bench, image, diffIds }) => {
      for (const [given, layout] of flags) {
        const made = [];
        for (const name of names) {
          const folder = bench.path(`out-${name}`);
          rmSync(folder, { recursive: true, force: true });
          const { exitCode, stderr } = await copiers[name](bench, [
            ...given,
            image,
            layout ? `oci:${folder}:v1` : `dir:${folder}`,
          ]);
          assert.equal(exitCode, 0, `${name} ${given.join(' ')}: ${stderr}`);
          const manifest = manifestIn(folder, layout);
          const blobs = manifest.layers.map(({ digest }) =>
            readFileSync(`${folder}/${layout ? 'blobs/sha256/' : ''}${digest.slice(7)}`),
          );
          assert.deepEqual(
            blobs.map(sha256),
            manifest.layers.map(({ digest }) => digest),
          );
          assert.deepEqual(blobs.map(unpack).map(sha256), diffIds, `${name} ${given.join(' ')}`);
          made.push({
            manifest: manifest.mediaType,
            config: manifest.config.digest,
            layers: manifest.layers.map(({ mediaType }) => mediaType),
          });
        }
        assert.deepEqual(made[0], made[1], given.join(' '));
      }
    }),
);

test('each reads what the other has packed, through a registry', needs('skopeo', 'docker-registry'), () =>
  onStage(['amd64'], async ({ bench, registry, image, diffIds }) => {
    for (const [writer, reader] of [
      ['bulla', 'skopeo'],
      ['skopeo', 'bulla'],
    ] as const) {
      for (const format of ['gzip', 'zstd']) {
        const there = `docker://${registry.host}/${writer}/${format}:1`;
        const out = bench.path(`${writer}-${format}`);
        const written = await copiers[writer](bench, ['--dest-compress-format', format, image, there]);
        assert.equal(written.exitCode, 0, written.stderr);
        const read = await copiers[reader](bench, ['--dest-decompress', there, `dir:${out}`]);
        assert.equal(read.exitCode, 0, read.stderr);
        const { layers } = manifestIn(out, false);
        assert.deepEqual(
          layers.map(({ digest }) => digest),
          diffIds,
        );
      }
    }
  }),
);

test(
  'Docker’s format becomes OCI’s for zstd; an archive’s layers are packed',
  needs('skopeo', 'docker-registry'),
  () =>
    onStage(['amd64'], async ({ bench, registry, image, diffIds }) => {
      await bench.ok('skopeo', [
        'copy',
        '--quiet',
        '--insecure-policy',
        image,
        `docker-archive:${bench.path('image.tar')}:app:1`,
      ]);
      const types = [];
      for (const name of names) {
        const there = `docker://${registry.host}/${name}/archive:1`;
        const { exitCode, stderr } = await copiers[name](bench, [
          '--dest-compress-format',
          'zstd',
          `docker-archive:${bench.path('image.tar')}`,
          there,
        ]);
        assert.equal(exitCode, 0, stderr);
        const raw = JSON.parse(
          await bench.ok('skopeo', ['inspect', '--raw', '--tls-verify=false', there]),
        ) as Manifest;
        types.push([raw.mediaType, ...raw.layers.map(({ mediaType }) => mediaType)]);
      }
      assert.deepEqual(types[0], types[1]);
      const out = bench.path('unpacked');
      const read = await copiers.skopeo(bench, [
        '--dest-decompress',
        `docker://${registry.host}/bulla/archive:1`,
        `dir:${out}`,
      ]);
      assert.equal(read.exitCode, 0, read.stderr);
      assert.deepEqual(
        manifestIn(out, false).layers.map(({ digest }) => digest),
        diffIds,
      );
    }),
);

test('a list is packed throughout, and skopeo reads all of it', needs('skopeo', 'docker-registry'), () =>
  onStage(['amd64', 'arm64'], async ({ bench, registry, image }) => {
    const there = `docker://${registry.host}/list:1`;
    const copied = await copiers.bulla(bench, ['--all', '--dest-compress-format', 'zstd', image, there]);
    assert.equal(copied.exitCode, 0, copied.stderr);
    const read = await copiers.skopeo(bench, [
      '--all',
      '--preserve-digests',
      there,
      `dir:${bench.path('out')}`,
    ]);
    assert.equal(read.exitCode, 0, read.stderr);
    const instances = readdirSync(bench.path('out')).filter((name) => name.endsWith('.manifest.json'));
    assert.equal(instances.length, 2);
    const { manifests } = JSON.parse(readFileSync(bench.path('out', 'manifest.json'), 'utf8')) as {
      manifests: readonly { annotations?: object }[];
    };
    assert.deepEqual(
      manifests.map(({ annotations }) => annotations),
      Array.from({ length: 2 }, () => ({ 'io.github.containers.compression.zstd': 'true' })),
    );
    for (const each of instances) {
      const { layers } = JSON.parse(readFileSync(bench.path('out', each), 'utf8')) as Manifest;
      assert.deepEqual([...new Set(layers.map(({ mediaType }) => mediaType))], [`${layerType}+zstd`]);
    }
  }),
);

test(
  'what is signed is not packed anew, for its reason; without its signatures it is, and signed anew',
  needs('skopeo', 'docker-registry', 'gpg'),
  () =>
    onStage(['amd64'], async ({ bench, registry, image }) => {
      const key = await bench.newGpgKey('Packer <packer@example.com>', { type: 'ed25519' });
      writeFileSync(bench.path('key.gpg'), await bench.ok('gpg', ['--armor', '--export', key]));
      const [signed, packed] = [`docker://${registry.host}/signed:1`, `docker://${registry.host}/packed:1`];
      await bench.ok('skopeo', [
        'copy',
        '--quiet',
        '--insecure-policy',
        '--preserve-digests',
        '--dest-tls-verify=false',
        '--sign-by',
        key,
        image,
        signed,
      ]);
      const zstd = ['--dest-compress-format', 'zstd'];
      const refusals = [
        ['copy.signatures-freeze', zstd, packed],
        ['copy.preserve-digests', [...zstd, '--remove-signatures', '--preserve-digests'], packed],
        [
          'copy.digest-freezes',
          [...zstd, '--remove-signatures'],
          `docker://${registry.host}/packed@sha256:${'0'.repeat(64)}`,
        ],
      ] as const;
      for (const [code, given, to] of refusals) {
        const refused = await copiers.bulla(bench, [...given, signed, to]);
        assert.equal(refused.exitCode, 2, refused.stderr);
        assert.ok(refused.stderr.includes(`[${code}]`), refused.stderr);
      }
      assert.doesNotMatch(registry.log(), /(?:PUT|POST|PATCH) \/v2\/packed/, 'nothing was written');
      const made = await copiers.bulla(bench, [
        ...zstd,
        '--remove-signatures',
        '--sign-by',
        key,
        signed,
        packed,
      ]);
      assert.equal(made.exitCode, 0, made.stderr);
      const policy = writePolicy(bench, 'policy', [signedBy(bench.path('key.gpg'))]);
      const out = `dir:${bench.path('accepted')}`;
      const accepted = await bench.run('skopeo', [
        'copy',
        '--quiet',
        '--policy',
        policy,
        '--src-tls-verify=false',
        packed,
        out,
      ]);
      assert.equal(accepted.exitCode, 0, accepted.stderr);
    }),
);

/** sign, verify and inspect on the embedded registry: lists, claimed names, several signers, dry runs. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { utf8 } from '../src/base/bytes.ts';
import { mediaTypes } from '../src/base/descriptor.ts';
import { type Digest, digestOf } from '../src/base/digest.ts';
import { type ErrorCode, isBullaError } from '../src/base/errors.ts';
import { parseImageName } from '../src/base/image-name.ts';
import { parseReference } from '../src/base/reference.ts';
import { encryptPrivateKey } from '../src/keys/sigstore/encrypted-key.ts';
import { encodePem } from '../src/keys/sigstore/pem.ts';
import { makeKeyPair, openSigstoreKey } from '../src/keys/sigstore/private-key.ts';
import { generateKey } from '../src/operations/keys.ts';
import { openSecretKey } from '../src/keys/openpgp/sign.ts';
import type { Signer } from '../src/keys/signer.ts';
import { copy, inspect, openWorld, sign, verify, type World } from '../src/index.ts';
import { serveRegistry } from '../src/servers/registry/serve.ts';

const folder = await mkdtemp(join(tmpdir(), 'bulla-verbs-'));
const registry = await serveRegistry();
const host = new URL(registry.url).host;
const warnings: string[] = [];
let world: World;
let signer: Signer;
let other: Signer;

before(async () => {
  await mkdir(join(folder, 'registries.d'));
  await writeFile(
    join(folder, 'registries.d', 'x.yaml'),
    `default-docker:\n  lookaside: file://${folder}/sigstore\n`,
  );
  const environment = {
    env: { HOME: folder },
    home: folder,
    uid: 1,
    etc: join(folder, 'etc'),
    share: join(folder, 'share'),
  };
  world = openWorld({
    environment,
    tlsVerify: false,
    registriesDFolder: join(folder, 'registries.d'),
    warn: (message) => warnings.push(message),
  });
  signer = await makeSigner('signer');
  other = await makeSigner('other');
  await writeFile(
    join(folder, 'policy.json'),
    JSON.stringify({
      default: [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: join(folder, 'signer.pub.asc') }],
    }),
  );
});
after(async () => {
  await world[Symbol.asyncDispose]();
  await registry.close();
  await rm(folder, { recursive: true, force: true });
});

async function makeSigner(name: string): Promise<Signer> {
  const prefix = join(folder, name);
  const request = { userId: `${name} <${name}@example.com>`, type: 'ed25519', passphrase: '' } as const;
  await generateKey({ env: { HOME: folder } }, request, { prefix });
  return openSecretKey(new Uint8Array(await readFile(`${prefix}.private.asc`)), {
    passphrase: async () => '',
  });
}

const policy = (): { kind: 'policy'; file: string } => ({
  kind: 'policy',
  file: join(folder, 'policy.json'),
});

/** Uploads an image whose one difference is `content`; gives its descriptor. */
async function pushImage(
  path: string,
  tag: string,
  content: string,
): Promise<{ mediaType: string; digest: Digest; size: number }> {
  const client = await world.registries.open({
    reference: parseReference(`${host}/${path}:${tag}`),
    insecure: true,
  });
  const config = utf8(JSON.stringify({ os: 'linux', architecture: 'amd64', content }));
  const described = { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length };
  await client.putBlob(path, described, config);
  const bytes = utf8(
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: described, layers: [] }),
  );
  await client.putManifest(path, tag, { bytes, mediaType: mediaTypes.ociManifest });
  return { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
}

type Index = { readonly digest: Digest; readonly instances: readonly Digest[] };

async function pushIndex(path: string, tag: string): Promise<Index> {
  const amd64 = {
    ...(await pushImage(path, `${tag}-amd64`, `${tag} amd64`)),
    platform: { os: 'linux', architecture: 'amd64' },
  };
  const s390x = {
    ...(await pushImage(path, `${tag}-s390x`, `${tag} s390x`)),
    platform: { os: 'linux', architecture: 's390x' },
  };
  const bytes = utf8(
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [amd64, s390x] }),
  );
  const client = await world.registries.open({
    reference: parseReference(`${host}/${path}:${tag}`),
    insecure: true,
  });
  await client.putManifest(path, tag, { bytes, mediaType: mediaTypes.ociIndex });
  return { digest: digestOf(bytes), instances: [amd64.digest, s390x.digest] };
}

const image = (path: string): ReturnType<typeof parseImageName> => parseImageName(`docker://${host}/${path}`);
const linux = (architecture: string): { os: string; architecture: string } => ({ os: 'linux', architecture });

test('a list: each instance is signed, then the list, all for the list’s reference', async () => {
  const index = await pushIndex('lists/all', '1');
  const receipt = await sign({ image: image('lists/all:1'), signers: [signer] }, world);
  assert.deepEqual(
    receipt.signatures.map((made) => made.digest),
    [...index.instances, index.digest],
  );
  assert.deepEqual(
    new Set(receipt.signatures.map((made) => made.identity)),
    new Set([`${host}/lists/all:1`]),
  );
  for (const architecture of ['amd64', 's390x']) {
    const [verdict] = await verify(
      { images: [image('lists/all:1')], by: policy(), platform: linux(architecture) },
      world,
    );
    assert.equal(verdict?.accepted, true);
    assert.equal(verdict?.index, index.digest);
  }
  const [whole] = await verify({ images: [image('lists/all:1')], by: policy(), all: true }, world);
  assert.equal(whole?.accepted, true);
  assert.deepEqual(
    whole?.instances?.map((each) => each.digest),
    index.instances,
  );
});

test('a list with one instance signed: that one passes, another and the whole do not', async () => {
  const index = await pushIndex('lists/one', '1');
  await sign(
    {
      image: image('lists/one:1'),
      signers: [signer],
      instances: { kind: 'platforms', platforms: [linux('s390x')] },
    },
    world,
  );
  const judged = async (architecture: string): Promise<unknown> =>
    (await verify({ images: [image('lists/one:1')], by: policy(), platform: linux(architecture) }, world))[0]
      ?.accepted;
  assert.equal(await judged('s390x'), true);
  assert.equal(await judged('amd64'), false);
  const [whole] = await verify({ images: [image('lists/one:1')], by: policy(), all: true }, world);
  assert.equal(whole?.accepted, false);
  assert.equal(whole?.digest, index.instances[0]);
});

test('a signature of the list alone vouches for no instance, and says so when it is made', async () => {
  const index = await pushIndex('lists/index-only', '1');
  warnings.length = 0;
  const receipt = await sign(
    { image: image('lists/index-only:1'), signers: [signer], instances: { kind: 'index-only' } },
    world,
  );
  assert.deepEqual(
    receipt.signatures.map((made) => made.digest),
    [index.digest],
  );
  assert.equal(warnings.length, 1);
  const [verdict] = await verify(
    { images: [image('lists/index-only:1')], by: policy(), platform: linux('amd64') },
    world,
  );
  assert.equal(verdict?.accepted, false);
  assert.equal(verdict?.requirements[0]?.code, 'trust.no-signature');
});

test('by a sigstore key, a signature of the list counts for its instances, as for cosign; by a policy it does not', async () => {
  const index = await pushIndex('lists/cosign', '1');
  const pair = makeKeyPair('ecdsa-p256');
  const file = join(folder, 'list.pub');
  await writeFile(file, encodePem('PUBLIC KEY', pair.publicKey.spki));
  const sealed = await encryptPrivateKey(pair.privateKey.export({ type: 'pkcs8', format: 'der' }), 'pw');
  await using key = await openSigstoreKey(sealed, { passphrase: { given: 'pw' } });
  const witnesses = { logs: [], timestamps: [] };
  const plan = { signer: key, formats: ['bundle'], witnesses, explicitFormat: true } as const;
  await sign({ image: image('lists/cosign:1'), signers: [plan], instances: { kind: 'index-only' } }, world);
  const images = [image('lists/cosign:1')];
  const byKey = { kind: 'keys', files: [file] } as const;
  const [verdict] = await verify({ images, by: byKey, platform: linux('s390x') }, world);
  assert.equal(verdict?.accepted, true);
  assert.deepEqual([verdict.digest, verdict.index], [index.instances[1], index.digest]);
  assert.match(verdict.requirements[0]?.signatures[0]?.message ?? '', new RegExp(`list ${index.digest}`));
  const [whole] = await verify({ images, by: byKey, all: true }, world);
  assert.equal(whole?.accepted, true);
  const [alone] = await verify({ images: [image('lists/cosign:1-amd64')], by: byKey }, world);
  assert.equal(alone?.accepted, false);
  const asPodman = { tool: 'podman', comparesName: true } as const;
  const [podman] = await verify({ images, by: byKey, platform: linux('s390x'), for: asPodman }, world);
  assert.equal(podman?.accepted, false);
  const [cosign] = await verify(
    {
      images,
      by: byKey,
      platform: linux('s390x'),
      for: { tool: 'cosign3', ignoreLog: true, comparesName: false },
    },
    world,
  );
  assert.equal(cosign?.accepted, true);
});

test('a platform that the list does not have is not decided', async () => {
  await pushIndex('lists/platform', '1');
  const [verdict] = await verify(
    { images: [image('lists/platform:1')], by: policy(), platform: linux('riscv64') },
    world,
  );
  assert.equal(verdict?.accepted, false);
  assert.equal(verdict?.error?.code, 'image.no-such-platform');
});

test('several keys and identities in one run', async () => {
  await pushImage('many/app', '1', 'many');
  const identities = [
    parseReference(`${host}/many/app:1`),
    parseReference('registry.example.com/prod/app:1'),
  ];
  const receipt = await sign({ image: image('many/app:1'), signers: [signer, other], identities }, world);
  assert.equal(receipt.signatures.length, 4);
  assert.deepEqual(
    receipt.signatures.map((made) => made.location.slice(-11)),
    ['signature-1', 'signature-2', 'signature-3', 'signature-4'],
  );
  const found = await inspect({ image: image('many/app:1'), by: policy() }, world);
  const [manifest] = found.manifests;
  assert.equal(manifest?.signatures.length, 4);
  assert.equal(manifest?.verdict?.accepted, true);
  assert.deepEqual(
    manifest?.signatures.map((each) => each.verdict?.code),
    ['accepted', 'signature.unknown-key', 'signature.wrong-identity', 'signature.unknown-key'],
  );
});

test('a claimed name is the identity to match and selects the scope', async () => {
  await pushImage('mirror/app', '1', 'claimed');
  await sign(
    {
      image: image('mirror/app:1'),
      signers: [signer],
      identities: [parseReference('registry.example.com/prod/app:1')],
    },
    world,
  );
  const judged = async (as: string): Promise<boolean | undefined> =>
    (await verify({ images: [image('mirror/app:1')], by: policy(), as: parseReference(as) }, world))[0]
      ?.accepted;
  assert.equal(await judged('registry.example.com/prod/app:1'), true);
  assert.equal(await judged('registry.example.com/prod/app:2'), false);
  // nothing is added to a name without a tag, and such a name matches no signature
  assert.equal(await judged('registry.example.com/prod/app'), false);
});

test('a dry run signs and stores nothing', async () => {
  await pushImage('dry/app', '1', 'dry');
  const receipt = await sign({ image: image('dry/app:1'), signers: [signer], dryRun: true }, world);
  assert.equal(receipt.signatures[0]?.added, false);
  const stored = await readdir(join(folder, 'sigstore', 'dry')).catch(() => []);
  assert.deepEqual(stored, []);
});

const refused = (code: ErrorCode) => (error: unknown) => isBullaError(error, code);

test('no key, a name-only identity, no image: refused before anything is stored', async () => {
  await assert.rejects(sign({ image: image('many/app:1'), signers: [] }, world), refused('usage.invalid'));
  const identities = [parseReference('registry.example.com/app')];
  await assert.rejects(
    sign({ image: image('many/app:1'), signers: [signer], identities }, world),
    refused('usage.invalid'),
  );
  await assert.rejects(
    sign({ image: image('none/app:1'), signers: [signer] }, world),
    refused('image.not-found'),
  );
});

test('a key judges alone; a claimed digest is what is judged', async () => {
  const { digest } = await pushImage('keyed/app', '1', 'keyed');
  await sign({ image: image('keyed/app:1'), signers: [signer] }, world);
  const by = { kind: 'keys', files: [join(folder, 'signer.pub.asc')] } as const;
  const [byTag] = await verify({ images: [image('keyed/app:1')], by }, world);
  const [byDigest] = await verify({ images: [image(`keyed/app@${digest}`)], by }, world);
  assert.deepEqual([byTag?.accepted, byDigest?.accepted], [true, true]);
  const [wrong] = await verify(
    { images: [image('keyed/app:1')], by: { kind: 'keys', files: [join(folder, 'other.pub.asc')] } },
    world,
  );
  assert.equal(wrong?.accepted, false);
});

test('what judges must be there', async () => {
  const missing = { kind: 'policy', file: join(folder, 'none.json') } as const;
  await assert.rejects(verify({ images: [image('keyed/app:1')], by: missing }, world), (error) =>
    isBullaError(error, 'policy.not-found'),
  );
  await assert.rejects(verify({ images: [image('keyed/app:1')] }, world), (error) =>
    isBullaError(error, 'policy.not-found'),
  );
});

test('a policy that refuses one platform of twelve refuses the copy: nothing of it is written', async () => {
  const architectures = ['amd64', 'arm64', 'arm', '386', 's390x', 'ppc64le', 'riscv64', 'mips64le'];
  const variants = ['mips64', 'loong64', 'ppc64', 'sparc64'];
  const all = [...architectures, ...variants];
  const manifests = await Promise.all(
    all.map(async (architecture) => ({
      ...(await pushImage('dev/twelve', architecture, `twelve ${architecture}`)),
      platform: { os: 'linux', architecture },
    })),
  );
  const mediaType = mediaTypes.ociIndex;
  const client = await world.registries.open({
    reference: parseReference(`${host}/dev/twelve:1`),
    insecure: true,
  });
  const bytes = utf8(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
  await client.putManifest('dev/twelve', '1', { bytes, mediaType });
  const source = parseImageName(`docker://${host}/dev/twelve:1`);
  const destination = parseImageName(`docker://${host}/prod/twelve:1`);
  const request = { source, destination, by: policy(), instances: { kind: 'all' } } as const;
  await sign({ image: source, signers: [signer], instances: { kind: 'all' } }, world);

  const [victim] = manifests.slice(7);
  const lookaside = join(folder, 'sigstore', 'dev');
  const signatures = join(lookaside, `twelve@sha256=${victim?.digest.slice(7)}`);
  const kept = await readFile(join(signatures, 'signature-1'));
  await rm(signatures, { recursive: true });
  const refused = await copy(request, { from: world, to: world });
  assert.ok(!refused.copied);
  assert.equal(refused.verdict.digest, victim?.digest);
  assert.deepEqual(
    refused.verdict.instances?.filter(({ accepted }) => !accepted).map(({ platform }) => platform),
    [victim?.platform],
  );
  assert.equal(await client.headManifest('prod/twelve', '1'), undefined);
  for (const { digest } of manifests)
    assert.equal(await client.headManifest('prod/twelve', digest), undefined, 'nothing was written');

  await mkdir(signatures);
  await writeFile(join(signatures, 'signature-1'), kept);
  const copied = await copy(request, { from: world, to: world });
  assert.ok(copied.copied);
  assert.equal((await client.headManifest('prod/twelve', '1'))?.digest, digestOf(bytes));
});

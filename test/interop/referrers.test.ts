/** Bundles beside images, as cosign writes and reads them, on a registry without the referrers API and one with it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { type Digest, parseDigest } from '../../src/base/digest.ts';
import { parseReference } from '../../src/base/reference.ts';
import type { Signature } from '../../src/formats/signature.ts';
import { openRegistry, type Registry } from '../../src/registry/registry.ts';
import { serveRegistry } from '../../src/servers/registry/serve.ts';
import { openAttachments, openOldAttestations } from '../../src/stores/attachments.ts';
import { hiddenByBundle } from '../../src/stores/hides-attachment.ts';
import { openReferrers } from '../../src/stores/referrers.ts';
import { listAll } from '../../src/stores/store-contract.ts';
import type { RegistryImageId } from '../../src/stores/store.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench, type PeerName } from '../support/peers.ts';

const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const signType = 'https://sigstore.dev/cosign/sign/v1';

type Stage = {
  readonly bench: Bench;
  readonly registry: Registry;
  readonly hasApi: boolean;
  readonly image: RegistryImageId;
  /** `127.0.0.1:PORT/ns/app@sha256:…` */
  readonly name: string;
  /** A bundle of this image by cosign's key, made and not pushed. */
  readonly makeBundle: () => Promise<Signature>;
};

const offline = ['--signing-config', 'config.json', '--trusted-root', 'root.json', '-y'];
const verifyFlags = ['verify', '--key', 'cosign.pub', '--insecure-ignore-tlog=true'];

async function onRegistry(hasApi: boolean, run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  await using embedded = hasApi ? await serveRegistry({}) : undefined;
  const host = embedded === undefined ? (await startRegistry(bench)).host : new URL(embedded.url).host;
  const written = await writeOciImage(bench.path('image'), { tag: 'v1', files: { 'a.txt': 'a\n' } });
  const from = `oci:${bench.path('image')}:v1`;
  await bench.ok('skopeo', ['copy', '--dest-tls-verify=false', from, `docker://${host}/ns/app:v1`]);
  await bench.ok('cosign', ['generate-key-pair']);
  await bench.ok('cosign', ['signing-config', 'create', '--out', 'config.json']);
  await bench.ok('cosign', ['trusted-root', 'create', '--out', 'root.json']);
  await using registry = openRegistry(host, {
    credentials: { kind: 'none' },
    tls: {},
    insecure: true,
    userAgent: 'bulla-test',
  });
  const digest: Digest = parseDigest(written.digest);
  const image = { reference: parseReference(`${host}/ns/app:v1`), digest };
  const name = `${host}/ns/app@${digest}`;
  let made = 0;
  const makeBundle = async (): Promise<Signature> => {
    const file = bench.path(`bundle-${(made += 1)}.json`);
    const flags = ['--key', 'cosign.key', ...offline, '--upload=false', '--bundle', file];
    await bench.ok('cosign', ['sign', ...flags, name]);
    return { format: 'bundle', mediaType: bundleType, json: new Uint8Array(readFileSync(file)) };
  };
  await run({ bench, registry, hasApi, image, name, makeBundle });
}

const peers: readonly PeerName[] = ['cosign', 'skopeo'];

for (const hasApi of [true, false]) {
  const where = hasApi ? 'with the referrers API' : 'by the fallback tag';
  const required = hasApi ? peers : ([...peers, 'docker-registry'] as const);

  test(`what cosign signs and attests is listed ${where}`, needs(...required), () =>
    onRegistry(hasApi, async ({ bench, registry, image, name }) => {
      const store = openReferrers(registry);
      assert.deepEqual(await listAll(store, image), []);
      await bench.ok('cosign', ['sign', '--key', 'cosign.key', ...offline, name]);
      writeFileSync(bench.path('predicate.json'), '{"a":1}');
      const attest = ['attest', '--key', 'cosign.key', '--predicate', 'predicate.json', ...offline];
      await bench.ok('cosign', [...attest, '--type', 'https://example.com/p', name]);
      const found = await listAll(store, image);
      assert.deepEqual(
        found.map(({ signature }) => signature.format),
        ['bundle', 'bundle'],
      );
      assert.deepEqual(found.map(({ signature }) => predicateTypeOf(signature)).toSorted(), [
        'https://example.com/p',
        signType,
      ]);
    }),
  );

  test(`what Bulla adds cosign verifies ${where}, beside its own`, needs(...required), () =>
    onRegistry(hasApi, async ({ bench, registry, image, name, makeBundle }) => {
      const store = openReferrers(registry);
      const bundle = await makeBundle();
      assert.equal((await store.add(image, bundle)).added, true);
      assert.equal((await store.add(image, bundle)).added, false);
      await bench.ok('cosign', [...verifyFlags, name]);
      await bench.ok('cosign', ['sign', '--key', 'cosign.key', ...offline, name]);
      await store.add(image, await makeBundle());
      assert.equal((await listAll(store, image)).length, 3);
      const verified = await bench.ok('cosign', [...verifyFlags, name]);
      assert.equal((JSON.parse(verified) as unknown[]).length, 3);
      assert.match(await bench.ok('cosign', ['tree', name]), /sigstore\.dev\/cosign\/sign\/v1/);
    }),
  );

  test(`fifty writers at once lose nothing ${where}`, needs(...required), () =>
    onRegistry(hasApi, async ({ registry, image, makeBundle }) => {
      const bundle = await makeBundle();
      assert.ok(bundle.format === 'bundle');
      // white space behind it makes another bundle of it, with the same signature
      const bundles = Array.from({ length: 50 }, (_, n) => ({
        ...bundle,
        json: new Uint8Array(Buffer.concat([bundle.json, Buffer.from(' '.repeat(n))])),
      }));
      // ten stores: ten processes would take turns as they do
      await Promise.all(bundles.map((each) => openReferrers(registry).add(image, each)));
      const found = await listAll(openReferrers(registry), image);
      const sizes = found.map(({ signature }) => (signature.format === 'bundle' ? signature.json.length : 0));
      assert.deepEqual(
        sizes.toSorted((a, b) => a - b),
        bundles.map(({ json }) => json.length),
      );
    }),
  );

  test(`a first bundle would hide a .sig ${where}, as cosign shows`, needs(...required), () =>
    onRegistry(hasApi, async ({ bench, registry, image, name, makeBundle }) => {
      const stores = { attachments: openAttachments(registry), referrers: openReferrers(registry) };
      const mine = (): boolean => false;
      assert.equal(await hiddenByBundle(stores, image, mine), undefined);
      await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', 'other']);
      const old = ['--new-bundle-format=false', '--use-signing-config=false', '--tlog-upload=false', '-y'];
      await bench.ok('cosign', ['sign', '--key', 'other.key', ...old, name]);
      const verify = ['verify', '--key', 'other.pub', '--insecure-ignore-tlog=true', name];
      await bench.ok('cosign', verify);
      assert.match((await hiddenByBundle(stores, image, mine)) ?? '', /\.sig layer 1$/);
      assert.equal(await hiddenByBundle(stores, image, () => true), undefined);
      await stores.referrers.add(image, await makeBundle());
      assert.equal((await bench.run('cosign', verify)).exitCode, 1);
      assert.equal(await hiddenByBundle(stores, image, mine), undefined);
    }),
  );
}

test('Notary signatures are listed', needs(...peers, 'notation'), () =>
  onRegistry(true, async ({ bench, registry, image, name }) => {
    await bench.ok('notation', ['cert', 'generate-test', 'tester']);
    await bench.ok('notation', ['sign', '--insecure-registry', '--key', 'tester', name]);
    const formats = async (everything: boolean): Promise<string[]> => {
      const found: string[] = [];
      for await (const { signature } of openReferrers(registry).list(image, { everything }))
        found.push(signature.format === 'notary' ? signature.mediaType : signature.format);
      return found;
    };
    assert.deepEqual(await formats(true), ['application/jose+json']);
  }),
);

test('attestations of cosign 2 are listed, and taken along', needs(...peers, 'cosign2'), () =>
  onRegistry(true, async ({ bench, registry, image, name }) => {
    writeFileSync(bench.path('predicate.json'), '{"a":1}');
    const attest = ['attest', '--key', 'cosign.key', '--predicate', 'predicate.json', '--tlog-upload=false'];
    await bench.ok('cosign2', [...attest, '-y', name]);
    const store = openOldAttestations(registry);
    const [first] = await listAll(store, image);
    assert.ok(first?.signature.format === 'attestation');
    assert.equal(first.signature.annotations['predicateType'], 'https://cosign.sigstore.dev/attestation/v1');
    assert.deepEqual(await store.add(image, first.signature), { location: first.location, added: false });
    // the same statement under another name of its kind: one more layer
    const annotations = { ...first.signature.annotations, 'example.com/n': '2' };
    assert.equal((await store.add(image, { ...first.signature, annotations })).added, true);
    const verify = ['verify-attestation', '--key', 'cosign.pub', '--insecure-ignore-tlog=true'];
    const verified = await bench.ok('cosign2', [...verify, '--type', 'custom', name]);
    assert.equal(verified.trim().split('\n').length, 2);
  }),
);

function predicateTypeOf(signature: { readonly format: string; readonly json?: Uint8Array }): string {
  const bundle = JSON.parse(Buffer.from(signature.json ?? []).toString('utf8')) as {
    dsseEnvelope: { payload: string };
  };
  const statement = Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString('utf8');
  return (JSON.parse(statement) as { predicateType: string }).predicateType;
}

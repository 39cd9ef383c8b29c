/** BuildKit's attestation manifests in a registry: who signs one vouches for what it states of the platform that it names. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { utf8 } from '../src/base/bytes.ts';
import { type Digest, digestOf } from '../src/base/digest.ts';
import { parseReference } from '../src/base/reference.ts';
import { cosignSignPredicateType, encodeStatement } from '../src/formats/statement.ts';
import { openRegistry, type Registry } from '../src/registry/registry.ts';
import { serveRegistry } from '../src/servers/registry/serve.ts';
import { openReferrers } from '../src/stores/referrers.ts';
import { forgeBundle, forgeInstance } from './support/bundle-forge.ts';
import { type Bench, openBench, type PeerResult } from './support/peers.ts';
import * as forge from './support/sigstore-forge.ts';

const slsa = 'https://slsa.dev/provenance/v0.2';
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const indexType = 'application/vnd.oci.image.index.v1+json';
const inToto = 'application/vnd.in-toto+json';
const instance = forgeInstance();
const key = forge.ecKey();

let bench: Bench;
let server: Awaited<ReturnType<typeof serveRegistry>>;
let registry: Registry;
let host: string;

before(async () => {
  bench = await openBench();
  server = await serveRegistry({});
  host = new URL(server.url).host;
  registry = openRegistry(host, {
    credentials: { kind: 'none' },
    tls: {},
    insecure: true,
    userAgent: 'test',
  });
  writeFileSync(bench.path('k.pub'), forge.pemOf(key));
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await bench[Symbol.asyncDispose]();
});

type Entry = { readonly mediaType: string; readonly digest: Digest; readonly size: number };

async function blob(path: string, value: object, mediaType: string): Promise<Entry> {
  const bytes = utf8(JSON.stringify(value));
  const entry = { mediaType, digest: digestOf(bytes), size: bytes.length };
  await registry.putBlob(path, entry, bytes);
  return entry;
}

async function manifest(path: string, value: object, mediaType: string, tag?: string): Promise<Entry> {
  const bytes = utf8(JSON.stringify({ schemaVersion: 2, mediaType, ...value }));
  const entry = { mediaType, digest: digestOf(bytes), size: bytes.length };
  await registry.putManifest(path, tag ?? entry.digest, { bytes, mediaType });
  return entry;
}

/** An image of two platforms as BuildKit pushes it, with an attestation manifest for the first one; that is signed. */
async function pushBuildKit(
  path: string,
  about: 'itself' | 'another' | 'another by its statement',
): Promise<Digest> {
  const config = 'application/vnd.oci.image.config.v1+json';
  const platforms: Entry[] = [];
  for (const architecture of ['amd64', 'arm64']) {
    const of = await blob(
      path,
      { architecture, os: 'linux', rootfs: { type: 'layers', diff_ids: [] } },
      config,
    );
    platforms.push(await manifest(path, { config: of, layers: [] }, manifestType));
  }
  const [amd64, arm64] = platforms;
  assert.ok(amd64 !== undefined && arm64 !== undefined);
  const digest = about === 'itself' ? amd64.digest : arm64.digest;
  const statement = {
    _type: 'https://in-toto.io/Statement/v0.1',
    subject: [{ name: 'pkg:docker/app', digest: { sha256: digest.slice(7) } }],
    predicateType: slsa,
    predicate: { builder: { id: '' } },
  };
  const layer = {
    ...(await blob(path, statement, inToto)),
    annotations: { 'in-toto.io/predicate-type': slsa },
  };
  const unknown = { architecture: 'unknown', os: 'unknown' };
  const attestation = await manifest(
    path,
    {
      config: await blob(path, { ...unknown, rootfs: { type: 'layers', diff_ids: [] } }, config),
      layers: [layer],
    },
    manifestType,
  );
  const named = about === 'another' ? arm64.digest : amd64.digest;
  const annotations = {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': named,
  };
  const manifests = [
    { ...amd64, platform: { architecture: 'amd64', os: 'linux' } },
    { ...arm64, platform: { architecture: 'arm64', os: 'linux' } },
    { ...attestation, platform: unknown, annotations },
  ];
  await manifest(path, { manifests }, indexType, '1');
  await signByKey(path, attestation.digest);
  return attestation.digest;
}

async function signByKey(path: string, digest: Digest): Promise<void> {
  const payload = encodeStatement({
    subjects: [{ digests: new Map([['sha256', digest.slice(7)]]) }],
    predicateType: cosignSignPredicateType,
    predicate: { kind: 'object', offset: 0, members: [] },
  });
  const { json } = forgeBundle(instance, {
    signer: key,
    content: { payloadType: inToto, payload },
    logs: [],
  });
  const mediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
  const image = { reference: parseReference(`${host}/${path}:1`), digest };
  await openReferrers(registry).add(image, { format: 'bundle', mediaType, json });
}

function verifyAttestation(path: string, arch: string, type: string = slsa): Promise<PeerResult> {
  const flags = ['--tls-verify=false', '--override-os', 'linux', '--override-arch', arch, '--key', 'k.pub'];
  return bench.bulla(['verify-attestation', ...flags, '--type', type, `${host}/${path}:1`]);
}

test('the platform that it names has the statement, the other one has not', async () => {
  await pushBuildKit('ns/own', 'itself');
  const amd64 = await verifyAttestation('ns/own', 'amd64');
  assert.equal(amd64.exitCode, 0, amd64.stdout + amd64.stderr);
  assert.equal((await verifyAttestation('ns/own', 'arm64')).exitCode, 1);
  assert.equal((await verifyAttestation('ns/own', 'amd64', 'https://spdx.dev/Document')).exitCode, 1);
});

test('one that says something else than the list does counts for neither', async () => {
  await pushBuildKit('ns/by-list', 'another by its statement');
  assert.equal((await verifyAttestation('ns/by-list', 'amd64')).exitCode, 1);
  assert.equal((await verifyAttestation('ns/by-list', 'arm64')).exitCode, 1);
  await pushBuildKit('ns/other', 'another');
  assert.equal((await verifyAttestation('ns/other', 'amd64')).exitCode, 1);
});

test('inspect lists the attestation manifest, with its signature', async () => {
  const attestation = await pushBuildKit('ns/seen', 'itself');
  const { exitCode, stdout, stderr } = await bench.bulla([
    'inspect',
    '--tls-verify=false',
    '--json',
    `${host}/ns/seen:1`,
  ]);
  assert.equal(exitCode, 0, stderr);
  type Seen = {
    readonly manifests: readonly { readonly digest: string; readonly signatures: readonly unknown[] }[];
  };
  const seen = JSON.parse(stdout) as Seen;
  assert.equal(seen.manifests.find(({ digest }) => digest === attestation)?.signatures.length, 1, stdout);
});

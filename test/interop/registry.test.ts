/** Our registry client against the real docker-registry, and our auth files against skopeo's and podman's. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import type { Descriptor } from '../../src/base/descriptor.ts';
import { digestOf, parseDigest } from '../../src/base/digest.ts';
import { type ErrorCode, isBullaError } from '../../src/base/errors.ts';
import { parseManifest, takeManifest } from '../../src/base/manifest.ts';
import { formatReference, parseReference, type Reference } from '../../src/base/reference.ts';
import { openDockerImage, openDockerSink } from '../../src/images/docker.ts';
import { currentLogin, login, logout } from '../../src/operations/login.ts';
import type { SystemEnvironment } from '../../src/registry/environment.ts';
import { openRegistries, type Registries, type RegistriesOptions } from '../../src/registry/registries.ts';
import { type RealRegistry, registryUser, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';

function environmentOf(bench: Bench): SystemEnvironment {
  return {
    env: bench.env,
    home: bench.env['HOME'] ?? '',
    uid: 1000,
    etc: bench.path('etc'),
    share: bench.path('share'),
  };
}

function open(bench: Bench, options: RegistriesOptions = {}): Registries {
  return openRegistries({ environment: environmentOf(bench), retryTimes: 0, ...options });
}

function code(expected: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    assert.ok(!error.message.includes(registryUser.password));
    return true;
  };
}

/** `METHOD path` of each request that the registry answered from some point of its log on. */
function requestsSince(registry: RealRegistry, from: number): string[] {
  const log = registry.log().slice(from);
  return [...log.matchAll(/"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP\/1\.1"/g)].map(
    (each) => `${each[1]} ${each[2]}`,
  );
}

async function pushWithSkopeo(bench: Bench, reference: string, flags: readonly string[]): Promise<string> {
  const folder = bench.path(`image-${randomBytes(4).toString('hex')}`);
  const { digest } = await writeOciImage(folder, { tag: 'v1' });
  await bench.ok('skopeo', ['copy', ...flags, `oci:${folder}:v1`, `docker://${reference}`]);
  return digest;
}

const credentials = {
  kind: 'password',
  username: registryUser.name,
  password: registryUser.password,
} as const;

test(
  'reads what skopeo pushed: by tag, by digest, blobs; one request a manifest',
  needs('skopeo', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const site = await startRegistry(bench);
    const digest = await pushWithSkopeo(bench, `${site.host}/ns/app:v1`, ['--dest-tls-verify=false']);
    await using registries = open(bench, { tlsVerify: false });
    const from = site.log().length;
    const image = await openDockerImage(parseReference(`${site.host}/ns/app:v1`), registries);
    const manifest = await image.manifest();
    assert.equal(manifest.digest, digest);
    const parsed = parseManifest(manifest);
    assert.ok(parsed.kind === 'image');
    for (const descriptor of [parsed.config, ...parsed.layers]) {
      const bytes = await new Response(await image.blob(descriptor)).bytes();
      assert.equal(digestOf(bytes), descriptor.digest);
    }
    await image.registry.tags('ns/app').then((tags) => assert.deepEqual(tags, ['v1']));
    const requests = requestsSince(site, from);
    assert.deepEqual(
      requests.filter((each) => each.includes('/manifests/')),
      ['GET /v2/ns/app/manifests/v1'],
    );
    assert.equal(requests.filter((each) => each === 'GET /v2/').length, 0);
    await openDockerImage(parseReference(`${site.host}/ns/app@${digest}`), registries);
    await assert.rejects(
      openDockerImage(parseReference(`${site.host}/ns/app:none`), registries),
      code('image.not-found'),
    );
    await assert.rejects(
      openDockerImage(parseReference(`${site.host}/none/app:v1`), registries),
      code('image.not-found'),
    );
  },
);

function descriptorOf(bytes: Buffer, mediaType: string): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

test(
  'skopeo reads what we pushed: in one piece, in chunks, mounted',
  needs('skopeo', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const site = await startRegistry(bench);
    await using registries = open(bench, { tlsVerify: false });
    const reference = parseReference(`${site.host}/ns/app:1`);
    const sink = await openDockerSink(reference, registries);
    const config = Buffer.from(
      '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}',
    );
    const layer = randomBytes(300_000);
    const configDescriptor = descriptorOf(config, 'application/vnd.oci.image.config.v1+json');
    const layerDescriptor = descriptorOf(layer, 'application/vnd.oci.image.layer.v1.tar');
    await sink.putBlob(configDescriptor, new Blob([config]).stream());
    await sink.registry.putBlob('ns/app', layerDescriptor, new Blob([layer]).stream(), {
      chunkBytes: 100_000,
    });
    assert.equal(requestsSince(site, 0).filter((each) => each.startsWith('PATCH')).length, 3);
    const manifest = takeManifest(
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          config: configDescriptor,
          layers: [layerDescriptor],
        }),
      ),
    );
    await sink.putManifest(manifest, { instance: true });
    await sink.putManifest(manifest);
    const raw = await bench.ok('skopeo', [
      'inspect',
      '--raw',
      '--tls-verify=false',
      `docker://${formatReference(reference)}`,
    ]);
    assert.equal(digestOf(Buffer.from(raw)), manifest.digest);
    const from = site.log().length;
    assert.equal(await sink.registry.mountBlob('other/app', layerDescriptor.digest, 'ns/app'), true);
    assert.deepEqual(
      requestsSince(site, from).map((each) => each.split('?')[0]),
      ['POST /v2/other/app/blobs/uploads/'],
    );
    assert.equal(await sink.registry.hasBlob('other/app', layerDescriptor.digest), true);
    assert.equal(await sink.registry.mountBlob('third/app', digestOf(Buffer.from('none')), 'ns/app'), false);
    assert.deepEqual(await sink.registry.referrers('ns/app', manifest.digest), {
      source: 'tag',
      manifests: [],
    });
    await sink.registry.deleteManifest('ns/app', manifest.digest);
    assert.equal(await sink.registry.headManifest('ns/app', manifest.digest), undefined);
  },
);

/** Puts certificates where a host's are looked for, by us and by the peers alike. */
async function trust(bench: Bench, site: RealRegistry, parts: readonly ('ca' | 'client')[]): Promise<string> {
  const folder = join(bench.config, 'certs.d', site.host);
  await mkdir(folder, { recursive: true });
  const files = site.certificates;
  assert.ok(files !== undefined);
  if (parts.includes('ca')) await copyFile(files.ca, join(folder, 'ca.crt'));
  if (parts.includes('client')) {
    await copyFile(files.clientCertificate, join(folder, 'client.cert'));
    await copyFile(files.clientKey, join(folder, 'client.key'));
  }
  return folder;
}

function tagged(site: RealRegistry): Reference {
  return parseReference(`${site.host}/ns/app:v1`);
}

test(
  'TLS with users: certificates and passwords decide',
  needs('skopeo', 'docker-registry', 'openssl'),
  async () => {
    await using bench = await openBench();
    const site = await startRegistry(bench, { tls: true, users: true });
    await pushWithSkopeo(bench, formatReference(tagged(site)), [
      '--dest-tls-verify=false',
      `--dest-creds=${registryUser.name}:${registryUser.password}`,
    ]);
    await using untrusting = open(bench, { credentials });
    await assert.rejects(openDockerImage(tagged(site), untrusting), code('http.certificate-refused'));
    await using careless = open(bench, { credentials, tlsVerify: false });
    await openDockerImage(tagged(site), careless);
    const folder = await trust(bench, site, ['ca']);
    await using good = open(bench, { credentials });
    const from = site.log().length;
    await openDockerImage(tagged(site), good);
    assert.deepEqual(requestsSince(site, from), ['GET /v2/', 'GET /v2/ns/app/manifests/v1']);
    await using anonymous = open(bench);
    await assert.rejects(openDockerImage(tagged(site), anonymous), code('registry.unauthorized'));
    await using wrong = open(bench, { credentials: { ...credentials, password: 'wrong' } });
    await assert.rejects(openDockerImage(tagged(site), wrong), code('registry.unauthorized'));
    await rm(join(folder, 'ca.crt'));
    await using named = open(bench, { credentials, certDir: bench.path('own') });
    await mkdir(bench.path('own'));
    await copyFile(site.certificates?.ca ?? '', bench.path('own', 'any.crt'));
    await openDockerImage(tagged(site), named);
  },
);

test(
  'mutual TLS: the client certificate of certs.d is shown',
  needs('skopeo', 'docker-registry', 'openssl'),
  async () => {
    await using bench = await openBench();
    const site = await startRegistry(bench, { tls: true, clientCertificates: true });
    const folder = await trust(bench, site, ['ca', 'client']);
    await pushWithSkopeo(bench, formatReference(tagged(site)), []);
    await using registries = open(bench);
    await openDockerImage(tagged(site), registries);
    await rm(join(folder, 'client.key'));
    await using half = open(bench);
    await assert.rejects(openDockerImage(tagged(site), half), code('certs-d.malformed'));
    await rm(join(folder, 'client.cert'));
    await using none = open(bench);
    await assert.rejects(openDockerImage(tagged(site), none), code('http.failed'));
  },
);

for (const peer of ['skopeo', 'podman'] as const) {
  test(`${peer} login and ours read each other’s files`, needs(peer, 'docker-registry'), async () => {
    await using bench = await openBench();
    const site = await startRegistry(bench, { users: true });
    const environment = environmentOf(bench);
    const place = { registry: site.host, environment };
    const flags = ['--tls-verify=false', '--username', registryUser.name, '--password-stdin'];
    await bench.ok(peer, ['login', ...flags, site.host], { input: registryUser.password });
    assert.equal(await currentLogin(place), registryUser.name);
    await using registries = open(bench, { tlsVerify: false });
    const registry = await registries.open(await registries.destination(tagged(site)));
    await registry.checkLogin();
    await logout(place);
    assert.notEqual((await bench.run(peer, ['login', '--get-login', site.host])).exitCode, 0);
    const { keptIn } = await login({
      ...place,
      username: registryUser.name,
      password: registryUser.password,
      tlsVerify: false,
    });
    assert.equal((await bench.ok(peer, ['login', '--get-login', site.host])).trim(), registryUser.name);
    await bench.ok(peer, ['logout', site.host]);
    assert.equal(await currentLogin(place), undefined);
    assert.ok(!(await readFile(keptIn, 'utf8')).includes(site.host));
  });
}

test('bulla login checks, keeps and forgets', needs('docker-registry'), async () => {
  await using bench = await openBench();
  const site = await startRegistry(bench, { users: true });
  const flags = ['login', '--tls-verify=false', '-u', registryUser.name, '--password-stdin', site.host];
  const wrong = await bench.bulla(flags, { input: 'wrong\n' });
  assert.equal(wrong.exitCode, 3);
  assert.match(wrong.stderr, /\[registry\.unauthorized\]/);
  const good = await bench.bulla(flags, { input: `${registryUser.password}\n` });
  assert.deepEqual([good.exitCode, good.stdout], [0, 'Login Succeeded!\n'], good.stderr);
  const who = await bench.bulla(['login', '--get-login', site.host]);
  assert.equal(who.stdout, `${registryUser.name}\n`);
  const typed = await bench.bulla(['login', '--tls-verify=false', '-u', 'user', '-p', 'wrong', site.host]);
  assert.match(typed.stderr, /warning: --password/);
  const out = await bench.bulla(['logout', site.host]);
  assert.deepEqual([out.exitCode, out.stdout], [0, `Removed login credentials for ${site.host}\n`]);
  assert.equal((await bench.bulla(['logout', site.host])).exitCode, 3);
  assert.equal((await bench.bulla(['logout'])).exitCode, 2);
});

test('registries.conf means the same to skopeo and us', needs('skopeo', 'docker-registry'), async () => {
  await using bench = await openBench();
  const mirror = await startRegistry(bench);
  await pushWithSkopeo(bench, `${mirror.host}/deep/app:v1`, ['--dest-tls-verify=false']);
  const cases: readonly (readonly [string, string])[] = [
    [`location = "r.invalid"`, 'r.invalid/app:v1'],
    [`prefix = "*.invalid"\nlocation = "r.invalid"`, 'a.b.invalid/app:v1'],
    [`prefix = "r.invalid/app:v1"\nlocation = "r.invalid/app:v1"`, 'r.invalid/app:v1'],
    [`location = "r.invalid"\nblocked = true`, 'r.invalid/app:v1'],
    [`location = "r.invalid/other"`, 'r.invalid/app:v1'],
    [`location = "r.invalid"\nmirror-by-digest-only = true`, 'r.invalid/app:v1'],
    [`prefix = "r.invalid/app"\nlocation = "app"`, 'r.invalid/app:v1'],
  ];
  for (const [entry, reference] of cases) {
    const location = entry.includes('app:v1') ? `${mirror.host}/deep/app:v1` : `${mirror.host}/deep`;
    const conf = `[[registry]]\n${entry}\n[[registry.mirror]]\nlocation = "${location}"\ninsecure = true\n`;
    // skopeo takes the flag and, unlike podman, not the variable
    const file = bench.env['CONTAINERS_REGISTRIES_CONF'] ?? '';
    await writeFile(file, conf);
    const theirs = await bench.run('skopeo', [
      '--registries-conf',
      file,
      'inspect',
      '--raw',
      `docker://${reference}`,
    ]);
    await using registries = open(bench);
    const ours = await openDockerImage(parseReference(reference), registries).then(
      (image) => image.physical.domain === mirror.host,
      () => false,
    );
    assert.equal(ours, theirs.exitCode === 0, `${conf}${theirs.stderr}`);
  }
});

test(
  'a manifest that was tampered with in the registry is refused',
  needs('skopeo', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const site = await startRegistry(bench);
    const digest = parseDigest(
      await pushWithSkopeo(bench, formatReference(tagged(site)), ['--dest-tls-verify=false']),
    );
    const hex = digest.slice(7);
    const folders = await bench.ok('/bin/sh', ['-c', `ls -d "${bench.folder}"/registry-*/docker`]);
    const file = join(folders.trim(), 'registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
    await writeFile(file, `${await readFile(file, 'utf8')} `);
    await using registries = open(bench, { tlsVerify: false });
    const pinned = parseReference(`${site.host}/ns/app@${digest}`);
    await assert.rejects(openDockerImage(pinned, registries));
  },
);

test(
  'the machine’s own authorities are trusted, as they are by the peers',
  needs('skopeo', 'docker-registry', 'openssl'),
  async () => {
    await using bench = await openBench();
    const site = await startRegistry(bench, { tls: true, users: true });
    const flags = ['login', '-u', registryUser.name, '--password-stdin', site.host];
    const input = registryUser.password;
    const unknown = await bench.bulla(flags, { input });
    assert.equal(unknown.exitCode, 3);
    assert.match(unknown.stderr, /\[http\.certificate-refused\]\nhint: /);
    const env = { SSL_CERT_FILE: site.certificates?.ca };
    await bench.ok('skopeo', flags, { input, env });
    const known = await bench.bulla(flags, { input, env });
    assert.equal(known.exitCode, 0, known.stderr);
  },
);

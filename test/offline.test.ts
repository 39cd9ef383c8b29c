/** --offline, and verifying by a root that is given: no socket but to the registry, whatever proxies the environment names. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { parseDigest } from '../src/base/digest.ts';
import { utf8 } from '../src/base/bytes.ts';
import { parseReference } from '../src/base/reference.ts';
import { cosignSignPredicateType, encodeStatement } from '../src/formats/statement.ts';
import { openRegistry } from '../src/registry/registry.ts';
import { serveRegistry } from '../src/servers/registry/serve.ts';
import { openReferrers } from '../src/stores/referrers.ts';
import { forgeBundle, forgeInstance, issueLeaf, trustedRootBytes } from './support/bundle-forge.ts';
import { writeOciImage } from './support/oci-image.ts';
import { type Bench, openBench, type PeerResult } from './support/peers.ts';
import * as forge from './support/sigstore-forge.ts';

const slsa = 'https://slsa.dev/provenance/v1';
const mediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const instance = forgeInstance();
const alice = issueLeaf(instance, { email: 'alice@example.com' });
const key = forge.ecKey();

let bench: Bench;
let registry: Awaited<ReturnType<typeof serveRegistry>>;
let host: string;
let image: string;
/** A proxy that would carry everything away; it counts who comes. */
const proxy = createServer((socket) => {
  proxied += 1;
  socket.destroy();
});
let proxied = 0;

before(async () => {
  bench = await openBench();
  registry = await serveRegistry({});
  host = new URL(registry.url).host;
  image = `${host}/ns/app:1`;
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve));
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  const pushed = await bench.bulla([
    'push',
    '--quiet',
    '--tls-verify=false',
    `oci:${bench.path('image')}:v1`,
    image,
  ]);
  assert.equal(pushed.exitCode, 0, pushed.stderr);
  await addBundles(digest);
  writeFiles();
});
after(async () => {
  proxy.close();
  await registry[Symbol.asyncDispose]();
  await bench[Symbol.asyncDispose]();
});

async function addBundles(digest: string): Promise<void> {
  await using client = openRegistry(host, {
    credentials: { kind: 'none' },
    tls: {},
    insecure: true,
    userAgent: 'test',
  });
  const id = { reference: parseReference(image), digest: parseDigest(digest) };
  const store = openReferrers(client);
  const subjects = [{ digests: new Map([['sha256', digest.slice(7)]]) }];
  for (const [signer, predicateType] of [
    [alice, cosignSignPredicateType],
    [key, cosignSignPredicateType],
    [alice, slsa],
  ] as const) {
    const payload = encodeStatement({
      subjects,
      predicateType,
      predicate: { kind: 'object', offset: 0, members: [] },
    });
    const content = { payloadType: 'application/vnd.in-toto+json', payload };
    await store.add(id, {
      format: 'bundle',
      mediaType,
      json: forgeBundle(instance, { signer, content }).json,
    });
  }
}

function writeFiles(): void {
  const message = utf8('a file\n');
  const signer = (root: string): string =>
    `    type: certificate\n    root: ${root}\n    issuer: https://issuer.example.com\n    subject: alice@example.com\n`;
  const yaml = (root: string): string =>
    `apiVersion: bulla/v1\nroots:\n  r: ${root}\nsigners:\n  alice:\n${signer('r')}default:\n  - type: signed\n    by: alice\n    signedIdentity: { type: matchRepository }\n`;
  for (const [name, bytes] of [
    ['k.pub', utf8(forge.pemOf(key))],
    ['root.json', trustedRootBytes(instance)],
    ['blob', message],
    ['blob.json', forgeBundle(instance, { signer: alice, content: { message } }).json],
    ['public.yaml', utf8(yaml('{ tuf: public-good }'))],
    ['ours.yaml', utf8(yaml('{ file: root.json }'))],
    [
      'key.yaml',
      utf8(
        'apiVersion: bulla/v1\nsigners: { k: { type: sigstoreKey, keyPath: k.pub } }\ndefault: [{ type: signed, by: k }]\n',
      ),
    ],
    ['empty.asc', utf8('')],
    ['far.json', utf8('{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"empty.asc"}]}')],
    ['pass', utf8('\n')],
  ] as const) {
    writeFileSync(bench.path(name), bytes);
  }
  mkdirSync(bench.path('far.d'));
  writeFileSync(
    bench.path('far.d', 'far.yaml'),
    `docker:\n  ${host}:\n    lookaside: http://lookaside.example.com/sig\n`,
  );
}

/** A command under guard, and where it went besides the registry. */
async function guarded(args: readonly string[]): Promise<{
  readonly result: PeerResult;
  readonly strayed: readonly string[];
  readonly sockets: readonly string[];
}> {
  const log = bench.path('sockets');
  rmSync(log, { force: true });
  const address = proxy.address();
  const trap = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const env = {
    NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'support', 'socket-guard.mjs')).href}`,
    GUARD_LOG: log,
    GUARD_ALLOW: host,
    ...Object.fromEntries(
      ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy'].map((name) => [
        name,
        trap,
      ]),
    ),
  };
  const result = await bench.bulla(args, { env });
  const sockets = existsSync(log)
    ? readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : [];
  return { result, strayed: sockets.filter((each) => each !== host), sockets };
}

const byAlice = [
  '--certificate-identity',
  'alice@example.com',
  '--certificate-oidc-issuer',
  'https://issuer.example.com',
];
const verify = ['verify', '--tls-verify=false'];
const far = ['--policy', 'far.json', '--registries.d', 'far.d'];
const root = ['--trusted-root', 'root.json'];

test('the guard sees what goes elsewhere', async () => {
  const byPolicy = await guarded([...verify, '--retry-times=0', ...far, image]);
  assert.ok(byPolicy.strayed.length > 0, byPolicy.result.stderr);
  const byTuf = await guarded([...verify, ...byAlice, image]);
  assert.equal(byTuf.result.exitCode, 3, byTuf.result.stderr);
  assert.ok(byTuf.strayed.length > 0, byTuf.result.stderr);
  const signing = await guarded(['sign', '--tls-verify=false', '--keyless', image]);
  assert.ok(signing.strayed.length > 0, signing.result.stderr);
  // who signs is told what helps who signs
  assert.match(signing.result.stderr, /tuf\.unreachable.*\n.*--signing-config/);
});

for (const [what, exitCode, args] of [
  ['by key', 0, [...verify, '--offline', '--key', 'k.pub']],
  ['by key, with a root and without --offline', 0, [...verify, '--key', 'k.pub', '--require-log', ...root]],
  ['by identity with a root', 0, [...verify, ...byAlice, ...root]],
  ['by identity with a root and --offline', 0, [...verify, '--offline', ...byAlice, ...root]],
  ['by identity and the root that came with Bulla', 1, [...verify, '--offline', ...byAlice]],
  ['by trust.yaml with a root', 0, [...verify, '--offline', '--policy', 'ours.yaml']],
  ['by trust.yaml and the public root', 1, [...verify, '--offline', '--policy', 'public.yaml']],
  ['an attestation', 0, ['verify-attestation', '--tls-verify=false', '--type', slsa, ...byAlice, ...root]],
  ['inspect', 0, ['inspect', '--tls-verify=false', '--offline', '--json']],
] as const) {
  test(`${what}: the registry alone is connected to`, async () => {
    const { result, strayed } = await guarded([...args, image]);
    assert.equal(result.exitCode, exitCode, result.stdout + result.stderr);
    assert.deepEqual(strayed, []);
  });
}

test('a rotation and what hangs on a key: the registry alone is connected to', async () => {
  const made = ['key', 'generate', 'sigstore', '--output-prefix', 'n', '--passphrase-file', 'pass'];
  assert.equal((await bench.bulla(made)).exitCode, 0);
  const flags = ['--tls-verify=false', '--offline', '--policy', 'key.yaml'];
  const keys = ['--from', 'k.pub', '--to', 'n.private', '--sign-passphrase-file', 'pass', ...root];
  for (const [args, exitCode, said] of [
    [['key', 'impact', ...flags, 'k.pub', `${host}/`], 1, /^1 manifest: 1 lost/m],
    [['resign', ...flags, ...keys, '--yes', `${host}/`], 0, /^1 manifest: 1 signed$/m],
  ] as const) {
    const { result, strayed } = await guarded(args);
    assert.equal(result.exitCode, exitCode, result.stdout + result.stderr);
    assert.match(result.stdout, said);
    assert.deepEqual(strayed, []);
  }
});

test('a sync: the registries named are connected to, and a lookaside elsewhere is not', async () => {
  const sync = ['sync', '--tls-verify=false', '--offline', '--src', 'docker', '--dest', 'docker'];
  const places = [`${host}/ns/app`, `${host}/mirror`];
  const done = await guarded([...sync, '--insecure-policy', ...places]);
  assert.equal(done.result.exitCode, 0, done.result.stdout + done.result.stderr);
  assert.deepEqual(done.strayed, []);
  const refused = await guarded([...sync, ...far, ...places]);
  assert.equal(refused.result.exitCode, 3, refused.result.stdout + refused.result.stderr);
  assert.match(refused.result.stderr, /io\.offline/);
  assert.deepEqual(refused.strayed, []);
});

test('promote: the registries alone are connected to', async () => {
  const promote = ['promote', '--tls-verify=false', '--offline', '--mode', 'carry', '--policy'];
  for (const [policy, code] of [
    // no public root but the one that came with Bulla, which knows nothing of this one
    ['public.yaml', /\[signature\.certificate-invalid\]|\[trust\.not-accepted\]/],
    // what only a certificate in a bundle vouches for, policy.json cannot say
    ['ours.yaml', /\[promote\.not-carryable\]/],
  ] as const) {
    const { result, strayed } = await guarded([...promote, policy, image, `${host}/other/app:1`]);
    assert.match(result.stdout + result.stderr, code);
    assert.deepEqual(strayed, []);
  }
});

test('a file: nobody is connected to', async () => {
  const flags = ['verify-blob', '--bundle', 'blob.json', ...byAlice];
  for (const [more, exitCode] of [
    [root, 0],
    [[...root, '--offline'], 0],
    [['--offline'], 1],
  ] as const) {
    const { result, strayed } = await guarded([...flags, ...more, 'blob']);
    assert.equal(result.exitCode, exitCode, result.stdout + result.stderr);
    assert.deepEqual(strayed, []);
  }
});

test('a transfer bundle is judged with no socket at all, and loaded with those to its registry', async () => {
  const pack = [
    'bundle',
    'create',
    '--tls-verify=false',
    '--insecure-policy',
    '--key',
    'k.pub',
    '-o',
    'app.tar',
  ];
  const packed = await guarded([...pack, image]);
  assert.equal(packed.result.exitCode, 0, packed.result.stderr);
  assert.deepEqual(packed.strayed, []);
  for (const [args, exitCode] of [
    [['show'], 0],
    [['verify'], 2],
    [['verify', '--key', 'k.pub'], 0],
    [['verify', '--key', 'k.pub', '--require-log', ...root], 0],
    [['verify', ...byAlice, ...root], 0],
    // the root that came with Bulla: none is fetched, whatever is not said
    [['verify', ...byAlice], 1],
    [['verify', '--policy', 'ours.yaml'], 0],
    [['verify', '--policy', 'public.yaml'], 1],
    [['load', '--key', 'k.pub', '--to', 'dir:loaded'], 0],
  ] as const) {
    const { result, sockets } = await guarded(['bundle', ...args, 'app.tar']);
    assert.equal(result.exitCode, exitCode, `${args.join(' ')}\n${result.stdout}${result.stderr}`);
    assert.deepEqual(sockets, [], args.join(' '));
  }
  const load = ['bundle', 'load', '--tls-verify=false', ...byAlice, ...root, '--to', `docker://${host}/far`];
  const { result, strayed } = await guarded([...load, 'app.tar']);
  assert.equal(result.exitCode, 0, result.stderr);
  assert.deepEqual(strayed, []);
});

test('what needs another host is refused, by name, and not tried', async () => {
  for (const args of [
    [...verify, '--offline', ...far, image],
    ['sign', '--tls-verify=false', '--offline', '--keyless', image],
    [
      'sign',
      '--tls-verify=false',
      '--offline',
      '--keyless',
      '--fulcio-url',
      'https://f.example',
      '--rekor-url',
      'https://r.example',
      image,
    ],
  ]) {
    const { result, strayed } = await guarded(args);
    assert.equal(result.exitCode, 3, result.stdout + result.stderr);
    assert.match(result.stdout + result.stderr, /io\.offline/);
    assert.deepEqual(strayed, []);
  }
});

test('the proxy that the environment names was never asked', () => assert.equal(proxied, 0));

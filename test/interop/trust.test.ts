/**
 * policy.json and the tools that read and write it, held against the real ones: what skopeo parses,
 * what `podman image trust` shows and sets.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { isBullaError } from '../../src/base/errors.ts';
import { mapBounded } from '../../src/io/bounded.ts';
import { verify } from '../../src/operations/verify.ts';
import { parsePolicy } from '../../src/trust/policy.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench, peerVersion } from '../support/peers.ts';

const reject = { type: 'reject' };
const a64 = 'a'.repeat(64);

const prefixes = [
  'busybox',
  'a/b',
  'a.b',
  'a.b/c',
  'a.b/C',
  'A.b',
  'UP',
  'UP/x',
  'localhost',
  'localhost/x',
  'localhost:5000',
  'h:5/x',
  '[::1]:5/x',
  '[::1]',
  'a.b/c:1',
  'a.b/',
  '',
  '/a',
  'a..b',
  'a_b',
  'a_b/c',
  'a.b/c@sha256:' + 'a'.repeat(64),
  'a:',
  'a:b',
  '-a',
  'a.b/c__d/e-f.g',
  'a.b/c/D',
  'a.b:0/',
  'docker.io',
  'index.docker.io/library/x',
];
const repositories = [
  'Up.x/y',
  'UP:5/y',
  'localhost/x',
  'a'.repeat(64),
  'a'.repeat(63),
  'abcdef0123'.repeat(6) + 'abcd',
  'abcdef0123'.repeat(6) + 'abcd:1',
  'x/' + 'abcdef0123'.repeat(6) + 'abcd',
  'docker.io/' + 'a'.repeat(255),
  'docker.io/' + 'a'.repeat(256),
  'h.x/' + 'a'.repeat(251),
  'b@sha256:' + 'a'.repeat(64),
  'b:1@sha256:' + 'a'.repeat(64),
  'b@sha256:' + 'A'.repeat(64),
  'b@sha256:' + 'a'.repeat(63),
  'b@sha512:' + 'a'.repeat(128),
  'b@sha512:' + 'a'.repeat(64),
  'b@sha384:' + 'a'.repeat(96),
  'b@md5:' + 'a'.repeat(32),
  'b@sha1:' + 'a'.repeat(40),
  'b:' + 'x'.repeat(128),
  'b:' + 'x'.repeat(129),
  'b:.x',
  'b:-x',
  'b:_x',
  '[1.2]/x',
  'h.x:5:6/a',
  'h.x:/a',
  'h.x/a:',
  'h.x/a@',
  'a//b',
  '/a',
  'a/',
  'a b',
  ' a',
  'a\n',
  '-h.x/a',
  'h-.x/a',
  'h.x./a',
  'http://a/b',
  'a:1/b',
  'a:1/b:2',
  'é',
  'a/é',
  'library/a',
  'docker.io/a',
  'index.docker.io/a',
  'Docker.io/a',
  'a..b',
  'a.b',
  'a__b',
  'a___b',
  'a---b',
  'a-_b',
  'a._b',
  '.a',
  'a.',
  'sha256:' + 'a'.repeat(64),
  'b:1:2',
  'b@sha256:' + 'a'.repeat(64) + ':1',
  'b@sha256:' + 'a'.repeat(64) + '@sha256:' + 'a'.repeat(64),
];
/** References that skopeo refuses and base/reference.ts takes: whole names over 255, IPv6 hosts, upper-case words as hosts. */
const lenientReferences = [
  'a'.repeat(247),
  'UP/x',
  'LOCALHOST/x',
  'docker.io/' + 'a'.repeat(245),
  'docker.io/library/' + 'a'.repeat(247),
  'docker.io/library/' + 'a'.repeat(248),
  'a'.repeat(248),
  'h.x/' + 'a'.repeat(255),
  'h.x/' + 'a'.repeat(252),
  '[::1]:5/x',
  '[::1]/x',
];
const fulcio = { caPath: 'c', oidcIssuer: 'i', subjectEmail: 'e' };
const pki = { caRootsPath: 'c', subjectEmail: 'e' };

function withIdentity(signedIdentity: unknown): unknown {
  return { default: [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: 'a', signedIdentity }] };
}

function scoped(transport: string, scopes: readonly string[]): readonly unknown[] {
  return scopes.map((scope) => ({ default: [reject], transports: { [transport]: { [scope]: [reject] } } }));
}

/** Policies, well-formed and broken, by what they probe. */
const corpus: Readonly<Record<string, readonly unknown[]>> = {
  frame: [
    { default: [reject] },
    { default: [reject], transports: {} },
    { default: [reject], transports: { docker: {} } },
    { default: [reject], transports: null },
    { default: [reject], transports: [] },
    { default: [reject], transports: { docker: null } },
    { default: [reject], transports: { docker: [] } },
    { default: [reject], transports: { docker: { x: null } } },
    { default: [reject], transports: { x: { a: [] } } },
    { default: null },
    { default: [] },
    { default: reject },
    { default: 'reject' },
    { transports: {} },
    {},
    '',
    ' ',
    'null',
    '[]',
    '"default"',
    '[{"default":[{"type":"reject"}]}]',
    '{"default":[{"type":"reject"}]} x',
    '{"default":[{"type":"reject"}]} // comment',
    '{"default":[{"type":"reject"}]}{}',
    '{"default":[{"type":"reject"}]} \n\t\r ',
    '{"default":[{"type":"reject"}]}\u00a0',
    '\ufeff{"default":[{"type":"reject"}]}',
    '{"default":[{"type":"reject"}],}',
    '{"default":[{"type":"reject"},]}',
    "{'default':[{'type':'reject'}]}",
    '{default:[{"type":"reject"}]}',
    '{"default":[{"type":"reject"}]',
    '{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}',
    '{"default":[{"type":"reject"}],"\\u0064efault":[{"type":"reject"}]}',
    '{"\\u0064efault":[{"type":"reject"}]}',
    '{"default":[{"type":"reject"}],"Default":[{"type":"reject"}]}',
    '{"DEFAULT":[{"type":"reject"}]}',
    { default: [reject], comment: 'x' },
    '{"default":[{"type":"reject"}],"transports":{"docker":{},"docker":{}}}',
    '{"default":[{"type":"reject"}],"transports":{"docker":{"a":[{"type":"reject"}],"a":[{"type":"reject"}]}}}',
    '{"default":[{"type":"reject"}],"transports":{"docker":{"\\ud800":[{"type":"reject"}]}}}',
    '{"default":[{"type":"reject"}],"transports":{"docker":{"\\ud800":[{"type":"reject"}],"\\ud801":[{"type":"reject"}]}}}',
    '{"default":[{"type":"rej\tect"}]}',
    '{"default":[{"type":"\\x72eject"}]}',
  ],
  requirement: [
    { default: [null] },
    { default: [reject, null] },
    { default: [[]] },
    { default: ['reject'] },
    { default: [{}] },
    { default: [{ type: null }] },
    { default: [{ type: 1 }] },
    { default: [{ type: 'Reject' }] },
    { default: [{ type: 'rej\u0065ct' }] },
    { default: [{ Type: 'reject' }] },
    { default: [{ type: 'reject', x: 1 }] },
    { default: [{ type: 'insecureAcceptAnything', keyPath: 'k' }] },
    { default: [{ type: 'insecureAcceptAnything' }, reject] },
    '{"default":[{"type":"reject","type":"reject"}]}',
    '{"default":[{"type":"reject","type":"insecureAcceptAnything"}]}',
    '{"default":[{"type":"reject","Type":"insecureAcceptAnything"}]}',
    { default: [{ type: 'signedBaseLayer' }] },
    { default: [{ type: 'signedBaseLayer', baseLayerIdentity: null }] },
    { default: [{ type: 'signedBaseLayer', baseLayerIdentity: { type: 'matchExact' } }] },
    { default: [{ type: 'signedBaseLayer', baseLayerIdentity: { type: 'matchExact' }, x: 1 }] },
  ],
  signedBy: [
    { keyType: 'GPGKeys', keyPath: 'a' },
    { keyType: 'GPGKeys', keyPath: '' },
    { keyType: 'GPGKeys', keyPath: null },
    { keyType: 'GPGKeys', keyPath: 1 },
    { keyType: 'GPGKeys', keyPath: ['a'] },
    { keyType: 'GPGKeys', keyPaths: [] },
    { keyType: 'GPGKeys', keyPaths: null },
    { keyType: 'GPGKeys', keyPaths: [''] },
    { keyType: 'GPGKeys', keyPaths: [null] },
    { keyType: 'GPGKeys', keyPaths: [1] },
    { keyType: 'GPGKeys', keyPaths: 'a' },
    { keyType: 'GPGKeys', keyPaths: ['a', 'b'] },
    { keyType: 'GPGKeys', keyData: '' },
    { keyType: 'GPGKeys', keyData: null },
    { keyType: 'GPGKeys', keyData: 1 },
    { keyType: 'GPGKeys', keyData: {} },
    { keyType: 'GPGKeys', keyData: [] },
    { keyType: 'GPGKeys', keyData: [1, 2, 255] },
    { keyType: 'GPGKeys', keyData: [256] },
    { keyType: 'GPGKeys', keyData: [-1] },
    { keyType: 'GPGKeys', keyData: [1.5] },
    { keyType: 'GPGKeys', keyData: [null] },
    { keyType: 'GPGKeys', keyData: ['a'] },
    { keyType: 'GPGKeys', keyDatas: ['YQ=='] },
    ...[
      'YQ==',
      'YQ',
      'YR==',
      'Y\nQ=\r=',
      'Y Q==',
      'Y\tQ==',
      'YQ==\n',
      'YQ==YQ==',
      '____',
      '----',
      'YQ=',
      '=',
      '!',
    ].map((keyData) => ({
      keyType: 'GPGKeys',
      keyData,
    })),
    { keyType: 'GPGKeys' },
    { keyType: null, keyPath: 'a' },
    { keyType: '', keyPath: 'a' },
    { keyType: 1, keyPath: 'a' },
    { keyPath: 'a' },
    { keyType: 'gpgkeys', keyPath: 'a' },
    { keyType: 'X509Certificates', keyPath: 'a' },
    { keyType: 'signedByGPGKeys', keyPath: 'a' },
    { keyType: 'signedByX509CAs', keyPath: 'a' },
    { keyType: 'GPGKeys', keyPath: 'a', keyData: 'YQ==' },
    { keyType: 'GPGKeys', keyPath: 'a', keyData: null },
    { keyType: 'GPGKeys', keyPath: '', keyData: 'YQ==' },
    { keyType: 'GPGKeys', keyPath: null, keyData: 'YQ==' },
    { keyType: 'GPGKeys', keyPath: 'a', keyPaths: [] },
    { keyType: 'GPGKeys', keyPath: 'a', unknown: null },
  ].map((fields) => ({ default: [{ type: 'signedBy', ...fields }] })),
  doubles: [
    '{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"a","keyPath":"b"}]}',
    '{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"a","signedIdentity":{"type":"matchExact","type":"matchExact"}}]}',
    '{"default":[{"type":"sigstoreSigned","keyPath":"a","keyPath":"a"}]}',
    '{"default":[{"type":"sigstoreSigned","fulcio":{"caPath":"c","caPath":"c","oidcIssuer":"i","subjectEmail":"e"},"rekorPublicKeyPath":"r"}]}',
    '{"default":[{"type":"sigstoreSigned","pki":{"caRootsPath":"c","caRootsPath":"c","subjectEmail":"e"}}]}',
  ],
  signedIdentity: [
    null,
    {},
    [],
    'matchExact',
    { type: null },
    { type: 'matchExact' },
    { type: 'matchRepoDigestOrExact' },
    { type: 'matchRepository' },
    { type: 'matchexact' },
    { type: 'matchExact', x: 1 },
    { type: 'matchExact', dockerReference: 'a:1' },
    { type: 'exactReference' },
    { type: 'exactReference', dockerReference: null },
    { type: 'exactReference', dockerReference: 1 },
    { type: 'exactReference', dockerReference: 'busybox' },
    { type: 'exactReference', dockerReference: 'busybox:1' },
    { type: 'exactReference', dockerReference: `h.x/a@sha256:${a64}` },
    { type: 'exactReference', dockerReference: 'h.x/a:1', dockerRepository: 'h.x/a' },
    { type: 'exactRepository' },
    { type: 'exactRepository', dockerRepository: null },
    { type: 'remapIdentity' },
    { type: 'remapIdentity', prefix: 'a.b' },
    { type: 'remapIdentity', prefix: 'a.b', signedPrefix: null },
    { type: 'remapIdentity', prefix: 'a.b', signedPrefix: 'x.y/Z' },
    { type: 'remapIdentity', prefix: 'a.b', signedPrefix: 'x.y', x: 1 },
    ...prefixes.map((prefix) => ({ type: 'remapIdentity', prefix, signedPrefix: 'x.y' })),
    ...repositories.map((dockerRepository) => ({ type: 'exactRepository', dockerRepository })),
  ].map(withIdentity),
  sigstoreSigned: [
    { keyPath: 'a' },
    { keyPath: '' },
    { keyPath: '', keyData: 'YQ==' },
    { keyPath: null, keyData: 'YQ==' },
    { keyPath: 'a', keyData: null },
    { keyPath: 'a', keyData: '' },
    { keyData: '' },
    { keyData: [] },
    { keyDatas: ['YQ=='] },
    { keyDatas: [null] },
    { keyDatas: [''] },
    { keyDatas: [] },
    { keyDatas: null },
    { keyPaths: [] },
    { keyPaths: null },
    { keyPaths: ['a'] },
    { keyPaths: [null] },
    { keyPaths: null, keyPath: 'a' },
    { keyPaths: ['a'], keyPath: '' },
    {},
    { keyType: 'GPGKeys', keyPath: 'a' },
    { keyPath: 'a', rekorPublicKeyPath: 'r' },
    { keyPath: 'a', rekorPublicKeyPath: '' },
    { keyPath: 'a', rekorPublicKeyPath: '', rekorPublicKeyData: 'YQ==' },
    { keyPath: 'a', rekorPublicKeyPath: 'r', rekorPublicKeyData: 'YQ==' },
    { keyPath: 'a', rekorPublicKeyData: null },
    { keyPath: 'a', rekorPublicKeyPath: 'r', rekorPublicKeyData: null },
    { keyPath: 'a', rekorPublicKeyPaths: [] },
    { keyPath: 'a', rekorPublicKeyPaths: null },
    { keyPath: 'a', rekorPublicKeyPaths: ['a'] },
    { keyPath: 'a', rekorPublicKeyDatas: ['YQ=='] },
    { keyPath: 'a', rekorPublicKeyDatas: [] },
    { keyPath: 'a', rekorPublicKeyData: '!' },
    { fulcio },
    { fulcio, rekorPublicKeyPath: 'r' },
    { fulcio, rekorPublicKeyPath: '' },
    { fulcio, keyPath: 'a', rekorPublicKeyPath: 'r' },
    { fulcio: null, rekorPublicKeyPath: 'r' },
    { fulcio: null, keyPath: 'a', rekorPublicKeyPath: 'r' },
    { pki: null, keyPath: 'a' },
    { pki, rekorPublicKeyPath: 'r' },
    { pki, rekorPublicKeyPath: '' },
    { pki, rekorPublicKeyData: null },
    { pki, keyPath: '' },
    { pki, fulcio, rekorPublicKeyPath: 'r' },
    { pki, rekorPublicKeyData: 'YQ==' },
    { pki, rekorPublicKeyPaths: ['a'] },
    { pki, rekorPublicKeyDatas: ['YQ=='] },
    ...[
      { ...fulcio, caData: 'YQ==' },
      { ...fulcio, caData: null },
      { ...fulcio, caPath: '', caData: 'YQ==' },
      { ...fulcio, caPath: null, caData: '' },
      { ...fulcio, caPath: '' },
      { ...fulcio, oidcIssuer: '' },
      { ...fulcio, oidcIssuer: null },
      { ...fulcio, subjectEmail: '' },
      { oidcIssuer: 'i', subjectEmail: 'e' },
      { caPath: 'c', subjectEmail: 'e' },
      { caPath: 'c', oidcIssuer: 'i' },
      { ...fulcio, x: 1 },
      { ...fulcio, caPath: 1 },
      [],
    ].map((each) => ({ fulcio: each, rekorPublicKeyPath: 'r' })),
    ...[
      pki,
      { ...pki, subjectEmail: '' },
      { ...pki, subjectHostname: 'h' },
      { caRootsPath: 'c', subjectHostname: 'h' },
      { caRootsPath: 'c' },
      { ...pki, caRootsData: 'YQ==' },
      { ...pki, caRootsData: null },
      { ...pki, caRootsPath: '', caRootsData: 'YQ==' },
      { subjectEmail: 'e' },
      { ...pki, caIntermediatesPath: 'i' },
      { ...pki, caIntermediatesPath: 'i', caIntermediatesData: 'YQ==' },
      { ...pki, caIntermediatesPath: '', caIntermediatesData: '' },
      { ...pki, caIntermediatesPath: 'i', caIntermediatesData: '' },
      { ...pki, x: 1 },
      { ...pki, caIntermediatesPath: 1 },
    ].map((each) => ({ pki: each })),
  ].map((fields) => ({ default: [{ type: 'sigstoreSigned', ...fields }] })),
  scopes: [
    ...scoped('docker', [
      '',
      'a',
      'busybox',
      '*.x.y',
      '*',
      'x.y/*',
      'a b',
      '/',
      'A/B',
      'docker.io/library/x:1@sha256:z',
      'é',
      'localhost',
    ]),
    ...scoped('atomic', [
      '',
      'a',
      'a/b',
      'a/b/c',
      'a/b/c:1',
      'a/b/c/d',
      'a:5/b',
      'a:5/b:6/c',
      '/',
      '//',
      'a/b/c:1:2',
      'a/b:c',
      'a/b/',
      'a\n',
    ]),
    ...scoped('docker-daemon', [
      '',
      'a',
      'a:1',
      'busybox:latest',
      'sha256:' + 'a'.repeat(64),
      'sha512:' + 'a'.repeat(128),
      'sha256:a',
      'docker.io/x',
      'md5:aa',
      'algo:' + 'a'.repeat(64),
    ]),
    ...scoped('containers-storage', [
      '',
      'a',
      '[',
      '[]',
      '[a]',
      '[/a]',
      '[/]',
      '[a@/b]',
      '[a@b]',
      '[@/b]',
      '[a@]',
      '[/a]docker.io/library/x',
      '[/a]x',
      '[/a]X',
      '[/a]x:1',
      '[/a]docker.io/library/x:1@' + a64,
      '[/a]x@' + a64,
      '[/a]@' + a64,
      '[/a]x@sha256:' + a64,
      '[/a]x@',
      '[/a]x@' + 'a'.repeat(63),
      '[/a]x:1@sha256:' + a64 + '@' + a64,
      '[/a]x@sha256:' + a64 + '@' + 'a'.repeat(3),
      '[/a]x@' + a64 + '@' + a64,
      '[/a]@sha256:' + a64,
      '[/a]@',
      '[a@/b+/c]',
      '[a@/b+/c:o=1]',
      '[a@b@/c]',
      '[a@/b@c]',
      '[/a/../b]',
      '[/a]a.b',
      '[/a]a.b/c',
      '[/a]localhost',
      '[/a]a:5',
      '[/a]a:5/b',
      ']',
      'x]',
      '[/a]]',
      '[/a]x@sha512:' + 'a'.repeat(128),
      '[/a]x:1@sha512:' + 'a'.repeat(128) + '@' + a64,
      '[/a]' + a64,
      '[/a]x@' + 'A'.repeat(64),
      '[/a]docker.io/Library',
      '[/a]/',
      '[/a] ',
    ]),
    ...scoped('ostree', ['a:b', '/a', 'a:/b', 'a:/', 'b/c:/d']),
    ...['dir', 'oci', 'oci-archive', 'sif'].flatMap((transport) =>
      scoped(transport, [
        '',
        '/',
        '/a',
        '/a/',
        'a',
        './a',
        '/a/../b',
        '//a',
        '/a//b',
        '/a/.',
        '/a b',
        '/a:b',
        '/a/é',
        '/..',
        '/a\u0000b',
      ]),
    ),
    ...['docker-archive', 'tarball'].flatMap((transport) => scoped(transport, ['', '/', '/a', 'a', 'x:1'])),
    ...['unknown', 'ostree', 'Docker', '', 'docker://', 'docker '].flatMap((transport) =>
      scoped(transport, ['', 'a', '/../..', 'x y']),
    ),
  ],
};

async function skopeoParses(bench: Bench, text: string, index: number): Promise<boolean> {
  const file = bench.path(`policy-${index}.json`);
  writeFileSync(file, text);
  const { exitCode, stderr } = await bench.run('skopeo', [
    'copy',
    '--policy',
    file,
    `dir:${bench.path('nothing')}`,
    `dir:${bench.path(`nowhere-${index}`)}`,
  ]);
  assert.notEqual(exitCode, 0);
  if (stderr.includes('Error loading trust policy: invalid policy in')) return false;
  // the policy was read before the image that is not there
  assert.match(stderr, /nothing/, stderr);
  return true;
}

function weParse(text: string): boolean {
  try {
    parsePolicy(text, 'policy.json');
    return true;
  } catch (error) {
    assert.ok(isBullaError(error, 'policy.malformed'), String(error));
    return false;
  }
}

for (const [what, policies] of Object.entries(corpus)) {
  test(
    `skopeo and Bulla agree on what is a policy: ${what}, ${policies.length} texts`,
    needs('skopeo'),
    async () => {
      await using bench = await openBench();
      const texts = policies.map((each) => (typeof each === 'string' ? each : JSON.stringify(each)));
      const differing = await mapBounded(texts, 4, async (text, index) => {
        const theirs = await skopeoParses(bench, text, index);
        return weParse(text) === theirs ? undefined : `skopeo ${theirs ? 'accepts' : 'refuses'} ${text}`;
      });
      const found = differing.filter((each) => each !== undefined);
      assert.deepEqual(found, [], `skopeo ${await peerVersion('skopeo')}`);
    },
  );
}

test('references that skopeo refuses are refused', { ...needs('skopeo') }, async () => {
  await using bench = await openBench();
  for (const [index, dockerRepository] of lenientReferences.entries()) {
    const text = JSON.stringify(withIdentity({ type: 'exactRepository', dockerRepository }));
    assert.equal(await skopeoParses(bench, text, index), false, dockerRepository);
    assert.equal(weParse(text), false, dockerRepository);
  }
});

test(
  'a host with an underscore: skopeo takes it as a path without host, Bulla refuses it',
  needs('skopeo'),
  async () => {
    await using bench = await openBench();
    const text = JSON.stringify(withIdentity({ type: 'exactRepository', dockerRepository: 'h_x.y/a' }));
    assert.equal(await skopeoParses(bench, text, 0), true);
    assert.equal(weParse(text), false);
  },
);

test('the corpus is large enough to mean something', () => {
  assert.ok(Object.values(corpus).flat().length >= 120);
});

async function exportKey(bench: Bench, name: string): Promise<string> {
  const fingerprint = await bench.newGpgKey(`${name} <${name}@example.com>`, { type: 'ed25519' });
  const file = bench.path(`${name}.asc`);
  writeFileSync(file, await bench.ok('gpg', ['--armor', '--export', fingerprint]));
  return file;
}

const lookasides = `default-docker:
  lookaside: https://sigs.example.com/all
docker:
  r.example.com:
    lookaside: https://sigs.example.com/r
    lookaside-staging: file:///srv/staging
  r.example.com/old:
    sigstore: https://old.example.com
`;

function signedBy(source: object): object {
  return { type: 'signedBy', keyType: 'GPGKeys', ...source };
}

/** What podman prints and what Bulla prints for the same command line. */
async function bothShow(
  bench: Bench,
  file: string,
  ...flags: readonly string[]
): Promise<readonly [string, string]> {
  const folder = bench.path('sigs.d');
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/x.yaml`, lookasides);
  const words = ['trust', 'show', ...flags, '--policypath', file, '--registrypath', folder];
  const podman = await bench.ok('podman', ['image', ...words]);
  const ours = await bench.bulla(words);
  assert.equal(ours.exitCode, 0, ours.stderr);
  return [podman, ours.stdout];
}

test('trust show prints what podman prints', needs('podman', 'gpg'), async () => {
  await using bench = await openBench();
  const [alice, bob] = [await exportKey(bench, 'alice'), await exportKey(bench, 'bob')];
  const keyData = readFileSync(alice).toString('base64');
  const file = bench.path('show.json');
  const policy = {
    default: [signedBy({ keyPath: alice }), reject],
    transports: {
      docker: {
        'r.example.com/z': [signedBy({ keyPaths: [alice, bob] })],
        'r.example.com/old/app': [signedBy({ keyData })],
        'é.example.com': [{ type: 'insecureAcceptAnything' }],
        'quay.io/a': [signedBy({ keyPath: alice }), signedBy({ keyPath: bob })],
        'quay.io/b': [{ type: 'sigstoreSigned', keyPath: '/k.pub' }],
        '': [reject],
      },
      'docker-daemon': { '': [{ type: 'insecureAcceptAnything' }] },
      dir: { '/srv': [reject], '': [reject] },
      atomic: { 'r.example.com': [reject] },
    },
  };
  writeFileSync(file, JSON.stringify(policy, undefined, 2));
  for (const flags of [[], ['-n'], ['--noheading'], ['--json'], ['-j']]) {
    const [podman, ours] = await bothShow(bench, file, ...flags);
    assert.equal(ours, podman, flags.join(' '));
  }
  const [podman, ours] = await bothShow(bench, file, '--raw');
  assert.equal(ours, readFileSync(file, 'utf8'));
  assert.equal(podman, `${ours}\n`);
});

test(
  'trust show where podman is wrong: a section without lookaside, and signedBaseLayer',
  needs('podman'),
  async () => {
    await using bench = await openBench();
    const file = bench.path('show.json');
    const layer = { type: 'signedBaseLayer', baseLayerIdentity: { type: 'matchExact' } };
    writeFileSync(
      file,
      JSON.stringify({ default: [reject], transports: { docker: { 'r.example.com/staged': [layer] } } }),
    );
    const folder = bench.path('staged.d');
    mkdirSync(folder);
    writeFileSync(
      `${folder}/x.yaml`,
      `${lookasides}  r.example.com/staged:\n    lookaside-staging: file:///s\n`,
    );
    const words = ['trust', 'show', '--json', '--policypath', file, '--registrypath', folder];
    const [, theirs] = JSON.parse(await bench.ok('podman', ['image', ...words])) as object[];
    const [, ours] = JSON.parse((await bench.bulla(words)).stdout) as object[];
    const row = { transport: 'repository', name: 'r.example.com/staged', repo_name: 'r.example.com/staged' };
    assert.deepEqual(theirs, { ...row, type: '' });
    assert.deepEqual(ours, { ...row, type: 'signedBaseLayer', sigstore: 'https://sigs.example.com/r' });
  },
);

test(
  'trust set: podman reads what Bulla wrote, and Bulla what podman wrote',
  needs('podman', 'skopeo', 'gpg'),
  async () => {
    await using bench = await openBench();
    const [alice, bob] = [await exportKey(bench, 'alice'), await exportKey(bench, 'bob')];
    const steps: readonly (readonly string[])[] = [
      ['-t', 'reject', 'default'],
      ['-f', alice, 'r.example.com/ns'],
      ['-f', alice, '-f', bob, 'r.example.com'],
      ['-t', 'accept', 'r.example.com/open'],
      ['-t', 'insecureAcceptAnything', 'localhost:5000'],
      ['-t', 'reject', 'r.example.com/ns'],
    ];
    const [theirs, ours] = [bench.path('theirs.json'), bench.path('ours.json')];
    for (const step of steps) {
      await bench.ok('podman', ['image', 'trust', 'set', '--policypath', theirs, ...step]);
      const set = await bench.bulla(['trust', 'set', '--policypath', ours, ...step]);
      assert.equal(set.exitCode, 0, set.stderr);
      assert.deepEqual(
        JSON.parse(readFileSync(ours, 'utf8')),
        JSON.parse(readFileSync(theirs, 'utf8')),
        step.join(' '),
      );
    }
    for (const file of [theirs, ours]) {
      const [podman, bulla] = await bothShow(bench, file);
      assert.equal(bulla, podman);
      const check = await bench.bulla(['trust', 'check', '--policy', file]);
      assert.equal(check.exitCode, 0, check.stderr);
      assert.ok(await skopeoParses(bench, readFileSync(file, 'utf8'), 0));
    }
    // each goes on where the other stopped
    await bench.ok('podman', ['image', 'trust', 'set', '--policypath', ours, '-t', 'reject', 'quay.io']);
    const set = await bench.bulla(['trust', 'set', '--policypath', theirs, '-t', 'reject', 'quay.io']);
    assert.equal(set.exitCode, 0, set.stderr);
    assert.deepEqual(JSON.parse(readFileSync(ours, 'utf8')), JSON.parse(readFileSync(theirs, 'utf8')));
  },
);

test('trust set writes identities and any-of that skopeo parses', needs('skopeo', 'gpg'), async () => {
  await using bench = await openBench();
  const [alice, bob] = [await exportKey(bench, 'alice'), await exportKey(bench, 'bob')];
  const file = bench.path('policy.json');
  const identities = [
    'matchExact',
    'matchRepository',
    'exactReference=r.example.com/a:1',
    'exactRepository=r.example.com/a',
    'remapIdentity=r.example.com=docker.io/library',
  ];
  for (const [index, identity] of identities.entries()) {
    const words = [
      'trust',
      'set',
      '--create',
      '--policy',
      file,
      '-f',
      alice,
      '-f',
      bob,
      '--any-of',
      '--identity',
      identity,
    ];
    const set = await bench.bulla([...words, `r.example.com/n${index}`]);
    assert.equal(set.exitCode, 0, set.stderr);
    assert.ok(await skopeoParses(bench, readFileSync(file, 'utf8'), index));
  }
  const { transports } = JSON.parse(readFileSync(file, 'utf8')) as {
    transports: { docker: Record<string, object[]> };
  };
  assert.deepEqual(transports.docker['r.example.com/n4'], [
    {
      type: 'signedBy',
      keyType: 'GPGKeys',
      keyPaths: [alice, bob],
      signedIdentity: { type: 'remapIdentity', prefix: 'r.example.com', signedPrefix: 'docker.io/library' },
    },
  ]);
});

/** skopeo: 0 accepted, 1 refused (or not able to decide: it makes no difference). */
async function skopeoAccepts(bench: Bench, policy: string, image: string, index: number): Promise<boolean> {
  const words = ['--policy', policy, 'copy', `dir:${image}`, `dir:${bench.path(`copied-${index}`)}`];
  const { exitCode, stderr } = await bench.run('skopeo', words);
  assert.ok(!stderr.includes('Error loading trust policy'), stderr);
  return exitCode === 0;
}

test(
  'a policy decides here as in skopeo: keys, their files, their types, the names',
  needs('skopeo', 'gpg'),
  async () => {
    await using bench = await openBench();
    const [alice, bob] = [await exportKey(bench, 'alice'), await exportKey(bench, 'bob')];
    const both = bench.path('both.asc');
    writeFileSync(both, readFileSync(bob, 'utf8') + readFileSync(alice, 'utf8'));
    const garbage = bench.path('garbage');
    writeFileSync(garbage, 'no key');
    const empty = bench.path('empty');
    writeFileSync(empty, '');
    await writeOciImage(bench.path('oci'), { tag: 'v1' });
    const [plain, image] = [bench.path('plain'), bench.path('signed')];
    await bench.ok('skopeo', ['copy', `oci:${bench.path('oci')}:v1`, `dir:${plain}`]);
    const identity = 'r.example.com/ns/app:1';
    const signing = ['--sign-by', 'alice@example.com', '--sign-identity', identity];
    await bench.ok('skopeo', ['copy', ...signing, `dir:${plain}`, `dir:${image}`]);

    const exact = { type: 'exactReference', dockerReference: identity };
    const by = (source: object, signedIdentity: object = exact): object =>
      signedBy({ ...source, signedIdentity });
    const anything = { type: 'insecureAcceptAnything' };
    const cases: readonly (readonly object[])[] = [
      [by({ keyPath: alice })],
      [by({ keyPath: bob })],
      [by({ keyPath: both })],
      [by({ keyPath: bench.path('missing') })],
      [by({ keyPath: garbage })],
      [by({ keyPath: empty })],
      [by({ keyPath: bench.folder })],
      [by({ keyPaths: [] })],
      [by({ keyPaths: [bob, alice] })],
      [by({ keyPaths: [alice, bench.path('missing')] })],
      [by({ keyPaths: [alice, garbage] })],
      [by({ keyPaths: [garbage, alice] })],
      [by({ keyPaths: [alice, empty] })],
      [by({ keyPaths: [''] })],
      [by({ keyData: readFileSync(alice).toString('base64') })],
      [by({ keyData: readFileSync(bob).toString('base64') })],
      [by({ keyData: '' })],
      [by({ keyData: [...readFileSync(alice)] })],
      [{ ...by({ keyPath: alice }), keyType: 'signedByGPGKeys' }],
      [{ ...by({ keyPath: alice }), keyType: 'X509Certificates' }],
      [by({ keyPath: alice }), by({ keyPath: bob })],
      [by({ keyPath: alice }), by({ keyPath: both })],
      [anything, by({ keyPath: alice })],
      [by({ keyPath: alice }), reject],
      [reject, by({ keyPath: alice })],
      [anything],
      [{ type: 'signedBaseLayer', baseLayerIdentity: { type: 'matchExact' } }],
      [by({ keyPath: alice }, { type: 'matchExact' })],
      [by({ keyPath: alice }, { type: 'matchRepository' })],
      [by({ keyPath: alice }, { type: 'matchRepoDigestOrExact' })],
      [
        by(
          { keyPath: alice },
          { type: 'remapIdentity', prefix: 'r.example.com', signedPrefix: 'r.example.com' },
        ),
      ],
      [by({ keyPath: alice }, { type: 'exactReference', dockerReference: 'r.example.com/ns/app:2' })],
      [
        by(
          { keyPath: alice },
          { type: 'exactReference', dockerReference: 'r.example.com/ns/App:1'.toLowerCase() },
        ),
      ],
      [by({ keyPath: alice }, { type: 'exactRepository', dockerRepository: 'r.example.com/ns/app' })],
      [by({ keyPath: alice }, { type: 'exactRepository', dockerRepository: 'r.example.com/ns/app:7' })],
      [by({ keyPath: alice }, { type: 'exactRepository', dockerRepository: 'r.example.com/ns' })],
    ];
    const questions = cases.flatMap((requirements) => [image, plain].map((path) => ({ requirements, path })));
    const differing = await mapBounded(questions, 4, async ({ requirements, path }, index) => {
      const file = bench.path(`decide-${index}.json`);
      const policy = { default: [reject], transports: { dir: { [bench.folder]: requirements } } };
      writeFileSync(file, JSON.stringify(policy));
      const theirs = await skopeoAccepts(bench, file, path, index);
      const [verdict] = await verify({ images: [{ transport: 'dir', path }], by: { kind: 'policy', file } });
      if ((verdict?.accepted === true) === theirs) return undefined;
      return `skopeo ${theirs ? 'accepts' : 'refuses'}: ${JSON.stringify(requirements)} ${path}`;
    });
    const found = differing.filter((each) => each !== undefined);
    assert.deepEqual(found, [], `skopeo ${await peerVersion('skopeo')}`);
  },
);

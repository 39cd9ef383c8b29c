import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import * as forge from '../../test/support/sigstore-forge.ts';
import { utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { keyPathsOf } from './lint-keys.ts';
import { lintPolicy } from './lint.ts';
import { parsePolicy } from './policy.ts';
import { parseTrustYaml } from './trust-yaml.ts';
import type { Warning } from './warning.ts';

const now = new Date('2026-06-15T00:00:00Z');
const reject = [{ type: 'reject' }];
const keys = new Map<string, Uint8Array | BullaError>();

/** A key made in 2025 that lives for that many days. */
async function makeKey(days: number, revoked = false): Promise<Uint8Array> {
  const openpgp = await import('openpgp');
  const { privateKey, revocationCertificate } = await openpgp.generateKey({
    type: 'ecc',
    curve: 'ed25519Legacy',
    userIDs: [{ name: 'Test', email: 'test@example.com' }],
    date: new Date('2025-06-15T00:00:00Z'),
    keyExpirationTime: days * 24 * 3600,
    format: 'object',
  });
  if (!revoked) return privateKey.toPublic().write();
  const key = await openpgp.revokeKey({
    key: privateKey.toPublic(),
    revocationCertificate,
    format: 'object',
  });
  return key.publicKey.write();
}

before(async () => {
  keys.set('/good', await makeKey(0));
  keys.set('/expired', await makeKey(30));
  keys.set('/expiring', await makeKey(365 + 14));
  keys.set('/revoked', await makeKey(0, true));
  keys.set('/garbage', utf8('hello'));
  keys.set(
    '/missing',
    new BullaError('io.not-found', 'cannot read /missing: there is no such file or folder'),
  );
  keys.set('/cosign.pub', utf8(forge.pemOf(forge.ecKey())));
  keys.set('/ed25519.pub', utf8(forge.pemOf(forge.edKey())));
  keys.set('/broken.pub', utf8('-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n'));
  keys.set('/expired.pem', authority(-10));
  keys.set('/expiring.pem', authority(10));
  keys.set('/ca.pem', authority(400));
  keys.set('relative', await makeKey(0));
});

/** A certificate authority that lives for so many days. */
function authority(days: number): Uint8Array {
  const key = forge.ecKey();
  const at = now.getTime() / 1000;
  const plan = {
    key,
    by: key,
    subject: 'root',
    issuer: 'root',
    from: at - 86_400 * 100,
    to: at + 86_400 * days,
  };
  const der = forge.certificate({ ...plan, extensions: [forge.authority()] });
  return utf8(forge.pemText('CERTIFICATE', der));
}

function warnings(policy: object): readonly Warning[] {
  return lintPolicy(parsePolicy(JSON.stringify(policy), 'p.json'), keys, now);
}

function codes(policy: object): readonly string[] {
  return warnings(policy).map(({ code }) => code);
}

function docker(scope: string, ...requirements: readonly object[]): object {
  return { default: reject, transports: { docker: { [scope]: requirements } } };
}

const signedBy = (keyPath: string, signedIdentity?: object): object => ({
  type: 'signedBy',
  keyType: 'GPGKeys',
  keyPath,
  ...(signedIdentity && { signedIdentity }),
});
const good = signedBy('/good');

test('a careful policy has no warning', () => {
  assert.deepEqual(warnings(docker('r.example.com/ns', good)), []);
  const mirror = { type: 'remapIdentity', prefix: 'r.example.com/mirror', signedPrefix: 'docker.io/library' };
  assert.deepEqual(codes(docker('r.example.com', signedBy('/good', mirror))), []);
  assert.deepEqual(codes(docker('r.example.com/mirror/app:1', signedBy('/good', mirror))), []);
  const exact = { type: 'exactRepository', dockerRepository: 'r.example.com/a' };
  assert.deepEqual(
    codes({ default: reject, transports: { dir: { '/srv': [signedBy('/good', exact)] } } }),
    [],
  );
  const cosign = {
    type: 'sigstoreSigned',
    keyPath: '/cosign.pub',
    signedIdentity: { type: 'matchRepository' },
  };
  assert.deepEqual(codes(docker('r.example.com', cosign)), []);
});

const remap = (prefix: string, signedPrefix: string): object => ({
  type: 'remapIdentity',
  prefix,
  signedPrefix,
});
const cases: readonly (readonly [what: string, policy: object, code: string])[] = [
  ['a default that accepts', { default: [{ type: 'insecureAcceptAnything' }] }, 'default-accepts'],
  ['a short scope', docker('busybox', good), 'scope-unreachable'],
  ['docker.io without library', docker('docker.io/busybox', good), 'scope-short'],
  ['a misspelt transport', { default: reject, transports: { Docker: { '': reject } } }, 'transport-unknown'],
  ['atomic', { default: reject, transports: { atomic: { '': reject } } }, 'transport-deprecated'],
  ['a missing key file', docker('r.x', signedBy('/missing')), 'key-unavailable'],
  ['a key file that is none', docker('r.x', signedBy('/garbage')), 'key-malformed'],
  [
    'key data that is none',
    docker('r.x', { type: 'signedBy', keyType: 'GPGKeys', keyData: 'YQ==' }),
    'key-malformed',
  ],
  ['no key', docker('r.x', { type: 'signedBy', keyType: 'GPGKeys', keyPaths: [] }), 'key-empty'],
  ['an expired key', docker('r.x', signedBy('/expired')), 'key-expired'],
  ['a key that expires soon', docker('r.x', signedBy('/expiring')), 'key-expires-soon'],
  ['a revoked key', docker('r.x', signedBy('/revoked')), 'key-revoked'],
  ['a relative path', docker('r.x', signedBy('relative')), 'key-path-relative'],
  [
    'a GPG key for sigstore',
    docker('r.x', {
      type: 'sigstoreSigned',
      keyPath: '/garbage',
      signedIdentity: { type: 'matchRepository' },
    }),
    'key-malformed',
  ],
  [
    'cosign under the default identity',
    docker('r.x', { type: 'sigstoreSigned', keyPath: '/cosign.pub' }),
    'identity-cosign',
  ],
  [
    'any tag for one tag',
    docker('r.x/a:1', signedBy('/good', { type: 'matchRepository' })),
    'identity-wider-than-scope',
  ],
  [
    'dir: by its own name',
    { default: reject, transports: { dir: { '/srv': [good] } } },
    'identity-impossible',
  ],
  ['a remap of another host', docker('r.x', signedBy('/good', remap('q.x', 's.x'))), 'remap-pointless'],
  ['a remap of a neighbour', docker('r.x/ab', signedBy('/good', remap('r.x/a', 's.x'))), 'remap-pointless'],
  [
    'a remap of a short name',
    docker('docker.io', signedBy('/good', remap('busybox', 's.x'))),
    'remap-pointless',
  ],
  ['a remap to a short name', docker('r.x', signedBy('/good', remap('r.x', 'busybox'))), 'remap-refuses'],
  [
    'an unimplemented key type',
    docker('r.x', { ...good, keyType: 'X509Certificates' }),
    'key-type-unsupported',
  ],
  [
    'signedBaseLayer',
    docker('r.x', { type: 'signedBaseLayer', baseLayerIdentity: { type: 'matchExact' } }),
    'requirement-refuses',
  ],
  [
    'accepting beside a signature',
    docker('r.x', { type: 'insecureAcceptAnything' }, good),
    'requirement-pointless',
  ],
  ['reject beside a signature', docker('r.x', { type: 'reject' }, good), 'requirement-refuses'],
];

for (const [what, policy, code] of cases) {
  test(`${what}: ${code}`, () => {
    assert.deepEqual(codes(policy), [code]);
  });
}

test('a warning says where and what instead', () => {
  const [warning] = warnings(docker('busybox', good));
  assert.equal(warning?.place, 'p.json:1:56');
  assert.equal(warning?.path, '$.transports.docker.busybox');
  assert.equal(warning?.hint, 'write docker.io/library/busybox');
});

test('all files that a policy names are listed once', () => {
  const fulcio = { caPath: 'ca', oidcIssuer: 'i', subjectEmail: 'e' };
  const pki = { caRootsPath: 'roots', caIntermediatesPath: 'inter', subjectEmail: 'e' };
  const policy = parsePolicy(
    JSON.stringify({
      default: [signedBy('/a'), { type: 'sigstoreSigned', fulcio, rekorPublicKeyPaths: ['r1', 'r2'] }],
      transports: { x: { y: [signedBy('/a'), { type: 'sigstoreSigned', pki }, { type: 'reject' }] } },
    }),
    'p',
  );
  assert.deepEqual(keyPathsOf(policy), ['/a', 'ca', 'r1', 'r2', 'roots', 'inter']);
});

test('the keys and authorities of sigstoreSigned are read', () => {
  const identity = { signedIdentity: { type: 'matchRepository' } };
  const of = (members: object): readonly string[] =>
    codes(docker('h.x/a', { type: 'sigstoreSigned', ...members, ...identity }));
  const rekor = { rekorPublicKeyPath: '/cosign.pub' };
  const fulcio = { oidcIssuer: 'https://i', subjectEmail: 'a@b' };
  assert.deepEqual(of({ keyPath: '/cosign.pub' }), []);
  assert.deepEqual(of({ keyPath: '/broken.pub' }), ['key-malformed']);
  assert.deepEqual(of({ keyPath: '/garbage' }), ['key-malformed']);
  assert.deepEqual(of({ keyPath: '/missing' }), ['key-unavailable']);
  assert.deepEqual(of({ keyPath: '/ca.pem' }), ['key-malformed']);
  // Rekor's is an ECDSA key
  assert.deepEqual(of({ keyPath: '/ed25519.pub', ...rekor }), []);
  assert.deepEqual(of({ keyPath: '/cosign.pub', rekorPublicKeyPath: '/ed25519.pub' }), ['key-malformed']);
  assert.deepEqual(of({ fulcio: { caPath: '/ca.pem', ...fulcio }, ...rekor }), []);
  assert.deepEqual(of({ fulcio: { caPath: '/expired.pem', ...fulcio }, ...rekor }), ['key-expired']);
  assert.deepEqual(of({ fulcio: { caPath: '/cosign.pub', ...fulcio }, ...rekor }), ['key-malformed']);
  const pki = { caRootsPath: '/ca.pem', caIntermediatesPath: '/expiring.pem', subjectEmail: 'a@b' };
  assert.deepEqual(of({ pki }), ['key-expires-soon']);
});

test('a trust.yaml: signers and roots are looked at where they are named', async () => {
  const text = `apiVersion: bulla/v1
default: [{ type: reject }]
roots:
  ours: { file: missing }
  public: { tuf: public-good }
signers:
  good: { type: gpg, keyPath: good }
  late: { type: gpg, keyPath: expired }
  key: { type: sigstoreKey, keyPath: broken.pub, validUntil: 2026-01-01 }
  unused: { type: sigstoreKey, keyPath: cosign.pub }
transports:
  docker: { h.x/a: [{ type: signed, anyOf: [good, late, key], signedIdentity: { type: matchRepository } }] }
`;
  const policy = await parseTrustYaml(text, 't.yaml', (path) => `/${path}`);
  assert.deepEqual(keyPathsOf(policy), ['/good', '/expired', '/broken.pub', '/cosign.pub', '/missing']);
  assert.deepEqual(
    lintPolicy(policy, keys, now).map(({ code, path }) => [code, path]),
    [
      ['key-unavailable', '$.roots.ours'],
      ['key-expired', '$.signers.late'],
      ['key-expired', '$.signers.key'],
      ['key-malformed', '$.signers.key'],
      ['signer-unused', '$.signers.unused'],
    ],
  );
});

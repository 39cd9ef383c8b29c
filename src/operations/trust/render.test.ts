import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import fc from 'fast-check';

import {
  bundle,
  cosign,
  files,
  policyJson,
  readFile,
  simple,
  subjectOf,
  trustYaml,
} from '../../../test/support/trust-signers.ts';
import { parseKeyring } from '../../keys/openpgp/keyring.ts';
import { parseSigstorePublicKey } from '../../keys/sigstore/public-key.ts';
import { evaluate } from '../../trust/evaluate.ts';
import { readMaterial } from '../../trust/material.ts';
import { parsePolicy, type Policy } from '../../trust/policy.ts';
import { renderPolicy } from '../../trust/render.ts';
import type { NamedSigner } from '../../trust/requirement.ts';
import type { StoredLike } from '../../trust/verdict.ts';
import { parseTrustYaml } from '../../trust/trust-yaml.ts';
import { importPolicy } from './import.ts';

const now = new Date(Date.now() + 3_600_000);
const other = 'registry.example.com/ns/other:1';
const repository = 'registry.example.com/ns/app';
const wrongDigest = 'sha256:0000000000000000000000000000000000000000000000000000000000000000' as never;

let pool: readonly StoredLike[];
before(() => {
  pool = [
    simple('ops'),
    simple('dev'),
    simple('ops', other),
    simple('dev', undefined, wrongDigest),
    cosign('release'),
    cosign('second'),
    cosign('stranger'),
    cosign('release', repository),
    cosign('second', 'origin.example.com/ns/app'),
    cosign('release', undefined, wrongDigest),
    bundle('release'),
    bundle('second', { logs: [] }),
    bundle('stranger', { email: 'alice@example.com' }),
  ];
});

const signers = `
roots: { ours: { file: root.json } }
signers:
  release: { type: sigstoreKey, keyPath: release.pub }
  second: { type: sigstoreKey, keyPath: second.pub }
  either: { type: sigstoreKey, keyPaths: [release.pub, second.pub] }
  data: { type: sigstoreKey, keyData: DATA }
  ops: { type: gpg, keyPath: ops.asc }
  dev: { type: gpg, keyPath: dev.asc }
  gpgs: { type: gpg, keyPaths: [ops.asc, dev.asc] }
  rooted: { type: sigstoreKey, keyPath: release.pub, root: ours }
  past: { type: sigstoreKey, keyPath: release.pub, validUntil: 2026-11-20 }
  current: { type: gpg, keyPath: ops.asc, validFrom: 2026-11-20 }
  alice: { type: certificate, root: ours, issuer: https://issuer.example.com, subject: alice@example.com }
`.replace('DATA', Buffer.from(files.get('/second.pub') ?? []).toString('base64'));
const names = [
  'release',
  'second',
  'either',
  'data',
  'ops',
  'dev',
  'gpgs',
  'rooted',
  'past',
  'current',
  'alice',
];

const sayable = ['release', 'second', 'either', 'ops', 'gpgs'];

const identity = fc.constantFrom(
  '',
  '',
  '',
  ', signedIdentity: { type: matchRepository }',
  ', signedIdentity: { type: exactRepository, dockerRepository: registry.example.com/ns/app }',
  ', signedIdentity: { type: remapIdentity, prefix: registry.example.com, signedPrefix: origin.example.com }',
  ', signedIdentity: { type: remapIdentity, prefix: registry.example.com, signedPrefix: origin.example.com, match: matchRepository }',
);
const more = fc.constantFrom(
  '',
  '',
  '',
  '',
  ', formats: [cosign]',
  ', formats: [simple]',
  ', log: optional',
  ', timestamp: required',
);
const signed = fc
  .record({
    of: fc.uniqueArray(fc.constantFrom(...names, ...sayable, ...sayable), { minLength: 1, maxLength: 3 }),
    n: fc.nat(2),
    identity,
    more,
  })
  .map(({ of, n, identity: rule, more: members }) => {
    const threshold = Math.min(n + 1, of.length);
    return `{ type: signed, threshold: ${threshold}, of: [${of.join(', ')}]${rule}${members} }`;
  });
const plain = fc.constantFrom(
  '{ type: insecureAcceptAnything }',
  '{ type: reject }',
  '{ type: signedBy, keyType: GPGKeys, keyPath: ops.asc }',
  '{ type: sigstoreSigned, keyPaths: [release.pub, second.pub], signedIdentity: { type: matchRepository } }',
);
const list = fc.array(fc.oneof({ weight: 4, arbitrary: signed }, { weight: 1, arbitrary: plain }), {
  minLength: 1,
  maxLength: 2,
});

async function accepts(policy: Policy, signatures: readonly StoredLike[]): Promise<boolean> {
  return (await evaluate(policy, subjectOf(signatures), { now, keyring: readFile })).accepted;
}

const keysOf = async ({ by }: NamedSigner): Promise<readonly string[]> => {
  if (by.kind === 'certificate') return [];
  const bytes = await readMaterial(by.keys, readFile);
  return by.kind === 'gpg'
    ? parseKeyring(...bytes).certificates.map(({ fingerprint }) => fingerprint)
    : bytes.map((each) => parseSigstorePublicKey(each).keyId);
};

async function render(
  policy: Policy,
): Promise<{ policy: Policy; rejected: number; attachments: readonly string[] }> {
  const rendered = await renderPolicy(policy, keysOf);
  const parsed = parsePolicy(JSON.stringify(rendered.policy), 'rendered');
  return { policy: parsed, rejected: rendered.rejected.length, attachments: rendered.attachments };
}

/** A policy, or undefined where what was generated is refused: a format that nobody makes. */
async function source(requirements: readonly string[]): Promise<Policy | undefined> {
  const text = `${signers}default: [{ type: reject }]\ntransports: { docker: { registry.example.com: [${requirements.join(', ')}] } }`;
  return trustYaml(text).catch(() => undefined);
}

test('what a rendered policy.json accepts, its source accepts', async () => {
  let [rendered, accepted] = [0, 0];
  const signatures = fc.array(fc.nat(12), { minLength: 2, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(list, signatures, async (requirements, indices) => {
      const policy = await source(requirements);
      if (policy === undefined) return;
      const found = indices.flatMap((index) => pool[index] ?? []);
      const result = await render(policy);
      rendered += result.rejected === 0 ? 1 : 0;
      if (!(await accepts(result.policy, found))) return;
      accepted += 1;
      assert.equal(await accepts(policy, found), true, requirements.join());
    }),
    { numRuns: 400, seed: 7 },
  );
  // the property would hold of a renderer that rejects everything
  assert.ok(rendered > 50 && accepted > 20, `${rendered} rendered, ${accepted} accepted`);
});

test('what policy.json can say is said', async () => {
  const said = async (...requirements: string[]): Promise<unknown> => {
    const policy = await source(requirements);
    assert.ok(policy !== undefined);
    const { policy: parsed } = await renderPolicy(policy, keysOf);
    return (parsed['transports'] as { docker: Record<string, unknown> }).docker['registry.example.com'];
  };
  assert.deepEqual(await said('{ type: signed, by: release }'), [
    { type: 'sigstoreSigned', keyPath: '/release.pub' },
  ]);
  assert.deepEqual(await said('{ type: signed, anyOf: [release, second] }'), [
    { type: 'sigstoreSigned', keyPaths: ['/release.pub', '/second.pub'] },
  ]);
  assert.deepEqual(await said('{ type: signed, threshold: 2, of: [release, ops] }'), [
    { type: 'sigstoreSigned', keyPath: '/release.pub' },
    { type: 'signedBy', keyType: 'GPGKeys', keyPath: '/ops.asc' },
  ]);
  const reject = [{ type: 'reject' }];
  assert.deepEqual(await said('{ type: signed, threshold: 2, of: [release, either] }'), reject);
  assert.deepEqual(await said('{ type: signed, threshold: 2, of: [release, ops, dev] }'), reject);
  assert.deepEqual(await said('{ type: signed, anyOf: [release, ops] }'), reject);
  assert.deepEqual(await said('{ type: signed, by: release, formats: [bundle] }'), reject);
  for (const name of ['alice', 'past', 'rooted', 'current']) {
    assert.deepEqual(await said(`{ type: signed, by: ${name} }`), reject, name);
  }
  // one requirement that cannot be said rejects the whole scope
  assert.deepEqual(await said('{ type: signed, by: alice }', '{ type: insecureAcceptAnything }'), reject);
});

test('scopes with attachments are named for registries.d, and what became reject says why', async () => {
  const policy = await trustYaml(
    `${signers}default: [{ type: signed, by: alice }]\ntransports: { docker: { "": [{ type: signed, by: release }], h.x: [{ type: signed, by: ops }], h.y: [{ type: signed, by: second }] } }`,
  );
  const { attachments, rejected } = await renderPolicy(policy, keysOf);
  assert.deepEqual(attachments, ['', 'h.y']);
  assert.equal(rejected.length, 1);
  assert.deepEqual(rejected[0]?.scope, { transport: '', name: '' });
  assert.match(rejected[0]?.place ?? '', /^trust\.yaml:[0-9]+:[0-9]+: \$\.default\[0\]$/);
  assert.match(rejected[0]?.why ?? '', /certificate/);
});

const words = fc.oneof(
  fc.constantFrom<object>(
    { type: 'insecureAcceptAnything' },
    { type: 'reject' },
    { type: 'signedBy', keyType: 'GPGKeys', keyPath: '/ops.asc' },
    { type: 'signedBy', keyType: 'GPGKeys', keyPaths: ['/ops.asc', '/dev.asc'] },
    { type: 'signedBy', keyType: 'GPGKeys', keyPaths: [] },
    { type: 'signedBy', keyType: 'X509Certificates', keyPath: '/ops.asc' },
    { type: 'signedBaseLayer', baseLayerIdentity: { type: 'matchExact' } },
    { type: 'sigstoreSigned', keyPath: '/release.pub' },
    {
      type: 'sigstoreSigned',
      keyPaths: ['/release.pub', '/second.pub'],
      signedIdentity: { type: 'matchRepository' },
    },
  ),
);

test('an imported policy.json gives the same verdicts', async () => {
  const signatures = fc.array(fc.nat(12), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(words, { minLength: 1, maxLength: 2 }),
      signatures,
      async (requirements, indices) => {
        const policy = policyJson(requirements);
        const { text } = await importPolicy(policy, '/elsewhere');
        const imported = await parseTrustYaml(text, 'imported', (path) => path);
        assert.equal(imported.stores, 'configured');
        const found = indices.flatMap((index) => pool[index] ?? []);
        // a key that is not there is an error for both, unless an empty list of keys became reject
        const wanted = await accepts(policy, found).catch(() => false);
        assert.equal(await accepts(imported, found).catch(() => false), wanted);
      },
    ),
    { numRuns: 200 },
  );
});

test('every word of a policy.json is imported, key paths made absolute', async () => {
  const text = JSON.stringify({
    default: [{ type: 'reject' }],
    transports: {
      docker: {
        '': [{ type: 'insecureAcceptAnything' }],
        '<<': [{ type: 'reject' }],
        'h.x': [
          { type: 'signedBy', keyType: 'GPGKeys', keyPaths: ['a.asc', '/b.asc'] },
          { type: 'sigstoreSigned', keyDatas: ['AQID', 'BAUG'], rekorPublicKeyPath: 'r.pub' },
          {
            type: 'sigstoreSigned',
            fulcio: { caPath: 'ca.pem', oidcIssuer: 'https://i', subjectEmail: 'a@b' },
            rekorPublicKeyData: 'AQID',
          },
          {
            type: 'sigstoreSigned',
            pki: { caRootsPath: 'r.pem', caIntermediatesData: 'AQID', subjectHostname: 'h' },
          },
          {
            type: 'sigstoreSigned',
            keyPath: 'k',
            signedIdentity: { type: 'remapIdentity', prefix: 'h.x', signedPrefix: 'o.y' },
          },
        ],
      },
      empty: {},
      '1234': { '2026-01-01': [{ type: 'reject' }], true: [{ type: 'reject' }] },
    },
  });
  const { text: yaml, rejected } = await importPolicy(parsePolicy(text, 'p'), '/cwd');
  assert.deepEqual(rejected, []);
  const imported = await parseTrustYaml(yaml, 'imported', (path) => path);
  assert.deepEqual([...imported.transports.keys()], ['1234', 'docker']);
  assert.deepEqual([...(imported.transports.get('1234')?.keys() ?? [])], ['2026-01-01', 'true']);
  const rendered = await renderPolicy(imported, keysOf);
  const absolute = text
    .replaceAll(/"(a\.asc|r\.pub|ca\.pem|r\.pem)"/g, '"/cwd/$1"')
    .replace('"keyPath":"k"', '"keyPath":"/cwd/k"')
    .replace(',"empty":{}', '');
  assert.deepEqual(rendered.policy, JSON.parse(absolute));
});

test('a list of keys that is empty is imported as reject', async () => {
  const { text, rejected } = await importPolicy(
    policyJson([{ type: 'signedBy', keyType: 'GPGKeys', keyPaths: [''] }]),
    '/',
  );
  assert.equal(rejected.length, 1);
  assert.match(text, /type: reject/);
});

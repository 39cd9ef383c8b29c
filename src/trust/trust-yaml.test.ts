import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { isBullaError } from '../base/errors.ts';
import type { Policy } from './policy.ts';
import { isTrustYaml, parseTrustYaml } from './trust-yaml.ts';

const whole = `# whom we believe
apiVersion: bulla/v1
default: [{ type: reject }]
roots:
  ours: { file: root.json }
  public: { tuf: public-good }
signers:
  release: { type: sigstoreKey, keyPath: release.pub, root: ours, validFrom: 2026-01-01, validUntil: 2027-01-01T12:00:00Z }
  old: { type: sigstoreKey, keyPaths: [/k/a.pub, b.pub] }
  ops: { type: gpg, keyPath: ops.asc }
  ci:
    type: certificate
    root: public
    issuer: https://token.actions.githubusercontent.com
    subjectPattern: 'https://github\\.com/example/.*'
    sourceRepositoryUri: https://github.com/example/app
transports:
  docker:
    "": [{ type: insecureAcceptAnything }]
    h.x/a:
      - { type: signed, by: ops }
      - { type: signed, anyOf: [release, ci], signedIdentity: { type: remapIdentity, prefix: h.x, signedPrefix: o.y, match: matchRepository } }
      - { type: signed, threshold: 2, of: [release, ci, ops], sct: optional }
      - { type: signed, by: ci, predicateType: https://slsa.dev/provenance/v1, timestamp: required }
      - { type: signedBy, keyType: GPGKeys, keyPath: k.asc }
      - { type: sigstoreSigned, keyPath: k.pub }
`;

const parse = (text: string): Promise<Policy> => parseTrustYaml(text, 'trust.yaml', (path) => `/dir/${path}`);

test('every word is read', async () => {
  const policy = await parse(whole);
  assert.equal(policy.stores, 'everywhere');
  assert.deepEqual(
    policy.default.map(({ type }) => type),
    ['reject'],
  );
  const requirements = policy.transports.get('docker')?.get('h.x/a')?.requirements ?? [];
  const [ops, either, two, provenance, gpg, key] = requirements;
  assert.ok(ops?.type === 'signed' && either?.type === 'signed' && two?.type === 'signed');
  assert.deepEqual([ops.threshold, ops.formats], [1, ['simple']]);
  assert.deepEqual(
    either.signers.map(({ name }) => name),
    ['release', 'ci'],
  );
  const [release, ci] = either.signers;
  assert.deepEqual(release?.window, { from: Date.UTC(2026, 0, 1), until: Date.UTC(2027, 0, 1, 12) });
  assert.ok(release.by.kind === 'sigstoreKey');
  assert.deepEqual(release.by.keys, { kind: 'paths', paths: ['/dir/release.pub'] });
  assert.deepEqual(release.by.root?.from, { kind: 'file', path: '/dir/root.json' });
  assert.ok(ci?.by.kind === 'certificate');
  const { subject, fields } = ci.by.identity;
  assert.ok(subject?.kind === 'pattern');
  assert.equal(subject.pattern.test('https://github.com/example/app'), true);
  assert.equal(subject.pattern.test('evil https://github.com/example/app'), false);
  assert.deepEqual(fields?.['source-repository-uri'], {
    kind: 'exact',
    text: 'https://github.com/example/app',
  });
  assert.deepEqual(
    [either.formats, either.timestamp, either.sct],
    [['cosign', 'bundle'], 'optional', 'required'],
  );
  assert.equal(
    either.signedIdentity.type === 'remapIdentity' && either.signedIdentity.match,
    'matchRepository',
  );
  assert.deepEqual([two.threshold, two.formats, two.sct], [2, ['simple', 'cosign', 'bundle'], 'optional']);
  assert.ok(provenance?.type === 'signed');
  assert.deepEqual(provenance.formats, ['bundle', 'attestation']);
  assert.ok(gpg?.type === 'signedBy' && key?.type === 'sigstoreSigned' && key.signer.kind === 'keys');
  assert.deepEqual(
    [gpg.keys, key.signer.keys].map((each) => (each.kind === 'paths' ? each.paths : [])),
    [['/dir/k.asc'], ['/dir/k.pub']],
  );
});

test('a file is a trust.yaml by its first line, and by nothing else', () => {
  assert.equal(isTrustYaml(whole), true);
  assert.equal(isTrustYaml('\n# x\n---\napiVersion: v2\n'), true);
  assert.equal(isTrustYaml('{"apiVersion": "bulla/v1"}'), false);
  assert.equal(isTrustYaml('default: []\napiVersion: bulla/v1\n'), false);
  assert.equal(isTrustYaml('{"default":[{"type":"reject"}]}'), false);
  assert.equal(isTrustYaml(''), false);
});

// each is the whole file with one thing changed
const refused: readonly (readonly [name: string, from: string | RegExp, to: string])[] = [
  ['another version', 'bulla/v1', 'bulla/v2'],
  ['no version first', /^# whom.*\napiVersion: bulla\/v1\n/, 'stores: everywhere\napiVersion: bulla/v1\n'],
  ['no default', 'default: [{ type: reject }]\n', ''],
  ['an empty list', '[{ type: reject }]', '[]'],
  ['no value', '[{ type: reject }]', ''],
  ['null', '[{ type: reject }]', '[{ type: reject }, ~]'],
  ['an unknown member', '{ type: reject }', '{ type: reject, why: x }'],
  ['an unknown type', '{ type: reject }', '{ type: accept }'],
  ['an unknown top member', 'roots:', 'rots:'],
  ['a key twice', '  ops: {', '  old: {'],
  ['an anchor', 'file: root.json', 'file: &a root.json'],
  ['an alias', 'keyPath: ops.asc', 'keyPath: *a'],
  ['a tag', 'keyPath: ops.asc', 'keyPath: !!str ops.asc'],
  ['a merge key', '  ops: { type: gpg', '  ops: { <<: { type: gpg }'],
  ['a second document', 'transports:', '---\ntransports:'],
  ['a directive', /^/, '%YAML 1.2\n---\n'],
  ['an empty text', 'keyPath: ops.asc', "keyPath: ''"],
  ['an empty mapping', 'ours: { file: root.json }', 'ours: {}'],
  ['a number', 'keyPath: ops.asc', 'keyPath: 7'],
  ['a boolean', 'keyPath: ops.asc', 'keyPath: true'],
  ['file and tuf', '{ file: root.json }', '{ file: root.json, tuf: public-good }'],
  ['an unknown TUF repository', 'tuf: public-good', 'tuf: https://example.com'],
  ['an unknown root', 'root: ours', 'root: theirs'],
  ['a certificate without root', '    root: public\n', ''],
  ['no issuer', '    issuer: https://token.actions.githubusercontent.com\n', ''],
  ['a text and its pattern', '    issuer: h', '    issuerPattern: x\n    issuer: h'],
  ['a pattern that does not compile', "'https://github\\.com/example/.*'", "'('"],
  ['an unknown field', 'sourceRepositoryUri', 'sourceRepository'],
  ['two kinds of key', 'keyPath: ops.asc', 'keyPath: ops.asc, keyData: AAAA'],
  ['keys that are not GPG’s', 'keyPath: ops.asc', 'keyDatas: [AAAA]'],
  ['data that are no base64', 'keyPath: ops.asc', 'keyData: "?"'],
  ['no day', 'validFrom: 2026-01-01', 'validFrom: 2026-02-30'],
  ['a day of another form', 'validFrom: 2026-01-01', 'validFrom: 1.1.2026'],
  ['a window that is empty', 'validFrom: 2026-01-01', 'validFrom: 2027-01-01T12:00:00Z'],
  ['an unknown signer', 'by: ops', 'by: nobody'],
  ['a name that is none', '  ops: {', '  " ops": {'],
  ['a signer twice', '[release, ci, ops]', '[release, ci, ci]'],
  ['by and anyOf', 'by: ops', 'by: ops, anyOf: [ci]'],
  ['nobody', 'signed, by: ops', 'signed'],
  ['a threshold without of', 'by: ops', 'by: ops, threshold: 1'],
  ['of without a threshold', 'threshold: 2, ', ''],
  ['a threshold of none', 'threshold: 2', 'threshold: 0'],
  ['a threshold over all', 'threshold: 2', 'threshold: 4'],
  ['a threshold in hexadecimal', 'threshold: 2', 'threshold: 0x2'],
  ['a threshold in text', 'threshold: 2', "threshold: '2'"],
  ['another demand', 'sct: optional', 'sct: maybe'],
  ['log by a GPG key', 'by: ops', 'by: ops, log: required'],
  ['log without root', 'by: ops', 'by: old, log: required'],
  ['timestamp without root', 'by: ops', 'by: old, timestamp: required'],
  ['a format that nobody makes', 'by: ops', 'by: ops, formats: [bundle]'],
  ['a format that is none', 'by: ops', 'by: ops, formats: [notary]'],
  ['a format twice', 'by: ops', 'by: ops, formats: [simple, simple]'],
  ['a signer left without format', 'anyOf: [release, ci]', 'anyOf: [release, ops], formats: [simple]'],
  ['an attestation by a GPG key', 'by: ops', 'by: ops, predicateType: x'],
  ['another match', 'match: matchRepository', 'match: exactRepository'],
  ['match elsewhere', 'type: remapIdentity, prefix: h.x, signedPrefix: o.y', 'type: matchExact'],
  ['another choice of stores', 'default:', 'stores: none\ndefault:'],
  ['a scope that cannot be', '  docker:', '  oci: { relative: [{ type: reject }] }\n  docker:'],
  ['policy.json', /^[\s\S]*$/, '{"default":[{"type":"reject"}]}'],
];

for (const [name, from, to] of refused) {
  test(`refused: ${name}`, async () => {
    const text = whole.replace(from, to);
    assert.notEqual(text, whole);
    await assert.rejects(parse(text), (error) => {
      assert.ok(isBullaError(error, 'policy.malformed'), String(error));
      assert.match(error.message, /^trust\.yaml:[0-9]+:[0-9]+: /);
      return true;
    });
  });
}

test('a deep file, one with a byte order mark and an empty one are refused', async () => {
  for (const text of [
    '',
    '# nothing\n',
    `\uFEFF${whole}`,
    `${whole}x: ${'['.repeat(100)}${']'.repeat(100)}\n`,
  ]) {
    await assert.rejects(parse(text), (error) => isBullaError(error, 'policy.malformed'));
  }
});

test('a malformed file never ends in anything but policy.malformed', async () => {
  const cut = fc.tuple(fc.nat(whole.length), fc.nat(8), fc.string({ maxLength: 8 }));
  await fc.assert(
    fc.asyncProperty(cut, async ([at, length, insert]) => {
      try {
        await parse(whole.slice(0, at) + insert + whole.slice(at + length));
      } catch (error) {
        assert.ok(isBullaError(error, 'policy.malformed'), String(error));
      }
    }),
    { numRuns: 200 },
  );
});

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import {
  type BundleJson,
  forgeBundle,
  forgeInstance,
  issueLeaf,
  trustedRootBytes,
} from '../../test/support/bundle-forge.ts';
import {
  alice,
  at,
  code,
  exact,
  instance,
  judged,
  leaf,
  roots,
  rootsWith,
  signType,
  statement,
} from '../../test/support/judge-bundle.ts';
import * as forge from '../../test/support/sigstore-forge.ts';
import type { CertificateIdentity, TextRule } from './identity-rule.ts';
import { parsePattern } from './linear-pattern.ts';

test('a certificate’s person, with log, time and certificate log', () => {
  const verdict = judged();
  equal(verdict.code, 'accepted', verdict.message);
  equal(verdict.identity, 'alice@example.com (https://issuer.example.com)');
  equal(verdict.signer, 'identity:https://issuer.example.com alice@example.com');
  equal(verdict.predicateType, signType);
  deepEqual(verdict.times, [at]);
  equal(code({ logs: ['v2'], timestamps: 1 }), 'accepted');
  deepEqual(judged({ timestamps: 1 }).times, [at, at]);
  equal(code({ version: '0.2' }), 'accepted');
});

test('who it is: issuer, subject and fields, whole', () => {
  const pattern = (text: string): TextRule => ({ kind: 'pattern', pattern: parsePattern(text) });
  const by = (identity: CertificateIdentity): string => code({}, { signer: { kind: 'identity', identity } });
  equal(by({ ...alice, subject: pattern('[a-z]+@example\\.com') }), 'accepted');
  for (const wrong of [
    { ...alice, subject: exact('bob@example.com') },
    { ...alice, subject: pattern('alice') },
    { ...alice, subject: pattern('^alice@example') },
    { ...alice, issuer: exact('https://issuer.example.com/') },
    { ...alice, issuer: pattern('issuer') },
    { ...alice, fields: { 'build-signer-uri': exact('x') } },
  ]) {
    equal(by(wrong), 'signature.wrong-signer');
  }
  const field = forge.extension(
    '1.3.6.1.4.1.57264.1.12',
    forge.der(0x0c, utf8('https://github.com/acme/app')),
  );
  const uri = 'https://github.com/acme/app/.github/workflows/build.yml@refs/heads/main';
  const signer = issueLeaf(instance, { uri, more: [field] });
  const wants = (repository: string): string => {
    const fields = { 'source-repository-uri': exact(repository) };
    return code(
      { signer },
      { signer: { kind: 'identity', identity: { issuer: alice.issuer, subject: exact(uri), fields } } },
    );
  };
  equal(wants('https://github.com/acme/app'), 'accepted');
  equal(wants('https://github.com/acme/ap'), 'signature.wrong-signer');
});

test('a certificate with several subjects, or none, is nobody’s', () => {
  const names = (...list: readonly [number, string][]): string => {
    const issuer = 'https://issuer.example.com';
    const subjects = list.length === 0 ? [] : [forge.altNames(list, true)];
    const extensions = [forge.codeSigning, ...subjects, forge.issuerText(issuer)];
    return code({ signer: issueLeaf(instance, { extensions }) });
  };
  equal(names([1, 'alice@example.com']), 'accepted');
  equal(names([1, 'alice@example.com'], [6, 'https://other.example']), 'signature.certificate-invalid');
  equal(names([1, 'alice@example.com'], [1, 'alice@example.com']), 'signature.certificate-invalid');
  equal(names(), 'signature.certificate-invalid');
});

test('certificates that do not hold', () => {
  const other = forgeInstance();
  const { time } = instance;
  const issuer = 'https://issuer.example.com';
  const names = forge.altNames([[1, 'alice@example.com']], true);
  for (const [what, wanted, plan] of [
    ['expired', 'signature.certificate-invalid', { from: time - 600, to: time - 1 }],
    ['not yet valid', 'signature.certificate-invalid', { from: time + 1, to: time + 600 }],
    [
      'for servers',
      'signature.certificate-invalid',
      { extensions: [forge.usages('1.3.6.1.5.5.7.3.1'), names, forge.issuerText(issuer)] },
    ],
    ['for nothing said', 'signature.certificate-invalid', { extensions: [names, forge.issuerText(issuer)] }],
    [
      'an authority',
      'signature.certificate-invalid',
      { extensions: [forge.authority(), forge.codeSigning, names, forge.issuerText(issuer)] },
    ],
    ['in no certificate log', 'signature.sct-missing', { promises: [] }],
    ['in another’s log', 'signature.sct-invalid', { promises: [{ key: forge.ecKey() }] }],
    ['by another authority', 'signature.certificate-invalid', { by: other.keys.middle }],
  ] as const) {
    equal(code({ signer: issueLeaf(instance, plan) }), wanted, what);
  }
  equal(code({ signer: issueLeaf(instance, { promises: [] }) }, { sct: 'ignored' }), 'accepted');
  equal(code({}, { roots: [] }), 'signature.certificate-invalid');
  const end = new Date((time - 1) * 1000).toISOString();
  const expired = rootsWith((root) =>
    Object.assign(root.certificateAuthorities[0] ?? {}, { validFor: { start: '2020-01-01T00:00:00Z', end } }),
  );
  equal(code({}, { roots: expired }), 'signature.certificate-invalid');
});

test('log and time: each is asked for, and says so where it is missing', () => {
  equal(code({ logs: [] }), 'signature.log-entry-missing');
  const untimed = judged({ logs: ['v2'] });
  equal(untimed.code, 'signature.timestamp-missing');
  match(untimed.message, /Rekor v2.*timestamp/);
  equal(code({ entry: { set: false } }), 'signature.timestamp-missing');
  equal(code({ logs: ['v1'], timestamps: 1, entry: { set: false } }), 'accepted');
  // a timestamp that does not hold is no help, and not passed over
  const stamp = { key: forge.ecKey() };
  equal(code({ timestamps: 1, timestamp: stamp }), 'signature.timestamp-invalid');
  // a time outside of the certificate's
  equal(code({ timestamps: 1, timestamp: { time: instance.time + 6000 } }), 'signature.certificate-invalid');
  equal(code({ logs: [], timestamps: 1 }), 'signature.log-entry-missing');
  const other = forgeInstance();
  const foreign = rootsWith(
    (root) => (root.tlogs = JSON.parse(Buffer.from(trustedRootBytes(other)).toString()).tlogs),
  );
  equal(code({}, { roots: foreign }), 'signature.log-entry-invalid');
});

test('an instance without any log lives by its timestamps; one with a log does not', () => {
  const logless = rootsWith((root) => Object.assign(root, { tlogs: [], ctlogs: [] }));
  const signer = issueLeaf(instance, { promises: [] });
  equal(code({ signer, logs: [], timestamps: 1 }, { roots: logless }), 'accepted');
  equal(code({ signer, logs: [] }, { roots: logless }), 'signature.timestamp-missing');
  equal(code({ signer, logs: [], timestamps: 1 }), 'signature.log-entry-missing');
  // the second root of a file that has several
  equal(code({}, { roots: [...logless, ...roots] }), 'accepted');
  // one root's authority with another's log is nobody's instance
  const split = [logless, rootsWith((root) => Object.assign(root, { certificateAuthorities: [] }))].flat();
  ok(code({}, { roots: split }) !== 'accepted');
});

test('a log that is ignored tells no time', () => {
  const ignored = { log: 'ignored' } as const;
  equal(code({ logs: [], timestamps: 1 }, ignored), 'accepted');
  // judged as of now, when the certificate has long expired
  equal(code({}, ignored), 'signature.certificate-invalid');
  equal(code({ logs: [] }, { ...ignored, now: instance.time * 1000 }), 'accepted');
});

test('a log entry about something else', () => {
  const foreign = forgeBundle(instance, { signer: leaf, content: statement({ predicate: { x: 1 } }) });
  const entries = (JSON.parse(Buffer.from(foreign.json).toString()) as BundleJson).verificationMaterial
    .tlogEntries;
  const lent = (bundle: BundleJson): void => void (bundle.verificationMaterial.tlogEntries = entries);
  equal(code({ change: lent }), 'signature.log-entry-invalid');
  // another payload's promise or proof alone, beside what is its own otherwise
  for (const member of ['inclusionPromise', 'inclusionProof'] as const) {
    const part = ({ verificationMaterial: { tlogEntries } }: BundleJson): void =>
      tlogEntries.forEach((entry) => void Object.assign(entry, { [member]: entries[0]?.[member] }));
    equal(code({ change: part }), 'signature.log-entry-invalid', member);
  }
  const twice = ({ verificationMaterial: { tlogEntries } }: BundleJson): void =>
    void tlogEntries.push(...tlogEntries);
  equal(code({ change: twice }), 'signature.malformed');
});

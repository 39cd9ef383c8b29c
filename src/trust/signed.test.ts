import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  bundle,
  cosign,
  readFile,
  simple,
  subjectOf,
  trustYaml,
  unreadable,
} from '../../test/support/trust-signers.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { parseTrustedRoots } from '../keys/trusted-root/parse.ts';
import { evaluate } from './evaluate.ts';
import type { RequirementVerdict, StoredLike, Verdict } from './verdict.ts';

const signers = `
default: [{ type: reject }]
roots: { ours: { file: root.json } }
signers:
  release: { type: sigstoreKey, keyPath: release.pub }
  again: { type: sigstoreKey, keyPaths: [second.pub, release.pub] }
  second: { type: sigstoreKey, keyPath: second.pub }
  logged: { type: sigstoreKey, keyPath: release.pub, root: ours }
  past: { type: sigstoreKey, keyPath: release.pub, root: ours, validUntil: 2026-11-20 }
  soon: { type: sigstoreKey, keyPath: release.pub, root: ours, validFrom: 2999-01-01 }
  plainPast: { type: sigstoreKey, keyPath: release.pub, validUntil: 2026-11-20 }
  ops: { type: gpg, keyPath: ops.asc }
  dev: { type: gpg, keyPath: dev.asc }
  both: { type: gpg, keyPaths: [ops.asc, dev.asc] }
  opsNow: { type: gpg, keyPath: ops.asc, validFrom: 2026-11-20 }
  opsPast: { type: gpg, keyPath: ops.asc, validUntil: 2026-11-20 }
  missing: { type: sigstoreKey, keyPath: missing.pub }
  alice: { type: certificate, root: ours, issuer: https://issuer.example.com, subject: alice@example.com }
  anybody: { type: certificate, root: ours, issuer: https://issuer.example.com, subjectPattern: '.*@example.com' }
transports: { docker: { registry.example.com: `;

// the instance's logs live on 2026-11-18, GPG signatures are made while the test runs
const now = new Date(Date.now() + 3_600_000);

async function judged(requirements: string, signatures: readonly (StoredLike | Error)[]): Promise<Verdict> {
  const policy = await trustYaml(`${signers}[${requirements}] } }`);
  return evaluate(policy, subjectOf(signatures), { now, keyring: readFile });
}

async function outcome(
  requirements: string,
  ...signatures: readonly (StoredLike | Error)[]
): Promise<string> {
  const verdict = await judged(requirements, signatures);
  const last: RequirementVerdict | undefined = verdict.requirements.at(-1);
  if (verdict.accepted) return 'accepted';
  return last?.signatures.find(({ accepted }) => !accepted)?.code ?? last?.code ?? '';
}

test('each kind of signer in each of its formats', async () => {
  assert.equal(await outcome('{ type: signed, by: ops }', simple('ops')), 'accepted');
  assert.equal(await outcome('{ type: signed, by: ops }', simple('dev')), 'signature.unknown-key');
  assert.equal(await outcome('{ type: signed, by: release }', cosign('release')), 'accepted');
  assert.equal(await outcome('{ type: signed, by: release }', cosign('stranger')), 'signature.invalid');
  assert.equal(await outcome('{ type: signed, by: release }', bundle('release')), 'accepted');
  assert.equal(await outcome('{ type: signed, by: release }', bundle('stranger')), 'signature.invalid');
  const certified = bundle('stranger', { email: 'alice@example.com' });
  assert.equal(await outcome('{ type: signed, by: alice }', certified), 'accepted');
  assert.equal(await outcome('{ type: signed, by: anybody }', certified), 'accepted');
  const mallory = bundle('stranger', { email: 'mallory@example.org' });
  assert.equal(await outcome('{ type: signed, by: alice }', mallory), 'signature.wrong-signer');
  assert.equal(await outcome('{ type: signed, by: anybody }', mallory), 'signature.wrong-signer');
  // a certificate never stands in for a key, nor a key for a certificate
  assert.equal(
    await outcome('{ type: signed, by: alice }', bundle('release')),
    'signature.certificate-missing',
  );
});

test('the verdict names signer, key and whose it counts for', async () => {
  const { requirements } = await judged('{ type: signed, anyOf: [release, ops] }', [simple('ops')]);
  const [signature] = requirements[0]?.signatures ?? [];
  assert.equal(requirements[0]?.type, 'signed');
  assert.deepEqual(signature?.countsFor, ['ops']);
  assert.equal(signature?.signer, `gpg:${signature?.key}`);
});

test('any one of the signers suffices, whatever its kind', async () => {
  const any = '{ type: signed, anyOf: [release, ops, alice] }';
  assert.equal(await outcome(any, simple('dev'), cosign('stranger'), simple('ops')), 'accepted');
  assert.equal(
    await outcome(any, simple('dev'), bundle('stranger', { email: 'alice@example.com' })),
    'accepted',
  );
  assert.equal(await outcome(any), 'trust.no-signature');
});

test('n of m counts signers, not signatures', async () => {
  const two = (names: string): string => `{ type: signed, threshold: 2, of: [${names}] }`;
  assert.equal(await outcome(two('release, second'), cosign('release'), cosign('second')), 'accepted');
  assert.equal(
    await outcome(two('release, second'), cosign('release'), bundle('release')),
    'trust.not-accepted',
  );
  assert.equal(await outcome(two('release, ops'), cosign('release'), simple('ops')), 'accepted');
  // one key under two names is one signer
  assert.equal(
    await outcome(two('release, logged'), cosign('release'), bundle('release')),
    'trust.not-accepted',
  );
  // one name with two keys is one signer
  assert.equal(await outcome(two('both, release'), simple('ops'), simple('dev')), 'trust.not-accepted');
  assert.equal(await outcome(two('again, release'), cosign('release'), cosign('second')), 'accepted');
  assert.equal(await outcome(two('release, again'), cosign('second'), cosign('release')), 'accepted');
  // a person with a key and a certificate is two entries, one identity under two names is one
  const certified = bundle('stranger', { email: 'alice@example.com' });
  assert.equal(await outcome(two('release, alice'), cosign('release'), certified), 'accepted');
  assert.equal(await outcome(two('alice, anybody'), certified, certified), 'trust.not-accepted');
  const bob = bundle('stranger', { email: 'bob@example.com' });
  assert.equal(await outcome(two('alice, anybody'), certified, bob), 'accepted');
  assert.equal(await outcome(two('alice, anybody'), bob, certified), 'accepted');
});

test('a window is judged by trusted time, and by now without', async () => {
  const byPast = '{ type: signed, by: past }';
  // logged on the 18th, the key was believed until the 20th, it is later
  assert.equal(await outcome(byPast, bundle('release')), 'accepted');
  assert.equal(await outcome(byPast, bundle('release', { logs: [], timestamps: 1 })), 'accepted');
  assert.equal(await outcome(byPast, bundle('release', { logs: [] })), 'signature.outside-window');
  assert.equal(await outcome('{ type: signed, by: soon }', bundle('release')), 'signature.outside-window');
  // without a root no witness is believed
  assert.equal(
    await outcome('{ type: signed, by: plainPast }', bundle('release')),
    'signature.outside-window',
  );
  assert.equal(await outcome('{ type: signed, by: opsPast }', simple('ops')), 'signature.outside-window');
  assert.equal(await outcome('{ type: signed, by: opsNow }', simple('ops')), 'accepted');
});

test('log and timestamp, required and optional', async () => {
  const required = '{ type: signed, by: logged, log: required }';
  assert.equal(await outcome(required, bundle('release')), 'accepted');
  assert.equal(await outcome(required, bundle('release', { logs: [] })), 'signature.log-entry-missing');
  assert.equal(await outcome(required, cosign('release')), 'signature.log-entry-missing');
  assert.equal(await outcome('{ type: signed, by: logged }', bundle('release', { logs: [] })), 'accepted');
  const stamped = '{ type: signed, by: logged, timestamp: required }';
  assert.equal(await outcome(stamped, bundle('release')), 'signature.timestamp-missing');
  assert.equal(await outcome(stamped, bundle('release', { timestamps: 1 })), 'accepted');
  // certificates: the log by default, else a timestamp, never neither
  const email = 'alice@example.com';
  const unlogged = { email, logs: [] } as const;
  assert.equal(
    await outcome('{ type: signed, by: alice }', bundle('release', unlogged)),
    'signature.log-entry-missing',
  );
  const optional = '{ type: signed, by: alice, log: optional }';
  assert.equal(await outcome(optional, bundle('release', unlogged)), 'signature.timestamp-missing');
  assert.equal(await outcome(optional, bundle('release', { ...unlogged, timestamps: 1 })), 'accepted');
});

test('an attestation counts for its predicate type alone', async () => {
  const provenance = 'https://slsa.dev/provenance/v1';
  const attested = bundle('release', { predicateType: provenance });
  const wanted = `{ type: signed, by: release, predicateType: '${provenance}' }`;
  assert.equal(await outcome(wanted, attested), 'accepted');
  assert.equal(await outcome(wanted, bundle('release')), 'signature.wrong-predicate');
  assert.equal(await outcome('{ type: signed, by: release }', attested), 'signature.wrong-predicate');
  assert.equal(await outcome(wanted, cosign('release')), 'signature.wrong-type');
});

test('formats limit what counts', async () => {
  assert.equal(
    await outcome('{ type: signed, by: release, formats: [cosign] }', bundle('release')),
    'signature.wrong-type',
  );
  assert.equal(
    await outcome('{ type: signed, by: release, formats: [bundle] }', cosign('release')),
    'signature.wrong-type',
  );
});

test('the name that was signed counts, also after a remap with repository matching', async () => {
  const named = cosign('release', 'origin.example.com/ns/app');
  const remap = (match: string): string =>
    `{ type: signed, by: release, signedIdentity: { type: remapIdentity, prefix: registry.example.com, signedPrefix: origin.example.com${match} } }`;
  assert.equal(await outcome('{ type: signed, by: release }', named), 'signature.wrong-identity');
  assert.equal(await outcome(remap(''), named), 'signature.wrong-identity');
  assert.equal(await outcome(remap(', match: matchRepository'), named), 'accepted');
  const elsewhere = cosign('release', 'origin.example.com/ns/other');
  assert.equal(await outcome(remap(', match: matchRepository'), elsewhere), 'signature.wrong-identity');
});

test('what is no signature is one that does not count, and reading ends where it is decided', async () => {
  const forbidden = new BullaError('store.unreadable', '403');
  for (const requirement of [
    '{ type: signed, by: ops }',
    '{ type: signedBy, keyType: GPGKeys, keyPath: ops.asc }',
  ]) {
    assert.equal(await outcome(requirement, unreadable, simple('ops'), forbidden), 'accepted');
    await assert.rejects(outcome(requirement, simple('dev'), forbidden, simple('ops')), (error) =>
      isBullaError(error, 'store.unreadable'),
    );
    assert.equal(await outcome(requirement, unreadable), 'signature.unrecognized');
  }
  // the second requirement begins anew with what was read
  const both = '{ type: signed, by: ops }, { type: signed, by: dev }';
  assert.equal(await outcome(both, simple('dev'), simple('ops'), forbidden), 'accepted');
});

test('a key is read for a signature that it is about, and must be there then', async () => {
  const requirement = '{ type: signed, anyOf: [missing, ops] }';
  assert.equal(await outcome(requirement, simple('ops')), 'accepted');
  await assert.rejects(outcome(requirement, cosign('release')), (error) =>
    isBullaError(error, 'trust.key-unavailable'),
  );
});

test('--require-signed is satisfied by signed', async () => {
  const policy = await trustYaml(`${signers}[{ type: signed, by: ops }] } }`);
  const context = { now, keyring: readFile, requireSigned: true };
  assert.equal((await evaluate(policy, subjectOf([simple('ops')]), context)).accepted, true);
});

test('the public instance is asked for once a signature is about it', async () => {
  const policy = await trustYaml(`default: [{ type: reject }]
roots: { public: { tuf: public-good } }
signers:
  ops: { type: gpg, keyPath: ops.asc }
  alice: { type: certificate, root: public, issuer: https://issuer.example.com, subject: alice@example.com }
transports: { docker: { registry.example.com: [{ type: signed, anyOf: [ops, alice] }] } }
`);
  const roots = parseTrustedRoots(await readFile('/root.json'), 'root');
  let asked = 0;
  const context = {
    now,
    keyring: readFile,
    publicRoots: async () => {
      asked += 1;
      return roots;
    },
  };
  assert.equal((await evaluate(policy, subjectOf([simple('ops')]), context)).accepted, true);
  assert.equal(asked, 0);
  const certified = subjectOf([bundle('stranger', { email: 'alice@example.com' })]);
  assert.equal((await evaluate(policy, certified, context)).accepted, true);
  assert.equal(asked, 1);
  await assert.rejects(evaluate(policy, certified, { now, keyring: readFile }), (error) =>
    isBullaError(error, 'trust.key-unavailable'),
  );
});

import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { parseSigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { type BundleJson, type EntryJson, forgeBundle } from '../../test/support/bundle-forge.ts';
import {
  byKey,
  code,
  hex,
  instance,
  judged,
  key,
  leaf,
  roots,
  rootsWith,
  ruleOf,
  signType,
  statement,
  subject,
} from '../../test/support/judge-bundle.ts';
import * as forge from '../../test/support/sigstore-forge.ts';
import { judgeBundle, judgeOldAttestation, judgeStored } from './bundle-judge.ts';
import { anyPredicateType, type BundleRule } from './bundle-rule.ts';

test('a key: signature and statement; what else is there must hold where it can be checked', () => {
  const rule = { signer: byKey, log: 'optional' } as const;
  const verdict = judged({ signer: key }, rule);
  equal(verdict.code, 'accepted', verdict.message);
  equal(verdict.signer, `key:${verdict.key}`);
  equal(verdict.identity, undefined);
  match(verdict.message, /in the log https:\/\/rekor\.example/);
  equal(code({ signer: key, logs: [] }, rule), 'accepted');
  equal(code({ signer: key, logs: [] }, { ...rule, log: 'required' }), 'signature.log-entry-missing');
  match(
    judged({ signer: key, timestamps: 1 }, { ...rule, roots: [] }).message,
    /log entry is not checked.*timestamp is not checked/,
  );
  equal(code({ signer: forge.ecKey() }, rule), 'signature.invalid');
  equal(
    code({ signer: key, timestamps: 1, timestamp: { key: forge.ecKey() } }, rule),
    'signature.timestamp-invalid',
  );
  // a certificate never stands in for the key, nor a key for the certificate
  equal(
    code(
      { signer: leaf },
      { ...rule, signer: { kind: 'keys', keys: [parseSigstorePublicKey(utf8(forge.pemOf(leaf.key)))] } },
    ),
    'signature.wrong-signer',
  );
  equal(code({ signer: key }), 'signature.certificate-missing');
  // the log's entry must be of the key: another's certificate for it is none
  const entry = {
    body: (body: object) =>
      JSON.parse(
        JSON.stringify(body).replaceAll(
          Buffer.from(forge.pemOf(key)).toString('base64'),
          Buffer.from(forge.pemText('CERTIFICATE', leaf.der)).toString('base64'),
        ),
      ),
  };
  equal(code({ signer: key, ...entry }, rule), 'signature.log-entry-invalid');
});

test('a root that vouches for nothing passes nothing over', () => {
  const rule = { signer: byKey, log: 'optional' } as const;
  const empty = rootsWith((root) =>
    Object.assign(root, { tlogs: [], ctlogs: [], certificateAuthorities: [], timestampAuthorities: [] }),
  );
  const logless = rootsWith((root) => Object.assign(root, { tlogs: [] }));
  for (const given of [empty, logless, [...empty, ...logless]]) {
    equal(code({ signer: key }, { ...rule, roots: given }), 'signature.log-entry-invalid');
    equal(code({ signer: key, logs: ['v2'] }, { ...rule, roots: given }), 'signature.log-entry-invalid');
    // the key vouches for itself where there is nothing to check
    equal(code({ signer: key, logs: [] }, { ...rule, roots: given }), 'accepted');
    equal(code({ signer: key }, { ...rule, roots: given, log: 'ignored' }), 'accepted');
  }
  const stamped = { signer: key, logs: [], timestamps: 1 };
  equal(code(stamped, { ...rule, roots: empty }), 'signature.timestamp-invalid');
  equal(code(stamped, { ...rule, roots: logless }), 'accepted');
  equal(code({ signer: key }, { ...rule, roots: [...empty, ...roots] }), 'accepted');
  match(code({}, { roots: empty }), /^signature\./);
});

test('indices that are missing are those of the first leaf, and negative ones are none', () => {
  // so that neither log has no other leaf
  for (const log of ['v1', 'v2'] as const)
    forgeBundle(instance, { signer: leaf, content: statement(), logs: [log] });
  for (const log of ['v1', 'v2'] as const) {
    const changed = (change: (entry: EntryJson) => unknown): string =>
      code({
        logs: [log],
        timestamps: 1,
        change: ({ verificationMaterial: { tlogEntries } }) =>
          tlogEntries.forEach((entry) => void change(entry)),
      });
    equal(
      changed((entry) => entry),
      'accepted',
    );
    for (const where of ['entry', 'proof'] as const) {
      const at = (entry: EntryJson): Record<string, unknown> =>
        where === 'entry' ? entry : entry.inclusionProof;
      equal(
        changed((entry) => delete at(entry)['logIndex']),
        'signature.log-entry-invalid',
        `${log} ${where}`,
      );
      equal(
        changed((entry) => (at(entry)['logIndex'] = '-1')),
        'signature.malformed',
        `${log} ${where}`,
      );
    }
  }
});

test('what is stated: type, subject, name', () => {
  const says = (changes: object, rule: Partial<BundleRule> = {}): string =>
    code({ content: statement(changes) }, rule);
  equal(says({ subject: [{ digest: { sha256: 'cd'.repeat(32) } }] }), 'signature.wrong-digest');
  equal(says({ subject: [{ digest: { sha512: hex } }] }), 'signature.wrong-digest');
  equal(says({ subject: [{ digest: { sha256: hex.toUpperCase() } }] }), 'signature.wrong-digest');
  equal(
    says({ subject: [{ digest: { sha256: 'cd'.repeat(32) } }, { digest: { sha256: hex } }] }),
    'accepted',
  );
  equal(says({ subject: [] }), 'signature.payload-malformed');
  equal(says({ _type: 'https://in-toto.io/Statement/v0.1' }), 'accepted');
  equal(says({ _type: 'https://in-toto.io/Statement/v2' }), 'signature.wrong-type');
  const slsa = { predicateType: 'https://slsa.dev/provenance/v1' };
  equal(says(slsa), 'signature.wrong-predicate');
  equal(says(slsa, slsa), 'accepted');
  equal(says(slsa, { predicateType: anyPredicateType }), 'accepted');
  equal(says({}, slsa), 'signature.wrong-predicate');
  equal(says({}, { subjectName: 'app' }), 'signature.wrong-identity');
  equal(says({ subject: [{ name: 'app', digest: { sha256: hex } }] }, { subjectName: 'app' }), 'accepted');
  const elsewhere = [
    { name: 'app', digest: { sha256: 'cd'.repeat(32) } },
    { name: 'x', digest: { sha256: hex } },
  ];
  equal(says({ subject: elsewhere }, { subjectName: 'app' }), 'signature.wrong-identity');
  equal(code({ content: { ...statement(), payloadType: 'application/json' } }), 'signature.wrong-type');
  equal(code({ content: { message: utf8('x') } }), 'signature.wrong-type');
});

test('bundles that are malformed are refused, and nothing in them is believed', () => {
  for (const change of [
    (bundle: BundleJson) => void bundle.dsseEnvelope?.signatures.push({ sig: 'AA==' }),
    (bundle: BundleJson) => void (bundle.mediaType = 'application/json'),
    (bundle: BundleJson) => void Object.assign(bundle.dsseEnvelope ?? {}, { payload: 'AA=' }),
    (bundle: BundleJson) =>
      void Object.assign(bundle.verificationMaterial.tlogEntries[0] ?? {}, { logIndex: '-1' }),
    (bundle: BundleJson) =>
      void Object.assign(bundle.verificationMaterial, { certificate: { rawBytes: 'MAA=' } }),
  ]) {
    const verdict = judged({ change });
    match(verdict.code, /^signature\.(?:malformed|unsupported|certificate-invalid)$/);
    equal(verdict.signer, undefined);
    equal(verdict.predicateType, undefined);
  }
  const rooted = (bundle: BundleJson): void => {
    const chain = bundle.verificationMaterial['x509CertificateChain'] as { certificates: object[] };
    chain.certificates.push({ rawBytes: Buffer.from(instance.certificates.root).toString('base64') });
  };
  equal(code({ version: '0.2', change: rooted }), 'signature.certificate-invalid');
  const cut = {
    format: 'bundle',
    mediaType: '',
    json: forgeBundle(instance, { signer: leaf, content: statement() }).json.subarray(0, 900),
  } as const;
  equal(judgeBundle({ signature: cut, location: '' }, ruleOf(), subject).code, 'signature.malformed');
});

test('an old attestation by key, and other formats where they stand', () => {
  const { payloadType, payload } = statement({ predicateType: 'https://example.com/p' });
  const { signature } = forgeBundle(instance, { signer: key, content: { payloadType, payload } });
  const signatures = [{ keyid: '', sig: Buffer.from(signature).toString('base64') }];
  const envelope = utf8(
    JSON.stringify({ payloadType, payload: Buffer.from(payload).toString('base64'), signatures }),
  );
  const stored = {
    signature: { format: 'attestation', mediaType: '', envelope, annotations: {} },
    location: 'att',
  } as const;
  const rule = ruleOf({ signer: byKey, log: 'optional', predicateType: 'https://example.com/p' });
  equal(judgeOldAttestation(stored, rule, subject).code, 'accepted');
  equal(judgeStored(stored, { ...rule, log: 'required' }, subject).code, 'signature.log-entry-missing');
  equal(judgeStored(stored, { ...rule, predicateType: signType }, subject).code, 'signature.wrong-predicate');
  for (const signature of [
    { format: 'simple', blob: new Uint8Array() },
    { format: 'notary', mediaType: '', envelope: new Uint8Array() },
  ] as const) {
    equal(judgeStored({ signature, location: '' }, rule, subject).code, 'signature.wrong-type');
  }
});

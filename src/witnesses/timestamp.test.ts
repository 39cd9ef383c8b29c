import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { concatBytes, utf8 } from '../base/bytes.ts';
import { parseCertificate } from '../keys/certificates/certificate.ts';
import type { Authority } from '../keys/trusted-root/trusted-root.ts';
import { forgeInstance, timestampCertificate, timestampUsage } from '../../test/support/bundle-forge.ts';
import { forgeTimestamp, type TimestampPlan } from '../../test/support/bundle-forge-timestamp.ts';
import { bundleSamples, sampleBundle, sampleRoot } from '../../test/support/bundle-samples.ts';
import * as forge from '../../test/support/sigstore-forge.ts';
import { type TimestampResult, verifyTimestamp } from './timestamp.ts';

const real = sampleRoot().timestampAuthorities;
const signature = utf8('a signature');
const instance = forgeInstance();
const { time, keys } = instance;
const root = parseCertificate(instance.certificates.timestampRoot);
const own = parseCertificate(instance.certificates.timestamp);
const validFor = { start: (time - 100) * 1000 };
/** The root names the signer's certificate. */
const named: Authority = { uri: 'x', chain: [own, root], validFor };
/** The root names those that issue it. */
const issuing: Authority = { uri: 'x', chain: [root], validFor };

const usual: TimestampPlan = { time, key: keys.timestamp, certificate: instance.certificates.timestamp };

function verified(plan: Partial<TimestampPlan>, authority: Authority = named): TimestampResult {
  const result = verifyTimestamp(forgeTimestamp(signature, { ...usual, ...plan }), signature, [authority]);
  if (!result.ok) assert.equal(result.code, 'signature.timestamp-invalid');
  return result;
}

function accepted(plan: Partial<TimestampPlan>, authority?: Authority): boolean {
  return verified(plan, authority).ok;
}

test('timestamps of a real authority', () => {
  const stamped = Object.keys(bundleSamples.bundles).filter(
    (name) => sampleBundle(name).timestamps.length > 0,
  );
  assert.equal(stamped.length, 9);
  for (const name of stamped) {
    const { timestamps, content } = sampleBundle(name);
    const [response] = timestamps;
    assert.ok(response);
    const result = verifyTimestamp(response, content.signature, real);
    assert.equal(result.ok, true, name);
    assert.equal(verifyTimestamp(response, utf8('other'), real).ok, false);
    assert.equal(verifyTimestamp(response, content.signature, []).ok, false);
    assert.equal(verifyTimestamp(response, content.signature, [named, ...real]).ok, true);
    assert.equal(verifyTimestamp(response, content.signature, [named]).ok, false);
  }
});

test('the certificate comes from the root, or with the token', () => {
  const embedded = [instance.certificates.timestamp];
  assert.deepEqual(verified({}), { ok: true, time: time * 1000 });
  assert.equal(accepted({ embedded }), true);
  assert.equal(accepted({ embedded }, issuing), true);
  assert.equal(accepted({ embedded: [instance.certificates.middle, ...embedded] }, issuing), true);
  assert.equal(accepted({}, issuing), false);
  assert.equal(accepted({ embedded: [instance.certificates.timestampRoot] }, issuing), false);
});

test('another certificate than the one that the root names, of the same authority', () => {
  const key = forge.ecKey();
  const certificate = timestampCertificate(instance, { key });
  assert.equal(accepted({ key, certificate, embedded: [certificate] }, issuing), true);
  assert.equal(accepted({ key, certificate, embedded: [certificate] }, named), false);
  assert.equal(accepted({ key, certificate }, named), false);
});

test('who brings a root of his own gains nothing', () => {
  const [key, rootKey] = [forge.ecKey(), forge.ecKey()];
  const certificate = timestampCertificate(instance, { key, by: rootKey });
  const false_ = forge.certificate({
    subject: 'tsa root',
    issuer: 'tsa root',
    key: rootKey,
    from: time - 900,
    to: time + 900,
    extensions: [forge.authority()],
  });
  assert.equal(accepted({ key, certificate, embedded: [certificate, false_] }, issuing), false);
});

test('algorithms', () => {
  for (const [key, hash] of [
    [forge.ecKey('P-384'), 'sha384'],
    [forge.ecKey('P-521'), 'sha512'],
    [forge.rsaKey(), 'sha256'],
    [forge.rsaKey(), 'sha512'],
    [forge.edKey(), 'sha512'],
  ] as const) {
    const certificate = timestampCertificate(instance, { key });
    const plan = { key, certificate, hash, embedded: [certificate] };
    assert.equal(accepted(plan, issuing), true, `${key.privateKey.asymmetricKeyType} ${hash}`);
  }
  assert.equal(accepted({ hash: 'sha1' }), false);
  const weak = forge.rsaKey(1024);
  const certificate = timestampCertificate(instance, { key: weak });
  assert.equal(accepted({ key: weak, certificate, embedded: [certificate] }, issuing), false);
});

test('what the token must say', () => {
  assert.equal(accepted({ status: 1 }), false);
  assert.equal(accepted({ status: 2 }), false);
  assert.equal(accepted({ signers: 0 }), false);
  assert.equal(accepted({ signers: 2 }), false);
  for (const missing of ['type', 'digest', 'certificate'] as const) {
    assert.equal(accepted({ without: [missing] }), false, missing);
  }
  assert.equal(accepted({ named: instance.certificates.timestampRoot }), false);
  assert.equal(accepted({ key: forge.ecKey() }), false);
  // one second later than what was signed
  const later = (info: Uint8Array): Uint8Array => {
    const text = Buffer.from(info).toString('latin1');
    return Buffer.from(text.replace(/(\d{13})\dZ/, '$19Z'), 'latin1');
  };
  assert.equal(accepted({ content: later }), false);
});

test('extensions, and the fields that may follow', () => {
  const [accuracy, ordering] = [
    forge.der(0x30, forge.der(0x02, Uint8Array.of(1))),
    forge.der(0x01, Uint8Array.of(0xff)),
  ];
  const nonce = forge.der(0x02, Uint8Array.of(5));
  assert.equal(accepted({ more: [accuracy, ordering, nonce] }), true);
  assert.equal(accepted({ more: [nonce, accuracy] }), false);
  const extension = (critical: boolean): Uint8Array => forge.extension('1.2.3', utf8('x'), critical);
  assert.equal(accepted({ more: [forge.der(0xa1, extension(false))] }), true);
  assert.equal(accepted({ more: [forge.der(0xa1, extension(true))] }), false);
});

test('times', () => {
  const text = new Date(time * 1000).toISOString().replace(/[-:T]|\.\d+Z/g, '');
  const at = (genTime: string): number | undefined => {
    const result = verified({ genTime });
    return result.ok ? result.time - time * 1000 : undefined;
  };
  assert.equal(at(`${text}Z`), 0);
  assert.equal(at(`${text}.5Z`), 500);
  assert.equal(at(`${text}.123456789Z`), 123);
  for (const wrong of [
    '',
    text,
    `${text}.Z`,
    `${text}.50Z`,
    `${text}+0000`,
    `${text.slice(0, 12)}Z`,
    '20260229000000Z',
  ]) {
    assert.equal(at(wrong), undefined, wrong);
  }
});

test('the authority and its certificates must have been valid then, both ends inclusive', () => {
  const moment = time * 1000;
  const within = (valid: Authority['validFor']): boolean => accepted({}, { ...named, validFor: valid });
  assert.equal(within({ start: moment, end: moment }), true);
  assert.equal(within({ start: moment + 1 }), false);
  assert.equal(within({ start: 0, end: moment - 1 }), false);
  assert.equal(within({ start: Number.NaN }), false);
  const certified = (plan: Partial<forge.CertificatePlan>): boolean => {
    const certificate = timestampCertificate(instance, plan);
    return accepted({ certificate, embedded: [certificate] }, issuing);
  };
  assert.equal(certified({ from: time, to: time }), true);
  assert.equal(certified({ from: time + 1 }), false);
  assert.equal(certified({ to: time - 1 }), false);
});

test('a certificate for timestamps alone', () => {
  const usage = '1.3.6.1.5.5.7.3.8';
  const withExtensions = (...extensions: readonly Uint8Array[]): boolean => {
    const certificate = timestampCertificate(instance, { extensions });
    return accepted({ certificate, embedded: [certificate] }, issuing);
  };
  assert.equal(withExtensions(timestampUsage), true);
  assert.equal(withExtensions(), false);
  assert.equal(withExtensions(forge.usages(usage)), false);
  assert.equal(withExtensions(forge.codeSigning), false);
  const both = forge.der(0x30, forge.oid(usage), forge.oid('1.3.6.1.5.5.7.3.3'));
  assert.equal(withExtensions(forge.extension('2.5.29.37', both, true)), false);
  const any = forge.der(0x30, forge.oid('2.5.29.37.0'));
  assert.equal(withExtensions(forge.extension('2.5.29.37', any, true)), false);
});

test('a signer of code is no authority of time, whatever the token says', () => {
  const key = forge.ecKey();
  const certificate = forge.certificate({
    subject: 'tsa',
    issuer: 'middle',
    key,
    by: keys.middle,
    from: time - 10,
    to: time + 10,
    extensions: [timestampUsage],
  });
  const chain = [instance.certificates.middle, instance.certificates.root].map(parseCertificate);
  const [middle = own, top = own] = chain;
  // the intermediate is for signing code alone
  assert.equal(
    accepted({ key, certificate, embedded: [certificate] }, { ...issuing, chain: [middle, top] }),
    false,
  );
});

test('a damaged response is refused, and nothing is thrown', () => {
  const { timestamps, content } = sampleBundle('blob keyless-rekor1+tsa');
  const [response] = timestamps;
  assert.ok(response);
  const free = new Set<number>();
  fc.assert(
    fc.property(fc.nat(response.length * 8 - 1), (bit) => {
      const copy = Uint8Array.from(response);
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (verifyTimestamp(copy, content.signature, real).ok) free.add(bit >> 3);
    }),
    { numRuns: 3000 },
  );
  // the outer structure's list of digest algorithms, and an empty list of certificates that becomes one of revocations
  // (byte 229), say nothing and are not signed
  for (const at of free) assert.ok((at >= 35 && at < 50) || at === 229, `byte ${at}`);
  for (const bytes of [response.subarray(0, -1), concatBytes(response, Uint8Array.of(0)), new Uint8Array()]) {
    assert.equal(verifyTimestamp(bytes, content.signature, real).ok, false);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(verifyTimestamp(bytes, signature, real).ok, false);
    }),
  );
});

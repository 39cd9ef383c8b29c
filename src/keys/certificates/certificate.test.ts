import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { hexOfBytes, utf8 } from '../../base/bytes.ts';
import { isBullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { samples } from '../../../test/support/sigstore-samples.ts';
import { parseCertificate } from './certificate.ts';
import { verifyChain } from './chain.ts';
import { DerReader, oidOf, onlyElement, timeOf } from './der.ts';
import { fulcioIssuerOf } from './extensions.ts';
import { readAuthorities, readLeaf } from './pem.ts';

const leaf = readLeaf(samples.certificates.oneLevelLeaf);
const roots = readAuthorities(utf8(samples.certificates.oneLevelFulcioRoot));
const [root = leaf] = roots;
const during = Date.parse('2026-11-22T10:55:00Z');

test('a leaf of Fulcio, read as OpenSSL reads it', () => {
  const known = new crypto.X509Certificate(leaf.der);
  assert.equal(new Date(leaf.notBefore).toISOString(), '2026-11-22T10:52:49.000Z');
  assert.equal(new Date(leaf.notAfter).toISOString(), '2026-11-22T11:02:49.000Z');
  assert.deepEqual(
    hexOfBytes(leaf.spki),
    known.publicKey.export({ type: 'spki', format: 'der' }).toString('hex'),
  );
  assert.deepEqual(leaf.extensions.names, {
    emails: ['alice@example.com'],
    dnsNames: [],
    uris: [],
    addresses: [],
  });
  assert.deepEqual(leaf.extensions.extendedKeyUsage, ['1.3.6.1.5.5.7.3.3']);
  assert.equal(leaf.extensions.maySignCertificates, false);
  assert.equal(fulcioIssuerOf(leaf.extensions), 'http://127.0.0.1:5557');
  assert.deepEqual(root.extensions.basicConstraints, { isAuthority: true, pathLength: 1 });
  assert.equal(root.extensions.maySignCertificates, true);
});

test('the chain holds while both are valid, to the second', () => {
  const at = (time: number): boolean => verifyChain(leaf, { roots, intermediates: [] }, { at: time }).ok;
  assert.equal(at(during), true);
  assert.equal(at(leaf.notBefore), true);
  assert.equal(at(leaf.notBefore - 1), false);
  assert.equal(at(leaf.notAfter), true);
  assert.equal(at(leaf.notAfter + 1), false);
  assert.equal(at(Number.NaN), false);
  assert.equal(verifyChain(leaf, { roots: [], intermediates: roots }, { at: during }).ok, false);
});

test('a certificate with any bit changed is refused, never anything but refused', () => {
  fc.assert(
    fc.property(fc.nat(leaf.der.length * 8 - 1), (bit) => {
      const der = Uint8Array.from(leaf.der);
      der[bit >> 3] = (der[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        assert.equal(
          verifyChain(parseCertificate(der), { roots, intermediates: [] }, { at: during }).ok,
          false,
        );
      } catch (error) {
        assert.ok(isBullaError(error, 'signature.certificate-invalid'), String(error));
      }
    }),
    { numRuns: 1500 },
  );
});

test('a certificate that was cut, or has something behind it, cannot be read', () => {
  for (let length = 0; length < leaf.der.length; length += 7) {
    assert.throws(
      () => parseCertificate(leaf.der.subarray(0, length)),
      (error) => isBullaError(error, 'signature.certificate-invalid'),
    );
  }
  assert.throws(() => parseCertificate(Buffer.concat([leaf.der, Buffer.of(0)])));
});

test('any bytes are a certificate or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.throws(
        () => parseCertificate(bytes),
        (error) => isBullaError(error, 'signature.certificate-invalid'),
      );
    }),
  );
});

test('lengths that DER does not allow', () => {
  const refused = ['3080', '308100', '30820001ff', '3084000000010500', '3f00', '3002ff'];
  for (const hex of refused) {
    assert.throws(
      () => onlyElement(Buffer.from(hex, 'hex'), 0x30),
      { code: 'signature.certificate-invalid' },
      hex,
    );
  }
  assert.equal(onlyElement(Buffer.from('3000', 'hex'), 0x30).content.length, 0);
});

function oidIn(hex: string): string {
  return oidOf(new DerReader(Buffer.from(hex, 'hex')).next());
}

test('object identifiers', () => {
  assert.equal(oidIn('06032a0304'), '1.2.3.4');
  assert.equal(oidIn('060a2b0601040183bf300101'), '1.3.6.1.4.1.57264.1.1');
  assert.equal(oidIn('0603883703'), '2.999.3');
  for (const hex of ['0600', '06022a80', '06032a8001', '060c2a8fffffffffffffffffff7f']) {
    assert.throws(() => oidIn(hex), { code: 'signature.certificate-invalid' }, hex);
  }
});

function timeIn(tag: number, text: string): number {
  return timeOf({ tag, content: utf8(text), whole: Buffer.of() });
}

test('times have one form', () => {
  assert.equal(timeIn(0x17, '491231235959Z'), Date.parse('2049-12-31T23:59:59Z'));
  assert.equal(timeIn(0x17, '500101000000Z'), Date.parse('1950-01-01T00:00:00Z'));
  assert.equal(timeIn(0x18, '20500101000000Z'), Date.parse('2050-01-01T00:00:00Z'));
  for (const text of ['260229000000Z', '261122240000Z', '2611221055Z', '261122105249+0100', '261122105249']) {
    assert.throws(() => timeIn(0x17, text), { code: 'signature.certificate-invalid' }, text);
  }
  assert.throws(() => timeIn(0x04, '261122105249Z'));
});

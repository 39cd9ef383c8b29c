import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { parseCertificate } from '../keys/certificates/certificate.ts';
import { parseTrustedRoots } from '../keys/trusted-root/parse.ts';
import type { TransparencyLog } from '../keys/trusted-root/trusted-root.ts';
import {
  forgeInstance,
  issueLeaf,
  type LeafPlan,
  type PromisePlan,
  trustedRootBytes,
} from '../../test/support/bundle-forge.ts';
import { leafOf, sampleBundle, sampleRoot } from '../../test/support/bundle-samples.ts';
import { ecKey, extension, rsaKey, spkiOf } from '../../test/support/sigstore-forge.ts';
import { verifySct } from './sct.ts';

const instance = forgeInstance();
const [root] = parseTrustedRoots(trustedRootBytes(instance), 'root');
const logs = root?.certificateLogs ?? [];
const issuer = parseCertificate(instance.certificates.middle);
const time = instance.time * 1000;

function codeOf(plan: LeafPlan, trusted: readonly TransparencyLog[] = logs, by = issuer): string {
  const result = verifySct(parseCertificate(issueLeaf(instance, plan).der), by, trusted);
  return result.ok ? 'ok' : result.code;
}

function promised(...promises: readonly PromisePlan[]): string {
  return codeOf({ promises });
}

test('certificates of a real Fulcio with a real certificate log', () => {
  const real = sampleRoot();
  const [middle] = real.certificateAuthorities[0]?.chain ?? [];
  assert.ok(middle);
  for (const name of ['blob keyless-rekor1', 'image k-gha', 'image k-v2', 'sigstore-js rekor2+tsa']) {
    const leaf = leafOf(sampleBundle(name));
    assert.deepEqual(leaf && verifySct(leaf, middle, real.certificateLogs), { ok: true }, name);
  }
  const without = leafOf(sampleBundle('no sct'));
  const result = without && verifySct(without, middle, real.certificateLogs);
  assert.equal(result?.ok === false && result.code, 'signature.sct-missing');
});

test('one good promise of a log that is trusted is enough', () => {
  assert.equal(promised({}), 'ok');
  assert.equal(promised({ key: ecKey() }, {}), 'ok');
  assert.equal(promised({ version: 1 }, {}), 'ok');
  assert.equal(promised({ extensions: utf8('abc') }), 'ok');
  assert.equal(promised(), 'signature.sct-missing');
  assert.equal(promised({ key: ecKey() }), 'signature.sct-invalid');
  assert.equal(promised({ version: 1 }), 'signature.sct-invalid');
  assert.equal(promised({ issuer: spkiOf(ecKey()) }), 'signature.sct-invalid');
  assert.equal(codeOf({}, []), 'signature.sct-invalid');
  assert.equal(codeOf({}, logs, parseCertificate(instance.certificates.root)), 'signature.sct-invalid');
});

test('more extensions, before and behind the list', () => {
  assert.equal(codeOf({ more: [extension('1.2.3.4', new Uint8Array(300))] }), 'ok');
});

test("the log's validity at the time of its promise, both ends inclusive", () => {
  const within = (validFor: TransparencyLog['validFor']): string =>
    codeOf(
      {},
      logs.map((log) => ({ ...log, validFor })),
    );
  assert.equal(within({ start: time, end: time }), 'ok');
  assert.equal(within({ start: time + 1 }), 'signature.sct-invalid');
  assert.equal(within({ start: 0, end: time - 1 }), 'signature.sct-invalid');
  assert.equal(within({ start: Number.NaN }), 'signature.sct-invalid');
});

test('an RSA key cannot sign as ECDSA', () => {
  assert.equal(promised({ key: rsaKey() }), 'signature.sct-invalid');
});

test('too many promises', () => {
  assert.equal(promised(...Array.from({ length: 17 }, () => ({}))), 'signature.sct-invalid');
});

test('another certificate with the same promises, bit by bit', () => {
  const { der } = issueLeaf(instance);
  fc.assert(
    fc.property(fc.nat(der.length * 8 - 1), (bit) => {
      const copy = Uint8Array.from(der);
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      let leaf;
      try {
        leaf = parseCertificate(copy);
      } catch (error) {
        assert.ok(isBullaError(error), String(error));
        return;
      }
      // the signature of the whole certificate is another one's to check
      const isInSignedPart = Buffer.compare(leaf.signedPart, parseCertificate(der).signedPart) !== 0;
      assert.equal(verifySct(leaf, issuer, logs).ok, !isInSignedPart);
    }),
    { numRuns: 600 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { decodePem } from '../keys/sigstore/pem.ts';
import { parseSigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { type AttachmentName, sampleParts, samples } from '../../test/support/sigstore-samples.ts';
import { parseRekorKey, type RekorResult, verifyRekorSet } from './rekor-set.ts';

const rekor = parseRekorKey(utf8(samples.keys.rekor));
const peersRekor = parseRekorKey(utf8(samples.keys.peersRekor));
const [cosignKey, skKey] = [samples.keys.cosign, samples.keys.sk].map(
  (pem) => parseSigstorePublicKey(utf8(pem)).spki,
);

/** The signer's certificate where there is one, else `key`. */
function verified(
  name: AttachmentName,
  key: Uint8Array = Buffer.of(),
  changes: { text?: string; payload?: Uint8Array; signature?: Uint8Array } = {},
  keys = [rekor, peersRekor],
): RekorResult {
  const { certificate, logEntry, ...parts } = sampleParts(name);
  const { text = logEntry, payload = parts.payload, signature = parts.signature } = changes;
  const [block] = decodePem(utf8(certificate));
  return verifyRekorSet(text, { payload, signature, signers: [block?.bytes ?? key] }, keys);
}

function accepted(result: RekorResult): boolean {
  if (!result.ok) assert.equal(result.code, 'signature.log-entry-invalid');
  return result.ok;
}

test('real entries, for a key and for a certificate, by skopeo and by cosign', () => {
  assert.deepEqual(verified('skopeo key rekor', cosignKey), {
    ok: true,
    integratedTime: 1_795_345_762,
    signer: 0,
  });
  for (const name of [
    'skopeo fulcio rekor',
    'cosign fulcio rekor',
    'skopeo fulcio rekor one level',
  ] as const) {
    assert.ok(accepted(verified(name)), name);
  }
  assert.ok(accepted(verified('cosign key rekor', cosignKey)));
  assert.ok(accepted(verified('skopeo key rekor one level', skKey)));
});

test('another log, another signer, another payload, another signature', () => {
  assert.equal(accepted(verified('skopeo key rekor', cosignKey, {}, [peersRekor])), false);
  assert.equal(accepted(verified('skopeo key rekor', cosignKey, {}, [])), false);
  assert.equal(accepted(verified('skopeo key rekor', skKey)), false);
  const { payload, signature, logEntry: text } = sampleParts('cosign key rekor');
  assert.equal(accepted(verified('skopeo key rekor', cosignKey, { payload })), false);
  assert.equal(accepted(verified('skopeo key rekor', cosignKey, { signature })), false);
  assert.equal(accepted(verified('skopeo key rekor', cosignKey, { text })), false);
});

test('which of several signers was logged', () => {
  const { payload, signature, logEntry } = sampleParts('skopeo key rekor');
  const signers = [skKey, cosignKey].filter((each) => each !== undefined);
  const result = verifyRekorSet(logEntry, { payload, signature, signers }, [rekor]);
  assert.equal(result.ok && result.signer, 1);
});

test('a Rekor key is an ECDSA key', () => {
  assert.throws(
    () => parseRekorKey(utf8(samples.keys.rekor2)),
    (error) => isBullaError(error, 'key.unusable'),
  );
});

test('a damaged entry is refused, never accepted, never anything else', () => {
  const { logEntry: text } = sampleParts('skopeo fulcio rekor');
  const meaning = JSON.stringify(JSON.parse(text));
  const character = fc.constantFrom(
    '{',
    '}',
    '"',
    ',',
    ':',
    '0',
    '9',
    'a',
    'A',
    '=',
    '\\',
    ' ',
    '\u0000',
    'é',
  );
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.nat(3), fc.array(character, { maxLength: 3 }), (at, cut, put) => {
      const damaged = `${text.slice(0, at)}${put.join('')}${text.slice(at + cut)}`;
      if (!accepted(verified('skopeo fulcio rekor', undefined, { text: damaged }))) return;
      // only another spelling of the same entry, or bits of base64 that mean nothing
      assert.equal(JSON.stringify(JSON.parse(damaged)).length, meaning.length);
    }),
    { numRuns: 300 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { predicateTypeOf } from './predicate-types.ts';

test('cosign’s names, of which slsaprovenance is version 0.2', () => {
  assert.equal(predicateTypeOf('slsaprovenance'), 'https://slsa.dev/provenance/v0.2');
  assert.equal(predicateTypeOf('slsaprovenance1'), 'https://slsa.dev/provenance/v1');
  assert.equal(predicateTypeOf('custom'), 'https://cosign.sigstore.dev/attestation/v1');
});

test('a URI stands for itself, anything else for nothing', () => {
  assert.equal(predicateTypeOf('https://example.com/p'), 'https://example.com/p');
  assert.equal(predicateTypeOf('urn:x:y'), 'urn:x:y');
  for (const text of [
    '',
    'sdpx',
    'example.com/p',
    'https:',
    'https://a b',
    ':x',
    'constructor',
    '__proto__',
  ]) {
    assert.throws(() => predicateTypeOf(text), { code: 'usage.invalid' }, text);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from './bytes.ts';
import { algorithmOf, digestOf, hasDigest, hexOf, parseDigest, tryParseDigest } from './digest.ts';
import { isBullaError } from './errors.ts';

test('the digest of the empty JSON object is the well-known one', () => {
  const digest = digestOf(utf8('{}'));
  assert.equal(digest, 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a');
  assert.equal(algorithmOf(digest), 'sha256');
  assert.equal(hexOf(digest), digest.slice('sha256:'.length));
  assert.equal(hasDigest(utf8('{}'), digest), true);
  assert.equal(hasDigest(utf8('{ }'), digest), false);
});

test('sha512 digests are judged by their own algorithm', () => {
  const digest = digestOf(utf8('x'), 'sha512');
  assert.equal(digest.length, 'sha512:'.length + 128);
  assert.equal(hasDigest(utf8('x'), digest), true);
});

test('malformed digests are refused', () => {
  for (const text of [
    '',
    'sha256:',
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'A'.repeat(64)}`,
    `sha1:${'a'.repeat(40)}`,
    `sha512:${'a'.repeat(64)}`,
    ` sha256:${'a'.repeat(64)}`,
  ]) {
    assert.equal(tryParseDigest(text), undefined);
    assert.throws(
      () => parseDigest(text),
      (error) => isBullaError(error, 'digest.malformed'),
    );
  }
});

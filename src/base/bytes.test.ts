import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import {
  bytesEqual,
  concatBytes,
  decodeBase64,
  encodeBase64,
  hexOfBytes,
  printable,
  textOf,
  utf8,
} from './bytes.ts';

test('base64 round trip', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const decoded = decodeBase64(encodeBase64(bytes));
      assert.ok(decoded !== undefined && bytesEqual(decoded, bytes));
    }),
  );
});

test('base64 refuses what Go refuses, skips line ends as Go does', () => {
  for (const text of ['YQ', 'YQ=', 'YQ==x', 'Y Q==', 'YQ-_', '====', 'YWJj=', 'Y'])
    assert.equal(decodeBase64(text), undefined, text);
  assert.deepEqual(decodeBase64('YW\r\nJj\n'), utf8('abc'));
  assert.deepEqual(decodeBase64(''), new Uint8Array());
});

test('text of bytes is strict UTF-8', () => {
  assert.equal(textOf(Uint8Array.of(0xff)), undefined);
  assert.equal(textOf(utf8('é')), 'é');
  assert.equal(textOf(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), '\ufeffa');
});

test('what is shown cannot steer a terminal', () => {
  assert.equal(printable('a\u001b[31m\n\u202eb'), 'a\\u001b[31m\\u000a\\u202eb');
  assert.equal(printable('x'.repeat(300)).length, 201);
});

test('small ones', () => {
  assert.equal(hexOfBytes(concatBytes(Uint8Array.of(1), Uint8Array.of(255))), '01ff');
  assert.equal(bytesEqual(Uint8Array.of(1), Uint8Array.of(1, 2)), false);
});

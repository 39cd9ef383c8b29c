import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { utf8 } from '../base/bytes.ts';
import { limits } from '../base/limits.ts';
import { encodeSignatureBlob, parseSignatureBlob } from './blob.ts';
import type { Signature } from './signature.ts';

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isBullaError(error, code);
}

// containers/image's list, its slip 0x3D for 0x93 included
const simpleStarts = [
  0xa0, 0xa1, 0xa2, 0xa3, 0xc8, 0x90, 0x91, 0x92, 0x3d, 0xc4, 0x88, 0x89, 0x8a, 0x8b, 0xc2,
];

test('the first byte decides', () => {
  for (let first = 1; first < 256; first += 1) {
    const bytes = Uint8Array.of(first, 1, 2);
    if (simpleStarts.includes(first))
      assert.deepEqual(parseSignatureBlob(bytes), { format: 'simple', blob: bytes });
    else assert.throws(() => parseSignatureBlob(bytes), refused('signature.unrecognized'));
  }
  assert.throws(() => parseSignatureBlob(new Uint8Array(0)), refused('signature.empty'));
  const large = new Uint8Array(limits.signatureBytes + 1).fill(0xc4);
  assert.throws(() => parseSignatureBlob(large), refused('signature.too-large'));
  assert.equal(parseSignatureBlob(large.subarray(1)).format, 'simple');
});

test('a typed blob names its format', () => {
  assert.deepEqual(parseSignatureBlob(utf8('\0simple-signing\nabc')), {
    format: 'simple',
    blob: utf8('abc'),
  });
  for (const text of [
    '\0',
    '\0\nabc',
    '\0sigstore-json',
    '\0other\nabc',
    '\0simple-signing\r\nabc',
    '\0 simple-signing\nabc',
    '\0é\nabc',
  ]) {
    assert.throws(() => parseSignatureBlob(utf8(text)), refused('signature.unrecognized'), text);
  }
});

const cosign = (json: string): Signature => parseSignatureBlob(utf8(`\0sigstore-json\n${json}`));

test('a sigstore blob is read as Go reads it', () => {
  assert.deepEqual(cosign('{"mimeType":"a/b","payload":"YWJj","annotations":{"k":"v"}}'), {
    format: 'cosign',
    mediaType: 'a/b',
    payload: utf8('abc'),
    annotations: { k: 'v' },
  });
  const empty = { format: 'cosign', mediaType: '', payload: new Uint8Array(0), annotations: {} };
  assert.deepEqual(cosign('{}'), empty);
  assert.deepEqual(cosign('{"mimeType":null,"payload":null,"annotations":null,"more":1}\n'), empty);
  assert.deepEqual(cosign('{"MIMETYPE":"x","mimeType":"a/b"}'), { ...empty, mediaType: 'a/b' });
  for (const json of [
    '',
    'null',
    '[]',
    '{',
    '{} x',
    '{"payload":"_-8="}',
    '{"payload":1}',
    '{"annotations":[]}',
    '{"annotations":{"k":1}}',
    '{"mimeType":{}}',
  ]) {
    assert.throws(() => cosign(json), refused('signature.malformed'), json);
  }
});

test('what is written is read back', () => {
  const simple = fc
    .tuple(fc.constantFrom(...simpleStarts), fc.uint8Array())
    .map(([first, rest]): Signature => ({ format: 'simple', blob: Uint8Array.of(first, ...rest) }));
  const text = fc.string({ unit: 'grapheme' });
  const annotations = fc.dictionary(text, text, { noNullPrototype: true });
  const attachment = fc
    .tuple(text, fc.uint8Array(), annotations)
    .map(([mediaType, payload, of]): Signature => ({
      format: 'cosign',
      mediaType,
      payload,
      annotations: of,
    }));
  fc.assert(
    fc.property(fc.oneof(simple, attachment), (signature) => {
      assert.deepEqual(parseSignatureBlob(encodeSignatureBlob(signature)), signature);
    }),
  );
});

test('a sigstore blob is written as Go writes it', () => {
  const bytes = encodeSignatureBlob({
    format: 'cosign',
    mediaType: 'a/b',
    payload: utf8('abc'),
    annotations: { b: '<', a: '1' },
  });
  assert.equal(
    Buffer.from(bytes).toString(),
    '\0sigstore-json\n{"mimeType":"a/b","payload":"YWJj","annotations":{"a":"1","b":"\\u003c"}}',
  );
});

function encodeSimple(...bytes: number[]): Uint8Array {
  return encodeSignatureBlob({ format: 'simple', blob: Uint8Array.from(bytes) });
}

test('what no reader would take for a simple signature is not written', () => {
  assert.throws(() => encodeSimple(), refused('signature.empty'));
  assert.throws(() => encodeSimple(0x2d), refused('signature.unrecognized'));
  assert.throws(() => encodeSimple(0x93, 1), refused('signature.unrecognized'));
  assert.throws(() => encodeSimple(...utf8('\0sigstore-json\n{}')), refused('signature.unrecognized'));
  assert.throws(() => encodeSimple(...utf8('\0simple-signing\nabc')), refused('signature.unrecognized'));
});

test('random bytes give a signature or one of the codes', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.boolean(), (bytes, typed) => {
      try {
        parseSignatureBlob(typed ? Uint8Array.of(0, ...bytes) : bytes);
      } catch (error) {
        assert.ok(isBullaError(error) && error.code.startsWith('signature.'));
      }
    }),
  );
});

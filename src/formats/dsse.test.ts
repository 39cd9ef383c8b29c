import assert from 'node:assert/strict';
import { test } from 'node:test';

import { textOf, utf8 } from '../base/bytes.ts';
import { bundleSamples } from '../../test/support/bundle-samples.ts';
import { encodeDsse, inTotoPayloadType, paeOf, parseEnvelope } from './dsse.ts';

test('the example of the DSSE specification', () => {
  const pae = paeOf('http://example.com/HelloWorld', utf8('hello world'));
  assert.equal(textOf(pae), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world');
  assert.equal(textOf(paeOf('é', utf8('ü'))), 'DSSEv1 2 é 2 ü');
});

test("an attestation of cosign's", () => {
  const envelope = parseEnvelope(utf8(bundleSamples.attestation.envelope));
  assert.equal(envelope.payloadType, inTotoPayloadType);
  assert.match(textOf(envelope.payload) ?? '', /^\{"_type":"https:\/\/in-toto\.io\/Statement\/v0\.1"/);
  assert.deepEqual(parseEnvelope(encodeDsse(envelope)), envelope);
});

test('one signature, no more and no less', () => {
  const { signatures, ...rest } = JSON.parse(bundleSamples.attestation.envelope) as { signatures: object[] };
  const parse = (list: unknown): unknown =>
    parseEnvelope(utf8(JSON.stringify({ ...rest, signatures: list })));
  assert.throws(() => parse([...signatures, ...signatures]), { code: 'signature.unsupported' });
  for (const list of [
    [],
    null,
    {},
    [{}],
    [{ sig: '' }],
    [{ sig: 'AAA' }],
    [{ sig: 'AAAA', more: 1 }],
    [null],
  ]) {
    assert.throws(() => parse(list), { code: 'signature.malformed' }, JSON.stringify(list));
  }
  assert.throws(() => parseEnvelope(new Uint8Array(17_000_000)), { code: 'signature.too-large' });
});

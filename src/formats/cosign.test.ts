import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { encodeBase64, utf8 } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { sampleAttachment, sampleDigest, withAnnotations } from '../../test/support/sigstore-samples.ts';
import { encodeSignatureBlob, parseSignatureBlob } from './blob.ts';
import {
  cosignAnnotations,
  cosignAttachment,
  encodeCosignPayload,
  parseCosignPayload,
  signatureOf,
} from './cosign.ts';
import { readUntrustedCosign } from './cosign-untrusted.ts';
import { encodeSimpleSigning, parseSimpleSigning } from './simple-signing.ts';

const manifestDigest = sampleDigest('peers');
const dockerReference = '127.0.0.1:5000/s1:v1';

function refused(code: Parameters<typeof isBullaError>[1]): (error: unknown) => boolean {
  return (error) => isBullaError(error, code);
}

test('a payload is written byte for byte as skopeo writes it', () => {
  const { payload } = sampleAttachment('skopeo key');
  const claim = parseCosignPayload(payload);
  assert.deepEqual(claim, {
    manifestDigest,
    dockerReference,
    creator: 'containers/image 5.39.1',
    timestamp: 1_795_344_741,
  });
  assert.deepEqual(encodeCosignPayload(claim), payload);
});

test('a payload of cosign has null where skopeo has an object', () => {
  const { payload } = sampleAttachment('cosign 2.5 key');
  assert.match(Buffer.from(payload).toString(), /"optional":null\}$/);
  assert.deepEqual(parseCosignPayload(payload), { manifestDigest, dockerReference: '127.0.0.1:5000/c2' });
});

test('null is for cosign alone; neither payload is taken for the other', () => {
  const claim = { manifestDigest, dockerReference };
  const simple = Buffer.from(encodeSimpleSigning(claim)).toString();
  assert.throws(
    () => parseSimpleSigning(utf8(simple.replace('"optional":{}', '"optional":null'))),
    refused('signature.payload-malformed'),
  );
  assert.throws(() => parseSimpleSigning(encodeCosignPayload(claim)), refused('signature.wrong-type'));
  assert.throws(() => parseCosignPayload(utf8(simple)), refused('signature.wrong-type'));
});

test('an empty claim is not written', () => {
  assert.throws(() => encodeCosignPayload({ manifestDigest, dockerReference: '' }), refused('usage.invalid'));
});

test('an attachment that is made is read back, through a dir: blob too', () => {
  const [payload, signature] = [
    encodeCosignPayload({ manifestDigest, dockerReference }),
    Buffer.from('signature'),
  ];
  const made = cosignAttachment(payload, signature, { certificate: 'c', chain: 'd', bundle: 'e' });
  assert.deepEqual(made.annotations, {
    'dev.cosignproject.cosign/signature': 'c2lnbmF0dXJl',
    'dev.sigstore.cosign/certificate': 'c',
    'dev.sigstore.cosign/chain': 'd',
    'dev.sigstore.cosign/bundle': 'e',
  });
  assert.deepEqual(Buffer.from(signatureOf(made)), signature);
  const read = parseSignatureBlob(encodeSignatureBlob(made));
  assert.deepEqual(read, made);
});

test('a signature has one spelling', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 80 }),
      fc.string({ maxLength: 4 }),
      fc.nat(),
      (bytes, extra, at) => {
        const attachment = cosignAttachment(new Uint8Array(), bytes);
        assert.deepEqual(Buffer.from(signatureOf(attachment)), Buffer.from(bytes));
        const text = encodeBase64(bytes);
        const place = at % (text.length + 1);
        const changed = `${text.slice(0, place)}${extra}${text.slice(place)}`;
        const other = withAnnotations(attachment, { [cosignAnnotations.signature]: changed });
        try {
          assert.equal(encodeBase64(signatureOf(other)), changed);
        } catch (error) {
          assert.ok(isBullaError(error, 'signature.malformed'));
        }
      },
    ),
  );
  for (const text of [undefined, '', 'AA', 'AB==', 'AA==\n', 'A_A=', 'AAA=AAA=']) {
    const attachment = withAnnotations(cosignAttachment(new Uint8Array(), Buffer.of(1)), {
      [cosignAnnotations.signature]: text,
    });
    assert.throws(() => signatureOf(attachment), refused('signature.malformed'));
  }
});

test('what an attachment says of itself', () => {
  const shown = readUntrustedCosign(sampleAttachment('skopeo fulcio rekor one level'));
  assert.deepEqual(
    [shown.subjects, shown.issuer, shown.hasCertificate, shown.hasLogEntry, shown.claim?.dockerReference],
    [['alice@example.com'], 'http://127.0.0.1:5557', true, true, '127.0.0.1:5000/kf:v1'],
  );
  const garbage = { ...cosignAttachment(utf8('garbage'), Buffer.of(1), { certificate: 'garbage' }) };
  assert.deepEqual(readUntrustedCosign(garbage), { hasCertificate: true, hasLogEntry: false });
});

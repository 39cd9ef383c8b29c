import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';

import {
  altNames,
  attach,
  certificate,
  certificatePem,
  ecKey,
  issuerText,
} from '../../../test/support/sigstore-forge.ts';
import { utf8 } from '../../base/bytes.ts';
import { digestOf } from '../../base/digest.ts';
import { cosignAttachment, encodeCosignPayload } from '../../formats/cosign.ts';
import type { Signature } from '../../formats/signature.ts';
import { seenSignature } from './signature.ts';

const manifestDigest = digestOf(utf8('an image'));
const dockerReference = 'h.example/a:1';

function seen(signature: Signature): ReturnType<typeof seenSignature> {
  return seenSignature({ signature, location: 'here' }, undefined);
}

test('an attachment: the claim, and which proofs are there, all of it untrusted', () => {
  const key = ecKey();
  const names = [altNames([[1, 'alice@example.com']]), issuerText('https://issuer.example.com')];
  const leaf = certificate({ key, from: 1_700_000_000, to: 1_900_000_000, extensions: names });
  const payload = encodeCosignPayload({ manifestDigest, dockerReference, creator: 'c 1', timestamp: 86_400 });
  deepEqual(seen(attach(payload, key, { certificate: certificatePem(leaf), bundle: '{}' })), {
    format: 'cosign',
    store: 'here',
    untrusted: {
      keyIds: [],
      created: '1970-01-02T00:00:00.000Z',
      identity: dockerReference,
      digest: manifestDigest,
      creator: 'c 1',
      certificate: { subjects: ['alice@example.com'], issuer: 'https://issuer.example.com' },
      logEntry: true,
    },
  });
});

test('a time that no calendar has, a certificate that cannot be read, an attestation, garbage', () => {
  const far = encodeCosignPayload({ manifestDigest, dockerReference, timestamp: Number.MAX_SAFE_INTEGER });
  equal(seen(cosignAttachment(far, utf8('s'))).untrusted.created, undefined);
  const broken = cosignAttachment(utf8('no JSON'), utf8('s'), { certificate: 'no PEM' });
  deepEqual(seen(broken).untrusted, { keyIds: [], certificate: { subjects: [] } });
  const attestation = { ...broken, mediaType: 'application/vnd.dsse.envelope.v1+json', annotations: {} };
  deepEqual(seen(attestation).untrusted, { keyIds: [], mediaType: attestation.mediaType });
});

/** Annotations that skopeo and cosign wrote, taken apart and written again, are read as before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type AttachmentName, sampleAttachment } from '../../test/support/sigstore-samples.ts';
import { readCertificates } from '../keys/certificates/pem.ts';
import { parseAnnotatedEntry } from '../witnesses/log-entry-verify.ts';
import { encodeProof } from './cosign-proof.ts';
import { cosignAnnotations as names } from './cosign.ts';

const samples: readonly AttachmentName[] = ['skopeo fulcio rekor', 'cosign fulcio rekor'];

for (const name of samples) {
  test(`${name}: certificate, chain and log entry`, () => {
    const { annotations } = sampleAttachment(name);
    const [leaf = '', chain = '', bundle = ''] = [names.certificate, names.chain, names.bundle].map(
      (each) => annotations[each] ?? '',
    );
    const [first, ...others] = readCertificates(leaf + chain).map(({ der }) => der);
    assert.ok(first !== undefined);
    const proof = encodeProof({ certificates: [first, ...others], logEntry: parseAnnotatedEntry(bundle) });
    assert.equal(proof.certificate, leaf);
    // skopeo leaves the last line without its end
    assert.equal(proof.chain?.trimEnd(), chain.trimEnd());
    assert.deepEqual(JSON.parse(proof.bundle ?? ''), JSON.parse(bundle));
  });
}

test('an entry of a Rekor v2 has no place in an attachment', () => {
  const entry = { logIndex: 1n, logId: new Uint8Array(32), kind: 'hashedrekord', version: '0.0.2' };
  assert.throws(() => encodeProof({ logEntry: { ...entry, body: new Uint8Array(1) } }), {
    code: 'usage.unsupported',
  });
});

test('numbers keep all their digits', () => {
  const logEntry = {
    ...{
      logIndex: 9_007_199_254_740_993n,
      logId: new Uint8Array(32),
      kind: 'hashedrekord',
      version: '0.0.1',
    },
    ...{ integratedTime: 1_795_345_761n, signedEntryTimestamp: new Uint8Array(8), body: new Uint8Array(1) },
  };
  assert.match(encodeProof({ logEntry }).bundle ?? '', /"logIndex":9007199254740993,/);
});

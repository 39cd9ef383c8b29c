import assert from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { parseReference } from '../base/reference.ts';
import { cosignAnnotations, type CosignSignature } from '../formats/cosign.ts';
import { parseSigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { parseRekorKey } from '../witnesses/rekor-set.ts';
import {
  type AttachmentName,
  sampleAttachment,
  sampleDigest,
  samples,
  withAnnotations,
} from '../../test/support/sigstore-samples.ts';
import { evaluateKeys, type GivenKeys, rulesOf } from './given-keys.ts';
import { dockerScopes } from './scopes.ts';
import type { SignatureVerdict, StoredLike } from './verdict.ts';

const now = new Date();
const [cosign, sk, c2] = [samples.keys.cosign, samples.keys.sk, samples.keys.c2].map((pem) =>
  parseSigstorePublicKey(utf8(pem)),
) as [GivenKey, GivenKey, GivenKey];
type GivenKey = ReturnType<typeof parseSigstorePublicKey>;
const rekor = parseRekorKey(utf8(samples.keys.rekor));
const otherLog = parseRekorKey(utf8(samples.keys.peersRekor));

async function judged(
  keys: GivenKeys,
  name: string,
  ...signatures: readonly (AttachmentName | StoredLike['signature'])[]
): Promise<readonly SignatureVerdict[]> {
  const dockerReference = parseReference(name);
  const subject = {
    transport: 'docker',
    ...dockerScopes(dockerReference),
    dockerReference,
    manifestDigest: sampleDigest(name.includes('19020') ? 'sigstack' : 'peers'),
    async *signatures() {
      for (const each of signatures) {
        yield { signature: typeof each === 'string' ? sampleAttachment(each) : each, location: 'there' };
      }
    },
  };
  const verdict = await evaluateKeys(keys, subject, now);
  assert.equal(verdict.scope, null);
  const [requirement] = verdict.requirements;
  assert.equal(
    verdict.accepted,
    requirement?.signatures.some(({ accepted }) => accepted),
  );
  assert.equal(requirement?.type, 'sigstoreSigned');
  return requirement?.signatures ?? [];
}

async function codeOf(...given: Parameters<typeof judged>): Promise<string | undefined> {
  return (await judged(...given)).at(-1)?.code;
}

const keyRekor = '127.0.0.1:19020/sk-key:v1';

test('the key and the name decide; a log entry without a key for it is named as not checked', async () => {
  const [verdict] = await judged({ sigstore: [c2, cosign] }, keyRekor, 'skopeo key rekor');
  assert.equal(verdict?.code, 'accepted');
  assert.equal(verdict?.key, cosign.keyId);
  assert.equal(verdict?.identity, keyRekor);
  assert.equal(verdict?.reference, keyRekor);
  assert.match(verdict?.message ?? '', /its log entry is not checked/);
  const [refused] = await judged({ sigstore: [c2] }, keyRekor, 'skopeo key rekor');
  assert.equal(refused?.code, 'signature.invalid');
  assert.deepEqual([refused?.key, refused?.identity, refused?.reference], [undefined, undefined, undefined]);
  assert.notEqual(refused?.untrusted, undefined);
  const other = { sigstore: [cosign] };
  assert.equal(
    await codeOf(other, '127.0.0.1:19020/sk-key:v2', 'skopeo key rekor'),
    'signature.wrong-identity',
  );
  assert.equal(await codeOf(other, '127.0.0.1:5000/sk-key:v1', 'skopeo key rekor'), 'signature.wrong-digest');
});

test('a signature that names a repository only, as cosign makes it, is good for its tags alone', async () => {
  const keys = { sigstore: [c2] };
  assert.equal(await codeOf(keys, '127.0.0.1:5000/c2:any', 'cosign 2.5 key'), 'accepted');
  assert.equal(await codeOf(keys, '127.0.0.1:5000/other:any', 'cosign 2.5 key'), 'signature.wrong-identity');
});

test('with a key of the log an entry that is there must hold, and may be demanded', async () => {
  const given = { sigstore: [cosign], rekorKeys: [rekor] };
  assert.equal(await codeOf(given, keyRekor, 'skopeo key rekor'), 'accepted');
  const wrong = { ...given, rekorKeys: [otherLog] };
  assert.equal(await codeOf(wrong, keyRekor, 'skopeo key rekor'), 'signature.log-entry-invalid');
  const bare: CosignSignature = withAnnotations(sampleAttachment('skopeo key rekor'), {
    [cosignAnnotations.bundle]: undefined,
  });
  assert.equal(await codeOf(given, keyRekor, bare), 'accepted');
  assert.equal(await codeOf({ ...given, requireLog: true }, keyRekor, bare), 'signature.log-entry-missing');
  assert.equal(await codeOf({ ...given, requireLog: true }, keyRekor, 'skopeo key rekor'), 'accepted');
  // demanded, but nobody could tell whether it holds
  const blind = { sigstore: [cosign], requireLog: true };
  assert.equal(await codeOf(blind, keyRekor, 'skopeo key rekor'), 'signature.log-entry-invalid');
});

test('a certificate never stands in for the key', async () => {
  const given = { sigstore: [sk, cosign, c2] };
  assert.equal(
    await codeOf(given, '127.0.0.1:5000/kf:v1', 'skopeo fulcio rekor one level'),
    'signature.invalid',
  );
});

test('what is no signature does not count, and reading ends with the first that is accepted', async () => {
  const unreadable = {
    format: 'unreadable',
    code: 'signature.unrecognized',
    message: 'no signature',
  } as const;
  const simple = { format: 'simple', blob: Buffer.of(0xa3) } as const;
  const other = { ...sampleAttachment('skopeo key'), mediaType: 'application/vnd.dsse.envelope.v1+json' };
  const verdicts = await judged(
    { sigstore: [sk] },
    '127.0.0.1:5000/s1:v1',
    unreadable,
    simple,
    other,
    'skopeo key',
    'cosign 2.5 key',
  );
  assert.deepEqual(
    verdicts.map(({ code }) => code),
    ['signature.unrecognized', 'signature.wrong-type', 'signature.wrong-type', 'accepted'],
  );
});

test('where a log is demanded by name, a root without logs counts for nothing', () => {
  const empty = {
    transparencyLogs: [],
    certificateAuthorities: [],
    timestampAuthorities: [],
    certificateLogs: [],
  };
  const text = { kind: 'exact', text: 'https://issuer.example.com' } as const;
  const given = { identity: { issuer: text }, roots: [empty] };
  const rootsOf = (keys: GivenKeys): number | undefined => rulesOf(keys, now)[0]?.roots.length;
  assert.equal(rootsOf(given), 1);
  assert.equal(rootsOf({ ...given, requireLog: true }), 0);
});

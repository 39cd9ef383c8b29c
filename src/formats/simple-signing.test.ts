import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import * as forge from '../../test/support/openpgp-forge.ts';
import { type Digest, digestOf } from '../base/digest.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { parseKeyring } from '../keys/openpgp/keyring.ts';
import {
  encodeSimpleSigning,
  parseSimpleSigning,
  readUntrustedSimpleSigning,
  type SimpleSigningClaim,
  verifySimpleSigning,
} from './simple-signing.ts';

const manifestDigest = digestOf(forge.utf8('{}'));
const claim = { manifestDigest, dockerReference: 'docker.io/library/busybox:latest' };

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isBullaError(error, code);
}

test('a payload is written as containers/image writes it', () => {
  const bytes = encodeSimpleSigning({ ...claim, creator: 'bulla 1.0', timestamp: 1_795_343_289 });
  assert.equal(
    Buffer.from(bytes).toString(),
    '{"critical":{"identity":{"docker-reference":"docker.io/library/busybox:latest"},' +
      `"image":{"docker-manifest-digest":"${manifestDigest}"},"type":"atomic container signature"},` +
      '"optional":{"creator":"bulla 1.0","timestamp":1795343289}}',
  );
  assert.match(Buffer.from(encodeSimpleSigning(claim)).toString(), /"optional":\{\}\}$/u);
});

test('what Go escapes is escaped', () => {
  const text = Buffer.from(encodeSimpleSigning({ ...claim, creator: '<a>&\u2028\u2029"\\\n' })).toString();
  assert.ok(text.includes(String.raw`"creator":"\u003ca\u003e\u0026\u2028\u2029\"\\\n"`));
});

test('an empty claim is not written', () => {
  assert.throws(() => encodeSimpleSigning({ ...claim, dockerReference: '' }), refused('usage.invalid'));
  assert.throws(
    () => encodeSimpleSigning({ ...claim, manifestDigest: '' as Digest }),
    refused('usage.invalid'),
  );
  assert.throws(() => encodeSimpleSigning({ ...claim, timestamp: 1.5 }), refused('usage.invalid'));
});

test('what is written is read back', () => {
  const claims = fc.record(
    {
      manifestDigest: fc.constant(manifestDigest),
      dockerReference: fc.string({ minLength: 1, unit: 'grapheme' }),
      creator: fc.string({ unit: 'grapheme' }),
      timestamp: fc.maxSafeInteger(),
    },
    { requiredKeys: ['manifestDigest', 'dockerReference'] },
  );
  fc.assert(
    fc.property(claims, (one) => {
      const written: SimpleSigningClaim = {
        ...one,
        ...(one.timestamp !== undefined && { timestamp: one.timestamp + 0 }),
      };
      assert.deepEqual(parseSimpleSigning(encodeSimpleSigning(written)), written);
    }),
  );
});

const image = `"image":{"docker-manifest-digest":"${manifestDigest}"}`;
const identity = '"identity":{"docker-reference":"example.com/a:1"}';
const type = '"type":"atomic container signature"';
const critical = `"critical":{${type},${image},${identity}}`;

function read(text: string): SimpleSigningClaim {
  return parseSimpleSigning(forge.utf8(text));
}

test('payloads that containers/image accepts are accepted', () => {
  const base = { manifestDigest, dockerReference: 'example.com/a:1' };
  assert.deepEqual(read(`{${critical},"optional":{}}`), base);
  assert.deepEqual(read(` {"optional" : {} ,\n${critical}}\r\n\t `), base);
  assert.deepEqual(read(`{${critical},"optional":{"other":{"a":1,"a":2},"list":[null]}}`), base);
  assert.deepEqual(read(`{${critical},"optional":{"creator":null,"timestamp":null}}`), {
    ...base,
    creator: '',
    timestamp: 0,
  });
  assert.equal(read(`{${critical},"optional":{"timestamp":1e3}}`).timestamp, 1000);
  assert.equal(read(`{${critical},"optional":{"timestamp":-12.0}}`).timestamp, -12);
  const noName = critical.replace('"example.com/a:1"', 'null');
  assert.equal(read(`{${noName},"optional":{}}`).dockerReference, '');
  // the name is for the policy to judge
  assert.equal(
    read(`{${critical.replace('example.com/a:1', 'UPPER//')},"optional":{}}`).dockerReference,
    'UPPER//',
  );
});

test('payloads that containers/image refuses are refused', () => {
  const payloads = [
    '',
    'null',
    '[]',
    '{}',
    `{${critical}}`,
    `{"optional":{}}`,
    `{${critical},"optional":null}`,
    `{${critical},"optional":[]}`,
    `{${critical},"optional":{},"extra":1}`,
    `{${critical},${critical},"optional":{}}`,
    `{${critical},"optional":{},"optional":{}}`,
    `{${critical},"optional":{}} x`,
    `{${critical},"optional":{}}{}`,
    `\ufeff{${critical},"optional":{}}`,
    `{"Critical":{${type},${image},${identity}},"optional":{}}`,
    `{"critical":{${type},${image}},"optional":{}}`,
    `{"critical":{${type},${image},${identity},"x":1},"optional":{}}`,
    `{"critical":{${type},${type},${image},${identity}},"optional":{}}`,
    `{"critical":{"type":1,${image},${identity}},"optional":{}}`,
    `{"critical":{${type},"image":{},${identity}},"optional":{}}`,
    `{"critical":{${type},"image":{"docker-manifest-digest":null},${identity}},"optional":{}}`,
    `{"critical":{${type},"image":{"docker-manifest-digest":"md5:00"},${identity}},"optional":{}}`,
    `{"critical":{${type},"image":{"docker-manifest-digest":"${manifestDigest.toUpperCase()}"},${identity}},"optional":{}}`,
    `{"critical":{${type},"image":{"docker-manifest-digest":"${manifestDigest}","x":1},${identity}},"optional":{}}`,
    `{"critical":{${type},${image},"identity":{"docker-reference":1}},"optional":{}}`,
    `{"critical":{${type},${image},"identity":"x"},"optional":{}}`,
    `{${critical},"optional":{"creator":1}}`,
    `{${critical},"optional":{"creator":"a","creator":"a"}}`,
    `{${critical},"optional":{"x":1,"x":1}}`,
    `{${critical},"optional":{"timestamp":"1"}}`,
    `{${critical},"optional":{"timestamp":1.5}}`,
    `{${critical},"optional":{"timestamp":1e999}}`,
    `{${critical},"optional":{"timestamp":9223372036854775808}}`,
    `{${critical},"optional":{"other":[{"x":-1e999}]}}`,
  ];
  for (const payload of payloads) {
    assert.throws(() => read(payload), refused('signature.payload-malformed'), payload);
  }
  assert.throws(
    () => parseSimpleSigning(forge.octets(0x7b, 0xff, 0x7d)),
    refused('signature.payload-malformed'),
  );
});

test('a signature of something else is of the wrong type', () => {
  for (const other of ['"type":"cosign container image signature"', '"type":null', '"type":""']) {
    assert.throws(
      () => read(`{"critical":{${other},${image},${identity}},"optional":{}}`),
      refused('signature.wrong-type'),
    );
  }
});

const key = forge.edKey();
const keyring = parseKeyring(forge.certificate(key));
const created = new Date((forge.startedAt - 100) * 1000);

test('a good signature gives its claim', () => {
  const blob = forge.message(key, encodeSimpleSigning(claim));
  const { fingerprint } = key.publicKey;
  assert.deepEqual(verifySimpleSigning(blob, keyring, new Date()), {
    ok: true,
    claim,
    fingerprint,
    signingFingerprint: fingerprint,
    created,
  });
  assert.deepEqual(readUntrustedSimpleSigning(blob), { keyIds: [fingerprint], created, claim });
});

test('the key is judged before the payload, and the payload before it is believed', () => {
  const stranger = forge.edKey();
  const byStranger = verifySimpleSigning(forge.message(stranger, forge.utf8('no json')), keyring, new Date());
  assert.deepEqual([byStranger.ok, !byStranger.ok && byStranger.code], [false, 'signature.unknown-key']);
  const claimed = verifySimpleSigning(
    forge.message(stranger, encodeSimpleSigning(claim)),
    keyring,
    new Date(),
  );
  assert.ok(!claimed.ok);
  assert.deepEqual(claimed.untrusted, { keyIds: [stranger.publicKey.fingerprint], created, claim });
  const malformed = verifySimpleSigning(forge.message(key, forge.utf8('no json')), keyring, new Date());
  assert.ok(!malformed.ok);
  assert.equal(malformed.code, 'signature.payload-malformed');
  assert.deepEqual(malformed.untrusted, { keyIds: [key.publicKey.fingerprint], created });
});

test('inspecting tells what is wrong', () => {
  assert.deepEqual(readUntrustedSimpleSigning(forge.utf8('<html>')).problem?.code, 'signature.malformed');
  const other = readUntrustedSimpleSigning(forge.message(key, forge.utf8('{}')));
  assert.equal(other.problem?.code, 'signature.payload-malformed');
  assert.deepEqual(other.keyIds, [key.publicKey.fingerprint]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { textOf, utf8 } from '../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { bundleSamples, sampleBundle, sampleJson } from '../../test/support/bundle-samples.ts';
import { encodeBundle, isBundleMediaType, parseBundle, parseLogEntry } from './bundle.ts';

/** A real bundle with every kind of member, keyless, with both witnesses. */
const sample = textOf(sampleJson('blob keyless-rekor1+tsa')) ?? '';

type Json = { [name: string]: unknown };

function refused(code: ErrorCode, json: Uint8Array, message?: string): void {
  assert.throws(
    () => parseBundle(json),
    (error) => isBullaError(error, code),
    message,
  );
}

/** A bundle with other values at some paths (`material`: verificationMaterial, `entry`: its first log entry); undefined takes away. */
function changed(changes: Json, text = sample): Uint8Array {
  const bundle = JSON.parse(text) as Json;
  for (const [path, value] of Object.entries(changes)) {
    const names = path
      .replace(/^entry\b/, 'material.tlogEntries.0')
      .replace(/^material\b/, 'verificationMaterial')
      .split('.');
    const last = names.pop() ?? '';
    const parent = names.reduce((object, name) => object[name] as Json, bundle);
    if (value === undefined) delete parent[last];
    else parent[last] = value;
  }
  return utf8(JSON.stringify(bundle));
}

/** What is at a path of the sample. */
function valueAt(path: string, text = sample): unknown {
  return path.split('.').reduce((value: unknown, name) => (value as Json)[name], JSON.parse(text) as Json);
}

test('bundles by cosign and sigstore-js are read, and written as they were', () => {
  for (const [name, text] of Object.entries(bundleSamples.bundles)) {
    const bundle = parseBundle(utf8(text));
    if (bundle.version === '0.3') assert.equal(textOf(encodeBundle(bundle)), text, name);
    assert.deepEqual(parseBundle(encodeBundle(bundle)), { ...bundle, version: '0.3' }, name);
  }
});

test('what is in a bundle', () => {
  const { version, material, content, logEntries, timestamps } = sampleBundle('blob keyless-rekor1+tsa');
  assert.equal(version, '0.3');
  assert.equal(material.kind, 'certificates');
  assert.equal(content.kind === 'message' && content.digest?.algorithm, 'sha256');
  assert.equal(timestamps.length, 1);
  const [logged] = logEntries;
  assert.equal(`${logged?.kind} ${logged?.version}`, 'hashedrekord 0.0.1');
  assert.equal(logged?.logIndex, 11n);
  assert.equal(logged?.integratedTime, 1_795_345_764n);
  assert.equal(logged?.inclusionProof?.treeSize, 12n);
  const key = sampleBundle('blob key-rekor2');
  assert.deepEqual(key.material, {
    kind: 'public-key',
    hint: 'ogGLVj2Pp9cNbOiVX6OULsBwThKWdyz7eNYTugZUyrU=',
  });
  assert.equal(key.logEntries[0]?.integratedTime, undefined);
  assert.equal(sampleBundle('sigstore-js rekor1+tsa').version, '0.2');
  // a tree with one leaf: index 0 and the proof's hashes are left out
  const first = sampleBundle('image k-v2').logEntries[0];
  assert.equal(first?.logIndex, 0n);
  assert.deepEqual(first?.inclusionProof?.hashes, []);
});

test('media types', () => {
  for (const version of ['0.1', '0.2', '0.3']) {
    assert.equal(isBundleMediaType(`application/vnd.dev.sigstore.bundle+json;version=${version}`), true);
    assert.equal(isBundleMediaType(`application/vnd.dev.sigstore.bundle.v${version}+json`), true);
  }
  const mediaType = 'application/vnd.dev.sigstore.bundle+json;version=0.3';
  assert.equal(parseBundle(changed({ mediaType })).version, '0.3');
  for (const other of [
    'application/vnd.dev.sigstore.bundle.v0.4+json',
    'application/vnd.dev.sigstore.bundle.v0.3.1+json',
    'application/vnd.dev.sigstore.bundle+json;version=0.3.1',
    'application/vnd.dev.sigstore.bundle+json;version=0.4',
    'application/vnd.dev.sigstore.bundle+json',
    'application/json',
  ]) {
    refused('signature.unsupported', changed({ mediaType: other }), other);
  }
  refused('signature.malformed', changed({ mediaType: undefined }));
});

const entry = valueAt('verificationMaterial.tlogEntries.0') as Json;
const certificate = valueAt('verificationMaterial.certificate');
const version2 = 'application/vnd.dev.sigstore.bundle+json;version=0.2';
const bundleType = valueAt('mediaType');
const without = { 'material.certificate': undefined };
const signature = 'messageSignature.signature';

const faults: Readonly<Record<string, Json>> = {
  'an unknown member': { more: 1 },
  'an unknown member of an entry': { 'entry.more': 1 },
  'a name with underscores': { media_type: bundleType },
  'a name with underscores in place of its own': {
    'entry.logIndex': undefined,
    'entry.log_index': '11',
  },
  'both contents': { dsseEnvelope: { payload: '', payloadType: 'x', signatures: [] } },
  'no content': { messageSignature: undefined },
  'no material': without,
  'a key and a certificate': { 'material.publicKey': { hint: '' } },
  'a chain in version 0.3': { ...without, 'material.x509CertificateChain': { certificates: [certificate] } },
  'an empty chain': {
    ...without,
    mediaType: version2,
    'material.x509CertificateChain': { certificates: [] },
  },
  'an empty certificate': { 'material.certificate.rawBytes': '' },
  'an empty signature': { [signature]: '' },
  'no signature': { [signature]: undefined },
  'a short digest': { 'messageSignature.messageDigest.digest': 'AAAA' },
  'base64 of the other alphabet': { [signature]: '-_8=' },
  'base64 without its end': { [signature]: 'AAA' },
  'base64 with stray bits': { [signature]: 'AAB=' },
  'base64 with a line break': { [signature]: 'AAAA\nAAAA' },
  'a negative index': { 'entry.logIndex': '-1' },
  'a negative index as a number': { 'entry.logIndex': -1 },
  'an index that is a fraction': { 'entry.logIndex': '1.0' },
  'an index with an exponent': { 'entry.logIndex': 1.5e300 },
  'an index beyond 63 bits': { 'entry.logIndex': '9223372036854775808' },
  'an index of nothing': { 'entry.logIndex': '' },
  'a negative index of the proof': { 'entry.inclusionProof.logIndex': '-1' },
  'a negative time': { 'entry.integratedTime': '-1' },
  'no proof': { 'entry.inclusionProof': undefined },
  'no checkpoint': { 'entry.inclusionProof.checkpoint': undefined },
  'too many hashes': { 'entry.inclusionProof.hashes': Array.from({ length: 65 }, () => 'AAAA') },
  'no log': { 'entry.logId': undefined },
  'no kind': { 'entry.kindVersion': undefined },
  'no body': { 'entry.canonicalizedBody': undefined },
  'an empty promise': { 'entry.inclusionPromise': {} },
  'an empty timestamp': { 'material.timestampVerificationData.rfc3161Timestamps': [{}] },
  'an entry twice': { 'material.tlogEntries': [entry, entry] },
  'too many entries': {
    'material.tlogEntries': Array.from({ length: 33 }, (_, logIndex) => ({ ...entry, logIndex })),
  },
  'a list that is none': { 'material.tlogEntries': {} },
};

test('what is malformed', () => {
  for (const [name, fault] of Object.entries(faults)) refused('signature.malformed', changed(fault), name);
  refused('signature.malformed', utf8(sample.replace('{', '{"mediaType":"",')), 'a member twice');
  refused('signature.malformed', utf8(sample.slice(0, -1)), 'cut');
  refused('signature.malformed', utf8(`${sample}{}`), 'followed');
  refused('signature.malformed', Buffer.from([0x22, 0xff, 0x22]), 'no UTF-8');
  for (const text of ['', '[]', 'null', '"x"', '{}']) refused('signature.malformed', utf8(text), text);
});

test('versions have their own demands', () => {
  const old = (version: string, missing: string): Uint8Array =>
    changed({
      mediaType: `application/vnd.dev.sigstore.bundle+json;version=${version}`,
      [`entry.${missing}`]: undefined,
    });
  assert.equal(parseBundle(old('0.1', 'inclusionProof')).logEntries.length, 1);
  assert.equal(parseBundle(old('0.2', 'inclusionPromise')).logEntries.length, 1);
  refused('signature.malformed', old('0.1', 'inclusionPromise'));
  refused('signature.malformed', old('0.2', 'inclusionProof'));
});

test('what cannot be told or used', () => {
  const envelope = textOf(sampleJson('blob att-keyless-rekor1')) ?? '';
  const one = valueAt('dsseEnvelope.signatures.0', envelope);
  const signatures = 'dsseEnvelope.signatures';
  refused('signature.unsupported', changed({ [signatures]: [one, one] }, envelope));
  refused('signature.malformed', changed({ [signatures]: [] }, envelope));
  refused('signature.malformed', changed({ 'dsseEnvelope.payloadType': undefined }, envelope));
  refused('signature.unsupported', changed({ 'messageSignature.messageDigest.algorithm': 'SHA3_256' }));
  refused('signature.too-large', new Uint8Array(limits.bundleBytes + 1));
});

test('numbers may be numbers, what is null is not there, and a hint may be missing', () => {
  const numbers = changed({ 'entry.logIndex': 11, 'entry.inclusionProof.treeSize': 12, dsseEnvelope: null });
  assert.deepEqual(parseBundle(numbers), parseBundle(utf8(sample)));
  const key = changed({ 'material.publicKey': {} }, textOf(sampleJson('blob key-rekor1')));
  assert.deepEqual(parseBundle(key).material, { kind: 'public-key', hint: '' });
});

test('a log entry by itself, as Rekor v2 answers', () => {
  const one = valueAt('verificationMaterial.tlogEntries.0', textOf(sampleJson('image k-v2')));
  assert.deepEqual(parseLogEntry(utf8(JSON.stringify(one))), sampleBundle('image k-v2').logEntries[0]);
});

test('a payload of megabytes', () => {
  const payload = Buffer.alloc(11_000_000, 'a').toString('base64');
  const envelope = textOf(sampleJson('blob att-keyless-rekor1')) ?? '';
  const { content } = parseBundle(changed({ 'dsseEnvelope.payload': payload }, envelope));
  assert.equal(content.kind === 'dsse' && content.payload.length, 11_000_000);
});

test('any damage is refused as malformed, or leaves a bundle', () => {
  const character = fc.constantFrom(
    '{',
    '}',
    '"',
    ',',
    ':',
    '0',
    '9',
    'a',
    '=',
    '\\',
    ' ',
    '\u0000',
    'é',
    '',
  );
  fc.assert(
    fc.property(fc.nat(sample.length), fc.nat(3), fc.array(character, { maxLength: 3 }), (at, cut, put) => {
      const damaged = `${sample.slice(0, at)}${put.join('')}${sample.slice(at + cut)}`;
      try {
        assert.equal(parseBundle(utf8(damaged)).version.length, 3);
      } catch (error) {
        assert.ok(
          isBullaError(error, 'signature.malformed') || isBullaError(error, 'signature.unsupported'),
          String(error),
        );
      }
    }),
    { numRuns: 500 },
  );
});

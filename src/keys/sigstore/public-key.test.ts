import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { parseSigstorePublicKey, verifySigstoreSignature } from './public-key.ts';

const message = utf8('{"critical":{}}');

type Pair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
const ec = (namedCurve: string, more = {}): Pair => generateKeyPairSync('ec', { namedCurve, ...more });
const rsa = (modulusLength: number, publicExponent = 65_537): Pair =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent });
const pem = (key: KeyObject, type: 'spki' | 'pkcs1' = 'spki'): Uint8Array =>
  utf8(key.export({ type, format: 'pem' }));
const der = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });
const armored = (bytes: Uint8Array, type = 'PUBLIC KEY'): Uint8Array =>
  utf8(`-----BEGIN ${type}-----\n${Buffer.from(bytes).toString('base64')}\n-----END ${type}-----\n`);

function refuses(text: Uint8Array, code: ErrorCode): void {
  assert.throws(
    () => parseSigstorePublicKey(text),
    (error) => isBullaError(error, code),
  );
}

const p256 = ec('P-256');

test('each kind of key verifies what it signed, over SHA-256 or plainly, and nothing else', () => {
  const pairs: readonly (readonly [string, Pair])[] = [
    ['ecdsa', ec('P-224')],
    ['ecdsa', p256],
    ['ecdsa', ec('P-384')],
    ['ecdsa', ec('P-521')],
    ['rsa', rsa(2048)],
    ['ed25519', generateKeyPairSync('ed25519')],
  ];
  for (const [algorithm, { publicKey, privateKey }] of pairs) {
    const key = parseSigstorePublicKey(pem(publicKey));
    assert.equal(key.algorithm, algorithm);
    assert.equal(key.keyId, createHash('sha256').update(der(publicKey)).digest('hex'));
    assert.deepEqual(Buffer.from(key.spki), der(publicKey));
    const signature = sign(algorithm === 'ed25519' ? null : 'sha256', message, privateKey);
    assert.equal(verifySigstoreSignature(key, message, signature), true);
    assert.equal(verifySigstoreSignature(key, utf8('{"critical":[]}'), signature), false);
    const other = parseSigstorePublicKey(pem(pairs[algorithm === 'rsa' ? 1 : 4]?.[1].publicKey ?? publicKey));
    assert.equal(verifySigstoreSignature(other, message, signature), false);
    if (algorithm === 'ed25519') continue;
    assert.equal(verifySigstoreSignature(key, message, sign('sha512', message, privateKey)), false);
  }
});

test('a signature in another form than the one is wrong', () => {
  const key = parseSigstorePublicKey(pem(p256.publicKey));
  const good = sign('sha256', message, p256.privateKey);
  const raw = sign('sha256', message, { key: p256.privateKey, dsaEncoding: 'ieee-p1363' });
  const longLength = Buffer.concat([Buffer.from([0x30, 0x81, good[1] ?? 0]), good.subarray(2)]);
  for (const bad of [raw, longLength, Buffer.concat([good, Buffer.of(0)]), good.subarray(1), Buffer.of()]) {
    assert.equal(verifySigstoreSignature(key, message, bad), false);
  }
  const big = rsa(2048);
  const pss = sign('sha256', message, { key: big.privateKey, padding: 6 });
  assert.equal(verifySigstoreSignature(parseSigstorePublicKey(pem(big.publicKey)), message, pss), false);
});

test('PKCS#1 is the same RSA key', () => {
  const { publicKey } = rsa(2048);
  const one = parseSigstorePublicKey(pem(publicKey, 'pkcs1'));
  assert.equal(one.keyId, parseSigstorePublicKey(pem(publicKey)).keyId);
  refuses(armored(der(publicKey), 'RSA PUBLIC KEY'), 'key.malformed');
});

test('the first block counts, whatever text is around it', () => {
  const key = Buffer.from(pem(p256.publicKey)).toString();
  const { keyId } = parseSigstorePublicKey(pem(p256.publicKey));
  const other = Buffer.from(pem(ec('P-256').publicKey)).toString();
  assert.equal(parseSigstorePublicKey(utf8(`# ours\n${key}${other}`)).keyId, keyId);
  assert.notEqual(parseSigstorePublicKey(utf8(`${other}${key}`)).keyId, keyId);
  refuses(utf8('no key here'), 'key.none');
  refuses(new Uint8Array(), 'key.none');
});

test('certificates, private keys and foreign kinds are refused', () => {
  refuses(armored(der(p256.publicKey), 'CERTIFICATE'), 'key.unusable');
  refuses(utf8(p256.privateKey.export({ type: 'pkcs8', format: 'pem' })), 'key.unusable');
  refuses(pem(ec('secp256k1').publicKey), 'key.unusable');
  refuses(pem(generateKeyPairSync('x25519').publicKey), 'key.unusable');
  refuses(pem(generateKeyPairSync('ed448').publicKey), 'key.unusable');
  refuses(pem(generateKeyPairSync('rsa-pss', { modulusLength: 1024 }).publicKey), 'key.unusable');
});

test('encodings that OpenSSL reads and Go does not are refused', () => {
  const spki = der(p256.publicKey);
  const point = spki.subarray(-65);
  const odd = (point[64] ?? 0) & 1;
  const compressed = Buffer.concat([
    Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
    Buffer.of(2 + odd),
    point.subarray(1, 33),
  ]);
  refuses(armored(compressed), 'key.unusable');
  refuses(
    armored(Buffer.concat([spki.subarray(0, -65), Buffer.of(6 + odd), point.subarray(1)])),
    'key.unusable',
  );
  refuses(pem(ec('P-256', { paramEncoding: 'explicit' }).publicKey), 'key.unusable');
  refuses(armored(Buffer.concat([spki, Buffer.of(0)])), 'key.malformed');
  const offCurve = Buffer.from(spki);
  offCurve[90] = (offCurve[90] ?? 0) ^ 1;
  refuses(armored(offCurve), 'key.malformed');
  const rsaKey = der(rsa(1024).publicKey);
  // without NULL after the algorithm's name, all lengths put right
  const withoutNull = Buffer.concat([
    Buffer.from('30819d300b06092a864886f70d010101', 'hex'),
    rsaKey.subarray(rsaKey.indexOf(Buffer.of(5, 0)) + 2),
  ]);
  refuses(armored(withoutNull), 'key.malformed');
});

test('RSA keys that crypto/rsa does not verify by verify nothing', () => {
  for (const { publicKey, privateKey } of [rsa(512), rsa(1023), rsa(1024, 2_147_483_659)]) {
    const key = parseSigstorePublicKey(pem(publicKey));
    assert.equal(verifySigstoreSignature(key, message, sign('sha256', message, privateKey)), false);
  }
  const least = rsa(1024, 3);
  const key = parseSigstorePublicKey(pem(least.publicKey));
  assert.equal(verifySigstoreSignature(key, message, sign('sha256', message, least.privateKey)), true);
});

/** Written by skopeo 1.22 and cosign 2.5: public key, signed payload, signature. */
const samples: readonly (readonly [string, string, string])[] = [
  [
    'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEt3W9i9Cjf6NX6k0kbTMdVufluXxx5HUWzchZka3wAd1Rvr5u/682h31l+02ofsJUoByoDxn0MadzHT9/V7jXzQ==',
    '{"critical":{"identity":{"docker-reference":"127.0.0.1:5000/s1:v1"},"image":{"docker-manifest-digest":"sha256:58edc1ca32ba588d6ee61707938dcb2f78eeef50a1c6e0506e62ab0bc00cef0f"},"type":"cosign container image signature"},"optional":{"creator":"containers/image 5.39.1","timestamp":1795344741}}',
    'MEUCIFB1LitSXdHb1xbK4omQCO2DZmzw2CpWCuz10IATGfV7AiEAit2PhYqHTfm+i51kXoFvHFHZR+Irc7uXX827CHdO3pw=',
  ],
  [
    'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfJsE5m9GerHrjJ9wcilGCLDszv4PBRafNuuhCjyNv9j+LWdg27dnegW3kMAO6hJkGDBOT9EpN649JFo/fXp11A==',
    '{"critical":{"identity":{"docker-reference":"127.0.0.1:5000/c2"},"image":{"docker-manifest-digest":"sha256:58edc1ca32ba588d6ee61707938dcb2f78eeef50a1c6e0506e62ab0bc00cef0f"},"type":"cosign container image signature"},"optional":null}',
    'MEUCIEAz0njA5qSmSj+++0q8I5zpDSwDVSuGpLh0mgKETGVEAiEA4N7m3f7Elat+IBUm5szL4aUQ4MneNEo2pYZ5+C/xleA=',
  ],
];

test('signatures of skopeo and cosign verify, and changed ones do not', () => {
  for (const [spki, payload, signature] of samples) {
    const key = parseSigstorePublicKey(armored(Buffer.from(spki, 'base64')));
    const good = Buffer.from(signature, 'base64');
    assert.equal(verifySigstoreSignature(key, utf8(payload), good), true);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ flip;
        assert.equal(verifySigstoreSignature(key, utf8(payload), bad), false);
      }),
      { numRuns: 60 },
    );
  }
});

test('a changed key is another key or an error with a code', () => {
  const text = pem(p256.publicKey);
  const { keyId } = parseSigstorePublicKey(text);
  fc.assert(
    fc.property(fc.nat({ max: text.length - 1 }), fc.nat(255), (at, value) => {
      const changed = Uint8Array.from(text);
      changed[at] = value;
      try {
        const key = parseSigstorePublicKey(changed);
        if (key.keyId === keyId) assert.deepEqual(Buffer.from(key.spki), der(p256.publicKey));
      } catch (error) {
        assert.ok(isBullaError(error), String(error));
      }
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      refusesWithCode(armored(bytes));
    }),
  );
});

function refusesWithCode(text: Uint8Array): void {
  assert.throws(
    () => parseSigstorePublicKey(text),
    (error) => isBullaError(error),
  );
}

import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { encryptPrivateKey } from './encrypted-key.ts';
import {
  importPrivateKey,
  makeKeyPair,
  openKeyPair,
  openSigstoreKey,
  sigstoreKeyTypes,
} from './private-key.ts';
import { verifySigstoreSignature } from './public-key.ts';

const message = utf8('{"critical":{}}');
const passphrase = { given: '' };
const refused =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    isBullaError(error, code);

/** Every name of a type, and what OpenSSL says of the key made. */
const made: Readonly<Record<string, object>> = {
  'ecdsa-p256': { namedCurve: 'prime256v1' },
  'ecdsa-p384': { namedCurve: 'secp384r1' },
  'ecdsa-p521': { namedCurve: 'secp521r1' },
  rsa2048: { modulusLength: 2048, publicExponent: 65_537n },
  ed25519: {},
};

test('keys of the type asked for are made, and sign what they verify', async () => {
  assert.deepEqual(
    sigstoreKeyTypes.filter((type) => !(type in made)),
    ['rsa3072', 'rsa4096'],
  );
  for (const type of sigstoreKeyTypes) {
    if (!(type in made)) continue; // those take seconds; the interop tests make them
    const { privateKey, publicKey } = makeKeyPair(type);
    assert.deepEqual(publicKey.key.asymmetricKeyDetails, made[type]);
    if (type !== 'ed25519') continue; // one is enough here: scrypt takes its time
    const pem = await encryptPrivateKey(privateKey.export({ type: 'pkcs8', format: 'der' }), '');
    await using signer = await openSigstoreKey(pem, { passphrase });
    assert.equal(signer.keyId, publicKey.keyId);
    assert.ok(verifySigstoreSignature(publicKey, message, await signer.sign(message)), type);
  }
});

test('what opens to something else than a usable private key is refused', async () => {
  const weak = [
    generateKeyPairSync('ec', { namedCurve: 'P-224' }),
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    generateKeyPairSync('rsa', { modulusLength: 1024 }),
    generateKeyPairSync('x25519'),
  ].map(({ privateKey }: { privateKey: KeyObject }) => privateKey.export({ type: 'pkcs8', format: 'der' }));
  const anything = await encryptPrivateKey(utf8('any bytes'), '');
  await assert.rejects(openKeyPair(anything, { passphrase }), refused('key.malformed'));
  for (const pkcs8 of weak) {
    const pem = `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString('base64')}\n-----END PRIVATE KEY-----\n`;
    assert.throws(() => importPrivateKey(utf8(pem)), refused('key.unusable'));
  }
});

test('plain keys are taken over from PKCS#8, SEC1 and PKCS#1', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ed = generateKeyPairSync('ed25519');
  const sec1 = ec.privateKey.export({ type: 'sec1', format: 'pem' });
  const parameters = '-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n';
  const cases: readonly (readonly [KeyObject, string])[] = [
    [ec.publicKey, ec.privateKey.export({ type: 'pkcs8', format: 'pem' })],
    [ec.publicKey, sec1],
    [ec.publicKey, `${parameters}${sec1}`],
    [rsa.publicKey, rsa.privateKey.export({ type: 'pkcs8', format: 'pem' })],
    [rsa.publicKey, rsa.privateKey.export({ type: 'pkcs1', format: 'pem' })],
    [ed.publicKey, ed.privateKey.export({ type: 'pkcs8', format: 'pem' })],
  ];
  for (const [publicKey, pem] of cases) {
    assert.ok(importPrivateKey(utf8(pem)).publicKey.key.equals(publicKey));
  }
});

const point = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(-65);

test('what is no plain private key, or does not belong together, is not taken over', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  const encrypted = { cipher: 'aes-128-cbc', passphrase: 'x' } as const;
  for (const pem of [
    publicKey.export({ type: 'spki', format: 'pem' }),
    privateKey.export({ type: 'pkcs8', format: 'pem', ...encrypted }),
    '-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n',
  ]) {
    assert.throws(() => importPrivateKey(utf8(pem)), refused('key.unusable'));
  }
  const dekInfo = privateKey.export({ type: 'sec1', format: 'pem', ...encrypted });
  assert.throws(() => importPrivateKey(utf8(dekInfo)), refused('key.malformed'));
  assert.throws(() => importPrivateKey(utf8('')), refused('key.none'));
  const mixed = privateKey.export({ type: 'pkcs8', format: 'der' });
  point(other).copy(mixed, mixed.indexOf(point(publicKey)));
  const pem = `-----BEGIN PRIVATE KEY-----\n${mixed.toString('base64')}\n-----END PRIVATE KEY-----\n`;
  assert.throws(() => importPrivateKey(utf8(pem)), refused('key.unusable'));
});

test('a damaged plain key is an error with a code or a key that belongs together', () => {
  const plain = makeKeyPair('rsa2048').privateKey.export({ type: 'pkcs1', format: 'der' });
  fc.assert(
    fc.property(fc.nat(plain.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(plain);
      changed[at] = (changed[at] ?? 0) ^ flip;
      const pem = `-----BEGIN RSA PRIVATE KEY-----\n${changed.toString('base64')}\n-----END RSA PRIVATE KEY-----\n`;
      try {
        importPrivateKey(utf8(pem));
      } catch (error) {
        assert.ok(isBullaError(error), String(error));
      }
    }),
    { numRuns: 60 },
  );
});

import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';

import { utf8 } from '../../base/bytes.ts';
import { loadEd25519ph, signEd25519ph, verifyForBundle } from './bundle-signature.ts';
import { makeKeyPair, signForBundle, type SigstoreKeyPair, type SigstoreKeyType } from './private-key.ts';
import { publicKeyOf, type SigstorePublicKey, verifySigstoreSignature } from './public-key.ts';

/** RFC 8032 section 7.3: Ed25519ph of "abc". */
const rfc8032 = {
  publicKey: 'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
  signature:
    '98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406',
};

function rawEd25519(hex: string): SigstorePublicKey {
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(hex, 'hex')]);
  return publicKeyOf(createPublicKey({ key: spki, format: 'der', type: 'spki' }));
}

const message = utf8('message');
const other = utf8('messagf');

function flipped(bytes: Uint8Array): Uint8Array {
  return bytes.with(bytes.length - 1, (bytes.at(-1) ?? 0) ^ 1);
}

function check(pair: SigstoreKeyPair, signature: Uint8Array): void {
  assert.ok(verifyForBundle(pair.publicKey, message, signature));
  assert.ok(!verifyForBundle(pair.publicKey, other, signature));
  assert.ok(!verifyForBundle(pair.publicKey, message, flipped(signature)));
  assert.ok(!verifyForBundle(pair.publicKey, message, signature.subarray(1)));
  assert.ok(!verifyForBundle(pair.publicKey, message, new Uint8Array()));
}

test('what a key makes for a bundle verifies', async () => {
  const types: readonly SigstoreKeyType[] = ['ecdsa-p256', 'ecdsa-p384', 'ecdsa-p521', 'rsa2048', 'ed25519'];
  for (const type of types) {
    const pair = makeKeyPair(type);
    check(pair, await signForBundle(pair, message, false));
  }
});

test('ECDSA: the hash of the curve’s size, else SHA-256, and no other', async () => {
  for (const [type, own, foreign] of [
    ['ecdsa-p384', 'sha384', 'sha512'],
    ['ecdsa-p521', 'sha512', 'sha384'],
    ['ecdsa-p256', 'sha256', 'sha384'],
  ] as const) {
    const pair = makeKeyPair(type);
    check(pair, sign(own, message, pair.privateKey));
    check(pair, sign('sha256', message, pair.privateKey));
    assert.ok(!verifyForBundle(pair.publicKey, message, sign(foreign, message, pair.privateKey)), type);
  }
  const rsa = makeKeyPair('rsa2048');
  assert.ok(!verifyForBundle(rsa.publicKey, message, sign('sha512', message, rsa.privateKey)));
});

test('Ed25519ph is not believed before it is loaded, and loaded for Ed25519 alone', async () => {
  const key = rawEd25519(rfc8032.publicKey);
  const signature = new Uint8Array(Buffer.from(rfc8032.signature, 'hex'));
  await loadEd25519ph([makeKeyPair('ecdsa-p256').publicKey]);
  assert.ok(!verifyForBundle(key, utf8('abc'), signature));
  await loadEd25519ph([key]);
  assert.ok(verifyForBundle(key, utf8('abc'), signature));
  assert.ok(!verifyForBundle(key, utf8('abd'), signature));
});

test('Ed25519 in both schemes; an attachment’s is pure', async () => {
  const pair = makeKeyPair('ed25519');
  await loadEd25519ph([pair.publicKey]);
  const pure = await signForBundle(pair, message, false);
  const prehashed = await signForBundle(pair, message, true);
  check(pair, pure);
  check(pair, prehashed);
  assert.ok(verifySigstoreSignature(pair.publicKey, message, pure));
  assert.ok(!verifySigstoreSignature(pair.publicKey, message, prehashed));
  // the domain of RFC 8032: the pure signature of the message's hash is no Ed25519ph
  const digest = createHash('sha512').update(message).digest();
  assert.ok(!verifyForBundle(pair.publicKey, message, await signForBundle(pair, digest, false)));
  const foreign = makeKeyPair('ed25519').publicKey;
  assert.ok(!verifyForBundle(foreign, message, prehashed));
});

test('a key of small order verifies nothing', async () => {
  const key = rawEd25519(`01${'00'.repeat(31)}`);
  await loadEd25519ph([key]);
  const signature = new Uint8Array(64);
  signature[0] = 1;
  assert.ok(!verifyForBundle(key, message, signature));
});

test('other kinds of key ask for no prehashing', async () => {
  const pair = makeKeyPair('ecdsa-p384');
  check(pair, await signForBundle(pair, message, true));
  const { privateKey } = generateKeyPairSync('x25519');
  await assert.rejects(signEd25519ph(privateKey, message), { code: 'key.unusable' });
});

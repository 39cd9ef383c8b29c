import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as openpgp from 'openpgp';

import * as forge from '../../../test/support/openpgp-forge.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { parseKeyring } from './keyring.ts';
import { readPackets } from './packets.ts';
import { openSecretKey } from './sign.ts';
import { verifySignedMessage } from './verify.ts';

const content = forge.utf8('{"a":"payload"}');

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isBullaError(error, code);
}

type Options = Partial<openpgp.KeyOptions>;
async function generate(
  options: Options,
): Promise<{ secret: Uint8Array; certificate: Uint8Array; armored: string }> {
  const made = await openpgp.generateKey({
    type: 'ecc',
    curve: 'ed25519Legacy',
    userIDs: [{ name: 'Test', email: 'test@example.com' }],
    ...options,
    format: 'object',
  });
  const armored = made.privateKey.armor();
  return { secret: made.privateKey.write(), certificate: made.publicKey.write(), armored };
}

const types: readonly [string, Options][] = [
  ['RSA', { type: 'rsa', rsaBits: 2048, subkeys: [] }],
  ['Ed25519', {}],
  ['P-256', { curve: 'nistP256' }],
  ['P-384', { curve: 'nistP384' }],
  ['P-521', { curve: 'nistP521' }],
];

for (const [name, options] of types) {
  test(`${name}: what we sign OpenPGP.js verifies, and the other way round`, async () => {
    const { secret, certificate } = await generate(options);
    await using signer = await openSecretKey(secret);
    const signed = await signer.sign(content);
    const [verificationKeys] = await openpgp.readKeys({ binaryKeys: certificate });
    const theirs = await openpgp.verify({
      message: await openpgp.readMessage({ binaryMessage: signed }),
      verificationKeys: verificationKeys ?? [],
      format: 'binary',
    });
    assert.equal(theirs.signatures.length, 1);
    await theirs.signatures[0]?.verified;
    assert.deepEqual(new Uint8Array(theirs.data), content);

    const signingKeys = await openpgp.readPrivateKey({ binaryKey: secret });
    const message = await openpgp.createMessage({ binary: content });
    const made = await openpgp.sign({ message, signingKeys, format: 'binary' });
    for (const blob of [signed, new Uint8Array(made)]) {
      const verdict = verifySignedMessage(blob, parseKeyring(certificate), new Date());
      assert.ok(verdict.ok);
      assert.equal(verdict.fingerprint, signer.keyId);
      assert.deepEqual(new Uint8Array(verdict.content), content);
    }
  });
}

test('a signed message is one-pass, literal, signature, and starts with 0xC4', async () => {
  const { secret } = await generate({});
  await using signer = await openSecretKey(secret);
  const signed = await signer.sign(content);
  assert.equal(signed[0], 0xc4);
  const packets = readPackets(signed, 'signature.malformed', 'it');
  assert.deepEqual(
    packets.map(({ tag }) => tag),
    [4, 11, 2],
  );
  assert.deepEqual([...(packets[1]?.body.subarray(0, 6) ?? [])], [0x62, 0, 0, 0, 0, 0]);
  // version 4, binary, EdDSA, SHA-512
  assert.deepEqual([...(packets[2]?.body.subarray(0, 4) ?? [])], [4, 0, 22, 10]);
  assert.equal(signer.kind, 'openpgp');
});

test('a passphrase is asked only where one is needed, and must be right', async () => {
  const { secret, armored } = await generate({ passphrase: 'geheim ü' });
  const open = (passphrase?: string): Promise<unknown> =>
    openSecretKey(secret, { passphrase: () => Promise.resolve(passphrase) });
  await open('geheim ü');
  await openSecretKey(forge.utf8(armored), { passphrase: () => Promise.resolve('geheim ü') });
  await assert.rejects(open('wrong'), refused('key.passphrase-wrong'));
  await assert.rejects(open(''), refused('key.passphrase-wrong'));
  await assert.rejects(open(), refused('key.passphrase-missing'));
  await assert.rejects(openSecretKey(secret), refused('key.passphrase-missing'));
  const { secret: plain } = await generate({});
  await openSecretKey(plain, { passphrase: () => Promise.reject(new Error('asked')) });
});

for (const how of forge.protections) {
  const { usage, cipher, specifier, hash } = how;
  test(`protection ${usage} with cipher ${cipher}, S2K ${specifier} and hash ${hash} opens`, async () => {
    const key = forge.edKey();
    const secret = forge.protectedKey(key, 'correct horse', how);
    await using signer = await openSecretKey(secret, { passphrase: () => Promise.resolve('correct horse') });
    const ring = parseKeyring(forge.certificate(key));
    assert.ok(verifySignedMessage(await signer.sign(content), ring, new Date()).ok);
    await assert.rejects(
      openSecretKey(secret, { passphrase: () => Promise.resolve('correct horsf') }),
      refused('key.passphrase-wrong'),
    );
  });
}

test('AEAD protection is refused with a hint', async () => {
  const { secret } = await generate({ passphrase: 'x', config: { aeadProtect: true } });
  await assert.rejects(
    openSecretKey(secret, { passphrase: () => Promise.resolve('x') }),
    (error) => isBullaError(error, 'key.unusable') && error.hint !== undefined,
  );
});

test('the newest signing subkey signs, or the key that is named', async () => {
  const { secret, certificate } = await generate({ subkeys: [{ sign: true }, {}] });
  const [primary] = parseKeyring(certificate).certificates;
  const subkey = primary?.subkeys.find(({ usage }) => usage.sign);
  assert.ok(primary !== undefined && subkey !== undefined);
  const signingKey = async (keyId?: string): Promise<string> => {
    await using signer = await openSecretKey(secret, keyId === undefined ? {} : { keyId });
    assert.equal(signer.keyId, primary.fingerprint);
    const verdict = verifySignedMessage(await signer.sign(content), parseKeyring(certificate), new Date());
    return verdict.ok ? verdict.signingFingerprint : verdict.code;
  };
  assert.equal(await signingKey(), subkey.fingerprint);
  assert.equal(await signingKey(primary.fingerprint), subkey.fingerprint);
  assert.equal(await signingKey(`${primary.fingerprint}!`), primary.fingerprint);
  assert.equal(await signingKey(`0x${subkey.keyId.toLowerCase()}!`), subkey.fingerprint);
  await assert.rejects(signingKey('0000000000000000'), refused('key.not-found'));
});

test('a file with several keys needs a name', async () => {
  const [a, b] = [await generate({}), await generate({})];
  const both = forge.join(a.secret, b.secret);
  await assert.rejects(openSecretKey(both), refused('key.ambiguous'));
  const fingerprint = parseKeyring(b.certificate).certificates[0]?.fingerprint ?? '';
  await using signer = await openSecretKey(both, { keyId: fingerprint });
  assert.equal(signer.keyId, fingerprint);
});

test('keys that may not sign are unusable, before any passphrase', async () => {
  const past = new Date(Date.now() - 100_000);
  const expired = await generate({ keyExpirationTime: 10, date: past, passphrase: 'x' });
  await assert.rejects(openSecretKey(expired.secret), refused('key.unusable'));
  const future = await generate({ date: new Date(Date.now() + 100_000) });
  await assert.rejects(openSecretKey(future.secret), refused('key.unusable'));
  const { certificate } = await generate({});
  await assert.rejects(openSecretKey(certificate), refused('key.none'));
  await assert.rejects(openSecretKey(forge.utf8('no key')), refused('key.malformed'));
});

test('a stub without its secret part is unusable', async () => {
  const { secret } = await generate({});
  const [first, ...rest] = readPackets(secret, 'key.malformed', 'it');
  assert.equal(first?.tag, 5);
  // the public part, then usage 255, cipher 0, GNU's specifier 101, hash 0, "GNU", mode 1
  for (const mode of [1, 2]) {
    const publicPart = first.body.subarray(0, 51);
    const stub = forge.packet(
      5,
      forge.join(publicPart, forge.octets(255, 0, 101, 0, 0x47, 0x4e, 0x55, mode)),
    );
    const file = forge.join(stub, ...rest.map(({ tag, body }) => forge.packet(tag, body)));
    await assert.rejects(
      openSecretKey(file),
      (error) => isBullaError(error, 'key.unusable') && error.hint !== undefined,
    );
  }
});

test('a key file whose secret part was changed gives no signature', async () => {
  const [a, b] = [await generate({}), await generate({})];
  const [first, ...rest] = readPackets(a.secret, 'key.malformed', 'it');
  const [other] = readPackets(b.secret, 'key.malformed', 'it');
  assert.ok(first !== undefined && other !== undefined);
  // the public part of one, the secret part of another: each is sound by itself
  const mixed = forge.packet(5, forge.join(first.body.subarray(0, 51), other.body.subarray(51)));
  const file = forge.join(mixed, ...rest.map(({ tag, body }) => forge.packet(tag, body)));
  const attempt = async (): Promise<Uint8Array> => {
    await using signer = await openSecretKey(file);
    return signer.sign(content);
  };
  await assert.rejects(attempt, refused('key.unusable'));
  const damaged = new Uint8Array(a.secret);
  damaged[60] = (damaged[60] ?? 0) ^ 1;
  await assert.rejects(openSecretKey(damaged), refused('key.malformed'));
});

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { concatBytes, utf8 } from '../base/bytes.ts';
import { isBullaError, type ErrorCode } from '../base/errors.ts';
import type { GenerateRequest, KeyStore } from './key-info.ts';
import { openOwnKeyring, ownKeyringFolder, readOwnSecretKey } from './own-keyring.ts';
import { parseKeyring } from './openpgp/keyring.ts';
import { verifySignedMessage } from './openpgp/verify.ts';
import { openSecretKey } from './openpgp/sign.ts';

const root = await mkdtemp(join(tmpdir(), 'bulla-own-'));
after(() => rm(root, { recursive: true, force: true }));

let count = 0;
function newKeyring(): KeyStore & { readonly folder: string } {
  const folder = join(root, String((count += 1)), 'bulla', 'keys');
  return { ...openOwnKeyring(folder), folder };
}

const coming = new Date(Math.floor(Date.now() / 1000) * 1000 + 86_400_000);
const request: GenerateRequest = {
  userId: 'Release (test) <release@example.com>',
  type: 'ed25519',
  expires: coming,
  passphrase: 'open sesame',
};
const secret = { given: 'open sesame' };

const keyring = newKeyring();
let fingerprint = '';
before(async () => {
  fingerprint = await keyring.generate(request);
});

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isBullaError(error, code);
}

async function permissions(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

test('a new key is three files: the folder is private, and so are the secret key and its revocation', async () => {
  assert.equal(await permissions(keyring.folder), '700');
  const names = ['private', 'pub', 'revoke'].map((part) => `${fingerprint}.${part}.asc`);
  assert.deepEqual((await readdir(keyring.folder)).sort(), names);
  const [privateFile, publicFile, revokeFile] = names.map((name) => join(keyring.folder, name));
  assert.equal(await permissions(privateFile ?? ''), '600');
  assert.equal(await permissions(revokeFile ?? ''), '600');
  assert.equal(await permissions(publicFile ?? ''), '644');
});

test('a key is listed with what it was made of', async () => {
  const [key, ...others] = await keyring.list();
  assert.deepEqual(others, []);
  assert.deepEqual(key?.userIds, [request.userId]);
  assert.equal(key?.algorithm, 'ed25519');
  assert.equal(key?.expires?.getTime(), coming.getTime());
  assert.deepEqual([key?.revoked, key?.hasSecret, key?.canSign], [false, true, true]);
  assert.deepEqual(await keyring.list(fingerprint), [key]);
});

for (const [type, algorithm] of [
  ['rsa3072', 'rsa3072'],
  ['p256', 'nistp256'],
] as const) {
  test(`a ${type} key without passphrase and expiry signs what the verifier accepts`, async () => {
    const own = newKeyring();
    const made = await own.generate({ userId: 'no mail', type, passphrase: '' });
    const [key] = await own.list();
    assert.deepEqual([key?.algorithm, key?.expires, key?.userIds], [algorithm, undefined, ['no mail']]);
    const signer = await openSecretKey(await readOwnSecretKey(own.folder, made));
    const signed = await signer.sign(utf8('message'));
    const verdict = verifySignedMessage(signed, parseKeyring(await own.exportPublic(made, true)), new Date());
    assert.equal(verdict.ok && verdict.fingerprint, made);
  });
}

test('the secret key opens with its passphrase only', async () => {
  const bytes = await readOwnSecretKey(keyring.folder, fingerprint);
  await assert.rejects(
    openSecretKey(bytes, { passphrase: () => Promise.resolve('wrong') }),
    refused('key.passphrase-wrong'),
  );
  const signer = await openSecretKey(bytes, { passphrase: () => Promise.resolve('open sesame') });
  assert.equal(signer.keyId, fingerprint);
});

test('export gives the certificate, armored or not, and never the secret part unless asked', async () => {
  const armored = Buffer.from(await keyring.exportPublic(fingerprint, true)).toString();
  assert.match(armored, /^-----BEGIN PGP PUBLIC KEY BLOCK-----/u);
  const binary = await keyring.exportPublic(fingerprint, false);
  // new-format packets: a public key (6) first, no secret key (5)
  assert.equal((binary[0] ?? 0) & 0x3f, 6);
  const secretKey = Buffer.from(await keyring.exportSecret(fingerprint, true, {})).toString();
  assert.match(secretKey, /^-----BEGIN PGP PRIVATE KEY BLOCK-----/u);
});

test('extending renews the expiry with the passphrase, keeps the secret key locked and its name', async () => {
  const own = newKeyring();
  await own.import(await keyring.exportSecret(fingerprint, true, {}));
  const later = new Date(coming.getTime() + 86_400_000);
  await assert.rejects(own.extend(fingerprint, later, {}), refused('key.passphrase-missing'));
  await assert.rejects(own.extend(fingerprint, later, { given: 'no' }), refused('key.passphrase-wrong'));
  assert.equal((await own.list())[0]?.expires?.getTime(), coming.getTime());
  await own.extend(fingerprint, later, secret);
  assert.equal((await own.list())[0]?.expires?.getTime(), later.getTime());
  await own.extend(fingerprint, undefined, secret);
  const [key] = await own.list();
  assert.deepEqual([key?.expires, key?.userIds, key?.revoked], [undefined, [request.userId], false]);
  const bytes = await readOwnSecretKey(own.folder, fingerprint);
  await assert.rejects(
    openSecretKey(bytes, { passphrase: () => Promise.resolve('wrong') }),
    refused('key.passphrase-wrong'),
  );
});

test('the certificate made at birth revokes without a passphrase; a reason takes the secret key', async () => {
  const own = newKeyring();
  const first = await own.generate(request);
  await own.revoke(first, undefined, {});
  assert.equal((await own.list())[0]?.revoked, true);
  const second = newKeyring();
  await second.import(await keyring.exportSecret(fingerprint, true, {}));
  await assert.rejects(second.revoke(fingerprint, 'compromised', {}), refused('key.passphrase-missing'));
  await second.revoke(fingerprint, 'compromised', secret);
  const [key] = await second.list();
  assert.deepEqual([key?.revoked, key?.userIds], [true, [request.userId]]);
  await assert.rejects(
    openSecretKey(await readOwnSecretKey(second.folder, fingerprint), {
      passphrase: () => Promise.resolve('open sesame'),
    }),
    refused('key.unusable'),
  );
});

test('import takes public keys, secret keys and revocations, merges, and says what changed', async () => {
  const own = newKeyring();
  const publicKey = await keyring.exportPublic(fingerprint, false);
  const imported = { fingerprint, what: 'public', changed: true } as const;
  assert.deepEqual(await own.import(publicKey), [imported]);
  assert.deepEqual(await own.import(publicKey), [{ ...imported, changed: false }]);
  assert.equal((await own.list())[0]?.hasSecret, false);
  const secretKey = await keyring.exportSecret(fingerprint, true, {});
  assert.deepEqual(await own.import(secretKey), [{ ...imported, what: 'secret' }]);
  assert.equal((await own.list())[0]?.hasSecret, true);
  assert.equal(await permissions(join(own.folder, `${fingerprint}.private.asc`)), '600');
  const revocation = await readRevocation();
  assert.deepEqual(await own.import(revocation), [{ fingerprint, what: 'revocation', changed: true }]);
  assert.deepEqual(await own.import(revocation), [{ fingerprint, what: 'revocation', changed: false }]);
  assert.equal((await own.list())[0]?.revoked, true);
  // an old copy does not undo it
  assert.deepEqual(await own.import(publicKey), [{ ...imported, changed: false }]);
  assert.equal((await own.list())[0]?.revoked, true);
});

async function readRevocation(): Promise<Uint8Array> {
  const { readFile } = await import('node:fs/promises');
  return new Uint8Array(await readFile(join(keyring.folder, `${fingerprint}.revoke.asc`)));
}

test('what is no key, or not wholly keys, changes nothing', async () => {
  const own = newKeyring();
  const good = await keyring.exportPublic(fingerprint, false);
  const bad: readonly [string, Uint8Array, ErrorCode][] = [
    ['nothing', new Uint8Array(), 'key.malformed'],
    ['text', utf8('hello'), 'key.malformed'],
    ['torn', good.subarray(0, good.length - 1), 'key.malformed'],
    ['a good key and rubbish', concatBytes(good, Uint8Array.of(0x12)), 'key.malformed'],
    ['a user ID before any key', Uint8Array.of(0xcd, 1, 0x61), 'key.malformed'],
    ['a revocation of an unknown key', await readRevocation(), 'key.not-found'],
    [
      'a key whose self-signature is broken',
      good.with(good.length - 5, (good.at(-5) ?? 0) ^ 1),
      'key.malformed',
    ],
  ];
  for (const [name, bytes, code] of bad) await assert.rejects(own.import(bytes), refused(code), name);
  await assert.rejects(readdir(own.folder), { code: 'ENOENT' });
});

test('a secret key whose protection GnuPG cannot read is protected anew; one without is told', async () => {
  const openpgp = await import('openpgp');
  const { privateKey } = await openpgp.generateKey({
    type: 'ecc',
    curve: 'ed25519Legacy',
    userIDs: [{ name: 'Modern' }],
    subkeys: [{ sign: true }],
    passphrase: 'open sesame',
    format: 'binary',
    config: { aeadProtect: true },
  });
  const own = newKeyring();
  await assert.rejects(own.import(privateKey), refused('key.passphrase-missing'));
  await assert.rejects(own.import(privateKey, { given: 'wrong' }), refused('key.passphrase-wrong'));
  assert.deepEqual(await own.list(), []);
  const [imported] = await own.import(privateKey, secret);
  assert.deepEqual([imported?.what, imported?.unprotected], ['secret', undefined]);
  const bytes = await readOwnSecretKey(own.folder, imported?.fingerprint ?? '');
  await assert.rejects(openSecretKey(bytes), refused('key.passphrase-missing'));
  const signer = await openSecretKey(bytes, { passphrase: () => Promise.resolve('open sesame') });
  assert.equal(signer.keyId, imported?.fingerprint);
  const plain = await openpgp.decryptKey({
    privateKey: await openpgp.readPrivateKey({ binaryKey: privateKey }),
    passphrase: 'open sesame',
  });
  assert.equal((await newKeyring().import(plain.write()))[0]?.unprotected, true);
});

test('a write that was cut off after the secret part leaves a key that works', async () => {
  const own = newKeyring();
  const made = await own.generate({ ...request, passphrase: '' });
  await rm(join(own.folder, `${made}.pub.asc`));
  assert.deepEqual(
    (await own.list()).map((key) => [key.fingerprint, key.hasSecret]),
    [[made, true]],
  );
  const certificate = Buffer.from(await own.exportPublic(made, true)).toString();
  assert.match(certificate, /^-----BEGIN PGP PUBLIC KEY BLOCK-----/u);
  await own.delete(made, 'secret');
  assert.deepEqual(
    (await own.list()).map((key) => [key.fingerprint, key.hasSecret]),
    [[made, false]],
  );
});

test('a revocation certificate of another key is refused', async () => {
  const own = newKeyring();
  const other = await own.generate({ ...request, passphrase: '' });
  await writeFile(join(own.folder, `${other}.revoke.asc`), await readRevocation());
  await assert.rejects(own.revoke(other, undefined, {}), refused('key.malformed'));
  assert.equal((await own.list())[0]?.revoked, false);
});

test('deleting takes the secret part, or all; a key that is not there is not found', async () => {
  const own = newKeyring();
  const made = await own.generate({ ...request, passphrase: '' });
  await own.delete(made, 'secret');
  assert.equal((await own.list())[0]?.hasSecret, false);
  await assert.rejects(own.exportSecret(made, true, {}), refused('key.not-found'));
  await assert.rejects(own.delete(made, 'secret'), refused('key.not-found'));
  await own.delete(made, 'all');
  assert.deepEqual(await own.list(), []);
  assert.deepEqual(await readdir(own.folder), []);
  await assert.rejects(own.delete(made, 'all'), refused('key.not-found'));
});

test('a file that holds another key than its name says is an error, not a key', async () => {
  const own = newKeyring();
  const made = await own.generate({ ...request, passphrase: '' });
  await writeFile(join(own.folder, `${made}.pub.asc`), await keyring.exportPublic(fingerprint, true));
  await assert.rejects(own.list(), refused('key.malformed'));
});

test('the folder follows XDG_DATA_HOME where that is absolute', () => {
  assert.equal(ownKeyringFolder({ XDG_DATA_HOME: '/data', HOME: '/home/a' }), '/data/bulla/keys');
  for (const relative of ['', 'data']) {
    const folder = ownKeyringFolder({ XDG_DATA_HOME: relative, HOME: '/home/a' });
    assert.equal(folder, '/home/a/.local/share/bulla/keys');
  }
});

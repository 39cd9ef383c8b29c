import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { BullaError, type ErrorCode } from '../base/errors.ts';
import { utf8 } from '../base/bytes.ts';
import { type StubKey, startVaultStub, type VaultStub } from '../../test/support/vault-stub.ts';
import { openKeyUri, readPublicKeyUri } from './open-key-uri.ts';
import { testSignerContract } from './signer-contract.ts';
import { publicKeyOf, verifySigstoreSignature } from './sigstore/public-key.ts';

const token = 'hvs.secret-token';
let vault: VaultStub;
before(async () => {
  vault = await startVaultStub({ token });
});
after(async () => vault[Symbol.asyncDispose]());

function pair(type: StubKey['type']): KeyObject {
  if (type === 'ed25519') return generateKeyPairSync('ed25519').privateKey;
  if (type === 'rsa-2048') return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const namedCurve = type === 'ecdsa-p384' ? 'secp384r1' : type === 'ecdsa-p521' ? 'secp521r1' : 'prime256v1';
  return generateKeyPairSync('ec', { namedCurve }).privateKey;
}

function idOf(key: KeyObject | undefined): string {
  assert.ok(key !== undefined);
  return publicKeyOf(createPublicKey(key)).keyId;
}

function context(more: Readonly<Record<string, string>> = {}): { env: NodeJS.ProcessEnv } {
  return { env: { VAULT_ADDR: vault.address, VAULT_TOKEN: token, ...more } };
}

/** What is thrown has the code, and shows neither token nor address. */
async function refused(action: Promise<unknown>, code: ErrorCode): Promise<BullaError> {
  const error = await action.then(
    () => assert.fail('nothing was thrown'),
    (why: unknown) => why,
  );
  assert.ok(error instanceof BullaError, String(error));
  assert.equal(error.code, code, error.message);
  const text = `${error.message} ${error.hint ?? ''}`;
  assert.ok(!text.includes(token) && !text.includes(new URL(vault.address).host), text);
  return error;
}

for (const type of ['ecdsa-p256', 'ecdsa-p384', 'ecdsa-p521', 'ed25519', 'rsa-2048'] as const) {
  const key = pair(type);
  testSignerContract(`hashivault, ${type}`, async () => {
    vault.keys.set(type, { type, versions: [key] });
    return { uri: `hashivault://${type}`, context: context(), keyId: idOf(key) };
  });
}

const p256 = pair('ecdsa-p256');
const rotated = pair('ecdsa-p256');

test('what is sent is what cosign sends', async () => {
  vault.keys.set('k', { type: 'ecdsa-p256', versions: [p256] });
  const before = vault.requests.length;
  await using signer = await openKeyUri('hashivault://k', context());
  await signer.sign(utf8('abc'));
  const [read, signed] = vault.requests.slice(before);
  assert.deepEqual([read?.method, read?.path], ['GET', '/v1/transit/keys/k']);
  assert.equal(signed?.path, '/v1/transit/sign/k/sha2-256');
  assert.deepEqual(signed?.body, {
    input: 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
    prehashed: true,
    key_version: 1,
    signature_algorithm: 'pkcs1v15',
    marshaling_algorithm: 'asn1',
  });
});

test('the latest version, or the one named; a rotation in between changes nothing', async () => {
  vault.keys.set('k', { type: 'ecdsa-p256', versions: [p256, rotated] });
  assert.equal((await readPublicKeyUri('hashivault://k', context())).keyId, idOf(rotated));
  assert.equal((await readPublicKeyUri('hashivault://k?version=1', context())).keyId, idOf(p256));
  await refused(openKeyUri('hashivault://k?version=3', context()), 'key.not-found');
  await using signer = await openKeyUri('hashivault://k', context());
  vault.keys.set('k', { type: 'ecdsa-p256', versions: [p256, rotated, pair('ecdsa-p256')] });
  assert.ok(verifySigstoreSignature(signer.publicKey, utf8('m'), await signer.sign(utf8('m'))));
  assert.equal(signer.keyId, idOf(rotated));
});

test('openbao:// reads BAO_ first, hashivault:// VAULT_ first', async () => {
  vault.keys.set('k', { type: 'ecdsa-p256', versions: [p256] });
  const env = {
    BAO_ADDR: vault.address,
    BAO_TOKEN: token,
    VAULT_ADDR: 'http://127.0.0.1:9',
    VAULT_TOKEN: 'x',
  };
  assert.equal((await readPublicKeyUri('openbao://k', { env })).keyId, idOf(p256));
  await refused(readPublicKeyUri('hashivault://k', { env }), 'http.failed');
  const only = { BAO_ADDR: vault.address, BAO_TOKEN: token };
  assert.equal((await readPublicKeyUri('hashivault://k', { env: only })).keyId, idOf(p256));
});

test('the token of ~/.vault-token, another mount, a namespace', async () => {
  const home = await mkdtemp(join(tmpdir(), 'bulla-vault-'));
  await using other = await startVaultStub({ token, mount: 'a/b', namespace: 'team' });
  other.keys.set('k', { type: 'ecdsa-p256', versions: [p256] });
  await writeFile(join(home, '.vault-token'), `${token}\n`);
  const env = {
    HOME: home,
    VAULT_ADDR: `${other.address}/`,
    TRANSIT_SECRET_ENGINE_PATH: '/a/b/',
    VAULT_NAMESPACE: 'team',
  };
  assert.equal((await readPublicKeyUri('hashivault://k', { env })).keyId, idOf(p256));
  await refused(readPublicKeyUri('hashivault://k', { env: { ...env, VAULT_NAMESPACE: '' } }), 'key.unusable');
  await refused(
    readPublicKeyUri('hashivault://k', { env: { ...env, TRANSIT_SECRET_ENGINE_PATH: 'a/../b' } }),
    'usage.invalid',
  );
  await rm(home, { recursive: true });
});

test('what is missing is named, and no secret with it', async () => {
  const at = { env: { VAULT_ADDR: vault.address } };
  await refused(openKeyUri('hashivault://k', { env: { VAULT_TOKEN: token } }), 'key.not-found');
  await refused(openKeyUri('hashivault://k', at), 'key.unusable');
  await refused(
    openKeyUri('hashivault://k', context({ VAULT_TOKEN: 'hvs.secret-token\r\nx: y' })),
    'key.unusable',
  );
  await refused(openKeyUri('hashivault://k', context({ VAULT_TOKEN: 'other' })), 'key.unusable');
  await refused(openKeyUri('hashivault://nothing', context()), 'key.not-found');
  await refused(openKeyUri('hashivault://k', context({ VAULT_ADDR: 'ftp://x' })), 'http.url-refused');
  await refused(openKeyUri('hashivault://k', context({ VAULT_ADDR: `https://${token}@x` })), 'usage.invalid');
  for (const name of ['', 'a/b', '-a', 'a?version=0', 'a?version=01', 'a?x=1', '..', 'a%2fb', 'a\n']) {
    await refused(openKeyUri(`hashivault://${name}`, context()), 'usage.invalid');
  }
  vault.keys.set('aes', { type: 'aes256-gcm96', versions: [p256] });
  await refused(openKeyUri('hashivault://aes', context()), 'key.unusable');
});

test('a server that lies, or is none', async (t) => {
  vault.keys.set('k', { type: 'ecdsa-p256', versions: [p256] });
  await using signer = await openKeyUri('hashivault://k', context());
  t.after(() => {
    vault.intercept = undefined;
  });
  const answers: readonly (readonly [number, string, ErrorCode])[] = [
    [200, 'no JSON', 'key.unusable'],
    [200, '{"data":{}}', 'key.unusable'],
    [200, '{"data":{"signature":"vault:v1:AAAA"}}', 'key.unusable'],
    [200, '{"data":{"signature":"vault:v2:AAAA"}}', 'key.unusable'],
    [200, '{"data":{"signature":"vault:v1:AA"}}', 'key.unusable'],
    [200, '{"data":{"signature":"vault:v1:AAAA"},"data":{}}', 'key.unusable'],
    [307, '', 'key.unusable'],
    [400, '{"errors":["no"]}', 'key.unusable'],
    [503, '{"errors":["Vault is sealed"]}', 'http.failed'],
    [200, `{"data":"${'x'.repeat(2_000_000)}"}`, 'http.too-large'],
  ];
  for (const [status, body, code] of answers) {
    vault.intercept = () => ({ status, body });
    const error = await signer.sign(utf8('m')).then(
      () => assert.fail(body),
      (why: unknown) => why,
    );
    assert.ok(error instanceof BullaError);
    assert.equal(error.code, code, body.slice(0, 60));
    assert.ok(!error.message.includes(token));
  }
  // the right form, by a key that is not the one it showed
  vault.intercept = undefined;
  vault.keys.set('k', { type: 'ecdsa-p256', versions: [rotated] });
  await refused(signer.sign(utf8('m')), 'key.unusable');
  await refused(signer.signForBundle(utf8('m')), 'key.unusable');
});

test('Ed25519ph is not to be had there', async () => {
  vault.keys.set('ed', { type: 'ed25519', versions: [pair('ed25519')] });
  await using signer = await openKeyUri('hashivault://ed', context());
  await refused(signer.signForBundle(utf8('m'), { prehashed: true }), 'key.unusable');
});

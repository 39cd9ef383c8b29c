import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { BullaError } from '../base/errors.ts';
import { isKeyUri, openKeyUri, readPublicKeyUri } from './open-key-uri.ts';
import { testSignerContract } from './signer-contract.ts';
import { freeKeyFiles, type KeyFiles, writeKeyFiles } from './sigstore/key-files.ts';
import { makeKeyPair } from './sigstore/private-key.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-key-uri-'));
after(() => rmSync(folder, { recursive: true }));

const pair = makeKeyPair('ecdsa-p256');
let written: Promise<KeyFiles> | undefined;
function files(): Promise<KeyFiles> {
  written ??= (async () => {
    const paths = await freeKeyFiles(join(folder, 'a key'));
    await writeKeyFiles(paths, pair, 'secret');
    return paths;
  })();
  return written;
}
const keyId = pair.publicKey.keyId;
const env = { COSIGN_PASSWORD: 'secret' };

testSignerContract('a path', async () => {
  const { private: uri, public: publicUri } = await files();
  return { uri, publicUri, context: { env }, keyId };
});

testSignerContract('env://', async () => {
  const paths = await files();
  const [KEY, PUB] = [await readFile(paths.private, 'utf8'), await readFile(paths.public, 'utf8')];
  return { uri: 'env://KEY', publicUri: 'env://PUB', context: { env: { ...env, KEY, PUB } }, keyId };
});

test('file: with a path or as a URL', async () => {
  const { public: path, private: secret } = await files();
  for (const uri of [
    `file:${path}`,
    pathToFileURL(path).href,
    pathToFileURL(path).href.replace('file', 'FILE'),
  ]) {
    assert.equal((await readPublicKeyUri(uri, { env })).keyId, keyId, uri);
  }
  await using signer = await openKeyUri(pathToFileURL(secret).href, { env });
  assert.equal(signer.keyId, keyId);
});

test('what names no key', async () => {
  const { private: path } = await files();
  const context = { env: { ...env, EMPTY: '', KEY: await readFile(path, 'utf8') } };
  for (const [uri, code] of [
    ['env://MISSING', 'key.not-found'],
    ['env://EMPTY', 'key.not-found'],
    ['env://$KEY', 'usage.invalid'],
    ['env://', 'usage.invalid'],
    ['env://KEY/x', 'usage.invalid'],
    ['file://other-host/x', 'usage.invalid'],
    ['https://user:secret@example.com/key.pub?secret', 'usage.invalid'],
    [join(folder, 'nothing'), 'key.not-found'],
  ] as const) {
    const error = await openKeyUri(uri, context).then(
      () => assert.fail(uri),
      (why: unknown) => why,
    );
    assert.ok(error instanceof BullaError && error.code === code, `${uri}: ${String(error)}`);
    assert.ok(!String(error).includes('secret'));
  }
  // a private key vouches for nothing
  await assert.rejects(readPublicKeyUri('env://KEY', context), { code: 'key.unusable' });
  await assert.rejects(openKeyUri('env://KEY', { env: { ...context.env, COSIGN_PASSWORD: 'x' } }), {
    code: 'key.passphrase-wrong',
  });
});

test('a scheme is told from a path', () => {
  for (const uri of ['env://A', 'PKCS11:object=a', 'file:a', 'ovhkms://x', 'hashivault://k', 'https://x']) {
    assert.ok(isKeyUri(uri), uri);
  }
  for (const path of ['cosign.key', '/a:b', './a://b', 'c:x', 'a b://c', ''])
    assert.ok(!isKeyUri(path), path);
});

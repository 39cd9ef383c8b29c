import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { encodePem } from '../../keys/sigstore/pem.ts';
import { makeKeyPair } from '../../keys/sigstore/private-key.ts';
import { readGivenKeys } from './keys.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-judge-keys-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
function file(...parts: readonly (Uint8Array | string)[]): string {
  const path = join(folder, `${(count += 1)}`);
  writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array))));
  return path;
}

const key = makeKeyPair('ecdsa-p256').publicKey;
const pem = Buffer.from(encodePem('PUBLIC KEY', key.spki)).toString();
const armorHead = '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n';
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

test('a PEM public key, with text around it and with CRLF, is sigstore’s', async () => {
  const paths = [file(pem), file('release key\n', pem, '\nend\n'), file(pem.replaceAll('\n', '\r\n'))];
  const { sigstore = [], keyring } = await readGivenKeys(paths);
  deepEqual(
    sigstore.map(({ keyId }) => keyId),
    [key.keyId, key.keyId, key.keyId],
  );
  equal(keyring, undefined);
});

test('what looks like OpenPGP is read as such and as nothing else', async () => {
  await rejects(readGivenKeys([file(armorHead)]), code('key.malformed'));
  await rejects(readGivenKeys([file(Uint8Array.of(0x99, 1))]), code('key.malformed'));
});

test('two kinds, or two PEM blocks, in one file are refused', async () => {
  await rejects(readGivenKeys([file(armorHead, pem)]), code('key.malformed'));
  await rejects(readGivenKeys([file(pem, armorHead)]), code('key.malformed'));
  await rejects(readGivenKeys([file(pem, pem)]), code('key.malformed'));
  const certificate = Buffer.from(encodePem('CERTIFICATE', key.spki)).toString();
  await rejects(readGivenKeys([file(pem, certificate)]), code('key.malformed'));
});

test('no key at all, another PEM, no file', async () => {
  await rejects(readGivenKeys([file('')]), code('key.none'));
  await rejects(readGivenKeys([file('{"default":[]}')]), code('key.none'));
  await rejects(readGivenKeys([file(encodePem('CERTIFICATE', key.spki))]), code('key.unusable'));
  await rejects(readGivenKeys([join(folder, 'none')]), code('io.not-found'));
});

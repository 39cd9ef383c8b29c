import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import type { ErrorCode } from '../base/errors.ts';
import { openKeyUri, readPublicKeyUri } from './open-key-uri.ts';
import { testSignerContract } from './signer-contract.ts';
import { publicKeyOf, verifySigstoreSignature } from './sigstore/public-key.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bulla-plugin-'));
  await writeFile(join(folder, 'sigstore-kms-test'), plugin);
  await chmod(join(folder, 'sigstore-kms-test'), 0o755);
});
after(async () => rm(folder, { recursive: true }));

/** A plugin as sigstore's documentation describes one: a key for each name, in files; it notes how it was called. */
const plugin = `#!${process.execPath}
const { createHash, createPrivateKey, createPublicKey, sign } = require('node:crypto');
const { appendFileSync, readFileSync } = require('node:fs');
const [version, json] = process.argv.slice(2);
const args = JSON.parse(json);
appendFileSync(process.env.CALLS, JSON.stringify({ version, args }) + '\\n');
const input = readFileSync(0);
const answer = (it) => process.stdout.write(JSON.stringify(it));
const { keyResourceID, hashFunc } = args.initOptions;
const hash = { 0: null, 5: 'sha256', 6: 'sha384', 7: 'sha512' }[args.signMessage?.signOptions.messageOptions.hashFunc ?? hashFunc];
const lies = {
  silent: () => {},
  text: () => process.stdout.write('hello'),
  array: () => answer([]),
  empty: () => answer({}),
  error: () => answer({ errorMessage: 'no such key\\u001b[31m' }),
  fails: () => { answer({ errorMessage: 'broken' }); process.exitCode = 7; },
  base64: () => answer({ publicKey: { publicKeyPEM: '*' } }),
  'no-key': () => answer({ publicKey: { publicKeyPEM: Buffer.from('x').toString('base64') } }),
  flood: () => process.stdout.write('x'.repeat(5_000_000)),
  twice: () => process.stdout.write('{"publicKey":{"publicKeyPEM":"AAAA","publicKeyPEM":"AAAA"}}'),
};
if (keyResourceID in lies) lies[keyResourceID]();
else {
  const key = createPrivateKey(readFileSync(keyResourceID.replace('liar:', '')));
  if (args.methodName === 'publicKey') {
    const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' });
    answer({ publicKey: { publicKeyPEM: Buffer.from(pem).toString('base64') } });
    process.exitCode = 1; // says nothing
  } else if (args.methodName === 'signMessage') {
    const data = keyResourceID.startsWith('liar:') ? Buffer.concat([input, input]) : input;
    answer({ signMessage: { signature: sign(hash, data, key).toString('base64') } });
  } else answer({ errorMessage: 'unknown method' });
}
`;

function context(): { env: NodeJS.ProcessEnv } {
  return { env: { PATH: folder, CALLS: join(folder, 'calls') } };
}

async function refused(action: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(action, { name: 'BullaError', code });
}

const kinds = {
  'P-256': () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  'P-384': () => generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  RSA: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  Ed25519: () => generateKeyPairSync('ed25519'),
} as const;

async function newKey(kind: keyof typeof kinds): Promise<{ path: string; keyId: string }> {
  const { privateKey } = kinds[kind]();
  const path = join(folder, `${kind}.pem`);
  await writeFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { path, keyId: publicKeyOf(createPublicKey(privateKey)).keyId };
}

for (const kind of ['P-384', 'RSA', 'Ed25519'] as const) {
  testSignerContract(`plugin, ${kind}`, async () => {
    const { path, keyId } = await newKey(kind);
    return { uri: `test://${path}`, context: context(), keyId };
  });
}

test('the program is called as cosign calls it', async () => {
  const { path } = await newKey('P-256');
  await writeFile(join(folder, 'calls'), '');
  await using signer = await openKeyUri(`test://${path}`, context());
  await signer.sign(utf8('abc'));
  const calls = (await readFile(join(folder, 'calls'), 'utf8')).trim().split('\n').map(parse);
  const [first, second] = calls;
  assert.equal(calls.length, 2);
  assert.equal(first?.version, '1');
  const { ctxDeadline, ...init } = first.args['initOptions'] as Record<string, unknown>;
  assert.match(String(ctxDeadline), /^20\d\d-\d\d-\d\dT[\d:.]+Z$/);
  // interface_test.go of the protocol; 5 is Go's number of SHA-256
  assert.deepEqual(init, { protocolVersion: '1', keyResourceID: path, hashFunc: 5 });
  assert.equal(first.args['methodName'], 'publicKey');
  assert.deepEqual(second?.args['signMessage'], {
    signOptions: { rpcOptions: { remoteVerification: false }, messageOptions: { hashFunc: 5 } },
  });
});

function parse(line: string): { version: string; args: Record<string, unknown> } {
  return JSON.parse(line) as { version: string; args: Record<string, unknown> };
}

test('a plugin that fails, babbles or lies', async () => {
  for (const key of ['silent', 'text', 'array', 'empty', 'error', 'fails', 'base64', 'twice']) {
    await refused(openKeyUri(`test://${key}`, context()), 'key.unusable');
  }
  await refused(openKeyUri('test://no-key', context()), 'key.none');
  await refused(openKeyUri('test://flood', context()), 'process.output-too-large');
  await assert.rejects(openKeyUri('test://error', context()), { message: /no such key\\u001b\[31m/ });
  const { path } = await newKey('P-256');
  await using signer = await openKeyUri(`test://liar:${path}`, context());
  await refused(signer.sign(utf8('m')), 'key.unusable');
  assert.ok(!verifySigstoreSignature(signer.publicKey, utf8('m'), new Uint8Array(70)));
});

test('where there is no plugin its name is said', async () => {
  for (const scheme of ['awskms', 'gcpkms', 'azurekms', 'k8s', 'gitlab', 'ovhkms']) {
    for (const open of [openKeyUri, readPublicKeyUri]) {
      await assert.rejects(open(`${scheme}://a/b`, { env: { PATH: dirname(folder) } }), {
        code: 'key.not-found',
        message: new RegExp(`sigstore-kms-${scheme}`),
      });
    }
  }
  await refused(openKeyUri('test://', context()), 'usage.invalid');
});

/** Keys on a real PKCS#11 token (SoftHSM), made by OpenSC's pkcs11-tool; what they sign is verified by cosign 2.5. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Module } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestOptions } from 'node:test';

import { BullaError } from '../../src/base/errors.ts';
import { openKeyUri, readPublicKeyUri } from '../../src/keys/open-key-uri.ts';
import { testSignerContract } from '../../src/keys/signer-contract.ts';
import { encodePem } from '../../src/keys/sigstore/pem.ts';
import { parseSigstorePublicKey } from '../../src/keys/sigstore/public-key.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { needs, openBench, peersAreRequired } from '../support/peers.ts';

const pin = '271828';
const folders = [process.env['BULLA_PEERS'], join(homedir(), '.cache', 'bulla-peers')].filter(
  (each) => each !== undefined,
);
const peers = folders.find((each) => existsSync(join(each, 'lib', 'libsofthsm2.so')));
const missing = 'SoftHSM and pkcs11js are missing: run scripts/install-peers.sh softhsm';
if (peers === undefined && peersAreRequired) throw new Error(missing);
const options: TestOptions = peers === undefined ? { skip: missing } : {};

const folder = mkdtempSync(join(tmpdir(), 'bulla-pkcs11-'));
after(() => rmSync(folder, { recursive: true }));
const module = join(peers ?? '', 'lib', 'libsofthsm2.so');
const configuration = join(folder, 'softhsm2.conf');
const env = {
  ...process.env,
  SOFTHSM2_CONF: configuration,
  COSIGN_PKCS11_PIN: pin,
  COSIGN_PKCS11_MODULE_PATH: module,
};

const kinds = [
  { label: 'p256', type: 'EC:prime256v1', id: '01' },
  { label: 'p384', type: 'EC:secp384r1', id: '02' },
  { label: 'rsa', type: 'rsa:2048', id: '03' },
] as const;

if (peers !== undefined) {
  mkdirSync(join(folder, 'tokens'));
  writeFileSync(configuration, `directories.tokendir = ${folder}/tokens\nobjectstore.backend = file\n`);
  // the module reads this when it starts, in this process
  process.env['SOFTHSM2_CONF'] = configuration;
  process.env['NODE_PATH'] = join(peers, 'node_modules');
  // Node reads NODE_PATH when it starts; this makes it look again
  (Module as unknown as { _initPaths(): void })._initPaths();
}

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(join(peers ?? '', 'bin', program), ['--module', module, ...args], {
    env: { ...env, PIN: pin },
    stdio: ['ignore', 'pipe', 'ignore'],
    encoding: 'utf8',
  });
}

let made = false;
/** The token with its keys, once; gives the URI of one. */
function uriOf(label: string, more = ''): string {
  if (!made) {
    run(
      'softhsm2-util',
      '--init-token',
      '--free',
      '--label',
      'bulla test',
      '--pin',
      pin,
      '--so-pin',
      '31415926',
    );
    for (const { type, id, label: name } of kinds) {
      run('pkcs11-tool', ...asUser, '--keypairgen', '--key-type', type, '--id', id, '--label', name);
    }
  }
  made = true;
  return `pkcs11:token=bulla%20test;object=${label}${more}`;
}
const asUser = ['--token-label', 'bulla test', '--login', '--pin', 'env:PIN'];

/** As OpenSC exports it. Its release in Debian 12 exports no P-384 key, but prints it: RFC 5480 around the point. */
function exportedKey(label: string): Uint8Array {
  uriOf(label);
  if (label === 'p384') {
    const printed = run('pkcs11-tool', ...asUser, '--list-objects', '--type', 'pubkey', '--label', label);
    const point = /EC_POINT:\s+0461([0-9a-f]{194})\s/.exec(printed)?.[1] ?? '';
    return encodePem(
      'PUBLIC KEY',
      Buffer.from(`3076301006072a8648ce3d020106052b81040022036200${point}`, 'hex'),
    );
  }
  const file = join(folder, `${label}.der`);
  run('pkcs11-tool', ...asUser, '--read-object', '--type', 'pubkey', '--label', label, '--output-file', file);
  return encodePem('PUBLIC KEY', new Uint8Array(readFileSync(file)));
}

for (const { label } of kinds) {
  testSignerContract(
    `SoftHSM, ${label}`,
    async () => {
      const { keyId } = parseSigstorePublicKey(exportedKey(label));
      return { uri: uriOf(label), context: { env }, keyId };
    },
    options,
  );
}

test('cosign verifies what the token signed', { ...options, ...needs('cosign2') }, async () => {
  await using bench = await openBench();
  const artifact = new Uint8Array(Buffer.from('an artifact'));
  writeFileSync(bench.path('artifact'), artifact);
  for (const { label } of kinds) {
    writeFileSync(bench.path('key.pub'), exportedKey(label));
    await using signer = await openKeyUri(uriOf(label), { env });
    writeFileSync(bench.path('signature'), Buffer.from(await signer.sign(artifact)).toString('base64'));
    const args = [
      'verify-blob',
      '--key',
      'key.pub',
      '--signature',
      'signature',
      '--insecure-ignore-tlog=true',
    ];
    await bench.ok('cosign2', [...args, 'artifact']);
    writeFileSync(bench.path('other'), 'another artifact');
    assert.notEqual((await bench.run('cosign2', [...args, 'other'])).exitCode, 0);
  }
});

test(
  'an image is signed by a token and verified by cosign',
  {
    ...options,
    ...needs('cosign2', 'docker-registry'),
  },
  async () => {
    await using bench = await openBench();
    const registry = await startRegistry(bench);
    const { digest } = await writeOciImage(bench.path('image'));
    const image = `${registry.host}/ns/app@${digest}`;
    const insecure = '--tls-verify=false';
    await bench.bulla(['push', insecure, `oci:${bench.path('image')}`, `docker://${registry.host}/ns/app:1`]);
    const uri = uriOf('p256');
    writeFileSync(bench.path('key.pub'), exportedKey('p256'));
    const more = { ...env, NODE_PATH: process.env['NODE_PATH'] };
    const signed = await bench.bulla(['sign', insecure, '--key', uri, `docker://${image}`], { env: more });
    assert.equal(signed.exitCode, 0, signed.stderr);
    assert.ok(!`${signed.stdout}${signed.stderr}`.includes(pin));
    await bench.ok('cosign2', ['verify', '--key', 'key.pub', '--insecure-ignore-tlog=true', image]);
    const verified = await bench.bulla(['verify', insecure, '--key', uri, `docker://${image}`], {
      env: more,
    });
    assert.equal(verified.exitCode, 0, verified.stderr);
  },
);

test('the key is found by its id, the PIN in a file or asked for', options, async () => {
  uriOf('p256');
  const { COSIGN_PKCS11_PIN: _none, ...without } = env;
  const pinFile = join(folder, 'pin');
  writeFileSync(pinFile, `${pin}\n`);
  const { keyId } = parseSigstorePublicKey(exportedKey('p384'));
  for (const [uri, context] of [
    [`pkcs11:token=bulla%20test;id=%02?pin-source=${pinFile}`, { env: without }],
    [`pkcs11:id=%02;object=p384?pin-source=file://${pinFile}`, { env: without }],
    [`pkcs11:id=%02?pin-value=${pin}`, { env: without }],
    ['pkcs11:id=%02', { env: without, passphrase: { ask: async () => pin } }],
    ['pkcs11:id=%02', { env: without, passphrase: { given: pin } }],
  ] as const) {
    await using signer = await openKeyUri(uri, context);
    assert.equal(signer.keyId, keyId, uri);
  }
  // a public key needs no PIN
  assert.equal((await readPublicKeyUri('pkcs11:id=%02', { env: without })).keyId, keyId);
});

test('what the token has not, or refuses', options, async () => {
  const { COSIGN_PKCS11_PIN: _none, ...without } = env;
  for (const [uri, context, code] of [
    [uriOf('nothing'), { env }, 'key.not-found'],
    ['pkcs11:token=other;object=p256', { env }, 'key.not-found'],
    ['pkcs11:slot-id=1;object=p256', { env }, 'key.not-found'],
    [uriOf('p256'), { env: without }, 'key.passphrase-missing'],
    [uriOf('p256', '?pin-source=|cat'), { env }, 'usage.unsupported'],
    [uriOf('p256', '?pin-value=999999'), { env }, 'key.passphrase-wrong'],
    [uriOf('p256', '?module-path=/nothing.so'), { env }, 'key.unusable'],
  ] as const) {
    const error = await openKeyUri(uri, context).then(
      () => assert.fail(uri),
      (why: unknown) => why,
    );
    assert.ok(error instanceof BullaError && error.code === code, `${uri}: ${String(error)}`);
    assert.ok(!`${error.message} ${error.hint ?? ''}`.includes('999999'));
  }
  // two keys of one name are one too many
  run(
    'pkcs11-tool',
    ...asUser,
    '--keypairgen',
    '--key-type',
    'EC:prime256v1',
    '--id',
    '0a',
    '--label',
    'twin',
  );
  run(
    'pkcs11-tool',
    ...asUser,
    '--keypairgen',
    '--key-type',
    'EC:prime256v1',
    '--id',
    '0b',
    '--label',
    'twin',
  );
  await assert.rejects(openKeyUri(uriOf('twin'), { env }), { code: 'key.ambiguous' });
  await using signer = await openKeyUri(uriOf('twin', ';id=%0b'), { env });
  assert.equal(signer.publicKey.algorithm, 'ecdsa');
});

test('without pkcs11js the error says how to install it', async () => {
  const script = `
    const { openKeyUri } = await import(${JSON.stringify(import.meta.resolve('../../src/keys/open-key-uri.ts'))});
    await openKeyUri('pkcs11:object=a?module-path=/a.so', { env: {} }).catch((e) => console.log(e.code, e.hint));`;
  const { NODE_PATH: _none, ...rest } = process.env;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    env: rest,
    encoding: 'utf8',
  });
  assert.match(out, /^usage\.unsupported .*npm install pkcs11js/);
});

import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { isBullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { setTrust, type SetTrustRequest, type TrustSet } from './set.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-trust-'));
after(() => rmSync(folder, { recursive: true }));
let count = 0;

function newFile(text?: string): string {
  const file = join(folder, `policy-${count++}.json`);
  if (text !== undefined) writeFileSync(file, text);
  return file;
}

const rejecting = '{"default":[{"type":"reject"}]}';
const environment = { env: {}, home: folder, uid: 1000, etc: folder, share: folder };

function set(file: string, more: Partial<SetTrustRequest>): Promise<TrustSet> {
  return setTrust({
    file,
    environment,
    cwd: folder,
    target: { name: 'r.x/a' },
    type: 'reject',
    keyFiles: [],
    ...more,
  });
}

function content(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}

before(async () => {
  const openpgp = await import('openpgp');
  const { publicKey } = await openpgp.generateKey({
    type: 'ecc',
    curve: 'ed25519Legacy',
    userIDs: [{ name: 'a' }],
  });
  writeFileSync(join(folder, 'a.asc'), publicKey);
  writeFileSync(join(folder, 'b.asc'), publicKey);
  const pair = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(join(folder, 'c.pub'), pair.publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(join(folder, 'c.key'), pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
});

test('each key file is a requirement of its own; --any-of makes one of them all; paths become absolute', async () => {
  const file = newFile(rejecting);
  await set(file, { type: 'signedBy', keyFiles: ['a.asc', 'b.asc'], identity: { type: 'matchRepository' } });
  const [a, b] = [join(folder, 'a.asc'), join(folder, 'b.asc')];
  const signedBy = { type: 'signedBy', keyType: 'GPGKeys' };
  const signedIdentity = { type: 'matchRepository' };
  assert.deepEqual(content(file), {
    default: [{ type: 'reject' }],
    transports: {
      docker: {
        'r.x/a': [
          { ...signedBy, keyPath: a, signedIdentity },
          { ...signedBy, keyPath: b, signedIdentity },
        ],
      },
    },
  });
  await set(file, { type: 'signedBy', keyFiles: ['a.asc', 'b.asc'], anyOf: true });
  assert.deepEqual(content(file), {
    default: [{ type: 'reject' }],
    transports: { docker: { 'r.x/a': [{ ...signedBy, keyPaths: [a, b] }] } },
  });
  await set(file, { type: 'sigstoreSigned', keyFiles: ['c.pub'], target: 'default' });
  assert.deepEqual((content(file) as { default: unknown }).default, [
    { type: 'sigstoreSigned', keyPath: join(folder, 'c.pub') },
  ]);
});

const refused: readonly (readonly [
  string,
  Partial<SetTrustRequest>,
  'usage.invalid' | 'key.none' | 'key.malformed',
])[] = [
  ['signedBy without a key', { type: 'signedBy' }, 'usage.invalid'],
  ['reject with a key', { keyFiles: ['a.asc'] }, 'usage.invalid'],
  ['accept with an identity', { type: 'accept', identity: { type: 'matchExact' } }, 'usage.invalid'],
  ['a key file that is not there', { type: 'signedBy', keyFiles: ['no.asc'] }, 'usage.invalid'],
  ['an OpenPGP key for sigstore', { type: 'sigstoreSigned', keyFiles: ['a.asc'] }, 'key.malformed'],
  ['a private key for sigstore', { type: 'sigstoreSigned', keyFiles: ['c.key'] }, 'key.malformed'],
  ['a scope that never applies', { target: { name: 'busybox' } }, 'usage.invalid'],
  ['a scope that its transport has not', { target: { name: 'a', transport: 'oci' } }, 'usage.invalid'],
  [
    'an identity that is none',
    { type: 'signedBy', keyFiles: ['a.asc'], identity: { type: 'exactReference', dockerReference: 'a' } },
    'usage.invalid',
  ],
];

for (const [what, more, code] of refused) {
  test(`${what} is refused and nothing is written`, async () => {
    const file = newFile(rejecting);
    await assert.rejects(set(file, more), (error) => isBullaError(error, code));
    assert.equal(readFileSync(file, 'utf8'), rejecting);
    assert.ok(!existsSync(`${file}.bulla-lock`));
  });
}

test('a PEM key is no OpenPGP keyring', async () => {
  const file = newFile(rejecting);
  await assert.rejects(set(file, { type: 'signedBy', keyFiles: ['c.pub'] }), (error) => isBullaError(error));
  assert.equal(readFileSync(file, 'utf8'), rejecting);
});

test('a malformed policy is not edited', async () => {
  const file = newFile('{"default":[]}');
  await assert.rejects(set(file, {}), (error) => isBullaError(error, 'policy.malformed'));
  assert.equal(readFileSync(file, 'utf8'), '{"default":[]}');
});

test('a missing file is made only when asked for, or to hold a default', async () => {
  const file = newFile();
  await assert.rejects(set(file, {}), (error) => isBullaError(error, 'policy.not-found'));
  assert.ok(!existsSync(file));
  assert.deepEqual(await set(file, { create: true }), {
    file,
    created: true,
    transport: 'docker',
    replaced: false,
  });
  assert.deepEqual(content(file), {
    default: [{ type: 'reject' }],
    transports: { docker: { 'r.x/a': [{ type: 'reject' }] } },
  });
  const other = newFile();
  await set(other, { target: 'default', type: 'accept' });
  assert.deepEqual(content(other), { default: [{ type: 'insecureAcceptAnything' }] });
});

test('without any policy, the user’s own is made when asked for', async () => {
  const home = join(folder, 'home');
  const unnamed: SetTrustRequest = {
    environment: { ...environment, home },
    cwd: folder,
    target: { name: 'r.x/a' },
    type: 'reject',
    keyFiles: [],
  };
  await assert.rejects(setTrust(unnamed), (error) => isBullaError(error, 'policy.not-found'));
  const { file, created } = await setTrust({ ...unnamed, create: true });
  assert.equal(file, join(home, '.config/containers/policy.json'));
  assert.ok(created);
  assert.equal((await setTrust(unnamed)).created, false);
});

test('mode and symbolic links are kept', async () => {
  const file = newFile(rejecting);
  rmSync(file);
  writeFileSync(file, rejecting, { mode: 0o600 });
  const link = newFile();
  symlinkSync(file, link);
  await set(link, {});
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, 'utf8'), /r\.x\/a/);
});

test('many edits at once lose none', async () => {
  const file = newFile(rejecting);
  const names = Array.from({ length: 25 }, (_, index) => `r.x/n${index}`);
  await Promise.all(names.map((name) => set(file, { target: { name } })));
  const { transports } = content(file) as { transports: { docker: Record<string, unknown> } };
  assert.deepEqual(Object.keys(transports.docker).toSorted(), names.toSorted());
});

test('the lock of a process that is gone does not stop an edit', async () => {
  const file = newFile(rejecting);
  // no process has this number: it is above the kernel's limit
  writeFileSync(`${file}.bulla-lock`, '99999999\n');
  await set(file, {});
  assert.match(readFileSync(file, 'utf8'), /r\.x\/a/);
  assert.ok(!existsSync(`${file}.bulla-lock`));
});

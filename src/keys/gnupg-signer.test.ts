/** A gpg that says what a test wants; the real ones are in test/interop. */
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { findGnupg, type Gnupg, hasKeyring } from './gnupg-process.ts';
import { openGnupgSigner } from './gnupg-signer.ts';
import type { KeyInfo } from './key-info.ts';
import { openSigner } from './open-signer.ts';
import { openOwnKeyring, ownKeyringFolder } from './own-keyring.ts';

const root = await mkdtemp(join(tmpdir(), 'bulla-gpg-'));
after(() => rm(root, { recursive: true, force: true }));

const fingerprint = '78A0C63A50158A4D9F437C7889E505D24C94E86C';
const key: KeyInfo = {
  fingerprint,
  userIds: [],
  algorithm: 'ed25519',
  created: new Date(0),
  revoked: false,
  canSign: true,
  hasSecret: true,
  source: 'gnupg',
  subkeys: [],
};

let count = 0;
/** A folder with a program `gpg` that notes its arguments in `calls` and runs `script`. */
async function fakeGpg(script: string): Promise<{ gnupg: Gnupg; folder: string; env: NodeJS.ProcessEnv }> {
  const folder = join(root, String((count += 1)));
  await mkdir(join(folder, 'bin'), { recursive: true });
  const program = join(folder, 'bin', 'gpg');
  await writeFile(program, `#!/bin/sh\necho "$*" >> '${folder}/calls'\n${script}\n`);
  await chmod(program, 0o755);
  const env = { PATH: `${join(folder, 'bin')}:/usr/bin:/bin`, HOME: folder, GPG_TTY: '' };
  return { gnupg: findGnupg(env), folder, env };
}

const status = (line: string): string => `echo '[GNUPG:] ${line}' >&2`;
const created = status(`SIG_CREATED S 22 8 00 1795351020 ${fingerprint}`);
const onePass = String.raw`printf '\220\015'`;

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isBullaError(error, code);
}

test('one signature of one key, in one process, by a passphrase that is not among the arguments', async () => {
  const script = `here="\${0%/bin/gpg}"; cat > "$here/payload"; read -r secret <&3; echo "$secret" > "$here/secret"`;
  const { gnupg, folder } = await fakeGpg(`${script}; ${onePass}; ${created}`);
  const signed = await openGnupgSigner(gnupg, key, { passphrase: 'open sesame' }).sign(utf8('payload'));
  assert.deepEqual([...signed], [0x90, 0x0d]);
  assert.equal(await readFile(join(folder, 'payload'), 'utf8'), 'payload');
  assert.equal(await readFile(join(folder, 'secret'), 'utf8'), 'open sesame\n');
  const calls = await readFile(join(folder, 'calls'), 'utf8');
  assert.equal(calls.trimEnd().split('\n').length, 1);
  assert.match(calls, new RegExp(`--local-user ${fingerprint} --sign`, 'u'));
  assert.doesNotMatch(calls, /sesame/u);
});

test('a subkey that is named signs, and no other', async () => {
  const { gnupg, folder } = await fakeGpg(`${onePass}; ${created}`);
  await openGnupgSigner(gnupg, key, { subkey: 'AAAAAAAAAAAAAAAA' }).sign(utf8('payload'));
  assert.match(await readFile(join(folder, 'calls'), 'utf8'), /--local-user AAAAAAAAAAAAAAAA! /u);
});

const failures: readonly [string, string, ErrorCode][] = [
  ['two signers', `${onePass}; ${created}; ${created}`, 'key.unusable'],
  ['a detached signature', `${onePass}; ${created.replace('CREATED S', 'CREATED D')}`, 'key.unusable'],
  ['no signature', onePass, 'key.unusable'],
  ['armor', `echo -----BEGIN; ${created}`, 'key.unusable'],
  ['a compressed message', `${onePass.replace('220', '243')}; ${created}`, 'key.unusable'],
  ['nothing', created, 'key.unusable'],
  ['a wrong passphrase', `${status('FAILURE sign 67108875')}; exit 2`, 'key.passphrase-wrong'],
  ['no pinentry', `${status('FAILURE sign 67108949')}; exit 2`, 'key.passphrase-missing'],
  ['a pinentry without a terminal', `${status('FAILURE sign 83918950')}; exit 2`, 'key.passphrase-missing'],
  ['a cancelled pinentry', `${status('FAILURE sign 83886179')}; exit 2`, 'key.passphrase-missing'],
  ['an expired key', `${status(`INV_SGNR 5 ${fingerprint}`)}; exit 2`, 'key.unusable'],
  ['a crash', 'kill -9 $$', 'key.unusable'],
];
for (const [name, script, code] of failures) {
  test(`gpg’s answer is refused or explained: ${name}`, async () => {
    const { gnupg } = await fakeGpg(script);
    await assert.rejects(openGnupgSigner(gnupg, key).sign(utf8('payload')), refused(code));
  });
}

test('a GNUPGHOME that names no folder is said to be so', async () => {
  const { env, folder } = await fakeGpg('exit 0');
  const gnupg = findGnupg({ ...env, GNUPGHOME: join(folder, 'nowhere') });
  await assert.rejects(openGnupgSigner(gnupg, key).sign(utf8('payload')), refused('io.not-found'));
});

test('gpg speaks English whatever the user’s language, and a pinentry knows the user’s characters', async () => {
  const script = `echo "$LC_ALL/$LC_MESSAGES/$LC_CTYPE/$LANGUAGE" > "\${0%/bin/gpg}/locale"; ${onePass}; ${created}`;
  const { gnupg, folder } = await fakeGpg(script);
  const german = { ...gnupg, env: { ...gnupg.env, LC_ALL: 'de_DE.UTF-8', LANGUAGE: 'de' } };
  await openGnupgSigner(german, key).sign(utf8('payload'));
  assert.equal(await readFile(join(folder, 'locale'), 'utf8'), '/C/de_DE.UTF-8/\n');
});

test('gpg is not started, and no home is made, where the home has no keyring', async () => {
  const { gnupg, folder, env } = await fakeGpg('exit 2');
  assert.equal(gnupg.home, join(folder, '.gnupg'));
  assert.equal(hasKeyring(gnupg), false);
  await assert.rejects(openSigner('nobody@example.com', { env }), refused('key.not-found'));
  for (const name of ['.gnupg', 'calls']) await assert.rejects(stat(join(folder, name)), { code: 'ENOENT' });
});

/** A home whose gpg lists one key of that user ID, its secret part there. */
async function gpgWith(listed: string, userId: string): Promise<{ folder: string; env: NodeJS.ProcessEnv }> {
  const lines = [
    `pub:u:255:22:${listed.slice(-16)}:1795350776:::u:::scSC:::+::ed25519:::0:`,
    `fpr:::::::::${listed}:`,
    'grp:::::::::958E67495A09256E7566772DC40DE97851F9AA6E:',
    `uid:u::::1795350776::00::${userId}::::::::::0:`,
  ];
  const { folder, env } = await fakeGpg(`cat <<'E'\n${lines.join('\n')}\nE`);
  const home = join(folder, '.gnupg');
  await mkdir(join(home, 'private-keys-v1.d'), { recursive: true });
  await writeFile(join(home, 'pubring.kbx'), '');
  await writeFile(join(home, 'private-keys-v1.d', '958E67495A09256E7566772DC40DE97851F9AA6E.key'), '');
  return { folder, env };
}

test('GnuPG’s key comes first, after one process; another key of the same name is ambiguous', async () => {
  const { folder, env } = await gpgWith(fingerprint, 'Ann <ann@example.com>');
  const signer = await openSigner('ann@example.com', { env });
  assert.deepEqual([signer.kind, signer.keyId], ['gnupg', fingerprint]);
  assert.equal((await readFile(join(folder, 'calls'), 'utf8')).trimEnd().split('\n').length, 1);
  const own = openOwnKeyring(ownKeyringFolder(env));
  await own.generate({ userId: 'Ann <ann@example.com>', type: 'ed25519', passphrase: '' });
  await assert.rejects(openSigner('ann@example.com', { env }), refused('key.ambiguous'));
  assert.equal((await openSigner(fingerprint, { env })).kind, 'gnupg');
});

test('the same key in both keyrings is one key, and GnuPG signs with it', async () => {
  const { env: first } = await fakeGpg('exit 2');
  const own = openOwnKeyring(ownKeyringFolder(first));
  const made = await own.generate({ userId: 'Ann <ann@example.com>', type: 'ed25519', passphrase: '' });
  assert.equal((await openSigner('ann@example.com', { env: first })).kind, 'openpgp');
  const { env } = await gpgWith(made, 'Ann <ann@example.com>');
  await openOwnKeyring(ownKeyringFolder(env)).import(await own.exportSecret(made, true, {}));
  assert.equal((await openSigner('ann@example.com', { env })).kind, 'gnupg');
});

test('gpg is not asked for an own key that is named in full, with its passphrase', async () => {
  const { folder, env } = await gpgWith(fingerprint, 'Ann <ann@example.com>');
  const own = openOwnKeyring(ownKeyringFolder(env));
  const made = await own.generate({ userId: 'Bob <bob@example.com>', type: 'ed25519', passphrase: 'x' });
  const signer = await openSigner(made, { env, passphrase: { given: 'x' } });
  assert.deepEqual([signer.kind, signer.keyId], ['openpgp', made]);
  await assert.rejects(stat(join(folder, 'calls')), { code: 'ENOENT' });
  assert.equal((await openSigner(fingerprint, { env, passphrase: { given: 'x' } })).kind, 'gnupg');
});

test('a key made in GnuPG’s home is not looked for, unless gpg does not sign with it', async () => {
  const { folder, env } = await gpgWith(fingerprint, 'Ann <ann@example.com>');
  await mkdir(join(folder, '.gnupg', 'openpgp-revocs.d'));
  await writeFile(join(folder, '.gnupg', 'openpgp-revocs.d', `${fingerprint}.rev`), '');
  const signer = await openSigner(fingerprint, { env });
  assert.deepEqual([signer.kind, signer.keyId], ['gnupg', fingerprint]);
  await assert.rejects(stat(join(folder, 'calls')), { code: 'ENOENT' });
  // this gpg lists whatever it is asked: it makes no signature, so its keys are looked at
  await assert.rejects(signer.sign(utf8('payload')), refused('key.unusable'));
  const calls = (await readFile(join(folder, 'calls'), 'utf8')).trimEnd().split('\n');
  assert.deepEqual(
    calls.map((each) => /--(?:sign|list-keys)\b/.exec(each)?.[0]),
    ['--sign', '--list-keys', '--sign'],
  );
});

test('where gpg is not installed the own keyring is enough', async () => {
  const { env } = await gpgWith(fingerprint, 'Ann <ann@example.com>');
  const without = { ...env, PATH: join(root, 'nowhere') };
  const own = openOwnKeyring(ownKeyringFolder(without));
  const made = await own.generate({ userId: 'Bob <bob@example.com>', type: 'ed25519', passphrase: 'x' });
  await assert.rejects(openSigner('bob', { env: without }), refused('key.passphrase-missing'));
  await assert.rejects(
    openSigner('bob', { env: without, passphrase: { given: 'y' } }),
    refused('key.passphrase-wrong'),
  );
  const signer = await openSigner('bob', { env: without, passphrase: { given: 'x' } });
  assert.equal(signer.keyId, made);
});

test('an expired key steps back for its successor; alone it says why it cannot sign', async () => {
  const { env } = await fakeGpg('exit 2');
  const own = openOwnKeyring(ownKeyringFolder(env));
  const soon = new Date(Math.floor(Date.now() / 1000) * 1000 + 1000 * 1000);
  await own.generate({ userId: 'Ann <ann@example.com>', type: 'ed25519', expires: soon, passphrase: '' });
  const now = new Date(soon.getTime() + 1000);
  await assert.rejects(openSigner('ann', { env, now }), refused('key.unusable'));
  const next = await own.generate({ userId: 'Ann <ann@example.com>', type: 'ed25519', passphrase: '' });
  assert.equal((await openSigner('ann', { env, now })).keyId, next);
  await assert.rejects(openSigner('ann', { env }), refused('key.ambiguous'));
});

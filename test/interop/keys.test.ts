/** Keys made by either work in the other: Bulla's own keyring, GnuPG 2.2 and GnuPG 2.4. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { test } from 'node:test';

import { utf8 } from '../../src/base/bytes.ts';
import { type ErrorCode, isBullaError } from '../../src/base/errors.ts';
import { openGnupgKeyring } from '../../src/keys/gnupg-keyring.ts';
import { findGnupg } from '../../src/keys/gnupg-process.ts';
import { type KeyStore, keyTypes } from '../../src/keys/key-info.ts';
import { openSigner } from '../../src/keys/open-signer.ts';
import { parseKeyring } from '../../src/keys/openpgp/keyring.ts';
import { verifySignedMessage } from '../../src/keys/openpgp/verify.ts';
import { openOwnKeyring, ownKeyringFolder } from '../../src/keys/own-keyring.ts';
import { type Bench, findPeer, needs, openBench, peerVersion } from '../support/peers.ts';

const gpgs = ['gpg', 'gpg-host'] as const;
type Gpg = (typeof gpgs)[number];

const passphrase = 'correct horse';
const secret = { given: passphrase };
const message = utf8('{"a":"payload"}');
const day = 86_400_000;
const inDays = (days: number): Date => new Date(Math.floor(Date.now() / 1000) * 1000 + days * day);

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isBullaError(error, code);
}

/** Both keyrings as a user has them whose gpg is that one; `quick` saves gpg the stretching of passphrases. */
function keyringsWith(
  bench: Bench,
  gpg: Gpg,
  quick = true,
): { own: KeyStore; gnupg: KeyStore; env: NodeJS.ProcessEnv } {
  const home = bench.newGnupgHome(`home-${gpg}`);
  if (quick) writeFileSync(`${home}/gpg-agent.conf`, 's2k-count 65536\n');
  // the program's own folder alone: its agent must be of its version too
  const env = { ...bench.env, GNUPGHOME: home, PATH: `${dirname(findPeer(gpg) ?? '')}:/usr/bin:/bin` };
  return { own: openOwnKeyring(ownKeyringFolder(env)), gnupg: openGnupgKeyring(findGnupg(env)), env };
}

/** What gpg says of a signed message: its status lines. */
async function gpgVerdict(
  bench: Bench,
  gpg: Gpg,
  env: NodeJS.ProcessEnv,
  signed: Uint8Array,
): Promise<string> {
  await writeFile(bench.path('signed'), signed);
  const args = ['--batch', '--status-fd', '1', '--verify', bench.path('signed')];
  return (await bench.run(gpg, args, { env: { GNUPGHOME: env['GNUPGHOME'] } })).stdout;
}

function ourVerdict(signed: Uint8Array, certificate: Uint8Array): string {
  const verdict = verifySignedMessage(signed, parseKeyring(certificate), new Date());
  return verdict.ok ? verdict.fingerprint : verdict.code;
}

/** What every keyring does, whoever keeps it. */
async function contract(store: KeyStore): Promise<void> {
  const expires = inDays(30);
  const userId = 'Jürgen: Release (test) <release@example.com>';
  const made = await store.generate({ userId, type: 'ed25519', expires, passphrase });
  const [key, ...others] = await store.list();
  assert.deepEqual(others, []);
  assert.deepEqual(
    [
      key?.fingerprint,
      key?.userIds,
      key?.algorithm,
      key?.expires?.getTime(),
      key?.revoked,
      key?.hasSecret,
      key?.canSign,
    ],
    [made, [userId], 'ed25519', expires.getTime(), false, true, true],
  );
  for (const name of [made, 'release@example.com', 'JÜRGEN'.toLowerCase()]) {
    assert.deepEqual(
      (await store.list(name)).map((each) => each.fingerprint),
      [made],
      name,
    );
  }
  const later = inDays(60);
  await assert.rejects(store.extend(made, later, { given: 'wrong' }), refused('key.passphrase-wrong'));
  await store.extend(made, later, secret);
  assert.equal((await store.list())[0]?.expires?.getTime(), later.getTime());
  const publicKey = await store.exportPublic(made, false);
  assert.equal(parseKeyring(publicKey).certificates[0]?.expires?.getTime(), later.getTime());
  assert.match(Buffer.from(await store.exportPublic(made, true)).toString(), /^-----BEGIN PGP PUBLIC/u);
  const secretKey = await store.exportSecret(made, true, secret);
  assert.match(Buffer.from(secretKey).toString(), /^-----BEGIN PGP PRIVATE/u);
  await store.delete(made, 'secret');
  assert.equal((await store.list())[0]?.hasSecret, false);
  await assert.rejects(store.exportSecret(made, true, secret), refused('key.not-found'));
  assert.deepEqual(await store.import(publicKey), [{ fingerprint: made, what: 'public', changed: false }]);
  assert.deepEqual(
    (await store.import(secretKey)).map((each) => [each.fingerprint, each.what]),
    [[made, 'secret']],
  );
  assert.equal((await store.list())[0]?.hasSecret, true);
  await store.revoke(made, 'superseded', secret);
  assert.deepEqual(
    (await store.list()).map((each) => [each.revoked, each.userIds]),
    [[true, [userId]]],
  );
  await store.delete(made, 'all');
  assert.deepEqual(await store.list(), []);
  await assert.rejects(store.exportPublic(made, true), refused('key.not-found'));
  await assert.rejects(store.delete(made, 'all'), refused('key.not-found'));
  await assert.rejects(store.delete(made, 'secret'), refused('key.not-found'));
  await assert.rejects(store.import(utf8('no key')), refused('key.malformed'));
  await assert.rejects(store.import(publicKey.subarray(0, 40)), refused('key.malformed'));
}

test('the keyring contract: own', async () => {
  await using bench = await openBench();
  await contract(openOwnKeyring(ownKeyringFolder(bench.env)));
});

for (const gpg of gpgs) {
  const title = `${gpg} ${await peerVersion(gpg)}`;

  test(`the keyring contract: ${title}`, needs(gpg), async () => {
    await using bench = await openBench();
    await contract(keyringsWith(bench, gpg).gnupg);
  });

  test(`our keys sign in ${title}, which believes our signatures`, needs(gpg), async () => {
    await using bench = await openBench();
    const { own, gnupg, env } = keyringsWith(bench, gpg);
    for (const type of keyTypes) {
      const made = await own.generate({
        userId: `${type} <${type}@example.com>`,
        type,
        expires: inDays(9),
        passphrase,
      });
      const ours = await openSigner(made, { env, passphrase: secret });
      assert.equal(ours.kind, 'openpgp');
      await gnupg.import(await own.exportSecret(made, true, {}));
      const verdict = await gpgVerdict(bench, gpg, env, await ours.sign(message));
      assert.match(verdict, new RegExp(`VALIDSIG ${made} `, 'u'), type);
      const theirs = await openSigner(`<${type}@example.com>`, { env, passphrase: secret });
      assert.equal(theirs.kind, 'gnupg');
      assert.equal(theirs.keyId, made);
      const signed = await theirs.sign(message);
      assert.equal(signed[0], 0x90);
      assert.equal(ourVerdict(signed, await own.exportPublic(made, true)), made, type);
    }
  });

  test(`keys of ${title} sign in our keyring, with their passphrase`, needs(gpg), async () => {
    await using bench = await openBench();
    const { own, gnupg, env } = keyringsWith(bench, gpg, false);
    for (const type of ['rsa3072', 'p256'] as const) {
      const made = await gnupg.generate({ userId: `${type} <${type}@example.com>`, type, passphrase });
      await own.import(await gnupg.exportSecret(made, type === 'p256', secret));
      const apart = { ...env, GNUPGHOME: bench.path('no-home') };
      await assert.rejects(
        openSigner(made, { env: apart, passphrase: { given: 'wrong' } }),
        refused('key.passphrase-wrong'),
      );
      await assert.rejects(openSigner(made, { env: apart }), refused('key.passphrase-missing'));
      const signer = await openSigner(made, { env: apart, passphrase: secret });
      assert.deepEqual([signer.kind, signer.keyId], ['openpgp', made]);
      const verdict = await gpgVerdict(bench, gpg, env, await signer.sign(message));
      assert.match(verdict, new RegExp(`VALIDSIG ${made} `, 'u'), type);
    }
  });

  test(
    `a signing subkey of ${title} signs here and there, in the primary key’s name`,
    needs(gpg),
    async () => {
      await using bench = await openBench();
      const { own, gnupg, env } = keyringsWith(bench, gpg);
      const primary = await gnupg.generate({
        userId: 'Ann <ann@example.com>',
        type: 'ed25519',
        passphrase: '',
      });
      await bench.ok(
        gpg,
        [
          '--batch',
          '--pinentry-mode',
          'loopback',
          '--passphrase',
          '',
          '--quick-add-key',
          primary,
          'rsa3072',
          'sign',
          '1y',
        ],
        {
          env: { GNUPGHOME: env['GNUPGHOME'] },
        },
      );
      await own.import(await gnupg.exportSecret(primary, true, { given: '' }));
      const [key] = await own.list();
      const subkey = key?.subkeys[0];
      assert.deepEqual([subkey?.algorithm, subkey?.canSign], ['rsa3072', true]);
      const apart = { ...env, GNUPGHOME: bench.path('no-home') };
      for (const [signs, name] of [
        [subkey?.fingerprint, 'ann@example.com'],
        [primary, `${primary}!`],
      ] as const) {
        for (const environment of [env, apart]) {
          const signer = await openSigner(name, { env: environment, passphrase: { given: '' } });
          assert.equal(signer.keyId, primary);
          const signed = await signer.sign(message);
          assert.equal(ourVerdict(signed, await own.exportPublic(primary, false)), primary);
          assert.match(
            await gpgVerdict(bench, gpg, env, signed),
            new RegExp(`VALIDSIG ${signs} .* ${primary}\n`, 'u'),
          );
        }
      }
      // both parts are renewed here, and seen there
      const later = inDays(500);
      await own.extend(primary, later, {});
      await gnupg.import(await own.exportPublic(primary, false));
      const [seen] = await gnupg.list();
      assert.deepEqual([seen?.expires, seen?.subkeys[0]?.expires], [later, later]);
    },
  );

  test(`${title} sees our extensions and revocations, and we see its`, needs(gpg), async () => {
    await using bench = await openBench();
    const { own, gnupg } = keyringsWith(bench, gpg);
    const ours = await own.generate({
      userId: 'Ours <ours@example.com>',
      type: 'ed25519',
      expires: inDays(5),
      passphrase,
    });
    const theirs = await gnupg.generate({
      userId: 'Theirs <theirs@example.com>',
      type: 'p256',
      expires: inDays(5),
      passphrase,
    });
    await gnupg.import(await own.exportSecret(ours, true, {}));
    await own.import(await gnupg.exportSecret(theirs, true, secret));
    const later = inDays(50);
    await own.extend(ours, later, secret);
    await own.extend(theirs, later, secret);
    for (const made of [ours, theirs]) await gnupg.import(await own.exportPublic(made, false));
    assert.deepEqual(
      (await gnupg.list()).map((key) => key.expires),
      [later, later],
    );
    for (const made of [ours, theirs]) await gnupg.extend(made, undefined, secret);
    for (const made of [ours, theirs]) await own.import(await gnupg.exportPublic(made, false));
    assert.deepEqual(
      (await own.list()).map((key) => key.expires),
      [undefined, undefined],
    );
    // each revokes the other's key, once by a reason and once by what was made at birth
    await own.revoke(theirs, 'compromised', secret);
    await gnupg.import(await own.exportPublic(theirs, false));
    await own.revoke(ours, undefined, {});
    await gnupg.import(await own.exportPublic(ours, false));
    assert.deepEqual(
      (await gnupg.list()).map((key) => key.revoked),
      [true, true],
    );
    const another = await gnupg.generate({ userId: 'More <more@example.com>', type: 'ed25519', passphrase });
    await own.import(await gnupg.exportPublic(another, true));
    await gnupg.revoke(another, undefined, {});
    assert.deepEqual((await own.import(await gnupg.exportPublic(another, true)))[0]?.changed, true);
    assert.equal((await own.list(another))[0]?.revoked, true);
  });

  test(`revocation certificates are carried between our keyring and ${title}`, needs(gpg), async () => {
    await using bench = await openBench();
    const { own, gnupg, env } = keyringsWith(bench, gpg);
    const ours = await own.generate({ userId: 'Ours <ours@example.com>', type: 'ed25519', passphrase: '' });
    const certificate = await readFile(`${own.description}/${ours}.revoke.asc`);
    await assert.rejects(gnupg.import(certificate), refused('key.not-found'));
    await gnupg.import(await own.exportPublic(ours, true));
    const imported = { fingerprint: ours, what: 'revocation' } as const;
    assert.deepEqual(await gnupg.import(certificate), [{ ...imported, changed: true }]);
    assert.deepEqual(await gnupg.import(certificate), [{ ...imported, changed: false }]);
    const theirs = await gnupg.generate({
      userId: 'Theirs <theirs@example.com>',
      type: 'rsa3072',
      passphrase: '',
    });
    await own.import(await gnupg.exportPublic(theirs, true));
    const guarded = await readFile(`${env['GNUPGHOME']}/openpgp-revocs.d/${theirs}.rev`, 'utf8');
    // gpg's colon before the armor keeps it from being used by mistake, here too
    await assert.rejects(own.import(utf8(guarded)), refused('key.malformed'));
    const unguarded = utf8(guarded.replace(':-----BEGIN', '-----BEGIN'));
    assert.deepEqual((await own.import(unguarded))[0]?.what, 'revocation');
    assert.equal((await own.list(theirs))[0]?.revoked, true);
  });

  test(`a key named by its mail address is ambiguous, or found once, with ${title}`, needs(gpg), async () => {
    await using bench = await openBench();
    const { own, gnupg, env } = keyringsWith(bench, gpg);
    const joann = await gnupg.generate({ userId: 'Jo <joann@example.com>', type: 'ed25519', passphrase: '' });
    const ann = await gnupg.generate({ userId: 'Ann <ann@example.com>', type: 'ed25519', passphrase: '' });
    assert.equal((await openSigner('ann@example.com', { env })).keyId, ann);
    assert.equal((await openSigner(joann.slice(-16), { env })).keyId, joann);
    await assert.rejects(openSigner('example.com', { env }), refused('key.ambiguous'));
    await assert.rejects(openSigner('bob@example.com', { env }), refused('key.not-found'));
    await own.generate({ userId: 'Ann <ann@example.com>', type: 'ed25519', passphrase: '' });
    await assert.rejects(openSigner('ann@example.com', { env }), refused('key.ambiguous'));
    // a public key of that name signs nothing and hides nothing
    await gnupg.delete(ann, 'secret');
    assert.equal((await openSigner('ann@example.com', { env })).kind, 'openpgp');
  });

  test(`${title} without a terminal and a passphrase gives up at once`, needs(gpg), async () => {
    await using bench = await openBench();
    const { gnupg, env } = keyringsWith(bench, gpg);
    const made = await gnupg.generate({ userId: 'Ann <ann@example.com>', type: 'ed25519', passphrase });
    await bench.run(`${dirname(findPeer(gpg) ?? '')}/gpgconf` as `/${string}`, ['--kill', 'gpg-agent'], {
      env: { GNUPGHOME: env['GNUPGHOME'] },
    });
    const signer = await openSigner(made, { env });
    await assert.rejects(signer.sign(message), refused('key.passphrase-missing'));
    const wrong = await openSigner(made, { env, passphrase: { given: 'wrong' } });
    await assert.rejects(wrong.sign(message), refused('key.passphrase-wrong'));
  });
}

test('skopeo believes what our keyring and its key sign', needs('skopeo', 'gpg'), async () => {
  await using bench = await openBench();
  const { own, gnupg, env } = keyringsWith(bench, 'gpg');
  const made = await own.generate({ userId: 'Ann <ann@example.com>', type: 'p256', passphrase: '' });
  await gnupg.import(await own.exportPublic(made, true));
  const manifest = '{"schemaVersion":2}';
  await writeFile(bench.path('manifest.json'), manifest);
  const digest = (await bench.ok('skopeo', ['manifest-digest', bench.path('manifest.json')])).trim();
  const payload = {
    critical: {
      identity: { 'docker-reference': 'registry.example.com/app:1' },
      image: { 'docker-manifest-digest': digest },
      type: 'atomic container signature',
    },
    optional: {},
  };
  const signer = await openSigner(made, { env });
  assert.equal(signer.kind, 'openpgp');
  await writeFile(bench.path('signature'), await signer.sign(utf8(JSON.stringify(payload))));
  const args = [bench.path('manifest.json'), 'registry.example.com/app:1', made, bench.path('signature')];
  const said = await bench.ok('skopeo', ['standalone-verify', ...args], {
    env: { GNUPGHOME: env['GNUPGHOME'] },
  });
  assert.match(said, new RegExp(`${made}, digest ${digest}`, 'u'));
});

test('bulla key: a whole life on the command line, beside gpg', needs('gpg'), async () => {
  await using bench = await openBench();
  await writeFile(bench.path('pass'), `${passphrase}\nsecond line\n`);
  const bulla = async (...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await bench.bulla(['key', ...args]);
    assert.equal(exitCode, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  const user = ['--user-id', 'Release <release@example.com>', '--passphrase-file', 'pass'];
  const made = (await bulla('generate', 'gpg', ...user, '--type', 'ed25519', '--output-prefix', 'k')).trim();
  assert.equal((await stat(bench.path('k.private.asc'))).mode & 0o777, 0o600);
  assert.equal(await bulla('list'), 'FINGERPRINT  TYPE  PART  EXPIRES  STATE  KEYRING  USER ID\n');
  await bulla('import', 'k.private.asc');
  assert.match(await bulla('list', '--secret'), new RegExp(`\n${made} +ed25519 +secret .*own +Release`, 'u'));
  await bulla('extend', 'release@example.com', '--expires', '2030-01-31', '--passphrase-file', 'pass');
  await bulla('export', made, '--armor', '-o', 'out.asc');
  await bench.ok('gpg', ['--batch', '--import', 'out.asc']);
  assert.match(
    await bench.ok('gpg', ['--batch', '--with-colons', '--list-keys', made]),
    /^pub:-:255:22:[^:]*:\d+:1896091200:/mu,
  );
  const shown: unknown = JSON.parse(await bulla('show', made, '--json'));
  assert.deepEqual(
    (shown as { keyring: string }[]).map((each) => each.keyring),
    ['gnupg', 'own'],
  );
  await bulla('revoke', made, '--reason', 'superseded', '--passphrase-file', 'pass');
  const revoked: unknown = JSON.parse(await bulla('list', '--json'));
  assert.deepEqual(
    (revoked as { revoked: boolean }[]).map((each) => each.revoked),
    [true, true],
  );
  assert.equal((await bench.bulla(['key', 'delete', made])).exitCode, 2);
  await bulla('delete', made, '--own');
  await bulla('delete', made, '--gnupg');
  assert.equal((await bench.bulla(['key', 'show', made])).exitCode, 4);
  const again = await bench.bulla(['key', 'generate', 'gpg', ...user, '--output-prefix', 'k']);
  assert.match(again.stderr, /\[key\.exists\]/u);
  assert.equal(again.exitCode, 2);
});

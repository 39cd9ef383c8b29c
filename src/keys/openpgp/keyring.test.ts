import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as openpgp from 'openpgp';

import * as forge from '../../../test/support/openpgp-forge.ts';
import { isBullaError, type ErrorCode } from '../../base/errors.ts';
import { parseKeyring } from './keyring.ts';

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isBullaError(error, code);
}

function armored(bytes: Uint8Array, change: (text: string) => string = (text) => text): Uint8Array {
  const base64 = Buffer.from(bytes).toString('base64').replaceAll(/.{64}/gu, '$&\n');
  const text = `-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n${base64}\n-----END PGP PUBLIC KEY BLOCK-----\n`;
  return forge.utf8(change(text));
}

const key = forge.edKey();
const ring = forge.certificate(key);

test('a certificate says whom it names and what its keys may do', () => {
  const subkey = forge.edKey();
  const bytes = forge.certificate(key, {
    users: [
      { userId: 'Old <old@example.com>', signatures: [{ created: 900 }] },
      {
        userId: 'Main <main@example.com>',
        signatures: [
          {
            created: 950,
            extra: [forge.flags(1), forge.subpacket(25, forge.octets(1)), forge.keyLifetime(9000)],
          },
        ],
      },
      {
        userId: 'Gone <gone@example.com>',
        signatures: [{ created: 900 }, { type: 0x30, created: 800, extra: [] }],
      },
    ],
    subkeys: [{ key: subkey, bindings: [{ extra: [forge.keyLifetime(5000)] }] }],
  });
  const [certificate, ...more] = parseKeyring(bytes).certificates;
  assert.ok(certificate !== undefined && more.length === 0);
  assert.deepEqual(certificate.userIds, ['Main <main@example.com>', 'Old <old@example.com>']);
  assert.equal(certificate.fingerprint, key.publicKey.fingerprint);
  assert.equal(certificate.keyId, key.publicKey.fingerprint.slice(-16));
  assert.equal(certificate.algorithm, 'ed25519');
  assert.deepEqual(certificate.created, new Date((forge.startedAt - 1000) * 1000));
  assert.deepEqual(certificate.expires, new Date((forge.startedAt + 8000) * 1000));
  assert.equal(certificate.revoked, false);
  const [judged] = certificate.subkeys;
  assert.equal(judged?.fingerprint, subkey.publicKey.fingerprint);
  assert.deepEqual(judged.expires, new Date((forge.startedAt + 4000) * 1000));
  assert.deepEqual(judged.usage, { certify: false, sign: true, encrypt: false, authenticate: false });
});

test('algorithms have the names that gpg gives them', () => {
  const [certificate] = parseKeyring(forge.certificate(forge.rsaKey())).certificates;
  assert.equal(certificate?.algorithm, 'rsa2048');
  assert.equal(certificate.bits, 2048);
});

test('several files are one keyring, and one key in two files is one certificate', () => {
  const other = forge.certificate(forge.edKey(), { users: [{ userId: 'Other', signatures: [{}] }] });
  const revoked = forge.certificate(key, { revocations: [{}] });
  const { certificates } = parseKeyring(ring, armored(other), revoked);
  assert.deepEqual(
    certificates.map((one) => [one.userIds, one.revoked]),
    [
      [[forge.userId], true],
      [['Other'], false],
    ],
  );
});

test('a revocation certificate in a file of its own counts', () => {
  const revocation = forge.packet(2, forge.signature(key, [forge.keyData(key)], { type: 0x20 }));
  assert.equal(parseKeyring(ring, revocation).certificates[0]?.revoked, true);
  assert.equal(parseKeyring(armored(revocation), ring).certificates[0]?.revoked, true);
});

test('what holds no key is key.none, what is no key file is key.malformed', () => {
  const revocation = forge.packet(2, forge.signature(key, [forge.keyData(key)], { type: 0x20 }));
  for (const bytes of [forge.octets(), forge.literal(forge.utf8('x')), revocation]) {
    assert.throws(() => parseKeyring(bytes), refused('key.none'));
  }
  assert.throws(() => parseKeyring(), refused('key.none'));
  for (const bytes of [
    forge.utf8('<html></html>'),
    forge.octets(0x99, 1),
    ring.subarray(0, -1),
    forge.octets(0xff),
  ]) {
    assert.throws(() => parseKeyring(bytes), refused('key.malformed'));
  }
});

test('armor is read strictly', () => {
  const right = [
    (text: string) => text,
    (text: string) => text.replaceAll('\n', '\r\n'),
    (text: string) => text.replace('\n\n', '\nVersion: x\nComment: y: z\n\n'),
    (text: string) => `a comment\n${text}another\n`,
  ];
  for (const change of right) assert.equal(parseKeyring(armored(ring, change)).certificates.length, 1);
  const wrong = [
    (text: string) => text.replace('\n\n', '\n\n*'),
    (text: string) => text.replace('\n\n', '\nno header\n\n'),
    (text: string) => text.replace('-----END', '=AAAA\n-----END'),
    (text: string) => text.replace(/-----END.*/u, ''),
    (text: string) => text.replace('-----END PGP PUBLIC', '-----END PGP PRIVATE'),
    (text: string) => text.replaceAll('PUBLIC KEY BLOCK', 'MESSAGE'),
    (text: string) => text.replace(/\n\n[\s\S]*\n-----END/u, '\n\n-----END'),
    (text: string) => `${text}-----BEGIN PGP PUBLIC KEY BLOCK-----\n`,
  ];
  for (const change of wrong) {
    assert.throws(() => parseKeyring(armored(ring, change)), refused('key.malformed'), change.toString());
  }
});

test('the checksum of armor, as OpenPGP.js computes it, is right', () => {
  const kind = openpgp.enums.armor.publicKey;
  const text = openpgp.armor(kind, ring, undefined, undefined, undefined, true);
  assert.match(text, /^=[A-Za-z0-9+/]{4}$/mu);
  assert.equal(parseKeyring(forge.utf8(text)).certificates.length, 1);
});

test('a key file of many tiny packets ends in time', () => {
  const many = new Uint8Array(2_000_000).map((_, at) => (at % 2 === 0 ? 0xcd : 0));
  assert.throws(() => parseKeyring(forge.join(ring, many)), refused('key.malformed'));
  const subkeys = Array.from({ length: 1001 }, (_, at) => {
    const body = new Uint8Array(key.body);
    body[3] = at & 255;
    body[2] = at >> 8;
    return forge.packet(14, body);
  });
  assert.throws(() => parseKeyring(forge.join(ring, ...subkeys)), refused('key.malformed'));
});

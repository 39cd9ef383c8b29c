import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';

import fc from 'fast-check';

import { openpgpCases } from '../../../test/support/openpgp-cases.ts';
import * as forge from '../../../test/support/openpgp-forge.ts';
import { isBullaError } from '../../base/errors.ts';
import { parseKeyring } from './keyring.ts';
import { readUntrustedMessage, verifySignedMessage } from './verify.ts';

const content = forge.utf8('{"critical":{"identity":{"docker-reference":"example.com/app:1"}}}');

function verdictOf(blob: Uint8Array, keyring: Uint8Array, now = new Date()): string {
  try {
    const verdict = verifySignedMessage(blob, parseKeyring(keyring), now);
    return verdict.ok ? 'accepted' : verdict.code;
  } catch (error) {
    if (isBullaError(error)) return error.code;
    throw error;
  }
}

describe('the verdicts that skopeo and gpg were measured to give', () => {
  for (const { name, blob, keyring, verdict } of openpgpCases(
    // long enough that a literal of it can come in parts
    forge.join(content, new Uint8Array(100).fill(0x20)),
  )) {
    test(`${name}: ${verdict}`, () => assert.equal(verdictOf(blob, keyring), verdict));
  }
});

const key = forge.edKey();
const subkey = forge.edKey();
const keyring = forge.certificate(key, { subkeys: [{ key: subkey }] });

test('an accepted message gives its content, the primary key and the time', () => {
  const verdict = verifySignedMessage(forge.message(subkey, content), parseKeyring(keyring), new Date());
  assert.deepEqual(verdict, {
    ok: true,
    content,
    fingerprint: key.publicKey.fingerprint,
    signingFingerprint: subkey.publicKey.fingerprint,
    created: new Date((forge.startedAt - 100) * 1000),
  });
});

test('a refused message shows what it claims, as untrusted', () => {
  const stranger = forge.edKey();
  const verdict = verifySignedMessage(forge.message(stranger, content), parseKeyring(keyring), new Date());
  assert.ok(!verdict.ok);
  assert.deepEqual(verdict.untrusted, {
    keyIds: [stranger.publicKey.fingerprint],
    content,
    created: new Date((forge.startedAt - 100) * 1000),
  });
  assert.deepEqual(readUntrustedMessage(forge.message(stranger, content)), verdict.untrusted);
});

test('armored, cleartext-signed and empty input is malformed', () => {
  for (const text of [
    '',
    '-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nhello\n',
    '-----BEGIN PGP MESSAGE-----\n\nxA0DAAo=\n-----END PGP MESSAGE-----\n',
    '<!DOCTYPE html><html></html>',
  ]) {
    assert.equal(verdictOf(forge.utf8(text), keyring), 'signature.malformed');
  }
});

test('data that unpacks without end is too large', () => {
  const bomb = deflateRawSync(new Uint8Array(64 * 1024 * 1024));
  const blob = forge.packet(8, forge.join(forge.octets(1), bomb));
  assert.equal(verdictOf(blob, keyring), 'signature.too-large');
});

test('BZIP2 is named as unsupported, and so are signatures of version 3 and 6', () => {
  const bzip2 = forge.packet(8, forge.octets(3, 0x42, 0x5a));
  assert.equal(verdictOf(bzip2, keyring), 'signature.unsupported');
  for (const version of [3, 6]) {
    const body = forge.signature(key, [content]);
    body[0] = version;
    const blob = forge.join(forge.onePass(key), forge.literal(content), forge.packet(2, body));
    assert.equal(verdictOf(blob, keyring), 'signature.unsupported');
  }
});

test('without a valid time there is no verdict', () => {
  const ring = parseKeyring(keyring);
  assert.throws(
    () => verifySignedMessage(forge.message(key, content), ring, new Date(Number.NaN)),
    (error) => isBullaError(error, 'internal.bug'),
  );
});

function at(seconds: number): Date {
  return new Date((forge.startedAt + seconds) * 1000);
}

test('keys and signatures are judged at the time given', () => {
  const expiring = forge.certificate(key, { self: { extra: [forge.flags(3), forge.keyLifetime(5000)] } });
  const blob = forge.message(key, content, { extra: [forge.lifetime(2000)] });
  assert.equal(verdictOf(blob, expiring, at(0)), 'accepted');
  assert.equal(verdictOf(blob, expiring, at(1899)), 'accepted');
  assert.equal(verdictOf(blob, expiring, at(1900)), 'signature.expired');
  const lasting = forge.message(key, content);
  assert.equal(verdictOf(lasting, expiring, at(3999)), 'accepted');
  assert.equal(verdictOf(lasting, expiring, at(4000)), 'signature.key-expired');
});

test('no changed octet of what is signed is accepted, and none changes what is said', () => {
  const good = forge.message(subkey, content);
  const ring = parseKeyring(keyring);
  const expected = verifySignedMessage(good, ring, new Date());
  // one-pass packet, header and fields of the literal, content, header of the signature, hashed part
  const contentAt = 15 + 2 + 6;
  const hashedAt = contentAt + content.length + 2;
  const signed = new Set([
    ...Array.from(content, (_, at) => contentAt + at),
    ...Array.from({ length: 6 + 23 + 6 }, (_, at) => hashedAt + at),
    ...Array.from({ length: 15 }, (_, at) => at),
  ]);
  for (let at = 0; at < good.length; at += 1) {
    for (const bit of [0x01, 0x80]) {
      const changed = new Uint8Array(good);
      changed[at] = (changed[at] ?? 0) ^ bit;
      const verdict = verifySignedMessage(changed, ring, new Date());
      if (signed.has(at)) assert.equal(verdict.ok, false, `octet ${at} changed by ${bit}`);
      if (verdict.ok) assert.deepEqual(verdict, expected);
    }
  }
});

type Change = readonly [at: number, byte: number, kind: 'set' | 'insert' | 'remove'];
const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'insert', 'remove')), {
  minLength: 1,
  maxLength: 6,
});

function mutate(bytes: Uint8Array, list: readonly Change[]): Uint8Array {
  const result = [...bytes];
  for (const [at, byte, kind] of list) {
    const place = at % (result.length + 1);
    if (kind === 'set') result[place] = byte;
    else result.splice(place, kind === 'remove' ? 1 : 0, ...(kind === 'insert' ? [byte] : []));
  }
  return Uint8Array.from(result);
}

test('a damaged message gives the signed content or a refusal, and throws nothing', () => {
  const ring = parseKeyring(keyring);
  const forms = [
    forge.message(subkey, content),
    forge.packet(8, forge.join(forge.octets(1), deflateRawSync(forge.message(key, content)))),
    forge.join(forge.packet(2, forge.signature(key, [content])), forge.literal(content)),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...forms), changes, (good, list) => {
      const verdict = verifySignedMessage(mutate(good, list), ring, new Date());
      if (verdict.ok) assert.deepEqual(Buffer.from(verdict.content), Buffer.from(content));
    }),
    { numRuns: 1500 },
  );
});

test('a damaged keyring accepts no stranger and revives no revoked key', () => {
  const revoked = forge.certificate(key, { revocations: [{}], subkeys: [{ key: subkey }] });
  const stranger = forge.message(forge.edKey(), content);
  fc.assert(
    fc.property(fc.constantFrom(keyring, revoked), changes, (good, list) => {
      assert.notEqual(verdictOf(stranger, mutate(good, list)), 'accepted');
    }),
    { numRuns: 500 },
  );
});

test('random bytes are refused, as message and as keyring', () => {
  const ring = parseKeyring(keyring);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      assert.equal(verifySignedMessage(bytes, ring, new Date()).ok, false);
      assert.notEqual(verdictOf(forge.message(key, content), bytes), 'accepted');
    }),
    { numRuns: 500 },
  );
});

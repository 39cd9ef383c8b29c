/**
 * Signed messages and keyrings, right and wrong in one point each, with Bulla's verdict and, where it
 * differs, skopeo's (GnuPG 2.4 through gpgme). The verdicts are skopeo's and gpg's as measured, not our own
 * output: test/interop/openpgp.test.ts asks them again about these very bytes.
 */
import { deflateRawSync, deflateSync } from 'node:zlib';

import type { ErrorCode } from '../../src/base/errors.ts';
import * as forge from './openpgp-forge.ts';

const { certificate, flags, join, keyLifetime, lifetime, message, octets, packet, subpacket } = forge;

export type Case = {
  readonly name: string;
  readonly blob: Uint8Array;
  readonly keyring: Uint8Array;
  readonly verdict: 'accepted' | ErrorCode;
  /** Skopeo's, where it is the other one. Each is in docs/reference/differences.md. */
  readonly peer?: 'accepted' | 'refused';
};

/** All cases, about messages that hold that content. */
export function openpgpCases(content: Uint8Array): readonly Case[] {
  return [
    ...framing(content),
    ...signatures(content),
    ...primaryKeys(content),
    ...subkeys(content),
    ...files(content),
  ];
}

const key = forge.edKey();
const rsa = forge.rsaKey();
const subkey = forge.edKey();
const other = forge.edKey();
const ring = certificate(key);
const otherRing = certificate(other, { users: [{ userId: 'Other <other@example.com>', signatures: [{}] }] });

function framing(content: Uint8Array): Case[] {
  const good = message(key, content);
  const made = packet(2, forge.signature(key, [content]));
  const literal = forge.literal(content);
  const body = forge.literalBody(content);
  const onePass = forge.onePass(key);
  const marker = packet(10, forge.utf8('PGP'));
  const zip = (bytes: Uint8Array): Uint8Array => packet(8, join(octets(1), deflateRawSync(bytes)));
  const zlib = packet(8, join(octets(2), deflateSync(good)));
  const openEnded = join(octets(0xa3, 1), deflateRawSync(good));
  const parts = join(
    octets(0xcb, 0xe7),
    body.subarray(0, 128),
    octets(body.length - 128),
    body.subarray(128),
  );
  const bare = forge.signature(key, [content]);
  const oldHeaders = join(
    octets(0x90, 13),
    onePass.subarray(2),
    octets(0xad, body.length >> 8, body.length & 255),
    body,
    octets(0x88, bare.length),
    bare,
  );
  const rows: [string, Uint8Array, Case['verdict'], Case['peer']?][] = [
    ['one-pass, literal, signature', good, 'accepted'],
    ['signature, literal', join(made, literal), 'accepted'],
    ['old packet headers', oldHeaders, 'accepted'],
    ['literal in parts', join(onePass, parts, made), 'accepted'],
    [
      'literal with a five-octet length',
      join(onePass, octets(0xcb, 0xff), forge.u32(body.length), body, made),
      'accepted',
    ],
    ['literal without length, last', join(made, octets(0xaf), body), 'accepted'],
    ['compressed', zip(good), 'accepted'],
    ['compressed with ZLIB', zlib, 'accepted'],
    ['compressed, old header without length', openEnded, 'accepted'],
    ['"compressed" without compression', packet(8, join(octets(0), good)), 'accepted'],
    ['text mode', message(key, content, { mode: 't' }), 'accepted'],
    ['literal of unknown format', message(key, content, { mode: 'x' }), 'signature.malformed', 'accepted'],
    ['compressed twice', zip(zip(good)), 'signature.malformed', 'accepted'],
    ['compressed literal inside', join(onePass, zip(literal), made), 'signature.malformed'],
    ['compressed data cut off', openEnded.subarray(0, -3), 'signature.malformed'],
    ['bytes after the compressed data', join(openEnded, octets(1, 2)), 'signature.malformed', 'accepted'],
    ['packet after the compressed packet', join(zip(good), marker), 'signature.malformed', 'accepted'],
    ['marker packet first', join(marker, good), 'signature.malformed', 'accepted'],
    ['marker packet last', join(good, marker), 'signature.malformed', 'accepted'],
    ['padding packet last', join(good, packet(21, octets(0, 0))), 'signature.malformed', 'accepted'],
    ['a zero byte behind', join(good, octets(0)), 'signature.malformed'],
    ['a newline behind', join(good, octets(10)), 'signature.malformed'],
    ['text behind', join(good, forge.utf8('garbage')), 'signature.malformed'],
    ['cut off', good.subarray(0, -1), 'signature.malformed'],
    ['signature without length', join(onePass, literal, octets(0x8b), bare), 'signature.malformed'],
    [
      'signature in parts',
      join(
        onePass,
        literal,
        octets(0xc2, 0xe6),
        bare.subarray(0, 64),
        octets(bare.length - 64),
        bare.subarray(64),
      ),
      'signature.malformed',
    ],
    [
      'two signatures',
      join(forge.onePass(key, { last: 0 }), onePass, literal, made, made),
      'signature.malformed',
    ],
    ['two messages', join(good, good), 'signature.malformed'],
    ['two literals', join(onePass, literal, literal, made), 'signature.malformed'],
    ['detached', made, 'signature.malformed'],
    ['not signed', literal, 'signature.malformed'],
    [
      'one-pass of another type',
      join(forge.onePass(key, { type: 1 }), literal, made),
      'signature.malformed',
      'accepted',
    ],
    ['one-pass of another hash', join(forge.onePass(key, { hash: 8 }), literal, made), 'signature.malformed'],
    ['one-pass of another key', join(forge.onePass(other), literal, made), 'signature.malformed', 'accepted'],
    [
      'one-pass that announces more',
      join(forge.onePass(key, { last: 0 }), literal, made),
      'signature.malformed',
      'accepted',
    ],
  ];
  return rows.map(([name, blob, verdict, peer]) => ({
    name,
    blob,
    keyring: ring,
    verdict,
    ...(peer && { peer }),
  }));
}

function notation(name: string): Uint8Array {
  const head = octets(0x80, 0, 0, 0, 0, name.length, 0, 1);
  return subpacket(0x80 | 20, join(head, forge.utf8(`${name}v`)));
}

function signatures(content: Uint8Array): Case[] {
  const { issuerFingerprint, issuerId } = forge;
  const critical = (type: number): Uint8Array => subpacket(0x80 | type, octets(1));
  const made = (options: Parameters<typeof message>[2]): Uint8Array => message(key, content, options);
  const wrongStart = forge.signature(key, [content]);
  const hashedLength = (wrongStart[4] ?? 0) * 256 + (wrongStart[5] ?? 0);
  const at = 6 + hashedLength + 2 + issuerId(key).length;
  wrongStart[at] = (wrongStart[at] ?? 0) ^ 1;
  const changed = new Uint8Array(content);
  changed[20] = (changed[20] ?? 0) ^ 1;
  const rows: [string, Uint8Array, Case['verdict'], Case['peer']?][] = [
    ['text signature', made({ type: 1, mode: 't' }), 'accepted'],
    ['text signature, binary data', made({ type: 1 }), 'accepted'],
    ['stand-alone signature', made({ type: 2 }), 'signature.malformed'],
    ['certification as signature', made({ type: 0x10 }), 'signature.malformed'],
    ['timestamp signature', made({ type: 0x40 }), 'signature.malformed'],
    [
      'other content',
      join(forge.onePass(key), forge.literal(changed), packet(2, forge.signature(key, [content]))),
      'signature.invalid',
    ],
    [
      'wrong start of the hash',
      join(forge.onePass(key), forge.literal(content), packet(2, wrongStart)),
      'signature.invalid',
      'accepted',
    ],
    ['unknown key', message(other, content), 'signature.unknown-key'],
    ['expired signature', made({ extra: [lifetime(10)] }), 'signature.expired'],
    ['signature that never expires', made({ extra: [lifetime(0)] }), 'accepted'],
    ['signature that expires tomorrow', made({ extra: [lifetime(86_400)] }), 'accepted'],
    ['signature made in an hour', made({ created: -3600 }), 'accepted'],
    ['signature made in a week', made({ created: -604_800 }), 'signature.invalid', 'accepted'],
    ['signature older than the key', made({ created: 5000 }), 'signature.key-unusable'],
    ['no creation time', made({ created: null }), 'signature.malformed'],
    [
      'creation time not hashed',
      made({ created: null, unhashed: join(issuerId(key), subpacket(2, forge.ago(50))) }),
      'signature.malformed',
    ],
    ['two creation times', made({ extra: [subpacket(2, forge.ago(50))] }), 'signature.malformed', 'accepted'],
    ['two lifetimes', made({ extra: [lifetime(10), lifetime(10_000)] }), 'signature.malformed'],
    ['unknown subpacket', made({ extra: [subpacket(100, octets(1))] }), 'accepted'],
    ['unknown critical subpacket', made({ extra: [critical(100)] }), 'signature.malformed'],
    [
      'unknown critical subpacket, not hashed',
      made({ unhashed: join(issuerId(key), critical(100)) }),
      'signature.malformed',
    ],
    ['critical key server preferences', made({ extra: [critical(23)] }), 'signature.malformed'],
    ["critical signer's user ID", made({ extra: [critical(28)] }), 'signature.malformed'],
    ['critical policy', made({ extra: [critical(26)] }), 'accepted'],
    ['unknown critical notation', made({ extra: [notation('a@example.com')] }), 'signature.malformed'],
    ['known critical notation', made({ extra: [notation('preferred-email-encoding@pgp.com')] }), 'accepted'],
    ['issuer by fingerprint only', made({ unhashed: octets() }), 'accepted'],
    ['issuer by key ID only', made({ withFingerprint: false }), 'accepted'],
    ['no issuer', made({ withFingerprint: false, unhashed: octets() }), 'signature.malformed'],
    ['key ID of another key', made({ unhashed: issuerId(other) }), 'signature.malformed', 'accepted'],
    [
      'fingerprint of another key',
      made({ withFingerprint: false, extra: [issuerFingerprint(other)] }),
      'signature.malformed',
    ],
  ];
  const hashes: [string, number, Case['verdict'], Case['peer']?][] = [
    ['RSA with SHA-256', 8, 'accepted'],
    ['RSA with SHA-384', 9, 'accepted'],
    ['RSA with SHA-224', 11, 'accepted'],
    ['RSA with SHA-1', 2, 'signature.unsupported', 'accepted'],
  ];
  const rsaRing = certificate(rsa);
  return [
    ...rows.map(([name, blob, verdict, peer]) => ({
      name,
      blob,
      keyring: ring,
      verdict,
      ...(peer && { peer }),
    })),
    ...hashes.map(([name, hash, verdict, peer]) => ({
      name,
      blob: message(rsa, content, { hash }),
      keyring: rsaRing,
      verdict,
      ...(peer && { peer }),
    })),
  ];
}

type KeyringRow = [string, Uint8Array, Case['verdict'], Case['peer']?];

function judged(blob: Uint8Array, rows: readonly KeyringRow[]): Case[] {
  return rows.map(([name, keyring, verdict, peer]) => ({
    name,
    blob,
    keyring,
    verdict,
    ...(peer && { peer }),
  }));
}

function primaryKeys(content: Uint8Array): Case[] {
  const self = (...extra: Uint8Array[]): Uint8Array => certificate(key, { self: { extra } });
  const said = (...all: forge.SignatureOptions[]): Uint8Array =>
    certificate(key, { users: [{ userId: forge.userId, signatures: all }] });
  const two = (first: forge.SignatureOptions, second: forge.SignatureOptions): Uint8Array =>
    certificate(key, {
      users: [
        { userId: 'A <a@example.com>', signatures: [first] },
        { userId: 'B <b@example.com>', signatures: [second] },
      ],
    });
  const revoked = (...revocations: forge.By[]): Uint8Array => certificate(key, { revocations });
  const direct = (...all: forge.SignatureOptions[]): Uint8Array => certificate(key, { direct: all });
  const [sign, certify] = [flags(3), flags(1)];
  const takenBack = { type: 0x30, created: 800, extra: [] };
  const revoker = subpacket(12, join(octets(0x80, 22), forge.fromHex(other.publicKey.fingerprint)));
  const named = { direct: [{ extra: [revoker] }] };
  const future = forge.edKey(-5000);
  return [
    {
      name: 'self-signature with SHA-1',
      blob: message(rsa, content),
      keyring: certificate(rsa, { self: { hash: 2 } }),
      verdict: 'accepted',
    },
    {
      name: 'revocation with SHA-1',
      blob: message(rsa, content),
      keyring: certificate(rsa, { revocations: [{ hash: 2 }] }),
      verdict: 'signature.key-revoked',
    },
    {
      name: 'key from the future',
      blob: message(future, content),
      keyring: certificate(future, { self: { created: -5500 } }),
      verdict: 'signature.key-unusable',
    },
    {
      name: 'key and signature from the future',
      blob: message(future, content, { created: -6000 }),
      keyring: certificate(future, { self: { created: -5500 } }),
      verdict: 'signature.key-unusable',
    },
    ...judged(message(key, content), [
      ['key for certifying only', self(certify), 'signature.key-unusable'],
      ['key for nothing', self(flags(0)), 'signature.key-unusable'],
      ['key for authentication', self(flags(0x20)), 'signature.key-unusable'],
      ['key without flags', self(), 'accepted'],
      ['expired key', self(sign, keyLifetime(500)), 'signature.key-expired'],
      ['key of lifetime 0', self(sign, keyLifetime(0)), 'accepted'],
      ['key that expires later', self(sign, keyLifetime(50_000)), 'accepted'],
      [
        'extended',
        said(
          { created: 900, extra: [sign, keyLifetime(500)] },
          { created: 100, extra: [sign, keyLifetime(50_000)] },
        ),
        'accepted',
      ],
      [
        'shortened',
        said({ created: 100, extra: [sign, keyLifetime(500)] }, { created: 900, extra: [sign] }),
        'signature.key-expired',
      ],
      [
        'newer user ID says nothing of expiry',
        two({ created: 100 }, { created: 900, extra: [sign, keyLifetime(500)] }),
        'signature.key-expired',
      ],
      [
        'newer user ID is expired, older not',
        two(
          { created: 100, extra: [sign, keyLifetime(500)] },
          { created: 900, extra: [sign, keyLifetime(50_000)] },
        ),
        'signature.key-expired',
      ],
      [
        'newer user ID certifies only',
        two({ created: 100, extra: [certify] }, { created: 900, extra: [sign] }),
        'signature.key-unusable',
      ],
      [
        'of one second the later user ID self-signature',
        said({ created: 900, extra: [certify] }, { created: 900, extra: [sign] }),
        'accepted',
      ],
      [
        'of one second the first user ID',
        two({ created: 900, extra: [certify] }, { created: 900, extra: [sign] }),
        'signature.key-unusable',
      ],
      [
        'self-signature from the future',
        said({ created: -5000, extra: [certify] }, { created: 900 }),
        'signature.key-unusable',
      ],
      ['self-signature older than the key', said({ created: 5000 }), 'signature.key-unusable'],
      [
        'self-signature with unknown critical subpacket',
        self(sign, subpacket(0x80 | 100, octets(1))),
        'signature.key-unusable',
      ],
      [
        'self-signature without issuer',
        said({ withFingerprint: false, unhashed: octets() }),
        'signature.key-unusable',
      ],
      [
        'direct signature: expired',
        direct({ created: 900, extra: [sign, keyLifetime(500)] }),
        'signature.key-expired',
      ],
      [
        'direct signature: certifies only',
        direct({ created: 900, extra: [certify] }),
        'signature.key-unusable',
      ],
      [
        'direct signature: newest counts',
        direct({ created: 900, extra: [certify] }, { created: 90, extra: [sign] }),
        'accepted',
      ],
      [
        'direct signature: over, so not heard',
        direct({ created: 900, extra: [certify, lifetime(10)] }),
        'accepted',
      ],
      ['no user ID', packet(6, key.body), 'signature.key-unusable'],
      [
        'user ID without self-signature',
        certificate(key, { users: [{ userId: 'A', signatures: [] }] }),
        'signature.key-unusable',
      ],
      [
        'direct signature, no user ID',
        certificate(key, { direct: [{ extra: [sign] }], users: [] }),
        'signature.key-unusable',
      ],
      ['user ID revoked', said({ created: 900 }, takenBack), 'accepted'],
      ['revoked', revoked({ extra: [subpacket(29, octets(0))] }), 'signature.key-revoked'],
      ['revoked as superseded', revoked({ extra: [subpacket(29, octets(1))] }), 'signature.key-revoked'],
      [
        'revoked as retired, after the signature',
        revoked({ created: 10, extra: [subpacket(29, octets(3))] }),
        'signature.key-revoked',
      ],
      ['revoked from the future', revoked({ created: -5000 }), 'signature.key-revoked'],
      ['revocation that is over', revoked({ created: 500, extra: [lifetime(10)] }), 'signature.key-revoked'],
      [
        'revocation with two creation times',
        revoked({ extra: [subpacket(2, forge.ago(50))] }),
        'signature.key-revoked',
      ],
      [
        "revocation with another's key ID",
        revoked({ unhashed: forge.issuerId(other) }),
        'signature.key-revoked',
      ],
      [
        'revocation without issuer',
        revoked({ withFingerprint: false, unhashed: octets() }),
        'signature.key-revoked',
        'accepted',
      ],
      ['revocation by a stranger', revoked({ by: other }), 'accepted'],
      [
        'revocation with unknown critical subpacket',
        revoked({ extra: [subpacket(0x80 | 100, octets(0))] }),
        'accepted',
      ],
      [
        'revocation appended to the file',
        join(
          certificate(key, { subkeys: [{ key: subkey }] }),
          packet(2, forge.signature(key, [forge.keyData(key)], { type: 0x20 })),
        ),
        'signature.key-revoked',
      ],
      ['revoker named', join(certificate(key, named), otherRing), 'accepted'],
      [
        'revoked by the named revoker',
        join(certificate(key, { ...named, revocations: [{ by: other }] }), otherRing),
        'signature.key-revoked',
      ],
      [
        'revoked by a revoker who is not here',
        certificate(key, { ...named, revocations: [{ by: other }] }),
        'accepted',
      ],
      ['the same key twice, revoked in the second', join(ring, revoked({})), 'signature.key-revoked'],
    ]),
  ];
}

function subkeys(content: Uint8Array): Case[] {
  const bound = (...bindings: NonNullable<forge.ForgedSubkey['bindings']>): Uint8Array =>
    certificate(key, { subkeys: [{ key: subkey, bindings }] });
  const revoked = (...revocations: forge.By[]): Uint8Array =>
    certificate(key, { subkeys: [{ key: subkey, revocations }] });
  const primary = (options: forge.CertificateOptions): Uint8Array =>
    certificate(key, { ...options, subkeys: [{ key: subkey }] });
  const binding = packet(
    2,
    forge.signature(key, [forge.keyData(key), forge.keyData(other)], { type: 0x18, extra: [flags(0x20)] }),
  );
  const revocation = packet(
    2,
    forge.signature(key, [forge.keyData(key), forge.keyData(subkey)], { type: 0x28 }),
  );
  return judged(message(subkey, content), [
    ['subkey', bound({}), 'accepted'],
    ['subkey of a certifying key', primary({ self: { extra: [flags(1)] } }), 'accepted'],
    [
      'subkey not bound',
      certificate(key, { subkeys: [{ key: subkey, bindings: [] }] }),
      'signature.key-unusable',
    ],
    ['subkey without back signature', bound({ back: null }), 'signature.key-unusable'],
    ["subkey with another's back signature", bound({ back: { by: other } }), 'signature.key-unusable'],
    ['subkey with a binding as back signature', bound({ back: { type: 0x18 } }), 'signature.key-unusable'],
    ['subkey with a SHA-1 back signature', bound({ back: { hash: 2 } }), 'accepted'],
    ['subkey for encryption', bound({ flags: 0x0c }), 'signature.key-unusable'],
    ['subkey for authentication', bound({ flags: 0x20 }), 'signature.key-unusable'],
    ['subkey expired', bound({ extra: [keyLifetime(500)] }), 'signature.key-expired'],
    ['subkey extended', bound({ created: 100 }, { created: 900, extra: [keyLifetime(500)] }), 'accepted'],
    [
      'subkey of an expired key',
      primary({ self: { extra: [flags(3), keyLifetime(500)] } }),
      'signature.key-expired',
    ],
    ['subkey of a revoked key', primary({ revocations: [{}] }), 'signature.key-revoked'],
    ['subkey revoked', revoked({}), 'signature.key-revoked'],
    ['subkey revoked from the future', revoked({ created: -5000 }), 'signature.key-revoked'],
    ['subkey revoked by a stranger', revoked({ by: other }), 'accepted'],
    [
      'subkey bound again after its revocation',
      certificate(key, {
        subkeys: [{ key: subkey, bindings: [{ created: 50 }], revocations: [{ created: 500 }] }],
      }),
      'signature.key-revoked',
    ],
    [
      'subkey whose revocation stands elsewhere',
      join(bound({}), packet(14, other.body), binding, revocation),
      'signature.key-revoked',
    ],
    ['binding that is over', bound({ created: 500, extra: [lifetime(10)] }), 'signature.key-unusable'],
    [
      'latest binding is over',
      bound({ created: 500, extra: [lifetime(10)] }, { created: 900 }),
      'signature.key-unusable',
    ],
    [
      'latest binding is for encryption',
      bound({ created: 100, flags: 0x0c }, { created: 900 }),
      'signature.key-unusable',
    ],
    [
      'latest binding has no back signature',
      bound({ created: 100, back: null }, { created: 900 }),
      'signature.key-unusable',
    ],
    [
      'one subkey in two certificates',
      join(
        bound({}),
        certificate(other, {
          users: [{ userId: 'Other <other@example.com>', signatures: [{}] }],
          subkeys: [{ key: subkey }],
        }),
      ),
      'signature.key-unusable',
    ],
  ]);
}

function block(bytes: Uint8Array): Uint8Array {
  const label = 'PGP PUBLIC KEY BLOCK';
  const base64 = Buffer.from(bytes).toString('base64');
  return forge.utf8(`-----BEGIN ${label}-----\nComment: x\n\n${base64}\n-----END ${label}-----\n`);
}

function files(content: Uint8Array): Case[] {
  const unknown = join(octets(4), forge.ago(500), octets(27), new Uint8Array(32).fill(7));
  const version = (number: number): Uint8Array => join(octets(number), key.body.subarray(1));
  const named = (body: Uint8Array): Uint8Array => join(packet(6, body), packet(13, forge.utf8('x')));
  return judged(message(key, content), [
    ['other keys beside', join(otherRing, ring), 'accepted'],
    ['armored', block(ring), 'accepted'],
    ['two armored blocks', join(block(otherRing), block(ring)), 'accepted'],
    ['text around the armor', join(forge.utf8('hello\n'), block(ring), forge.utf8('bye\n')), 'accepted'],
    ['key of unknown algorithm first', join(named(unknown), ring), 'accepted'],
    ['subkey of unknown algorithm', join(ring, packet(14, unknown)), 'accepted'],
    [
      'version 3 key first',
      join(named(octets(3, 0, 0, 0, 0, 0, 0, 1, 0, 8, 255, 0, 8, 3)), ring),
      'accepted',
    ],
    // GnuPG 2.2 skips them as Bulla does; 2.4 drops the rest of the file
    ['version 6 key behind', join(ring, named(version(6))), 'accepted', 'refused'],
    [
      'private packet and marker',
      join(packet(10, forge.utf8('PGP')), ring, packet(60, octets(1))),
      'accepted',
    ],
    ['bytes behind the key', join(ring, forge.utf8('garbage')), 'key.malformed'],
    ['second key cut off', join(ring, otherRing.subarray(0, -5)), 'key.malformed', 'accepted'],
    ['binary and armored in one file', join(otherRing, block(ring)), 'key.malformed'],
    ['a message as key file', message(key, content), 'key.none'],
  ]);
}

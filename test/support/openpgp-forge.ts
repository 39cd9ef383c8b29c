/**
 * OpenPGP keys and messages made packet by packet, wrong ones too: gpg and OpenPGP.js make only
 * right ones. `openpgp-cases.ts` stages them; skopeo and gpg are asked about the same bytes.
 */
import { createCipheriv, createHash, generateKeyPairSync } from 'node:crypto';

import { concatBytes, utf8 } from '../../src/base/bytes.ts';
import { Cursor } from '../../src/keys/openpgp/cursor.ts';
import {
  encodeMpi,
  encodeSubpacket,
  makeSignature,
  type SigningKey,
} from '../../src/keys/openpgp/make-signature.ts';
import { encodeNumber, encodePacket } from '../../src/keys/openpgp/packets.ts';
import { keyPrefix, readPublicKey } from '../../src/keys/openpgp/public-key.ts';

export const startedAt: number = Math.floor(Date.now() / 1000);

/** That many seconds ago, as four octets; negative: to come. */
export function ago(seconds: number): Uint8Array {
  return encodeNumber(startedAt - seconds, 4);
}
export function octets(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values);
}
export function u32(value: number): Uint8Array {
  return encodeNumber(value, 4);
}
export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}
export { concatBytes as join, encodePacket as packet, encodeSubpacket as subpacket, utf8 };

export type ForgedKey = SigningKey & { readonly body: Uint8Array };

function keyOf(body: Uint8Array, privateKey: SigningKey['privateKey']): ForgedKey {
  const publicKey = readPublicKey(new Cursor(body, 'key.malformed', 'the key'), body);
  if (publicKey === undefined) throw new Error('a key that cannot be read');
  return { body, publicKey, privateKey };
}

function numbersOf(key: SigningKey['privateKey'], ...names: readonly ('n' | 'e' | 'x')[]): Uint8Array[] {
  const jwk = key.export({ format: 'jwk' });
  return names.map((name) => new Uint8Array(Buffer.from(String(jwk[name]), 'base64url')));
}

export function edKey(created = 1000): ForgedKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const point = concatBytes(octets(0x40), ...numbersOf(publicKey, 'x'));
  const curve = fromHex('092b06010401da470f01');
  return keyOf(concatBytes(octets(4), ago(created), octets(22), curve, encodeMpi(point)), privateKey);
}

export function rsaKey(created = 1000): ForgedKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const numbers = numbersOf(publicKey, 'n', 'e').map((number) => encodeMpi(number));
  return keyOf(concatBytes(octets(4), ago(created), octets(1), ...numbers), privateKey);
}

export type SignatureOptions = {
  readonly type?: number;
  readonly hash?: number;
  /** Seconds ago; null: no creation time. Default: 100. */
  readonly created?: number | null;
  /** Further hashed subpackets. */
  readonly extra?: readonly Uint8Array[];
  readonly withFingerprint?: boolean;
  /** Default: the issuer's key ID. */
  readonly unhashed?: Uint8Array;
};

export function issuerId(key: ForgedKey): Uint8Array {
  return encodeSubpacket(16, fromHex(key.publicKey.keyId));
}
export function issuerFingerprint(key: ForgedKey): Uint8Array {
  return encodeSubpacket(33, concatBytes(octets(4), fromHex(key.publicKey.fingerprint)));
}
export function flags(value: number): Uint8Array {
  return encodeSubpacket(27, octets(value));
}
export function keyLifetime(seconds: number): Uint8Array {
  return encodeSubpacket(9, u32(seconds));
}
export function lifetime(seconds: number): Uint8Array {
  return encodeSubpacket(3, u32(seconds));
}

/** A signature packet's body over the data. */
export function signature(
  key: ForgedKey,
  data: readonly Uint8Array[],
  options: SignatureOptions = {},
): Uint8Array {
  const { type = 0, hash = 10, created = 100, extra = [], withFingerprint = true } = options;
  const hashed = concatBytes(
    ...(withFingerprint ? [issuerFingerprint(key)] : []),
    ...(created === null ? [] : [encodeSubpacket(2, ago(created))]),
    ...extra,
  );
  return makeSignature(data, key, { type, hash, hashed, unhashed: options.unhashed ?? issuerId(key) });
}

export function keyData(key: ForgedKey): Uint8Array {
  return keyPrefix(key.body);
}
export function userData(userId: string): Uint8Array {
  return concatBytes(octets(0xb4), u32(utf8(userId).length), utf8(userId));
}

export type By = SignatureOptions & { readonly by?: ForgedKey };
export type ForgedSubkey = {
  readonly key: ForgedKey;
  readonly bindings?: readonly (SignatureOptions & {
    readonly flags?: number;
    /** The back signature; null: none. */
    readonly back?: By | null;
  })[];
  readonly revocations?: readonly By[];
};
export type CertificateOptions = {
  readonly direct?: readonly SignatureOptions[];
  readonly revocations?: readonly By[];
  /** Default: one user ID, self-signed for certifying and signing. */
  readonly users?: readonly { readonly userId: string; readonly signatures: readonly SignatureOptions[] }[];
  /** Of the default user ID's self-signature. */
  readonly self?: SignatureOptions;
  readonly subkeys?: readonly ForgedSubkey[];
};

export const userId = 'Forged <forged@example.com>';

export function certificate(key: ForgedKey, options: CertificateOptions = {}): Uint8Array {
  const sign = (data: readonly Uint8Array[], type: number, { by = key, ...rest }: By): Uint8Array =>
    encodePacket(2, signature(by, data, { type, ...rest }));
  const primary = keyData(key);
  const users = options.users ?? [{ userId, signatures: [options.self ?? {}] }];
  return concatBytes(
    encodePacket(6, key.body),
    ...(options.direct ?? []).map((one) => sign([primary], 0x1f, one)),
    ...(options.revocations ?? []).map((one) => sign([primary], 0x20, one)),
    ...users.flatMap((user) => [
      encodePacket(13, utf8(user.userId)),
      ...user.signatures.map((one) =>
        sign([primary, userData(user.userId)], 0x13, { extra: [flags(3)], ...one }),
      ),
    ]),
    ...(options.subkeys ?? []).flatMap((subkey) => {
      const data = [primary, keyData(subkey.key)];
      const bindings = (subkey.bindings ?? [{}]).map(({ back = {}, flags: usage = 2, ...rest }) => {
        const { by = subkey.key, ...of } = back ?? {};
        const inside = back === null ? [] : [encodeSubpacket(32, signature(by, data, { type: 0x19, ...of }))];
        const extra = [flags(usage), ...(rest.extra ?? [])];
        return sign(data, 0x18, { ...rest, extra, unhashed: concatBytes(issuerId(key), ...inside) });
      });
      const revocations = (subkey.revocations ?? []).map((one) => sign(data, 0x28, one));
      return [encodePacket(14, subkey.key.body), ...bindings, ...revocations];
    }),
  );
}

export type OnePass = {
  readonly type?: number;
  readonly hash?: number;
  readonly keyId?: string;
  readonly last?: number;
};
export function onePass(key: ForgedKey, { type = 0, hash = 10, keyId, last = 1 }: OnePass = {}): Uint8Array {
  const id = fromHex(keyId ?? key.publicKey.keyId);
  return encodePacket(4, concatBytes(octets(3, type, hash, key.publicKey.algorithm), id, octets(last)));
}
export function literalBody(content: Uint8Array, mode = 'b'): Uint8Array {
  return concatBytes(utf8(mode), octets(0, 0, 0, 0, 0), content);
}
export function literal(content: Uint8Array, mode = 'b'): Uint8Array {
  return encodePacket(11, literalBody(content, mode));
}

/** One-pass signature, literal data, signature. */
export function message(
  key: ForgedKey,
  content: Uint8Array,
  options: SignatureOptions & { readonly mode?: string } = {},
): Uint8Array {
  const { type = 0, hash = 10 } = options;
  const made = encodePacket(2, signature(key, [content], options));
  return concatBytes(onePass(key, { type, hash }), literal(content, options.mode), made);
}

/** How a forged secret key is protected; numbers of RFC 9580 sections 3.7.1, 9.3 and 9.5. */
export type ForgedProtection = {
  readonly usage: 254 | 255;
  readonly cipher: 2 | 7 | 8 | 9;
  readonly specifier: 0 | 1 | 3;
  readonly hash: 2 | 8 | 10;
};

const ciphers = {
  2: { name: 'des-ede3-cfb', key: 24, block: 8 },
  7: { name: 'aes-128-cfb', key: 16, block: 16 },
  8: { name: 'aes-192-cfb', key: 24, block: 16 },
  9: { name: 'aes-256-cfb', key: 32, block: 16 },
} as const;
const hashNames = { 2: 'sha1', 8: 'sha256', 10: 'sha512' } as const;

/** An Ed25519 key's transferable secret key, protected in ways that gpg reads and no longer writes. */
export function protectedKey(key: ForgedKey, passphrase: string, how: ForgedProtection): Uint8Array {
  const seed = Buffer.from(String(key.privateKey.export({ format: 'jwk' })['d']), 'base64url');
  const secret = encodeMpi(seed);
  const { name, key: keyLength, block } = ciphers[how.cipher];
  const salt = how.specifier === 0 ? octets() : octets(1, 2, 3, 4, 5, 6, 7, 8);
  // coded count 0x60: 65,536 octets
  const salted = concatBytes(salt, utf8(passphrase));
  const times = how.specifier === 3 ? Math.ceil(65_536 / salted.length) : 1;
  const input = concatBytes(...Array<Uint8Array>(times).fill(salted)).subarray(
    0,
    how.specifier === 3 ? 65_536 : undefined,
  );
  const hashed = [0, 1].map((zeros) =>
    createHash(hashNames[how.hash]).update(new Uint8Array(zeros)).update(input).digest(),
  );
  const cipher = createCipheriv(
    name,
    concatBytes(...hashed).subarray(0, keyLength),
    new Uint8Array(block).fill(9),
  );
  const sum = secret.reduce((total, byte) => total + byte, 0);
  const proof = how.usage === 254 ? createHash('sha1').update(secret).digest() : encodeNumber(sum, 2);
  const encrypted = concatBytes(cipher.update(concatBytes(secret, proof)), cipher.final());
  const head = octets(how.usage, how.cipher, how.specifier, how.hash);
  const count = how.specifier === 3 ? octets(0x60) : octets();
  const body = concatBytes(key.body, head, salt, count, new Uint8Array(block).fill(9), encrypted);
  const rest = certificate(key).subarray(encodePacket(6, key.body).length);
  return concatBytes(encodePacket(5, body), rest);
}

/** Every protection that Bulla opens, each part at least once. */
export const protections: readonly ForgedProtection[] = [
  { usage: 254, cipher: 9, specifier: 3, hash: 2 },
  { usage: 254, cipher: 7, specifier: 3, hash: 8 },
  { usage: 255, cipher: 8, specifier: 1, hash: 10 },
  { usage: 254, cipher: 2, specifier: 3, hash: 2 },
  { usage: 255, cipher: 9, specifier: 0, hash: 2 },
];

/** How a passphrase protects a secret key: string-to-key and the cipher (RFC 9580 sections 3.7 and 5.5.3). */
import { concatBytes, utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { hashOf } from './check.ts';
import type { Cursor } from './cursor.ts';

/** What stands in a secret key packet between the public part and the secret integers. */
export type Protection =
  | { readonly kind: 'none' }
  /** The secret part is elsewhere: a stub for an offline key or a card. */
  | { readonly kind: 'absent'; readonly where: 'offline' | 'card' }
  | { readonly kind: 'unsupported'; readonly why: string }
  | Encrypted;

export type Encrypted = {
  readonly kind: 'encrypted';
  readonly cipher: { readonly name: string; readonly keyOctets: number };
  readonly iv: Uint8Array;
  readonly hash: string;
  readonly salt: Uint8Array;
  /** Octets of salt and passphrase to hash; 0: each once. */
  readonly count: number;
  /** How the plain text proves itself: SHA-1 of it, or the sum of its octets. */
  readonly proof: 'sha1' | 'sum';
};

const ciphers: Readonly<Record<number, { name: string; keyOctets: number; block: number }>> = {
  2: { name: 'des-ede3-cfb', keyOctets: 24, block: 8 },
  7: { name: 'aes-128-cfb', keyOctets: 16, block: 16 },
  8: { name: 'aes-192-cfb', keyOctets: 24, block: 16 },
  9: { name: 'aes-256-cfb', keyOctets: 32, block: 16 },
};

/** Reads the protection; the cursor then stands at the secret integers, plain or encrypted. */
export function readProtection(cursor: Cursor): Protection {
  const usage = cursor.u8();
  if (usage === 0) return { kind: 'none' };
  if (usage === 253) return unsupported('it is protected with AEAD');
  if (usage !== 254 && usage !== 255) return unsupported('its protection is of a kind from before 1998');
  const cipher = ciphers[cursor.u8()];
  const specifier = cursor.u8();
  if (specifier === 4) return unsupported('it is protected with Argon2');
  const hash = hashOf(cursor.u8());
  if (specifier === 101) return readStub(cursor);
  if (![0, 1, 3].includes(specifier)) return unsupported('the way its passphrase is used is unknown');
  const salt = specifier === 0 ? new Uint8Array(0) : cursor.take(8);
  const coded = specifier === 3 ? cursor.u8() : undefined;
  if (cipher === undefined) return unsupported('it is encrypted with a cipher that is not supported');
  if (hash === undefined) return unsupported('the hash that its passphrase is used with is not supported');
  const count = coded === undefined ? 0 : (16 + (coded & 15)) * 2 ** ((coded >> 4) + 6);
  const iv = cursor.take(cipher.block);
  return {
    kind: 'encrypted',
    cipher,
    iv,
    hash: hash.name,
    salt,
    count,
    proof: usage === 254 ? 'sha1' : 'sum',
  };
}

/** GnuPG's own: "GNU", then 1 for no secret part at all, 2 for one on a card. */
function readStub(cursor: Cursor): Protection {
  if (Buffer.from(cursor.take(3)).toString('latin1') !== 'GNU')
    return unsupported('its protection is unknown');
  const mode = cursor.u8();
  if (mode !== 1 && mode !== 2) return unsupported('its protection is unknown');
  return { kind: 'absent', where: mode === 1 ? 'offline' : 'card' };
}

function unsupported(why: string): Protection {
  return { kind: 'unsupported', why };
}

/**
 * Decrypts and checks the secret integers.
 * @throws BullaError `key.passphrase-wrong`
 */
export function decryptSecret(protection: Encrypted, encrypted: Uint8Array, passphrase: string): Uint8Array {
  const key = keyFrom(protection, utf8(passphrase));
  const decipher = crypto.createDecipheriv(protection.cipher.name, key, protection.iv);
  const plain = concatBytes(decipher.update(encrypted), decipher.final());
  const secret = withoutProof(plain, protection.proof);
  if (secret !== undefined) return secret;
  throw new BullaError('key.passphrase-wrong', 'the passphrase does not open the secret key');
}

/** The secret integers without the proof behind them; undefined where it does not fit. */
export function withoutProof(plain: Uint8Array, proof: 'sha1' | 'sum'): Uint8Array | undefined {
  const octets = proof === 'sha1' ? 20 : 2;
  if (plain.length < octets) return undefined;
  const secret = plain.subarray(0, plain.length - octets);
  const expected = proof === 'sha1' ? crypto.createHash('sha1').update(secret).digest() : sumOf(secret);
  return crypto.timingSafeEqual(expected, plain.subarray(plain.length - octets)) ? secret : undefined;
}

function sumOf(bytes: Uint8Array): Uint8Array {
  const sum = bytes.reduce((total, byte) => (total + byte) & 0xffff, 0);
  return Uint8Array.of(sum >> 8, sum & 0xff);
}

/** Where one hash is too short for the key, more are made, each after one more zero octet (section 3.7.1.1). */
function keyFrom({ cipher, hash, salt, count }: Encrypted, passphrase: Uint8Array): Uint8Array {
  const salted = concatBytes(salt, passphrase);
  const parts: Uint8Array[] = [];
  for (let zeros = 0, made = 0; made < cipher.keyOctets; zeros += 1) {
    const digest = crypto.createHash(hash).update(new Uint8Array(zeros));
    const part = repeatInto(digest, salted, Math.max(count, salted.length)).digest();
    parts.push(part);
    made += part.length;
  }
  return concatBytes(...parts).subarray(0, cipher.keyOctets);
}

/** Feeds that many octets of the salted passphrase, repeated: up to 62 MiB, so in large pieces. */
function repeatInto(
  hash: import('node:crypto').Hash,
  salted: Uint8Array,
  count: number,
): import('node:crypto').Hash {
  if (salted.length === 0) return hash;
  const times = Math.ceil(Math.min(count, 65_536) / salted.length);
  const piece = Buffer.alloc(times * salted.length, salted);
  let left = count;
  for (; left >= piece.length; left -= piece.length) hash.update(piece);
  return hash.update(piece.subarray(0, left));
}

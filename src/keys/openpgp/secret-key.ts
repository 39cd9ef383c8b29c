/** Secret key packets as gpg and OpenPGP.js write them (RFC 9580 section 5.5.3), and unlocking them. */
import { BullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { unarmorKeys } from './armor.ts';
import { Cursor } from './cursor.ts';
import type { SigningKey } from './make-signature.ts';
import { packetTags, readPackets } from './packets.ts';
import { base64url, type Material, type PublicKey, readPublicKey } from './public-key.ts';
import { decryptSecret, type Protection, readProtection, withoutProof } from './s2k.ts';

/** Gives a passphrase; undefined: there is none to give. Asked only where one is needed. */
export type AskPassphrase = () => Promise<string | undefined>;

/** A secret key as filed: its secret integers, encrypted or not, unread. */
export type Secret = {
  readonly publicKey: PublicKey;
  readonly protection: Protection;
  readonly data: Uint8Array;
};

/**
 * The secret keys of a file, binary or armored, by fingerprint.
 * @throws BullaError `key.malformed`, `key.none`
 */
export function readSecrets(bytes: Uint8Array): ReadonlyMap<string, Secret> {
  const secrets = new Map<string, Secret>();
  for (const { tag, body } of readPackets(unarmorKeys(bytes), 'key.malformed', 'the key file', mostPackets)) {
    if (tag !== packetTags.secretKey && tag !== packetTags.secretSubkey) continue;
    const cursor = new Cursor(body, 'key.malformed', 'the secret key');
    const publicKey = readPublicKey(cursor, body);
    if (publicKey === undefined) continue;
    const protection = readProtection(cursor);
    secrets.set(publicKey.fingerprint, { publicKey, protection, data: cursor.rest() });
  }
  if (secrets.size > 0) return secrets;
  throw new BullaError('key.none', 'the key file holds no OpenPGP secret key that can be used', {
    hint: 'export one with: gpg --armor --export-secret-keys FINGERPRINT',
  });
}

const mostPackets = 10_000;

/**
 * Makes a secret key ready to sign.
 * @throws BullaError `key.passphrase-missing`, `key.passphrase-wrong`, `key.unusable`, `key.malformed`
 */
export async function unlock(secret: Secret, ask?: AskPassphrase): Promise<SigningKey> {
  const { publicKey, protection, data } = secret;
  const integers = await plainIntegers(secret, ask);
  if (integers === undefined) {
    throw new BullaError('key.malformed', `the secret part of key ${publicKey.fingerprint} is damaged`);
  }
  const cursor = new Cursor(integers, 'key.malformed', 'the secret key');
  if (publicKey.material === undefined || data.length === 0 || protection.kind === 'absent') {
    throw unusable(publicKey, `it is a ${publicKey.algorithmName} key`);
  }
  const jwk = jwkOf(publicKey, publicKey.material, cursor);
  if (cursor.left > 0) throw cursor.error('something follows its integers');
  try {
    return { publicKey, privateKey: crypto.createPrivateKey({ key: jwk, format: 'jwk' }) };
  } catch {
    // OpenSSL's own words may quote nothing, but they say nothing to a human either
    throw unusable(publicKey, 'its numbers are no key');
  }
}

/** The secret integers; undefined where they are damaged. */
async function plainIntegers(
  { publicKey, protection, data }: Secret,
  ask: AskPassphrase | undefined,
): Promise<Uint8Array | undefined> {
  switch (protection.kind) {
    case 'none':
      return withoutProof(data, 'sum');
    case 'absent': {
      const where = protection.where === 'card' ? 'it is on a smartcard' : 'it is kept offline';
      throw unusable(
        publicKey,
        `only a stub of its secret part is here; ${where}`,
        'sign with GnuPG, which can reach it: --sign-by',
      );
    }
    case 'unsupported':
      throw unusable(
        publicKey,
        protection.why,
        'import it with gpg and sign with --sign-by, or export it anew with gpg 2.2 or newer',
      );
    case 'encrypted': {
      const passphrase = await ask?.();
      if (passphrase === undefined) {
        throw new BullaError(
          'key.passphrase-missing',
          `key ${publicKey.fingerprint} is protected by a passphrase, and none was given`,
          {
            hint: 'give it with --sign-passphrase-file, or sign on a terminal',
          },
        );
      }
      return decryptSecret(protection, data, passphrase);
    }
  }
}

function jwkOf(key: PublicKey, material: Material, cursor: Cursor): Record<string, string> {
  switch (material.kind) {
    case 'rsa':
      return rsaJwk(material, cursor);
    case 'ed25519':
      return { kty: 'OKP', crv: 'Ed25519', x: base64url(material.point), d: base64url(padded(cursor, 32)) };
    case 'ecdsa': {
      const { curve, point } = material;
      const crv = { nistp256: 'P-256', nistp384: 'P-384', nistp521: 'P-521' }[curve.name];
      if (crv === undefined) throw unusable(key, `Bulla does not sign with ${curve.name} keys`);
      const [x, y] = [point.subarray(1, 1 + curve.octets), point.subarray(1 + curve.octets)];
      return { kty: 'EC', crv, x: base64url(x), y: base64url(y), d: base64url(padded(cursor, curve.octets)) };
    }
    case 'dsa':
      throw unusable(key, 'Bulla does not sign with DSA keys');
  }
}

/**
 * OpenPGP keeps d, p, q and u = 1/p mod q; a JSON Web Key wants qi = 1/q mod p. With p and q
 * exchanged u is that.
 */
function rsaJwk(material: Extract<Material, { kind: 'rsa' }>, cursor: Cursor): Record<string, string> {
  const [d, q, p, qi] = [cursor.mpi(), cursor.mpi(), cursor.mpi(), cursor.mpi()];
  const [dNumber, pNumber, qNumber] = [bigInt(d), bigInt(p), bigInt(q)];
  if (pNumber < 3n || qNumber < 3n) throw cursor.error('its primes are none');
  const numbers = { n: material.modulus, e: material.exponent, d, p, q, qi };
  const encoded = Object.entries(numbers).map(([name, value]) => [name, base64url(value)]);
  const dp = base64url(octetsOf(dNumber % (pNumber - 1n)));
  const dq = base64url(octetsOf(dNumber % (qNumber - 1n)));
  return { kty: 'RSA', ...Object.fromEntries(encoded), dp, dq };
}

function bigInt(number: Uint8Array): bigint {
  return number.length === 0 ? 0n : BigInt(`0x${Buffer.from(number).toString('hex')}`);
}

function octetsOf(number: bigint): Uint8Array {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

function padded(cursor: Cursor, octets: number): Uint8Array {
  const number = cursor.mpi();
  if (number.length > octets) throw cursor.error('its secret number is too large');
  return Buffer.concat([new Uint8Array(octets - number.length), number]);
}

function unusable(key: PublicKey, why: string, hint?: string): BullaError {
  return new BullaError(
    'key.unusable',
    `key ${key.fingerprint} cannot sign: ${why}`,
    hint === undefined ? {} : { hint },
  );
}

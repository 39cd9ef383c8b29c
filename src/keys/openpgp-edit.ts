/**
 * Makes and changes OpenPGP keys by OpenPGP.js, which is loaded when first needed: it costs more
 * start-up than a whole signature, so signing, listing and verifying go without it (openpgp/).
 */
import type { Config, Key, PrivateKey, PublicKey, SecretKeyPacket, SecretSubkeyPacket } from 'openpgp';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { GenerateRequest, KeyType, RevocationReason } from './key-info.ts';
import { resignExpiry } from './openpgp-resign.ts';

type OpenPgp = typeof import('openpgp');

/** A key as it is kept: binary OpenPGP packets. */
export type KeyBytes = { readonly publicKey: Uint8Array; readonly secretKey?: Uint8Array };

/**
 * What GnuPG 2.2 and the rest of the world can read: version 4 keys, secret parts protected by AES-256 in
 * CFB with an iterated and salted S2K (RFC 4880 section 5.5.3, usage 254), no AEAD, no Argon2. The two
 * rejections are lifted because an old key that is only listed or revoked harms nobody; verification
 * has rules of its own.
 */
function settings({ config, enums }: OpenPgp): Config {
  return {
    ...config,
    v6Keys: false,
    aeadProtect: false,
    s2kType: enums.s2k.iterated,
    s2kIterationCountByte: 224,
    preferredHashAlgorithm: enums.hash.sha512,
    preferredSymmetricAlgorithm: enums.symmetric.aes256,
    rejectPublicKeyAlgorithms: new Set(),
    minRSABits: 1024,
  };
}

const parameters: Readonly<
  Record<KeyType, { type: 'rsa'; rsaBits: number } | { type: 'ecc'; curve: 'ed25519Legacy' | 'nistP256' }>
> = {
  rsa3072: { type: 'rsa', rsaBits: 3072 },
  rsa4096: { type: 'rsa', rsaBits: 4096 },
  // RFC 9580's own Ed25519 (algorithm 27) is unknown to GnuPG, and so to podman
  ed25519: { type: 'ecc', curve: 'ed25519Legacy' },
  p256: { type: 'ecc', curve: 'nistP256' },
};

export type GeneratedKey = {
  readonly fingerprint: string;
  /** All three armored. */
  readonly publicKey: string;
  readonly secretKey: string;
  readonly revocation: string;
};

/** Makes a key whose primary part certifies and signs, without subkeys; and its revocation certificate. */
export async function generateOpenPgpKey(
  request: GenerateRequest,
  now: Date = new Date(),
): Promise<GeneratedKey> {
  const openpgp = await import('openpgp');
  const date = new Date(Math.floor(now.getTime() / 1000) * 1000);
  const made = await openpgp.generateKey({
    ...parameters[request.type],
    userIDs: [userIdObject(request.userId)],
    date,
    subkeys: [],
    format: 'object',
    config: settings(openpgp),
    ...(request.expires !== undefined && {
      keyExpirationTime: Math.floor((request.expires.getTime() - date.getTime()) / 1000),
    }),
    ...(request.passphrase !== undefined && request.passphrase !== '' && { passphrase: request.passphrase }),
  });
  return {
    fingerprint: made.publicKey.getFingerprint().toUpperCase(),
    publicKey: made.publicKey.armor(),
    secretKey: made.privateKey.armor(),
    revocation: made.revocationCertificate,
  };
}

/** OpenPGP.js takes the parts of a user ID and joins them; one that would come out otherwise is all name. */
function userIdObject(userId: string): { name?: string; comment?: string; email?: string } {
  const [, name, comment, email] =
    /^([^<>()]+?)(?: \(([^<>()]*)\))?(?: <([^<>()\s]+@[^<>()\s]+)>)?$/.exec(userId) ?? [];
  const parts = {
    ...(name !== undefined && { name }),
    ...(comment !== undefined && { comment }),
    ...(email !== undefined && { email }),
  };
  return name === undefined ? { name: userId } : parts;
}

/** Armors packets of one public or secret key. */
export async function armorKey(bytes: Uint8Array): Promise<string> {
  return (await readOne(await import('openpgp'), bytes)).armor();
}

/** The public part of a secret key. */
export async function publicPartOf(secretKey: Uint8Array): Promise<Uint8Array> {
  return (await readOne(await import('openpgp'), secretKey)).toPublic().write();
}

/**
 * Protects a secret key anew, as GnuPG can read it, with the same passphrase.
 * @throws BullaError `key.passphrase-wrong`
 */
export async function protectAnew(secretKey: Uint8Array, passphrase: string): Promise<Uint8Array> {
  const openpgp = await import('openpgp');
  const key = await readSecret(openpgp, secretKey);
  for (const part of key.getKeys()) {
    const packet = part.keyPacket as SecretKeyPacket | SecretSubkeyPacket;
    if (packet.isDummy() || packet.isMissingSecretKeyMaterial()) continue;
    try {
      if (!packet.isDecrypted()) await packet.decrypt(passphrase);
    } catch (cause) {
      throw new BullaError('key.passphrase-wrong', 'the passphrase of the key is wrong', { cause });
    }
    await packet.encrypt(passphrase, settings(openpgp));
  }
  return key.write();
}

/** What both copies of a certificate know, in the first one's order: user IDs, signatures, revocations. */
export async function mergeCertificates(mine: Uint8Array, theirs: Uint8Array): Promise<Uint8Array> {
  const openpgp = await import('openpgp');
  const key = await readOne(openpgp, mine);
  const other = (await readOne(openpgp, theirs)).toPublic();
  return (await key.update(other, new Date(), settings(openpgp))).write();
}

/**
 * Sets when a key and its signing subkeys expire, by new self-signatures.
 * @param expires undefined: never
 * @param askPassphrase called if the key is protected
 * @throws BullaError `key.passphrase-wrong`, `key.unusable`
 */
export async function extendOpenPgpKey(
  secretKey: Uint8Array,
  expires: Date | undefined,
  askPassphrase: () => Promise<string>,
): Promise<Required<KeyBytes>> {
  const openpgp = await import('openpgp');
  const key = await readSecret(openpgp, secretKey);
  const signer = await unlock(openpgp, secretKey, askPassphrase);
  await resignExpiry(openpgp, settings(openpgp), key, signer, expires);
  return bytesOf(key);
}

const reasonNames: Readonly<
  Record<RevocationReason, 'noReason' | 'keySuperseded' | 'keyCompromised' | 'keyRetired'>
> = {
  none: 'noReason',
  superseded: 'keySuperseded',
  compromised: 'keyCompromised',
  unused: 'keyRetired',
};

/** Revokes a key by itself, for a reason. @throws BullaError `key.passphrase-wrong`, `key.unusable` */
export async function revokeOpenPgpKey(
  secretKey: Uint8Array,
  reason: RevocationReason,
  askPassphrase: () => Promise<string>,
): Promise<Required<KeyBytes>> {
  const openpgp = await import('openpgp');
  const key = await readSecret(openpgp, secretKey);
  const signer = await unlock(openpgp, secretKey, askPassphrase);
  const flag = openpgp.enums.reasonForRevocation[reasonNames[reason]];
  const revoked = await signer.revoke({ flag, string: '' }, new Date(), settings(openpgp));
  const made = revoked.revocationSignatures.at(-1);
  if (made === undefined) throw new BullaError('key.unusable', 'the key made no revocation');
  key.revocationSignatures.push(made);
  return bytesOf(key);
}

/**
 * Applies a revocation certificate to a key.
 * @param certificate one signature packet, binary
 * @throws BullaError `key.malformed` where it is none, or another key's, or its signature is wrong
 */
export async function applyRevocation(key: Uint8Array, certificate: Uint8Array): Promise<Uint8Array> {
  const openpgp = await import('openpgp');
  const parsed = await readOne(openpgp, key);
  try {
    const revocationCertificate = openpgp.armor(openpgp.enums.armor.publicKey, certificate);
    const options = { revocationCertificate, format: 'object', config: settings(openpgp) } as const;
    if (!parsed.isPrivate()) return (await openpgp.revokeKey({ key: parsed, ...options })).publicKey.write();
    return (await openpgp.revokeKey({ key: parsed, ...options })).privateKey.write();
  } catch (cause) {
    throw new BullaError('key.malformed', 'the revocation certificate does not revoke this key', { cause });
  }
}

async function readOne(openpgp: OpenPgp, bytes: Uint8Array): Promise<Key> {
  try {
    const [key, ...others] = await openpgp.readKeys({ binaryKeys: bytes, config: settings(openpgp) });
    if (key === undefined || others.length > 0) throw new Error('it is not exactly one key');
    return key;
  } catch (cause) {
    throw malformed(cause);
  }
}

async function readSecret(openpgp: OpenPgp, bytes: Uint8Array): Promise<PrivateKey> {
  const key = await readOne(openpgp, bytes);
  if (!key.isPrivate()) throw new BullaError('key.unusable', 'the key has no secret part here');
  return key;
}

/** The same key once more, its primary secret part unlocked; the copy that is written stays locked. */
async function unlock(
  openpgp: OpenPgp,
  bytes: Uint8Array,
  askPassphrase: () => Promise<string>,
): Promise<PrivateKey> {
  const key = await readSecret(openpgp, bytes);
  const packet = key.keyPacket as SecretKeyPacket;
  if (packet.isDummy() || packet.isMissingSecretKeyMaterial()) {
    throw new BullaError('key.unusable', 'the secret part of the primary key is not here', {
      hint: 'do this where the primary key is kept, then export and import',
    });
  }
  if (packet.isDecrypted()) return key;
  const passphrase = await askPassphrase();
  try {
    await packet.decrypt(passphrase);
  } catch (cause) {
    throw new BullaError('key.passphrase-wrong', 'the passphrase of the key is wrong', { cause });
  }
  return key;
}

function bytesOf(key: PrivateKey): Required<KeyBytes> {
  const publicKey: PublicKey = key.toPublic();
  return { publicKey: publicKey.write(), secretKey: key.write() };
}

function malformed(cause: unknown): BullaError {
  const why = cause instanceof Error ? printable(cause.message) : 'it does not parse';
  return new BullaError('key.malformed', `the key is malformed: ${why}`, { cause });
}

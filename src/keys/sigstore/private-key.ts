/** The private keys of sigstore signatures: made, taken over from plain PEM files, opened to sign. */
import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import type { PassphraseSource } from '../key-info.ts';
import type { SigstoreSigner } from '../signer.ts';
import { decryptPrivateKey } from './encrypted-key.ts';
import { decodePem } from './pem.ts';
import {
  bundleHash,
  publicKeyOf,
  simpleHash,
  type SigstorePublicKey,
  verifySigstoreSignature,
} from './public-key.ts';

type NodeKey = import('node:crypto').KeyObject;

/** The kinds of key that can be made. */
export const sigstoreKeyTypes = [
  'ecdsa-p256',
  'ecdsa-p384',
  'ecdsa-p521',
  'rsa2048',
  'rsa3072',
  'rsa4096',
  'ed25519',
] as const;
export type SigstoreKeyType = (typeof sigstoreKeyTypes)[number];

/** A private key with its public one, in memory and not protected. */
export type SigstoreKeyPair = { readonly privateKey: NodeKey; readonly publicKey: SigstorePublicKey };

/**
 * Opens an encrypted private key file to sign with. Start it before other work: scrypt runs beside it.
 * `sign` gives the bare signature that containers/image expects: RSA PKCS#1 v1.5 and ECDSA (DER) over SHA-256, Ed25519
 * over the message.
 * @param options.name of the key for people, e.g. its path
 * @returns a signer whose `keyId` is the SHA-256 of the SubjectPublicKeyInfo, lower-case hex
 * @throws BullaError `key.malformed`, `key.none`, `key.unusable`, `key.passphrase-missing`, `key.passphrase-wrong`
 */
export async function openSigstoreKey(
  pem: Uint8Array,
  options: { readonly passphrase: PassphraseSource; readonly name?: string },
): Promise<SigstoreSigner> {
  const pair = await openKeyPair(pem, options);
  return {
    kind: 'sigstore',
    keyId: pair.publicKey.keyId,
    publicKey: pair.publicKey,
    sign: async (message) => signSimple(pair, message),
    signForBundle: (message, form) => signForBundle(pair, message, form?.prehashed === true),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** As `SigstoreSigner.signForBundle`, by a key in memory. @throws BullaError `key.unusable` */
export async function signForBundle(
  pair: SigstoreKeyPair,
  message: Uint8Array,
  prehashed: boolean,
): Promise<Uint8Array> {
  if (!prehashed || pair.publicKey.algorithm !== 'ed25519') {
    return signWith(bundleHash(pair.publicKey), pair, message);
  }
  const { signEd25519ph } = await import('./bundle-signature.ts');
  return signEd25519ph(pair.privateKey, message);
}

function signSimple(pair: SigstoreKeyPair, message: Uint8Array): Uint8Array {
  return signWith(simpleHash[pair.publicKey.algorithm], pair, message);
}

function signWith(hash: string | null, { privateKey }: SigstoreKeyPair, message: Uint8Array): Uint8Array {
  try {
    return new Uint8Array(crypto.sign(hash, message, privateKey));
  } catch (cause) {
    throw new BullaError('key.unusable', 'the numbers of the private key do not sign', { cause });
  }
}

/** As openSigstoreKey, but the keys themselves: for whoever signs with another hash than containers/image. */
export async function openKeyPair(
  pem: Uint8Array,
  options: { readonly passphrase: PassphraseSource; readonly name?: string },
): Promise<SigstoreKeyPair> {
  const name = printable(options.name ?? 'the private key');
  const pkcs8 = await decryptPrivateKey(pem, options.passphrase, name);
  try {
    return keyPairOf(readDer(pkcs8, 'pkcs8'));
  } finally {
    pkcs8.fill(0);
  }
}

export function makeKeyPair(type: SigstoreKeyType): SigstoreKeyPair {
  return keyPairOf(makeKey(type));
}

function makeKey(type: SigstoreKeyType): NodeKey {
  switch (type) {
    case 'ecdsa-p256':
      return crypto.generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
    case 'ecdsa-p384':
      return crypto.generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey;
    case 'ecdsa-p521':
      return crypto.generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey;
    case 'rsa2048':
    case 'rsa3072':
    case 'rsa4096':
      return crypto.generateKeyPairSync('rsa', { modulusLength: Number(type.slice(3)) }).privateKey;
    case 'ed25519':
      return crypto.generateKeyPairSync('ed25519').privateKey;
  }
}

/**
 * Reads a private key without protection: PKCS#8 (`PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`, also after OpenSSL's `EC
 * PARAMETERS`) or PKCS#1 (`RSA PRIVATE KEY`). Such a file signs nothing here: it is taken over into an encrypted one.
 * @throws BullaError `key.none`, `key.malformed`, `key.unusable` (a kind that sigstore has not, protected, or its parts do not belong together)
 */
export function importPrivateKey(pem: Uint8Array): SigstoreKeyPair {
  const block = decodePem(pem).find(({ type }) => type !== 'EC PARAMETERS');
  if (block === undefined) throw new BullaError('key.none', 'there is no PEM block with a private key');
  const form = plainForms[block.type];
  if (form === undefined) {
    throw new BullaError('key.unusable', `"${printable(block.type, 60)}" is no plain private key`, {
      hint: 'PRIVATE KEY, EC PRIVATE KEY and RSA PRIVATE KEY work; an encrypted one comes by `openssl pkey -in FILE | bulla key generate sigstore --import - …`',
    });
  }
  const pair = keyPairOf(readDer(block.bytes, form));
  block.bytes.fill(0);
  // OpenSSL believes the public part that a file claims, and RSA's numbers
  const probe = Uint8Array.of(0);
  const signature = signSimple(pair, probe);
  if (verifySigstoreSignature(pair.publicKey, probe, signature)) return pair;
  throw new BullaError('key.unusable', 'the parts of the private key do not belong together');
}

const plainForms: Readonly<Record<string, 'pkcs8' | 'sec1' | 'pkcs1'>> = {
  'PRIVATE KEY': 'pkcs8',
  'EC PRIVATE KEY': 'sec1',
  'RSA PRIVATE KEY': 'pkcs1',
};

function readDer(der: Uint8Array, type: 'pkcs8' | 'sec1' | 'pkcs1'): NodeKey {
  try {
    return crypto.createPrivateKey({ key: Buffer.from(der), format: 'der', type });
  } catch (cause) {
    throw new BullaError('key.malformed', 'what should be a private key is none', { cause });
  }
}

function keyPairOf(privateKey: NodeKey): SigstoreKeyPair {
  const key = crypto.createPublicKey(privateKey);
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  const publicKey = publicKeyOf(key);
  if (modulusLength !== undefined && (modulusLength < 2048 || modulusLength > 4096)) {
    throw new BullaError('key.unusable', `an RSA key of ${modulusLength} bits does not sign here`, {
      hint: '2048 to 4096 bits work',
    });
  }
  if (namedCurve === 'secp224r1') throw new BullaError('key.unusable', 'a key on P-224 does not sign here');
  return { privateKey, publicKey };
}

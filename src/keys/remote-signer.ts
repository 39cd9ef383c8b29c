/** Keys that others keep: a device, a service, a program. What they make is checked before it is used. */
import { BullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import type { SigstoreSigner } from './signer.ts';
import { bundleHash, simpleHash, type SigstorePublicKey } from './sigstore/public-key.ts';

export type SigningHash = 'sha256' | 'sha384' | 'sha512';

export type RemoteKey = {
  /** For people, without secrets. */
  readonly name: string;
  readonly publicKey: SigstorePublicKey;
  /**
   * Signs: RSA PKCS#1 v1.5, ECDSA (DER of r and s), Ed25519.
   * @param hash of the message; null for Ed25519, which hashes by itself
   */
  sign(message: Uint8Array, hash: SigningHash | null): Promise<Uint8Array>;
  dispose?(): Promise<void>;
};

/**
 * A signer over somebody else's key. Each signature is verified by the public key before it is given out: a device with a
 * fault, a service that signed with another version of the key, or a plugin that lies is found here and not by those who verify.
 * @throws BullaError `key.unusable` for RSA keys outside 2048 to 4096 bits and P-224; from its methods where the signature does not verify, and what the key throws
 */
export function openRemoteSigner(remote: RemoteKey): SigstoreSigner {
  const { publicKey, name } = remote;
  refuseWeak(remote);
  const checked = async (message: Uint8Array, hash: SigningHash | null): Promise<Uint8Array> => {
    const signature = await remote.sign(message, hash);
    if (verifies(publicKey, message, hash, signature)) return signature;
    throw new BullaError('key.unusable', `${name} made a signature that its own public key does not verify`);
  };
  return {
    kind: 'sigstore',
    keyId: publicKey.keyId,
    publicKey,
    sign: (message) => checked(message, simpleHash[publicKey.algorithm]),
    signForBundle: async (message, form) => {
      if (form?.prehashed === true && publicKey.algorithm === 'ed25519') {
        throw new BullaError('key.unusable', `${name} makes no Ed25519ph signatures, which this log wants`, {
          hint: 'use an ECDSA key, or no log',
        });
      }
      return checked(message, bundleHash(publicKey));
    },
    [Symbol.asyncDispose]: async () => remote.dispose?.(),
  };
}

function verifies(
  { key }: SigstorePublicKey,
  message: Uint8Array,
  hash: SigningHash | null,
  signature: Uint8Array,
): boolean {
  try {
    return crypto.verify(hash, message, key, signature);
  } catch {
    return false;
  }
}

function refuseWeak({ publicKey, name }: RemoteKey): void {
  const { modulusLength = 2048, namedCurve } = publicKey.key.asymmetricKeyDetails ?? {};
  if (modulusLength < 2048 || modulusLength > 4096 || namedCurve === 'secp224r1') {
    throw new BullaError('key.unusable', `${name} is a key of a size that does not sign here`, {
      hint: 'P-256, P-384, P-521, Ed25519 and RSA of 2048 to 4096 bits work',
    });
  }
}

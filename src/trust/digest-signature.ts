/**
 * Verifying a signature of something of which only the digest is at hand. Node's crypto hashes the message itself, so
 * ECDSA is @noble/curves' here; for RSA the digest is taken out of the signature. Ed25519 signs the message, not a digest.
 */
import { bytesEqual, concatBytes } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';

type Curve = Pick<typeof import('@noble/curves/nist.js').p256, 'verify'>;
type ArtifactDigest = { readonly algorithm: string; readonly value: Uint8Array };

let curves: ReadonlyMap<string, Curve> | undefined;

/**
 * Loads what verifying by a digest needs for these keys.
 * @throws BullaError `usage.unsupported` for an Ed25519 key, whose signatures need the bytes
 */
export async function loadDigestVerification(keys: readonly SigstorePublicKey[]): Promise<void> {
  if (keys.length > 0 && keys.every(({ algorithm }) => algorithm === 'ed25519')) {
    throw new BullaError('usage.unsupported', 'an Ed25519 signature cannot be verified from a digest alone', {
      hint: 'name the file instead of its digest',
    });
  }
  if (curves !== undefined || keys.every(({ algorithm }) => algorithm !== 'ecdsa')) return;
  const { p256, p384, p521 } = await import('@noble/curves/nist.js');
  curves = new Map([
    ['prime256v1', p256],
    ['secp384r1', p384],
    ['secp521r1', p521],
  ]);
}

/** Never throws: what is no signature is a wrong one. RSA: PKCS#1 v1.5 of at least 2048 bits; ECDSA: DER of r and s. */
export function verifyDigestSignature(
  key: SigstorePublicKey,
  digest: ArtifactDigest,
  signature: Uint8Array,
): boolean {
  try {
    if (key.algorithm === 'rsa') return isRsaSignature(key, digest, signature);
    if (key.algorithm !== 'ecdsa') return false;
    const curve = curves?.get(key.key.asymmetricKeyDetails?.namedCurve ?? '');
    const point = pointOf(key);
    return (
      curve?.verify(signature, digest.value, point, { prehash: false, lowS: false, format: 'der' }) === true
    );
  } catch {
    return false;
  }
}

/** The uncompressed point is the last thing in SubjectPublicKeyInfo, behind the bit string's count of unused bits. */
function pointOf({ spki, key }: SigstorePublicKey): Uint8Array {
  const sizes: Readonly<Record<string, number>> = { prime256v1: 65, secp384r1: 97, secp521r1: 133 };
  return spki.slice(-(sizes[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? 0));
}

/** DigestInfo up to the digest (RFC 8017 section 9.2, note 1). */
const digestInfo: Readonly<Record<string, string>> = {
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};

/** OpenSSL checks the padding; what is behind it must be the one encoding of this digest, to the last byte. */
function isRsaSignature({ key }: SigstorePublicKey, digest: ArtifactDigest, signature: Uint8Array): boolean {
  const { modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const prefix = digestInfo[digest.algorithm];
  if (modulusLength < 2048 || prefix === undefined || signature.length !== Math.ceil(modulusLength / 8))
    return false;
  const { RSA_PKCS1_PADDING: padding } = crypto.constants;
  const found = crypto.publicDecrypt({ key, padding }, signature);
  return bytesEqual(found, concatBytes(Buffer.from(prefix, 'hex'), digest.value));
}

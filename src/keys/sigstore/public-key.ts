/** The public keys of sigstore signatures, and checking a signature by one, both exactly as containers/image does. */
import { bytesEqual, printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { decodePem } from './pem.ts';

type NodeKey = import('node:crypto').KeyObject;

export type SigstoreAlgorithm = 'rsa' | 'ecdsa' | 'ed25519';

export type SigstorePublicKey = {
  readonly algorithm: SigstoreAlgorithm;
  /** SHA-256 of `spki`, lower-case hex. */
  readonly keyId: string;
  /** SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), DER. */
  readonly spki: Uint8Array;
  readonly key: NodeKey;
};

/**
 * What containers/image hashes the message with, whatever the key: RSA is PKCS#1 v1.5 over SHA-256, ECDSA of
 * every curve signs SHA-256, Ed25519 the message itself. cosign's bundles choose otherwise by the key.
 */
export const simpleHash: Readonly<Record<SigstoreAlgorithm, 'sha256' | null>> = {
  rsa: 'sha256',
  ecdsa: 'sha256',
  ed25519: null,
};

/**
 * What bundles and transparency logs hash the message with: what the key's size asks for (sigstore's
 * algorithm registry). Ed25519: null, the message itself.
 */
export function bundleHash({ algorithm, key }: SigstorePublicKey): 'sha256' | 'sha384' | 'sha512' | null {
  if (algorithm !== 'ecdsa') return simpleHash[algorithm];
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return curve === 'secp521r1' ? 'sha512' : curve === 'secp384r1' ? 'sha384' : 'sha256';
}

/**
 * The key of the first PEM block of a text, which must be `PUBLIC KEY` or `RSA PUBLIC KEY` (PKCS#1).
 * ECDSA on the NIST curves from P-224, RSA, and Ed25519, in the one encoding that Go accepts.
 * @throws BullaError `key.malformed`; `key.none` where there is no PEM block; `key.unusable` for a certificate, a private key, or a kind of key that signs nothing here
 */
export function parseSigstorePublicKey(pem: Uint8Array): SigstorePublicKey {
  const [block] = decodePem(pem);
  if (block === undefined) throw new BullaError('key.none', 'there is no PEM block, so no public key');
  if (block.type === 'PUBLIC KEY') return publicKeyOf(readDer(block.bytes, 'spki'));
  if (block.type === 'RSA PUBLIC KEY') return publicKeyOf(readDer(block.bytes, 'pkcs1'));
  throw new BullaError(
    'key.unusable',
    `the first PEM block is "${printable(block.type, 60)}", no public key`,
    block.type === 'CERTIFICATE'
      ? { hint: 'its key alone: openssl x509 -in FILE -noout -pubkey' }
      : { hint: 'the block has to be PUBLIC KEY or RSA PUBLIC KEY' },
  );
}

/** A public key of Node's as one of ours. @throws BullaError `key.unusable` for a kind that sigstore has not */
export function publicKeyOf(key: NodeKey): SigstorePublicKey {
  const spki = key.export({ type: 'spki', format: 'der' });
  const algorithm = algorithmOf(key, spki.toString('hex'));
  if (algorithm === undefined) {
    const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? '';
    throw new BullaError(
      'key.unusable',
      `"${kind}" is no kind of key that sigstore tools use, or not so encoded`,
      {
        hint: 'ECDSA on P-256, P-384 or P-521 as a named curve, RSA, and Ed25519 work',
      },
    );
  }
  return { algorithm, keyId: crypto.createHash('sha256').update(spki).digest('hex'), spki, key };
}

/**
 * Whether that is the key's signature of the message. Never throws: what is no signature is a wrong one.
 * RSA: PKCS#1 v1.5 of SHA-256; ECDSA: DER of r and s over SHA-256; Ed25519: of the message. The
 * caller sees to it that the signature's base64 was canonical.
 */
export function verifySigstoreSignature(
  { algorithm, key }: SigstorePublicKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  // Go loads such keys and verifies nothing by them
  if (algorithm === 'rsa' && !isGoodRsa(key)) return false;
  try {
    return crypto.verify(simpleHash[algorithm], message, key, signature);
  } catch {
    return false;
  }
}

/** crypto/rsa's own limits: a modulus from 1024 bits, an odd exponent below 2^31. */
function isGoodRsa({ asymmetricKeyDetails }: NodeKey): boolean {
  const { modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails ?? {};
  return (
    modulusLength >= 1024 && publicExponent % 2n === 1n && publicExponent > 1n && publicExponent < 2n ** 31n
  );
}

function readDer(der: Uint8Array, type: 'spki' | 'pkcs1'): NodeKey {
  let key: NodeKey;
  try {
    key = crypto.createPublicKey({ key: Buffer.from(der), format: 'der', type });
  } catch (cause) {
    throw new BullaError('key.malformed', 'the PEM block holds no public key', { cause });
  }
  // OpenSSL reads BER, passes over what follows, and does without RSA's NULL; Go refuses all that
  if (bytesEqual(key.export({ type, format: 'der' }), der)) return key;
  throw new BullaError('key.malformed', 'the public key is not encoded in DER, or something follows it');
}

/**
 * SubjectPublicKeyInfo up to the point's coordinates. A point in compressed or hybrid form and a curve
 * given by its numbers, which OpenSSL reads and Go does not, begin otherwise.
 */
const ecdsaBeginnings: readonly string[] = [
  '304e301006072a8648ce3d020106052b81040021033a0004', // P-224
  '3059301306072a8648ce3d020106082a8648ce3d03010703420004', // P-256
  '3076301006072a8648ce3d020106052b8104002203620004', // P-384
  '30819b301006072a8648ce3d020106052b810400230381860004', // P-521
];

function algorithmOf({ asymmetricKeyType }: NodeKey, spki: string): SigstoreAlgorithm | undefined {
  if (asymmetricKeyType === 'rsa' || asymmetricKeyType === 'ed25519') return asymmetricKeyType;
  return ecdsaBeginnings.some((beginning) => spki.startsWith(beginning)) ? 'ecdsa' : undefined;
}

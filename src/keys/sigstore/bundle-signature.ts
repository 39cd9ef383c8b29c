/**
 * Signatures in bundles and in transparency logs. Which hash and, for Ed25519, which of its two schemes a signature was
 * made with is written nowhere that could be believed, and tools differ. Measured with cosign 2.5.0 and 3.1.1, Rekor 1.5.3
 * and rekor-tiles 2.3.0 (test/interop/bundle-algorithms.test.ts):
 *
 * | key | cosign 3.1 signs a bundle with | `cosign verify --key` takes | Rekor v1 takes | Rekor v2 takes |
 * |---|---|---|---|---|
 * | P-256, RSA | SHA-256 | SHA-256 | SHA-256 | SHA-256 |
 * | P-384 | SHA-384 (2.5: SHA-256) | SHA-256, not what itself made; the other with --signature-digest-algorithm | SHA-384; for DSSE SHA-256 | SHA-384 |
 * | P-521 | SHA-512 (2.5: SHA-256) | as P-384 | SHA-512; for DSSE SHA-256 | SHA-512 |
 * | Ed25519 | nothing: "failed to verify signature" (2.5: pure) | pure | Ed25519ph; for DSSE pure | Ed25519ph |
 *
 * `.sig` attachments know none of this: SHA-256 for every curve, pure Ed25519 (verifySigstoreSignature).
 */
import { BullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { bundleHash, type SigstorePublicKey, verifySigstoreSignature } from './public-key.ts';

type NodeKey = import('node:crypto').KeyObject;
type Ed25519ph = Pick<typeof import('@noble/curves/ed25519.js').ed25519ph, 'sign' | 'verify'>;

let ed25519ph: Ed25519ph | undefined;

/**
 * Loads what Ed25519ph needs (RFC 8032 section 5.1: SHA-512 of the message first), which node:crypto has not. Call it
 * once before signatures by these keys are judged: it does nothing where none of them is Ed25519. Without it
 * `verifyForBundle` knows the pure scheme alone.
 */
export async function loadEd25519ph(keys: readonly SigstorePublicKey[]): Promise<void> {
  if (ed25519ph !== undefined || keys.every(({ algorithm }) => algorithm !== 'ed25519')) return;
  ({ ed25519ph } = await import('@noble/curves/ed25519.js'));
}

/**
 * Whether that is the key's signature of the message, made as any tool makes it for a bundle or a log entry (table
 * above). ECDSA: over the hash that the curve's size asks for, else over SHA-256; RSA: PKCS#1 v1.5 of SHA-256; Ed25519:
 * pure, else Ed25519ph (its domain keeps the two apart; see loadEd25519ph). The message of a DSSE envelope is its PAE.
 * Never throws: what is no signature is a wrong one.
 */
export function verifyForBundle(
  publicKey: SigstorePublicKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (verifySigstoreSignature(publicKey, message, signature)) return true;
  const { algorithm, key } = publicKey;
  const hash = bundleHash(publicKey);
  try {
    if (algorithm === 'ed25519') return verifyEd25519ph(publicKey, message, signature);
    return algorithm === 'ecdsa' && hash !== 'sha256' && crypto.verify(hash, message, key, signature);
  } catch {
    return false;
  }
}

/** As RFC 8032 has it: no small-order keys, no other encodings of a number (`zip215: false`), as Go and OpenSSL. */
function verifyEd25519ph({ spki }: SigstorePublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (ed25519ph === undefined || signature.length !== 64) return false;
  return ed25519ph.verify(signature, message, spki.slice(-32), { zip215: false });
}

/**
 * An Ed25519ph signature, 64 bytes.
 * @param privateKey an Ed25519 key
 * @throws BullaError `key.unusable` for another kind
 */
export async function signEd25519ph(privateKey: NodeKey, message: Uint8Array): Promise<Uint8Array> {
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new BullaError('key.unusable', 'only an Ed25519 key makes Ed25519ph signatures');
  }
  const { ed25519ph: scheme } = await import('@noble/curves/ed25519.js');
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  // RFC 8410 section 7: the seed is the last thing in the key that OpenSSL writes
  const seed = pkcs8.subarray(-32);
  try {
    return scheme.sign(message, seed);
  } finally {
    pkcs8.fill(0);
  }
}

/** The mathematics of one signature: hashes, and the algorithms' integers as node:crypto wants them. */
import { bytesEqual, concatBytes } from '../../base/bytes.ts';
import { crypto } from '../../base/node.ts';
import { Cursor } from './cursor.ts';
import { encodeNumber } from './packets.ts';
import { algorithms, type Material, nodeKeyOf, type PublicKey } from './public-key.ts';
import type { SignaturePacket } from './signature-packet.ts';

type Hash = { readonly name: string; readonly text: string; readonly weak: boolean };

/** Hash algorithms (RFC 9580 section 9.5). MD5 is no hash any more, neither to gpg. */
const hashes: Readonly<Record<number, Hash>> = {
  2: { name: 'sha1', text: 'SHA-1', weak: true },
  8: { name: 'sha256', text: 'SHA-256', weak: false },
  9: { name: 'sha384', text: 'SHA-384', weak: false },
  10: { name: 'sha512', text: 'SHA-512', weak: false },
  11: { name: 'sha224', text: 'SHA-224', weak: false },
};

export function hashOf(id: number): Hash | undefined {
  return hashes[id];
}

/**
 * True when the signature over `data` was made by the key. False for anything else, an unknown
 * algorithm and malformed integers included.
 */
export function checkSignature(
  signature: SignaturePacket,
  data: readonly Uint8Array[],
  key: PublicKey,
): boolean {
  const hash = hashes[signature.hash];
  if (hash === undefined || key.material === undefined || !sameAlgorithm(signature, key)) return false;
  const message = concatBytes(...data, signatureTrailer(signature.hashedPart));
  const digest = crypto.createHash(hash.name).update(message).digest();
  if (!bytesEqual(digest.subarray(0, 2), signature.hashStart)) return false;
  try {
    return checkMaterial(signature, key, key.material, { hash, message, digest });
  } catch {
    // a malformed integer, or a key that OpenSSL does not take (a point off its curve)
    return false;
  }
}

/** What a version 4 signature hashes last (RFC 9580 section 5.2.4). */
export function signatureTrailer(hashedPart: Uint8Array): Uint8Array {
  return concatBytes(hashedPart, Uint8Array.of(4, 0xff), encodeNumber(hashedPart.length, 4));
}

function sameAlgorithm(signature: SignaturePacket, key: PublicKey): boolean {
  return signature.algorithm === key.algorithm || (isRsa(signature.algorithm) && isRsa(key.algorithm));
}

/** RSA has two numbers for one algorithm (RFC 9580 section 12.4). */
function isRsa(algorithm: number): boolean {
  return algorithm === algorithms.rsa || algorithm === algorithms.rsaSign;
}

type Hashed = { readonly hash: Hash; readonly message: Uint8Array; readonly digest: Uint8Array };

function checkMaterial(
  signature: SignaturePacket,
  key: PublicKey,
  material: Material,
  hashed: Hashed,
): boolean {
  const cursor = new Cursor(signature.values, 'signature.malformed', 'the signature');
  const first = cursor.mpi();
  const second = material.kind === 'rsa' ? undefined : cursor.mpi();
  if (cursor.left > 0) return false;
  const nodeKey = nodeKeyOf(key, material);
  const pair = (octets: number): Uint8Array =>
    concatBytes(padded(first, octets), padded(second ?? first, octets));
  switch (material.kind) {
    case 'rsa': {
      const padding = crypto.constants.RSA_PKCS1_PADDING;
      const value = padded(first, material.modulus.length);
      return crypto.verify(hashed.hash.name, hashed.message, { key: nodeKey, padding }, value);
    }
    case 'ed25519':
      // the legacy algorithm signs the hash as its message (RFC 9580 section 5.2.3.3)
      return crypto.verify(null, hashed.digest, nodeKey, pair(32));
    case 'ecdsa':
    case 'dsa': {
      const octets = material.kind === 'ecdsa' ? material.curve.octets : material.q.length;
      if (material.kind === 'dsa' && hashed.digest.length < octets) return false;
      return crypto.verify(
        hashed.hash.name,
        hashed.message,
        { key: nodeKey, dsaEncoding: 'ieee-p1363' },
        pair(octets),
      );
    }
  }
}

function padded(number: Uint8Array, octets: number): Uint8Array {
  if (number.length > octets) throw new RangeError('the integer is too large');
  return concatBytes(new Uint8Array(octets - number.length), number);
}

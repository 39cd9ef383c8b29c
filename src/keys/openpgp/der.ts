/** Public keys for node:crypto as DER (RFC 3279 section 2.3, RFC 5480): the one form that serves DSA and every curve. */
import { concatBytes } from '../../base/bytes.ts';
import { crypto } from '../../base/node.ts';

type NodeKey = import('node:crypto').KeyObject;

const dsaOid = Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01);
const ecOid = Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01);

/** Throws where OpenSSL refuses the numbers. Each is big-endian without leading zeros. */
export function dsaPublicKey(key: {
  readonly p: Uint8Array;
  readonly q: Uint8Array;
  readonly g: Uint8Array;
  readonly y: Uint8Array;
}): NodeKey {
  const parameters = der(0x30, integer(key.p), integer(key.q), integer(key.g));
  return publicKey(der(0x30, der(0x06, dsaOid), parameters), integer(key.y));
}

/** Throws for a point that is not on the curve. `oid` is the curve's, as DER content; `point` is uncompressed. */
export function ecPublicKey(oid: Uint8Array, point: Uint8Array): NodeKey {
  return publicKey(der(0x30, der(0x06, ecOid), der(0x06, oid)), point);
}

function publicKey(algorithm: Uint8Array, bits: Uint8Array): NodeKey {
  const spki = der(0x30, algorithm, der(0x03, Uint8Array.of(0), bits));
  return crypto.createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
}

function integer(number: Uint8Array): Uint8Array {
  // a leading zero keeps a DER integer positive, and zero present
  const positive = number.length > 0 && (number[0] ?? 0) < 0x80;
  return der(0x02, positive ? number : concatBytes(Uint8Array.of(0), number));
}

function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  const { length } = content;
  const head = length < 0x80 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff];
  return concatBytes(Uint8Array.from(head), content);
}

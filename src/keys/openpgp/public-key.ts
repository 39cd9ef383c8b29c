/** Public keys (RFC 9580 section 5.5.2): version 4, the algorithms that gpg 2.2 can verify with. */
import { concatBytes, hexOfBytes } from '../../base/bytes.ts';
import { crypto } from '../../base/node.ts';
import type { Cursor } from './cursor.ts';
import { dsaPublicKey, ecPublicKey } from './der.ts';
import { encodeNumber } from './packets.ts';

export const algorithms = {
  rsa: 1,
  rsaEncrypt: 2,
  rsaSign: 3,
  elgamal: 16,
  dsa: 17,
  ecdh: 18,
  ecdsa: 19,
  eddsa: 22,
} as const;

/** What a signature is checked with; undefined for keys that only encrypt. */
export type Material =
  | { readonly kind: 'rsa'; readonly modulus: Uint8Array; readonly exponent: Uint8Array }
  | {
      readonly kind: 'ecdsa';
      readonly curve: EcdsaCurve;
      readonly oid: Uint8Array;
      readonly point: Uint8Array;
    }
  | { readonly kind: 'ed25519'; readonly point: Uint8Array }
  | {
      readonly kind: 'dsa';
      readonly p: Uint8Array;
      readonly q: Uint8Array;
      readonly g: Uint8Array;
      readonly y: Uint8Array;
    };

export type EcdsaCurve = {
  /** As gpg names it. */
  readonly name: string;
  readonly bits: number;
  /** Octets of one coordinate. */
  readonly octets: number;
};

export type PublicKey = {
  /** The packet's body: what the fingerprint and every signature over the key cover. */
  readonly body: Uint8Array;
  /** 40 upper-case hexadecimal digits. */
  readonly fingerprint: string;
  /** The last 16 digits of the fingerprint. */
  readonly keyId: string;
  readonly algorithm: number;
  /** As gpg names it: `rsa3072`, `ed25519`, `nistp256`. */
  readonly algorithmName: string;
  readonly bits: number;
  /** Seconds since 1970. */
  readonly created: number;
  readonly material: Material | undefined;
};

/** By object identifier, as the packet has it (RFC 9580 section 9.2; secp256k1 as gpg has it). */
const curves: Readonly<Record<string, EcdsaCurve>> = {
  '2a8648ce3d030107': { name: 'nistp256', bits: 256, octets: 32 },
  '2b81040022': { name: 'nistp384', bits: 384, octets: 48 },
  '2b81040023': { name: 'nistp521', bits: 521, octets: 66 },
  '2b2403030208010107': { name: 'brainpoolP256r1', bits: 256, octets: 32 },
  '2b240303020801010b': { name: 'brainpoolP384r1', bits: 384, octets: 48 },
  '2b240303020801010d': { name: 'brainpoolP512r1', bits: 512, octets: 64 },
  '2b8104000a': { name: 'secp256k1', bits: 256, octets: 32 },
};
const ed25519Oid = '2b06010401da470f01';
const curve25519Oid = '2b060104019755010501';
/** OpenSSL takes no larger modulus; below 1024 bits a signature proves nothing. */
const rsaBits = { least: 1024, most: 16384 };

/**
 * Reads the public part of a key packet; what follows it (the secret part) stays unread. Undefined
 * for another version and for algorithms that Bulla cannot verify with: gpg skips those as well.
 * @throws BullaError by the cursor, where the packet is malformed
 */
export function readPublicKey(cursor: Cursor, body: Uint8Array): PublicKey | undefined {
  if (cursor.u8() !== 4) return undefined;
  const created = cursor.u32();
  const algorithm = cursor.u8();
  const read = readMaterial(cursor, algorithm);
  if (read === undefined) return undefined;
  const publicBody = body.subarray(0, cursor.position);
  const fingerprint = fingerprintOf(publicBody);
  return { body: publicBody, fingerprint, keyId: fingerprint.slice(-16), algorithm, created, ...read };
}

/** RFC 9580 section 5.5.4.2. */
function fingerprintOf(body: Uint8Array): string {
  return hexOfBytes(crypto.createHash('sha1').update(keyPrefix(body)).digest()).toUpperCase();
}

/** A key as fingerprints and signatures cover it: an old-format header with two octets of length, the body. */
export function keyPrefix(body: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(0x99), encodeNumber(body.length, 2), body);
}

type Read = {
  readonly algorithmName: string;
  readonly bits: number;
  readonly material: Material | undefined;
};

function readMaterial(cursor: Cursor, algorithm: number): Read | undefined {
  switch (algorithm) {
    case algorithms.rsa:
    case algorithms.rsaEncrypt:
    case algorithms.rsaSign:
      return readRsa(cursor, algorithm !== algorithms.rsaEncrypt);
    case algorithms.dsa: {
      const [p, q, g, y] = [cursor.mpi(), cursor.mpi(), cursor.mpi(), cursor.mpi()];
      const bits = bitLength(p);
      return { algorithmName: `dsa${bits}`, bits, material: { kind: 'dsa', p, q, g, y } };
    }
    case algorithms.elgamal: {
      const bits = bitLength(cursor.mpi());
      cursor.mpi();
      cursor.mpi();
      return { algorithmName: `elg${bits}`, bits, material: undefined };
    }
    case algorithms.ecdsa:
    case algorithms.ecdh:
    case algorithms.eddsa:
      return readElliptic(cursor, algorithm);
    default:
      return undefined;
  }
}

function readRsa(cursor: Cursor, signs: boolean): Read {
  const [modulus, exponent] = [cursor.mpi(), cursor.mpi()];
  const bits = bitLength(modulus);
  const usable = signs && bits >= rsaBits.least && bits <= rsaBits.most && bitLength(exponent) <= 64;
  return {
    algorithmName: `rsa${bits}`,
    bits,
    material: usable ? { kind: 'rsa', modulus, exponent } : undefined,
  };
}

function readElliptic(cursor: Cursor, algorithm: number): Read | undefined {
  const oidBytes = cursor.take(cursor.u8());
  const oid = hexOfBytes(oidBytes);
  const point = cursor.mpi();
  if (algorithm === algorithms.ecdh) {
    cursor.take(cursor.u8());
    const name = oid === curve25519Oid ? 'cv25519' : curves[oid]?.name;
    return { algorithmName: name ?? 'ecdh', bits: curves[oid]?.bits ?? 255, material: undefined };
  }
  if (algorithm === algorithms.eddsa) {
    // the prefix 0x40 marks a native point
    if (oid !== ed25519Oid || point.length !== 33 || point[0] !== 0x40) return undefined;
    return { algorithmName: 'ed25519', bits: 255, material: { kind: 'ed25519', point: point.subarray(1) } };
  }
  const curve = curves[oid];
  if (curve === undefined || point.length !== 1 + 2 * curve.octets || point[0] !== 0x04) return undefined;
  return {
    algorithmName: curve.name,
    bits: curve.bits,
    material: { kind: 'ecdsa', curve, oid: oidBytes, point },
  };
}

function bitLength(number: Uint8Array): number {
  return number.length === 0 ? 0 : number.length * 8 - Math.clz32(number[0] ?? 0) + 24;
}

type NodeKey = import('node:crypto').KeyObject;
const nodeKeys = new WeakMap<PublicKey, NodeKey>();

/** The key as node:crypto wants it, made once: a thousand signatures may be by one key. Throws for a point off its curve. */
export function nodeKeyOf(key: PublicKey, material: Material): NodeKey {
  const known = nodeKeys.get(key);
  if (known !== undefined) return known;
  const made = makeNodeKey(material);
  nodeKeys.set(key, made);
  return made;
}

function makeNodeKey(material: Material): NodeKey {
  switch (material.kind) {
    case 'dsa':
      return dsaPublicKey(material);
    case 'ecdsa':
      return ecPublicKey(material.oid, material.point);
    case 'ed25519':
      return fromJwk({ kty: 'OKP', crv: 'Ed25519', x: base64url(material.point) });
    case 'rsa':
      return fromJwk({ kty: 'RSA', n: base64url(material.modulus), e: base64url(material.exponent) });
  }
}

function fromJwk(key: Record<string, string>): NodeKey {
  return crypto.createPublicKey({ key, format: 'jwk' });
}

/** Base64 as JSON Web Keys have it: URL-safe, without padding. */
export function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

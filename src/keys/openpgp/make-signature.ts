/** Making signatures: the packets of a signed message (RFC 9580 sections 5.2 and 10.3). */
import { concatBytes } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { checkSignature, hashOf, signatureTrailer } from './check.ts';
import { encodeLength, encodeNumber, encodePacket, packetTags } from './packets.ts';
import type { PublicKey } from './public-key.ts';
import { parseSignaturePacket, signatureTypes } from './signature-packet.ts';

export type SigningKey = {
  readonly publicKey: PublicKey;
  readonly privateKey: import('node:crypto').KeyObject;
};

/** Both subpacket areas as bytes, made of encodeSubpacket. */
export type SignatureFields = {
  readonly type: number;
  readonly hash: number;
  readonly hashed: Uint8Array;
  readonly unhashed: Uint8Array;
};

/**
 * A binary signed message that holds the content: one-pass signature, literal data, signature, not
 * compressed. Its first byte is 0xC4, which containers/image takes for a simple signature.
 * @throws BullaError `key.unusable`
 */
export function signMessage(content: Uint8Array, key: SigningKey, created: Date): Uint8Array {
  const { publicKey } = key;
  const hash = hashFor(publicKey);
  const keyId = Buffer.from(publicKey.keyId, 'hex');
  const seconds = encodeNumber(Math.floor(created.getTime() / 1000), 4);
  const fingerprint = Buffer.from(publicKey.fingerprint, 'hex');
  const fields: SignatureFields = {
    type: signatureTypes.binary,
    hash,
    hashed: concatBytes(
      encodeSubpacket(33, concatBytes(Uint8Array.of(4), fingerprint)),
      encodeSubpacket(2, seconds),
    ),
    unhashed: encodeSubpacket(16, keyId),
  };
  const onePass = concatBytes(
    Uint8Array.of(3, fields.type, hash, publicKey.algorithm),
    keyId,
    Uint8Array.of(1),
  );
  // format b, no file name, no date: these are not signed, so they say nothing
  const literal = concatBytes(Uint8Array.of(0x62, 0, 0, 0, 0, 0), content);
  return concatBytes(
    encodePacket(packetTags.onePassSignature, onePass),
    encodePacket(packetTags.literal, literal),
    encodePacket(packetTags.signature, makeSignature([content], key, fields)),
  );
}

/** One signature subpacket (RFC 9580 section 5.2.3.7). */
export function encodeSubpacket(type: number, body: Uint8Array): Uint8Array {
  return concatBytes(encodeLength(body.length + 1), Uint8Array.of(type), body);
}

/**
 * A signature packet's body over the data. It is checked against the public key before it is given
 * out: a key file whose public or secret part was tampered with would leak the key through a wrong
 * signature.
 * @throws BullaError `key.unusable`
 */
export function makeSignature(
  data: readonly Uint8Array[],
  key: SigningKey,
  fields: SignatureFields,
): Uint8Array {
  const { publicKey } = key;
  const hash = hashOf(fields.hash);
  if (hash === undefined) throw unusable(publicKey, 'its hash algorithm is unknown');
  const hashedPart = concatBytes(
    Uint8Array.of(4, fields.type, publicKey.algorithm, fields.hash),
    encodeNumber(fields.hashed.length, 2),
    fields.hashed,
  );
  const message = concatBytes(...data, signatureTrailer(hashedPart));
  const digest = crypto.createHash(hash.name).update(message).digest();
  const body = concatBytes(
    hashedPart,
    encodeNumber(fields.unhashed.length, 2),
    fields.unhashed,
    digest.subarray(0, 2),
    signValues(key, hash.name, message, digest),
  );
  if (!checkSignature(parseSignaturePacket(body, 'key.unusable', 'the new signature'), data, publicKey)) {
    throw unusable(publicKey, 'its secret part does not fit its public part');
  }
  return body;
}

/** The algorithm's integers (RFC 9580 section 5.2.3.1 to 5.2.3.3). */
function signValues(
  { publicKey, privateKey }: SigningKey,
  hash: string,
  message: Uint8Array,
  digest: Uint8Array,
): Uint8Array {
  const { material } = publicKey;
  switch (material?.kind ?? 'dsa') {
    case 'rsa': {
      const padding = crypto.constants.RSA_PKCS1_PADDING;
      return encodeMpi(crypto.sign(hash, message, { key: privateKey, padding }));
    }
    case 'ed25519':
      return encodePair(crypto.sign(null, digest, privateKey));
    case 'ecdsa':
      return encodePair(crypto.sign(hash, message, { key: privateKey, dsaEncoding: 'ieee-p1363' }));
    case 'dsa':
      throw unusable(publicKey, `Bulla does not sign with ${publicKey.algorithmName} keys`);
  }
}

function encodePair(values: Uint8Array): Uint8Array {
  const half = values.length / 2;
  return concatBytes(encodeMpi(values.subarray(0, half)), encodeMpi(values.subarray(half)));
}

/** A multiprecision integer: its length in bits, its octets from the first that is not zero. */
export function encodeMpi(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0);
  if (start < 0) return Uint8Array.of(0, 0);
  const octets = number.subarray(start);
  return concatBytes(encodeNumber(octets.length * 8 - Math.clz32(octets[0] ?? 0) + 24, 2), octets);
}

/** As strong as the key; gpg's choices. Numbers of RFC 9580 section 9.5. */
function hashFor(key: PublicKey): number {
  const [sha256, sha384, sha512] = [8, 9, 10];
  if (key.material?.kind === 'rsa') return key.bits >= 2048 ? sha512 : sha256;
  if (key.material?.kind !== 'ecdsa') return sha512;
  return key.bits <= 256 ? sha256 : key.bits <= 384 ? sha384 : sha512;
}

function unusable(key: PublicKey, why: string): BullaError {
  return new BullaError('key.unusable', `key ${key.fingerprint} cannot sign: ${why}`);
}

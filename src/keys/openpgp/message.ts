/**
 * The framing of a signed message (RFC 9580 section 10.3), down to exactly what containers/image
 * makes and reads: one signature inside one binary message. gpg itself verifies far more (cleartext,
 * several signatures, junk between packets); all of that ends here.
 */
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { zlib } from '../../base/node.ts';
import { Cursor } from './cursor.ts';
import { type Packet, packetTags, readPackets } from './packets.ts';
import { parseSignaturePacket, type SignaturePacket } from './signature-packet.ts';

export type FramedMessage = { readonly content: Uint8Array; readonly signature: SignaturePacket };

const what = 'the signature';

/**
 * Takes a signed message apart. Nothing in the result is verified.
 * @throws BullaError `signature.malformed`, `signature.too-large`, `signature.unsupported`
 */
export function parseSignedMessage(blob: Uint8Array): FramedMessage {
  if (((blob[0] ?? 0) & 0x80) === 0) {
    throw malformed(blob.length === 0 ? 'it is empty' : 'it is not a binary OpenPGP message');
  }
  const outer = readPackets(blob, 'signature.malformed', what, mostPackets);
  const first = outer[0];
  if (first?.tag !== packetTags.compressed) return frame(outer);
  if (outer.length > 1) throw malformed('something follows the compressed data');
  return frame(readPackets(decompress(first.body), 'signature.malformed', what, mostPackets));
}

/** One more than any message that is accepted has, so that a message of many signatures is called that. */
const mostPackets = 16;

function frame(packets: readonly Packet[]): FramedMessage {
  const [first, second, third] = packets;
  const shape = packets.map(({ tag }) => tag).join(' ');
  if (first !== undefined && second !== undefined && third !== undefined && shape === onePassShape) {
    const signature = parseSignature(third);
    checkOnePass(first.body, signature);
    return { content: parseLiteral(second.body), signature };
  }
  // the older form, without a one-pass packet
  if (first !== undefined && second !== undefined && shape === prefixedShape) {
    return { content: parseLiteral(second.body), signature: parseSignature(first) };
  }
  throw malformed(whyNot(packets));
}

const onePassShape = `${packetTags.onePassSignature} ${packetTags.literal} ${packetTags.signature}`;
const prefixedShape = `${packetTags.signature} ${packetTags.literal}`;

function whyNot(packets: readonly Packet[]): string {
  const count = (tag: number): number => packets.filter((packet) => packet.tag === tag).length;
  if (count(packetTags.compressed) > 0) return 'compressed data inside other data';
  if (count(packetTags.literal) === 0) return 'it holds no message: a detached signature is not accepted';
  if (count(packetTags.literal) > 1) return 'it holds more than one message';
  if (count(packetTags.signature) === 0) return 'it is not signed';
  if (count(packetTags.signature) > 1) return 'it has more than one signature';
  return 'it is not one one-pass signature, message and signature';
}

function parseSignature(packet: Packet): SignaturePacket {
  return parseSignaturePacket(packet.body, 'signature.malformed', what);
}

/** RFC 9580 section 5.4. It only announces the signature; where the two differ, someone put them together. */
function checkOnePass(body: Uint8Array, signature: SignaturePacket): void {
  const cursor = new Cursor(body, 'signature.malformed', what);
  const version = cursor.u8();
  if (version !== 3) throw malformed(`its one-pass packet is of version ${version}`);
  const [type, hash, algorithm] = [cursor.u8(), cursor.u8(), cursor.u8()];
  const keyId = Buffer.from(cursor.take(8)).toString('hex').toUpperCase();
  const isLast = cursor.u8() === 1;
  const same =
    type === signature.type &&
    hash === signature.hash &&
    algorithm === signature.algorithm &&
    signature.issuerKeyIds.every((id) => id === keyId) &&
    signature.issuerFingerprints.every((fingerprint) => fingerprint.endsWith(keyId));
  if (!same || !isLast || cursor.left > 0) throw malformed('its one-pass packet announces another signature');
}

/** RFC 9580 section 5.9: format, file name, date, content. Only the content is signed. */
function parseLiteral(body: Uint8Array): Uint8Array {
  const cursor = new Cursor(body, 'signature.malformed', what);
  const mode = String.fromCharCode(cursor.u8());
  if (!'btu'.includes(mode)) throw malformed('its message has an unknown format');
  cursor.take(cursor.u8());
  cursor.take(4);
  return cursor.rest();
}

/** RFC 9580 section 5.6. */
function decompress(body: Uint8Array): Uint8Array {
  const algorithm = body[0];
  const data = body.subarray(1);
  if (algorithm === 0) return data;
  const inflate = algorithm === 1 ? zlib().inflateRawSync : algorithm === 2 ? zlib().inflateSync : undefined;
  if (inflate === undefined) {
    const name = algorithm === 3 ? 'BZIP2' : `algorithm ${algorithm ?? '?'}`;
    throw new BullaError(
      'signature.unsupported',
      `the signature is compressed with ${name}, which is not supported`,
      {
        hint: 'sign again with gpg --compress-algo zip, or none',
      },
    );
  }
  const options = { maxOutputLength: limits.signaturePayloadBytes, info: true } as const;
  let result: { buffer: Uint8Array; engine: { bytesWritten: number } };
  try {
    // the type declarations do not know the option `info`
    result = inflate(data, options) as unknown as typeof result;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') {
      throw new BullaError(
        'signature.too-large',
        `the signature unpacks to more than ${limits.signaturePayloadBytes} bytes`,
      );
    }
    throw malformed('its compressed data is damaged');
  }
  if (result.engine.bytesWritten !== data.length) throw malformed('something follows the compressed data');
  return result.buffer;
}

function malformed(why: string): BullaError {
  return new BullaError('signature.malformed', `the signature is malformed: ${why}`);
}

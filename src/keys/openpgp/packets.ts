/** OpenPGP packet framing (RFC 9580 section 4.2): old and new headers, all forms of length. */
import { concatBytes } from '../../base/bytes.ts';
import { BullaError, type ErrorCode } from '../../base/errors.ts';

/** Packet types (RFC 9580 section 5) that Bulla reads or names. */
export const packetTags = {
  signature: 2,
  onePassSignature: 4,
  secretKey: 5,
  publicKey: 6,
  secretSubkey: 7,
  compressed: 8,
  marker: 10,
  literal: 11,
  userId: 13,
  publicSubkey: 14,
  userAttribute: 17,
  padding: 21,
} as const;

export type Packet = { readonly tag: number; readonly body: Uint8Array };

/** Only data may come in parts or without a length (RFC 9580 section 4.2.1.4); all else has one length. */
const streamed: ReadonlySet<number> = new Set([packetTags.compressed, packetTags.literal]);

type Header = { readonly tag: number; readonly start: number; readonly length: number | 'parts' | 'to-end' };

/**
 * Splits bytes into packets, to the last byte.
 * @param code,what the error that malformed framing gives, and the name of the input in it
 * @param most the most packets there may be
 */
export function readPackets(
  bytes: Uint8Array,
  code: ErrorCode,
  what: string,
  most: number = bytes.length,
): readonly Packet[] {
  const packets: Packet[] = [];
  const malformed = (why: string): BullaError => new BullaError(code, `${what} is malformed: ${why}`);
  let at = 0;
  while (at < bytes.length) {
    if (packets.length === most) throw malformed(`it has more than ${most} packets`);
    const header = readHeader(bytes, at);
    if (header === undefined) throw malformed('there is no OpenPGP packet where one should start');
    const { tag, start, length } = header;
    if (typeof length === 'string' && !streamed.has(tag)) {
      throw malformed('a packet that is not data has no definite length');
    }
    if (length === 'parts') {
      const joined = joinParts(bytes, start);
      if (joined === undefined) throw malformed('a packet ends too early');
      packets.push({ tag, body: joined.body });
      at = joined.end;
      continue;
    }
    const end = length === 'to-end' ? bytes.length : start + length;
    if (end > bytes.length) throw malformed('a packet ends too early');
    packets.push({ tag, body: bytes.subarray(start, end) });
    at = end;
  }
  return packets;
}

function readHeader(bytes: Uint8Array, at: number): Header | undefined {
  const first = bytes[at] ?? 0;
  if ((first & 0x80) === 0) return undefined;
  const isNew = (first & 0x40) !== 0;
  const tag = isNew ? first & 0x3f : (first >> 2) & 0x0f;
  if (tag === 0) return undefined;
  if (isNew) {
    const length = newLength(bytes, at + 1);
    return length && { tag, start: at + 1 + length.octets, length: length.partial ? 'parts' : length.value };
  }
  const octets = [1, 2, 4, 0][first & 3] ?? 0;
  if (octets === 0) return { tag, start: at + 1, length: 'to-end' };
  const value = bigEndian(bytes, at + 1, octets);
  return value === undefined ? undefined : { tag, start: at + 1 + octets, length: value };
}

type NewLength = { readonly octets: number; readonly value: number; readonly partial: boolean };

/** A new-format length (RFC 9580 section 4.2.1); undefined where the bytes end in it. */
function newLength(bytes: Uint8Array, at: number): NewLength | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  if (first < 192) return { octets: 1, value: first, partial: false };
  if (first < 224) {
    const second = bytes[at + 1];
    if (second === undefined) return undefined;
    return { octets: 2, value: (first - 192) * 256 + second + 192, partial: false };
  }
  if (first < 255) return { octets: 1, value: 2 ** (first & 0x1f), partial: true };
  const value = bigEndian(bytes, at + 1, 4);
  return value === undefined ? undefined : { octets: 5, value, partial: false };
}

function bigEndian(bytes: Uint8Array, at: number, octets: number): number | undefined {
  if (at + octets > bytes.length) return undefined;
  return bytes.subarray(at, at + octets).reduce((value, byte) => value * 256 + byte, 0);
}

/** Joins the parts of a packet whose first body octet (after its first length) is at `start`. */
function joinParts(bytes: Uint8Array, start: number): { body: Uint8Array; end: number } | undefined {
  const parts: Uint8Array[] = [];
  let lengthAt = start - 1;
  for (;;) {
    const length = newLength(bytes, lengthAt);
    if (length === undefined) return undefined;
    const from = lengthAt + length.octets;
    const end = from + length.value;
    if (end > bytes.length) return undefined;
    parts.push(bytes.subarray(from, end));
    if (!length.partial) return { body: concatBytes(...parts), end };
    lengthAt = end;
  }
}

/** One packet with a new-format header of definite length. */
export function encodePacket(tag: number, body: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(0xc0 | tag), encodeLength(body.length), body);
}

/** A length as new-format packets and signature subpackets write it. */
export function encodeLength(length: number): Uint8Array {
  if (length < 192) return Uint8Array.of(length);
  if (length < 8384) return Uint8Array.of(((length - 192) >> 8) + 192, (length - 192) & 0xff);
  return concatBytes(Uint8Array.of(0xff), encodeNumber(length, 4));
}

/** An unsigned big-endian number in that many octets. */
export function encodeNumber(value: number, octets: 1 | 2 | 4): Uint8Array {
  const bytes = Buffer.alloc(octets);
  bytes.writeUIntBE(value, 0, octets);
  return new Uint8Array(bytes);
}

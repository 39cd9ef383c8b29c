/**
 * One stored signature as bytes: what lookasides, dir: and containers-storage hold. The first byte
 * tells the format, by containers/image's list (reference: its internal/signature package).
 */
import { concatBytes, decodeBase64, encodeBase64, textOf, utf8 } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';
import { limits } from '../base/limits.ts';
import { escapeAsGo } from './go-json.ts';
import type { Signature } from './signature.ts';

/**
 * Packet headers that a bare simple signature may start with: compressed data, one-pass signature,
 * signature. 0x93 is missing because it is in containers/image, where 0x3D stands in its place; 0x3D
 * itself starts no OpenPGP packet, so such a blob is listed there and then never verifies.
 */
const simpleStarts: ReadonlySet<number> = new Set([
  0xa0, 0xa1, 0xa2, 0xa3, 0xc8, 0x90, 0x91, 0x92, 0x3d, 0xc4, 0x88, 0x89, 0x8a, 0x8b, 0xc2,
]);

/**
 * Reads one stored signature; nothing in it is verified.
 * @throws BullaError `signature.empty`, `signature.too-large`, `signature.unrecognized`, `signature.malformed`
 */
export function parseSignatureBlob(bytes: Uint8Array): Signature {
  const first = bytes[0];
  if (first === undefined) throw new BullaError('signature.empty', 'the stored signature is empty');
  if (bytes.length > limits.signatureBytes) {
    throw new BullaError(
      'signature.too-large',
      `the stored signature is larger than ${limits.signatureBytes} bytes`,
    );
  }
  if (simpleStarts.has(first)) return { format: 'simple', blob: bytes };
  if (first !== 0) {
    const hex = first.toString(16).padStart(2, '0');
    throw new BullaError(
      'signature.unrecognized',
      `the stored signature starts with byte 0x${hex}, which no format does`,
      {
        hint: 'a simple signature is a binary OpenPGP message: neither armored, nor an error page',
      },
    );
  }
  return parseTyped(bytes);
}

/** `\0<format>\n<data>` */
function parseTyped(bytes: Uint8Array): Signature {
  const end = bytes.indexOf(0x0a);
  const format = end < 0 ? undefined : textOf(bytes.subarray(1, end));
  if (end < 0 || format === undefined || !/^[\u0020-\u007e]+$/u.test(format)) {
    throw new BullaError('signature.unrecognized', 'the stored signature names no format');
  }
  const data = bytes.subarray(end + 1);
  if (format === 'simple-signing') return { format: 'simple', blob: data };
  if (format === 'sigstore-json') return parseSigstoreJson(data);
  throw new BullaError(
    'signature.unrecognized',
    `the stored signature has the unknown format "${format.slice(0, 40)}"`,
  );
}

function parseSigstoreJson(data: Uint8Array): Signature {
  const text = textOf(data);
  if (text === undefined) throw malformed('it is not valid UTF-8');
  let value: JsonValue;
  try {
    value = parseJson(text, 'the stored signature');
  } catch (error) {
    if (isBullaError(error, 'json.malformed')) throw malformed(error.message);
    throw error;
  }
  if (value.kind !== 'object') throw malformed('it is no JSON object');
  const payload = decodeBase64(stringOf(lastMember(value, 'payload')));
  if (payload === undefined) throw malformed('its payload is no base64');
  const mediaType = stringOf(lastMember(value, 'mimeType'));
  return {
    format: 'cosign',
    mediaType,
    payload,
    annotations: annotationsOf(lastMember(value, 'annotations')),
  };
}

/** As Go's decoder fills a struct: names in any case, the last of two wins, unknown names are ignored. */
function lastMember(object: Extract<JsonValue, { kind: 'object' }>, name: string): JsonValue | undefined {
  return object.members.findLast(({ key }) => key.toLowerCase() === name.toLowerCase())?.value;
}

function annotationsOf(value: JsonValue | undefined): Readonly<Record<string, string>> {
  if (value === undefined || value.kind === 'null') return {};
  if (value.kind !== 'object') throw malformed('its annotations are no JSON object');
  return Object.fromEntries(value.members.map((member) => [member.key, stringOf(member.value)]));
}

/** A string; absent and null are empty, as in Go. */
function stringOf(value: JsonValue | undefined): string {
  if (value === undefined || value.kind === 'null') return '';
  if (value.kind !== 'string') throw malformed('a member that should be a string is none');
  return value.value;
}

/**
 * The bytes that a store keeps for a signature.
 * @throws BullaError `signature.empty`, `signature.too-large`, `signature.unrecognized` where no reader would take them for that signature
 */
export function encodeSignatureBlob(signature: Signature): Uint8Array {
  if (signature.format !== 'simple' && signature.format !== 'cosign') {
    throw new BullaError(
      'signature.unrecognized',
      `no reader of such a store knows ${signature.format} signatures`,
    );
  }
  const bytes = signature.format === 'simple' ? signature.blob : encodeSigstoreJson(signature);
  const readBack = parseSignatureBlob(bytes);
  // a simple blob that is read as typed is another one than was given
  const same = signature.format === 'simple' ? bytes[0] !== 0 : readBack.format === signature.format;
  if (!same) {
    throw new BullaError(
      'signature.unrecognized',
      `the ${signature.format} signature would be read as another one`,
    );
  }
  return bytes;
}

function encodeSigstoreJson(signature: Extract<Signature, { format: 'cosign' }>): Uint8Array {
  const annotations = Object.fromEntries(
    Object.entries(signature.annotations).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  const json = { mimeType: signature.mediaType, payload: encodeBase64(signature.payload), annotations };
  return concatBytes(utf8('\0sigstore-json\n'), utf8(escapeAsGo(JSON.stringify(json))));
}

function malformed(why: string): BullaError {
  return new BullaError('signature.malformed', `the stored signature is malformed: ${why}`);
}

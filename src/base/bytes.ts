/** Bytes to and from text. */
import { BullaError } from './errors.ts';

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text of UTF-8 bytes, or undefined where they are not valid UTF-8. A byte order mark is kept. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function hexOfBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

const base64Text = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Standard padded base64 as Go's encoding/json reads it: CR and LF inside are skipped; the
 * URL-safe alphabet, missing padding and blanks are refused. Node's own decoder accepts all of
 * those, so two spellings of one signature would compare unequal. Undefined where it is malformed.
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  const compact = text.replace(/[\r\n]/g, '');
  return base64Text.test(compact) ? new Uint8Array(Buffer.from(compact, 'base64')) : undefined;
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** Text made safe for one line of a terminal: control characters are shown as escapes, long text is cut. */
export function printable(text: string, most = 200): string {
  const oneLine = text.replace(
    // eslint-disable-next-line no-control-regex -- exactly these must not reach a terminal
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return oneLine.length > most ? `${oneLine.slice(0, most)}…` : oneLine;
}

/** Reads bytes as UTF-8 or throws `json.malformed`; `what` names the input. */
export function textOrThrow(bytes: Uint8Array, what: string): string {
  const text = textOf(bytes);
  if (text === undefined) throw new BullaError('json.malformed', `${what} is not valid UTF-8`);
  return text;
}

/** Reading DER (X.690 section 8 to 11): one element after another, never past the end, one spelling only. */
import { BullaError } from '../../base/errors.ts';

/** Universal tags that certificates use. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export type Element = {
  readonly tag: number;
  readonly content: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
};

/** A class only because the position is state that every read moves. Errors: `signature.certificate-invalid`. */
export class DerReader {
  #at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The next element, which must have that tag if one is given. */
  next(tag?: number): Element {
    const start = this.#at;
    const found = this.#byte();
    // a tag above 30 is spelt over several bytes, and no certificate has one
    if ((found & 0x1f) === 0x1f || (tag !== undefined && found !== tag)) throw derError('an unexpected tag');
    const length = this.#length();
    if (length > this.#bytes.length - this.#at) throw derError('it ends too early');
    const content = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return { tag: found, content, whole: this.#bytes.subarray(start, this.#at) };
  }

  /** The next element if it has that tag. */
  optional(tag: number): Element | undefined {
    return this.#bytes[this.#at] === tag ? this.next(tag) : undefined;
  }

  /** A reader of what is inside the next element. */
  inside(tag: number): DerReader {
    return new DerReader(this.next(tag).content);
  }

  /** Throws unless everything was read. */
  end(): void {
    if (!this.atEnd) throw derError('something follows');
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw derError('it ends too early');
    this.#at += 1;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    // no length of zero bytes (BER's open end), none that a certificate's mebibyte does not need
    if (count === 0 || count > 3) throw derError('a malformed length');
    let length = 0;
    for (let index = 0; index < count; index += 1) length = length * 0x100 + this.#byte();
    if (length < (count === 1 ? 0x80 : 0x100 ** (count - 1)))
      throw derError('a length that is not the shortest');
    return length;
  }
}

/** The only element of some bytes. */
export function onlyElement(bytes: Uint8Array, tag: number): Element {
  const reader = new DerReader(bytes);
  const element = reader.next(tag);
  reader.end();
  return element;
}

/** An object identifier's content as `1.3.6.1…` (X.690 section 8.19). */
export function oidOf({ content }: Element): string {
  const arcs: number[] = [];
  let arc = 0;
  let fresh = true;
  for (const byte of content) {
    if (fresh && byte === 0x80) throw derError('a malformed object identifier');
    arc = arc * 0x80 + (byte & 0x7f);
    fresh = byte < 0x80;
    if (!Number.isSafeInteger(arc)) throw derError('a malformed object identifier');
    if (!fresh) continue;
    arcs.push(arc);
    arc = 0;
  }
  const [first, ...rest] = arcs;
  if (first === undefined || !fresh) throw derError('a malformed object identifier');
  const top = Math.min(2, Math.floor(first / 40));
  return [top, first - top * 40, ...rest].join('.');
}

/** FALSE and TRUE have one byte each in DER. */
export function booleanOf({ content }: Element): boolean {
  const [byte] = content;
  if (content.length !== 1 || (byte !== 0 && byte !== 0xff)) throw derError('a malformed boolean');
  return byte === 0xff;
}

/** An integer in its shortest form, which is not negative. */
export function unsignedOf({ content }: Element): Uint8Array {
  const [first, second = 0x80] = content;
  if (first === undefined || first >= 0x80 || (first === 0 && content.length > 1 && second < 0x80)) {
    throw derError('a malformed number');
  }
  return content;
}

/** The bytes of a bit string; `unused` bits at its end, which are zero, do not count. */
export function bitsOf({ content }: Element): { readonly bytes: Uint8Array; readonly unused: number } {
  const unused = content[0] ?? 8;
  const bytes = content.subarray(1);
  const last = bytes.at(-1);
  if (unused > 7 || (last === undefined && unused > 0) || ((last ?? 0) & ((1 << unused) - 1)) !== 0) {
    throw derError('a malformed bit string');
  }
  return { bytes, unused };
}

/** Milliseconds since 1970 of UTCTime or GeneralizedTime, in the one form of RFC 5280 section 4.1.2.5. */
export function timeOf({ tag, content }: Element): number {
  const text = Buffer.from(content).toString('latin1');
  const pattern = tag === tags.utcTime ? /^(\d{2})(\d{10})Z$/ : /^(\d{4})(\d{10})Z$/;
  const match = tag === tags.utcTime || tag === tags.generalizedTime ? pattern.exec(text) : null;
  const [, yearText = '', rest = ''] = match ?? [];
  const year = tag === tags.utcTime ? (Number(yearText) < 50 ? `20${yearText}` : `19${yearText}`) : yearText;
  const [month, day, hour, minute, second] = rest.match(/../g) ?? [];
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = match === null ? Number.NaN : Date.parse(iso);
  // Date.parse takes 24:00:00 and some 31sts for the day after
  if (Number.isNaN(time) || new Date(time).toISOString() !== iso) throw derError('a malformed time');
  return time;
}

export function derError(why: string): BullaError {
  return new BullaError('signature.certificate-invalid', `the certificate is malformed: ${why}`);
}

/** Time-stamp responses (RFC 3161 section 2.4.2), tokens in CMS SignedData (RFC 5652 section 5), read from DER alone. */
import { BullaError } from '../base/errors.ts';
import {
  booleanOf,
  derError,
  DerReader,
  type Element,
  oidOf,
  onlyElement,
  tags,
  unsignedOf,
} from '../keys/certificates/der.ts';

/** A token taken apart; nothing of it is verified. */
export type UntrustedToken = {
  /** TSTInfo, DER: what is signed, by way of its hash among the signed attributes. */
  readonly content: Uint8Array;
  readonly info: TimestampInfo;
  /** The certificates that came with it, DER. */
  readonly certificates: readonly Uint8Array[];
  readonly signer: SignerInfo;
};

export type TimestampInfo = {
  readonly imprint: { readonly algorithm: string; readonly digest: Uint8Array };
  /** Milliseconds since 1970. */
  readonly time: number;
  /** The bytes of the request's number, where it had one. */
  readonly nonce?: Uint8Array;
};

export type SignerInfo = {
  /** The certificate is named by its issuer (DER) and serial number, or by its subject key identifier. */
  readonly id:
    | { readonly issuer: Uint8Array; readonly serial: Uint8Array }
    | { readonly keyIdentifier: Uint8Array };
  /** Object identifier. */
  readonly digestAlgorithm: string;
  /** The signed attributes as they are hashed: DER of a SET. */
  readonly attributes: Uint8Array;
  /** The one value of each signed attribute, by object identifier. */
  readonly values: ReadonlyMap<string, Element>;
  /** Object identifier. */
  readonly signatureAlgorithm: string;
  readonly signature: Uint8Array;
};

const oids = {
  signedData: '1.2.840.113549.1.7.2',
  timestampInfo: '1.2.840.113549.1.9.16.1.4',
} as const;

/** Certificates that one token may bring. */
const mostCertificates = 16;

/**
 * Reads a response; nothing may follow it.
 * @throws BullaError `signature.timestamp-invalid`, and what the DER reader throws
 */
export function parseTimestampResponse(response: Uint8Array): UntrustedToken {
  const outer = new DerReader(onlyElement(response, tags.sequence).content);
  const status = outer.inside(tags.sequence);
  const granted = unsignedOf(status.next(tags.integer));
  // "granted with modifications" is not what was asked for
  if (granted.length !== 1 || granted[0] !== 0) throw invalid('the authority did not grant it');
  const token = outer.inside(tags.sequence);
  outer.end();
  if (oidOf(token.next(tags.oid)) !== oids.signedData) throw invalid('it is no signed data');
  const explicit = token.next(0xa0).content;
  token.end();
  return parseSignedData(new DerReader(onlyElement(explicit, tags.sequence).content));
}

function parseSignedData(reader: DerReader): UntrustedToken {
  const [version] = unsignedOf(reader.next(tags.integer));
  if (version !== 3) throw invalid('its version is not 3');
  reader.next(tags.set);
  const wrapped = reader.inside(tags.sequence);
  if (oidOf(wrapped.next(tags.oid)) !== oids.timestampInfo) throw invalid('it is no timestamp');
  const content = onlyElement(wrapped.next(0xa0).content, tags.octetString).content;
  wrapped.end();
  const certificates = parseCertificates(reader.optional(0xa0));
  // revocation lists, which say nothing here
  reader.optional(0xa1);
  const signers = reader.inside(tags.set);
  reader.end();
  const signer = parseSigner(signers.inside(tags.sequence));
  if (!signers.atEnd) throw invalid('it has several signers');
  return { content, info: parseInfo(content), certificates, signer };
}

function parseCertificates(element: Element | undefined): readonly Uint8Array[] {
  if (element === undefined) return [];
  const reader = new DerReader(element.content);
  const found: Uint8Array[] = [];
  while (!reader.atEnd) {
    found.push(reader.next(tags.sequence).whole);
    if (found.length > mostCertificates) throw invalid('it brings too many certificates');
  }
  return found;
}

function parseInfo(content: Uint8Array): TimestampInfo {
  const reader = new DerReader(onlyElement(content, tags.sequence).content);
  const version = unsignedOf(reader.next(tags.integer));
  if (version.length !== 1 || version[0] !== 1) throw invalid('its version is not known');
  oidOf(reader.next(tags.oid));
  const imprint = reader.inside(tags.sequence);
  const algorithm = algorithmOf(imprint.inside(tags.sequence));
  const digest = imprint.next(tags.octetString).content;
  imprint.end();
  unsignedOf(reader.next(tags.integer));
  const time = generalizedTime(reader.next(tags.generalizedTime));
  reader.optional(tags.sequence);
  const ordering = reader.optional(tags.boolean);
  if (ordering !== undefined) booleanOf(ordering);
  const nonce = reader.optional(tags.integer)?.content;
  reader.optional(0xa0);
  refuseCritical(reader.optional(0xa1));
  reader.end();
  return { imprint: { algorithm, digest }, time, ...(nonce !== undefined && { nonce }) };
}

/** No extension of timestamps is known here, so none may be critical. */
function refuseCritical(extensions: Element | undefined): void {
  const reader = new DerReader(extensions?.content ?? new Uint8Array());
  while (!reader.atEnd) {
    const extension = reader.inside(tags.sequence);
    oidOf(extension.next(tags.oid));
    const critical = extension.optional(tags.boolean);
    if (critical !== undefined && booleanOf(critical)) throw invalid('it has a critical extension');
    extension.next(tags.octetString);
    extension.end();
  }
}

/** RFC 3161 section 2.4.2: to the second or finer, in UTC, no zeros at the end of a fraction. */
function generalizedTime({ content }: Element): number {
  const text = Buffer.from(content).toString('latin1');
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{0,8}[1-9]))?Z$/.exec(text);
  const [, year, month, day, hour, minute, second, fraction = ''] = match ?? [];
  const whole = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = match === null ? Number.NaN : Date.parse(whole);
  if (Number.isNaN(time) || new Date(time).toISOString() !== whole) throw derError('a malformed time');
  return time + Number(fraction.padEnd(3, '0').slice(0, 3));
}

function parseSigner(reader: DerReader): SignerInfo {
  const [version] = unsignedOf(reader.next(tags.integer));
  const id = parseSignerId(reader, version);
  const digestAlgorithm = algorithmOf(reader.inside(tags.sequence));
  // without signed attributes the token would be signed in a form that RFC 3161 does not have
  const signed = reader.next(0xa0);
  const signatureAlgorithm = algorithmOf(reader.inside(tags.sequence));
  const signature = reader.next(tags.octetString).content;
  reader.optional(0xa1);
  reader.end();
  // RFC 5652 section 5.4: hashed with the tag of a SET, not the one it stands there with
  const attributes = Uint8Array.from(signed.whole);
  attributes[0] = tags.set;
  return { id, digestAlgorithm, attributes, values: parseAttributes(signed), signatureAlgorithm, signature };
}

function parseSignerId(reader: DerReader, version: number | undefined): SignerInfo['id'] {
  if (version === 3) return { keyIdentifier: reader.next(0x80).content };
  if (version !== 1) throw invalid("its signer's version is not known");
  const name = reader.inside(tags.sequence);
  const issuer = name.next(tags.sequence).whole;
  const serial = unsignedOf(name.next(tags.integer));
  name.end();
  return { issuer, serial };
}

/** Each attribute once and with one value, or two readers could read two different ones. */
function parseAttributes({ content }: Element): ReadonlyMap<string, Element> {
  const reader = new DerReader(content);
  const values = new Map<string, Element>();
  while (!reader.atEnd) {
    const attribute = reader.inside(tags.sequence);
    const oid = oidOf(attribute.next(tags.oid));
    const list = attribute.inside(tags.set);
    attribute.end();
    if (values.has(oid)) throw invalid('it has a signed attribute twice');
    values.set(oid, list.next());
    if (!list.atEnd) throw invalid('a signed attribute has several values');
  }
  return values;
}

/** The algorithm; its parameters must be missing or NULL. */
export function algorithmOf(reader: DerReader): string {
  const oid = oidOf(reader.next(tags.oid));
  const parameters = reader.optional(tags.null);
  if (parameters !== undefined && parameters.content.length > 0) throw derError('a malformed NULL');
  reader.end();
  return oid;
}

/** The subject key identifier of a certificate's extension value. */
export function keyIdentifierOf(value: Uint8Array): Uint8Array {
  return onlyElement(value, tags.octetString).content;
}

export function invalid(why: string): BullaError {
  return new BullaError('signature.timestamp-invalid', `the timestamp does not hold: ${why}`);
}

/** X.509 certificates (RFC 5280 section 4), read from DER as strictly as Go's crypto/x509 does. */
import { bytesEqual } from '../../base/bytes.ts';
import {
  bitsOf,
  booleanOf,
  derError,
  DerReader,
  type Element,
  oidOf,
  onlyElement,
  tags,
  timeOf,
  unsignedOf,
} from './der.ts';
import { type Extension, type Extensions, readExtensions } from './extensions.ts';

/** A certificate as it stands; nobody has vouched for it yet. */
export type Certificate = {
  /** The whole, DER. */
  readonly der: Uint8Array;
  /** What is signed, DER. */
  readonly signedPart: Uint8Array;
  /** 1 or 3, practically. */
  readonly version: number;
  /** The serial number, as DER has it: the shortest form, not negative. */
  readonly serial: Uint8Array;
  /** DER of the names, compared byte for byte. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** Milliseconds since 1970, both inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** AlgorithmIdentifier, DER. */
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly extensions: Extensions;
};

/**
 * Reads one certificate; nothing may follow it.
 * @throws BullaError `signature.certificate-invalid`
 */
export function parseCertificate(der: Uint8Array): Certificate {
  const outer = new DerReader(onlyElement(der, tags.sequence).content);
  const signedPart = outer.next(tags.sequence);
  const algorithm = outer.next(tags.sequence).whole;
  const signature = bitsOf(outer.next(tags.bitString));
  outer.end();
  if (signature.unused !== 0) throw derError('a signature of broken bytes');
  const body = parseSignedPart(signedPart);
  if (!bytesEqual(body.algorithm, algorithm)) throw derError('it names two signature algorithms');
  const { algorithm: signatureAlgorithm, ...rest } = body;
  return { der, signedPart: signedPart.whole, ...rest, signatureAlgorithm, signature: signature.bytes };
}

type SignedPart = Omit<Certificate, 'der' | 'signedPart' | 'signatureAlgorithm' | 'signature'> & {
  readonly algorithm: Uint8Array;
};

function parseSignedPart(element: Element): SignedPart {
  const reader = new DerReader(element.content);
  const version = parseVersion(reader.optional(0xa0));
  const serial = unsignedOf(reader.next(tags.integer));
  const algorithm = reader.next(tags.sequence).whole;
  const issuer = reader.next(tags.sequence).whole;
  const validity = reader.inside(tags.sequence);
  const [notBefore, notAfter] = [timeOf(validity.next()), timeOf(validity.next())];
  validity.end();
  const subject = reader.next(tags.sequence).whole;
  const spki = reader.next(tags.sequence).whole;
  // unique identifiers, which nobody uses (RFC 5280 section 4.1.2.8)
  if (version > 1) [0x81, 0x82].forEach((tag) => reader.optional(tag));
  const extensions = parseExtensions(version === 3 ? reader.optional(0xa3) : undefined);
  reader.end();
  return { version, serial, algorithm, issuer, subject, notBefore, notAfter, spki, extensions };
}

function parseVersion(element: Element | undefined): number {
  if (element === undefined) return 1;
  const number = unsignedOf(onlyElement(element.content, tags.integer));
  const version = 1 + (number[0] ?? 0);
  if (number.length > 1 || version > 3) throw derError('an unknown version');
  return version;
}

function parseExtensions(element: Element | undefined): Extensions {
  if (element === undefined) return readExtensions([]);
  const list = new DerReader(onlyElement(element.content, tags.sequence).content);
  const found: Extension[] = [];
  while (!list.atEnd) {
    const one = list.inside(tags.sequence);
    const oid = oidOf(one.next(tags.oid));
    const flag = one.optional(tags.boolean);
    const value = one.next(tags.octetString).content;
    one.end();
    if (found.some((other) => other.oid === oid)) throw derError(`the extension ${oid} is there twice`);
    found.push({ oid, critical: flag !== undefined && booleanOf(flag), value });
  }
  return readExtensions(found);
}

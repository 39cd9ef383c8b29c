/** The extensions of a certificate that a verdict depends on (RFC 5280 section 4.2, Fulcio's oid-info.md). */
import { textOf } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { bitsOf, booleanOf, derError, DerReader, oidOf, onlyElement, tags, unsignedOf } from './der.ts';

export type Extension = { readonly oid: string; readonly critical: boolean; readonly value: Uint8Array };

export type SubjectNames = {
  readonly emails: readonly string[];
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  /** 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
};

export type Extensions = {
  readonly all: readonly Extension[];
  /** Undefined where the extension is missing. `pathLength` undefined: no limit. */
  readonly basicConstraints?: { readonly isAuthority: boolean; readonly pathLength?: number };
  /** Whether the key may sign certificates, where the extension says anything. */
  readonly maySignCertificates?: boolean;
  /** Object identifiers; empty where the extension is missing. */
  readonly extendedKeyUsage: readonly string[];
  readonly names: SubjectNames;
  /** Critical extensions that are not understood here: the certificate must not be used. */
  readonly unhandled: readonly string[];
};

/** The extensions by name. */
export const oids = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extendedKeyUsage: '2.5.29.37',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  anyUsage: '2.5.29.37.0',
  /** Fulcio's first issuer extension: the bare text. */
  issuerText: '1.3.6.1.4.1.57264.1.1',
  /** Fulcio's second: a UTF8String. */
  issuerUtf8: '1.3.6.1.4.1.57264.1.8',
} as const;

/**
 * Those that may be critical: read here, or without a say in who signed (policies, CRL distribution
 * points, key identifiers, access to information). Name constraints are in the chain's hands.
 */
const handled: ReadonlySet<string> = new Set([
  oids.keyUsage,
  oids.basicConstraints,
  oids.extendedKeyUsage,
  oids.nameConstraints,
  '2.5.29.14',
  '2.5.29.31',
  '2.5.29.32',
  '2.5.29.35',
  '1.3.6.1.5.5.7.1.1',
]);

/** @throws BullaError `signature.certificate-invalid` */
export function readExtensions(all: readonly Extension[]): Extensions {
  const valueOf = (oid: string): Uint8Array | undefined => all.find((each) => each.oid === oid)?.value;
  const constraints = valueOf(oids.basicConstraints);
  const usage = valueOf(oids.keyUsage);
  const extended = valueOf(oids.extendedKeyUsage);
  const names = readNames(valueOf(oids.subjectAltName));
  const isHandled = ({ oid }: Extension): boolean =>
    handled.has(oid) || (oid === oids.subjectAltName && Object.values(names).some((each) => each.length > 0));
  return {
    all,
    ...(constraints !== undefined && { basicConstraints: readBasicConstraints(constraints) }),
    ...(usage !== undefined && signsCertificates(usage)),
    extendedKeyUsage: extended === undefined ? [] : readUsages(extended),
    names,
    unhandled: all.filter((each) => each.critical && !isHandled(each)).map(({ oid }) => oid),
  };
}

function readBasicConstraints(value: Uint8Array): { isAuthority: boolean; pathLength?: number } {
  const reader = new DerReader(onlyElement(value, tags.sequence).content);
  const flag = reader.optional(tags.boolean);
  const limit = reader.optional(tags.integer);
  reader.end();
  const isAuthority = flag !== undefined && booleanOf(flag);
  if (limit === undefined) return { isAuthority };
  const number = unsignedOf(limit);
  if (number.length > 4) throw derError('a malformed path length');
  return { isAuthority, pathLength: number.reduce((sum, byte) => sum * 0x100 + byte, 0) };
}

/** A key usage without any bit says nothing (as in Go). */
function signsCertificates(value: Uint8Array): { maySignCertificates?: boolean } {
  const { bytes } = bitsOf(onlyElement(value, tags.bitString));
  const first = bytes[0] ?? 0;
  if (bytes.every((byte) => byte === 0)) return {};
  return { maySignCertificates: (first & 0x04) !== 0 };
}

function readUsages(value: Uint8Array): readonly string[] {
  const reader = new DerReader(onlyElement(value, tags.sequence).content);
  const usages: string[] = [];
  while (!reader.atEnd) usages.push(oidOf(reader.next(tags.oid)));
  return usages;
}

function readNames(value: Uint8Array | undefined): SubjectNames {
  const [emails, dnsNames, uris]: [string[], string[], string[]] = [[], [], []];
  const addresses: Uint8Array[] = [];
  const reader = new DerReader(
    value === undefined ? new Uint8Array() : onlyElement(value, tags.sequence).content,
  );
  while (!reader.atEnd) {
    const { tag, content } = reader.next();
    // GeneralName: [1] rfc822Name, [2] dNSName, [6] URI, [7] iPAddress; the others name nobody here
    if (tag === 0x81) emails.push(asciiOf(content));
    else if (tag === 0x82) dnsNames.push(asciiOf(content));
    else if (tag === 0x86) uris.push(asciiOf(content));
    else if (tag === 0x87) {
      if (content.length !== 4 && content.length !== 16) throw derError('a malformed IP address');
      addresses.push(content);
    }
  }
  return { emails, dnsNames, uris, addresses };
}

/** IA5String */
function asciiOf(content: Uint8Array): string {
  if (content.some((byte) => byte >= 0x80)) throw derError('a name that is not ASCII');
  return Buffer.from(content).toString('latin1');
}

/**
 * The OpenID issuer that Fulcio wrote down: either extension; if both are there they must agree.
 * @throws BullaError `signature.certificate-invalid` where there is none, or two
 */
export function fulcioIssuerOf({ all }: Extensions): string {
  const bare = all.find(({ oid }) => oid === oids.issuerText);
  const typed = all.find(({ oid }) => oid === oids.issuerUtf8);
  const issuers = [
    ...(bare === undefined ? [] : [textOf(bare.value)]),
    ...(typed === undefined ? [] : [typedText(typed.value)]),
  ];
  const [issuer, other = issuer] = issuers;
  if (issuer === undefined || issuers.includes(undefined)) {
    throw new BullaError('signature.certificate-invalid', 'the certificate names no OpenID issuer');
  }
  if (issuer !== other) {
    throw new BullaError(
      'signature.certificate-invalid',
      'the certificate names two different OpenID issuers',
    );
  }
  return issuer;
}

/** A UTF8String, as Fulcio writes it, or an IA5String, as Go reads it too. */
function typedText(value: Uint8Array): string | undefined {
  if (value[0] === tags.ia5String) return asciiOf(onlyElement(value, tags.ia5String).content);
  return textOf(onlyElement(value, tags.utf8String).content);
}

/** Whom a certificate is about, compared with whom it must be about. */
import { printable, textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import type { Certificate } from '../keys/certificates/certificate.ts';
import { DerReader, oidOf, onlyElement, tags } from '../keys/certificates/der.ts';
import { type Extensions, fulcioIssuerOf, oids } from '../keys/certificates/extensions.ts';
import { type Fault, fault } from './bundle-witness.ts';
import {
  type CertificateIdentity,
  describeText,
  type FulcioField,
  fulcioFields,
  matchesText,
  type TextRule,
} from './identity-rule.ts';

const fulcioArc = '1.3.6.1.4.1.57264.1';

/** The certificate's own words, once they are what they must be. Only for certificates whose chain holds. */
export function matchCertificate(
  { extensions }: Certificate,
  wanted: CertificateIdentity,
): { readonly ok: true; readonly issuer: string; readonly subject: string } | Fault {
  try {
    const issuer = fulcioIssuerOf(extensions);
    const subject = subjectOf(extensions);
    const wrong =
      mismatch('issuer', issuer, wanted.issuer) ??
      (wanted.subject === undefined ? undefined : mismatch('subject', subject, wanted.subject)) ??
      wrongField(extensions, wanted);
    return wrong === undefined ? { ok: true, issuer, subject } : fault('signature.wrong-signer', wrong);
  } catch (error) {
    if (isBullaError(error)) return fault(error.code, error.message);
    throw error;
  }
}

function wrongField(extensions: Extensions, { fields = {} }: CertificateIdentity): string | undefined {
  for (const [name, rule] of Object.entries(fields) as [FulcioField, TextRule][]) {
    const found = fieldOf(extensions, name);
    if (found === undefined) return `the certificate names no ${name}, ${describeText(rule)} is wanted`;
    const wrong = mismatch(name, found, rule);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function mismatch(what: string, found: string, rule: TextRule): string | undefined {
  if (matchesText(rule, found)) return undefined;
  return `the certificate's ${what} is "${printable(found)}", wanted is ${describeText(rule)}`;
}

/** A field's text, or undefined where it is missing or is no text. From .8 on UTF8String in DER, before that the bare text. */
export function fieldOf({ all }: Extensions, name: FulcioField): string | undefined {
  const arc = fulcioFields[name];
  const value = all.find(({ oid }) => oid === `${fulcioArc}.${arc}`)?.value;
  if (value === undefined) return undefined;
  return textOf(arc < 8 ? value : onlyElement(value, tags.utf8String).content);
}

/** An otherName with a user name, which Fulcio writes for issuers without mail addresses. */
const userNameOid = `${fulcioArc}.7`;

/**
 * The one name that the certificate is for. Several would let one be shown and another be meant.
 * @throws BullaError `signature.certificate-invalid`
 */
export function subjectOf({ all, names }: Extensions): string {
  const others = userNamesOf(all.find(({ oid }) => oid === oids.subjectAltName)?.value);
  const found = [...names.emails, ...names.uris, ...names.dnsNames, ...others];
  const [subject] = found;
  const count = found.length + names.addresses.length;
  if (subject !== undefined && count === 1) return subject;
  const what =
    count === 0 ? 'no subject alternative name that is known here' : `${count} subject alternative names`;
  throw new BullaError('signature.certificate-invalid', `the certificate has ${what}, where one is expected`);
}

/** GeneralName's [0] otherName: an identifier, and in another [0] the value. Those of other kinds count as unknown ones. */
function userNamesOf(value: Uint8Array | undefined): readonly string[] {
  const found: string[] = [];
  const reader = new DerReader(
    value === undefined ? new Uint8Array() : onlyElement(value, tags.sequence).content,
  );
  while (!reader.atEnd) {
    const { tag, content } = reader.next();
    if (tag !== 0xa0) continue;
    const other = new DerReader(content);
    const oid = oidOf(other.next(tags.oid));
    const inner = other.next(0xa0).content;
    other.end();
    if (oid !== userNameOid)
      throw new BullaError(
        'signature.certificate-invalid',
        `the certificate has a name of an unknown kind (${oid})`,
      );
    const name = textOf(onlyElement(inner, tags.utf8String).content);
    if (name === undefined || name === '')
      throw new BullaError('signature.certificate-invalid', 'the certificate’s user name is no text');
    found.push(name);
  }
  return found;
}

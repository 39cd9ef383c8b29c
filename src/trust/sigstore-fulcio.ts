/** sigstoreSigned by a certificate of Fulcio's: short-lived, so the log says when it was used. */
import { printable } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import type { Certificate } from '../keys/certificates/certificate.ts';
import { publicKeyOfCertificate, verifyChain } from '../keys/certificates/chain.ts';
import { fulcioIssuerOf } from '../keys/certificates/extensions.ts';
import { isOneBlock, readCertificates, readLeaf } from '../keys/certificates/pem.ts';
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { verifyRekorSet } from '../witnesses/rekor-set.ts';
import { logTime } from './sigstore-keys.ts';
import { noSigner, type Signers, type UntrustedAttachment } from './sigstore-signer.ts';

export type FulcioRule = {
  readonly roots: readonly Certificate[];
  readonly oidcIssuer: string;
  readonly subjectEmail: string;
  readonly rekorKeys: readonly SigstorePublicKey[];
};

/**
 * The key of the signature's certificate, in this order: the log entry for certificate, signature and
 * payload; the chain, all of it at the log's time; the OpenID issuer; the mail address.
 */
export function signersByFulcio(untrusted: UntrustedAttachment, rule: FulcioRule): Signers {
  const { payload, signature, certificate, chain, logEntry } = untrusted;
  if (logEntry === undefined) {
    return noSigner('signature.log-entry-missing', 'a log entry is required, but the signature has none');
  }
  if (certificate === undefined) {
    return noSigner('signature.certificate-missing', 'a certificate is required, but the signature has none');
  }
  try {
    const leaf = readLeaf(certificate);
    // the entry is compared with the text, in which nothing may follow
    if (!isOneBlock(certificate)) {
      return noSigner('signature.certificate-invalid', 'something follows the certificate');
    }
    const logged = verifyRekorSet(logEntry, { payload, signature, signers: [leaf.der] }, rule.rekorKeys);
    if (!logged.ok) return logged;
    const intermediates = chain === undefined ? [] : intermediatesOf(chain);
    const at = logged.integratedTime * 1000;
    const found = verifyChain(leaf, { roots: rule.roots, intermediates }, { at, anySubjectName: true });
    if (!found.ok) return found;
    return ofRightSigner(leaf, rule, logTime(logged.integratedTime));
  } catch (error) {
    if (isBullaError(error)) return noSigner(error.code, error.message);
    throw error;
  }
}

/** A chain ends with its root, which nobody takes from there. */
export function intermediatesOf(chain: string): readonly Certificate[] {
  return readCertificates(chain).slice(0, -1);
}

function ofRightSigner(leaf: Certificate, { oidcIssuer, subjectEmail }: FulcioRule, logged: string): Signers {
  const issuer = fulcioIssuerOf(leaf.extensions);
  if (issuer !== oidcIssuer) {
    const message = `the signer was identified by ${printable(issuer)}, the policy wants ${printable(oidcIssuer)}`;
    return noSigner('signature.wrong-signer', message);
  }
  const { emails } = leaf.extensions.names;
  if (!emails.includes(subjectEmail)) {
    return noSigner('signature.wrong-signer', wrongEmail(emails, subjectEmail));
  }
  const key = publicKeyOfCertificate(leaf);
  if (key === undefined) {
    return noSigner('signature.key-unusable', 'the certificate is about a key of no kind that is used here');
  }
  const identity = `${subjectEmail} (${issuer})`;
  return { ok: true, keys: [key], identity, note: `logged ${logged}` };
}

/** Why a certificate without the wanted mail address is refused. */
export function wrongEmail(emails: readonly string[], wanted: string): string {
  const found = emails.length === 0 ? 'no mail address' : emails.map((each) => printable(each)).join(', ');
  return `the certificate is for ${found}, the policy wants ${printable(wanted)}`;
}

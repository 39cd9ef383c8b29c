/** sigstoreSigned by a certificate of one's own authority: valid now, for nothing says when it was used. */
import { printable } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import type { Certificate } from '../keys/certificates/certificate.ts';
import { publicKeyOfCertificate, verifyChain } from '../keys/certificates/chain.ts';
import { isForHost } from '../keys/certificates/hostname.ts';
import { readLeaf } from '../keys/certificates/pem.ts';
import { intermediatesOf, wrongEmail } from './sigstore-fulcio.ts';
import { noSigner, type Signers, type UntrustedAttachment } from './sigstore-signer.ts';

export type PkiRule = {
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly subjectEmail?: string;
  readonly subjectHostname?: string;
};

/** The key of the signature's certificate: its subjects, then the chain, all of it now. */
export function signersByPki(untrusted: UntrustedAttachment, rule: PkiRule, now: number): Signers {
  const { certificate, chain } = untrusted;
  if (certificate === undefined) {
    return noSigner('signature.certificate-missing', 'a certificate is required, but the signature has none');
  }
  try {
    const given = chain === undefined ? [] : intermediatesOf(chain);
    const leaf = readLeaf(certificate);
    const fault = wrongSubject(leaf, rule);
    if (fault !== undefined) return noSigner('signature.wrong-signer', fault);
    const intermediates = [...rule.intermediates, ...given];
    const found = verifyChain(leaf, { roots: rule.roots, intermediates }, { at: now });
    if (!found.ok) return found;
    const key = publicKeyOfCertificate(leaf);
    if (key === undefined) {
      return noSigner(
        'signature.key-unusable',
        'the certificate is about a key of no kind that is used here',
      );
    }
    const subjects = [rule.subjectEmail, rule.subjectHostname].filter((each) => each !== undefined);
    return { ok: true, keys: [key], identity: subjects.join(', ') };
  } catch (error) {
    if (isBullaError(error)) return noSigner(error.code, error.message);
    throw error;
  }
}

function wrongSubject(leaf: Certificate, { subjectEmail, subjectHostname }: PkiRule): string | undefined {
  const { names } = leaf.extensions;
  if (subjectEmail !== undefined && !names.emails.includes(subjectEmail)) {
    return wrongEmail(names.emails, subjectEmail);
  }
  if (subjectHostname !== undefined && !isForHost(names, subjectHostname)) {
    return `the certificate is not for the host ${printable(subjectHostname)}, which the policy wants`;
  }
  return undefined;
}

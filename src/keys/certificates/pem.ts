/** Certificates in PEM, as strictly and as leniently as containers/image reads them. */
import { BullaError, isBullaError } from '../../base/errors.ts';
import { decodePem, type PemBlock } from '../sigstore/pem.ts';
import { type Certificate, parseCertificate } from './certificate.ts';

/** A chain of more certificates is nobody's; each costs time to read. */
const mostCertificates = 32;

/** `ended`: nothing follows the last block but the end of its line. */
export type WholePem = { readonly blocks: readonly PemBlock[]; readonly ended: boolean };

/**
 * The blocks of a text in which nothing but blanks follows the last of them. Undefined for any other
 * text, and for more than a mebibyte.
 */
export function wholePem(bytes: Uint8Array): WholePem | undefined {
  const text = Buffer.from(bytes).toString('latin1');
  const trimmed = text.trimEnd();
  const lastLine = trimmed.lastIndexOf('\n') + 1;
  try {
    const blocks = decodePem(bytes);
    if (blocks.length === 0) return undefined;
    // the last line closes the last block when there is one block less without it
    if (decodePem(bytes.subarray(0, lastLine)).length !== blocks.length - 1) return undefined;
    return { blocks, ended: /^[ \t]*\r?\n?$/.test(text.slice(trimmed.length)) };
  } catch (error) {
    if (isBullaError(error, 'key.malformed')) return undefined;
    throw error;
  }
}

/**
 * All certificates of an annotation: every block must be one, and nothing may follow. None for blanks.
 * @throws BullaError `signature.certificate-invalid`
 */
export function readCertificates(text: string): readonly Certificate[] {
  const trimmed = trimSpace(text);
  if (trimmed === '') return [];
  const pem = wholePem(Buffer.from(trimmed, 'utf8'));
  if (pem === undefined) throw invalid('the certificates are no PEM');
  if (pem.blocks.length > mostCertificates)
    throw invalid(`there are more than ${mostCertificates} certificates`);
  return pem.blocks.map(({ bytes }) => parseCertificate(bytes));
}

const isBlank = (letter: string | undefined): boolean =>
  letter !== undefined && letter !== '\ufeff' && /[\s\u0085]/.test(letter);

/** As Go trims, for which a byte order mark is no blank: behind it no block begins, and the chain is another. */
function trimSpace(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isBlank(text[start])) start += 1;
  while (end > start && isBlank(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

/**
 * The signer's certificate: exactly one.
 * @throws BullaError `signature.certificate-invalid`
 */
export function readLeaf(text: string): Certificate {
  const [leaf, ...others] = readCertificates(text);
  if (leaf === undefined) throw invalid('there is no certificate');
  if (others.length > 0) throw invalid('there are several certificates where one is expected');
  return leaf;
}

/**
 * The certificates of an authority's file. What is no certificate, or one that cannot be read, is passed over.
 * @throws BullaError `key.none` where nothing is left, `key.malformed` for more than 1 MiB
 */
export function readAuthorities(pem: Uint8Array): readonly Certificate[] {
  const found = decodePem(pem).flatMap(({ type, bytes }): readonly Certificate[] => {
    if (type !== 'CERTIFICATE') return [];
    try {
      return [parseCertificate(bytes)];
    } catch (error) {
      if (isBullaError(error)) return [];
      throw error;
    }
  });
  if (found.length > 0) return found;
  throw new BullaError('key.none', 'there is no certificate that can be used', {
    hint: 'a file of PEM blocks BEGIN CERTIFICATE',
  });
}

function invalid(why: string): BullaError {
  return new BullaError('signature.certificate-invalid', why);
}

/** Whether a text's only block is followed by no more than the end of its line. */
export function isOneBlock(text: string): boolean {
  const pem = wholePem(Buffer.from(text, 'utf8'));
  return pem !== undefined && pem.blocks.length === 1 && pem.ended;
}

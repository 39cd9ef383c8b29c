/** A sigstore signature taken apart, whatever format it came in: what was signed, by whom, and who witnessed it. */
import { decodeBase64 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { isBullaError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';
import type { UntrustedBundle } from '../formats/bundle.ts';
import { cosignAnnotations } from '../formats/cosign.ts';
import { type Certificate, parseCertificate } from '../keys/certificates/certificate.ts';
import { isOneBlock, readCertificates, readLeaf } from '../keys/certificates/pem.ts';
import type { UntrustedLogEntry } from '../witnesses/log-entry.ts';
import { type LoggedContent, parseAnnotatedEntry } from '../witnesses/log-entry-verify.ts';

/** Nothing of it is verified. */
export type UntrustedEvidence = {
  /** A message of a bundle has its digest alone where the artifact's bytes are not at hand. */
  readonly content: LoggedContent;
  readonly signature: Uint8Array;
  /** Attachments hash with SHA-256 whatever the key, bundles with what its size asks for, or with SHA-256. */
  readonly hashing: 'simple' | 'bundle';
  /** The signer's own first; undefined: signed by a key. */
  readonly certificates?: readonly [Certificate, ...Certificate[]];
  readonly logEntries: readonly UntrustedLogEntry[];
  /** RFC 3161 TimeStampResp, DER. */
  readonly timestamps: readonly Uint8Array[];
};

/**
 * The evidence of a bundle about that content.
 * @throws BullaError `signature.certificate-invalid`
 */
export function evidenceOfBundle(bundle: UntrustedBundle, content: LoggedContent): UntrustedEvidence {
  const { material, logEntries, timestamps } = bundle;
  const { signature } = bundle.content;
  const certificates = material.kind === 'certificates' ? readChain(material.certificates) : undefined;
  return {
    content,
    signature,
    hashing: 'bundle',
    ...(certificates !== undefined && { certificates }),
    logEntries,
    timestamps,
  };
}

/** A root in the chain would have to be ignored or believed; the format forbids it (sigstore_bundle.proto). */
function readChain([first, ...others]: readonly [Uint8Array, ...Uint8Array[]]): readonly [
  Certificate,
  ...Certificate[],
] {
  const rest = others.map(parseCertificate);
  if (rest.some(isSelfIssued)) {
    throw new BullaError('signature.certificate-invalid', 'the bundle brings a root certificate of its own');
  }
  return [parseCertificate(first), ...rest];
}

function isSelfIssued({ issuer, subject }: Certificate): boolean {
  return Buffer.compare(issuer, subject) === 0;
}

type Annotations = Readonly<Record<string, string>>;

/**
 * The evidence of an attachment (`.sig`, `.att`), whose annotations hold what a bundle has in one document. Its chain's root
 * is left out: nobody takes it from there. cosign 3.1 writes an empty chain.
 * @throws BullaError `signature.certificate-invalid`, `signature.log-entry-invalid`, `signature.timestamp-invalid`
 */
export function evidenceOfAnnotations(
  annotations: Annotations,
  signed: Pick<UntrustedEvidence, 'content' | 'signature' | 'hashing'>,
): UntrustedEvidence {
  const certificates = chainOf(annotations);
  const entry = annotations[cosignAnnotations.bundle];
  const timestamp = annotations[cosignAnnotations.timestamp];
  return {
    ...signed,
    ...(certificates !== undefined && { certificates }),
    logEntries: entry === undefined ? [] : [parseAnnotatedEntry(entry)],
    timestamps: timestamp === undefined ? [] : [parseTimestampAnnotation(timestamp)],
  };
}

function chainOf(annotations: Annotations): UntrustedEvidence['certificates'] {
  const certificate = annotations[cosignAnnotations.certificate];
  const chain = annotations[cosignAnnotations.chain];
  if (certificate === undefined || certificate === '') return undefined;
  // the log's entry holds the text, in which nothing may follow
  if (!isOneBlock(certificate)) {
    throw new BullaError('signature.certificate-invalid', 'something follows the certificate');
  }
  const others = chain === undefined ? [] : readCertificates(chain);
  return [readLeaf(certificate), ...others.filter((each) => !isSelfIssued(each))];
}

/** `{"SignedRFC3161Timestamp":"<base64>"}` */
function parseTimestampAnnotation(text: string): Uint8Array {
  const value = readJson(text);
  const [member, ...others] = value.kind === 'object' ? value.members : [];
  const isOne = member?.key === 'SignedRFC3161Timestamp' && others.length === 0;
  const bytes = isOne && member.value.kind === 'string' ? decodeBase64(member.value.value) : undefined;
  if (bytes === undefined || bytes.length === 0) throw badTimestamp();
  return bytes;
}

function readJson(text: string): JsonValue {
  try {
    return parseJson(text, 'timestamp');
  } catch (error) {
    throw isBullaError(error) ? badTimestamp() : error;
  }
}

function badTimestamp(): BullaError {
  return new BullaError('signature.timestamp-invalid', 'the timestamp annotation is malformed');
}

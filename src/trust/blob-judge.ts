/** Judging the signature of a file: a message signature, or a statement whose subject the file is. */
import { decodeBase64, hexOfBytes, printable, textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';
import { crypto } from '../base/node.ts';
import { parseBundle } from '../formats/bundle-parse.ts';
import { cosignAnnotations } from '../formats/cosign.ts';
import type { Envelope } from '../formats/dsse.ts';
import type { LoggedContent } from '../witnesses/log-entry-verify.ts';
import { anyPredicateType, type BundleRule } from './bundle-rule.ts';
import { fault } from './bundle-witness.ts';
import { judgeEvidence } from './evidence-judge.ts';
import { orFault, proven, refused, signedBy } from './evidence-verdict.ts';
import { evidenceOfAnnotations, evidenceOfBundle, type UntrustedEvidence } from './evidence.ts';
import { foreignPredicate, readStatement, wrongSubject } from './statement-judge.ts';
import type { SignatureVerdict } from './verdict.ts';

/** A file, or no more than its digest (`sha256`, `sha384`, `sha512`). */
export type Artifact =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'digest'; readonly algorithm: string; readonly value: Uint8Array };

/** A signature of a file taken apart; nothing of it is verified. */
export type UntrustedBlobSignature = {
  readonly evidence: UntrustedEvidence;
  /** A statement; without it the signature is of the file itself. */
  readonly envelope?: Envelope;
  /** What it says to be a signature of. */
  readonly digest?: { readonly algorithm: string; readonly value: Uint8Array };
};

/**
 * Reads a bundle about a file: sigstore's, or the one that cosign wrote before (`base64Signature`, `cert`, `rekorBundle`).
 * @throws BullaError `signature.*`
 */
export function readBlobBundle(json: Uint8Array, artifact: Artifact): UntrustedBlobSignature {
  const old = oldBundle(json);
  if (old !== undefined) return readOldBundle(old, artifact);
  const bundle = parseBundle(json);
  const { content } = bundle;
  if (content.kind === 'dsse') return { evidence: evidenceOfBundle(bundle, content), envelope: content };
  const evidence = evidenceOfBundle(bundle, contentOf(artifact));
  return { evidence, ...(content.digest !== undefined && { digest: content.digest }) };
}

/**
 * A signature without a bundle: base64 text, and its certificate (PEM) where one made it.
 * @throws BullaError `signature.malformed`, `signature.certificate-invalid`
 */
export function readBareSignature(
  text: Uint8Array,
  certificate: string | undefined,
  artifact: Artifact,
): UntrustedBlobSignature {
  const annotations = certificate === undefined ? {} : { [cosignAnnotations.certificate]: certificate };
  return { evidence: bareEvidence((textOf(text) ?? '').trim(), annotations, artifact) };
}

function bareEvidence(
  base64: string,
  annotations: Readonly<Record<string, string>>,
  artifact: Artifact,
): UntrustedEvidence {
  const signature = decodeBase64(base64);
  if (signature === undefined || signature.length === 0) {
    throw new BullaError('signature.malformed', 'the signature is no base64');
  }
  return evidenceOfAnnotations(annotations, { content: contentOf(artifact), signature, hashing: 'bundle' });
}

type OldBundle = ReadonlyMap<string, JsonValue>;

function oldBundle(json: Uint8Array): OldBundle | undefined {
  const text = textOf(json);
  if (text === undefined || !text.slice(0, 1000).includes('"base64Signature"')) return undefined;
  const value = orFault(() => parseJson(text, 'bundle'));
  // what is no JSON is refused by the reader of bundles
  if ('ok' in value || value.kind !== 'object') return undefined;
  const members = new Map(value.members.map(({ key, value: member }) => [key, member]));
  const isOnce = members.size === value.members.length;
  return isOnce && members.has('base64Signature') && !members.has('mediaType') ? members : undefined;
}

/** `cert` is base64 of PEM: the certificate, or the public key that made it, which vouches for nothing. */
function readOldBundle(old: OldBundle, artifact: Artifact): UntrustedBlobSignature {
  const signature = old.get('base64Signature');
  const cert = old.get('cert');
  const entry = old.get('rekorBundle');
  const pem = cert?.kind === 'string' ? (textOf(decodeBase64(cert.value) ?? new Uint8Array()) ?? '') : '';
  const annotations = {
    ...(pem.includes('BEGIN CERTIFICATE') && { [cosignAnnotations.certificate]: pem }),
    ...(entry !== undefined && entry.kind !== 'null' && { [cosignAnnotations.bundle]: textOfEntry(entry) }),
  };
  return {
    evidence: bareEvidence(signature?.kind === 'string' ? signature.value : '', annotations, artifact),
  };
}

/** As the annotation of an attachment has it. Numbers keep their digits. */
function textOfEntry(value: JsonValue): string {
  switch (value.kind) {
    case 'object':
      return `{${value.members.map(({ key, value: member }) => `${JSON.stringify(key)}:${textOfEntry(member)}`).join(',')}}`;
    case 'string':
      return JSON.stringify(value.value);
    case 'number':
      return value.text;
    case 'array':
    case 'boolean':
    case 'null':
      throw new BullaError(
        'signature.log-entry-invalid',
        'the log entry does not hold: it is not built as it should be',
      );
  }
}

function contentOf(artifact: Artifact): LoggedContent {
  if (artifact.kind === 'bytes') return { kind: 'message', message: artifact.bytes };
  return { kind: 'message', digest: { algorithm: artifact.algorithm, value: artifact.value } };
}

/**
 * Judges a file's signature. Of a statement any predicate type counts that is not empty, unless the rule names one.
 * @param read takes the signature apart; what it throws as a BullaError is the refusal
 * @param store what to call the signature in the verdict
 */
export function judgeBlob(
  read: () => UntrustedBlobSignature,
  artifact: Artifact,
  rule: BundleRule,
  store: string,
): SignatureVerdict {
  const place = { format: 'bundle', store };
  const opened = orFault(read);
  if ('ok' in opened) return refused(place, opened);
  const { evidence, envelope, digest } = opened;
  if (envelope !== undefined) return judgeStatement(evidence, envelope, artifact, rule, store);
  if (rule.predicateType !== anyPredicateType) {
    return refused(
      place,
      fault('signature.wrong-type', 'a signature of the file, where a statement is wanted'),
    );
  }
  if (digest !== undefined && !isDigestOf(artifact, digest)) {
    return refused(
      place,
      fault(
        'signature.wrong-digest',
        `it says to be a signature of ${digest.algorithm}:${hexOfBytes(digest.value)}, which this is not`,
      ),
    );
  }
  const signed = judgeEvidence(() => evidence, rule);
  if (!signed.ok) return refused(place, signed);
  return {
    ...proven(place, signed),
    accepted: true,
    code: 'accepted',
    message: [signedBy(signed), ...signed.notes].join('; '),
  };
}

function judgeStatement(
  evidence: UntrustedEvidence,
  envelope: Envelope,
  artifact: Artifact,
  rule: BundleRule,
  store: string,
): SignatureVerdict {
  const place = { format: 'bundle', store };
  const statement = readStatement(envelope.payloadType, envelope.payload);
  if (!statement.ok) return refused(place, statement);
  const { predicateType } = statement.statement;
  const foreign = foreignPredicate(statement.statement, rule);
  if (foreign !== undefined) return { ...refused(place, foreign), untrusted: { predicateType } };
  const signed = judgeEvidence(() => evidence, rule);
  if (!signed.ok) return { ...refused(place, signed), untrusted: { predicateType } };
  const base = { ...proven(place, signed), predicateType };
  const wrong = wrongSubject(statement.statement, digestsOf(artifact), rule);
  if (wrong !== undefined) return { ...base, accepted: false, code: wrong.code, message: wrong.message };
  const message = [`${signedBy(signed)}, stating ${printable(predicateType)}`, ...signed.notes].join('; ');
  return { ...base, statement: envelope.payload, accepted: true, code: 'accepted', message };
}

/** By algorithm, lower-case hexadecimal: any of them may be the subject's. */
function digestsOf(artifact: Artifact): ReadonlyMap<string, string> {
  if (artifact.kind === 'digest') return new Map([[artifact.algorithm, hexOfBytes(artifact.value)]]);
  return new Map(
    ['sha256', 'sha384', 'sha512'].map((name) => [name, crypto.hash(name, artifact.bytes, 'hex')]),
  );
}

/** A digest by another algorithm than the one that is at hand says nothing here; the signature does. */
function isDigestOf(
  artifact: Artifact,
  { algorithm, value }: { readonly algorithm: string; readonly value: Uint8Array },
): boolean {
  const known = digestsOf(artifact).get(algorithm);
  return known === undefined ? artifact.kind === 'digest' : known === hexOfBytes(value);
}

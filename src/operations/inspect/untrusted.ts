/** What bundles, attestations and Notary signatures say of themselves, unverified: for showing, never for deciding. */
import { decodeBase64, hexOfBytes, textOf } from '../../base/bytes.ts';
import { type Digest, tryParseDigest } from '../../base/digest.ts';
import { isBullaError } from '../../base/errors.ts';
import { parseBundle, type UntrustedBundle } from '../../formats/bundle.ts';
import { cosignAnnotations, cosignMediaType } from '../../formats/cosign.ts';
import { readUntrustedCosign } from '../../formats/cosign-untrusted.ts';
import { inTotoPayloadType, parseEnvelope } from '../../formats/dsse.ts';
import type { Signature } from '../../formats/signature.ts';
import { parseStatement } from '../../formats/statement.ts';
import { type Certificate, parseCertificate } from '../../keys/certificates/certificate.ts';
import { fulcioIssuerOf } from '../../keys/certificates/extensions.ts';
import { parseAnnotatedEntry } from '../../witnesses/log-entry-verify.ts';
import { parseTimestampResponse } from '../../witnesses/timestamp-token.ts';
import type { SeenSignature } from './signature.ts';

type Untrusted = SeenSignature['untrusted'];
type Seen = Pick<SeenSignature, 'untrusted' | 'problem'>;

/** A bundle's own words. One that cannot be taken apart is a problem. */
export function untrustedBundle({ json }: Extract<Signature, { format: 'bundle' }>): Seen {
  const read = attempt(() => parseBundle(json));
  if (!read.ok) return { untrusted: { keyIds: [] }, problem: read.problem };
  const bundle = read.value;
  const { content } = bundle;
  const said =
    content.kind === 'dsse'
      ? statementWords(content.payloadType, content.payload)
      : messageWords(content.digest);
  return {
    untrusted: {
      keyIds: [],
      ...said,
      ...materialWords(bundle),
      ...(bundle.logEntries.length > 0 && { logEntry: true }),
      ...timeWord(
        'loggedAt',
        first(bundle.logEntries, ({ integratedTime }) => secondsOf(integratedTime)),
      ),
      ...timeWord('timestampedAt', first(bundle.timestamps, timestampTime)),
    },
  };
}

/** An old attestation's: the envelope's, and what its annotations prove. */
export function untrustedAttestation({
  envelope,
  annotations,
}: Extract<Signature, { format: 'attestation' }>): Seen {
  const read = attempt(() => parseEnvelope(envelope));
  const proof = readUntrustedCosign({
    format: 'cosign',
    mediaType: cosignMediaType,
    payload: new Uint8Array(),
    annotations,
  });
  const { subjects = [], issuer } = proof;
  const untrusted: Untrusted = {
    keyIds: [],
    ...(read.ok && statementWords(read.value.payloadType, read.value.payload)),
    ...(proof.hasCertificate && { certificate: { subjects, ...(issuer !== undefined && { issuer }) } }),
    ...annotatedTimes(annotations),
  };
  return read.ok ? { untrusted } : { untrusted, problem: read.problem };
}

/** When a log and a timestamp authority are said to have seen it, by the annotations of a `.sig` or `.att` layer. */
export function annotatedTimes(
  annotations: Readonly<Record<string, string>>,
): Pick<Untrusted, 'logEntry' | 'loggedAt' | 'timestampedAt'> {
  const entry = annotations[cosignAnnotations.bundle];
  const logged = attempt(() => parseAnnotatedEntry(entry ?? ''));
  const stamp = /"SignedRFC3161Timestamp"\s*:\s*"([^"]*)"/.exec(
    annotations[cosignAnnotations.timestamp] ?? '',
  );
  const response = decodeBase64(stamp?.[1] ?? '');
  return {
    ...(entry !== undefined && { logEntry: true }),
    ...timeWord('loggedAt', logged.ok ? secondsOf(logged.value.integratedTime) : undefined),
    ...timeWord('timestampedAt', response === undefined ? undefined : timestampTime(response)),
  };
}

/** A Notary signature's payload and signing time (its specification, signature-envelope-jws.md); of COSE nothing is read. */
export function untrustedNotary({ mediaType, envelope }: Extract<Signature, { format: 'notary' }>): Seen {
  const jws = mediaType === 'application/jose+json' ? objectOf(textOf(envelope)) : undefined;
  const payload = objectOf(base64Url(jws?.['payload']));
  const target = payload?.['targetArtifact'];
  const named = isObject(target) ? target['digest'] : undefined;
  const digest = typeof named === 'string' ? tryParseDigest(named) : undefined;
  const time = objectOf(base64Url(jws?.['protected']))?.['io.cncf.notary.signingTime'];
  const created = typeof time === 'string' ? Date.parse(time) : undefined;
  return {
    untrusted: {
      keyIds: [],
      ...timeWord('created', created),
      ...(digest !== undefined && { digest }),
    },
  };
}

function statementWords(payloadType: string, payload: Uint8Array): Partial<Untrusted> {
  if (payloadType !== inTotoPayloadType) return { mediaType: payloadType };
  const read = attempt(() => parseStatement(payload));
  if (!read.ok) return {};
  const { predicateType, subjects } = read.value;
  const digest = first(subjects, ({ digests }) => {
    const hex = digests.get('sha256');
    return hex === undefined ? undefined : tryParseDigest(`sha256:${hex}`);
  });
  return { predicateType, ...(digest !== undefined && { digest }) };
}

function messageWords(said: { readonly algorithm: string; readonly value: Uint8Array } | undefined): {
  readonly digest?: Digest;
} {
  const digest =
    said === undefined ? undefined : tryParseDigest(`${said.algorithm}:${hexOfBytes(said.value)}`);
  return digest === undefined ? {} : { digest };
}

function materialWords({ material }: UntrustedBundle): Partial<Untrusted> {
  if (material.kind === 'public-key') {
    const bytes = decodeBase64(material.hint);
    // by custom the base64 of a SHA-256; then it reads like the key IDs shown elsewhere
    return { keyHint: bytes?.length === 32 ? hexOfBytes(bytes) : material.hint };
  }
  const [der] = material.certificates;
  const read = attempt(() => parseCertificate(der));
  return { certificate: read.ok ? namesOf(read.value) : { subjects: [] } };
}

function namesOf({ extensions }: Certificate): NonNullable<Untrusted['certificate']> {
  const { emails, uris, dnsNames } = extensions.names;
  const issuer = attempt(() => fulcioIssuerOf(extensions));
  return { subjects: [...emails, ...uris, ...dnsNames], ...(issuer.ok && { issuer: issuer.value }) };
}

function timestampTime(response: Uint8Array): number | undefined {
  const read = attempt(() => parseTimestampResponse(response).info.time);
  return read.ok ? read.value : undefined;
}

function secondsOf(seconds: bigint | undefined): number | undefined {
  return seconds === undefined || seconds <= 0n ? undefined : Number(seconds) * 1000;
}

/** Nothing for what no calendar has: a signer may write any number. */
function timeWord<K extends string>(
  name: K,
  milliseconds: number | undefined,
): { readonly [name in K]?: string } {
  const time = new Date(milliseconds ?? Number.NaN);
  return Number.isNaN(time.getTime())
    ? {}
    : ({ [name]: time.toISOString() } as { readonly [name in K]: string });
}

function first<T, R>(items: readonly T[], map: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = map(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

type Attempt<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: NonNullable<SeenSignature['problem']> };

function attempt<T>(read: () => T): Attempt<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { ok: false, problem: { code: error.code, message: error.message } };
  }
}

function base64Url(value: unknown): string | undefined {
  return typeof value === 'string' ? Buffer.from(value, 'base64url').toString('utf8') : undefined;
}

function objectOf(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

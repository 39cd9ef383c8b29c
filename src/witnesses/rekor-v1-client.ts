/** A new entry in a Rekor v1 log (its OpenAPI: POST /api/v1/log/entries). */
import { encodeBase64, hexOfBytes } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import { encodePem } from '../keys/sigstore/pem.ts';
import { checkLogAnswer } from './check-log-answer.ts';
import { parseRekorV1Answer } from './log-answer.ts';
import type { UntrustedLogEntry } from './log-entry.ts';
import type { LoggedArtifact, LoggedContent } from './logged-artifact.ts';
import { callService, invalidAnswer, jsonBody, methodUrl, type ServiceOptions } from './ask-witness.ts';

/**
 * Has an entry made: `hashedrekord` 0.0.1 for a message, `dsse` 0.0.1 for an envelope, as cosign does. An entry that is there
 * already (409) is read and does as well, if it is the same.
 * @param base the log's URL, without /api/v1
 * @param artifact for a message its bytes, or the digest (sha256, sha384, sha512) that was signed
 * @returns an entry with SET and inclusion proof, about that very artifact; verified only where roots are given
 * @throws BullaError `log.failed`, `log.refused`, `log.rate-limited`, `log.answer-invalid`, `usage.invalid` (the URL), `io.offline`
 */
export async function logInRekorV1(
  base: string,
  artifact: LoggedArtifact,
  options: ServiceOptions,
): Promise<UntrustedLogEntry> {
  const url = methodUrl(base, 'api/v1/log/entries');
  const request = entryOf(artifact);
  const call = { kind: 'log', url, ...jsonBody(request) } as const;
  const answer = await callService({ ...call, statuses: [409] }, options);
  const fault = (why: string): BullaError => invalidAnswer('log', url, why);
  const bytes =
    answer.status === 409 ? await readExisting(url, answer.headers['location'], options) : answer.body;
  const sent = { artifact, kind: request.kind, version: '0.0.1' };
  return checkLogAnswer(parseRekorV1Answer(bytes, fault), sent, options.roots, fault);
}

/** The entry that a 409 names: on the same server, or it is not asked for. */
async function readExisting(
  url: URL,
  location: string | undefined,
  options: ServiceOptions,
): Promise<Uint8Array> {
  const there = location === undefined ? null : URL.parse(location, url);
  if (there === null || there.origin !== url.origin || there.username !== '' || there.password !== '') {
    throw invalidAnswer('log', url, 'it has the entry already, and does not say where on this server');
  }
  const answer = await callService(
    { kind: 'log', method: 'GET', url: there, headers: { accept: 'application/json' } },
    options,
  );
  return answer.body;
}

type ProposedEntry = {
  readonly apiVersion: '0.0.1';
  readonly kind: 'hashedrekord' | 'dsse';
  readonly spec: unknown;
};

function entryOf({ signer, signature, content }: LoggedArtifact): ProposedEntry {
  const pem =
    signer.kind === 'key'
      ? encodePem('PUBLIC KEY', signer.key.spki)
      : encodePem('CERTIFICATE', signer.certificate.der);
  const verifier = encodeBase64(pem);
  if (content.kind === 'message') {
    const signed = { content: encodeBase64(signature), publicKey: { content: verifier } };
    return {
      apiVersion: '0.0.1',
      kind: 'hashedrekord',
      spec: { data: { hash: hashOf(content) }, signature: signed },
    };
  }
  // the envelope is text here, and hashed as it stands
  const envelope = JSON.stringify({
    payload: encodeBase64(content.payload),
    payloadType: content.payloadType,
    signatures: [{ sig: encodeBase64(signature) }],
  });
  return {
    apiVersion: '0.0.1',
    kind: 'dsse',
    spec: { proposedContent: { envelope, verifiers: [verifier] } },
  };
}

type Hash = { readonly algorithm: string; readonly value: string };

function hashOf({ message, digest }: Extract<LoggedContent, { kind: 'message' }>): Hash {
  if (digest !== undefined) return { algorithm: digest.algorithm, value: hexOfBytes(digest.value) };
  if (message === undefined) throw new BullaError('internal.bug', 'a log entry of nothing');
  return { algorithm: 'sha256', value: crypto.createHash('sha256').update(message).digest('hex') };
}

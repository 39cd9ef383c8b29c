/** A new timestamp of a signature (RFC 3161, over HTTP by its section 3.4). */
import { bytesEqual, printable } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import { DerReader, onlyElement, tags } from '../keys/certificates/der.ts';
import { encodeDer } from '../keys/certificates/der-write.ts';
import { callService, invalidAnswer, methodUrl, type ServiceOptions } from './ask-witness.ts';
import { parseTimestampResponse } from './timestamp-token.ts';
import { verifyTimestamp } from './timestamp.ts';

/**
 * Has a signature's bytes timestamped: SHA-256, with a nonce, the authority's certificate asked for.
 * @param address the authority's whole URL
 * @returns the TimeStampResp, DER: granted, of that signature, an answer to this very request; verified only
 *   where roots are given
 * @throws BullaError `timestamp.failed`, `timestamp.refused`, `timestamp.rate-limited`, `timestamp.answer-invalid`,
 *   `usage.invalid` (the URL), `io.offline`
 */
export async function requestTimestamp(
  address: string,
  signature: Uint8Array,
  options: ServiceOptions,
): Promise<Uint8Array> {
  const url = methodUrl(address, '');
  const digest = new Uint8Array(crypto.createHash('sha256').update(signature).digest());
  const nonce = makeNonce();
  const { body } = await callService(
    {
      kind: 'timestamp',
      url,
      headers: { 'content-type': 'application/timestamp-query', accept: 'application/timestamp-reply' },
      body: encodeQuery(digest, nonce),
    },
    options,
  );
  const fault = (why: string): BullaError => invalidAnswer('timestamp', url, why);
  checkReply(body, { digest, nonce }, fault);
  if (options.roots === undefined || options.roots.length === 0) return body;
  const authorities = options.roots.flatMap((root) => root.timestampAuthorities);
  const result = verifyTimestamp(body, signature, authorities);
  if (!result.ok) throw fault(result.message);
  return body;
}

const sha256Algorithm = Uint8Array.from([
  0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
]);
const sha256Oid = '2.16.840.1.101.3.4.2.1';

/** 63 random bits: a positive number whose first byte is not 0, so that its DER is its bytes. */
function makeNonce(): Uint8Array {
  const nonce = new Uint8Array(crypto.randomBytes(8));
  nonce[0] = ((nonce[0] ?? 0) & 0x3f) | 0x40;
  return nonce;
}

/** TimeStampReq (RFC 3161 section 2.4.1). */
function encodeQuery(digest: Uint8Array, nonce: Uint8Array): Uint8Array {
  const imprint = encodeDer(tags.sequence, sha256Algorithm, encodeDer(tags.octetString, digest));
  const version = encodeDer(tags.integer, Uint8Array.of(1));
  const certReq = encodeDer(tags.boolean, Uint8Array.of(0xff));
  return encodeDer(tags.sequence, version, imprint, encodeDer(tags.integer, nonce), certReq);
}

type Query = { readonly digest: Uint8Array; readonly nonce: Uint8Array };

/** That the answer is granted and is one to the query; whose it is, is for verifyTimestamp. */
function checkReply(body: Uint8Array, query: Query, fault: (why: string) => BullaError): void {
  try {
    const refusal = refusalIn(body);
    if (refusal !== undefined) {
      throw new BullaError('timestamp.refused', `the timestamp authority does not grant it: ${refusal}`, {
        hint: 'nothing was stored; ask its operator, or name another one',
      });
    }
    const { imprint, nonce } = parseTimestampResponse(body).info;
    if (imprint.algorithm !== sha256Oid || !bytesEqual(imprint.digest, query.digest)) {
      throw fault('it is of something else');
    }
    if (nonce === undefined || !bytesEqual(nonce, query.nonce))
      throw fault('it is an answer to another request');
  } catch (error) {
    if (isBullaError(error, 'signature.certificate-invalid')) throw fault('it is no timestamp');
    if (isBullaError(error, 'signature.timestamp-invalid')) throw fault(error.message);
    throw error;
  }
}

/** PKIStatusInfo (RFC 3161 section 2.4.2), where it is neither "granted" nor "granted with modifications". */
function refusalIn(body: Uint8Array): string | undefined {
  const status = new DerReader(onlyElement(body, tags.sequence).content).inside(tags.sequence);
  const [number = 0xff, ...rest] = status.next(tags.integer).content;
  if (number <= 1 && rest.length === 0) return undefined;
  const texts = status.optional(tags.sequence);
  const text = texts === undefined ? undefined : new DerReader(texts.content).optional(tags.utf8String);
  return text === undefined ? `status ${number}` : printable(Buffer.from(text.content).toString('utf8'));
}

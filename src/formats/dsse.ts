/** The DSSE envelope (secure-systems-lab/dsse, envelope.md): a payload with its type, and a signature of both. */
import { encodeBase64, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { JsonValue } from '../base/json.ts';
import { limits } from '../base/limits.ts';
import { bytesOf, listOf, malformed, messageOf, readMessageText, stringOf } from './proto-json.ts';

export { paeOf } from '../base/pae.ts';

/** The type of an in-toto statement. */
export const inTotoPayloadType = 'application/vnd.in-toto+json';

export type Envelope = {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
};

/**
 * Reads an envelope as a `.att` layer holds it. Exactly one signature: of several nobody could say which one counts.
 * @throws BullaError `signature.malformed`, `signature.too-large`, `signature.unsupported` for several signatures
 */
export function parseEnvelope(json: Uint8Array): Envelope {
  if (json.length > limits.bundleBytes) {
    throw new BullaError('signature.too-large', `the envelope has more than ${limits.bundleBytes} bytes`);
  }
  return envelopeOf(readMessageText(json, 'envelope'));
}

/** The same from JSON that was parsed already. @throws BullaError `signature.malformed`, `signature.unsupported` */
export function envelopeOf(value: JsonValue | undefined): Envelope {
  const envelope = messageOf(value, 'envelope', ['payload', 'payloadType', 'signatures']);
  const payloadType = stringOf(envelope.get('payloadType'), 'payload type');
  if (payloadType === '') throw malformed('envelope', 'it has no payload type');
  const payload = bytesOf(envelope.get('payload'), 'payload');
  const [first, ...others] = listOf(envelope.get('signatures'), 'list of signatures', 1000);
  if (others.length > 0) {
    throw new BullaError('signature.unsupported', 'the envelope has several signatures, and one is read');
  }
  const one = messageOf(first, 'signature', ['sig', 'keyid']);
  // a hint that vouches for nothing; it must be a text all the same
  stringOf(one.get('keyid'), 'key ID');
  const signature = bytesOf(one.get('sig'), 'signature');
  if (signature.length === 0) throw malformed('signature', 'it is empty');
  return { payloadType, payload, signature };
}

/** An envelope as cosign's `.att` layers hold it: compact JSON, no key ID (cosign would pass over the signature for it). */
export function encodeDsse(envelope: Envelope): Uint8Array {
  return utf8(JSON.stringify(envelopeJson(envelope)));
}

/** The members of an envelope, in the order of cosign's bundles. */
export function envelopeJson({ payloadType, payload, signature }: Envelope): object {
  return {
    payload: encodeBase64(payload),
    payloadType,
    signatures: [{ sig: encodeBase64(signature) }],
  };
}

/**
 * Rekor's signed entry timestamp, as attachments carry it (`dev.sigstore.cosign/bundle`): the log's
 * promise that it has taken in an entry, and when. Judged exactly as containers/image does: offline,
 * by the keys of the policy; that the entry is in the tree is not asked.
 */
import { bytesEqual, hexOfBytes, textOf, utf8 } from '../base/bytes.ts';
import { BullaError, type ErrorCode, isBullaError } from '../base/errors.ts';
import type { JsonValue } from '../base/json.ts';
import { crypto } from '../base/node.ts';
import { wholePem } from '../keys/certificates/pem.ts';
import {
  parseSigstorePublicKey,
  type SigstorePublicKey,
  verifySigstoreSignature,
} from '../keys/sigstore/public-key.ts';
import { canonicalJson } from './canonical-json.ts';
import {
  base64Of,
  exactMembers,
  int64Of,
  invalid,
  onceMembers,
  readJson,
  stringOf,
  valueOf,
} from './entry-members.ts';

/** What the entry has to be about. */
export type LoggedSignature = {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** DER of the public keys (SubjectPublicKeyInfo), or of the certificate, any of which may be the entry's. */
  readonly signers: readonly Uint8Array[];
};

export type RekorResult =
  | {
      readonly ok: true;
      /** When the log took it in, in seconds since 1970. */
      readonly integratedTime: number;
      /** The index of the entry's signer among those that were given: nobody else's signature is logged. */
      readonly signer: number;
    }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/**
 * A Rekor key of a policy: the first PEM block, which must be an ECDSA key.
 * @throws BullaError `key.malformed`, `key.none`, `key.unusable`
 */
export function parseRekorKey(pem: Uint8Array): SigstorePublicKey {
  const key = parseSigstorePublicKey(pem);
  if (key.algorithm === 'ecdsa') return key;
  throw new BullaError('key.unusable', `a Rekor key must be an ECDSA key, this is one of ${key.algorithm}`);
}

/**
 * Verifies a timestamp: signed by one of the keys, for an entry (hashedrekord 0.0.1) with that very
 * signer, signature and payload. A refusal has the code `signature.log-entry-invalid`.
 * @param text the annotation
 * @param keys of parseRekorKey
 */
export function verifyRekorSet(
  text: string,
  logged: LoggedSignature,
  keys: readonly SigstorePublicKey[],
): RekorResult {
  try {
    const { set, payload } = parseSet(text);
    const canonical = canonicalJson(payload);
    if (canonical === undefined) throw invalid('its payload has no canonical form');
    const bytes = utf8(canonical);
    if (!keys.some((key) => verifySigstoreSignature(key, bytes, set))) {
      throw invalid('it is not signed by a Rekor key that is trusted here');
    }
    // what was signed is read, not what was delivered
    const { body, integratedTime } = parseEntry(canonical);
    return { ok: true, integratedTime, signer: matchBody(body, logged) };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { ok: false, code: 'signature.log-entry-invalid', message: error.message };
  }
}

function parseSet(text: string): { readonly set: Uint8Array; readonly payload: JsonValue } {
  const members = exactMembers(readJson(text), ['SignedEntryTimestamp', 'Payload']);
  return {
    set: base64Of(members.get('SignedEntryTimestamp'), 'SignedEntryTimestamp'),
    payload: valueOf(members, 'Payload'),
  };
}

function parseEntry(canonical: string): { readonly body: Uint8Array; readonly integratedTime: number } {
  const members = exactMembers(readJson(canonical), ['body', 'integratedTime', 'logIndex', 'logID']);
  int64Of(members.get('logIndex'), 'logIndex');
  stringOf(members.get('logID'), 'logID');
  return {
    body: base64Of(members.get('body'), 'body'),
    integratedTime: int64Of(members.get('integratedTime'), 'integratedTime'),
  };
}

/** The log's entry: unknown members are passed over, as the log may come to know more. Gives the signer's index. */
function matchBody(body: Uint8Array, { payload, signature, signers }: LoggedSignature): number {
  const entry = onceMembers(readJson(textOf(body) ?? ''));
  const kind = stringOf(entry.get('kind'), 'kind');
  const version = stringOf(entry.get('apiVersion'), 'apiVersion');
  if (kind !== 'hashedrekord' || version !== '0.0.1') throw invalid('its entry is no hashedrekord 0.0.1');
  const spec = onceMembers(valueOf(entry, 'spec'));
  const logged = onceMembers(valueOf(spec, 'signature'));
  const publicKey = onceMembers(valueOf(logged, 'publicKey'));
  const pem = wholePem(base64Of(publicKey.get('content'), 'publicKey.content'));
  const [block] = pem?.blocks ?? [];
  if (block === undefined || pem?.blocks.length !== 1 || !pem.ended) {
    throw invalid('its public key is not one PEM block and nothing else');
  }
  const signer = signers.findIndex((each) => bytesEqual(each, block.bytes));
  if (signer < 0) throw invalid('its entry is about another signer');
  if (!bytesEqual(base64Of(logged.get('content'), 'signature.content'), signature)) {
    throw invalid('its entry is about another signature');
  }
  const hash = onceMembers(valueOf(onceMembers(valueOf(spec, 'data')), 'hash'));
  if (stringOf(hash.get('algorithm'), 'hash.algorithm') !== 'sha256') throw invalid('its hash is no sha256');
  const digest = crypto.createHash('sha256').update(payload).digest();
  if (stringOf(hash.get('value'), 'hash.value').toLowerCase() !== hexOfBytes(digest)) {
    throw invalid('its entry is about another payload');
  }
  return signer;
}

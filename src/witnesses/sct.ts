/**
 * Signed certificate timestamps inside a certificate (RFC 6962 section 3): a certificate log's promise to hold it. What the log
 * signed is the certificate before the promises were put in.
 */
import { bytesEqual, concatBytes } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import type { Certificate } from '../keys/certificates/certificate.ts';
import { encodeDer } from '../keys/certificates/der-write.ts';
import { derError, DerReader, oidOf, onlyElement, tags } from '../keys/certificates/der.ts';
import type { TransparencyLog } from '../keys/trusted-root/trusted-root.ts';
import type { Fault } from './fault.ts';

/** The extension that holds the list (RFC 6962 section 3.3). */
const listOid = '1.3.6.1.4.1.11129.2.4.2';

/** A certificate carries one to three. */
const mostTimestamps = 16;

/**
 * Whether at least one certificate log that was trusted at the time of its promise has promised to hold the leaf.
 * @param issuer the certificate that signed the leaf
 * @returns a fault has the code `signature.sct-missing` or `signature.sct-invalid`
 */
export function verifySct(
  leaf: Certificate,
  issuer: Certificate,
  logs: readonly TransparencyLog[],
): { readonly ok: true } | Fault {
  const list = leaf.extensions.all.find(({ oid }) => oid === listOid);
  if (list === undefined) {
    return { ok: false, code: 'signature.sct-missing', message: 'the certificate is in no certificate log' };
  }
  try {
    const timestamps = parseList(onlyElement(list.value, tags.octetString).content);
    const message = signedPart(leaf, issuer);
    if (timestamps.some((each) => logs.some((log) => holds(each, message, log)))) return { ok: true };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return fault(error.message);
  }
  return fault('no certificate log that is trusted here has promised to hold the certificate');
}

type Timestamp = {
  readonly logId: Uint8Array;
  /** Milliseconds since 1970. */
  readonly time: bigint;
  readonly extensions: Uint8Array;
  readonly hash: number;
  readonly algorithm: number;
  readonly signature: Uint8Array;
};

/** Lengths of two bytes before each part (RFC 5246 section 4.3). */
function parseList(bytes: Uint8Array): readonly Timestamp[] {
  const outer = new TlsReader(bytes);
  const list = new TlsReader(outer.vector());
  outer.end();
  const found: Timestamp[] = [];
  while (!list.atEnd) {
    const timestamp = parseTimestamp(list.vector());
    if (timestamp !== undefined) found.push(timestamp);
    if (found.length > mostTimestamps) throw derError('too many timestamps of certificate logs');
  }
  return found;
}

/** Undefined for a version that is not known: it is for others to read. */
function parseTimestamp(bytes: Uint8Array): Timestamp | undefined {
  const reader = new TlsReader(bytes);
  if (reader.number(1) !== 0) return undefined;
  const logId = reader.take(32);
  const time = Buffer.from(reader.take(8)).readBigUInt64BE();
  const extensions = reader.vector();
  const [hash, algorithm] = [reader.number(1), reader.number(1)];
  const signature = reader.vector();
  reader.end();
  return { logId, time, extensions, hash, algorithm, signature };
}

/** SHA-256 with ECDSA or RSA: what RFC 6962 section 2.1.4 allows. */
const algorithms: Readonly<Record<string, number>> = { rsa: 1, ecdsa: 3 };

function holds(
  timestamp: Timestamp,
  certificate: Uint8Array,
  { key, logId, validFor }: TransparencyLog,
): boolean {
  const { time, extensions, hash, algorithm, signature } = timestamp;
  if (!bytesEqual(timestamp.logId, logId) || hash !== 4 || algorithms[key.algorithm] !== algorithm)
    return false;
  const moment = Number(time);
  if (!(moment >= validFor.start && moment <= (validFor.end ?? Number.POSITIVE_INFINITY))) return false;
  const head = Buffer.alloc(12);
  // version 1, certificate timestamp; entry type 1: before the promises were put in
  head.writeBigUInt64BE(time, 2);
  head.writeUInt16BE(1, 10);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(extensions.length);
  try {
    return crypto.verify('sha256', concatBytes(head, certificate, length, extensions), key.key, signature);
  } catch {
    return false;
  }
}

/** The hash of the issuer's key, and the certificate's signed part without the list, its length before it. */
function signedPart(leaf: Certificate, issuer: Certificate): Uint8Array {
  const keyHash = crypto.createHash('sha256').update(issuer.spki).digest();
  const part = withoutList(leaf.signedPart);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(part.length);
  return concatBytes(keyHash, length.subarray(1), part);
}

function withoutList(signed: Uint8Array): Uint8Array {
  const reader = new DerReader(onlyElement(signed, tags.sequence).content);
  const parts: Uint8Array[] = [];
  while (!reader.atEnd) {
    const { tag, whole, content } = reader.next();
    parts.push(tag === 0xa3 ? extensionsWithoutList(content) : whole);
  }
  return encodeDer(tags.sequence, ...parts);
}

function extensionsWithoutList(content: Uint8Array): Uint8Array {
  const reader = new DerReader(onlyElement(content, tags.sequence).content);
  const kept: Uint8Array[] = [];
  while (!reader.atEnd) {
    const { whole, content: extension } = reader.next(tags.sequence);
    if (oidOf(new DerReader(extension).next(tags.oid)) !== listOid) kept.push(whole);
  }
  // RFC 5280 section 4.1: the field is not there where it would be empty
  return kept.length === 0 ? new Uint8Array() : encodeDer(0xa3, encodeDer(tags.sequence, ...kept));
}

/** Reads TLS's presentation language. A class only because the position is state. */
class TlsReader {
  #at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  take(count: number): Uint8Array {
    if (count > this.#bytes.length - this.#at)
      throw derError('the timestamps of certificate logs end too early');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  number(size: number): number {
    return this.take(size).reduce((sum, byte) => sum * 0x100 + byte, 0);
  }

  /** Bytes with their length in two bytes before them. */
  vector(): Uint8Array {
    return this.take(this.number(2));
  }

  end(): void {
    if (!this.atEnd) throw derError('something follows the timestamps of certificate logs');
  }
}

function fault(message: string): Fault {
  return { ok: false, code: 'signature.sct-invalid', message };
}

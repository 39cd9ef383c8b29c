/** Transparency logs for bundle-forge.ts: real Merkle trees, checkpoints and signed timestamps. */
import { concatBytes, encodeBase64, hexOfBytes, utf8 } from '../../src/base/bytes.ts';
import { crypto } from '../../src/base/node.ts';
import { leafHash, nodeHash } from '../../src/witnesses/merkle.ts';
import { type KeyPair, signBytes, spkiOf } from './sigstore-forge.ts';

/** A log: its leaves grow with every entry. */
export type ForgedLog = {
  readonly version: 1 | 2;
  readonly key: KeyPair;
  readonly host: string;
  /** As entries and trusted roots name it. */
  readonly logId: Uint8Array;
  /** The first line of its checkpoints. */
  readonly origin: string;
  readonly entries: Uint8Array[];
};

/** A log with five entries that are nobody's. */
export function forgeLog(version: 1 | 2, host: string, key: KeyPair): ForgedLog {
  const raw = spkiOf(key).subarray(-32);
  const signed = version === 1 ? spkiOf(key) : concatBytes(utf8(`${host}\n`), Uint8Array.of(1), raw);
  return {
    version,
    key,
    host,
    logId: sha256(signed),
    origin: version === 1 ? `${host} - 4711` : host,
    entries: ['a', 'b', 'c', 'd', 'e'].map(utf8),
  };
}

export type EntryOptions = {
  /** Seconds since 1970; v1 alone. */
  readonly time: number;
  /** Default true; v1 alone. */
  readonly set?: boolean;
  /** Default true. */
  readonly proof?: boolean;
  /** Entries that came after it and are in the checkpoint's tree; default 2. */
  readonly later?: number;
  /** What is changed in the text before it is signed. */
  readonly checkpointText?: (text: string) => string;
  /** What is changed in the whole note after it was signed. */
  readonly note?: (note: string) => string;
};

/** Takes in an entry: the TransparencyLogEntry in proto3 JSON. */
export function addEntry(
  log: ForgedLog,
  body: { readonly kind: string; readonly apiVersion: string; readonly spec: unknown },
  options: EntryOptions,
): Record<string, unknown> {
  const bytes = utf8(JSON.stringify(sorted(body)));
  const index = log.entries.length;
  const later = Array.from({ length: options.later ?? 2 }, (_, each) => utf8(`later ${index} ${each}`));
  log.entries.push(bytes, ...later);
  // v1 counts over all of its trees; this one is said to be the second
  const logIndex = log.version === 1 ? index + 1000 : index;
  return {
    logIndex: String(logIndex),
    logId: { keyId: encodeBase64(log.logId) },
    kindVersion: { kind: body.kind, version: body.apiVersion },
    ...(log.version === 1 && { integratedTime: String(options.time) }),
    ...(log.version === 1 &&
      options.set !== false && { inclusionPromise: promise(log, bytes, options, logIndex) }),
    ...(options.proof !== false && { inclusionProof: proof(log, index, options) }),
    canonicalizedBody: encodeBase64(bytes),
  };
}

function promise(log: ForgedLog, body: Uint8Array, { time }: EntryOptions, logIndex: number): object {
  const text = JSON.stringify({
    body: encodeBase64(body),
    integratedTime: time,
    logID: hexOfBytes(log.logId),
    logIndex,
  });
  return { signedEntryTimestamp: encodeBase64(signBytes(log.key, utf8(text))) };
}

function proof(log: ForgedLog, index: number, options: EntryOptions): object {
  const leaves = log.entries.map(leafHash);
  const root = treeHash(leaves);
  const hashes = path(index, leaves);
  return {
    logIndex: String(index),
    rootHash: encodeBase64(root),
    treeSize: String(leaves.length),
    hashes: hashes.map(encodeBase64),
    checkpoint: { envelope: forgeCheckpoint(log, leaves.length, root, options) },
  };
}

/** A checkpoint that the log signs. */
export function forgeCheckpoint(
  log: ForgedLog,
  size: number,
  root: Uint8Array,
  { checkpointText = same, note = same }: Partial<EntryOptions> = {},
): string {
  const text = checkpointText(`${log.origin}\n${size}\n${encodeBase64(root)}\n`);
  return note(`${text}\n${signatureLine(log.host, log.logId, log.key, text)}`);
}

/** One signature of a note. */
export function signatureLine(name: string, keyId: Uint8Array, key: KeyPair, text: string): string {
  const signature = concatBytes(keyId.subarray(0, 4), signBytes(key, utf8(text)));
  return `\u2014 ${name} ${encodeBase64(signature)}\n`;
}

/** RFC 9162 section 2.1.1, by its own words. */
export function treeHash(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves;
  if (only === undefined) return sha256(new Uint8Array());
  if (leaves.length === 1) return only;
  const split = splitOf(leaves.length);
  return nodeHash(treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split)));
}

/** RFC 9162 section 2.1.3.1. */
export function path(index: number, leaves: readonly Uint8Array[]): readonly Uint8Array[] {
  if (leaves.length <= 1) return [];
  const split = splitOf(leaves.length);
  return index < split
    ? [...path(index, leaves.slice(0, split)), treeHash(leaves.slice(split))]
    : [...path(index - split, leaves.slice(split)), treeHash(leaves.slice(0, split))];
}

/** The largest power of two below a number. */
function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

/** Members in the order of the canonical form. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sorted(each)]));
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(crypto.createHash('sha256').update(bytes).digest());
}

function same<T>(value: T): T {
  return value;
}

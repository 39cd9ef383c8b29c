/** Reading a bundle, as strictly as sigstore-go and a little more. */
import { hexOfBytes } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { JsonValue } from '../base/json.ts';
import { limits } from '../base/limits.ts';
import type { UntrustedInclusionProof, UntrustedLogEntry } from '../witnesses/log-entry.ts';
import type { BundleContent, BundleVersion, UntrustedBundle, UntrustedMaterial } from './bundle.ts';
import { envelopeOf } from './dsse.ts';
import {
  bytesOf,
  countOf,
  listOf,
  malformed,
  type Message,
  messageOf,
  readMessageText,
  stringOf,
} from './proto-json.ts';

/** Both spellings of each version (sigstore_bundle.proto, Bundle.media_type). */
const versions: ReadonlyMap<string, BundleVersion> = new Map(
  (['0.1', '0.2', '0.3'] as const).flatMap((version) => [
    [`application/vnd.dev.sigstore.bundle+json;version=${version}`, version],
    [`application/vnd.dev.sigstore.bundle.v${version}+json`, version],
  ]),
);

/** Whether a media type is that of a bundle which can be read here. */
export function isBundleMediaType(text: string): boolean {
  return versions.has(text);
}

/**
 * Takes a bundle apart; nothing of it is verified.
 * @throws BullaError `signature.malformed`, `signature.too-large`, `signature.unsupported`
 */
export function parseBundle(json: Uint8Array): UntrustedBundle {
  if (json.length > limits.bundleBytes) {
    throw new BullaError('signature.too-large', `the bundle has more than ${limits.bundleBytes} bytes`);
  }
  const members = ['mediaType', 'verificationMaterial', 'messageSignature', 'dsseEnvelope'];
  const bundle = messageOf(readMessageText(json, 'bundle'), 'bundle', members);
  const version = versionOf(stringOf(bundle.get('mediaType'), 'media type'));
  const material = messageOf(bundle.get('verificationMaterial'), 'verification material', [
    'publicKey',
    'x509CertificateChain',
    'certificate',
    'tlogEntries',
    'timestampVerificationData',
  ]);
  const logEntries = listOf(material.get('tlogEntries'), 'list of log entries', limits.bundleWitnesses);
  return {
    version,
    material: materialOf(material, version),
    content: contentOf(bundle),
    logEntries: onceEach(logEntries.map((entry) => logEntryOf(entry, version))),
    timestamps: timestampsOf(material.get('timestampVerificationData')),
  };
}

function versionOf(mediaType: string): BundleVersion {
  const version = versions.get(mediaType);
  if (version !== undefined) return version;
  if (mediaType === '') throw malformed('bundle', 'it has no media type');
  throw new BullaError('signature.unsupported', 'the bundle is of a version that is not read here', {
    hint: 'versions 0.1 to 0.3 are',
  });
}

/** Exactly one of the three; a chain up to version 0.2 alone (cosign takes a lone certificate of any version). */
function materialOf(material: Message, version: BundleVersion): UntrustedMaterial {
  const kinds = ['publicKey', 'x509CertificateChain', 'certificate'].filter((kind) => material.has(kind));
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    throw malformed('verification material', 'exactly one of key, certificate and chain must be there');
  }
  if (kind === 'publicKey') {
    const key = messageOf(material.get(kind), 'public key', ['hint']);
    return { kind: 'public-key', hint: stringOf(key.get('hint'), 'hint') };
  }
  if (kind === 'x509CertificateChain' && version === '0.3') {
    throw malformed('verification material', 'version 0.3 has one certificate and no chain');
  }
  if (kind === 'certificate')
    return { kind: 'certificates', certificates: [certificateOf(material.get(kind))] };
  const chain = messageOf(material.get(kind), 'chain', ['certificates']);
  const [leaf, ...others] = listOf(chain.get('certificates'), 'chain', 32).map(certificateOf);
  if (leaf === undefined) throw malformed('chain', 'it is empty');
  return { kind: 'certificates', certificates: [leaf, ...others] };
}

function certificateOf(value: JsonValue | undefined): Uint8Array {
  const bytes = bytesOf(messageOf(value, 'certificate', ['rawBytes']).get('rawBytes'), 'certificate');
  if (bytes.length === 0) throw malformed('certificate', 'it is empty');
  return bytes;
}

function contentOf(bundle: Message): BundleContent {
  const message = bundle.get('messageSignature');
  const envelope = bundle.get('dsseEnvelope');
  if ((message === undefined) === (envelope === undefined)) {
    throw malformed('bundle', 'exactly one of a message signature and an envelope must be there');
  }
  if (envelope !== undefined) return { kind: 'dsse', ...envelopeOf(envelope) };
  const members = messageOf(message, 'message signature', ['messageDigest', 'signature']);
  const signature = bytesOf(members.get('signature'), 'signature');
  if (signature.length === 0) throw malformed('signature', 'it is empty');
  const digest = members.get('messageDigest');
  return { kind: 'message', signature, ...(digest !== undefined && { digest: digestOf(digest) }) };
}

const hashes: ReadonlyMap<string, readonly [string, number]> = new Map([
  ['SHA2_256', ['sha256', 32]],
  ['SHA2_384', ['sha384', 48]],
  ['SHA2_512', ['sha512', 64]],
]);

function digestOf(value: JsonValue): { readonly algorithm: string; readonly value: Uint8Array } {
  const members = messageOf(value, 'message digest', ['algorithm', 'digest']);
  const [algorithm, length] = hashes.get(stringOf(members.get('algorithm'), 'hash algorithm')) ?? [];
  if (algorithm === undefined) {
    throw new BullaError(
      'signature.unsupported',
      'the message digest is of an algorithm that is not used here',
    );
  }
  const digest = bytesOf(members.get('digest'), 'message digest');
  if (digest.length !== length) throw malformed('message digest', `it is not ${length} bytes long`);
  return { algorithm, value: digest };
}

function timestampsOf(value: JsonValue | undefined): readonly Uint8Array[] {
  if (value === undefined) return [];
  const data = messageOf(value, 'timestamp data', ['rfc3161Timestamps']);
  const list = listOf(data.get('rfc3161Timestamps'), 'list of timestamps', limits.bundleWitnesses);
  return list.map((each) => {
    const members = messageOf(each, 'timestamp', ['signedTimestamp']);
    const bytes = bytesOf(members.get('signedTimestamp'), 'timestamp');
    if (bytes.length === 0) throw malformed('timestamp', 'it is empty');
    return bytes;
  });
}

/** One TransparencyLogEntry in proto3 JSON, as Rekor v2 answers with it too. Throws like parseBundle. */
export function parseLogEntry(json: Uint8Array): UntrustedLogEntry {
  return logEntryOf(readMessageText(json, 'log entry'));
}

function logEntryOf(value: JsonValue, bundleVersion?: BundleVersion): UntrustedLogEntry {
  const entry = messageOf(value, 'log entry', [
    'logIndex',
    'logId',
    'kindVersion',
    'integratedTime',
    'inclusionPromise',
    'inclusionProof',
    'canonicalizedBody',
  ]);
  const logId = bytesOf(messageOf(entry.get('logId'), 'log ID', ['keyId']).get('keyId'), 'log ID');
  const kindVersion = messageOf(entry.get('kindVersion'), 'kind of the log entry', ['kind', 'version']);
  const promise = entry.get('inclusionPromise');
  const proof = entry.get('inclusionProof');
  // as sigstore-go has it: 0.1 knew no proofs, later versions want them
  if (bundleVersion === '0.1' && promise === undefined)
    throw malformed('log entry', 'it has no signed timestamp');
  if (bundleVersion !== '0.1' && bundleVersion !== undefined && proof === undefined) {
    throw malformed('log entry', 'it has no inclusion proof');
  }
  const body = bytesOf(entry.get('canonicalizedBody'), 'body of the log entry');
  if (body.length === 0) throw malformed('log entry', 'it has no body');
  const integratedTime = countOf(entry.get('integratedTime'), 'integrated time');
  return {
    logIndex: countOf(entry.get('logIndex'), 'log index'),
    logId,
    kind: stringOf(kindVersion.get('kind'), 'kind of the log entry'),
    version: stringOf(kindVersion.get('version'), 'version of the log entry'),
    ...(integratedTime > 0n && { integratedTime }),
    ...(promise !== undefined && { signedEntryTimestamp: promiseOf(promise) }),
    ...(proof !== undefined && { inclusionProof: proofOf(proof) }),
    body,
  };
}

function promiseOf(value: JsonValue): Uint8Array {
  const promise = messageOf(value, 'inclusion promise', ['signedEntryTimestamp']);
  const bytes = bytesOf(promise.get('signedEntryTimestamp'), 'inclusion promise');
  if (bytes.length === 0) throw malformed('inclusion promise', 'it is empty');
  return bytes;
}

function proofOf(value: JsonValue): UntrustedInclusionProof {
  const proof = messageOf(value, 'inclusion proof', [
    'logIndex',
    'rootHash',
    'treeSize',
    'hashes',
    'checkpoint',
  ]);
  const checkpoint = messageOf(proof.get('checkpoint'), 'checkpoint', ['envelope']);
  const envelope = stringOf(checkpoint.get('envelope'), 'checkpoint');
  if (envelope === '') throw malformed('checkpoint', 'it is empty');
  return {
    logIndex: countOf(proof.get('logIndex'), 'index of the inclusion proof'),
    treeSize: countOf(proof.get('treeSize'), 'size of the tree'),
    rootHash: bytesOf(proof.get('rootHash'), 'root hash'),
    // a tree has no more than 2^63 leaves
    hashes: listOf(proof.get('hashes'), 'inclusion proof', 64).map((hash) => bytesOf(hash, 'hash')),
    checkpoint: envelope,
  };
}

/** An entry twice would count twice where several logs are asked for. */
function onceEach(entries: readonly UntrustedLogEntry[]): readonly UntrustedLogEntry[] {
  const names = new Set(entries.map(({ logId, logIndex }) => `${hexOfBytes(logId)} ${logIndex}`));
  if (names.size < entries.length) throw malformed('list of log entries', 'an entry is there twice');
  return entries;
}

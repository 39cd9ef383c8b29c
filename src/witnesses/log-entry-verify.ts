/**
 * Whether a log that is trusted has taken in an entry about an artifact, and when. Rekor v1: the signed entry timestamp and
 * the inclusion proof; one must be there, and whichever is there must hold. Rekor v2: the inclusion proof; it vouches for no time.
 */
import { bytesEqual, encodeBase64, hexOfBytes, utf8 } from '../base/bytes.ts';
import type { ErrorCode } from '../base/errors.ts';
import { isBullaError } from '../base/errors.ts';
import { verifySigstoreSignature } from '../keys/sigstore/public-key.ts';
import type { TransparencyLog } from '../keys/trusted-root/trusted-root.ts';
import { verifyCheckpoint } from './checkpoint.ts';
import { kindOfBody, matchEntryBody } from './entry-body.ts';
import { base64Of, exactMembers, int64Of, invalid, readJson, stringOf, valueOf } from './entry-members.ts';
import type { UntrustedInclusionProof, UntrustedLogEntry } from './log-entry.ts';
import type { LoggedArtifact } from './logged-artifact.ts';
import { isIncluded, leafHash } from './merkle.ts';

export type { LoggedArtifact, LoggedContent, LoggedSigner } from './logged-artifact.ts';

export type LogResult =
  | {
      readonly ok: true;
      readonly log: TransparencyLog;
      /** Milliseconds since 1970, by a verified signed entry timestamp alone, and within the log's validity. */
      readonly integratedTime?: number;
    }
  | {
      readonly ok: false;
      readonly code: ErrorCode;
      readonly message: string;
      /** By a log that nobody here knows: it says nothing, and another entry may do. */
      readonly unknownLog?: true;
    };

/**
 * Verifies an entry. A refusal has the code `signature.log-entry-invalid`. Where there is no `integratedTime` the caller judges
 * the log's validity (`log.validFor`, both ends inclusive) by the time that it trusts.
 */
export function verifyLogEntry(
  entry: UntrustedLogEntry,
  logged: LoggedArtifact,
  logs: readonly TransparencyLog[],
): LogResult {
  const known = logs.filter(({ logId }) => logId.length > 0 && bytesEqual(logId, entry.logId));
  let fault: LogResult = {
    ok: false,
    code: 'signature.log-entry-invalid',
    message: 'the log entry is of a log that is not trusted here',
    unknownLog: true,
  };
  // one log may be listed for several spans of time
  for (const [index, log] of known.entries()) {
    const result = verifyBy(log, entry, logged);
    if (result.ok) return result;
    if (index === 0) fault = result;
  }
  return fault;
}

function verifyBy(log: TransparencyLog, entry: UntrustedLogEntry, logged: LoggedArtifact): LogResult {
  try {
    const isTiled = entry.kind === 'hashedrekord' && entry.version === '0.0.2';
    const { signedEntryTimestamp: set, inclusionProof: proof } = entry;
    if (proof === undefined && (isTiled || set === undefined)) throw invalid('it has no inclusion proof');
    // Rekor v2 signs no timestamps, so one that stands there is another log's
    if (isTiled && set !== undefined) throw invalid('it has a signed timestamp, which its log does not give');
    matchEntryBody(entry.body, entry, logged);
    if (proof !== undefined) verifyInclusion(entry, proof, log, isTiled);
    if (set === undefined) return { ok: true, log };
    const integratedTime = verifySet(entry, set, log);
    const { start, end = Number.POSITIVE_INFINITY } = log.validFor;
    if (!(integratedTime >= start && integratedTime <= end))
      throw invalid('its log was not to be trusted then');
    return { ok: true, log, integratedTime };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { ok: false, code: 'signature.log-entry-invalid', message: error.message };
  }
}

/** The size and the root are the checkpoint's; what the proof itself says of them may not contradict it. */
function verifyInclusion(
  entry: UntrustedLogEntry,
  proof: UntrustedInclusionProof,
  log: TransparencyLog,
  isTiled: boolean,
): void {
  const { size, root } = verifyCheckpoint(proof.checkpoint, log);
  if (proof.rootHash.length > 0 && !bytesEqual(proof.rootHash, root))
    throw invalid('its proof is of another tree');
  if (proof.treeSize > 0n && proof.treeSize !== size)
    throw invalid('its proof is of another size of the tree');
  // Rekor v1 counts entries over all of its trees, v2 has one
  if (isTiled && proof.logIndex !== entry.logIndex) throw invalid('its proof is of another index');
  const { logIndex: index, hashes } = proof;
  if (!isIncluded({ leaf: leafHash(entry.body), index, size, hashes, root })) {
    throw invalid('the log does not hold it');
  }
}

/** Gives the time in milliseconds. What is signed is in the canonical form of RFC 8785. */
function verifySet(entry: UntrustedLogEntry, set: Uint8Array, log: TransparencyLog): number {
  const { body, integratedTime = 0n, logId, logIndex } = entry;
  // no log was there in 1970, and beyond 2^43 seconds Date has no day
  if (integratedTime <= 0n || integratedTime > 2n ** 43n) throw invalid('it has no time');
  const signed = `{"body":"${encodeBase64(body)}","integratedTime":${integratedTime},"logID":"${hexOfBytes(logId)}","logIndex":${logIndex}}`;
  if (!verifySigstoreSignature(log.key, utf8(signed), set))
    throw invalid('its signed timestamp does not hold');
  return Number(integratedTime) * 1000;
}

/**
 * The entry of an attachment's annotation (`dev.sigstore.cosign/bundle`), which holds the signed entry timestamp alone.
 * @throws BullaError `signature.log-entry-invalid`
 */
export function parseAnnotatedEntry(text: string): UntrustedLogEntry {
  const top = exactMembers(readJson(text), ['SignedEntryTimestamp', 'Payload']);
  const entry = exactMembers(valueOf(top, 'Payload'), ['body', 'integratedTime', 'logIndex', 'logID']);
  const logId = stringOf(entry.get('logID'), 'logID');
  if (!/^[0-9a-f]{64}$/.test(logId)) throw invalid('logID is no SHA-256 in hexadecimal');
  const [time, index] = (['integratedTime', 'logIndex'] as const).map((name) =>
    int64Of(entry.get(name), name),
  );
  if (
    time === undefined ||
    index === undefined ||
    time < 0 ||
    !Number.isSafeInteger(time) ||
    !Number.isSafeInteger(index) ||
    index < 0
  ) {
    throw invalid('its numbers are out of range');
  }
  const body = base64Of(entry.get('body'), 'body');
  return {
    logIndex: BigInt(index),
    logId: new Uint8Array(Buffer.from(logId, 'hex')),
    ...kindOfBody(body),
    integratedTime: BigInt(time),
    signedEntryTimestamp: base64Of(top.get('SignedEntryTimestamp'), 'SignedEntryTimestamp'),
    body,
  };
}

/** What a log answers to a new entry, read strictly: Rekor v1's own JSON, and v2's TransparencyLogEntry (protobuf's JSON). */
import { decodeBase64, encodeBase64, hexOfBytes, textOf } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { type JsonObject, type JsonValue, parseJson } from '../base/json.ts';
import { type Fault, listMember, memberOf, neededText, objectOf } from '../keys/json-members.ts';
import { kindOfBody } from './entry-body.ts';
import type { UntrustedInclusionProof, UntrustedLogEntry } from './log-entry.ts';
import { leafHash } from './merkle.ts';

/** More siblings than a tree of 2^64 leaves has. */
const mostHashes = 64;

/**
 * Rekor v1: one member, named by the entry's UUID, which ends in the entry's leaf hash. The SET and the proof are both needed.
 * @param fault makes the error
 */
export function parseRekorV1Answer(bytes: Uint8Array, fault: Fault): UntrustedLogEntry {
  const top = objectOf(jsonOf(bytes, fault), 'the answer', fault);
  const [named, ...more] = top.members;
  if (named === undefined || more.length > 0) throw fault('it does not hold one entry');
  const entry = objectOf(named.value, 'the entry', fault);
  const body = base64Of(neededText(entry, 'body', fault), 'body', fault);
  if (!/^(?:[0-9a-f]{16})?[0-9a-f]{64}$/.test(named.key) || !named.key.endsWith(hexOfBytes(leafHash(body)))) {
    throw fault('the entry has another name than its content');
  }
  const verification = objectOf(memberOf(entry, 'verification'), 'verification', fault);
  return {
    logIndex: wholeOf(entry, 'logIndex', fault),
    logId: hexOf(neededText(entry, 'logID', fault), 'logID', fault),
    ...kindOf(body, fault),
    integratedTime: wholeOf(entry, 'integratedTime', fault),
    signedEntryTimestamp: base64Of(
      neededText(verification, 'signedEntryTimestamp', fault),
      'signedEntryTimestamp',
      fault,
    ),
    inclusionProof: proofOf(verification, hexOf, fault),
    body,
  };
}

/** Rekor v2: no SET and no time; numbers are text and left out where they are 0. */
export function parseRekorV2Answer(bytes: Uint8Array, fault: Fault): UntrustedLogEntry {
  const entry = objectOf(jsonOf(bytes, fault), 'the answer', fault);
  const body = base64Of(neededText(entry, 'canonicalizedBody', fault), 'canonicalizedBody', fault);
  const kind = objectOf(memberOf(entry, 'kindVersion'), 'kindVersion', fault);
  const logId = objectOf(memberOf(entry, 'logId'), 'logId', fault);
  return {
    logIndex: wholeOf(entry, 'logIndex', fault, 0n),
    logId: base64Of(neededText(logId, 'keyId', fault), 'keyId', fault),
    kind: neededText(kind, 'kind', fault),
    version: neededText(kind, 'version', fault),
    inclusionProof: proofOf(entry, base64Of, fault, 0n),
    body,
  };
}

type DecodeBytes = (text: string, what: string, fault: Fault) => Uint8Array;

function proofOf(
  holder: JsonObject,
  decode: DecodeBytes,
  fault: Fault,
  missing?: bigint,
): UntrustedInclusionProof {
  const proof = objectOf(memberOf(holder, 'inclusionProof'), 'inclusionProof', fault);
  const hashes = listMember(proof, 'hashes', fault);
  if (hashes.length > mostHashes) throw fault('the proof has too many hashes');
  return {
    logIndex: wholeOf(proof, 'logIndex', fault, missing),
    treeSize: wholeOf(proof, 'treeSize', fault, missing),
    rootHash: decode(neededText(proof, 'rootHash', fault), 'rootHash', fault),
    hashes: hashes.map((hash) => decode(stringOf(hash, 'hashes', fault), 'hashes', fault)),
    checkpoint: checkpointOf(memberOf(proof, 'checkpoint'), fault),
  };
}

/** v1 has the note itself, v2 an object around it. */
function checkpointOf(value: JsonValue | undefined, fault: Fault): string {
  if (value?.kind === 'object') return neededText(objectOf(value, 'checkpoint', fault), 'envelope', fault);
  return stringOf(value, 'checkpoint', fault);
}

function kindOf(body: Uint8Array, fault: Fault): Pick<UntrustedLogEntry, 'kind' | 'version'> {
  try {
    return kindOfBody(body);
  } catch (error) {
    throw isBullaError(error) ? fault(error.message) : error;
  }
}

function jsonOf(bytes: Uint8Array, fault: Fault): JsonValue {
  const text = textOf(bytes);
  if (text === undefined) throw fault('it is not UTF-8');
  try {
    return parseJson(text, 'answer');
  } catch (error) {
    if (isBullaError(error, 'json.malformed')) throw fault(error.message);
    throw error;
  }
}

/** A whole number from 0 of 63 bits, as a number or as text; `missing` stands for one that is not there. */
function wholeOf(object: JsonObject, name: string, fault: Fault, missing?: bigint): bigint {
  const value = memberOf(object, name);
  if (value === undefined && missing !== undefined) return missing;
  const text = value?.kind === 'number' ? value.text : value?.kind === 'string' ? value.value : '';
  const number = /^(?:0|[1-9][0-9]{0,18})$/.test(text) ? BigInt(text) : -1n;
  if (number < 0n || number >= 2n ** 63n) throw fault(`${name} is no whole number`);
  return number;
}

function stringOf(value: JsonValue | undefined, what: string, fault: Fault): string {
  if (value?.kind !== 'string') throw fault(`${what} is no text`);
  return value.value;
}

function hexOf(text: string, what: string, fault: Fault): Uint8Array {
  if (!/^(?:[0-9a-f]{2})+$/.test(text)) throw fault(`${what} is no hexadecimal number`);
  return new Uint8Array(Buffer.from(text, 'hex'));
}

function base64Of(text: string, what: string, fault: Fault): Uint8Array {
  const bytes = decodeBase64(text);
  if (bytes === undefined || encodeBase64(bytes) !== text) throw fault(`${what} is no base64`);
  return bytes;
}

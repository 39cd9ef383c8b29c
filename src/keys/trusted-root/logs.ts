/** The logs of a trusted root: their keys, and the ids under which entries and checkpoints name them. */
import { bytesEqual, concatBytes, hexOfBytes, utf8 } from '../../base/bytes.ts';
import { isBullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { encodePem } from '../sigstore/pem.ts';
import { parseSigstorePublicKey, type SigstorePublicKey } from '../sigstore/public-key.ts';
import { bytesOf, type Field, membersOf, needed, stringOf, unusable, validForOf } from './json-fields.ts';
import type { TransparencyLog } from './trusted-root.ts';

/** The kinds of key that are used here (sigstore_common.proto, PublicKeyDetails), as they are found in the key itself. */
const keyKinds: ReadonlyMap<string, string> = new Map([
  ['PKIX_ECDSA_P256_SHA_256', 'prime256v1'],
  ['PKIX_ECDSA_P384_SHA_384', 'secp384r1'],
  ['PKIX_ECDSA_P521_SHA_512', 'secp521r1'],
  ['PKIX_ED25519', 'ed25519'],
  ['PKIX_RSA_PKCS1V15_2048_SHA256', 'rsa 2048'],
  ['PKIX_RSA_PKCS1V15_3072_SHA256', 'rsa 3072'],
  ['PKIX_RSA_PKCS1V15_4096_SHA256', 'rsa 4096'],
]);

/**
 * The logs whose keys are used here. One id stands for one key: the same log may be there twice, each time for another
 * while; two keys under one id are refused.
 * @throws BullaError `trusted-root.unusable`
 */
export function parseLogs(logs: readonly Field[]): readonly TransparencyLog[] {
  const keys = new Map<string, string>();
  return logs.flatMap((each) => {
    const log = parseLog(each);
    if (log === undefined) return [];
    const id = hexOfBytes(log.logId);
    const known = keys.get(id) ?? log.key.keyId;
    if (known !== log.key.keyId) throw unusable(each.path, 'another log with another key has the same id');
    keys.set(id, known);
    return [log];
  });
}

function parseLog(log: Field): TransparencyLog | undefined {
  const members = membersOf(log);
  const publicKey = needed(members, 'publicKey', log.path);
  const keyMembers = membersOf(publicKey);
  const kind = keyKinds.get(stringOf(needed(keyMembers, 'keyDetails', publicKey.path)));
  const spki = bytesOf(needed(keyMembers, 'rawBytes', publicKey.path));
  const validFor = validForOf(keyMembers.get('validFor'), publicKey.path);
  const hash = members.get('hashAlgorithm');
  if (kind === undefined || (hash !== undefined && stringOf(hash) !== 'SHA2_256')) return undefined;
  const key = readKey(spki, publicKey.path);
  if (kindOf(key) !== kind)
    throw unusable(publicKey.path, 'its key is not of the kind that keyDetails names');
  const baseUrl = members.get('baseUrl');
  const address = baseUrl === undefined ? '' : stringOf(baseUrl);
  const checkpointKeyId = checkpointIdOf(members.get('checkpointKeyId'), key, address);
  return {
    baseUrl: address,
    key,
    logId: logIdOf(members.get('logId'), key, log.path),
    ...(checkpointKeyId !== undefined && { checkpointKeyId }),
    validFor,
  };
}

function readKey(spki: Uint8Array, path: string): SigstorePublicKey {
  try {
    return parseSigstorePublicKey(encodePem('PUBLIC KEY', spki));
  } catch (error) {
    if (isBullaError(error)) throw unusable(path, error.message);
    throw error;
  }
}

function kindOf({ algorithm, key }: SigstorePublicKey): string {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  if (algorithm === 'rsa') return `rsa ${modulusLength ?? 0}`;
  return algorithm === 'ed25519' ? algorithm : (namedCurve ?? '');
}

/**
 * How entries name the log. For an ECDSA key every kind of log takes the SHA-256 of its SubjectPublicKeyInfo, so that is
 * checked; for the others it depends on the log's own name, and the root's word counts.
 */
function logIdOf(id: Field | undefined, key: SigstorePublicKey, path: string): Uint8Array {
  const given = id === undefined ? undefined : membersOf(id).get('keyId');
  const ofKey = sha256(key.spki);
  if (given === undefined) {
    if (key.algorithm === 'ecdsa') return ofKey;
    throw unusable(path, 'logId is missing');
  }
  const bytes = bytesOf(given);
  if (key.algorithm === 'ecdsa' && !bytesEqual(bytes, ofKey)) {
    throw unusable(given.path, "it is not the SHA-256 of the log's public key");
  }
  return bytes;
}

/** The key ID on checkpoints (C2SP signed-note): of the key, and but for ECDSA of the log's host name before it. */
function checkpointIdOf(
  id: Field | undefined,
  key: SigstorePublicKey,
  baseUrl: string,
): Uint8Array | undefined {
  const given = id === undefined ? undefined : membersOf(id).get('keyId');
  if (given !== undefined) return bytesOf(given);
  if (key.algorithm === 'ecdsa') return sha256(key.spki);
  const host = URL.canParse(baseUrl) ? new URL(baseUrl).hostname : undefined;
  if (host === undefined) return undefined;
  const name = utf8(`${host}\n`);
  if (key.algorithm === 'ed25519') return sha256(concatBytes(name, Uint8Array.of(1), key.spki.subarray(-32)));
  return sha256(concatBytes(name, Uint8Array.of(0xff), utf8('PKIX-RSA-PKCS#1v1.5'), key.spki));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return crypto.createHash('sha256').update(bytes).digest();
}

/**
 * Checkpoints: what a log signs of its tree (C2SP tlog-checkpoint), as a signed note (C2SP signed-note). Of its
 * signatures the log's own must be there, once, and hold; witnesses' cosignatures say nothing here.
 */
import { bytesEqual, concatBytes, decodeBase64, utf8 } from '../base/bytes.ts';
import { crypto } from '../base/node.ts';
import { verifySigstoreSignature } from '../keys/sigstore/public-key.ts';
import type { TransparencyLog } from '../keys/trusted-root/trusted-root.ts';
import { invalid } from './entry-members.ts';

/** Of a checkpoint whose signature holds. */
export type Checkpoint = { readonly origin: string; readonly size: bigint; readonly root: Uint8Array };

/** A checkpoint has a few hundred bytes, and some kilobytes with a hundred witnesses. */
const mostBytes = 65_536;
const mostSignatures = 100;

/** @throws BullaError `signature.log-entry-invalid` */
export function verifyCheckpoint(note: string, log: TransparencyLog): Checkpoint {
  if (note.length > mostBytes) throw invalid('its checkpoint is too large');
  // the signatures stand behind the last empty line, so what is signed may not be read otherwise
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n')) throw invalid('its checkpoint is no signed note');
  const text = note.slice(0, split + 1);
  const checkpoint = parseText(text);
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > mostSignatures) throw invalid('its checkpoint has too many signatures');
  const own = lines.map(parseLine).filter((line) => isOf(line, checkpoint.origin, log));
  const [line, second] = own;
  if (line === undefined) throw invalid('its checkpoint is not signed by the log');
  if (second !== undefined) throw invalid('its checkpoint is signed twice by the log');
  if (!verifySigstoreSignature(log.key, utf8(text), line.signature)) {
    throw invalid("the log's signature of the checkpoint does not hold");
  }
  return checkpoint;
}

/** Origin, size, root hash; more lines are extensions. None is empty, so that the text ends where it seems to. */
function parseText(text: string): Checkpoint {
  const [origin = '', size = '', hash = '', ...extensions] = text.slice(0, -1).split('\n');
  const root = decodeBase64(hash);
  if (
    origin === '' ||
    !/^(?:0|[1-9][0-9]{0,18})$/.test(size) ||
    root?.length !== 32 ||
    extensions.includes('')
  ) {
    throw invalid('its checkpoint is malformed');
  }
  return { origin, size: BigInt(size), root };
}

type Line = { readonly name: string; readonly keyId: Uint8Array; readonly signature: Uint8Array };

/** `— NAME BASE64`: four bytes of the key's ID, then the signature. */
function parseLine(line: string): Line {
  const [, name = '', text = ''] = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/=]+)$/u.exec(line) ?? [];
  const bytes = decodeBase64(text);
  if (name === '' || bytes === undefined || bytes.length < 5) {
    throw invalid('a signature of its checkpoint is malformed');
  }
  return { name, keyId: bytes.subarray(0, 4), signature: bytes.subarray(4) };
}

/** Rekor v1 signs by its host's name, and its origin has the tree's number behind it. */
function isOf({ name, keyId }: Line, origin: string, log: TransparencyLog): boolean {
  if (name !== origin && !origin.startsWith(`${name} - `)) return false;
  return bytesEqual(keyId, checkpointKeyId(name, log).subarray(0, 4));
}

/**
 * The key ID (C2SP signed-note; sigstore has its own for ECDSA). For Ed25519 it holds the name, so a log has one name;
 * what the root calls the log's ID wins where it is said.
 */
function checkpointKeyId(name: string, { key, checkpointKeyId: known }: TransparencyLog): Uint8Array {
  if (known !== undefined) return known;
  const hash = crypto.createHash('sha256');
  switch (key.algorithm) {
    case 'ecdsa':
      return hash.update(key.spki).digest();
    case 'ed25519':
      // the SubjectPublicKeyInfo of Ed25519 ends in the 32 bytes of the key
      return hash.update(concatBytes(utf8(`${name}\n`), Uint8Array.of(1), key.spki.subarray(-32))).digest();
    case 'rsa':
      return hash
        .update(concatBytes(utf8(`${name}\n`), Uint8Array.of(0xff), utf8('PKIX-RSA-PKCS#1v1.5'), key.spki))
        .digest();
  }
}

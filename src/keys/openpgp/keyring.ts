/** Keyrings: public key files, read once, their certificates judged when asked for. */
import { textOf } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { unarmorKeys } from './armor.ts';
import { type Certificate, judgeCertificate, type KeyState } from './certificate.ts';
import {
  addSignature,
  type Component,
  type Components,
  componentsOf,
  isRevokedBy,
  selfSignatures,
  subkeyOf,
  userOf,
} from './components.ts';
import { Cursor } from './cursor.ts';
import { type Packet, packetTags, readPackets } from './packets.ts';
import { type PublicKey, readPublicKey } from './public-key.ts';
import { signatureTypes } from './signature-packet.ts';

/** A key of a keyring that may have made a signature. */
export type Candidate = {
  readonly key: PublicKey;
  readonly primaryFingerprint: string;
  /** The key's state and that of its certificate's primary key. `now` in seconds since 1970. */
  readonly judge: (now: number) => { readonly state: KeyState; readonly primary: KeyState };
};

export type Keyring = {
  /** Every certificate, as of now, in the files' order. */
  readonly certificates: readonly Certificate[];
  /** The keys, primary or sub, with that fingerprint or 64-bit key ID (upper-case hex). */
  readonly candidates: (id: string) => readonly Candidate[];
};

/**
 * Reads key files, binary or armored, each with any number of certificates, into one keyring. A
 * primary key that comes twice is one certificate with all that is said of it. Of secret keys the
 * public part is taken. Keys of other versions and unknown algorithms are skipped, as gpg does.
 * @throws BullaError `key.malformed`; `key.none` where no file holds a usable public key
 */
export function parseKeyring(...files: readonly Uint8Array[]): Keyring {
  const byFingerprint = new Map<string, Components>();
  for (const file of files) readFile(file, byFingerprint);
  if (byFingerprint.size === 0) {
    throw new BullaError('key.none', 'the key file holds no OpenPGP public key that can be used', {
      hint: 'export one with: gpg --armor --export FINGERPRINT',
    });
  }
  const all = [...byFingerprint.values()];
  const index = indexOf(all);
  return {
    get certificates() {
      const now = Math.floor(Date.now() / 1000);
      return all.map((of) => judge(of, now, index)).filter(({ bound }) => bound);
    },
    candidates: (id) => (index.get(id) ?? []).map(({ of, key }) => candidateOf(of, key, index)),
  };
}

/** Far above the largest distribution's keyring; packets of a few octets each would fill the memory. */
const mostPackets = 200_000;

type Index = ReadonlyMap<string, readonly { readonly of: Components; readonly key: PublicKey }[]>;

function indexOf(all: readonly Components[]): Index {
  const index = new Map<string, { of: Components; key: PublicKey }[]>();
  for (const of of all) {
    for (const key of [of.primary, ...[...of.subkeys.values()].map((subkey) => subkey.key)]) {
      for (const id of [key.fingerprint, key.keyId]) {
        const found = index.get(id);
        if (found === undefined) index.set(id, [{ of, key }]);
        else found.push({ of, key });
      }
    }
  }
  return index;
}

function judge(of: Components, now: number, index: Index): Certificate {
  const revokers = selfSignatures(of, of.direct)
    .filter(({ type }) => type === signatureTypes.directKey)
    .flatMap((one) => one.revokers);
  const revoked = revokers.some((fingerprint) =>
    (index.get(fingerprint) ?? []).some(({ key }) => isRevokedBy(of, key)),
  );
  return judgeCertificate(of, now, revoked);
}

function candidateOf(of: Components, key: PublicKey, index: Index): Candidate {
  return {
    key,
    primaryFingerprint: of.primary.fingerprint,
    judge: (now) => {
      const primary = judge(of, now, index);
      const state = primary.subkeys.find(({ fingerprint }) => fingerprint === key.fingerprint);
      return { state: key === of.primary ? primary : (state ?? primary), primary };
    },
  };
}

function readFile(file: Uint8Array, into: Map<string, Components>): void {
  const packets = readPackets(unarmorKeys(file), 'key.malformed', 'the key file', mostPackets);
  let certificate: Components | undefined;
  let component: Component | undefined;
  for (const packet of packets) {
    switch (packet.tag) {
      case packetTags.publicKey:
      case packetTags.secretKey: {
        const key = readKey(packet);
        certificate = key === undefined ? undefined : (into.get(key.fingerprint) ?? componentsOf(key));
        if (certificate !== undefined) into.set(certificate.primary.fingerprint, certificate);
        component = certificate?.direct;
        break;
      }
      case packetTags.publicSubkey:
      case packetTags.secretSubkey: {
        const key = readKey(packet);
        component = certificate && key && subkeyOf(certificate, key);
        break;
      }
      case packetTags.userId:
        component = certificate && userOf(certificate, packet.body, userText(packet.body));
        break;
      case packetTags.userAttribute:
        component = certificate && userOf(certificate, packet.body, undefined);
        break;
      case packetTags.signature:
        if (component !== undefined) addSignature(component, packet.body);
        break;
      default:
        // trust packets, padding and private extensions say nothing about the key
        break;
    }
  }
}

/** Malformed keys are skipped like unknown ones: a file is not refused for one bad key in it. */
function readKey({ tag, body }: Packet): PublicKey | undefined {
  const cursor = new Cursor(body, 'key.malformed', 'a key');
  try {
    const key = readPublicKey(cursor, body);
    const isSecret = tag === packetTags.secretKey || tag === packetTags.secretSubkey;
    return key !== undefined && !isSecret && cursor.left > 0 ? undefined : key;
  } catch (error) {
    if (error instanceof BullaError) return undefined;
    throw error;
  }
}

/** User IDs are UTF-8 by the standard and anything in practice. */
function userText(body: Uint8Array): string {
  return textOf(body) ?? Buffer.from(body).toString('latin1');
}

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
  issuersOf,
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
  const revocations: Uint8Array[] = [];
  for (const file of files) readFile(file, byFingerprint, revocations);
  if (byFingerprint.size === 0) {
    throw new BullaError('key.none', 'the key file holds no OpenPGP public key that can be used', {
      hint: 'export one with: gpg --armor --export FINGERPRINT',
    });
  }
  const all = [...byFingerprint.values()];
  const index = indexOf(all);
  placeRevocations(all, revocations, index);
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
      if (key === of.primary) return { state: primary, primary };
      const state = primary.subkeys.find(({ fingerprint }) => fingerprint === key.fingerprint);
      if (state === undefined) throw new BullaError('internal.bug', 'a subkey left its certificate');
      return { state, primary };
    },
  };
}

type Reading = { certificate: Components | undefined; component: Component | undefined };

function readFile(file: Uint8Array, into: Map<string, Components>, revocations: Uint8Array[]): void {
  const packets = readPackets(unarmorKeys(file), 'key.malformed', 'the key file', mostPackets);
  const reading: Reading = { certificate: undefined, component: undefined };
  for (const packet of packets) {
    if (packet.tag === packetTags.publicKey || packet.tag === packetTags.secretKey) {
      const key = readKey(packet);
      reading.certificate = key === undefined ? undefined : (into.get(key.fingerprint) ?? componentsOf(key));
      if (reading.certificate !== undefined && key !== undefined)
        into.set(key.fingerprint, reading.certificate);
      reading.component = reading.certificate?.direct;
    } else if (packet.tag === packetTags.signature) {
      addSignature(reading.component, packet.body);
      // gpg believes revocations wherever they stand: people append a certificate to the key file
      const type = packet.body[1];
      if (type === signatureTypes.keyRevocation) {
        addSignature(reading.certificate?.direct, packet.body);
        revocations.push(packet.body);
      } else if (type === signatureTypes.subkeyRevocation) {
        reading.certificate?.subkeyRevocations.push(packet.body);
      }
    } else {
      readPart(packet, reading);
    }
  }
}

/** A user ID or a subkey. Trust packets, padding and private extensions say nothing about the key. */
function readPart({ tag, body }: Packet, reading: Reading): void {
  const { certificate } = reading;
  if (certificate === undefined) return;
  if (tag === packetTags.userId) reading.component = userOf(certificate, body, userText(body));
  else if (tag === packetTags.userAttribute) reading.component = userOf(certificate, body, undefined);
  else if (tag === packetTags.publicSubkey || tag === packetTags.secretSubkey) {
    const key = readKey({ tag, body });
    reading.component = key && subkeyOf(certificate, key);
  }
}

/** Files the revocations that stood elsewhere with what they may be about; the mathematics decides. */
function placeRevocations(all: Iterable<Components>, revocations: readonly Uint8Array[], index: Index): void {
  for (const { subkeys, subkeyRevocations } of all) {
    if (subkeys.size > mostSubkeys || subkeyRevocations.length > mostSubkeys) {
      throw new BullaError('key.malformed', `a key of the key file has more than ${mostSubkeys} subkeys`);
    }
    for (const subkey of subkeys.values()) for (const body of subkeyRevocations) addSignature(subkey, body);
  }
  for (const body of revocations) {
    for (const keyId of issuersOf(body)) {
      for (const { of, key } of index.get(keyId) ?? []) if (key === of.primary) addSignature(of.direct, body);
    }
  }
}

const mostSubkeys = 1000;

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

/** One certificate of a keyring, by its primary key's fingerprint: to believe it alone, or to write it out alone. */
import { concatBytes } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { unarmorKeys } from './armor.ts';
import { Cursor } from './cursor.ts';
import type { Keyring } from './keyring.ts';
import { type Packet, packetTags, readPackets } from './packets.ts';
import { readPublicKey } from './public-key.ts';

/**
 * The keyring with only that certificate in it. What others of the keyring say of it stays said: a revocation counts wherever it stands.
 * @param fingerprint of the primary key, upper-case hexadecimal
 */
export function onlyCertificate(keyring: Keyring, fingerprint: string): Keyring {
  return {
    get certificates() {
      return keyring.certificates.filter((each) => each.fingerprint === fingerprint);
    },
    candidates: (id) =>
      keyring.candidates(id).filter(({ primaryFingerprint }) => primaryFingerprint === fingerprint),
  };
}

/** Several keyrings as one. A certificate that two of them have is the first one's: what that says of it, another does not unsay. */
export function joinKeyrings(keyrings: readonly Keyring[]): Keyring {
  const taken = new Set<string>();
  const parts = keyrings.map((keyring) => {
    const own = new Set(
      keyring.certificates.map(({ fingerprint }) => fingerprint).filter((each) => !taken.has(each)),
    );
    for (const each of own) taken.add(each);
    return { keyring, own };
  });
  return {
    get certificates() {
      return parts.flatMap(({ keyring, own }) =>
        keyring.certificates.filter(({ fingerprint }) => own.has(fingerprint)),
      );
    },
    candidates: (id) =>
      parts.flatMap(({ keyring, own }) =>
        keyring.candidates(id).filter(({ primaryFingerprint }) => own.has(primaryFingerprint)),
      ),
  };
}

/**
 * The packets of one certificate, with everything that the files have under its primary key; nothing of any other.
 * @returns binary; undefined: no file has it
 * @throws BullaError `key.malformed`
 */
export function certificateBytes(files: readonly Uint8Array[], fingerprint: string): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  for (const file of files) {
    let isWanted = false;
    for (const packet of readPackets(unarmorKeys(file), 'key.malformed', 'the key file')) {
      if (packet.tag === packetTags.publicKey) isWanted = fingerprintOf(packet) === fingerprint;
      else if (packet.tag === packetTags.secretKey) isWanted = false;
      if (isWanted && certificateTags.has(packet.tag)) parts.push(framed(packet));
    }
  }
  return parts.length === 0 ? undefined : concatBytes(...parts);
}

const certificateTags: ReadonlySet<number> = new Set([
  packetTags.publicKey,
  packetTags.publicSubkey,
  packetTags.userId,
  packetTags.userAttribute,
  packetTags.signature,
]);

function fingerprintOf({ body }: Packet): string | undefined {
  const cursor = new Cursor(body, 'key.malformed', 'a key');
  try {
    return readPublicKey(cursor, body)?.fingerprint;
  } catch (error) {
    // as parseKeyring: a file is not refused for one bad key in it
    if (error instanceof BullaError) return undefined;
    throw error;
  }
}

/** The newer header with a length of four octets (RFC 9580 section 4.2.1.3). */
function framed({ tag, body }: Packet): Uint8Array {
  const header = new Uint8Array(6);
  header.set([0xc0 | tag, 0xff]);
  new DataView(header.buffer).setUint32(2, body.length);
  return concatBytes(header, body);
}

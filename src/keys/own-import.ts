/** Takes keys and revocation certificates into Bulla's own keyring; what is there already is merged. */
import { bytesEqual, concatBytes } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Imported } from './key-info.ts';
import type { KeyFiles, KeyPart } from './own-keyring.ts';
import { unarmorKeys } from './openpgp/armor.ts';
import { parseKeyring } from './openpgp/keyring.ts';
import { encodePacket, type Packet, packetTags, readPackets } from './openpgp/packets.ts';
import { readSecrets } from './openpgp/secret-key.ts';
import { parseSignaturePacket, signatureTypes } from './openpgp/signature-packet.ts';

/** One key with all that follows it in a file, or the revocation certificates that stand before any key. */
type Group = { readonly packets: Packet[]; readonly kind: 'public' | 'secret' | 'revocation' };
type Write = { readonly fingerprint: string; readonly part: KeyPart; readonly bytes: Uint8Array };
/** Gives the passphrase of the key with that fingerprint, or throws. */
type AskPassphrase = (fingerprint: string) => Promise<string>;
type Planned = { readonly imported: Imported; readonly writes: readonly Write[] };

const kept: ReadonlySet<number> = new Set([
  packetTags.signature,
  packetTags.secretKey,
  packetTags.publicKey,
  packetTags.secretSubkey,
  packetTags.publicSubkey,
  packetTags.userId,
  packetTags.userAttribute,
]);

/**
 * Imports a file's keys. Everything is parsed and merged before the first byte is written.
 * @throws BullaError `key.malformed`, `key.none`, `key.not-found` (a revocation certificate of a key that is not here)
 */
export async function importInto(
  files: KeyFiles,
  bytes: Uint8Array,
  askPassphrase: AskPassphrase,
): Promise<readonly Imported[]> {
  if (bytes.length > limits.keyringBytes) throw malformed('it is too large');
  const groups = groupsOf(readPackets(unarmorKeys(bytes), 'key.malformed', 'the key file'));
  const planned: Planned[] = [];
  for (const group of groups) planned.push(...(await plan(files, group, askPassphrase)));
  if (planned.length === 0) throw malformed('it holds no OpenPGP key that can be used');
  const { armorKey } = await import('./openpgp-edit.ts');
  for (const { fingerprint, part, bytes: content } of planned.flatMap((each) => each.writes)) {
    await files.write(fingerprint, part, await armorKey(content));
  }
  return planned.map((each) => each.imported);
}

function groupsOf(packets: readonly Packet[]): readonly Group[] {
  const groups: Group[] = [];
  for (const packet of packets.filter(({ tag }) => kept.has(tag))) {
    const last = groups.at(-1);
    if (packet.tag === packetTags.publicKey) groups.push({ packets: [packet], kind: 'public' });
    else if (packet.tag === packetTags.secretKey) groups.push({ packets: [packet], kind: 'secret' });
    else if (last !== undefined) last.packets.push(packet);
    else if (packet.tag === packetTags.signature) groups.push({ packets: [packet], kind: 'revocation' });
    else throw malformed('it does not begin with a key');
  }
  return groups;
}

function plan(files: KeyFiles, group: Group, ask: AskPassphrase): Promise<readonly Planned[]> {
  if (group.kind === 'revocation') return planRevocations(files, group.packets);
  return group.kind === 'public' ? planPublic(files, group) : planSecret(files, group, ask);
}

function bytesOf({ packets }: Group): Uint8Array {
  return concatBytes(...packets.map(({ tag, body }) => encodePacket(tag, body)));
}

async function planPublic(files: KeyFiles, group: Group): Promise<readonly Planned[]> {
  const publicKey = bytesOf(group);
  const fingerprint = fingerprintOf(publicKey);
  if (fingerprint === undefined) return [];
  const writes = await merged(files, fingerprint, publicKey, undefined);
  return [{ imported: { fingerprint, what: 'public', changed: writes.length > 0 }, writes }];
}

async function planSecret(files: KeyFiles, group: Group, ask: AskPassphrase): Promise<readonly Planned[]> {
  const given = bytesOf(group);
  const fingerprint = fingerprintOf(given);
  if (fingerprint === undefined) return [];
  const { protectAnew, publicPartOf } = await import('./openpgp-edit.ts');
  const kinds = [...readSecrets(given).values()].map(({ protection }) => protection.kind);
  const secretKey = kinds.includes('unsupported') ? await protectAnew(given, await ask(fingerprint)) : given;
  const writes = await merged(files, fingerprint, await publicPartOf(given), secretKey);
  const imported = { fingerprint, what: 'secret', changed: writes.length > 0 } as const;
  return [{ imported: { ...imported, ...(kinds.includes('none') && { unprotected: true }) }, writes }];
}

async function merged(
  files: KeyFiles,
  fingerprint: string,
  publicKey: Uint8Array,
  secretKey: Uint8Array | undefined,
): Promise<readonly Write[]> {
  const { mergeCertificates } = await import('./openpgp-edit.ts');
  const oldPublic = await stored(files, fingerprint, 'pub');
  const oldSecret = await stored(files, fingerprint, 'private');
  const newPublic = oldPublic === undefined ? publicKey : await mergeCertificates(oldPublic, publicKey);
  // a secret key that is here already stays as it is, with its passphrase; only its certificate grows
  const newSecret = oldSecret === undefined ? secretKey : await mergeCertificates(oldSecret, publicKey);
  return [
    ...changedFile(fingerprint, 'private', oldSecret, newSecret),
    ...changedFile(fingerprint, 'pub', oldPublic, newPublic),
  ];
}

/** The one certificate in these packets; undefined where Bulla cannot use it (another version, no valid self-signature). */
function fingerprintOf(bytes: Uint8Array): string | undefined {
  try {
    return parseKeyring(bytes).certificates[0]?.fingerprint;
  } catch (error) {
    if (isBullaError(error, 'key.none')) return undefined;
    throw error;
  }
}

async function stored(files: KeyFiles, fingerprint: string, part: KeyPart): Promise<Uint8Array | undefined> {
  const armored = await files.read(fingerprint, part);
  return armored === undefined ? undefined : unarmorKeys(armored);
}

function changedFile(
  fingerprint: string,
  part: KeyPart,
  before: Uint8Array | undefined,
  after: Uint8Array | undefined,
): readonly Write[] {
  if (after === undefined || (before !== undefined && bytesEqual(before, after))) return [];
  return [{ fingerprint, part, bytes: after }];
}

async function planRevocations(files: KeyFiles, packets: readonly Packet[]): Promise<readonly Planned[]> {
  const planned: Planned[] = [];
  for (const { tag, body } of packets) {
    const { type, issuerFingerprints, issuerKeyIds } = parseSignaturePacket(
      body,
      'key.malformed',
      'the certificate',
    );
    if (tag !== packetTags.signature || type !== signatureTypes.keyRevocation) {
      throw malformed('it holds a signature that is no revocation certificate');
    }
    const fingerprint = await issuerIn(files, [...issuerFingerprints, ...issuerKeyIds]);
    planned.push(await planRevocation(files, fingerprint, encodePacket(tag, body)));
  }
  return planned;
}

async function issuerIn(files: KeyFiles, ids: readonly string[]): Promise<string> {
  const all = await files.fingerprints();
  const found = all.filter((each) => ids.some((id) => each.endsWith(id)));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw new BullaError(
    'key.not-found',
    `the key that this certificate revokes (${ids[0] ?? 'unnamed'}) is not here`,
    {
      hint: 'import the public key first',
    },
  );
}

async function planRevocation(
  files: KeyFiles,
  fingerprint: string,
  certificate: Uint8Array,
): Promise<Planned> {
  const { applyRevocation } = await import('./openpgp-edit.ts');
  const writes: Write[] = [];
  for (const part of ['private', 'pub'] as const) {
    const before = await stored(files, fingerprint, part);
    const isThere = before !== undefined && parseKeyring(before).certificates[0]?.revoked === true;
    if (before !== undefined && !isThere) {
      writes.push({ fingerprint, part, bytes: await applyRevocation(before, certificate) });
    }
  }
  return { imported: { fingerprint, what: 'revocation', changed: writes.length > 0 }, writes };
}

/** Applies a revocation certificate (one signature packet) to the files of a key. @throws BullaError `key.malformed` */
export async function applyToFiles(
  files: KeyFiles,
  fingerprint: string,
  certificate: Uint8Array,
): Promise<void> {
  const { armorKey } = await import('./openpgp-edit.ts');
  const { writes } = await planRevocation(files, fingerprint, certificate);
  for (const { part, bytes } of writes) await files.write(fingerprint, part, await armorKey(bytes));
}

function malformed(why: string): BullaError {
  return new BullaError('key.malformed', `the key file is malformed: ${why}`);
}

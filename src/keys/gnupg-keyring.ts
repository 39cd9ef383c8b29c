/** The user's GnuPG as a keyring: every change is gpg's own. */
import { join } from 'node:path';

import { textOrThrow, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readFileIfThere } from '../io/files.ts';
import { listGnupgKeys } from './gnupg-list.ts';
import {
  callGnupg,
  type Gnupg,
  gnupgError,
  type GnupgResult,
  hasKeyring,
  statusOf,
} from './gnupg-process.ts';
import { keyNotFound } from './key-id.ts';
import type { Imported, KeyStore, KeyType, PassphraseSource, RevocationReason } from './key-info.ts';
import { unarmorKeys } from './openpgp/armor.ts';
import { packetTags, readPackets } from './openpgp/packets.ts';
import { parseSignaturePacket } from './openpgp/signature-packet.ts';

const algorithms: Readonly<Record<KeyType, string>> = {
  rsa3072: 'rsa3072',
  rsa4096: 'rsa4096',
  ed25519: 'ed25519',
  p256: 'nistp256',
};

/** The keyring of that GnuPG home; reading it starts no gpg where there is none. */
export function openGnupgKeyring(gnupg: Gnupg): KeyStore {
  return {
    source: 'gnupg',
    description: gnupg.home,
    list: (pattern) => (hasKeyring(gnupg) ? listGnupgKeys(gnupg, pattern) : Promise.resolve([])),
    generate: async ({ userId, type, expires, passphrase }) => {
      const args = [
        '--batch',
        '--yes',
        '--quick-generate-key',
        '--',
        userId,
        algorithms[type],
        'sign',
        expiryWord(expires),
      ];
      const result = await callGnupg(gnupg, args, passphrase === undefined ? {} : { passphrase });
      const fingerprint = statusOf(result, 'KEY_CREATED')?.words[1];
      if (result.exitCode !== 0 || fingerprint === undefined) throw gnupgError(result, 'make a key by gpg');
      return fingerprint;
    },
    exportPublic: (fingerprint, armor) => exportBy(gnupg, ['--export'], fingerprint, armor),
    exportSecret: (fingerprint, armor, passphrase) =>
      exportBy(gnupg, ['--export-secret-keys'], fingerprint, armor, passphrase),
    import: (bytes) => importByGnupg(gnupg, bytes),
    extend: (fingerprint, expires, passphrase) => extend(gnupg, fingerprint, expires, passphrase),
    revoke: (fingerprint, reason, passphrase) => revoke(gnupg, fingerprint, reason, passphrase),
    delete: async (fingerprint, what) => {
      const command = what === 'secret' ? '--delete-secret-keys' : '--delete-secret-and-public-key';
      const result = await callGnupg(gnupg, ['--batch', '--yes', command, fingerprint]);
      if (statusOf(result, 'DELETE_PROBLEM')?.words[0] === '1') throw keyNotFound(fingerprint);
      if (result.exitCode !== 0) throw gnupgError(result, `delete ${fingerprint}`);
    },
  };
}

/** As gpg takes a moment: ISO 8601 without separators, UTC. */
function expiryWord(expires: Date | undefined): string {
  return expires === undefined ? 'never' : expires.toISOString().slice(0, 19).replace(/[-:]/g, '');
}

/** A passphrase from a file is handed to gpg; without one gpg-agent asks by itself, better than Bulla could. */
function given({ given: text }: PassphraseSource): { passphrase?: string } {
  return text === undefined ? {} : { passphrase: text };
}

async function exportBy(
  gnupg: Gnupg,
  command: readonly string[],
  fingerprint: string,
  armor: boolean,
  passphrase: PassphraseSource = {},
): Promise<Uint8Array> {
  const args = ['--batch', armor ? '--armor' : '--no-armor', ...command, fingerprint];
  const result = await callGnupg(gnupg, args, given(passphrase));
  if (result.stdout.length > 0 && result.exitCode === 0) return result.stdout;
  const nothing =
    result.exitCode === 0 || result.log.some((line) => /nothing exported|No (public|secret) key/.test(line));
  const failed = result.log.some((line) => /error receiving key|passphrase|pinentry/i.test(line));
  throw nothing && !failed ? keyNotFound(fingerprint) : gnupgError(result, `export ${fingerprint}`);
}

async function importByGnupg(gnupg: Gnupg, bytes: Uint8Array): Promise<readonly Imported[]> {
  const revoker = revocationIssuer(bytes);
  const result = await callGnupg(gnupg, ['--batch', '--import'], { input: bytes });
  if (revoker !== undefined) return [await importedRevocation(gnupg, result, revoker)];
  const taken = result.statuses.filter((each) => each.keyword === 'IMPORT_OK');
  if (taken.length === 0) throw new BullaError('key.malformed', 'gpg finds no key in it that it can import');
  const imported = new Map<string, Imported>();
  for (const { words } of taken) {
    const [flags = '0', fingerprint = ''] = words;
    const earlier = imported.get(fingerprint);
    imported.set(fingerprint, {
      fingerprint,
      // 16: a secret key is in it (doc/DETAILS, IMPORT_OK)
      what: (Number(flags) & 16) !== 0 || earlier?.what === 'secret' ? 'secret' : 'public',
      changed: (Number(flags) & 15) !== 0 || (earlier?.changed ?? false),
    });
  }
  return [...imported.values()];
}

/** Whose revocation certificate this is; undefined where it is keys. @throws BullaError `key.malformed` */
function revocationIssuer(bytes: Uint8Array): string | undefined {
  const [first] = readPackets(unarmorKeys(bytes), 'key.malformed', 'the key file');
  if (first?.tag !== packetTags.signature) return undefined;
  const { issuerFingerprints, issuerKeyIds } = parseSignaturePacket(
    first.body,
    'key.malformed',
    'the certificate',
  );
  return issuerFingerprints[0] ?? issuerKeyIds[0];
}

async function importedRevocation(gnupg: Gnupg, result: GnupgResult, issuer: string): Promise<Imported> {
  const key = (await listGnupgKeys(gnupg, issuer))[0];
  if (key === undefined) {
    throw new BullaError('key.not-found', `the key that this certificate revokes (${issuer}) is not here`, {
      hint: 'import the public key first',
    });
  }
  if (!key.revoked) throw gnupgError(result, `revoke ${key.fingerprint}`);
  return { fingerprint: key.fingerprint, what: 'revocation', changed: newRevocations(result) > 0 };
}

/** IMPORT_RES counts keys, user IDs, …, revocations (doc/DETAILS). */
function newRevocations(result: GnupgResult): number {
  return Number(statusOf(result, 'IMPORT_RES')?.words[8] ?? 0);
}

async function extend(
  gnupg: Gnupg,
  fingerprint: string,
  expires: Date | undefined,
  passphrase: PassphraseSource,
): Promise<void> {
  const key = (await listGnupgKeys(gnupg, fingerprint)).find((each) => each.fingerprint === fingerprint);
  if (key === undefined) throw keyNotFound(fingerprint);
  const set = async (subkeys: readonly string[]): Promise<void> => {
    const args = ['--batch', '--quick-set-expire', fingerprint, expiryWord(expires), ...subkeys];
    const result = await callGnupg(gnupg, args, given(passphrase));
    const failed = result.statuses.some((each) => each.keyword === 'FAILURE' || each.keyword === 'ERROR');
    if (result.exitCode !== 0 || failed) throw gnupgError(result, `extend ${fingerprint}`);
  };
  await set([]);
  const signing = key.subkeys.filter((each) => each.canSign && !each.revoked).map((each) => each.fingerprint);
  if (signing.length > 0) await set(signing);
}

async function revoke(
  gnupg: Gnupg,
  fingerprint: string,
  reason: RevocationReason | undefined,
  passphrase: PassphraseSource,
): Promise<void> {
  const birth = reason === undefined ? await birthCertificate(gnupg, fingerprint) : undefined;
  const certificate = birth ?? (await makeCertificate(gnupg, fingerprint, reason ?? 'none', passphrase));
  await importByGnupg(gnupg, certificate);
}

/** What gpg wrote when it made the key; a colon keeps it from being imported by mistake. */
async function birthCertificate(gnupg: Gnupg, fingerprint: string): Promise<Uint8Array | undefined> {
  const path = join(gnupg.home, 'openpgp-revocs.d', `${fingerprint}.rev`);
  const bytes = await readFileIfThere(path, limits.configFileBytes);
  if (bytes === undefined) return undefined;
  const text = textOrThrow(bytes, path);
  const start = text.indexOf('-----BEGIN PGP PUBLIC KEY BLOCK-----');
  return start < 0 ? undefined : utf8(text.slice(start));
}

/** The answers to gpg's menu: 0 no reason, 1 compromised, 2 superseded, 3 no longer used. */
const menu: Readonly<Record<RevocationReason, string>> = {
  none: '0',
  compromised: '1',
  superseded: '2',
  unused: '3',
};

async function makeCertificate(
  gnupg: Gnupg,
  fingerprint: string,
  reason: RevocationReason,
  passphrase: PassphraseSource,
): Promise<Uint8Array> {
  // gpg makes one only in a dialogue: make it? which reason? a text, ended by an empty line; is that right?
  const answers = utf8(`y\n${menu[reason]}\n\ny\n`);
  const args = ['--command-fd', '0', '--armor', '--output', '-', '--gen-revoke', fingerprint];
  const result = await callGnupg(gnupg, args, { input: answers, ...given(passphrase) });
  if (result.exitCode !== 0 || result.stdout.length === 0) throw gnupgError(result, `revoke ${fingerprint}`);
  return result.stdout;
}

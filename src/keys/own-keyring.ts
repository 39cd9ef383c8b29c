/**
 * Bulla's own keyring: a folder (0700) with one armored file for each key and kind of part, named by
 * the primary key's fingerprint: `FPR.pub.asc`, `FPR.private.asc` (0600, protected by its passphrase),
 * `FPR.revoke.asc` (0600). Any OpenPGP program reads them.
 */
import { readdir, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

import { utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import {
  createFile,
  fileError,
  isSystemError,
  makeFolder,
  readFileIfThere,
  replaceFile,
} from '../io/files.ts';
import { keyNotFound, parseKeyPattern } from './key-id.ts';
import type { KeyInfo, KeyStore, PassphraseSource, RevocationReason } from './key-info.ts';
import { applyToFiles, importInto } from './own-import.ts';
import { unarmorKeys } from './openpgp/armor.ts';
import type { Certificate, KeyState } from './openpgp/certificate.ts';
import { parseKeyring } from './openpgp/keyring.ts';

export type KeyPart = 'pub' | 'private' | 'revoke';

/** The folder's files, read and written whole. */
export type KeyFiles = {
  readonly folder: string;
  /** Of all keys that are here. */
  fingerprints(): Promise<readonly string[]>;
  read(fingerprint: string, part: KeyPart): Promise<Uint8Array | undefined>;
  write(fingerprint: string, part: KeyPart, armored: string): Promise<void>;
};

/** `$XDG_DATA_HOME/bulla/keys`; XDG has a relative value ignored. */
export function ownKeyringFolder(env: NodeJS.ProcessEnv): string {
  const named = env['XDG_DATA_HOME'] ?? '';
  const data = isAbsolute(named) ? named : join(env['HOME'] ?? homedir(), '.local', 'share');
  return join(data, 'bulla', 'keys');
}

/** The keyring in that folder, which is made when the first key comes. */
export function openOwnKeyring(folder: string): KeyStore {
  const files = keyFiles(folder);
  return {
    source: 'own',
    description: folder,
    list: (pattern) => listOwnKeys(files, pattern),
    generate: async (request) => {
      const { generateOpenPgpKey } = await import('./openpgp-edit.ts');
      const made = await generateOpenPgpKey(request);
      await makeFolder(folder, 0o700);
      // the way to revoke it is there before the key is
      await createFile(pathOf(folder, made.fingerprint, 'revoke'), utf8(made.revocation), 0o600);
      await createFile(pathOf(folder, made.fingerprint, 'private'), utf8(made.secretKey), 0o600);
      await createFile(pathOf(folder, made.fingerprint, 'pub'), utf8(made.publicKey), 0o644);
      return made.fingerprint;
    },
    exportPublic: async (fingerprint, armor) => exported(await readPublic(files, fingerprint), armor),
    exportSecret: async (fingerprint, armor) => exported(await readSecretFile(files, fingerprint), armor),
    import: (bytes, passphrase = {}) =>
      importInto(files, bytes, (fingerprint) => askFor(fingerprint, passphrase)),
    extend: async (fingerprint, expires, passphrase) => {
      const { armorKey, extendOpenPgpKey } = await import('./openpgp-edit.ts');
      const secret = unarmorKeys(await readSecretFile(files, fingerprint));
      const { secretKey, publicKey } = await extendOpenPgpKey(secret, expires, () =>
        askFor(fingerprint, passphrase),
      );
      await files.write(fingerprint, 'private', await armorKey(secretKey));
      await files.write(fingerprint, 'pub', await armorKey(publicKey));
    },
    revoke: (fingerprint, reason, passphrase) => revoke(files, fingerprint, reason, passphrase),
    delete: (fingerprint, what) => remove(files, fingerprint, what),
  };
}

function keyFiles(folder: string): KeyFiles {
  return {
    folder,
    fingerprints: () => fingerprintsIn(folder),
    read: (fingerprint, part) => readFileIfThere(pathOf(folder, fingerprint, part), limits.keyringBytes),
    write: async (fingerprint, part, armored) => {
      await makeFolder(folder, 0o700);
      await replaceFile(pathOf(folder, fingerprint, part), utf8(armored), part === 'pub' ? 0o644 : 0o600);
    },
  };
}

function pathOf(folder: string, fingerprint: string, part: KeyPart): string {
  return join(folder, `${fingerprint}.${part}.asc`);
}

async function listOwnKeys(files: KeyFiles, pattern?: string): Promise<readonly KeyInfo[]> {
  const names = await files.fingerprints();
  const meant = pattern === undefined ? undefined : parseKeyPattern(pattern);
  // the usual case costs one file: the fingerprint of a primary key
  const one = meant?.kind === 'fingerprint' ? names.filter((each) => each === meant.hex) : [];
  const keys: KeyInfo[] = [];
  for (const fingerprint of one.length > 0 ? one : names) {
    const info = await readInfo(files, fingerprint);
    if (info !== undefined) keys.push(info);
  }
  return keys;
}

async function fingerprintsIn(folder: string): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw fileError(error, folder, 'read');
  }
  const found = names.map((name) => /^([0-9A-F]{40})\.(?:pub|private)\.asc$/.exec(name)?.[1]);
  return [...new Set(found.filter((each) => each !== undefined))].sort();
}

async function readInfo(files: KeyFiles, fingerprint: string): Promise<KeyInfo | undefined> {
  const secret = await files.read(fingerprint, 'private');
  const bytes = (await files.read(fingerprint, 'pub')) ?? secret;
  if (bytes === undefined) return undefined;
  const certificate = parseKeyring(bytes).certificates.find((each) => each.fingerprint === fingerprint);
  if (certificate === undefined) {
    throw new BullaError(
      'key.malformed',
      `the files of ${fingerprint} in ${files.folder} hold another key or none`,
    );
  }
  return infoOf(certificate, secret !== undefined);
}

function infoOf(certificate: Certificate, hasSecret: boolean): KeyInfo {
  return {
    ...partOf(certificate),
    userIds: certificate.userIds,
    hasSecret,
    source: 'own',
    subkeys: certificate.subkeys.filter((each) => each.bound).map(partOf),
  };
}

function partOf(state: KeyState): Omit<KeyInfo, 'userIds' | 'hasSecret' | 'source' | 'subkeys'> {
  const { fingerprint, algorithm, created, expires, revoked, usage } = state;
  return {
    fingerprint,
    algorithm,
    created,
    ...(expires !== undefined && { expires }),
    revoked,
    canSign: usage.sign,
  };
}

async function readPublic(files: KeyFiles, fingerprint: string): Promise<Uint8Array> {
  const stored = await files.read(fingerprint, 'pub');
  if (stored !== undefined) return stored;
  const { armorKey, publicPartOf } = await import('./openpgp-edit.ts');
  return utf8(await armorKey(await publicPartOf(unarmorKeys(await readSecretFile(files, fingerprint)))));
}

async function readSecretFile(files: KeyFiles, fingerprint: string): Promise<Uint8Array> {
  const stored = await files.read(fingerprint, 'private');
  if (stored !== undefined) return stored;
  if ((await files.read(fingerprint, 'pub')) === undefined) throw keyNotFound(fingerprint);
  throw new BullaError('key.not-found', `there is no secret key for ${fingerprint} in ${files.folder}`);
}

/** The secret key file of a key, as openSecretKey wants it. @throws BullaError `key.not-found` */
export function readOwnSecretKey(folder: string, fingerprint: string): Promise<Uint8Array> {
  return readSecretFile(keyFiles(folder), fingerprint);
}

function exported(stored: Uint8Array, armor: boolean): Uint8Array {
  return armor ? stored : unarmorKeys(stored);
}

/** A passphrase for a key, from its file or a person. @throws BullaError `key.passphrase-missing` */
export async function askFor(fingerprint: string, { given, ask }: PassphraseSource): Promise<string> {
  if (given !== undefined) return given;
  if (ask !== undefined) return ask(`Passphrase of key ${fingerprint}`);
  throw new BullaError(
    'key.passphrase-missing',
    `key ${fingerprint} is protected and there is no terminal to ask on`,
    {
      hint: 'give the passphrase in a file (--passphrase-file, --sign-passphrase-file)',
    },
  );
}

async function revoke(
  files: KeyFiles,
  fingerprint: string,
  reason: RevocationReason | undefined,
  passphrase: PassphraseSource,
): Promise<void> {
  const edit = await import('./openpgp-edit.ts');
  const publicKey = unarmorKeys(await readPublic(files, fingerprint));
  const birth = reason === undefined ? await files.read(fingerprint, 'revoke') : undefined;
  if (birth === undefined) {
    const secret = unarmorKeys(await readSecretFile(files, fingerprint));
    const revoked = await edit.revokeOpenPgpKey(secret, reason ?? 'none', () =>
      askFor(fingerprint, passphrase),
    );
    await files.write(fingerprint, 'private', await edit.armorKey(revoked.secretKey));
    await files.write(
      fingerprint,
      'pub',
      await edit.armorKey(await edit.mergeCertificates(publicKey, revoked.publicKey)),
    );
    return;
  }
  await applyToFiles(files, fingerprint, unarmorKeys(birth));
}

async function remove(files: KeyFiles, fingerprint: string, what: 'secret' | 'all'): Promise<void> {
  if (what === 'secret') await readSecretFile(files, fingerprint);
  else await readPublic(files, fingerprint);
  const parts: readonly KeyPart[] = what === 'secret' ? ['private'] : ['private', 'pub', 'revoke'];
  // a key that is only secret would otherwise be gone without its public part
  if (what === 'secret' && (await files.read(fingerprint, 'pub')) === undefined) {
    await files.write(
      fingerprint,
      'pub',
      Buffer.from(await readPublic(files, fingerprint)).toString('latin1'),
    );
  }
  for (const part of parts) {
    const path = pathOf(files.folder, fingerprint, part);
    await rm(path, { force: true }).catch((error: unknown) => {
      throw fileError(error, path, 'remove');
    });
  }
}

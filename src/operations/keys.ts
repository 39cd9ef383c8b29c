/** The life of OpenPGP keys in both keyrings: Bulla's own and the user's GnuPG. */
import { rm } from 'node:fs/promises';

import { concatBytes, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { createFile, exists } from '../io/files.ts';
import { openGnupgKeyring } from '../keys/gnupg-keyring.ts';
import { findGnupg } from '../keys/gnupg-process.ts';
import { chooseKey, keyNotFound, matchKeys, parseKeyPattern } from '../keys/key-id.ts';
import type {
  GenerateRequest,
  Imported,
  KeyInfo,
  KeySource,
  KeyStore,
  PassphraseSource,
  RevocationReason,
} from '../keys/key-info.ts';
import { openOwnKeyring, ownKeyringFolder } from '../keys/own-keyring.ts';

export type KeyContext = {
  /** GNUPGHOME, XDG_DATA_HOME, HOME, PATH. */
  readonly env: NodeJS.ProcessEnv;
  /** Look in this keyring only. */
  readonly only?: KeySource;
};

/** `gnupg`, `own`, or three files at a path prefix and no keyring. */
export type GenerateTarget = KeySource | { readonly prefix: string };

export type Generated = {
  readonly fingerprint: string;
  /** Where it went, for people. */
  readonly places: readonly string[];
};

/**
 * Makes a signing key with its revocation certificate.
 * @throws BullaError `key.exists` (a file of that prefix is there), `usage.invalid` (user ID), `key.passphrase-missing`, `key.unusable`
 */
export async function generateKey(
  context: KeyContext,
  request: GenerateRequest,
  target: GenerateTarget,
): Promise<Generated> {
  checkUserId(request.userId);
  if (typeof target === 'object') return generateFiles(request, target.prefix);
  const store = openStore(context, target);
  return { fingerprint: await store.generate(request), places: [store.description] };
}

/** gpg refuses less (angle brackets at the end only); a line break would forge a second line of a listing. */
function checkUserId(userId: string): void {
  const isClean = userId.trim() === userId && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(userId);
  if (isClean && userId.length > 0 && utf8(userId).length <= 1024) return;
  throw new BullaError(
    'usage.invalid',
    'the user ID is empty, too long, or has blanks around it or control characters',
    {
      hint: 'it reads: Name <mail>',
    },
  );
}

async function generateFiles(request: GenerateRequest, prefix: string): Promise<Generated> {
  const paths = [`${prefix}.revoke.asc`, `${prefix}.private.asc`, `${prefix}.pub.asc`] as const;
  for (const path of paths) if (await exists(path)) throw fileExists(path);
  const { generateOpenPgpKey } = await import('../keys/openpgp-edit.ts');
  const made = await generateOpenPgpKey(request);
  const contents = [made.revocation, made.secretKey, made.publicKey] as const;
  const done: string[] = [];
  try {
    for (const [index, path] of paths.entries()) {
      const isPublic = path.endsWith('.pub.asc');
      if (!(await createFile(path, utf8(contents[index] ?? ''), isPublic ? 0o644 : 0o600)))
        throw fileExists(path);
      done.push(path);
    }
  } catch (error) {
    // half a key helps nobody, and these files are this call's own
    for (const path of done) await rm(path, { force: true });
    throw error;
  }
  return { fingerprint: made.fingerprint, places: paths };
}

function fileExists(path: string): BullaError {
  return new BullaError('key.exists', `${path} is there already`, { hint: 'choose another --output-prefix' });
}

/** All keys, or those that `pattern` means; with `secret` only those whose secret part is there. GnuPG's come first. */
export async function listKeys(
  context: KeyContext,
  options: { readonly secret?: boolean; readonly pattern?: string } = {},
): Promise<readonly KeyInfo[]> {
  const { pattern, secret = false } = options;
  const lists = await Promise.all(openStores(context).map((store) => listStore(store, pattern)));
  const keys = lists.flat().filter((key) => key.hasSecret || !secret);
  return pattern === undefined ? keys : matchKeys(parseKeyPattern(pattern), keys);
}

/** A GnuPG home whose gpg is not installed is as good as none. */
async function listStore(store: KeyStore, pattern?: string): Promise<readonly KeyInfo[]> {
  try {
    return await store.list(pattern);
  } catch (error) {
    if (store.source === 'gnupg' && error instanceof BullaError && error.code === 'process.not-found')
      return [];
    throw error;
  }
}

/** One key, once for each keyring that has it. @throws BullaError `key.not-found`, `key.ambiguous`, `usage.invalid` */
export async function findKey(context: KeyContext, id: string): Promise<readonly [KeyInfo, ...KeyInfo[]]> {
  const keys = await listKeys(context, { pattern: id });
  const chosen = chooseKey(id, keys);
  return [chosen, ...keys.filter((key) => key !== chosen && key.fingerprint === chosen.fingerprint)];
}

/**
 * A key's public certificate, or its secret key as it is protected.
 * @throws BullaError as findKey, and `key.passphrase-missing`, `key.passphrase-wrong`
 */
export async function exportKey(
  context: KeyContext,
  id: string,
  options: { readonly armor: boolean; readonly secret: boolean; readonly passphrase: PassphraseSource },
): Promise<Uint8Array> {
  const found = await findKey(context, id);
  const { fingerprint, source } = options.secret ? withSecret(found) : found[0];
  const store = openStore(context, source);
  if (!options.secret) return store.exportPublic(fingerprint, options.armor);
  return store.exportSecret(fingerprint, options.armor, options.passphrase);
}

/**
 * The public certificates of those of the fingerprints that the keyrings have, one after another, binary.
 * @param fingerprints of primary keys, upper-case hex
 * @throws BullaError `key.not-found` where they have none of them
 */
export async function exportPublicKeys(
  fingerprints: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<Uint8Array> {
  const found: Uint8Array[] = [];
  for (const fingerprint of fingerprints) {
    const keys = await listKeys({ env }, { pattern: fingerprint });
    // the same key from both keyrings: one may know a revocation that the other does not
    for (const key of keys)
      found.push(await openStore({ env }, key.source).exportPublic(key.fingerprint, false));
  }
  if (found.length === 0) throw keyNotFound(fingerprints.join(', '));
  return concatBytes(...found);
}

/** @throws BullaError `key.malformed`, `key.none`, `key.not-found` (a revocation certificate of an unknown key), `key.passphrase-*` */
export function importKeys(
  context: KeyContext,
  bytes: Uint8Array,
  target: KeySource,
  passphrase: PassphraseSource = {},
): Promise<readonly Imported[]> {
  return openStore(context, target).import(bytes, passphrase);
}

/**
 * Sets when a key expires (undefined: never), in every keyring that has it.
 * @throws BullaError as exportKey, `key.unusable`
 */
export async function extendKey(
  context: KeyContext,
  id: string,
  expires: Date | undefined,
  passphrase: PassphraseSource,
): Promise<KeyInfo> {
  const found = await findKey(context, id);
  const key = withSecret(found);
  await openStore(context, key.source).extend(key.fingerprint, expires, passphrase);
  await spread(context, key, found);
  return key;
}

/**
 * Revokes a key in every keyring that has it: without a reason by its certificate made at birth.
 * @throws BullaError as exportKey, `key.unusable`
 */
export async function revokeKey(
  context: KeyContext,
  id: string,
  reason: RevocationReason | undefined,
  passphrase: PassphraseSource,
): Promise<KeyInfo> {
  const found = await findKey(context, id);
  const key = found.find((each) => each.hasSecret) ?? found[0];
  await openStore(context, key.source).revoke(key.fingerprint, reason, passphrase);
  await spread(context, key, found);
  return key;
}

/** The other keyring's copy of a key learns what has changed. */
async function spread(context: KeyContext, changed: KeyInfo, copies: readonly KeyInfo[]): Promise<void> {
  const certificate = await openStore(context, changed.source).exportPublic(changed.fingerprint, false);
  for (const { source } of copies) {
    if (source !== changed.source) await openStore(context, source).import(certificate);
  }
}

/**
 * Deletes a key's secret part, or all of it, from one keyring.
 * @throws BullaError as findKey; `key.ambiguous` where both keyrings have it
 */
export async function deleteKey(context: KeyContext, id: string, what: 'secret' | 'all'): Promise<KeyInfo> {
  const key = await findDeletable(context, id, what);
  await openStore(context, key.source).delete(key.fingerprint, what);
  return key;
}

/** What deleteKey would delete, so that a person can be asked first. */
export async function findDeletable(
  context: KeyContext,
  id: string,
  what: 'secret' | 'all',
): Promise<KeyInfo> {
  const found = await findKey(context, id);
  const [first, second] = what === 'secret' ? found.filter((key) => key.hasSecret) : found;
  if (first === undefined) return withSecret(found);
  if (second === undefined) return first;
  throw new BullaError('key.ambiguous', `both keyrings have key ${first.fingerprint}`, {
    hint: 'say which by --gnupg or --own',
  });
}

function withSecret(found: readonly [KeyInfo, ...KeyInfo[]]): KeyInfo {
  const key = found.find((each) => each.hasSecret);
  if (key !== undefined) return key;
  throw new BullaError('key.not-found', `the secret part of key ${found[0].fingerprint} is not here`);
}

function openStores(context: KeyContext): readonly KeyStore[] {
  const sources: readonly KeySource[] = context.only === undefined ? ['gnupg', 'own'] : [context.only];
  return sources.map((source) => openStore(context, source));
}

function openStore({ env }: KeyContext, source: KeySource): KeyStore {
  return source === 'own' ? openOwnKeyring(ownKeyringFolder(env)) : openGnupgKeyring(findGnupg(env));
}

/** From what a person calls a key to something that signs. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { BullaError, isBullaError } from '../base/errors.ts';
import { findGnupgSecretKeys } from './gnupg-list.ts';
import { findGnupg, type Gnupg, hasKeyring } from './gnupg-process.ts';
import { openGnupgSigner } from './gnupg-signer.ts';
import { chooseKey, matchKeys, parseKeyPattern, unusableBecause } from './key-id.ts';
import type { KeyInfo, PassphraseSource } from './key-info.ts';
import { askFor, openOwnKeyring, ownKeyringFolder, readOwnSecretKey } from './own-keyring.ts';
import type { Signer } from './signer.ts';

export type SignerContext = {
  /** GNUPGHOME, XDG_DATA_HOME, HOME, PATH. */
  readonly env: NodeJS.ProcessEnv;
  readonly passphrase?: PassphraseSource;
  /** Default: now. */
  readonly now?: Date;
};

/**
 * Opens the secret key that `id` names, in GnuPG where `gpg` is there and holds it, else in Bulla's
 * own keyring. The same key in both is one key, and GnuPG's; two different keys are refused. Keys
 * that cannot sign now (expired, revoked) step back where one that can is meant too. Start it
 * before other work: it waits for one gpg process, and for none where GnuPG's home has no keyring,
 * where the own key is named in full and its passphrase given, or where the key was made in that home.
 * @throws BullaError `key.not-found`, `key.ambiguous`, `key.unusable`, `key.passphrase-missing`, `key.passphrase-wrong`, `usage.invalid`
 */
export async function openSigner(id: string, context: SignerContext): Promise<Signer> {
  return openMadeInGnupg(id, context) ?? (await openFound(id, context));
}

/**
 * A key named by its whole fingerprint that was made in GnuPG's home: gpg left its revocation
 * certificate there, named by the primary key. It is not looked for: should gpg not sign with it
 * any more, everything is looked at then, and what comes of that counts.
 */
function openMadeInGnupg(id: string, context: SignerContext): Signer | undefined {
  const pattern = parseKeyPattern(id);
  const gnupg = findGnupg(context.env);
  if (pattern.kind !== 'fingerprint' || pattern.exactly || !hasKeyring(gnupg)) return undefined;
  if (!existsSync(join(gnupg.home, 'openpgp-revocs.d', `${pattern.hex}.rev`))) return undefined;
  const given = context.passphrase?.given;
  const signing = given === undefined ? {} : { passphrase: given };
  const signer = openGnupgSigner(gnupg, { fingerprint: pattern.hex }, signing);
  return {
    ...signer,
    sign: async (message) => {
      try {
        return await signer.sign(message);
      } catch (error) {
        if (!isBullaError(error, 'key.unusable') && !isBullaError(error, 'process.not-found')) throw error;
        await using found = await openFound(id, context);
        return await found.sign(message);
      }
    },
  };
}

async function openFound(id: string, context: SignerContext): Promise<Signer> {
  const gnupg = findGnupg(context.env);
  const folder = ownKeyringFolder(context.env);
  const [theirs, ours] = await candidates(id, gnupg, folder, context);
  const secret = [...theirs, ...ours].filter((key) => key.hasSecret);
  const now = context.now ?? new Date();
  const usable = secret.filter((key) => unusableBecause(key, now) === undefined);
  const key = choose(id, usable, secret, now);
  const passphrase = context.passphrase ?? {};
  const subkey = exactPart(id);
  if (key.source === 'gnupg') {
    const { given } = passphrase;
    return openGnupgSigner(gnupg, key, { ...(given !== undefined && { passphrase: given }), ...subkey });
  }
  const { openSecretKey } = await import('./openpgp/sign.ts');
  return openSecretKey(await readOwnSecretKey(folder, key.fingerprint), {
    passphrase: () => askFor(key.fingerprint, passphrase),
    ...(subkey !== undefined && { keyId: `${subkey.subkey}!` }),
  });
}

/** What each keyring has for the name: GnuPG's keys, and the own ones. */
async function candidates(
  id: string,
  gnupg: Gnupg,
  folder: string,
  { passphrase }: SignerContext,
): Promise<readonly [readonly KeyInfo[], readonly KeyInfo[]]> {
  const own = openOwnKeyring(folder);
  const pattern = parseKeyPattern(id);
  if (pattern.kind === 'fingerprint' && passphrase?.given !== undefined) {
    // a whole fingerprint means one key, wherever it lies: there is nothing to ask a process for
    const ours = await own.list(id);
    if (ours.some((key) => key.fingerprint === pattern.hex && key.hasSecret)) return [[], ours];
  }
  return Promise.all([inGnupg(gnupg, id), own.list(id)]);
}

function exactPart(id: string): { readonly subkey: string } | undefined {
  const pattern = parseKeyPattern(id);
  return 'exactly' in pattern && pattern.exactly ? { subkey: pattern.hex } : undefined;
}

/** Without gpg there is only the own keyring. */
async function inGnupg(gnupg: Gnupg, id: string): Promise<readonly KeyInfo[]> {
  if (!hasKeyring(gnupg)) return [];
  try {
    return await findGnupgSecretKeys(gnupg, id);
  } catch (error) {
    if (error instanceof BullaError && error.code === 'process.not-found') return [];
    throw error;
  }
}

function choose(id: string, usable: readonly KeyInfo[], all: readonly KeyInfo[], now: Date): KeyInfo {
  const pattern = parseKeyPattern(id);
  if (matchKeys(pattern, usable).length > 0) return chooseKey(id, usable);
  const key = chooseKey(id, all, 'secret key');
  throw new BullaError(
    'key.unusable',
    `key ${key.fingerprint} cannot sign: ${unusableBecause(key, now) ?? ''}`,
    {
      hint: '`bulla key extend` renews an expired key; `bulla key list --secret` shows the others',
    },
  );
}

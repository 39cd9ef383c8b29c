/** Keys in the user's GnuPG home, as `gpg --with-colons` lists them (GnuPG's doc/DETAILS). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { textOrThrow } from '../base/bytes.ts';
import { callGnupg, type Gnupg, gnupgError } from './gnupg-process.ts';
import { gnupgSearch, matchKeys, parseKeyPattern } from './key-id.ts';
import type { KeyInfo, SubkeyInfo } from './key-info.ts';

export type ListedKey = KeyInfo & {
  /** Keygrips of the parts that sign: they name the files of their secret parts. */
  readonly grips: readonly string[];
  /** The agent holds the secret part of one that signs. A key kept only to decrypt is no signer's. */
  readonly hasSigningSecret: boolean;
};

/**
 * Public and secret keys, or those that `pattern` may mean. Asks the agent which secret keys it has.
 * @throws BullaError `process.not-found`, `key.unusable` where gpg cannot read its keyring
 */
export async function listGnupgKeys(gnupg: Gnupg, pattern?: string): Promise<readonly ListedKey[]> {
  return list(gnupg, ['--with-secret'], pattern);
}

/**
 * The keys that `pattern` means and whose secret part gpg holds. Where exactly one key is meant and
 * its secret part is a file in this home, one gpg process and no agent is enough, which halves the
 * wait; a forwarded agent or a second candidate takes the full listing.
 */
export async function findGnupgSecretKeys(gnupg: Gnupg, pattern: string): Promise<readonly KeyInfo[]> {
  const meaning = parseKeyPattern(pattern);
  const quick = matchKeys(meaning, await list(gnupg, [], pattern)) as readonly ListedKey[];
  const [only] = quick;
  if (only === undefined) return [];
  const isHere = only.grips.some((grip) => existsSync(join(gnupg.home, 'private-keys-v1.d', `${grip}.key`)));
  if (quick.length === 1 && isHere) return [{ ...only, hasSecret: true }];
  const full = await listGnupgKeys(gnupg, pattern);
  return matchKeys(
    meaning,
    full.filter((key) => key.hasSigningSecret),
  );
}

async function list(
  gnupg: Gnupg,
  options: readonly string[],
  pattern?: string,
): Promise<readonly ListedKey[]> {
  const search = pattern === undefined ? [] : ['--', gnupgSearch(parseKeyPattern(pattern))];
  const args = [
    '--batch',
    '--with-colons',
    '--with-keygrip',
    '--fixed-list-mode',
    ...options,
    '--list-keys',
    ...search,
  ];
  const result = await callGnupg(gnupg, args);
  if (result.exitCode !== 0 && !result.log.some((line) => /No (public|secret) key/.test(line))) {
    throw gnupgError(result, `list the keys of ${gnupg.home}`);
  }
  return parseColons(textOrThrow(result.stdout, 'what gpg lists'));
}

type Building = {
  record: readonly string[];
  fingerprint: string;
  userIds: string[];
  grips: string[];
  subkeys: { record: readonly string[]; fingerprint: string }[];
};

/** Parses gpg's colon listing. Records it does not know are left out. */
export function parseColons(text: string): readonly ListedKey[] {
  const keys: Building[] = [];
  for (const line of text.split('\n')) {
    const record = line.split(':');
    const key = keys.at(-1);
    switch (field(record, 0)) {
      case 'pub':
      case 'sec':
        keys.push({ record, fingerprint: '', userIds: [], grips: [], subkeys: [] });
        break;
      case 'sub':
      case 'ssb':
        key?.subkeys.push({ record, fingerprint: '' });
        break;
      case 'fpr': {
        const part = key?.subkeys.at(-1) ?? key;
        if (part !== undefined && part.fingerprint === '') part.fingerprint = field(record, 9);
        break;
      }
      case 'grp':
        if (key !== undefined && signs((key.subkeys.at(-1) ?? key).record)) key.grips.push(field(record, 9));
        break;
      case 'uid':
        if (key !== undefined && isOwnersName(record, key)) key.userIds.push(unescape(field(record, 9)));
        break;
      default:
    }
  }
  return keys.map(finish);
}

/** Not invalid and not revoked; where the whole key is revoked gpg says so of each of its user IDs. */
function isOwnersName(record: readonly string[], key: Building): boolean {
  const validity = field(record, 1);
  return validity !== 'i' && (validity !== 'r' || field(key.record, 1) === 'r');
}

function finish(key: Building): ListedKey {
  const { record } = key;
  const held = [record, ...key.subkeys.map((each) => each.record)].filter(isHeld);
  return {
    ...partOf(record, key.fingerprint),
    userIds: key.userIds,
    hasSecret: held.length > 0,
    hasSigningSecret: held.some(signs),
    source: 'gnupg',
    subkeys: key.subkeys.map((each) => partOf(each.record, each.fingerprint)),
    grips: key.grips,
  };
}

/** `+`: the agent has the secret part; a serial number: it is on a card; `#`: only a stub. */
function isHeld(record: readonly string[]): boolean {
  return !['', '#'].includes(field(record, 14));
}

/** Small letters speak of the part itself, capital ones of the whole key. */
function signs(record: readonly string[]): boolean {
  return field(record, 11).includes('s');
}

function partOf(record: readonly string[], fingerprint: string): SubkeyInfo {
  const expires = field(record, 6);
  return {
    fingerprint,
    algorithm: algorithmOf(record),
    created: dateOf(field(record, 5)),
    ...(expires !== '' && { expires: dateOf(expires) }),
    revoked: field(record, 1) === 'r',
    canSign: signs(record),
  };
}

function algorithmOf(record: readonly string[]): string {
  const bits = field(record, 2);
  const names: Readonly<Record<string, string>> = {
    1: `rsa${bits}`,
    2: `rsa${bits}`,
    3: `rsa${bits}`,
    16: `elg${bits}`,
    17: `dsa${bits}`,
  };
  return names[field(record, 3)] ?? (field(record, 16) || `algorithm ${field(record, 3)}`);
}

function dateOf(seconds: string): Date {
  return new Date(Number(seconds) * 1000);
}

function field(record: readonly string[], index: number): string {
  return record[index] ?? '';
}

/** gpg writes a colon and control characters of a user ID as `\x3a`. */
function unescape(text: string): string {
  return text.replace(/\\x([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

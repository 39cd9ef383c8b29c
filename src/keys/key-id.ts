/** Which key a person means: fingerprint, long key ID, mail, user ID; as GnuPG names keys, but never by a guess. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { KeyInfo } from './key-info.ts';

export type KeyPattern =
  /** `exactly`: that part of the key and no other shall sign. */
  | { readonly kind: 'fingerprint' | 'long-id'; readonly hex: string; readonly exactly: boolean }
  | { readonly kind: 'mail'; readonly mail: string }
  | { readonly kind: 'user-id'; readonly userId: string }
  | { readonly kind: 'part'; readonly text: string };

/**
 * Parses what names a key: 40 hexadecimal digits (blanks between, as gpg prints them, are fine), 16 of
 * them, `<mail>`, `=Full User ID`, `*part`, or a part of a user ID. A `!` after digits means exactly that subkey.
 * @throws BullaError `usage.invalid` where it is empty or a short key ID
 */
export function parseKeyPattern(text: string): KeyPattern {
  const trimmed = text.trim();
  // no user ID has them, and no program can be given a NUL
  if (/\p{Cc}/u.test(trimmed))
    throw new BullaError('usage.invalid', 'the name of a key holds control characters');
  const digits = trimmed.replace(/\s/g, '').replace(/^0x/i, '').toUpperCase();
  const exactly = digits.endsWith('!');
  const hex = exactly ? digits.slice(0, -1) : digits;
  if (/^[0-9A-F]{40}$/.test(hex)) return { kind: 'fingerprint', hex, exactly };
  if (/^[0-9A-F]{16}$/.test(hex)) return { kind: 'long-id', hex, exactly };
  if (/^[0-9A-F]{8}$/.test(hex)) {
    // 32 bits: anyone makes a second key with the same short ID in seconds
    throw new BullaError(
      'usage.invalid',
      `"${printable(text)}" is a short key ID, which any number of keys can share`,
      {
        hint: `name the key by its fingerprint or 16-digit ID; for a part of a user ID write "*${trimmed}"`,
      },
    );
  }
  const mail = /^<([^<>]+)>$/.exec(trimmed)?.[1];
  if (mail !== undefined) return { kind: 'mail', mail: mail.toLowerCase() };
  if (/^=./.test(trimmed)) return { kind: 'user-id', userId: trimmed.slice(1) };
  const part = trimmed.replace(/^\*/, '').toLowerCase();
  if (part === '') throw new BullaError('usage.invalid', 'the name of a key is empty');
  return { kind: 'part', text: part };
}

/** The same as a search that gpg understands; it may find more than is meant, never less. */
export function gnupgSearch(pattern: KeyPattern): string {
  switch (pattern.kind) {
    case 'fingerprint':
    case 'long-id':
      return `0x${pattern.hex}`;
    case 'mail':
      return `<${pattern.mail}>`;
    case 'user-id':
      return `=${pattern.userId}`;
    case 'part':
      return `*${pattern.text}`;
  }
}

/**
 * The keys that `pattern` means. A part that is the whole mail address of some keys means only
 * those: `ann@example.com` is not `joann@example.com`.
 */
export function matchKeys(pattern: KeyPattern, keys: readonly KeyInfo[]): readonly KeyInfo[] {
  if (pattern.kind === 'part') {
    const exact = keys.filter((key) => key.userIds.some((each) => mailOf(each) === pattern.text));
    if (exact.length > 0) return exact;
  }
  return keys.filter((key) => isMeant(pattern, key));
}

function isMeant(pattern: KeyPattern, key: KeyInfo): boolean {
  switch (pattern.kind) {
    case 'fingerprint':
      return fingerprintsOf(key).includes(pattern.hex);
    case 'long-id':
      return fingerprintsOf(key).some((each) => each.endsWith(pattern.hex));
    case 'mail':
      return key.userIds.some((each) => mailOf(each) === pattern.mail);
    case 'user-id':
      return key.userIds.includes(pattern.userId);
    case 'part':
      return key.userIds.some((each) => each.toLowerCase().includes(pattern.text));
  }
}

function fingerprintsOf(key: KeyInfo): readonly string[] {
  return [key.fingerprint, ...key.subkeys.map((each) => each.fingerprint)];
}

/** The mail address of a user ID, lower-case: what stands in its last angle brackets, or all of it. */
function mailOf(userId: string): string | undefined {
  const mail = /<([^<>]+)>\s*$/.exec(userId)?.[1] ?? (/^\S+@\S+$/.test(userId) ? userId : undefined);
  return mail?.toLowerCase();
}

/**
 * The one key that `text` names among `keys`. The same key in two places is one key: the first place wins.
 * @throws BullaError `key.not-found`, `key.ambiguous`, `usage.invalid`
 */
export function chooseKey(
  text: string,
  keys: readonly KeyInfo[],
  what: 'key' | 'secret key' = 'key',
): KeyInfo {
  const [first, ...others] = matchKeys(parseKeyPattern(text), keys);
  if (first === undefined) throw keyNotFound(text, what);
  const different = others.filter((each) => each.fingerprint !== first.fingerprint);
  if (different.length > 0) throw ambiguous(text, [first, ...different]);
  return first;
}

export function keyNotFound(text: string, what: 'key' | 'secret key' = 'key'): BullaError {
  return new BullaError('key.not-found', `no ${what} matches "${printable(text)}"`, {
    hint: '`bulla key list` shows the keys; `bulla key import FILE` takes one in',
  });
}

function ambiguous(text: string, keys: readonly KeyInfo[]): BullaError {
  const fingerprints = [...new Set(keys.map((each) => each.fingerprint))];
  const shown = fingerprints.slice(0, 5).join(', ') + (fingerprints.length > 5 ? ', …' : '');
  return new BullaError('key.ambiguous', `"${printable(text)}" names ${fingerprints.length} keys: ${shown}`, {
    hint: 'name the key by its fingerprint',
  });
}

/** Why a key cannot sign now, or undefined where it can. */
export function unusableBecause(key: KeyInfo, now: Date): string | undefined {
  if (key.revoked) return 'it is revoked';
  if (key.expires !== undefined && key.expires <= now)
    return `it expired on ${key.expires.toISOString().slice(0, 10)}`;
  const signs = key.subkeys.some(
    (each) => each.canSign && !each.revoked && !(each.expires !== undefined && each.expires <= now),
  );
  return key.canSign || signs ? undefined : 'it has no part that signs';
}

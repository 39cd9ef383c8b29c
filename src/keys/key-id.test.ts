import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { BullaError, isBullaError } from '../base/errors.ts';
import { chooseKey, gnupgSearch, matchKeys, parseKeyPattern, unusableBecause } from './key-id.ts';
import type { KeyInfo } from './key-info.ts';

const first = '0123456789ABCDEF0123456789ABCDEF01234567';
const second = 'FEDCBA9876543210FEDCBA9876543210FEDCBA98';
const subkey = 'AAAAAAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB';

function key(fingerprint: string, userIds: readonly string[], more: Partial<KeyInfo> = {}): KeyInfo {
  const created = new Date('2026-01-01');
  return {
    fingerprint,
    userIds,
    algorithm: 'ed25519',
    created,
    revoked: false,
    canSign: true,
    hasSecret: true,
    source: 'own',
    subkeys: [],
    ...more,
  };
}

const ann = key(first, ['Ann Release <ann@example.com>'], {
  subkeys: [
    { fingerprint: subkey, algorithm: 'ed25519', created: new Date(), revoked: false, canSign: true },
  ],
});
const joann = key(second, ['Joann <joann@example.com>']);
const both = [ann, joann];

test('a key is found by fingerprint, long ID, subkey, mail, whole user ID and a part of it', () => {
  const names = [
    first,
    first.toLowerCase(),
    `0x${first}`,
    '0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567',
    first.slice(-16),
    subkey,
    `${subkey.slice(-16)}!`,
    '<ANN@example.com>',
    'ann@example.com',
    '=Ann Release <ann@example.com>',
    'release',
    '*Ann R',
  ];
  for (const name of names) assert.equal(chooseKey(name, both).fingerprint, first, name);
});

test('a whole mail address is not a part of a longer one', () => {
  assert.deepEqual(matchKeys(parseKeyPattern('ann@example.com'), both), [ann]);
  assert.deepEqual(matchKeys(parseKeyPattern('nn@example.com'), both), both);
});

test('two keys of one name are refused, the same key twice is not', () => {
  assert.throws(
    () => chooseKey('example.com', both),
    (error) => isBullaError(error, 'key.ambiguous') && error.message.includes(second),
  );
  const theirs = { ...ann, source: 'gnupg' as const };
  assert.equal(chooseKey('ann', [theirs, ann]).source, 'gnupg');
});

test('no key, no name and a short key ID have their codes', () => {
  assert.throws(
    () => chooseKey('bob', both),
    (error) => isBullaError(error, 'key.not-found'),
  );
  for (const name of ['', '  ', '*', '01234567', '0x01234567']) {
    assert.throws(
      () => chooseKey(name, both),
      (error) => isBullaError(error, 'usage.invalid'),
      name,
    );
  }
});

test('any text is a pattern or refused as usage, and gpg is never given an option or a bare word', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        assert.match(gnupgSearch(parseKeyPattern(text)), /^(?:0x[0-9A-F]+$|[<=*].)/su);
      } catch (error) {
        assert.ok(error instanceof BullaError && error.code === 'usage.invalid', String(error));
      }
    }),
  );
});

test('a key that is revoked, expired or not for signing cannot sign', () => {
  const now = new Date('2026-06-01');
  assert.equal(unusableBecause(ann, now), undefined);
  assert.match(unusableBecause(key(first, [], { revoked: true }), now) ?? '', /revoked/u);
  assert.match(unusableBecause(key(first, [], { expires: now }), now) ?? '', /expired on 2026-06-01/u);
  assert.match(unusableBecause(key(first, [], { canSign: false }), now) ?? '', /signs/u);
  assert.equal(unusableBecause({ ...ann, canSign: false }, now), undefined);
});

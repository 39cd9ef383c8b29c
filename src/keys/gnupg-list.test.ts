import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { parseColons } from './gnupg-list.ts';

const fingerprint = '78A0C63A50158A4D9F437C7889E505D24C94E86C';
const subkey = '11A0C63A50158A4D9F437C7889E505D24C94E811';

// by GnuPG's doc/DETAILS: type, validity, length, algorithm, key ID, created, expires, …, capabilities (12), token (15), curve (17)
const listing = [
  'tru::1:1795350776:1858422776:3:1:5',
  'pub:u:255:22:89E505D24C94E86C:1795350776:1858422776::u:::cESC:::+::ed25519:::0:',
  `fpr:::::::::${fingerprint}:`,
  'grp:::::::::958E67495A09256E7566772DC40DE97851F9AA6E:',
  'uid:u::::1795350776::745654D57C93D135F34F1540CC7100770B4FFE16::Ann\\x3a Release <ann@example.com>::::::::::0:',
  'uid:r::::1795350776::745654D57C93D135F34F1540CC7100770B4FFE17::Old Name <old@example.com>::::::::::0:',
  'sub:r:3072:1:89E505D24C94E811:1795350777::::::s:::D2760001240102010006055555550000:::::0:',
  `fpr:::::::::${subkey}:`,
  'grp:::::::::1117B0F60B8DE8C9F3B3AB9A4F6C8B7A6D5E4F31:',
  'pub:r:3072:1:1111111111111111:1795350776:::u:::sc::::::::0:',
  'fpr:::::::::1111111111111111111111111111111111111111:',
  'uid:r::::1795350776::745654D57C93D135F34F1540CC7100770B4FFE16::Gone <gone@example.com>::::::::::0:',
].join('\n');

test('gpg’s listing is read: dates, curves, cards, revoked names and keys', () => {
  const [ann, gone, ...others] = parseColons(listing);
  assert.deepEqual(others, []);
  assert.equal(ann?.fingerprint, fingerprint);
  assert.deepEqual(ann.userIds, ['Ann: Release <ann@example.com>']);
  assert.equal(ann.algorithm, 'ed25519');
  assert.equal(ann.created.getTime(), 1_795_350_776_000);
  assert.equal(ann.expires?.getTime(), 1_858_422_776_000);
  assert.equal(ann.hasSecret, true);
  // capital letters are the whole key's, small ones the primary key's own
  assert.equal(ann.canSign, false);
  assert.deepEqual(ann.grips, ['1117B0F60B8DE8C9F3B3AB9A4F6C8B7A6D5E4F31']);
  assert.equal(ann.hasSigningSecret, true);
  assert.deepEqual(
    ann.subkeys.map((each) => [each.fingerprint, each.algorithm, each.revoked, each.canSign, each.expires]),
    [[subkey, 'rsa3072', true, true, undefined]],
  );
  assert.equal(gone?.revoked, true);
  assert.equal(gone.hasSecret, false);
  assert.deepEqual(gone.userIds, ['Gone <gone@example.com>']);
});

test('a secret key whose every part is a stub is not held', () => {
  const [key] = parseColons(
    `sec:u:255:22:89E505D24C94E86C:1795350776:::u:::sc:::#::ed25519:::0:\nfpr:::::::::${fingerprint}:`,
  );
  assert.equal(key?.hasSecret, false);
});

test('no listing makes the reader throw', () => {
  const line = fc.tuple(
    fc.constantFrom('pub', 'sub', 'uid', 'fpr', 'grp', 'tru', ''),
    fc.array(fc.string(), { maxLength: 18 }),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      parseColons(lines.map(([kind, fields]) => [kind, ...fields].join(':')).join('\n'));
    }),
  );
});

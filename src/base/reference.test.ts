import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { isBullaError } from './errors.ts';
import {
  formatReference,
  isNameOnly,
  parseReference,
  repositoryOf,
  tryParseReference,
  withDigest,
} from './reference.ts';
import { parseDigest } from './digest.ts';

const hex = 'a'.repeat(64);

// what Docker's own reference grammar and normalisation say of each (distribution/reference, its documentation)
const normalised: readonly (readonly [string, string])[] = [
  ['busybox', 'docker.io/library/busybox'],
  ['busybox:1', 'docker.io/library/busybox:1'],
  ['docker.io/busybox', 'docker.io/library/busybox'],
  ['index.docker.io/library/busybox:1', 'docker.io/library/busybox:1'],
  ['ns/app', 'docker.io/ns/app'],
  ['localhost/app', 'localhost/app'],
  ['registry.example.com/ns/app:1.0', 'registry.example.com/ns/app:1.0'],
  ['127.0.0.1:5000/app', '127.0.0.1:5000/app'],
  ['Registry.example.com/app', 'Registry.example.com/app'],
  [`registry.example.com/app@sha256:${hex}`, `registry.example.com/app@sha256:${hex}`],
  [`registry.example.com/app:1@sha256:${hex}`, `registry.example.com/app:1@sha256:${hex}`],
  ['a/b__c/d-e--f.g', 'docker.io/a/b__c/d-e--f.g'],
];

for (const [text, expected] of normalised) {
  test(`${text} is ${expected}`, () => {
    assert.equal(formatReference(parseReference(text)), expected);
  });
}

const refused = [
  '',
  hex,
  'Busybox',
  // not a host to containers/image, and no path either
  'UPPER/app',
  '[::1]:5000/app:x',
  `registry.example.com/${'a'.repeat(240)}`,
  'registry.example.com/Upper',
  'app:',
  'app@',
  'app@sha256:abc',
  `app@sha256:${hex}0`,
  `app@md5:${'a'.repeat(32)}`,
  `app@sha256:${'A'.repeat(64)}`,
  'registry.example.com//app',
  'registry.example.com/app/',
  '/app',
  'a..b/c:1/d',
  '-a/b',
  'app:.tag',
  `app:${'t'.repeat(129)}`,
  'registry.example.com:port/app',
  'app name',
  'app\n',
  `registry.example.com/${'a'.repeat(256)}`,
  'https://registry.example.com/app',
];
for (const text of refused) {
  test(`refused: ${JSON.stringify(text).slice(0, 60)}`, () => {
    assert.equal(tryParseReference(text), undefined);
    assert.throws(
      () => parseReference(text),
      (error) => isBullaError(error, 'reference.malformed'),
    );
  });
}

test('a formatted reference parses to itself', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), (text) => {
      const parsed = tryParseReference(text);
      if (parsed !== undefined) assert.deepEqual(parseReference(formatReference(parsed)), parsed);
    }),
  );
});

test('parts', () => {
  const named = parseReference('registry.example.com:5000/ns/app');
  assert.equal(isNameOnly(named), true);
  assert.equal(repositoryOf(named), 'registry.example.com:5000/ns/app');
  const pinned = withDigest({ ...named, tag: '1' }, parseDigest(`sha256:${hex}`));
  assert.equal(formatReference(pinned), `registry.example.com:5000/ns/app@sha256:${hex}`);
});

test('a password before the host does not come out in the message', () => {
  for (const text of ['user:se@cret@example.com/app', 'user:sec/ret@example.com/app:1']) {
    assert.throws(() => parseReference(text), { message: /^"…@example\.com\/app(?::1)?" is not/ });
  }
  assert.throws(() => parseReference('host:5000/App'), { message: /^"host:5000\/App" is not/ });
});

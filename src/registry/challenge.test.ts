import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { parseChallenges } from './challenge.ts';

function read(header: string): readonly (readonly [string, Record<string, string>])[] {
  return parseChallenges(header).map((each) => [each.scheme, Object.fromEntries(each.parameters)]);
}

test('reads what registries send', () => {
  assert.deepEqual(
    read(
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull,push"',
    ),
    [
      [
        'bearer',
        {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:a:pull,push',
        },
      ],
    ],
  );
  assert.deepEqual(read('Basic realm="Registry Realm"'), [['basic', { realm: 'Registry Realm' }]]);
});

test('reads several challenges, quoted commas and escapes, tokens without quotes', () => {
  assert.deepEqual(read('Negotiate, Basic realm="a, b=\\"c\\"" , BEARER Realm=x , error=y'), [
    ['negotiate', {}],
    ['basic', { realm: 'a, b="c"' }],
    ['bearer', { realm: 'x', error: 'y' }],
  ]);
  assert.deepEqual(read('Negotiate YWJj==, Basic realm=x'), [
    ['negotiate', {}],
    ['basic', { realm: 'x' }],
  ]);
});

test('the first of two values counts', () => {
  assert.deepEqual(read('Bearer realm="a",realm="b"'), [['bearer', { realm: 'a' }]]);
});

test('nothing, nonsense and endless headers give what was readable before', () => {
  assert.deepEqual(parseChallenges(undefined), []);
  assert.deepEqual(read(''), []);
  assert.deepEqual(read('"'), []);
  assert.deepEqual(read('Basic realm="x", "'), [['basic', { realm: 'x' }]]);
  assert.deepEqual(read(`Basic realm="${'x'.repeat(20_000)}"`), []);
});

test('any parameters survive quoting, and no input makes it throw or hang', () => {
  const name = fc.stringMatching(/^[a-z]{1,8}$/);
  const printable = fc.stringMatching(/^[\u0020-\u007e]{0,20}$/);
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, printable), { selector: ([key]) => key }), (pairs) => {
      const text = pairs.map(([key, value]) => `${key}="${value.replace(/["\\]/g, '\\$&')}"`).join(', ');
      assert.deepEqual(read(`Bearer ${text}`)[0], ['bearer', Object.fromEntries(pairs)]);
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => parseChallenges(text).length <= text.length));
  const nasty = fc.array(fc.constantFrom('Basic', ' ', ',', '=', '"', '\\', 'a', 'x=y'), { maxLength: 200 });
  fc.assert(fc.property(nasty, (parts) => parseChallenges(parts.join('')).length <= 200));
});

import { equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { isBullaError } from '../base/errors.ts';
import { monotonicMs } from '../base/node.ts';
import { matchesText, parsePattern } from './identity-rule.ts';

const matches = (pattern: string, text: string): boolean =>
  matchesText({ kind: 'pattern', pattern: parsePattern(pattern) }, text);

test('a pattern matches whole texts only, whatever anchors it has', () => {
  const workflow = 'https://github.com/octo/app/.github/workflows/release.yml@refs/heads/main';
  ok(matches('https://github\\.com/octo/app/.+', workflow));
  ok(matches('^https://github\\.com/octo/.*$', workflow));
  for (const pattern of ['github\\.com/octo', '^https://github\\.com/octo', 'heads/main$', 'octo|.*evil']) {
    equal(matches(pattern, workflow), false, pattern);
  }
  equal(matches('https://github\\.com/octo/.+', `https://evil.example/?${workflow}`), false);
  // a line break inside is not an end
  equal(matches('alice@example\\.com', 'alice@example.com\nx'), false);
  equal(matches('.*', 'a\nb'), false);
});

test('counts mean what they say', () => {
  for (const [pattern, yes, no] of [
    ['[0-9a-f]{40}', '0'.repeat(40), '0'.repeat(41)],
    ['a{2,3}b', 'aaab', 'aaaab'],
    ['a{2,}', 'aaaaa', 'a'],
    ['x{0,1}y', 'y', 'xxy'],
    ['\\d{2}', '12', '1'],
    ['\\{2\\}', '{2}', '22'],
  ] as const) {
    ok(matches(pattern, yes), pattern);
    equal(matches(pattern, no), false, pattern);
  }
});

test('what would step out of its anchors, or backtrack without end, is refused', () => {
  for (const pattern of [
    '',
    'a)|(?:b',
    '(',
    '[a',
    'a{3,2}',
    '(a{1,9}){1,9}',
    '(?=a)a',
    '(?<!a)b',
    '(?<n>a)',
    '(?i)a',
    '(a)\\1',
    '\\p{L}',
    '\\u{61}',
    'a{2000}',
    'é',
    'a'.repeat(1025),
    'a\\',
  ]) {
    throws(
      () => parsePattern(pattern),
      (error) => isBullaError(error, 'usage.invalid'),
      pattern,
    );
  }
});

test('the worst pattern with the longest text takes milliseconds', () => {
  const text = `${'a'.repeat(1023)}!`;
  for (const pattern of [
    '(a+)+b',
    '.*.*.*.*.*x',
    '(a|a)*b',
    '(?:(?:[ab]{1,20})*)*x',
    'a{1,100}a{1,100}a{1,100}x',
  ]) {
    const start = monotonicMs();
    equal(matches(pattern, text), false);
    ok(monotonicMs() - start < 2000, pattern);
  }
  equal(matches('a*', 'a'.repeat(1025)), false);
});

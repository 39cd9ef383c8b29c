import { equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { patterns, refusedPatterns } from '../../test/support/sync-tables.ts';
import { isBullaError } from '../base/errors.ts';
import { monotonicMs } from '../base/node.ts';
import { parseGoPattern } from './linear-pattern.ts';

test('a pattern of Go’s matches anywhere, counted groups written out', () => {
  for (const [pattern, yes, no] of [
    ['2', '1.2', '1.3'],
    ['^v?(\\d+\\.){2}\\d+$', 'v1.2.3', 'v1.2'],
    ['^(?:ab){1,2}$', 'abab', 'ababab'],
    ['a\\-b', 'xa-bx', 'ab'],
    ['[a\\-z]$', '-', 'b'],
    ['^(a(b|c){2}){2}$', 'abcacb', 'abca'],
    ['\\(', '(', ')'],
  ] as const) {
    ok(parseGoPattern(pattern).test(yes), pattern);
    equal(parseGoPattern(pattern).test(no), false, pattern);
  }
  for (const pattern of patterns) parseGoPattern(pattern);
});

test('what Go would read otherwise is refused, and so is what neither reads', () => {
  for (const pattern of [...refusedPatterns, '(', 'a**', 'a)|(b', '[b-a]', 'a{2}{3}', '\\8', '(x{30}){40}'])
    throws(
      () => parseGoPattern(pattern),
      (error) => isBullaError(error, 'usage.invalid'),
      pattern,
    );
});

test('no tag makes a pattern slow', () => {
  const tags = ['a'.repeat(127) + '-', '1.'.repeat(63) + '-'];
  const started = monotonicMs();
  for (const pattern of [
    '^(\\w+\\.?){2,10}$',
    '^((a+)+)+$',
    '(a*)*b',
    '(a|aa)+$',
    '^(a?){30}a{30}$',
    '(?:a?){44}a{44}b',
  ])
    for (const tag of tags) parseGoPattern(pattern).test(tag);
  ok(monotonicMs() - started < 5_000);
});

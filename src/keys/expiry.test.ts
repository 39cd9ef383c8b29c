import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isBullaError } from '../base/errors.ts';
import { parseExpiry } from './expiry.ts';

const now = new Date('2026-11-22T10:00:00.500Z');

test('expiry is read in gpg’s words', () => {
  const day = 86_400_000;
  const start = Date.UTC(2026, 10, 22, 10);
  const cases: readonly [string, number][] = [
    ['30', 30 * day],
    ['30d', 30 * day],
    ['2w', 14 * day],
    ['18m', 540 * day],
    ['2y', 730 * day],
  ];
  for (const [text, span] of cases) assert.equal(parseExpiry(text, now)?.getTime(), start + span, text);
  assert.equal(parseExpiry('2030-01-31', now)?.toISOString(), '2030-01-31T12:00:00.000Z');
  for (const text of ['0', 'never', 'none']) assert.equal(parseExpiry(text, now), undefined);
});

test('what is no time to come is refused', () => {
  const bad = [
    '',
    '-1',
    '1h',
    '2 y',
    '0d',
    '2026-11-22T',
    '2026-02-30',
    '2026-11-21',
    '2200-01-01',
    '999999y',
    'soon',
    '1e3',
  ];
  for (const text of bad) {
    assert.throws(
      () => parseExpiry(text, now),
      (error) => isBullaError(error, 'usage.invalid'),
      text,
    );
  }
});

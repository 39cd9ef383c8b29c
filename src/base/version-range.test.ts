/** The table is what skopeo 1.22 selects; test/interop/sync.test.ts asks it again. */
import { deepEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { rangeTags, refusedRanges, selectedByRange } from '../../test/support/sync-tables.ts';
import { isBullaError } from './errors.ts';
import { parseVersionRange } from './version-range.ts';

test('a range selects the tags that skopeo selects', () => {
  for (const [range, selected] of Object.entries(selectedByRange))
    deepEqual(rangeTags.filter(parseVersionRange(range)).join(' '), selected, range);
});

test('what is no range is refused', () => {
  for (const range of [...refusedRanges, 'a'.repeat(513), '1 '.repeat(200).concat('x'.repeat(200))])
    throws(
      () => parseVersionRange(range),
      (error) => isBullaError(error, 'usage.invalid'),
      range,
    );
});

test('blanks without end take no time', () => {
  const range = `${'>= 1.0 , '.repeat(50)}!`;
  throws(() => parseVersionRange(range), /no range/);
  throws(() => parseVersionRange(`1${' '.repeat(500)}!`), /no range/);
});

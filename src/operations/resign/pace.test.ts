import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { testClock } from '../../../test/support/registry-faults.ts';
import { isBullaError } from '../../base/errors.ts';
import { openPace, parseRate } from './pace.ts';

test('steps are spaced evenly, whoever takes them, and time that has passed is not saved up', async () => {
  const clock = testClock();
  const began = clock.time;
  const pace = openPace({ count: 4, milliseconds: 1000 }, clock);
  const at: number[] = [];
  const step = async (): Promise<void> => {
    await pace();
    at.push(clock.time - began);
  };
  for (let n = 0; n < 4; n += 1) await step();
  deepEqual(at, [0, 250, 500, 750]);
  clock.time += 10_000;
  await step();
  await step();
  deepEqual(at.slice(4), [10_750, 11_000]);
  equal(clock.slept.length, 4);
  const unbounded = openPace(undefined, clock);
  await unbounded();
  equal(clock.slept.length, 4);
});

test('those who wait at once wait one behind the other', async () => {
  const waits: number[] = [];
  const clock = { now: () => 0, sleep: async (milliseconds: number) => void waits.push(milliseconds) };
  const pace = openPace({ count: 10, milliseconds: 1000 }, clock);
  await Promise.all(Array.from({ length: 4 }, () => pace()));
  deepEqual(waits, [100, 200, 300]);
});

test('a rate is a number of steps a second or minute', () => {
  deepEqual(parseRate('10/s'), { count: 10, milliseconds: 1000 });
  deepEqual(parseRate('300/m'), { count: 300, milliseconds: 60_000 });
  for (const text of ['', '10', '0/s', '-1/s', '1.5/s', '10/h', '10 /s', '1e3/s', '10/s ']) {
    throws(
      () => parseRate(text),
      (error: unknown) => isBullaError(error, 'usage.invalid'),
      text,
    );
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { inParallel } from './in-parallel.ts';

test('so many at once, results in order', async () => {
  let running = 0;
  let most = 0;
  const work = async (item: number): Promise<number> => {
    running += 1;
    most = Math.max(most, running);
    // the later, the sooner
    for (let turn = 0; turn < 10 - item; turn += 1) await Promise.resolve();
    running -= 1;
    return item * 2;
  };
  assert.deepEqual(await inParallel([1, 2, 3, 4, 5, 6, 7], 3, work), [2, 4, 6, 8, 10, 12, 14]);
  assert.equal(most, 3);
  assert.deepEqual(await inParallel([], 3, work), []);
});

test('after a failure nothing is begun, and what was begun ends first', async () => {
  const begun: number[] = [];
  const ended: number[] = [];
  const work = async (item: number): Promise<void> => {
    begun.push(item);
    await Promise.resolve();
    if (item === 1) throw new Error('one');
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    ended.push(item);
  };
  await assert.rejects(inParallel([1, 2, 3, 4], 2, work), /one/);
  assert.deepEqual(begun, [1, 2]);
  assert.deepEqual(ended, [2]);
});

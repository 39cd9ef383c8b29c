import assert from 'node:assert/strict';
import { test } from 'node:test';

import { mapBounded } from './bounded.ts';

test('order is kept and no more than the bound run at once', async () => {
  let running = 0;
  let most = 0;
  const results = await mapBounded([5, 1, 4, 2, 3, 9, 7], 3, async (item) => {
    running += 1;
    most = Math.max(most, running);
    for (let turn = 0; turn < item; turn += 1) await Promise.resolve();
    running -= 1;
    return item * 2;
  });
  assert.deepEqual(results, [10, 2, 8, 4, 6, 18, 14]);
  assert.equal(most, 3);
});

test('nothing to do, and a failure', async () => {
  assert.deepEqual(await mapBounded([], 4, async () => 1), []);
  await assert.rejects(
    mapBounded([1, 2], 1, async () => {
      throw new Error('no');
    }),
    /no/,
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { worstOutcome } from './outcome.ts';

test('the worst outcome wins: 2, 4, 3, 1, 0', () => {
  assert.equal(worstOutcome([0, 1, 3, 4, 2]), 2);
  assert.equal(worstOutcome([0, 1, 3, 4]), 4);
  assert.equal(worstOutcome([0, 1, 3]), 3);
  assert.equal(worstOutcome([0, 1]), 1);
  assert.equal(worstOutcome([0, 0]), 0);
});

test('nothing judged is not a yes', () => {
  assert.equal(worstOutcome([]), 3);
});

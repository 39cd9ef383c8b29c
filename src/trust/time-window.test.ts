import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { NamedSigner, TimeWindow } from './requirement.ts';
import { windowFault } from './time-window.ts';

function signer(window: TimeWindow): NamedSigner {
  const keys = { kind: 'paths', paths: [] } as const;
  return { source: { offset: 0, path: '$' }, name: 'release', window, by: { kind: 'gpg', keys } };
}

const window = { from: 1000, until: 2000 };

test('the first moment is within, the last is not', () => {
  for (const [time, within] of [
    [999, false],
    [1000, true],
    [1999, true],
    [2000, false],
  ] as const) {
    assert.equal(windowFault(signer(window), [time], new Date(5000)) === undefined, within, String(time));
    assert.equal(windowFault(signer(window), [], new Date(time)) === undefined, within, String(time));
  }
});

test('every trusted time must be within, and what is no time is not', () => {
  assert.notEqual(windowFault(signer(window), [1500, 2500], new Date(1500)), undefined);
  assert.notEqual(windowFault(signer(window), [Number.NaN], new Date(1500)), undefined);
  assert.equal(windowFault(signer({}), [], new Date(1500)), undefined);
});

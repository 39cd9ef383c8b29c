import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';

import { openCounter } from './progress.ts';
import { openTerminal, type Terminal } from './terminal.ts';

test('a counter speaks on a terminal only, and leaves nothing behind', () => {
  const written = (terminal: Partial<Terminal>): readonly string[] => {
    const texts: string[] = [];
    const counter = openCounter({ ...openTerminal(), ...terminal }, 'images', (text) => texts.push(text));
    counter.update(64);
    counter.end();
    return texts;
  };
  deepEqual(written({ interactive: true, quiet: false }), ['\r\u001b[K64 images', '\r\u001b[K']);
  deepEqual(written({ interactive: true, quiet: true }), []);
  deepEqual(written({ interactive: false, quiet: false }), []);
});

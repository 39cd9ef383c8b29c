/** Every session in this folder, each in a world of its own. */
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { runSession } from './session.ts';

const here = new URL('.', import.meta.url);
for (const file of readdirSync(here).filter((name) => name.endsWith('.txt'))) {
  test(file, async () => {
    await runSession(file, readFileSync(new URL(file, here), 'utf8'), false);
  });
}

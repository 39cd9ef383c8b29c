/** The commands of the guide, run as they stand. */
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { runSession, sessionOfPage } from './session.ts';

const guide = new URL('../../docs/guide/', import.meta.url);
for (const file of readdirSync(guide).filter((name) => name.endsWith('.md'))) {
  test(`docs/guide/${file}`, async () => {
    await runSession(file, sessionOfPage(readFileSync(new URL(file, guide), 'utf8')), true);
  });
}

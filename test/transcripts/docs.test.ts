/** The commands of the guide, run as they stand. */
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { needs, type PeerName } from '../support/peers.ts';
import { runSession, sessionOfPage } from './session.ts';

const guide = new URL('../../docs/guide/', import.meta.url);
for (const file of readdirSync(guide).filter((name) => name.endsWith('.md'))) {
  const session = sessionOfPage(readFileSync(new URL(file, guide), 'utf8'));
  // what a machine may lack and Bulla does not bring along
  const programs = (['git', 'rsync'] satisfies PeerName[]).filter((name) =>
    new RegExp(`^\\$ (?:.*; )?${name} `, 'm').test(session),
  );
  test(`docs/guide/${file}`, needs(...programs), async () => {
    await runSession(file, session, true);
  });
}

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';

import { parseDigest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import type { CheckedImage } from '../operations/sync/check.ts';
import type { SyncedImage } from '../operations/sync.ts';
import { checkLines, checkOutcome, syncLines, syncOutcome, totals } from './sync-lines.ts';

const digest = parseDigest(`sha256:${'a'.repeat(64)}`);
const names = { source: 'dir:usb/\u001b[2Jevil/app:1', destination: 'docker://r.example.com/app:1' };
const error = new BullaError('registry.failed', 'it answers 503');
const plain = (word: string): string => word;

test('a folder’s name does nothing to a terminal', () => {
  const rows: readonly SyncedImage[] = [
    { ...names, state: 'planned' },
    { ...names, state: 'left' },
    { ...names, state: 'failed', error },
    {
      ...names,
      state: 'refused',
      verdict: { image: names.source, accepted: false, scope: null, requirements: [] },
    },
  ];
  for (const row of rows) equal(syncLines(row, plain).join('\n').includes('\u001b'), false, row.state);
  equal(totals(rows), '4 images: 1 to copy, 1 not begun, 1 failed, 1 refused');
  deepEqual(rows.map(syncOutcome), [0, 0, 3, 1]);
});

test('what is lacking is said, and nothing else is a yes', () => {
  const lack = { digest, signatures: 1, attachments: 2 } as const;
  const rows: readonly CheckedImage[] = [
    { ...names, state: 'complete', lack: { ...lack, image: 'there', signatures: 0, attachments: 0 } },
    { ...names, state: 'lacks', lack: { ...lack, image: 'there' } },
    { ...names, state: 'lacks', lack: { ...lack, image: 'other', found: digest, signatures: 0 } },
    { ...names, state: 'failed', error: new BullaError('copy.preserve-digests', 'no') },
  ];
  const said = rows.map((row) => checkLines(row, plain)[0]?.split(`${digest}: `).at(-1));
  equal(said[1], '1 signature, 2 attachments');
  equal(said[2], `the image, it is another one (${digest}), 2 attachments`);
  deepEqual(rows.map(checkOutcome), [0, 1, 1, 3]);
});

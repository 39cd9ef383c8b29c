/** What a registry names its signatures by is shown, and never obeyed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseDigest } from '../base/digest.ts';
import type { Foreseen } from '../operations/promote.ts';
import { foreseenLines } from './promote-lines.ts';

test('a signature’s place is made printable', () => {
  const digest = parseDigest(`sha256:${'0'.repeat(64)}`);
  const foreseen: Foreseen = {
    ...{ promoted: false, dryRun: true, verdict: undefined, carried: { signatures: 0, attachments: 0 } },
    source: { reference: 'docker://dev.example.com/app:1', digest, signers: [] },
    destination: { reference: 'docker://prod.example.com/app:1', digest },
    signatures: [
      {
        ...{
          digest,
          format: 'simple',
          keyId: 'AA',
          identity: 'prod.example.com/app:1',
          there: true,
          added: false,
        },
        location: 'prod.example.com/app signature \u001b[2K\rpromoted',
      },
    ],
  };
  const text = foreseenLines(foreseen, (word) => word).join('\n');
  assert.match(text, /signed before for prod\.example\.com\/app:1/);
  assert.equal(/[\u001b\r]/.test(text), false, JSON.stringify(text));
});

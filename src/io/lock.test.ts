import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { takeLock } from './lock.ts';

test('one holder at a time, also when many find a dead process’s lock at once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bulla-lock-'));
  try {
    const name = join(folder, 'x.lock');
    for (let round = 0; round < 20; round += 1) {
      writeFileSync(name, '999999999 gone\n');
      let holders = 0;
      let most = 0;
      const hold = async (): Promise<void> => {
        await using _lock = await takeLock(name, 'x');
        holders += 1;
        most = Math.max(most, holders);
        await new Promise((resolve) => setImmediate(resolve));
        holders -= 1;
      };
      await Promise.all(Array.from({ length: 6 }, hold));
      assert.equal(most, 1);
    }
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

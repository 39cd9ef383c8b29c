import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { oneAtATime } from './writers-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-lock-'));
const earlier = process.env['XDG_RUNTIME_DIR'];
before(() => {
  process.env['XDG_RUNTIME_DIR'] = folder;
});
after(() => {
  if (earlier === undefined) delete process.env['XDG_RUNTIME_DIR'];
  else process.env['XDG_RUNTIME_DIR'] = earlier;
  rmSync(folder, { recursive: true, force: true });
});

test('those of one name run one after the other, others beside them; nothing is left', async () => {
  let running = 0;
  const done: number[] = [];
  const work = (n: number) => async (): Promise<void> => {
    equal((running += 1), 1);
    await turn();
    running -= 1;
    done.push(n);
  };
  await Promise.all([1, 2, 3, 4].map((n) => oneAtATime('a', work(n))));
  deepEqual(new Set(done), new Set([1, 2, 3, 4]));
  await oneAtATime('a', () => oneAtATime('b', work(5)));
  deepEqual(readdirSync(folder), []);
});

test('work that fails gives the turn on', async () => {
  await rejects(
    oneAtATime('a', () => Promise.reject(new Error('no'))),
    /no/,
  );
  equal(await oneAtATime('a', async () => 7), 7);
});

test('the lock of a process that is gone is broken', async () => {
  let name = '';
  await oneAtATime('a', async () => {
    name = readdirSync(folder)[0] ?? '';
  });
  // above the largest process ID that Linux gives
  writeFileSync(join(folder, name), '4194305\n');
  equal(await oneAtATime('a', async () => 7), 7);
  deepEqual(readdirSync(folder), []);
});

test('where there can be no lock, work goes on without', async () => {
  process.env['XDG_RUNTIME_DIR'] = join(folder, 'none');
  equal(await oneAtATime('a', async () => 7), 7);
  process.env['XDG_RUNTIME_DIR'] = folder;
});

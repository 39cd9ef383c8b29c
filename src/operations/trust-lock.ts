/** One editor of a file at a time, among Bulla's own processes. */
import { unlink } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';

import { textOf, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { createFile, isSystemError, readFileIfThere } from '../io/files.ts';

const patienceMs = 5000;
const pauseMs = 20;

/**
 * Runs `work` while `FILE.bulla-lock` is this process's. A lock whose process is gone is broken.
 * @throws BullaError `io.locked` where another process keeps it for five seconds, `io.*`
 */
export async function withFileLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const lock = `${file}.bulla-lock`;
  const own = utf8(`${process.pid}\n`);
  const deadline = performance.now() + patienceMs;
  while (!(await createFile(lock, own))) {
    if (await breakDeadLock(lock)) continue;
    if (performance.now() > deadline) throw locked(file, lock);
    await wait(pauseMs);
  }
  try {
    return await work();
  } finally {
    await unlink(lock).catch(() => undefined);
  }
}

/** True where the lock is gone now. */
async function breakDeadLock(lock: string): Promise<boolean> {
  const bytes = await readFileIfThere(lock, 64);
  if (bytes === undefined) return true;
  const pid = Number(/^([0-9]{1,10})\n$/.exec(textOf(bytes) ?? '')?.[1] ?? 'none');
  if (!Number.isSafeInteger(pid) || pid === process.pid || isAlive(pid)) return false;
  await unlink(lock).catch(() => undefined);
  return true;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there and somebody else's
    return !isSystemError(error, 'ESRCH');
  }
}

function locked(file: string, lock: string): BullaError {
  return new BullaError('io.locked', `${file} is being edited by another process`, {
    hint: `if none runs, remove ${lock}`,
  });
}

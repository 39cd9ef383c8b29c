/** One editor of a file at a time, among Bulla's own processes, by a lock file that names its holder. */
import { unlink } from 'node:fs/promises';

import { printable, textOf, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { crypto, monotonicMs } from '../base/node.ts';
import { createFile, isSystemError, readFileIfThere } from './files.ts';

const patienceMs = 10_000;
const pollMs = 20;

/**
 * Takes the lock file `name`; disposing gives it back. One whose holder died is taken over.
 * @param what is locked, for the error
 * @throws BullaError `io.locked` where a live process keeps it for ten seconds, `io.*`
 */
export async function takeLock(name: string, what: string): Promise<AsyncDisposable> {
  const mine = utf8(`${process.pid} ${crypto.randomUUID()}\n`);
  const until = monotonicMs() + patienceMs;
  while (!(await createFile(name, mine, 0o600))) {
    await removeDead(name);
    if (monotonicMs() > until) {
      throw new BullaError('io.locked', `${printable(what)} is being changed by another process`, {
        hint: `if none is running, remove ${printable(name)}`,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  return { [Symbol.asyncDispose]: () => unlink(name).catch(() => undefined) };
}

/**
 * Removes a dead process's lock. What is read may be replaced before it is removed, so only one
 * process at a time may do both: whoever holds `NAME.takeover`. Nobody else removes a dead lock, its
 * holder cannot, and a new one is not made while it stands: what is removed is what was read.
 */
async function removeDead(name: string): Promise<void> {
  if (!(await isDead(name))) return;
  const takeover = `${name}.takeover`;
  if (!(await createFile(takeover, utf8(`${process.pid}\n`), 0o600))) return;
  try {
    if (await isDead(name)) await unlink(name);
  } finally {
    await unlink(takeover);
  }
}

async function isDead(name: string): Promise<boolean> {
  const held = await readFileIfThere(name, 256);
  if (held === undefined) return false;
  const pid = Number(/^([0-9]{1,10})[ \n]/.exec(textOf(held) ?? '')?.[1] ?? 'none');
  // what names no process is nobody's we know: its owner may remove it, we do not
  return Number.isSafeInteger(pid) && pid > 0 && !isAlive(pid);
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

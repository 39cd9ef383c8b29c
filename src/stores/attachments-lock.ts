/**
 * One writer of a tag at a time, among the processes of one user on one machine. A registry has no
 * way to change a tag only if nobody else did, so whoever reads, adds and writes may put away what
 * another wrote in between; a build machine that signs with several keys at once is the usual case.
 *
 * The lock is a help, not what correctness stands on: where it cannot be had, work goes on without it.
 */
import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import { utf8 } from '../base/bytes.ts';
import { digestOf, hexOf } from '../base/digest.ts';
import { monotonicMs } from '../base/node.ts';
import { isSystemError } from '../io/files.ts';

/** As long as twenty writers may take at a slow registry. */
const patienceMs = 30_000;
const pauseMs = 15;

/** Runs `work` alone among those of the same name, as far as that can be had. */
export async function oneAtATime<T>(name: string, work: () => Promise<T>): Promise<T> {
  const file = lockFile(name);
  const isOurs = await take(file);
  try {
    return await work();
  } finally {
    if (isOurs) remove(file);
  }
}

function lockFile(name: string): string {
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  const folder = runtime === undefined || runtime === '' ? tmpdir() : runtime;
  // the name of an image is not for all users of the machine to read
  const hidden = hexOf(digestOf(utf8(name))).slice(0, 32);
  return join(folder, `bulla-${process.getuid?.() ?? 0}-${hidden}.lock`);
}

async function take(file: string): Promise<boolean> {
  const deadline = monotonicMs() + patienceMs;
  while (monotonicMs() < deadline) {
    const taken = create(file);
    if (taken !== undefined) return taken;
    if (isLeftBehind(file)) remove(file);
    else await wait(pauseMs);
  }
  return false;
}

/** Undefined: another one has it. False: there can be none here. */
function create(file: string): boolean | undefined {
  try {
    // `wx`: neither an existing file nor a link that somebody laid out is written to
    const descriptor = openSync(file, 'wx', 0o600);
    writeSync(descriptor, `${process.pid}\n`);
    closeSync(descriptor);
    return true;
  } catch (error) {
    return isSystemError(error, 'EEXIST') ? undefined : false;
  }
}

function isLeftBehind(file: string): boolean {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    return isSystemError(error, 'ENOENT');
  }
  const pid = Number(/^([0-9]{1,10})\n$/.exec(text)?.[1] ?? 'none');
  return Number.isSafeInteger(pid) && pid !== process.pid && !isAlive(pid);
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

function remove(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // it is gone, or another user's
  }
}

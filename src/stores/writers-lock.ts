/**
 * One writer of a tag at a time, among those of this process and the processes of one user on one
 * machine. Most registries cannot change a tag only if nobody else did, so whoever reads, adds and
 * writes may put away what another wrote in between; a build machine that signs with several keys at
 * once is the usual case.
 *
 * The lock is a help, not what correctness stands on: where it cannot be had, work goes on without it.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { utf8 } from '../base/bytes.ts';
import { digestOf, hexOf } from '../base/digest.ts';
import { takeLock } from '../io/lock.ts';

/** The last of those of a name in this process: they need not poll a file for each other. */
const lastOf = new Map<string, Promise<unknown>>();

/** Runs `work` alone among those of the same name, as far as that can be had. */
export async function oneAtATime<T>(name: string, work: () => Promise<T>): Promise<T> {
  const before = lastOf.get(name);
  const mine = (before ?? Promise.resolve()).then(() => amongProcesses(name, work));
  const settled = mine.then(
    () => undefined,
    () => undefined,
  );
  lastOf.set(name, settled);
  try {
    return await mine;
  } finally {
    if (lastOf.get(name) === settled) lastOf.delete(name);
  }
}

async function amongProcesses<T>(name: string, work: () => Promise<T>): Promise<T> {
  // no folder to lock in, a lock that another user laid out, one that is held too long
  const lock = await takeLock(lockFile(name), 'the tag').catch(() => undefined);
  try {
    return await work();
  } finally {
    await lock?.[Symbol.asyncDispose]();
  }
}

function lockFile(name: string): string {
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  const folder = runtime === undefined || runtime === '' ? tmpdir() : runtime;
  // the name of an image is not for all users of the machine to read
  const hidden = hexOf(digestOf(utf8(name))).slice(0, 32);
  return join(folder, `bulla-${process.getuid?.() ?? 0}-${hidden}.lock`);
}

/** Changes to auth.json: whole or not at all, one writer at a time, unknown members kept. */
import { constants } from 'node:fs';
import { access, realpath, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

import { encodeBase64, printable, textOf, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { crypto } from '../base/node.ts';
import { createFile, makeFolder, readFileIfThere, replaceFile, temporaryPrefix } from '../io/files.ts';
import { readAuthJson } from './auth-file.ts';

/** auth.json as it is edited: whatever else it holds stays. */
export type AuthJson = {
  auths?: Record<string, Record<string, unknown>>;
  credHelpers?: Record<string, string>;
  [other: string]: unknown;
};

/**
 * Reads, edits and replaces a credentials file under a lock; it is made where it is not there.
 * @param edit changes the value in place; false leaves the file as it is
 * @throws BullaError `auth-file.malformed`, `io.locked`, `io.*`
 */
export async function editAuthFile(path: string, edit: (json: AuthJson) => boolean): Promise<void> {
  // a link to the real file stays a link
  const real = await realpath(path).catch(() => path);
  await makeFolder(dirname(real), 0o700);
  await refuseReadOnly(real);
  await using _lock = await lock(real);
  const bytes = await readFileIfThere(real, limits.configFileBytes);
  const json = bytes === undefined ? {} : jsonOf(bytes, real);
  if (!edit(json)) return;
  await replaceFile(real, utf8(`${JSON.stringify(json, undefined, '\t')}\n`), 0o600);
}

/** A file that its owner made read-only is not replaced behind the owner's back. */
async function refuseReadOnly(path: string): Promise<void> {
  const there = await access(path).then(
    () => true,
    () => false,
  );
  if (!there) return;
  await access(path, constants.W_OK).catch((cause: unknown) => {
    throw new BullaError('io.read-only', `cannot write ${printable(path)}: it is read-only`, { cause });
  });
}

function jsonOf(bytes: Uint8Array, path: string): AuthJson {
  readAuthJson(bytes, path);
  const json = JSON.parse(textOf(bytes) ?? '') as AuthJson;
  for (const key of ['auths', 'credHelpers'] as const) {
    const value: unknown = json[key];
    if (value === null) delete json[key];
    else if (value !== undefined && (typeof value !== 'object' || Array.isArray(value))) {
      throw new BullaError('auth-file.malformed', `${printable(path)}: ${key} is not an object`);
    }
  }
  return json;
}

/** Puts a user name and password under a key; other members of its entry go, as they are of another login. */
export function setAuth(json: AuthJson, key: string, username: string, password: string): void {
  const auth = encodeBase64(utf8(`${username}:${password}`));
  Object.defineProperty((json.auths ??= {}), key, {
    value: { auth },
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

const lockWaitMs = 10_000;
const pollMs = 20;

/** A lock beside the file; one whose holder died is taken over. */
async function lock(path: string): Promise<AsyncDisposable> {
  const name = `${path}.lock`;
  const mine = utf8(`${process.pid} ${crypto.randomUUID()}`);
  const until = performance.now() + lockWaitMs;
  while (!(await createFile(name, mine, 0o600))) {
    await removeStale(name);
    if (performance.now() > until) {
      throw new BullaError('io.locked', `${printable(path)} is being changed by another process`, {
        hint: `if none is running, remove ${printable(name)}`,
      });
    }
    await new Promise((done) => setTimeout(done, pollMs));
  }
  return { [Symbol.asyncDispose]: () => unlink(name).catch(() => undefined) };
}

/** Moves a dead process's lock away; renaming lets exactly one waiter do it, and puts back what was not dead. */
async function removeStale(name: string): Promise<void> {
  const held = await readFileIfThere(name, 256);
  if (held === undefined || isAlive(held)) return;
  const aside = `${dirname(name)}/${temporaryPrefix}${crypto.randomUUID()}`;
  const moved = await rename(name, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  const taken = await readFileIfThere(aside, 256);
  if (taken !== undefined && isAlive(taken)) await createFile(name, taken, 0o600);
  await unlink(aside).catch(() => undefined);
}

function isAlive(lockText: Uint8Array): boolean {
  const pid = Number((textOf(lockText) ?? '').split(' ', 1)[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // somebody else's process is alive too
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Changes to auth.json: whole or not at all, one writer at a time, unknown members kept. */
import { constants } from 'node:fs';
import { access, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';

import { encodeBase64, printable, textOf, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { makeFolder, readFileIfThere, replaceFile } from '../io/files.ts';
import { takeLock } from '../io/lock.ts';
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
  await using _lock = await takeLock(`${real}.lock`, real);
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

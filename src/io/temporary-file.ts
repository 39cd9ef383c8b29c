/** A file too large for memory in the making: hidden until it is whole. `replaceFile` is for the others. */
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

import { discard, fileError, linked, syncFolder, temporaryName } from './files.ts';

/** A file in the making: hidden under a temporary name until it is complete. */
export interface TemporaryFile extends AsyncDisposable {
  write(chunk: Uint8Array): Promise<void>;
  /** Syncs it and renames it over the path it is for. Disposing without this removes it. */
  replace(): Promise<void>;
  /** As `replace`, but only if nothing has that name: false, and nothing written, if something has. */
  create(): Promise<boolean>;
}

/**
 * Starts to write a file.
 * @throws BullaError `io.read-only`, `io.no-space`, `io.not-found`, `io.failed`, here and from its methods
 */
export async function openTemporary(path: string, mode = 0o644): Promise<TemporaryFile> {
  const temporary = temporaryName(dirname(path));
  const attempt = async <T>(action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (error) {
      throw fileError(error, path, 'write');
    }
  };
  const file = await attempt(() => open(temporary, 'wx', mode));
  return {
    write: (chunk) => attempt(() => file.writeFile(chunk)),
    replace: () =>
      attempt(async () => {
        await file.sync();
        await rename(temporary, path);
        await syncFolder(dirname(path));
      }),
    create: () =>
      attempt(async () => {
        await file.sync();
        const isNew = await linked(temporary, path);
        await syncFolder(dirname(path));
        return isNew;
      }),
    [Symbol.asyncDispose]: async () => {
      await file.close();
      // after a rename there is nothing under this name
      await discard(temporary);
    },
  };
}

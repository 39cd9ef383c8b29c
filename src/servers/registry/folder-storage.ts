/** Storage of the embedded registry in a folder. */
import { createReadStream } from 'node:fs';
import { open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';

import { BullaError } from '../../base/errors.ts';
import { fileError, isSystemError, makeFolder, replaceFile, temporaryPrefix } from '../../io/files.ts';
import type { RegistryStorage } from './storage.ts';

/** Storage in files under `root`; the keys are the paths. */
export function folderStorage(root: string): RegistryStorage {
  const pathOf = (key: string): string => join(root, key);
  return {
    size: async (key) => {
      const status = await stat(pathOf(key)).catch(absent);
      return status?.isFile() === true ? status.size : undefined;
    },
    read: (key, range) =>
      Readable.toWeb(createReadStream(pathOf(key), range ?? {})) as ReadableStream<Uint8Array>,
    write: async (key, bytes) => {
      await makeFolder(dirname(pathOf(key)));
      await replaceFile(pathOf(key), bytes);
    },
    append: (key, content, limit) => append(pathOf(key), content, limit),
    move: async (from, to) => {
      await makeFolder(dirname(pathOf(to)));
      await rename(pathOf(from), pathOf(to)).catch((error: unknown) => {
        throw fileError(error, pathOf(to), 'write');
      });
    },
    remove: async (key) => {
      try {
        await unlink(pathOf(key));
        return true;
      } catch (error) {
        if (absent(error) === undefined) return false;
        throw error;
      }
    },
    list: async (folder) => {
      const names = (await readdir(pathOf(folder)).catch(absent)) ?? [];
      return names.filter((name) => !name.startsWith(temporaryPrefix)).toSorted();
    },
  };
}

async function append(path: string, content: AsyncIterable<Uint8Array>, limit: number): Promise<number> {
  await makeFolder(dirname(path));
  try {
    await using file = await open(path, 'a');
    let { size } = await file.stat();
    for await (const part of content) {
      size += part.length;
      if (size > limit) throw new BullaError('io.too-large', `more than ${limit} bytes`);
      await file.writeFile(part);
    }
    await file.sync();
    return size;
  } catch (error) {
    throw fileError(error, path, 'write');
  }
}

/** Nothing, for "there is no such file"; any other error goes on. */
function absent(error: unknown): undefined {
  if (isSystemError(error, 'ENOENT') || isSystemError(error, 'ENOTDIR')) return undefined;
  throw error;
}

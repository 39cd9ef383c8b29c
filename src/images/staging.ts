/** Where the parts of an archive lie until all of them are there: a hidden layout beside it. */
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { fileError, temporaryPrefix } from '../io/files.ts';
import type { ConsumeBody } from '../io/http.ts';
import { feedPieces, sourceAt } from './blob-file.ts';
import type { FileSink } from './image.ts';
import { openOciSink } from './oci.ts';

/** Disposing removes all of it. */
export interface Staging extends AsyncDisposable {
  /** Only its owner can look into it. */
  readonly folder: string;
  readonly sink: FileSink;
}

/**
 * @param path of the archive to be
 * @param name of the image in the layout
 * @throws BullaError `io.*`
 */
export async function openStaging(path: string, name: string | undefined): Promise<Staging> {
  const folder = await mkdtemp(join(dirname(resolve(path)), temporaryPrefix)).catch((error: unknown) => {
    throw fileError(error, path, 'write');
  });
  return {
    folder,
    sink: await openOciSink(folder, name),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A file's content, to iterate over. */
export async function contentOf(path: string): Promise<AsyncIterable<Uint8Array>> {
  return createReadStream(path, { highWaterMark: 262_144 });
}

/** The same to a consumer, through buffers that are used again. */
export async function feedFile(path: string, size: number, consume: ConsumeBody): Promise<void> {
  await using file = await open(path);
  // one byte more is read, so that it is seen
  await feedPieces(sourceAt(file, 0, size + 1), path, consume);
}

/** `oci-archive:` images: an OCI image layout in one tar file (containers-transports.5). */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { BodyWriter } from '../io/http.ts';
import { feedPieces } from './blob-file.ts';
import type { FileSink, Image } from './image.ts';
import { layoutInArchive } from './layout-files.ts';
import { openLayoutImage } from './oci.ts';
import { feedFile, openStaging, type Staging } from './staging.ts';
import { openTarArchive } from './tar-read.ts';
import { type TarEntry, writeTarArchive } from './tar-write.ts';

/**
 * Opens one image of an archive: the one with that name, or the only one. Nothing is unpacked to disk,
 * unless the archive as a whole is compressed.
 * @throws BullaError `image.*`, `manifest.*`, `io.*`
 */
export async function openOciArchiveImage(path: string, name?: string): Promise<Image> {
  const archive = await openTarArchive(path);
  try {
    const named = { transport: 'oci-archive', path, ...(name !== undefined && { name }) } as const;
    return await openLayoutImage(layoutInArchive(archive), named);
  } catch (error) {
    await archive[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Opens an archive as a destination. It is written with its last manifest, whole or not at all, over a file
 * that is there, as skopeo does. The same images give the same bytes. Until then blobs lie in a hidden folder beside it.
 * @throws BullaError `image.not-found`, `io.*`
 */
export async function openOciArchiveSink(path: string, name?: string): Promise<FileSink> {
  let staging: Promise<Staging> | undefined;
  const opened = (): Promise<Staging> => (staging ??= openStaging(path, name));
  return {
    name: { transport: 'oci-archive', path, ...(name !== undefined && { name }) },
    hasBlob: async (descriptor) => (staging === undefined ? false : (await staging).sink.hasBlob(descriptor)),
    putBlob: async (descriptor, content) => (await opened()).sink.putBlob(descriptor, content),
    take: async (descriptor, feed) => (await opened()).sink.take(descriptor, feed),
    putManifest: async (manifest, options) => {
      const { sink, folder } = await opened();
      await sink.putManifest(manifest, options);
      if (options?.instance !== true) await writeTarArchive(path, await layoutEntries(folder), 'replace');
    },
    [Symbol.asyncDispose]: async () => (await staging)?.[Symbol.asyncDispose](),
  };
}

/** The files of a layout in a folder, as entries. */
async function layoutEntries(folder: string): Promise<readonly TarEntry[]> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  return Promise.all(
    files
      .filter((file) => file.isFile())
      .map(async (file) => {
        const path = join(file.parentPath, file.name);
        const { size } = await stat(path);
        const content: BodyWriter = (write) => feedFile(path, size, write);
        return { name: path.slice(folder.length + 1), size, content };
      }),
  );
}

/**
 * Changes an archive: files are added, or take the place of those of the same name; all others are carried over.
 * @throws BullaError `image.*`, `io.*`
 */
export async function addToArchive(path: string, added: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await using archive = await openTarArchive(path);
  const kept = [...archive.files].filter(([name]) => !added.has(name));
  const entries: readonly TarEntry[] = [
    ...[...added].map(([name, content]) => ({ name, size: content.length, content })),
    ...kept.map(([name, file]): TarEntry => ({
      name,
      size: file.size,
      content: (write) => feedPieces(archive.source(file), path, write),
    })),
  ];
  await writeTarArchive(path, entries, 'replace');
}

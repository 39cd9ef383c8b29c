/** An OCI image layout's files, in a folder or in an archive: what reading an image of it needs. */
import { join } from 'node:path';

import type { Descriptor } from '../base/descriptor.ts';
import { algorithmOf, type Digest, hexOf } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { readFileIfThere } from '../io/files.ts';
import type { ConsumeBody } from '../io/http.ts';
import { type ByteSource, checkedStream, feedBlobFile, feedSource, readBlobFile } from './blob-file.ts';
import type { TarArchive } from './tar-read.ts';

export interface LayoutFiles extends AsyncDisposable {
  /** The folder or archive, for messages. */
  readonly path: string;
  /** A small file by its name in the layout; undefined where it is missing. @throws BullaError `io.too-large`, `io.*` */
  read(name: string, limit: number): Promise<Uint8Array | undefined>;
  /** @throws BullaError `image.not-found`; the stream fails with `blob.digest-mismatch` */
  blob(descriptor: Descriptor): Promise<ReadableStream<Uint8Array>>;
  /** @throws as `Image.feed` */
  feed(descriptor: Descriptor, consume: ConsumeBody): Promise<void>;
}

/** Where a blob is in a layout. */
export function blobName(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

/** A file of a layout folder by its name. @param blobs the folder of shared blobs, as skopeo's --dest-shared-blob-dir has it */
export function layoutPath(folder: string, name: string, blobs: string | undefined): string {
  const isShared = blobs !== undefined && name.startsWith('blobs/');
  return isShared ? join(blobs, name.slice('blobs/'.length)) : join(folder, name);
}

export function layoutInFolder(folder: string, blobs?: string): LayoutFiles {
  const fileOf = ({ digest }: Descriptor): string => layoutPath(folder, blobName(digest), blobs);
  return {
    path: folder,
    read: (name, limit) => readFileIfThere(layoutPath(folder, name, blobs), limit),
    blob: (descriptor) => readBlobFile(fileOf(descriptor), descriptor),
    feed: (descriptor, consume) => feedBlobFile(fileOf(descriptor), descriptor, consume),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Disposing closes the archive. */
export function layoutInArchive(archive: TarArchive): LayoutFiles {
  const open = ({ digest }: Descriptor): ByteSource => {
    const file = archive.files.get(blobName(digest));
    if (file !== undefined) return archive.source(file);
    throw new BullaError('image.not-found', `the blob ${digest} is missing`);
  };
  return {
    path: archive.path,
    read: async (name, limit) => {
      const file = archive.files.get(name);
      return file === undefined ? undefined : archive.read(file, limit);
    },
    blob: async (descriptor) => checkedStream(open(descriptor), descriptor, archive.path),
    feed: async (descriptor, consume) => feedSource(open(descriptor), descriptor, archive.path, consume),
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  };
}

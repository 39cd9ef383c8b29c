/** `oci:` images: an OCI image layout in a folder, its images named by org.opencontainers.image.ref.name. */
import { dirname, join } from 'node:path';

import { printable } from '../base/bytes.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import type { ImageName } from '../base/image-name.ts';
import type { Manifest } from '../base/manifest.ts';
import { exists, makeFolder, replaceFile } from '../io/files.ts';
import { isBlobFile, takeBlobFile, writeBlobFile } from './blob-file.ts';
import type { FileSink, Image } from './image.ts';
import { blobName, layoutInFolder, layoutPath, type LayoutFiles } from './layout-files.ts';
import {
  findInLayout,
  isLayout,
  nameInLayout,
  readLayoutIndex,
  readLayoutManifest,
  withoutReferrers,
  writeLayoutVersion,
} from './oci-layout.ts';

/**
 * Opens one image of a layout: the one with that name, or the only one.
 * @param blobs the folder of blobs, where layouts share one
 * @throws BullaError `image.not-found`, `image.ambiguous`, `image.unsupported`, `image.malformed`, `manifest.*`, `io.*`
 */
export async function openOciImage(path: string, name?: string, blobs?: string): Promise<Image> {
  return openLayoutImage(layoutInFolder(path, blobs), {
    transport: 'oci',
    path,
    ...(name !== undefined && { name }),
    ...(blobs !== undefined && { blobs }),
  });
}

/** The same, in a folder or an archive; disposing the image disposes the files. */
export async function openLayoutImage(files: LayoutFiles, name: LayoutName): Promise<Image> {
  const listed = (await isLayout(files)) ? await readLayoutIndex(files) : undefined;
  if (listed === undefined) {
    throw new BullaError('image.not-found', `${printable(files.path)} is no OCI image layout`);
  }
  const images = name.name === undefined ? await withoutReferrers(files, listed) : listed;
  const descriptor = findInLayout(images, name.name, files.path);
  let top: Promise<Manifest> | undefined;
  return {
    name,
    physical: undefined,
    manifest: (digest) =>
      digest === undefined || digest === descriptor.digest
        ? (top ??= readLayoutManifest(files, descriptor.digest, descriptor))
        : readLayoutManifest(files, digest),
    blob: (each) => files.blob(each),
    feed: (each, consume) => files.feed(each, consume),
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  };
}

type LayoutName = Extract<ImageName, { transport: 'oci' | 'oci-archive' | 'docker-archive' }>;

/**
 * Opens a layout as a destination; a missing or empty folder becomes one with the first write.
 * Images that are there stay.
 * @throws BullaError `image.occupied` where it holds something else, `image.unsupported`, `image.malformed`
 */
export async function openOciSink(path: string, name?: string, blobs?: string): Promise<FileSink> {
  if (!(await isLayout(layoutInFolder(path))) && (await exists(join(path, 'index.json')))) {
    throw new BullaError('image.occupied', `${printable(path)} has an index.json and is no OCI image layout`);
  }
  const fileOf = (digest: Digest): string => layoutPath(path, blobName(digest), blobs);
  let prepared: Promise<void> | undefined;
  const fileFor = async (digest: Digest): Promise<string> => {
    await (prepared ??= prepare(path));
    const file = fileOf(digest);
    await makeFolder(dirname(file));
    return file;
  };
  return {
    name: {
      transport: 'oci',
      path,
      ...(name !== undefined && { name }),
      ...(blobs !== undefined && { blobs }),
    },
    hasBlob: (descriptor) => isBlobFile(fileOf(descriptor.digest), descriptor),
    putBlob: async (descriptor, content) =>
      writeBlobFile(await fileFor(descriptor.digest), descriptor, content),
    take: async ({ digest }, feed) => takeBlobFile(await fileFor(digest), feed),
    putManifest: async (manifest, options) => {
      await replaceFile(await fileFor(manifest.digest), manifest.bytes);
      if (options?.listed !== undefined) await nameInLayout(path, options.listed, undefined);
      if (options?.instance === true) return;
      const { mediaType, digest, bytes } = manifest;
      await nameInLayout(path, { mediaType, digest, size: bytes.length }, name);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function prepare(path: string): Promise<void> {
  await makeFolder(path);
  if (!(await isLayout(layoutInFolder(path)))) await writeLayoutVersion(path);
}

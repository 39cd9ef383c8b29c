/** `oci:` images: an OCI image layout in a folder, its images named by org.opencontainers.image.ref.name. */
import { dirname, join } from 'node:path';

import { printable } from '../base/bytes.ts';
import type { Descriptor } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Manifest } from '../base/manifest.ts';
import { exists, makeFolder, readFileIfThere, replaceFile } from '../io/files.ts';
import { isBlobFile, readBlobFile, writeBlobFile } from './blob-file.ts';
import { checkedManifest, tooLarge } from './dir.ts';
import type { Image, ImageSink } from './image.ts';
import {
  blobPath,
  findInLayout,
  isLayout,
  nameInLayout,
  readLayoutIndex,
  writeLayoutVersion,
} from './oci-layout.ts';

/**
 * Opens one image of a layout: the one with that name, or the only one.
 * @throws BullaError `image.not-found`, `image.ambiguous`, `image.unsupported`, `image.malformed`, `manifest.*`, `io.*`
 */
export async function openOciImage(path: string, name?: string): Promise<Image> {
  const images = (await isLayout(path)) ? await readLayoutIndex(path) : undefined;
  if (images === undefined) {
    throw new BullaError('image.not-found', `${printable(path)} is no OCI image layout`);
  }
  const descriptor = findInLayout(images, name, path);
  let top: Promise<Manifest> | undefined;
  return {
    name: { transport: 'oci', path, ...(name !== undefined && { name }) },
    physical: undefined,
    manifest: (digest) =>
      digest === undefined || digest === descriptor.digest
        ? (top ??= readManifest(path, descriptor.digest, descriptor))
        : readManifest(path, digest),
    blob: (each) => readBlobFile(blobPath(path, each.digest), each),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function readManifest(path: string, digest: Digest, descriptor?: Descriptor): Promise<Manifest> {
  const bytes = await readFileIfThere(blobPath(path, digest), limits.manifestBytes).catch(tooLarge);
  if (bytes === undefined) {
    throw new BullaError('image.not-found', `${printable(path)} holds no manifest ${digest}`);
  }
  if (descriptor !== undefined && descriptor.size !== bytes.length) {
    throw new BullaError(
      'manifest.digest-mismatch',
      `the manifest ${digest} has ${bytes.length} bytes, not the ${descriptor.size} that index.json says`,
    );
  }
  return checkedManifest(bytes, digest, descriptor?.mediaType);
}

/**
 * Opens a layout as a destination; a missing or empty folder becomes one with the first write.
 * Images that are there stay.
 * @throws BullaError `image.occupied` where it holds something else, `image.unsupported`, `image.malformed`
 */
export async function openOciSink(path: string, name?: string): Promise<ImageSink> {
  if (!(await isLayout(path)) && (await exists(join(path, 'index.json')))) {
    throw new BullaError('image.occupied', `${printable(path)} has an index.json and is no OCI image layout`);
  }
  let prepared: Promise<void> | undefined;
  const fileFor = async (digest: Digest): Promise<string> => {
    await (prepared ??= prepare(path));
    const file = blobPath(path, digest);
    await makeFolder(dirname(file));
    return file;
  };
  return {
    name: { transport: 'oci', path, ...(name !== undefined && { name }) },
    hasBlob: (descriptor) => isBlobFile(blobPath(path, descriptor.digest), descriptor),
    putBlob: async (descriptor, content) =>
      writeBlobFile(await fileFor(descriptor.digest), descriptor, content),
    putManifest: async (manifest, options) => {
      await replaceFile(await fileFor(manifest.digest), manifest.bytes);
      if (options?.instance === true) return;
      const { mediaType, digest, bytes } = manifest;
      await nameInLayout(path, { mediaType, digest, size: bytes.length }, name);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function prepare(path: string): Promise<void> {
  await makeFolder(path);
  if (!(await isLayout(path))) await writeLayoutVersion(path);
}

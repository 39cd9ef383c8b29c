/**
 * `dir:` images: one image in a folder (containers-transports.5). `manifest.json`, blobs by the hex
 * of their digest, instances as `<hex>.manifest.json`, signatures as `signature-N` (stores/dir.ts).
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { bytesEqual, printable, textOf, utf8 } from '../base/bytes.ts';
import type { Descriptor } from '../base/descriptor.ts';
import { algorithmOf, type Digest, hexOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Manifest, takeManifest } from '../base/manifest.ts';
import { fileError, makeFolder, readBoundedFile, readFileIfThere, replaceFile } from '../io/files.ts';
import { feedBlobFile, isBlobFile, readBlobFile, takeBlobFile, writeBlobFile } from './blob-file.ts';
import type { FileSink, Image, PutOptions } from './image.ts';

const versionText = 'Directory Transport Version: 1.1\n';

/** How a digest names a file: its hex, with the algorithm before it where that is not sha256. */
export function dirFileName(digest: Digest): string {
  const algorithm = algorithmOf(digest);
  return algorithm === 'sha256' ? hexOf(digest) : `${algorithm}-${hexOf(digest)}`;
}

/**
 * Opens a folder that `skopeo copy … dir:` or Bulla wrote.
 * @throws BullaError `image.not-found`, `image.unsupported` (another version), `manifest.*`, `io.*`
 */
export async function openDirImage(path: string): Promise<Image> {
  await checkVersion(path);
  const bytes = await readFileIfThere(join(path, 'manifest.json'), limits.manifestBytes).catch(tooLarge);
  if (bytes === undefined) {
    throw new BullaError('image.not-found', `${printable(path)} holds no image: manifest.json is missing`);
  }
  const top = takeManifest(bytes);
  return {
    name: { transport: 'dir', path },
    physical: undefined,
    manifest: async (digest) =>
      digest === undefined || digest === top.digest ? top : readInstance(path, digest),
    blob: (descriptor) => readBlobFile(fileOf(path, descriptor), descriptor),
    feed: (descriptor, consume) => feedBlobFile(fileOf(path, descriptor), descriptor, consume),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

function fileOf(path: string, { digest }: Descriptor): string {
  return join(path, dirFileName(digest));
}

async function checkVersion(path: string): Promise<boolean> {
  const version = await readFileIfThere(join(path, 'version'), 1024);
  if (version === undefined || textOf(version) === versionText) return version !== undefined;
  throw new BullaError('image.unsupported', `${printable(path)} is a dir: image of another version than 1.1`);
}

async function readInstance(path: string, digest: Digest): Promise<Manifest> {
  const file = join(path, `${dirFileName(digest)}.manifest.json`);
  const bytes = await readFileIfThere(file, limits.manifestBytes).catch(tooLarge);
  if (bytes === undefined) {
    throw new BullaError('image.not-found', `${printable(path)} holds no instance ${digest}`);
  }
  return checkedManifest(bytes, digest);
}

/** Manifest bytes that must have a digest. @throws BullaError `manifest.digest-mismatch`, `manifest.*` */
export function checkedManifest(bytes: Uint8Array, digest: Digest, carried?: string): Manifest {
  const manifest = takeManifest(bytes, carried);
  if (manifest.digest === digest) return manifest;
  if (algorithmOf(digest) !== 'sha256') {
    throw new BullaError('image.unsupported', `manifests by ${algorithmOf(digest)} are not supported`);
  }
  throw new BullaError('manifest.digest-mismatch', `the manifest's bytes do not have the digest ${digest}`);
}

/** For reads of manifests: their limit has a code of its own. */
export function tooLarge(error: unknown): never {
  if (!isBullaError(error, 'io.too-large')) throw error;
  throw new BullaError('manifest.too-large', `the manifest is larger than ${limits.manifestBytes} bytes`);
}

/**
 * Opens a folder as a destination. It may be missing, empty, or a dir: image that is then replaced:
 * what the new image does not have goes once its manifest is written, the old one's signatures with it
 * unless the manifest is the same.
 * @throws BullaError `image.occupied` where it holds something else, `image.unsupported`
 */
export async function openDirSink(path: string): Promise<FileSink> {
  await checkFolder(path);
  const kept = new Set<string>();
  const prepared = prepareOnce(path);
  const fileFor = async (name: string): Promise<string> => {
    await prepared();
    kept.add(name);
    return join(path, name);
  };
  return {
    name: { transport: 'dir', path },
    hasBlob: async (descriptor) => {
      const name = dirFileName(descriptor.digest);
      const there = await isBlobFile(join(path, name), descriptor);
      if (there) kept.add(name);
      return there;
    },
    putBlob: async (descriptor, content) =>
      writeBlobFile(await fileFor(dirFileName(descriptor.digest)), descriptor, content),
    hasManifest: async (manifest, options) => {
      const name = manifestName(manifest, options);
      const there = await readFileIfThere(join(path, name), limits.manifestBytes).catch(() => undefined);
      const isSame = there !== undefined && bytesEqual(there, manifest.bytes);
      if (isSame) kept.add(name);
      return isSame;
    },
    take: async ({ digest }, feed) => takeBlobFile(await fileFor(dirFileName(digest)), feed),
    putManifest: async (manifest, options) => {
      if (options?.instance === true)
        return replaceFile(await fileFor(manifestName(manifest, options)), manifest.bytes);
      await dropStale(path, manifest.digest, kept);
      return replaceFile(await fileFor('manifest.json'), manifest.bytes);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

function manifestName({ digest }: Manifest, options: PutOptions | undefined): string {
  return options?.instance === true ? `${dirFileName(digest)}.manifest.json` : 'manifest.json';
}

async function checkFolder(path: string): Promise<void> {
  const names = await namesIn(path);
  if (names.length === 0 || (await checkVersion(path))) return;
  throw new BullaError('image.occupied', `${printable(path)} is not empty and holds no dir: image`, {
    hint: 'name a new or empty folder',
  });
}

async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    const failure = fileError(error, path, 'read');
    if (failure.code === 'io.not-found') return [];
    throw failure;
  }
}

function prepareOnce(path: string): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= prepare(path));
}

async function prepare(path: string): Promise<void> {
  await makeFolder(path);
  await replaceFile(join(path, 'version'), utf8(versionText));
}

/** Only what a dir: image is made of is ever removed; other files in the folder stay. */
const ownName =
  /^(?:(?:sha384-|sha512-)?[0-9a-f]{64,128}(?:\.manifest\.json|\.signature-\d+)?|signature-\d+)$/;

async function dropStale(path: string, digest: Digest, kept: ReadonlySet<string>): Promise<void> {
  const old = await readBoundedFile(join(path, 'manifest.json'), limits.manifestBytes).catch(() => undefined);
  const isSame = old !== undefined && sameDigest(old, digest);
  for (const name of await namesIn(path)) {
    if (!ownName.test(name) || kept.has(name)) continue;
    if (isSame && name.includes('signature-')) continue;
    await rm(join(path, name), { force: true });
  }
}

function sameDigest(bytes: Uint8Array, digest: Digest): boolean {
  try {
    return takeManifest(bytes).digest === digest;
  } catch {
    // what was there is no manifest at all
    return false;
  }
}

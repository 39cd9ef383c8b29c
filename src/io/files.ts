/** Files, bounded when read and whole when written. */
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { chmod, link, mkdir, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { printable } from '../base/bytes.ts';
import { BullaError, type ErrorCode } from '../base/errors.ts';
import { crypto } from '../base/node.ts';

/** Temporary names start so; no reader of a store or a configuration folder counts them. */
export const temporaryPrefix = '.bulla-tmp-';

/**
 * Up to this size a file is read while the process waits. Configuration, keys and signatures are
 * small and mostly in the page cache, where reading one takes 30 µs; a way through Node's thread
 * pool and back for each step of it takes twenty times that.
 */
const smallBytes = 1_048_576;

/**
 * Reads a whole file of at most `limit` bytes.
 * @throws BullaError `io.not-found` (also for a missing folder), `io.too-large`, `io.failed`
 */
export async function readBoundedFile(path: string, limit: number): Promise<Uint8Array> {
  try {
    return readSmallFile(path, limit) ?? (await readLargeFile(path, limit));
  } catch (error) {
    throw fileError(error, path, 'read');
  }
}

/** Undefined for what is large, is no plain file, or does not say its size (as in /proc). */
function readSmallFile(path: string, limit: number): Uint8Array | undefined {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.size === 0 || status.size > smallBytes) return undefined;
    if (status.size > limit) throw tooLarge(path, limit);
    const buffer = Buffer.alloc(status.size + 1);
    let length = 0;
    for (let count = -1; count !== 0; length += count) {
      count = readSync(descriptor, buffer, length, buffer.length - length, null);
      // it grew since it was asked for its size
      if (length + count === buffer.length) return undefined;
    }
    return new Uint8Array(buffer.buffer, buffer.byteOffset, length);
  } finally {
    closeSync(descriptor);
  }
}

async function readLargeFile(path: string, limit: number): Promise<Uint8Array> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const { size } = await file.stat();
  if (size > limit) throw tooLarge(path, limit);
  // one byte more than allowed is asked for: a file may grow, and /proc files say size 0
  const room = size > 0 ? size + 1 : limit + 1;
  const buffer = Buffer.alloc(Math.min(room, limit + 1));
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length);
    if (bytesRead === 0) break;
    length += bytesRead;
    if (length > limit || length === buffer.length) throw tooLarge(path, limit);
  }
  return new Uint8Array(buffer.buffer, buffer.byteOffset, length);
}

/** As readBoundedFile, but undefined where there is no such file. */
export async function readFileIfThere(path: string, limit: number): Promise<Uint8Array | undefined> {
  try {
    return await readBoundedFile(path, limit);
  } catch (error) {
    if (error instanceof BullaError && error.code === 'io.not-found') return undefined;
    throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'ENOTDIR')) return false;
    throw fileError(error, path, 'read');
  }
}

/** The mode of what is made: as usual less the process's umask, or exactly this one. */
export type FileMode = number | { readonly exact: number };

/** Makes a folder and those above it, to last through a crash; one that is there is fine. */
export async function makeFolder(path: string, mode: FileMode = 0o755): Promise<void> {
  try {
    const highest = await mkdir(path, {
      recursive: true,
      mode: typeof mode === 'number' ? mode : mode.exact,
    });
    if (highest === undefined) return;
    for (let made = resolve(path); ; made = dirname(made)) {
      if (typeof mode !== 'number') await chmod(made, mode.exact);
      await syncFolder(dirname(made));
      if (made === resolve(highest) || made === dirname(made)) return;
    }
  } catch (error) {
    throw fileError(await realMakeError(error, path), path, 'make');
  }
}

/** Node's recursive mkdir calls a read-only file system "no such file"; the folder nearest to it knows better. */
async function realMakeError(error: unknown, path: string): Promise<unknown> {
  if (!isSystemError(error, 'ENOENT')) return error;
  let nearest = resolve(path);
  while (nearest !== dirname(nearest) && !(await exists(dirname(nearest)))) nearest = dirname(nearest);
  return mkdir(nearest).then(
    () => error,
    (why: unknown) => why,
  );
}

/**
 * Replaces a file whole: written beside it, synced, renamed over it, the folder synced. A reader
 * sees the old bytes or the new ones; so does the disk after a crash.
 * @throws BullaError `io.read-only`, `io.no-space`, `io.not-found`, `io.failed`
 */
export async function replaceFile(path: string, bytes: Uint8Array, mode = 0o644): Promise<void> {
  const temporary = await writeTemporary(dirname(path), bytes, mode, path);
  try {
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await discard(temporary);
    throw fileError(error, path, 'write');
  }
}

/**
 * Looks whether replaceFile could write there now, for whoever does first what cannot be undone.
 * @throws BullaError as replaceFile
 */
export async function checkReplaceable(path: string): Promise<void> {
  await discard(await writeTemporary(dirname(path), new Uint8Array(), 0o600, path));
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder) throw new BullaError('io.failed', `cannot write ${path}: it is a folder`);
}

/**
 * Creates a file whole, and only if no file has that name: false, and nothing written, if one has.
 * By link(2) from a synced temporary file: two creators cannot both succeed, and no reader ever
 * sees a part of it.
 * @throws BullaError `io.read-only`, `io.no-space`, `io.not-found`, `io.failed`
 */
export async function createFile(path: string, bytes: Uint8Array, mode = 0o644): Promise<boolean> {
  return (await createFirstFree(path, bytes, async () => undefined, mode)) !== undefined;
}

/**
 * As createFile, but a name that is taken leads to another one: many creators in one folder write
 * one temporary file each, however often they collide.
 * @param next asked for another path in the same folder after each collision; undefined gives up
 * @returns the path created, or undefined where `next` gave up
 * @throws BullaError `io.read-only`, `io.no-space`, `io.not-found`, `io.failed`, or what `next` throws
 */
export async function createFirstFree(
  path: string,
  bytes: Uint8Array,
  next: () => Promise<string | undefined>,
  mode: FileMode = 0o644,
): Promise<string | undefined> {
  const temporary = await writeTemporary(dirname(path), bytes, mode, path);
  try {
    for (let target: string | undefined = path; target !== undefined; target = await next()) {
      if (!(await linked(temporary, target))) continue;
      await syncFolder(dirname(target));
      return target;
    }
    return undefined;
  } finally {
    await discard(temporary);
  }
}

/** Gives a file a second name; false where the name is taken. */
export async function linked(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return false;
    throw fileError(error, path, 'write');
  }
}

async function writeTemporary(
  folder: string,
  bytes: Uint8Array,
  mode: FileMode,
  forPath: string,
): Promise<string> {
  const temporary = temporaryName(folder);
  try {
    await using file = await open(temporary, 'wx', typeof mode === 'number' ? mode : mode.exact);
    if (typeof mode !== 'number') await file.chmod(mode.exact);
    await file.writeFile(bytes);
    await file.sync();
    return temporary;
  } catch (error) {
    await discard(temporary);
    throw fileError(error, forPath, 'write');
  }
}

/** A hidden name for a file in the making. */
export function temporaryName(folder: string): string {
  return join(folder, `${temporaryPrefix}${process.pid}-${crypto.randomBytes(8).toString('hex')}`);
}

/** Removes a file in the making. */
export async function discard(temporary: string): Promise<void> {
  // what cannot be removed is a hidden temporary file that no reader counts
  await unlink(temporary).catch(() => undefined);
}

/** Makes names in a folder last through a crash. */
export async function syncFolder(path: string): Promise<void> {
  try {
    await using folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    await folder.sync();
  } catch (error) {
    // some file systems (FUSE, NFS) cannot sync a folder; the data itself is synced
    if (isSystemError(error, 'EINVAL') || isSystemError(error, 'ENOTSUP')) return;
    throw fileError(error, path, 'sync');
  }
}

/** True for an operating system error with that code (`ENOENT`). */
export function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

const codeOf: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'io.not-found',
  ENOTDIR: 'io.not-found',
  EROFS: 'io.read-only',
  EACCES: 'io.read-only',
  EPERM: 'io.read-only',
  ENOSPC: 'io.no-space',
  EDQUOT: 'io.no-space',
};
const reasonOf: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
  EROFS: 'the file system is read-only',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
};

/** An operating system error as a BullaError that names the path and what was tried. */
export function fileError(
  error: unknown,
  path: string,
  tried: 'read' | 'write' | 'make' | 'sync' | 'remove',
): BullaError {
  if (error instanceof BullaError) return error;
  const system = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = reasonOf[system] ?? (error instanceof Error ? error.message : String(error));
  const code: ErrorCode =
    tried === 'read' && codeOf[system] === 'io.read-only' ? 'io.failed' : (codeOf[system] ?? 'io.failed');
  return new BullaError(code, `cannot ${tried} ${printable(path)}: ${reason}`, { cause: error });
}

function tooLarge(path: string, limit: number): BullaError {
  return new BullaError('io.too-large', `${printable(basename(path))} is larger than ${limit} bytes`);
}

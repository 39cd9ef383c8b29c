/** Compressed archives and layers: what they are packed with, and unpacking that cannot fill the disk. */
import { constants } from 'node:fs';
import { type FileHandle, mkdtemp, open, rmdir, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, type Transform } from 'node:stream';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { zlib } from '../base/node.ts';
import { fileError } from '../io/files.ts';

export type Compression = 'gzip' | 'zstd';

/** How many first bytes `compressionIn` wants. */
export const magicBytes = 6;

const magics: readonly (readonly [Compression | 'bzip2' | 'xz', readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

/** What the first bytes say; undefined: it is not compressed. @throws BullaError `image.unsupported` */
export function compressionIn(start: Uint8Array, what: string): Compression | undefined {
  const found = magics.find(([, magic]) => magic.every((byte, index) => start[index] === byte))?.[0];
  if (found !== 'bzip2' && found !== 'xz') return found;
  throw new BullaError('image.unsupported', `${printable(what)} is compressed by ${found}`, {
    hint: 'unpack it first, or compress it by gzip or zstd',
  });
}

/** The same of a file. */
export async function compressionOf(file: FileHandle, path: string): Promise<Compression | undefined> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(magicBytes), 0, magicBytes, 0);
  return compressionIn(buffer.subarray(0, bytesRead), path);
}

/**
 * Unpacks bytes as they pass.
 * @param size of what is unpacked: bombs grow out of proportion to it
 * @throws BullaError `image.too-large`, `image.malformed`
 */
export async function* unpacked(
  content: AsyncIterable<Uint8Array>,
  compression: Compression,
  size: number,
  what: string,
): AsyncGenerator<Uint8Array> {
  const most = Math.min(limits.unpackedBytes, Math.max(limits.unpackedFreely, size * limits.unpackedRatio));
  const unpacker = compression === 'gzip' ? zlib().createGunzip() : zlib().createZstdDecompress();
  let length = 0;
  try {
    for await (const chunk of through(content, unpacker)) {
      length += chunk.length;
      if (length > most) throw bomb(what, most);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof BullaError) throw error;
    throw new BullaError('image.malformed', `${printable(what)} does not unpack: ${reasonOf(error)}`);
  }
}

/** zlib's buffers for what it makes; its own default of 16 KiB is a call for every few lines of a layer. */
const packedChunkBytes = 65_536;

/**
 * Packs bytes as they pass. The same bytes and level give the same result on the same Node.
 * @param level gzip 1 to 9, zstd 1 to 22. Default: the library's own, 6 and 3
 */
export function packed(
  content: AsyncIterable<Uint8Array>,
  compression: Compression,
  level?: number,
): AsyncIterable<Uint8Array> {
  const { createGzip, createZstdCompress, constants: names } = zlib();
  const chunkSize = packedChunkBytes;
  if (compression === 'gzip')
    return through(content, createGzip({ chunkSize, ...(level !== undefined && { level }) }));
  const params = level === undefined ? {} : { [names.ZSTD_c_compressionLevel]: level };
  return through(content, createZstdCompress({ chunkSize, params }));
}

/** What becomes of bytes in a stream of Node's; a failure of either is the failure of the whole. */
async function* through(content: AsyncIterable<Uint8Array>, stream: Transform): AsyncGenerator<Uint8Array> {
  const input = Readable.from(content, { objectMode: false });
  input.on('error', (error) => stream.destroy(error));
  try {
    yield* input.pipe(stream) as AsyncIterable<Buffer>;
  } finally {
    input.destroy();
    stream.destroy();
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function bomb(what: string, most: number): BullaError {
  return new BullaError('image.too-large', `${printable(what)} unpacks to more than ${most} bytes`, {
    hint: 'unpack it yourself if that is what it should be',
  });
}

/**
 * A file to write and read that nobody else can see, and that is gone when it is closed or the process ends.
 * It lies in TMPDIR.
 */
export async function openScratch(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'bulla-')).catch((error: unknown) => {
    throw fileError(error, tmpdir(), 'make');
  });
  const path = join(folder, 'scratch');
  try {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    await unlink(path);
    return file;
  } catch (error) {
    throw fileError(error, path, 'write');
  } finally {
    await rmdir(folder).catch(() => undefined);
  }
}

/** Unpacks a whole archive into a scratch file. */
export async function spool(packed: FileHandle, compression: Compression, path: string): Promise<FileHandle> {
  const { size } = await packed.stat();
  const scratch = await openScratch();
  try {
    const content = packed.createReadStream({ autoClose: false, start: 0 }) as AsyncIterable<Buffer>;
    for await (const chunk of unpacked(content, compression, size, path)) await writeAll(scratch, chunk);
    return scratch;
  } catch (error) {
    await scratch.close();
    throw fileError(error, tmpdir(), 'write');
  }
}

/** Writes all of a chunk at the file's position. */
export async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, null);
    done += bytesWritten;
  }
}

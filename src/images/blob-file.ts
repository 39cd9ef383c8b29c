/** Blobs in files: checked while they pass, in both directions. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import type { Descriptor } from '../base/descriptor.ts';
import { algorithmOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import { fileError } from '../io/files.ts';
import type { BodyWriter, ConsumeBody } from '../io/http.ts';
import { openTemporary, type TemporaryFile } from '../io/temporary-file.ts';

const chunkBytes = 262_144;

/** Bytes one piece after another. */
export type ByteSource = {
  /** The next bytes; none at the end. They may lie in `into`, where that is given. */
  read(into?: Buffer): Promise<Uint8Array>;
  close(): Promise<void>;
};

/** Bytes at a place in a file, which stays open. */
export function sourceAt(file: FileHandle, start: number, size: number): ByteSource {
  let at = 0;
  return {
    read: async (into = Buffer.allocUnsafeSlow(Math.min(chunkBytes, size - at))) => {
      const wanted = Math.min(into.length, size - at);
      if (wanted === 0) return new Uint8Array();
      const { bytesRead } = await file.read(into, 0, wanted, start + at);
      at += bytesRead;
      return into.subarray(0, bytesRead);
    },
    close: async () => undefined,
  };
}

/** The pieces of a source, to iterate over. */
export async function* piecesOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  try {
    for (let chunk = await source.read(); chunk.length > 0; chunk = await source.read()) yield chunk;
  } finally {
    await source.close();
  }
}

/** The other way round. */
export function sourceOf(pieces: AsyncGenerator<Uint8Array>): ByteSource {
  return {
    read: async () => {
      const next = await pieces.next();
      return next.done === true ? new Uint8Array() : next.value;
    },
    close: async () => void (await pieces.return(undefined)),
  };
}

/**
 * Reads a blob as a stream.
 * @throws BullaError `image.not-found` where the file is missing; the stream fails with
 * `blob.digest-mismatch` at the first byte too many, or at its end
 */
export async function readBlobFile(
  path: string,
  descriptor: Descriptor,
): Promise<ReadableStream<Uint8Array>> {
  return checkedStream(await openSource(path, descriptor), descriptor, path);
}

/** One byte more than was announced is read, so that it is seen. */
async function openSource(path: string, descriptor: Descriptor): Promise<ByteSource> {
  const file = await openBlob(path, descriptor);
  const source = sourceAt(file, 0, descriptor.size + 1);
  return { read: (into) => source.read(into), close: () => file.close() };
}

/**
 * Gives a file's bytes to a consumer, as `Image.feed` does.
 * @throws BullaError `image.not-found`, `blob.digest-mismatch`, `io.*`, and what `consume` throws
 */
export async function feedBlobFile(
  path: string,
  descriptor: Descriptor,
  consume: ConsumeBody,
): Promise<void> {
  await feedSource(await openSource(path, descriptor), descriptor, path, consume);
}

/**
 * The same of bytes from anywhere.
 * @param path for messages
 */
export async function feedSource(
  source: ByteSource,
  descriptor: Descriptor,
  path: string,
  consume: ConsumeBody,
): Promise<void> {
  const check = openCheck(descriptor);
  await feedPieces(source, path, (chunk) => {
    // on its way before it is hashed: the other side works meanwhile
    const slow = consume(chunk);
    // awaited by the feed, unless the check fails before
    slow?.catch(() => undefined);
    check.add(chunk);
    return slow;
  });
  check.end();
}

/**
 * Gives all bytes of a source to a consumer, as they are. One buffer is read into while the other is on its way out.
 * @param path for messages
 * @throws BullaError `io.*`, and what `consume` throws
 */
export async function feedPieces(source: ByteSource, path: string, consume: ConsumeBody): Promise<void> {
  const buffers = [Buffer.allocUnsafeSlow(chunkBytes), Buffer.allocUnsafeSlow(chunkBytes)];
  let under: Promise<void> | undefined;
  try {
    for (let turn = 0; ; turn = 1 - turn) {
      const chunk = await source.read(buffers[turn]).catch((error: unknown) => {
        throw fileError(error, path, 'read');
      });
      if (chunk.length === 0) break;
      const slow = consume(chunk);
      // awaited below, unless something else fails before
      slow?.catch(() => undefined);
      await under;
      under = slow;
    }
    await under;
  } finally {
    await source.close();
  }
}

/**
 * A blob's bytes, wherever they come from. The stream fails with `blob.digest-mismatch` as `readBlobFile` says.
 * @param path for messages
 */
export function checkedStream(
  source: ByteSource,
  descriptor: Descriptor,
  path: string,
): ReadableStream<Uint8Array> {
  const check = openCheck(descriptor);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const chunk = await source.read();
          if (chunk.length > 0) check.add(chunk);
          else check.end();
          if (chunk.length > 0) return controller.enqueue(chunk);
          await source.close();
          return controller.close();
        } catch (error) {
          await source.close();
          throw fileError(error, path, 'read');
        }
      },
      cancel: () => source.close(),
    },
    { highWaterMark: 0 },
  );
}

async function openBlob(path: string, descriptor: Descriptor): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const failure = fileError(error, path, 'read');
    if (failure.code !== 'io.not-found') throw failure;
    throw new BullaError('image.not-found', `the blob ${descriptor.digest} is missing: ${failure.message}`);
  }
}

/**
 * Writes a blob to a file, which is there afterwards only if size and digest held.
 * @throws BullaError `blob.digest-mismatch`, `io.*`, and what the content's stream throws
 */
export async function writeBlobFile(
  path: string,
  descriptor: Descriptor,
  content: ReadableStream<Uint8Array>,
): Promise<void> {
  await using temporary = await openTemporary(path);
  const check = openCheck(descriptor);
  for await (const chunk of content) {
    check.add(chunk);
    await temporary.write(chunk);
  }
  check.end();
  await temporary.replace();
}

/**
 * The same of a feed that checks what it gives, as feeds do.
 * @throws BullaError `io.*`, and what `feed` throws
 */
export async function takeBlobFile(path: string, feed: BodyWriter): Promise<void> {
  await using temporary = await openTemporary(path);
  await writeFed(temporary, feed);
  await temporary.replace();
}

/**
 * Writes what a feed gives to a file in the making.
 * @throws BullaError `io.*`, and what `feed` throws
 */
export async function writeFed(file: TemporaryFile, feed: BodyWriter): Promise<void> {
  let last = Promise.resolve();
  try {
    await feed((chunk) => {
      // chunks may come while one is being written, and a file has one end
      last = last.then(() => file.write(chunk));
      return last;
    });
  } finally {
    // a feed that failed may have left one under way, and the file is closed next
    await last.catch(() => undefined);
  }
}

/** True when the file is there and has that size and digest: a blob that rotted is written anew. */
export async function isBlobFile(path: string, descriptor: Descriptor): Promise<boolean> {
  try {
    await feedBlobFile(path, descriptor, () => undefined);
    return true;
  } catch (error) {
    if (isBullaError(error, 'image.not-found') || isBullaError(error, 'blob.digest-mismatch')) return false;
    throw error;
  }
}

type Check = { add(chunk: Uint8Array): void; end(): void };

function openCheck({ digest, size }: Descriptor): Check {
  const hash = crypto.createHash(algorithmOf(digest));
  let length = 0;
  return {
    add: (chunk) => {
      length += chunk.length;
      if (length > size) throw mismatch(`the blob ${digest} is larger than the ${size} bytes announced`);
      hash.update(chunk);
    },
    end: () => {
      if (length < size) throw mismatch(`the blob ${digest} ends after ${length} of ${size} bytes`);
      if (`${algorithmOf(digest)}:${hash.digest('hex')}` !== digest) {
        throw mismatch(`the blob's bytes do not have the digest ${digest}`);
      }
    },
  };
}

function mismatch(why: string): BullaError {
  return new BullaError('blob.digest-mismatch', why);
}

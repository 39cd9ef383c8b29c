/** Blobs in files: checked while they pass, in both directions. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import type { Descriptor } from '../base/descriptor.ts';
import { algorithmOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import { fileError } from '../io/files.ts';
import { openTemporary } from '../io/temporary-file.ts';

const chunkBytes = 262_144;

/** Bytes one piece after another. */
export type ByteSource = {
  /** The next bytes; none at the end. */
  read(): Promise<Uint8Array>;
  close(): Promise<void>;
};

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
  const file = await openBlob(path, descriptor);
  const source = {
    read: async () => {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(chunkBytes));
      return new Uint8Array(buffer.buffer, 0, bytesRead);
    },
    close: () => file.close(),
  };
  return checkedStream(source, descriptor, path);
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

/** True when the file is there and has that size and digest: a blob that rotted is written anew. */
export async function isBlobFile(path: string, descriptor: Descriptor): Promise<boolean> {
  try {
    for await (const _ of await readBlobFile(path, descriptor));
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

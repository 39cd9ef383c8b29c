/** Blobs in files: checked while they pass, in both directions. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import type { Descriptor } from '../base/descriptor.ts';
import { algorithmOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import { fileError, openTemporary } from '../io/files.ts';

const chunkBytes = 262_144;

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
  const check = openCheck(descriptor);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(chunkBytes));
          const chunk = new Uint8Array(buffer.buffer, 0, bytesRead);
          if (bytesRead > 0) check.add(chunk);
          else check.end();
          if (bytesRead > 0) return controller.enqueue(chunk);
          await file.close();
          return controller.close();
        } catch (error) {
          await file.close();
          throw fileError(error, path, 'read');
        }
      },
      cancel: () => file.close(),
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

/** Blobs, read: size and digest are checked as the bytes pass. */
import type { Hash } from 'node:crypto';

import type { Descriptor } from '../base/descriptor.ts';
import { algorithmOf, type Digest, hexOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { crypto } from '../base/node.ts';
import type { HttpResponse } from '../io/http.ts';
import { answerError } from './answer.ts';
import { type Client, pullScope } from './client.ts';

export async function hasBlob(client: Client, path: string, digest: Digest): Promise<boolean> {
  const response = await client.session.send({
    method: 'HEAD',
    target: `/v2/${path}/blobs/${digest}`,
    scopes: [pullScope(path)],
    maxBytes: 0,
  });
  if (response.status !== 200 && response.status !== 404) {
    throw await answerError(response, `look for the blob ${digest}`);
  }
  response.discard();
  return response.status === 200;
}

export async function getBlob(
  client: Client,
  path: string,
  descriptor: Descriptor,
): Promise<ReadableStream<Uint8Array>> {
  return verified((await askForBlob(client, path, descriptor)).stream(), descriptor);
}

/** A blob at once, without Node's streams of the web: a cold process loads those for 6 ms. */
export async function getWholeBlob(
  client: Client,
  path: string,
  descriptor: Descriptor,
): Promise<Uint8Array> {
  const response = await askForBlob(client, path, descriptor);
  try {
    const bytes = await response.bytes();
    if (bytes.length === descriptor.size && isDigestOf(bytes, descriptor.digest)) return bytes;
  } catch (error) {
    // more of it than was said is no blob of that digest
    if (!isBullaError(error, 'http.too-large')) throw error;
  }
  throw mismatch(descriptor);
}

function isDigestOf(bytes: Uint8Array, digest: Digest): boolean {
  return crypto.createHash(algorithmOf(digest)).update(bytes).digest('hex') === hexOf(digest);
}

function mismatch({ digest }: Pick<Descriptor, 'digest'>): BullaError {
  return new BullaError('blob.digest-mismatch', `the bytes of blob ${digest} are not its own`);
}

async function askForBlob(client: Client, path: string, descriptor: Descriptor): Promise<HttpResponse> {
  const response = await client.session.send({
    method: 'GET',
    target: `/v2/${path}/blobs/${descriptor.digest}`,
    scopes: [pullScope(path)],
    // an error's body is to be readable too; the bytes of a blob are counted below
    maxBytes: Math.max(descriptor.size + 1, limits.errorBodyBytes),
    deadlineMs: client.blobDeadlineMs,
  });
  if (response.status !== 200) throw await answerError(response, `read the blob ${descriptor.digest}`);
  return response;
}

/**
 * The same bytes, failing with `blob.digest-mismatch` as soon as they are too many, or at their end
 * where size or digest do not hold.
 */
export function verified(
  content: ReadableStream<Uint8Array>,
  descriptor: Pick<Descriptor, 'digest' | 'size'>,
): ReadableStream<Uint8Array> {
  const reader = content.getReader();
  const hash: Hash = crypto.createHash(algorithmOf(descriptor.digest));
  let length = 0;
  const fail = async (): Promise<never> => {
    await reader.cancel().catch(() => undefined);
    throw mismatch(descriptor);
  };
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) {
        if (length !== descriptor.size || hash.digest('hex') !== hexOf(descriptor.digest)) await fail();
        controller.close();
        return;
      }
      length += value.length;
      if (length > descriptor.size) await fail();
      hash.update(value);
      controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

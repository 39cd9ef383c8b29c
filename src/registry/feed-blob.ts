/** A blob as its bytes come, from where it broke off: what a copy reads. No stream of the web lies in between. */
import type { Hash } from 'node:crypto';

import type { Descriptor } from '../base/descriptor.ts';
import { algorithmOf, hexOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { crypto } from '../base/node.ts';
import type { ConsumeBody, HttpResponse } from '../io/http.ts';
import { answerError } from './answer.ts';
import { type Client, pullScope } from './client.ts';
import { backoff } from './retry.ts';

/** Takes a chunk, which is its own until the promise settles: then its bytes are written over. Undefined: it is done with it. */
export type Consume = ConsumeBody;

/** Gives all bytes of something to a consumer, once. */
export type BlobFeed = (consume: Consume) => Promise<void>;

/** A connection that breaks this often in one blob is no connection. */
const mostResumes = 100;

/** Below this a kept connection is there sooner than a new one. */
const worthASocket = 1_048_576;

type Reading = {
  readonly descriptor: Descriptor;
  readonly hash: Hash;
  readonly consume: Consume;
  /** Bytes taken so far. */
  at: number;
  /** What the consumer threw: no fault of the source. */
  refused?: { readonly error: unknown };
};

/**
 * Reads a blob to its end; bytes that were taken are not asked for again.
 * @throws BullaError `blob.digest-mismatch`, `image.not-found`, `registry.*`, `http.*`, and what `consume` throws
 */
export async function feedBlob(
  client: Client,
  path: string,
  descriptor: Descriptor,
  consume: Consume,
): Promise<void> {
  const hash = crypto.createHash(algorithmOf(descriptor.digest));
  const reading: Reading = { descriptor, hash, consume, at: 0 };
  const { retry } = client.session;
  let fruitless = 0;
  for (let resumed = 0; ; resumed += 1) {
    const from = reading.at;
    try {
      await readFrom(client, path, reading);
      break;
    } catch (error) {
      if (reading.refused !== undefined) throw reading.refused.error;
      // the connection had nothing more to bring
      if (reading.at === descriptor.size && isBroken(error)) break;
      fruitless = reading.at > from ? 0 : fruitless + 1;
      const isOver = fruitless > retry.times || resumed >= mostResumes || retry.times === 0;
      if (isOver || retry.signal?.aborted === true || !isBroken(error)) throw error;
      await retry.clock.sleep(retry.delayMs ?? backoff(fruitless, retry.clock), retry.signal);
    }
  }
  const { at } = reading;
  if (at !== descriptor.size) throw mismatch(descriptor, `ends after ${at} of ${descriptor.size} bytes`);
  if (hash.digest('hex') !== hexOf(descriptor.digest)) {
    throw mismatch(descriptor, 'has bytes that are not its own');
  }
}

function isBroken(error: unknown): boolean {
  return isBullaError(error, 'http.failed') || isBullaError(error, 'http.timeout');
}

async function readFrom(client: Client, path: string, reading: Reading): Promise<void> {
  const { descriptor, hash, consume } = reading;
  const response = await ask(client, path, reading);
  // a server that knows no ranges begins anew
  let skip = response.status === 206 ? 0 : reading.at;
  await response.each((whole) => {
    const chunk = skip === 0 ? whole : whole.subarray(Math.min(skip, whole.length));
    skip -= whole.length - chunk.length;
    if (chunk.length === 0) return undefined;
    if (reading.at + chunk.length > descriptor.size) {
      throw mismatch(descriptor, `is longer than the ${descriptor.size} bytes that its manifest says`);
    }
    reading.at += chunk.length;
    const refuse = (error: unknown): never => {
      reading.refused = { error };
      throw error;
    };
    try {
      // on its way before it is hashed: the other side works meanwhile
      const slow = consume(chunk)?.catch(refuse);
      hash.update(chunk);
      return slow;
    } catch (error) {
      return refuse(error);
    }
  });
}

async function ask(client: Client, path: string, { descriptor, at }: Reading): Promise<HttpResponse> {
  const response = await client.session.send({
    method: 'GET',
    target: `/v2/${path}/blobs/${descriptor.digest}`,
    scopes: [pullScope(path)],
    ...(at > 0 && { headers: { range: `bytes=${at}-` } }),
    // an error's body is to be readable too, and one byte too many to be seen
    maxBytes: Math.max(descriptor.size + 1_048_576, limits.errorBodyBytes),
    deadlineMs: client.blobDeadlineMs,
    direct: descriptor.size - at > worthASocket,
  });
  if (response.status === 200) return response;
  if (response.status === 206 && at > 0) {
    const begins = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '')?.[1];
    if (begins === String(at)) return response;
    response.discard();
    throw mismatch(descriptor, `goes on at byte ${begins ?? 'unknown'} and not at ${at}`);
  }
  throw await answerError(response, `read the blob ${descriptor.digest}`);
}

function mismatch({ digest }: Descriptor, why: string): BullaError {
  return new BullaError('blob.digest-mismatch', `the blob ${digest} ${why}`);
}

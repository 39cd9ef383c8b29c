import { deepEqual, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { bytesOf } from '../../images/image-contract.ts';
import type { BlobFeed } from '../../registry/feed-blob.ts';
import { streamOf } from './blobs.ts';

/** Gives chunks without waiting for each, out of one buffer that is written over once a chunk is done with. */
function hasty(count: number): BlobFeed {
  return async (consume) => {
    const under: Promise<void>[] = [];
    for (let n = 0; n < count; n += 1) {
      const buffer = new Uint8Array(10).fill(n);
      const slow = consume(buffer);
      if (slow === undefined) buffer.fill(255);
      else under.push(slow.then(() => void buffer.fill(255)));
    }
    await Promise.all(under);
  };
}

test('a feed that runs ahead of a slow reader comes to its end, and every byte arrives', async () => {
  const bytes = await bytesOf(streamOf(hasty(40)));
  deepEqual(
    [...bytes],
    Array.from({ length: 400 }, (_, at) => Math.floor(at / 10)),
  );
});

test('a feed learns that nobody reads on; a reader learns that the feed failed', async () => {
  let failure: unknown;
  const stream = streamOf(async (consume) => {
    try {
      for (;;) await consume(new Uint8Array(10));
    } catch (error) {
      failure = error;
      throw error;
    }
  });
  const reader = stream.getReader();
  await reader.read();
  await reader.cancel();
  await new Promise((resolve) => setImmediate(resolve));
  ok(failure !== undefined);
  const failing = streamOf(() => Promise.reject(new Error('the source is gone')));
  await rejects(bytesOf(failing), /gone/);
});

/** A blob, sent as its bytes come: mounted from another repository where it lies there, else begun anew until it arrives. */
import type { Descriptor } from '../base/descriptor.ts';
import { tryParseDigest } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { GoneRequest, type HttpResponse, parseHttpUrl } from '../io/http.ts';
import { answerError } from './answer.ts';
import { type Client, pullScope, pushScope } from './client.ts';
import type { BlobFeed } from './feed-blob.ts';
import { backoff, isTransient, retryAfter } from './retry.ts';

/** How a blob came to be there. */
export type Sent = 'mounted' | 'uploaded';

type Blob = Pick<Descriptor, 'digest' | 'size'>;

/**
 * Sends a blob. What breaks on the way is begun again, from its first byte, as often as requests are.
 * @param feed checks what it gives, and throws where it is not the blob
 * @throws BullaError `registry.*`, `http.*`, `blob.digest-mismatch`, and what `feed` throws
 */
export async function sendBlob(
  client: Client,
  path: string,
  blob: Blob,
  feed: BlobFeed,
  options: { readonly from?: string } = {},
): Promise<Sent> {
  const { retry } = client.session;
  for (let tried = 0; ; tried += 1) {
    const begun = await begin(client, path, blob, tried === 0 ? options.from : undefined);
    if (begun === undefined) return 'mounted';
    const last = tried >= retry.times || retry.signal?.aborted === true;
    const failure = await upload(client, path, blob, begun, feed);
    if (failure === undefined) return 'uploaded';
    if (last || failure.isFinal) throw failure.error;
    const wait = Math.max(retry.delayMs ?? backoff(tried, retry.clock), failure.waitMs);
    await retry.clock.sleep(Math.min(wait, 60_000), retry.signal);
  }
}

/** Where to send it. Undefined: it is there already, taken from `from`. */
async function begin(
  client: Client,
  path: string,
  { digest }: Blob,
  from: string | undefined,
): Promise<URL | undefined> {
  const query = from === undefined ? '' : `?${new URLSearchParams({ mount: digest, from }).toString()}`;
  const response = await client.session.send({
    method: 'POST',
    target: `/v2/${path}/blobs/uploads/${query}`,
    scopes: from === undefined ? [pushScope(path)] : [pushScope(path), pullScope(from)],
    headers: { 'content-length': '0' },
    maxBytes: limits.errorBodyBytes,
  });
  if (response.status === 202) {
    response.discard();
    return parseHttpUrl(response.headers['location'] ?? '', 'the Location of the upload', response.url);
  }
  if (response.status === 201 && from !== undefined) {
    response.discard();
    checkClaim(response, digest);
    return undefined;
  }
  // a registry that mounts nothing may say so by an error
  if (from !== undefined && response.status < 500) {
    response.discard();
    return begin(client, path, { digest, size: 0 }, undefined);
  }
  throw await answerError(response, `begin an upload to ${path}`);
}

type Failure = { readonly error: unknown; readonly isFinal: boolean; readonly waitMs: number };

async function upload(
  client: Client,
  path: string,
  { digest, size }: Blob,
  location: URL,
  feed: BlobFeed,
): Promise<Failure | undefined> {
  const url = new URL(location);
  // appended, not set: reading and writing the query anew would change the registry's signed state
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  const fed = watched(feed);
  try {
    const response = await client.session.send({
      method: 'PUT',
      target: url,
      scopes: [pushScope(path)],
      headers: { 'content-type': 'application/octet-stream', 'content-length': `${size}` },
      body: fed.body,
      maxBytes: limits.errorBodyBytes,
      deadlineMs: client.blobDeadlineMs,
    });
    const isStored = response.status === 201 || response.status === 204 || response.status === 202;
    if (!isStored) {
      fed.stop();
      const waitMs = retryAfter(response.headers['retry-after'], client.session.retry.clock.now());
      const error = await answerError(response, `upload to ${path}`);
      return { error: fed.failure?.error ?? error, isFinal: !fed.mayRepeat(response.status), waitMs };
    }
    response.discard();
    // the registry may answer before the last byte is judged here
    await fed.ended;
    if (fed.failure !== undefined) return { ...fed.failure, isFinal: true, waitMs: 0 };
    checkClaim(response, digest);
    return undefined;
  } catch (error) {
    if (fed.failure !== undefined) return { ...fed.failure, isFinal: true, waitMs: 0 };
    const isBroken = isBullaError(error, 'http.failed') || isBullaError(error, 'http.timeout');
    return { error, isFinal: !isBroken, waitMs: 0 };
  }
}

/** A feed that tells afterwards whether it was the one that failed. */
function watched(feed: BlobFeed): {
  readonly body: BlobFeed;
  readonly ended: Promise<void>;
  readonly failure: { readonly error: unknown } | undefined;
  stop(): void;
  mayRepeat(status: number): boolean;
} {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let failure: { readonly error: unknown } | undefined;
  let isStopped = false;
  return {
    ended,
    get failure() {
      return failure;
    },
    stop: () => {
      isStopped = true;
    },
    mayRepeat: (status) => failure === undefined && isTransient(status, 'always'),
    body: async (write) => {
      try {
        await feed((chunk) => {
          if (isStopped) throw new GoneRequest();
          return write(chunk);
        });
      } catch (error) {
        if (!(error instanceof GoneRequest)) failure = { error };
        throw error;
      } finally {
        resolve();
      }
    },
  };
}

/** What a registry says of its own accord is held against it. */
function checkClaim(response: HttpResponse, digest: Blob['digest']): void {
  const claimed = tryParseDigest(response.headers['docker-content-digest'] ?? '');
  if (claimed === undefined || claimed === digest || claimed.slice(0, 6) !== digest.slice(0, 6)) return;
  throw new BullaError('blob.digest-mismatch', `the registry says that it stored ${claimed}, not ${digest}`);
}

/**
 * A blob, sent as its bytes come: mounted from another repository where it lies there; where the connection breaks, sent on from what the
 * registry has of it (distribution specification 1.1, "Pushing a blob in chunks"), or else begun anew until it arrives.
 */
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
 * Sends a blob. What breaks on the way goes on where it broke, or is begun again, as often as requests are.
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
  let broken: Begun | undefined;
  for (let tried = 0; ; tried += 1) {
    const begun =
      (broken === undefined ? undefined : await whatArrived(client, path, blob, broken)) ??
      (await begin(client, path, blob, tried === 0 ? options.from : undefined));
    if (begun === undefined) return 'mounted';
    const last = tried >= retry.times || retry.signal?.aborted === true;
    const failure = await upload(client, path, blob, begun, feed);
    if (failure === undefined) return 'uploaded';
    if (last || failure.isFinal) throw failure.error;
    broken = failure.isBroken ? begun : undefined;
    const wait = Math.max(retry.delayMs ?? backoff(tried, retry.clock), failure.waitMs);
    await retry.clock.sleep(Math.min(wait, 60_000), retry.signal);
  }
}

/** Where to send it, and how many bytes of it are there. */
type Begun = { readonly url: URL; readonly at: number };

/** Undefined: nothing that could be gone on with, and the upload is begun anew. */
async function whatArrived(
  client: Client,
  path: string,
  { size }: Blob,
  broken: Begun,
): Promise<Begun | undefined> {
  try {
    const response = await client.session.send({
      method: 'GET',
      target: broken.url,
      scopes: [pushScope(path)],
      maxBytes: limits.errorBodyBytes,
    });
    response.discard();
    const end = /^(?:bytes=)?0-(\d{1,15})$/.exec(response.headers['range'] ?? '')?.[1];
    const at = Number(end ?? 0) + 1;
    // "0-0" is said of one byte and of none
    if (response.status !== 204 || at < 2 || at > size || at <= broken.at) return undefined;
    const { location } = response.headers;
    const url =
      location === undefined
        ? broken.url
        : parseHttpUrl(location, 'the Location of the upload', response.url);
    return { url, at };
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}

/** Undefined: it is there already, taken from `from`. */
async function begin(
  client: Client,
  path: string,
  { digest }: Blob,
  from: string | undefined,
): Promise<Begun | undefined> {
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
    const location = response.headers['location'] ?? '';
    return { url: parseHttpUrl(location, 'the Location of the upload', response.url), at: 0 };
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

type Failure = {
  readonly error: unknown;
  readonly isFinal: boolean;
  readonly waitMs: number;
  /** The connection broke: what was sent may be there. */
  readonly isBroken?: boolean;
};

async function upload(
  client: Client,
  path: string,
  { digest, size }: Blob,
  begun: Begun,
  feed: BlobFeed,
): Promise<Failure | undefined> {
  const { at } = begun;
  const fed = watched(at === 0 ? feed : without(feed, at));
  try {
    const response = await client.session.send({
      method: 'PUT',
      target: endOf(begun, digest),
      scopes: [pushScope(path)],
      headers: headersOf(at, size),
      body: fed.body,
      maxBytes: limits.errorBodyBytes,
      deadlineMs: client.blobDeadlineMs,
    });
    const isStored = response.status === 201 || response.status === 204 || response.status === 202;
    if (!isStored) {
      fed.stop();
      const waitMs = retryAfter(response.headers['retry-after'], client.session.retry.clock.now());
      const error = await answerError(response, `upload to ${path}`);
      // what was gone on with and did not please is tried from its first byte
      return fed.failure === undefined
        ? { error, isFinal: at === 0 && !isTransient(response.status, 'always'), waitMs }
        : ownFault(fed.failure);
    }
    response.discard();
    // the registry may answer before the last byte is judged here
    await fed.ended;
    if (fed.failure !== undefined) return ownFault(fed.failure);
    checkClaim(response, digest);
    return undefined;
  } catch (error) {
    if (fed.failure !== undefined) return ownFault(fed.failure);
    const isBroken = isBullaError(error, 'http.failed') || isBullaError(error, 'http.timeout');
    return { error, isFinal: !isBroken, waitMs: 0, isBroken };
  }
}

function headersOf(at: number, size: number): Readonly<Record<string, string>> {
  return {
    'content-type': 'application/octet-stream',
    'content-length': `${size - at}`,
    ...(at > 0 && at < size && { 'content-range': `${at}-${size - 1}` }),
  };
}

/** No registry can help where the bytes themselves are at fault. */
function ownFault({ error }: { readonly error: unknown }): Failure {
  return { error, isFinal: true, waitMs: 0 };
}

/** Appended, not set: reading and writing the query anew would change the registry's signed state. */
function endOf({ url: begun }: Begun, digest: Blob['digest']): URL {
  const url = new URL(begun);
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  return url;
}

/** A feed whose first bytes are there already: they are read, and checked, and not sent. */
function without(feed: BlobFeed, bytes: number): BlobFeed {
  return (consume) => {
    let skip = bytes;
    return feed((whole) => {
      const chunk = whole.subarray(Math.min(skip, whole.length));
      skip -= whole.length - chunk.length;
      return chunk.length === 0 ? undefined : consume(chunk);
    });
  };
}

/** A feed that tells afterwards whether it was the one that failed. */
function watched(feed: BlobFeed): {
  readonly body: BlobFeed;
  readonly ended: Promise<void>;
  readonly failure: { readonly error: unknown } | undefined;
  stop(): void;
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

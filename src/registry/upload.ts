/** Blobs, written: mounted from another repository, in one piece, or in pieces of a bounded size. */
import type { Descriptor } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type HttpMethod, type HttpResponse, parseHttpUrl } from '../io/http.ts';
import { answerError } from './answer.ts';
import { verified } from './blobs.ts';
import { pieces } from './pieces.ts';
import { type Client, pullScope, pushScope } from './client.ts';

export async function mountBlob(
  client: Client,
  path: string,
  digest: Digest,
  from: string,
): Promise<boolean> {
  const query = new URLSearchParams({ mount: digest, from });
  const response = await post(client, path, `?${query.toString()}`, [pushScope(path), pullScope(from)]);
  response.discard();
  if (response.status === 201) return true;
  // 202: not mounted, an upload was begun instead. It is left to expire: the caller's bytes may
  // not be open yet, and one more POST costs less than holding two states.
  return false;
}

/** A place for one blob, for `putBlob`; nothing is sent yet, and what nobody sends expires at the registry. */
export async function beginUpload(client: Client, path: string): Promise<URL> {
  const begun = await post(client, path, '', [pushScope(path)]);
  begun.discard();
  return locationOf(begun);
}

export type PutBlobOptions = {
  readonly chunkBytes?: number;
  /** A place that was begun before, for bytes that can be sent again: where it is no use another one is begun. */
  readonly begun?: Promise<URL>;
};

export async function putBlob(
  client: Client,
  path: string,
  descriptor: Pick<Descriptor, 'digest' | 'size'>,
  content: Uint8Array | ReadableStream<Uint8Array>,
  options: PutBlobOptions = {},
): Promise<void> {
  if (options.begun !== undefined && content instanceof Uint8Array) {
    try {
      await finish(client, path, await options.begun, descriptor, content);
      return;
    } catch (error) {
      // it could not be begun, or has expired; what is wrong with the registry itself shows again
      if (!isBullaError(error)) throw error;
    }
  }
  const begun = await post(client, path, '', [pushScope(path)]);
  begun.discard();
  const location = locationOf(begun);
  if (options.chunkBytes === undefined || descriptor.size <= options.chunkBytes) {
    await finish(client, path, location, descriptor, content);
    return;
  }
  const least = Number(begun.headers['oci-chunk-min-length'] ?? 0);
  const chunkBytes = Math.max(options.chunkBytes, Number.isSafeInteger(least) && least > 0 ? least : 0);
  if (chunkBytes > mostChunkBytes) {
    throw new BullaError('registry.failed', `the registry wants chunks of at least ${least} bytes`);
  }
  const stream = content instanceof Uint8Array ? new Blob([new Uint8Array(content)]).stream() : content;
  const end = await putChunks(client, path, location, verified(stream, descriptor), chunkBytes);
  await finish(client, path, end, { digest: descriptor.digest, size: 0 }, new Uint8Array());
}

/** A piece is held in memory, so that it can be sent again. */
const mostChunkBytes = 67_108_864;

async function post(
  client: Client,
  path: string,
  query: string,
  scopes: readonly string[],
): Promise<HttpResponse> {
  const response = await client.session.send({
    method: 'POST',
    target: `/v2/${path}/blobs/uploads/${query}`,
    scopes,
    headers: { 'content-length': '0' },
    maxBytes: limits.errorBodyBytes,
  });
  if (response.status === 201 || response.status === 202) return response;
  throw await answerError(response, `begin an upload to ${path}`);
}

async function putChunks(
  client: Client,
  path: string,
  location: URL,
  content: ReadableStream<Uint8Array>,
  chunkBytes: number,
): Promise<URL> {
  let at = 0;
  let next = location;
  for await (const piece of pieces(content, chunkBytes)) {
    const response = await transfer(client, path, 'PATCH', next, piece, {
      'content-type': 'application/octet-stream',
      'content-length': `${piece.length}`,
      'content-range': `${at}-${at + piece.length - 1}`,
    });
    if (response.status !== 202) throw await answerError(response, `upload to ${path}`);
    response.discard();
    at += piece.length;
    checkRange(response, at);
    next = locationOf(response);
  }
  return next;
}

/** `Range: 0-99` says what the registry has; anything but what was sent would leave a hole. */
function checkRange(response: HttpResponse, sent: number): void {
  const range = /^(?:bytes=)?0-(\d+)$/.exec(response.headers['range'] ?? '');
  if (range === null || Number(range[1]) === sent - 1) return;
  throw new BullaError(
    'registry.failed',
    `the registry has ${Number(range[1]) + 1} bytes of the ${sent} sent`,
  );
}

async function finish(
  client: Client,
  path: string,
  location: URL,
  descriptor: Pick<Descriptor, 'digest' | 'size'>,
  content: Uint8Array | ReadableStream<Uint8Array>,
): Promise<void> {
  const url = new URL(location);
  // appended, not set: reading and writing the query anew would change the registry's signed state
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(descriptor.digest)}`;
  const body = content instanceof Uint8Array ? content : verified(content, descriptor);
  const response = await transfer(client, path, 'PUT', url, body, {
    'content-type': 'application/octet-stream',
    'content-length': `${content instanceof Uint8Array ? content.length : descriptor.size}`,
  });
  if (response.status !== 201 && response.status !== 204 && response.status !== 202) {
    throw await answerError(response, `upload to ${path}`);
  }
  response.discard();
}

function transfer(
  client: Client,
  path: string,
  method: HttpMethod,
  target: URL,
  body: Uint8Array | ReadableStream<Uint8Array>,
  headers: Readonly<Record<string, string>>,
): Promise<HttpResponse> {
  return client.session.send({
    method,
    target,
    scopes: [pushScope(path)],
    headers,
    body,
    maxBytes: limits.errorBodyBytes,
    deadlineMs: client.blobDeadlineMs,
  });
}

function locationOf(response: HttpResponse): URL {
  return parseHttpUrl(response.headers['location'] ?? '', 'the Location of the upload', response.url);
}

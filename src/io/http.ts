/**
 * HTTP for everything that Bulla reads and writes over a network: bounded in time (connect, headers,
 * body, stalls), in size, in redirects. Nothing is retried here, nothing is decompressed, and no
 * credential crosses from one origin to another. node:http costs a cold process a tenth of fetch.
 */
import { BullaError } from '../base/errors.ts';
import { monotonicMs } from '../base/node.ts';
import { type Agents, openAgents, type TlsOptions } from './http-agents.ts';
import { type Exchange, exchange, isUnknownIssuer } from './http-exchange.ts';
import { displayUrl } from './http-url.ts';

export type { TlsOptions } from './http-agents.ts';
export { GoneRequest } from './http-exchange.ts';
export { displayUrl, parseHttpUrl } from './http-url.ts';

export type HttpOptions = {
  /** For every server reached through this client; a client certificate goes to no redirect target. */
  readonly tls?: TlsOptions;
  readonly userAgent?: string;
  /** Called before each connection, redirects included; throws to forbid it (`--offline`). */
  readonly guard?: (url: URL) => void;
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY are looked up. Default: this process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
};

export type HttpMethod = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/**
 * Writes a body as it comes to be: gives each chunk to `write`, and may write over it once that is done with it. What it throws ends the request. Unlike a stream of the web it costs nothing.
 */
export type BodyWriter = (write: ConsumeBody) => Promise<void>;

/**
 * Takes a chunk, which is its own until the promise settles and no longer: its bytes are then written over. Undefined: it is
 * done with it. Further chunks may come meanwhile, in order, until too much waits.
 */
export type ConsumeBody = (chunk: Uint8Array) => Promise<void> | undefined;

/** All that can be sent. */
export type HttpBody = Uint8Array | ReadableStream<Uint8Array> | BodyWriter;

export type HttpRequest = {
  /** Default: GET. */
  readonly method?: HttpMethod;
  /** http: or https:, without user name and password. */
  readonly url: URL;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What is no Uint8Array is sent chunked unless `headers` has its content-length. */
  readonly body?: HttpBody;
  /** From the call to the last byte of the answer, redirects included. Default: 300,000. */
  readonly deadlineMs?: number;
  /** The longest silence while connecting, sending or receiving. Default: 30,000. */
  readonly idleMs?: number;
  /** The most that the answer's body may hold; more is `http.too-large`. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
  /** `follow`: up to ten, for GET and HEAD only. Default: `none`, a redirect is an answer like any other. */
  readonly redirects?: 'none' | 'follow';
  /** The body is large, and read by `each`: where that is possible a socket of its own brings it, with less effort. */
  readonly direct?: boolean;
  /** False keeps the client certificate from this server (a token realm elsewhere). Default: true. */
  readonly clientCertificate?: boolean;
};

/** An answer, whatever its status. One of bytes, stream, each and discard is to be called, once. */
export type HttpResponse = {
  readonly status: number;
  /** Names in lower case; repeated headers joined by a comma as RFC 9110 section 5.3 has it. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  /** The whole body. @throws BullaError `http.too-large`, `http.timeout`, `http.failed` */
  bytes(): Promise<Uint8Array>;
  /** The body as it comes; fails as `bytes` does. Cancelling it closes the connection. */
  stream(): ReadableStream<Uint8Array>;
  /**
   * Gives each chunk to `consume` as it comes; resolves when all are consumed. It fails as `bytes` does, or with what `consume` throws, which closes the connection.
   */
  each(consume: ConsumeBody): Promise<void>;
  /** Lets the body go: a short rest is read so that the connection can be used again. */
  discard(): void;
};

/** Disposing destroys all sockets, so that the process can end at once. */
export interface HttpClient extends AsyncDisposable {
  /**
   * @throws BullaError `http.failed` (no connection, or it broke), `http.certificate-refused`,
   * `http.timeout`, `http.redirect-refused`, `http.url-refused`, or what the guard throws
   */
  request(request: HttpRequest): Promise<HttpResponse>;
}

/** Go's net/http follows ten; so do the peers. */
const mostRedirects = 10;
const defaultDeadlineMs = 300_000;
const defaultIdleMs = 30_000;

export function openHttp(options: HttpOptions = {}): HttpClient {
  const agents = openAgents(options.tls ?? {}, options.env ?? process.env);
  return {
    request: (request) => requestFollowing(agents, options, request),
    [Symbol.asyncDispose]: async () => {
      agents.destroy();
    },
  };
}

async function requestFollowing(
  agents: Agents,
  options: HttpOptions,
  request: HttpRequest,
): Promise<HttpResponse> {
  const method = request.method ?? 'GET';
  const follow = request.redirects === 'follow' && (method === 'GET' || method === 'HEAD');
  const endsAt = monotonicMs() + (request.deadlineMs ?? defaultDeadlineMs);
  let call: Exchange = {
    method,
    url: request.url,
    headers: headersOf(options, request),
    ...(request.body !== undefined && { body: request.body }),
    endsAt,
    idleMs: request.idleMs ?? defaultIdleMs,
    maxBytes: request.maxBytes,
    ...(request.signal !== undefined && { signal: request.signal }),
    withCertificate: request.clientCertificate ?? true,
    direct: request.direct ?? false,
  };
  for (let hop = 0; ; hop += 1) {
    refuseUserInfo(call.url);
    options.guard?.(call.url);
    const response = await exchangeOnce(agents, call);
    const location = response.headers['location'];
    if (!follow || !isRedirect(response.status) || location === undefined) return response;
    response.discard();
    if (hop === mostRedirects) throw refused(request.url, `it redirects more than ${mostRedirects} times`);
    call = redirected(call, location);
  }
}

/**
 * One exchange; where a server's certificate has an unknown issuer, once more with the system's own
 * certificates: reading those costs a cold process 100 ms, so it is done only then.
 */
async function exchangeOnce(agents: Agents, call: Exchange): Promise<HttpResponse> {
  const { trustsSystem } = agents;
  try {
    return await exchangeEither(agents, call);
  } catch (error) {
    const repeatable = call.body === undefined || call.body instanceof Uint8Array;
    if (!repeatable || trustsSystem || !isUnknownIssuer(error)) throw error;
    agents.trustSystem();
    return exchangeEither(agents, call);
  }
}

async function exchangeEither(agents: Agents, call: Exchange): Promise<HttpResponse> {
  if (!call.direct) return exchange(agents, call);
  const { exchangeDirectly } = await import('./http-direct.ts');
  return (await exchangeDirectly(agents, call)) ?? exchange(agents, call);
}

function headersOf(options: HttpOptions, request: HttpRequest): Record<string, string> {
  const length = request.body instanceof Uint8Array ? { 'content-length': `${request.body.length}` } : {};
  return {
    // a digest is of the bytes as stored: nothing on the way may encode them
    'accept-encoding': 'identity',
    ...(options.userAgent !== undefined && { 'user-agent': options.userAgent }),
    ...length,
    ...request.headers,
  };
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

function redirected(call: Exchange, location: string): Exchange {
  const url = URL.parse(location, call.url);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw refused(call.url, 'it redirects to something that is no http or https URL');
  }
  if (call.url.protocol === 'https:' && url.protocol === 'http:') {
    throw refused(call.url, `it redirects from https to plain ${displayUrl(url)}`);
  }
  if (url.origin === call.url.origin) return { ...call, url };
  const { authorization: _dropped, ...headers } = call.headers;
  return { ...call, url, headers, withCertificate: false };
}

function refuseUserInfo(url: URL): void {
  if (url.username === '' && url.password === '') return;
  throw new BullaError('http.url-refused', `${displayUrl(url)} has a user name or password in it`, {
    hint: 'give credentials with --creds or by bulla login, not in a URL',
  });
}

function refused(url: URL, why: string): BullaError {
  return new BullaError('http.redirect-refused', `${displayUrl(url)}: ${why}`);
}

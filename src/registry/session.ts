/** One registry host: its scheme, its ping, its challenge, and every request with the right credentials. */
import { BullaError } from '../base/errors.ts';
import {
  displayUrl,
  type HttpBody,
  type HttpClient,
  type HttpMethod,
  type HttpResponse,
} from '../io/http.ts';
import { answerError, isHtml, notARegistry } from './answer.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { Credentials } from './credentials.ts';
import { probe } from './probe.ts';
import { type Repeatable, type RetryOptions, retrying } from './retry.ts';
import { basic, openTokens, type Tokens } from './token.ts';

export type SessionOptions = {
  /** `host` or `host:port` to connect to. */
  readonly host: string;
  /** Certificates are not checked, and plain HTTP is used where the host does not speak TLS. */
  readonly insecure: boolean;
  readonly http: HttpClient;
  readonly credentials: Credentials;
  readonly retry: RetryOptions;
  /** For everything but blobs. */
  readonly deadlineMs: number;
  readonly idleMs: number;
};

export type Ping = {
  /** The registry keeps signatures itself (`X-Registry-Supports-Signatures: 1`). */
  readonly supportsSignatures: boolean;
};

export type Call = {
  readonly method: HttpMethod;
  /** A path and query at the registry, or a URL that the registry named (Location, Link). */
  readonly target: string | URL;
  /** Token scopes: `repository:app:pull`. */
  readonly scopes: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpBody;
  readonly maxBytes: number;
  readonly deadlineMs?: number;
  /** `none`: a redirect is an answer. Default: followed, for GET and HEAD. */
  readonly redirects?: 'none' | 'follow';
  /** The body is large, and read by `each`. */
  readonly direct?: boolean;
  /** True: a rate limit (429) is an answer, which nobody waits for. */
  readonly unlessLimited?: boolean;
};

export type Session = {
  /** How often, and after how long, what failed is tried again: for those who repeat more than one request. */
  readonly retry: RetryOptions;
  /** What the registry says of itself; asked once. @throws BullaError `registry.*`, `http.*` */
  ping(): Promise<Ping>;
  /** Sends a request with what the registry wants to see; any status but 401 is given back as it is. */
  send(call: Call): Promise<HttpResponse>;
};

type State = {
  readonly options: SessionOptions;
  readonly tokens: Tokens;
  readonly root: () => Promise<URL>;
  readonly ping: () => Promise<Ping>;
  challenges: readonly Challenge[];
};

export function openSession(options: SessionOptions): Session {
  const state: State = {
    options,
    tokens: openTokens(options),
    root: once(() => findRoot(options)),
    ping: once(() => ping(state)),
    challenges: [],
  };
  return { retry: options.retry, ping: state.ping, send: (call) => send(state, call) };
}

/** Runs it once for all callers; a failure is not kept, so that a later caller may succeed. */
function once<T>(run: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= run().catch((error: unknown) => {
      running = undefined;
      throw error;
    });
    return running;
  };
}

/**
 * The registry's root. Without `insecure` it is https and nothing else. With it, as containers/image
 * has it, TLS is tried first and plain HTTP after it; the answer holds for the life of the session.
 */
async function findRoot(options: SessionOptions): Promise<URL> {
  const secure = rootUrl('https', options.host);
  if (!options.insecure) return secure;
  const plain = rootUrl('http', options.host);
  const spoken = await probe(
    secure.hostname.replace(/^\[|\]$/g, ''),
    Number(secure.port === '' ? '443' : secure.port),
    Math.min(options.idleMs, 5_000),
  );
  if (spoken === 'tls') return secure;
  if (spoken === 'plain' && secure.port === plain.port) return plain;
  try {
    // a proxy may stand between, or the server takes its time: only a real request can tell
    (await sendPing(options, secure)).discard();
    return secure;
  } catch {
    return plain;
  }
}

function rootUrl(scheme: 'http' | 'https', host: string): URL {
  const url = URL.parse(`${scheme}://${host}/`);
  if (url !== null && url.username === '') return url;
  throw new BullaError('reference.malformed', `"${host}" is not a host name`);
}

function sendPing(options: SessionOptions, root: URL): Promise<HttpResponse> {
  return options.http.request({
    url: new URL('/v2/', root),
    maxBytes: 1_048_576,
    deadlineMs: options.deadlineMs,
    idleMs: options.idleMs,
    ...(options.retry.signal !== undefined && { signal: options.retry.signal }),
  });
}

async function ping(state: State): Promise<Ping> {
  const { options } = state;
  const root = await state.root();
  const response = await retrying(options.retry, 'always', () => sendPing(options, root));
  if (response.status !== 200 && response.status !== 401)
    throw await answerError(response, 'reach the registry');
  if (response.status === 200 && isHtml(response, new Uint8Array())) {
    response.discard();
    throw notARegistry(response);
  }
  if (response.status === 401) learn(state, response);
  response.discard();
  return { supportsSignatures: response.headers['x-registry-supports-signatures'] === '1' };
}

function learn(state: State, response: HttpResponse): void {
  const challenges = parseChallenges(response.headers['www-authenticate']);
  if (challenges.length > 0) state.challenges = challenges;
}

const idempotent: ReadonlySet<HttpMethod> = new Set(['GET', 'HEAD', 'PUT', 'DELETE']);

async function send(state: State, call: Call): Promise<HttpResponse> {
  const streamed = call.body !== undefined && !(call.body instanceof Uint8Array);
  // An anonymous read goes out at once; whoever will have to show something asks first what is
  // wanted, as a body that is sent for nothing and a 401 cost more than the ping.
  const asksFirst =
    state.options.credentials.kind !== 'none' || (call.method !== 'GET' && call.method !== 'HEAD');
  if (asksFirst && state.options.credentials.kind !== 'registry-token') await state.ping();
  const repeatable: Repeatable = streamed ? 'never' : idempotent.has(call.method) ? 'always' : 'unprocessed';
  const retry = { ...state.options.retry, ...(call.unlessLimited === true && { unlessLimited: true }) };
  return retrying(retry, repeatable, () => sendAuthorized(state, call, streamed));
}

async function sendAuthorized(state: State, call: Call, streamed: boolean): Promise<HttpResponse> {
  const root = await state.root();
  const url = typeof call.target === 'string' ? new URL(call.target, root) : call.target;
  if (root.protocol === 'https:' && url.protocol === 'http:') {
    throw new BullaError(
      'http.redirect-refused',
      `${displayUrl(root)} continues without TLS at ${displayUrl(url)}`,
    );
  }
  // what the registry names elsewhere (a storage service) gets neither token nor password
  if (url.origin !== root.origin) return sendOnce(state, call, url, undefined);
  const shown = await authorization(state, root, call.scopes);
  const response = await sendOnce(state, call, url, shown);
  if (response.status !== 401 || streamed) return response;
  learn(state, response);
  const again = await authorization(state, root, scopesAfter(response, call.scopes), shown).catch(
    (error: unknown) => {
      response.discard();
      throw error;
    },
  );
  if (again === undefined || again === shown) return response;
  response.discard();
  return sendOnce(state, call, url, again);
}

function sendOnce(
  state: State,
  call: Call,
  url: URL,
  authorizationHeader: string | undefined,
): Promise<HttpResponse> {
  const { options } = state;
  return options.http.request({
    method: call.method,
    url,
    headers: {
      ...call.headers,
      ...(authorizationHeader !== undefined && { authorization: authorizationHeader }),
    },
    ...(call.body !== undefined && { body: call.body }),
    maxBytes: call.maxBytes,
    deadlineMs: call.deadlineMs ?? options.deadlineMs,
    idleMs: options.idleMs,
    redirects: call.redirects ?? 'follow',
    ...(call.direct === true && { direct: true }),
    ...(options.retry.signal !== undefined && { signal: options.retry.signal }),
  });
}

/** What to show for these scopes, as far as the registry has said what it wants. */
async function authorization(
  state: State,
  root: URL,
  scopes: readonly string[],
  refused?: string,
): Promise<string | undefined> {
  const { credentials } = state.options;
  if (credentials.kind === 'registry-token') return `Bearer ${credentials.token}`;
  const bearer = state.challenges.find((each) => each.scheme === 'bearer');
  if (bearer !== undefined) {
    const stale = refused?.startsWith('Bearer ') === true ? refused.slice('Bearer '.length) : undefined;
    return `Bearer ${await state.tokens.get(root, bearer, scopes, stale)}`;
  }
  const wantsBasic = state.challenges.some((each) => each.scheme === 'basic');
  if (!wantsBasic || credentials.kind !== 'password') return undefined;
  return basic(credentials.username, credentials.password);
}

/** A registry that finds the scope too small says which it wants (RFC 6750 section 3.1): that is added. */
function scopesAfter(response: HttpResponse, scopes: readonly string[]): readonly string[] {
  const bearer = parseChallenges(response.headers['www-authenticate']).find(
    (each) => each.scheme === 'bearer',
  );
  const wanted = bearer?.parameters.get('scope');
  if (bearer?.parameters.get('error') !== 'insufficient_scope' || wanted === undefined) return scopes;
  return [...new Set([...scopes, ...wanted.split(' ').slice(0, 8)])];
}

/**
 * Asking a transparency log or a timestamp authority: one request, bounded in time and size, sent again only where
 * the service says that it did nothing yet. What it answers is for the caller to check.
 */
import { printable, textOf, utf8 } from '../base/bytes.ts';
import { BullaError, type ErrorCode, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { displayUrl, type HttpClient, type HttpRequest, type HttpResponse } from '../io/http.ts';
import type { TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import { type RetryClock, retrying, systemClock, wasDropped } from '../registry/retry.ts';

/** How a service is reached, and by what its answers are checked. */
export type ServiceOptions = {
  readonly http: HttpClient;
  /** An answer must verify by one of these before it is used. Without any it is checked only for being about what was sent. */
  readonly roots?: readonly TrustedRoot[];
  readonly signal?: AbortSignal;
  /** For waiting when the service wants fewer requests. Default: the real one. */
  readonly clock?: RetryClock;
};

/** The first part of the codes that its errors have. */
export type ServiceKind = 'log' | 'timestamp';

const codes = {
  log: {
    failed: 'log.failed',
    refused: 'log.refused',
    limited: 'log.rate-limited',
    invalid: 'log.answer-invalid',
  },
  timestamp: {
    failed: 'timestamp.failed',
    refused: 'timestamp.refused',
    limited: 'timestamp.rate-limited',
    invalid: 'timestamp.answer-invalid',
  },
} as const satisfies Readonly<Record<ServiceKind, Readonly<Record<string, ErrorCode>>>>;

export type ServiceAnswer = {
  readonly status: number;
  readonly headers: HttpResponse['headers'];
  /** At most `limits.logAnswerBytes`. */
  readonly body: Uint8Array;
};

export type ServiceCall = Pick<HttpRequest, 'method' | 'headers' | 'body'> & {
  readonly kind: ServiceKind;
  readonly url: URL;
  /** These statuses are given back; each other one but 200 and 201 is an error. */
  readonly statuses?: readonly number[];
};

/** Rekor v2 answers when its next checkpoint is there, which takes it up to ten seconds by custom. */
const deadlineMs = 60_000;
const idleMs = 30_000;
/** How often a service that wants fewer requests, or is not ready, is asked again. Each wait is a minute at most. */
const retries = 2;

/**
 * Sends one request.
 * @throws BullaError by the kind: `*.failed` (unreachable, silent, cut off, 5xx, a redirect), `*.refused` (4xx),
 *   `*.rate-limited` (429 still after waiting), `*.answer-invalid` (too large); `io.offline`
 */
export async function callService(call: ServiceCall, options: ServiceOptions): Promise<ServiceAnswer> {
  const { kind, url, statuses = [] } = call;
  const { http, signal, clock = systemClock } = options;
  const request: HttpRequest = {
    method: call.method ?? 'POST',
    url,
    ...(call.headers !== undefined && { headers: call.headers }),
    ...(call.body !== undefined && { body: call.body }),
    maxBytes: limits.logAnswerBytes,
    deadlineMs,
    idleMs,
    ...(signal !== undefined && { signal }),
  };
  try {
    const retry = { times: retries, clock, ...(signal !== undefined && { signal }) };
    const response = await retrying(retry, 'unprocessed', () => sendAgain(http, request));
    const { status, headers } = response;
    const body = await response.bytes();
    if (status === 200 || status === 201 || statuses.includes(status)) return { status, headers, body };
    throw unwanted(kind, url, status, body);
  } catch (error) {
    throw isBullaError(error) ? asServiceError(kind, url, error) : error;
  }
}

/**
 * A server closes connections that were idle, and does so while a request is on its way. Sending it once more does no harm: a
 * log that took the first one answers 409, which is read, and a timestamp is of nothing else.
 */
async function sendAgain(http: HttpClient, request: HttpRequest): Promise<HttpResponse> {
  try {
    return await http.request(request);
  } catch (error) {
    if (!wasDropped(error)) throw error;
    return await http.request(request);
  }
}

/**
 * The address of a service's method.
 * @throws BullaError `usage.invalid`
 */
export function methodUrl(base: string, path: string): URL {
  const url = URL.parse(base);
  const isPlain = url !== null && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '';
  if (!isPlain || url.username !== '' || url.password !== '') {
    throw new BullaError('usage.invalid', `"${printable(base)}" is no URL of a service`, {
      hint: 'write http:// or https://, without user name, password and query',
    });
  }
  if (path !== '') url.pathname = `${url.pathname.replace(/\/+$/, '')}/${path}`;
  return url;
}

/** A service's answer that is not what it must be: it is not used. */
export function invalidAnswer(kind: ServiceKind, url: URL, why: string): BullaError {
  return new BullaError(codes[kind].invalid, `the answer of ${displayUrl(url)} does not hold: ${why}`, {
    hint: 'nothing was stored; is it the right service, and the trusted root the one that belongs to it?',
  });
}

function unwanted(kind: ServiceKind, url: URL, status: number, body: Uint8Array): BullaError {
  const where = displayUrl(url);
  const said = saidIn(body);
  const what = `${where} answered ${status}${said === '' ? '' : `: ${said}`}`;
  if (status === 429) {
    return new BullaError(codes[kind].limited, what, {
      hint: 'it wants fewer requests; nothing was stored, sign again later',
    });
  }
  if (status >= 300 && status < 400) {
    return new BullaError(
      codes[kind].failed,
      `${where} answered ${status}: what is signed follows no redirect`,
      {
        hint: 'name the service by its own URL',
      },
    );
  }
  if (status >= 400 && status < 500) {
    return new BullaError(codes[kind].refused, what, {
      hint: refusedHints[kind],
    });
  }
  return new BullaError(codes[kind].failed, what, failedHint);
}

const refusedHints: Readonly<Record<ServiceKind, string>> = {
  log: 'nothing was stored; is it the right service? Of keys other than P-256 and RSA a Rekor takes bundles alone: --signature-format bundle',
  timestamp: 'nothing was stored; is it the right service, and that its whole address?',
};

const failedHint = { hint: 'nothing was stored; sign again when the service is back' };

/** The words of an error: `message` of its JSON, or its text, if that is no web page. */
function saidIn(body: Uint8Array): string {
  const text = (textOf(body.subarray(0, 4096)) ?? '').trim();
  if (text.startsWith('<')) return '';
  try {
    const value: unknown = JSON.parse(text);
    const message = typeof value === 'object' && value !== null && 'message' in value ? value.message : '';
    return typeof message === 'string' ? printable(message, 300) : '';
  } catch {
    return printable(text, 300);
  }
}

function asServiceError(kind: ServiceKind, url: URL, error: BullaError): BullaError {
  if (error.code === 'http.too-large') return invalidAnswer(kind, url, error.message);
  if (!error.code.startsWith('http.')) return error;
  const hint = error.hint === undefined ? failedHint.hint : `nothing was stored; ${error.hint}`;
  return new BullaError(codes[kind].failed, error.message, { hint, cause: error });
}

/** JSON as a request's body. */
export function jsonBody(value: unknown): Pick<ServiceCall, 'headers' | 'body'> {
  return {
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: utf8(JSON.stringify(value)),
  };
}

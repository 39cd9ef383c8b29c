/** Trying again: exponential backoff with jitter, Retry-After where the server says it. */
import { BullaError, isBullaError } from '../base/errors.ts';
import type { HttpResponse } from '../io/http.ts';

/** Time and chance, so that tests own them. */
export type RetryClock = {
  /** Milliseconds since 1970. */
  now(): number;
  /** Rejects when the signal aborts. */
  sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void>;
  /** From 0 to below 1. */
  random(): number;
};

export type RetryOptions = {
  /** How many times after the first. */
  readonly times: number;
  /** A fixed wait; default: growing. */
  readonly delayMs?: number;
  readonly clock: RetryClock;
  readonly signal?: AbortSignal;
  /** A rate limit (429) stands as the answer. Default: it is waited for. */
  readonly unlessLimited?: boolean;
};

const firstDelayMs = 500;
const longestDelayMs = 60_000;

/** The real clock. */
export const systemClock: RetryClock = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep: (milliseconds, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
    return promise;
  },
};

/**
 * A clock whose sleepers are woken at the end of the client that they belong to: what was asked ahead of need, and is wanted no
 * more, does not hold the process until it could be tried again.
 */
export function endingClock(clock: RetryClock): { readonly clock: RetryClock; readonly end: () => void } {
  // made when somebody sleeps: a controller costs a cold process a third of a millisecond
  let ending: AbortController | undefined;
  const sleep: RetryClock['sleep'] = (milliseconds, signal) => {
    ending ??= new AbortController();
    const either = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal]);
    return clock.sleep(milliseconds, either);
  };
  const end = (): void => ending?.abort(new BullaError('http.failed', 'it was cancelled'));
  return { clock: { ...clock, sleep }, end };
}

/** What may be sent again: `never`; `unprocessed`, where the server says it did nothing; `always`, being idempotent. */
export type Repeatable = 'never' | 'unprocessed' | 'always';

/** Runs an attempt until it answers for good or the tries are used up; the last answer or error stands. */
export async function retrying(
  options: RetryOptions,
  repeatable: Repeatable,
  attempt: () => Promise<HttpResponse>,
): Promise<HttpResponse> {
  for (let tried = 0; ; tried += 1) {
    const last = tried >= options.times || repeatable === 'never' || options.signal?.aborted === true;
    let wait = options.delayMs ?? backoff(tried, options.clock);
    try {
      const response = await attempt();
      if (last || !isTransient(response.status, repeatable)) return response;
      if (response.status === 429 && options.unlessLimited === true) return response;
      wait = Math.max(wait, retryAfter(response.headers['retry-after'], options.clock.now()));
      response.discard();
    } catch (error) {
      if (last || repeatable !== 'always' || !wasDropped(error)) throw error;
    }
    await options.clock.sleep(Math.min(wait, longestDelayMs), options.signal);
  }
}

/** True for an answer that a later try may not get. */
export function isTransient(status: number, repeatable: Repeatable): boolean {
  if (status === 429 || status === 503) return true;
  return repeatable === 'always' && (status === 500 || status === 502 || status === 504 || status === 408);
}

/** A connection that broke. One that was refused, or a host that is unknown, will be so again. */
export function wasDropped(error: unknown): boolean {
  if (!isBullaError(error, 'http.failed')) return false;
  const { cause } = error;
  return (
    cause instanceof Error &&
    (!('code' in cause) || /^(?:ECONNRESET|EPIPE|ECONNABORTED)$/.test(String(cause.code)))
  );
}

/** Milliseconds to wait after so many tries. */
export function backoff(tried: number, clock: RetryClock): number {
  // half of it by chance, so that many clients do not come back together
  return firstDelayMs * 2 ** tried * (0.5 + clock.random() / 2);
}

/** Milliseconds that Retry-After (seconds or a date, RFC 9110 section 10.2.3) asks for; 0 if it asks for nothing. */
export function retryAfter(header: string | undefined, now: number): number {
  if (header === undefined) return 0;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? 0 : Math.max(0, date - now);
}

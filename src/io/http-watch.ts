/** Time limits of one exchange: an absolute deadline, an idle limit, the caller's signal. */
import { BullaError } from '../base/errors.ts';
import { displayUrl } from './http-url.ts';

export type Watch = {
  /** Why the exchange was ended, once it was. */
  readonly failure: BullaError | undefined;
  /** Something moved: the idle limit counts from now. */
  touch(): void;
  /** Our side is the slow one: the idle limit does not count until the next touch. */
  pause(): void;
  /** The exchange is over. */
  end(): void;
};

export type WatchOptions = {
  readonly url: URL;
  readonly endsAt: number;
  readonly idleMs: number;
  readonly signal?: AbortSignal;
};

/** Starts the deadline; the idle limit counts from the first touch. */
export function openWatch(options: WatchOptions, stop: (error: BullaError) => void): Watch {
  let failure: BullaError | undefined;
  let idle: NodeJS.Timeout | undefined;
  const where = displayUrl(options.url);
  const end = (): void => {
    clearTimeout(deadline);
    clearTimeout(idle);
    options.signal?.removeEventListener('abort', onAbort);
  };
  const fail = (error: BullaError): void => {
    failure ??= error;
    end();
    stop(failure);
  };
  const onAbort = (): void => fail(cancelled(where, options.signal?.reason));
  const deadline = setTimeout(
    () => fail(new BullaError('http.timeout', `${where}: no complete answer in time`)),
    Math.min(Math.max(0, options.endsAt - performance.now()), longestTimer),
  );
  const onIdle = (): void =>
    fail(new BullaError('http.timeout', `${where}: nothing came for ${options.idleMs} ms`));
  const touch = (): void => {
    if (failure !== undefined) return;
    if (idle === undefined) idle = setTimeout(onIdle, options.idleMs);
    else idle.refresh();
  };
  options.signal?.addEventListener('abort', onAbort);
  if (options.signal?.aborted === true) queueMicrotask(onAbort);
  return {
    get failure() {
      return failure;
    },
    touch,
    pause() {
      clearTimeout(idle);
      idle = undefined;
    },
    end,
  };
}

/** A timer set for longer fires at once. */
const longestTimer = 2_147_483_647;

function cancelled(where: string, reason: unknown): BullaError {
  return reason instanceof BullaError ? reason : new BullaError('http.failed', `${where}: it was cancelled`);
}

/** Time limits of one exchange: an absolute deadline, an idle limit, the caller's signal. */
import { BullaError } from '../base/errors.ts';
import { monotonicMs } from '../base/node.ts';
import { displayUrl } from './http-url.ts';

export type WatchOptions = {
  readonly url: URL;
  /** On monotonicMs()'s clock. */
  readonly endsAt: number;
  readonly idleMs: number;
  readonly signal?: AbortSignal;
};

/** A timer set for longer fires at once. */
const longestTimer = 2_147_483_647;

/** Runs from the call to the end of the body. The deadline counts at once, silence from the first touch. */
export class Watch {
  /** Why the exchange was ended, once it was. */
  failure: BullaError | undefined;
  #ended = false;
  #idle: NodeJS.Timeout | undefined;
  readonly #deadline: NodeJS.Timeout;
  readonly #options: WatchOptions;
  readonly #underWay: Set<Watch>;
  readonly #stop: (error: BullaError) => void;

  /**
   * @param underWay holds this watch until its end
   * @param stop ends the exchange
   */
  constructor(options: WatchOptions, underWay: Set<Watch>, stop: (error: BullaError) => void) {
    this.#options = options;
    this.#underWay = underWay;
    this.#stop = stop;
    const left = Math.max(0, options.endsAt - monotonicMs());
    this.#deadline = setTimeout(() => this.#late('no complete answer in time'), Math.min(left, longestTimer));
    options.signal?.addEventListener('abort', this.#onAbort);
    if (options.signal?.aborted === true) queueMicrotask(this.#onAbort);
    underWay.add(this);
  }

  /** Something moved: the idle limit counts from now. */
  touch(): void {
    // a late touch must not start a timer that nobody would stop
    if (this.#ended) return;
    const { idleMs } = this.#options;
    if (this.#idle === undefined)
      this.#idle = setTimeout(() => this.#late(`nothing came for ${idleMs} ms`), idleMs);
    else this.#idle.refresh();
  }

  /** Our side is the slow one: the idle limit does not count until the next touch. */
  pause(): void {
    clearTimeout(this.#idle);
    this.#idle = undefined;
  }

  /** The exchange is over. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#deadline);
    clearTimeout(this.#idle);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#underWay.delete(this);
  }

  /** Ends the exchange for this reason, unless it has ended. */
  fail(error: BullaError): void {
    if (this.#ended) return;
    this.failure = error;
    this.end();
    this.#stop(error);
  }

  /** Ends the exchange because nobody wants it any more. */
  cancel(): void {
    this.fail(new BullaError('http.failed', `${displayUrl(this.#options.url)}: it was cancelled`));
  }

  readonly #onAbort = (): void => {
    const reason: unknown = this.#options.signal?.reason;
    if (reason instanceof BullaError) this.fail(reason);
    else this.cancel();
  };

  #late(why: string): void {
    this.fail(new BullaError('http.timeout', `${displayUrl(this.#options.url)}: ${why}`));
  }
}

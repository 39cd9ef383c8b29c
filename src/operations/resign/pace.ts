/** A bounded rate: so many steps in so long, evenly, whoever takes them. */
import { BullaError } from '../../base/errors.ts';
import { type RetryClock, systemClock } from '../../registry/retry.ts';

/** `count` steps in `milliseconds`. */
export type Rate = { readonly count: number; readonly milliseconds: number };

export type Clock = Pick<RetryClock, 'now' | 'sleep'>;

/** Waits until the next step may begin. */
export type Pace = () => Promise<void>;

/** It never runs backwards, as the time of day may. */
const steadyClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) => systemClock.sleep(milliseconds, signal),
};

/**
 * Steps are spaced evenly, so that no part of the time has more than its share. Without a rate nobody waits.
 * @throws the signal's reason, while it waits
 */
export function openPace(rate: Rate | undefined, clock: Clock = steadyClock, signal?: AbortSignal): Pace {
  if (rate === undefined) return async () => undefined;
  const apart = rate.milliseconds / rate.count;
  let next = Number.NEGATIVE_INFINITY;
  return async () => {
    const now = clock.now();
    const mine = Math.max(now, next);
    next = mine + apart;
    if (mine > now) await clock.sleep(mine - now, signal);
  };
}

/** `10/s`, `300/m`. @throws BullaError `usage.invalid` */
export function parseRate(text: string): Rate {
  const [, count = '', unit] = /^([1-9][0-9]{0,5})\/(s|m)$/.exec(text) ?? [];
  if (count !== '') return { count: Number(count), milliseconds: unit === 's' ? 1000 : 60_000 };
  throw new BullaError('usage.invalid', `a rate reads like 10/s or 300/m, not "${text}"`);
}

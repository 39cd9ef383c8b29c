/** When a key expires, in the words that gpg takes. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';

const secondsIn: Readonly<Record<string, number>> = {
  '': 86_400,
  d: 86_400,
  w: 7 * 86_400,
  m: 30 * 86_400,
  y: 365 * 86_400,
};
/** OpenPGP counts time in 32 bits of seconds. */
const lastSecond = 0xff_ff_ff_ff;

/**
 * Parses `0` or `never` (undefined: the key does not expire), `30`, `30d`, `2w`, `18m` (months of 30
 * days), `2y` (years of 365 days), or a date `2030-01-31` (noon UTC of that day).
 * @throws BullaError `usage.invalid` where it is none of these, or in the past
 */
export function parseExpiry(text: string, now: Date = new Date()): Date | undefined {
  if (text === '0' || text === 'never' || text === 'none') return undefined;
  const expires = momentOf(text, now);
  const seconds = expires === undefined ? Number.NaN : Math.floor(expires.getTime() / 1000);
  if (!(seconds > now.getTime() / 1000 && seconds <= lastSecond)) {
    throw new BullaError(
      'usage.invalid',
      `"${printable(text)}" is no time to come at which a key can expire`,
      {
        hint: 'write 0 for never, 30d, 2w, 18m, 2y, or a date like 2030-01-31',
      },
    );
  }
  return new Date(seconds * 1000);
}

function momentOf(text: string, now: Date): Date | undefined {
  const span = /^([1-9][0-9]{0,5})([dwmy]?)$/.exec(text);
  if (span !== null)
    return new Date(now.getTime() + Number(span[1]) * (secondsIn[span[2] ?? ''] ?? 0) * 1000);
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text)) return undefined;
  const date = new Date(`${text}T12:00:00Z`);
  // 2030-02-31 would silently become March
  return Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== text ? undefined : date;
}
